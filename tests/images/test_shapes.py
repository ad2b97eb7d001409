"""Drawn pictures: seeded, of several objects, with the labels of what is in them."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from hf_mlc.errors import UserError
from hf_mlc.images.shapes import COLOURS, LABELS, draw_pictures, main, write_shapes


def test_the_same_seed_gives_the_same_pictures_and_another_gives_others():
    def drawn(number: int, seed: int) -> list[tuple[bytes, list[str]]]:
        return [(picture.tobytes(), labels) for picture, labels in draw_pictures(number, seed=seed, size=24)]

    assert drawn(3, 0) == drawn(5, 0)[:3]
    assert drawn(3, 0) != drawn(3, 1)


def test_a_labels_colour_is_in_the_picture():
    for picture, labels in draw_pictures(40, seed=3, size=48):
        pixels = np.asarray(picture).astype(int).reshape(-1, 3)
        for label in labels:
            distance = np.abs(pixels - COLOURS[label.split()[0]]).max(axis=1)
            assert (distance < 60).sum() > 10, label


def test_all_labels_occur_and_some_go_together():
    counts, pairs, sizes = Counter(), Counter(), Counter()
    for _, labels in draw_pictures(1500, seed=0, size=24):
        counts.update(labels)
        sizes[len(labels)] += 1
        pairs["circle"] += "red circle" in labels
        pairs["both"] += {"red circle", "red ring"} <= set(labels)
    assert set(counts) == set(LABELS) and set(sizes) == {1, 2, 3, 4}
    assert pairs["both"] / pairs["circle"] > 3 * counts["red ring"] / 1500 * 0.8


def test_files_are_rows_that_name_pictures_and_a_folder_in_use_is_left_alone(tmp_path, capsys):
    write_shapes(tmp_path / "d", num_train=3, num_validation=2, num_test=1, size=24)
    rows = [json.loads(line) for line in (tmp_path / "d" / "train.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["train-00000", "train-00001", "train-00002"]
    assert all((tmp_path / "d" / row["image"]).is_file() and set(row["labels"]) <= set(LABELS) for row in rows)
    with pytest.raises(SystemExit) as ended:
        main(["--output_dir", str(tmp_path / "d")])
    assert ended.value.code == 2 and "is not empty" in capsys.readouterr().err
    with pytest.raises(UserError, match="found 8; accepted: 24 or more"):
        next(draw_pictures(1, size=8))
