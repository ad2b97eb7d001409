"""Rows of pictures: from JSON Lines and CSV beside the files, and from the Image feature of `datasets`."""

from __future__ import annotations

import csv
import json

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from hf_mlc import LabelSpace
from hf_mlc.data import Columns, check_splits, fingerprint, iterate_rows, load_splits
from hf_mlc.errors import UserError
from hf_mlc.images.collating import ImageCollator
from hf_mlc.images.processing import encode_pictures, load_image_processor, new_image_processor, pixels_of


COLUMNS = Columns(image="image")
LEVELS = {"a.png": 10, "b.png": 120, "sub/c.png": 240}


@pytest.fixture
def folder(tmp_path):
    """Three grey pictures of different sizes, and a JSON Lines file that names them."""
    (tmp_path / "d" / "sub").mkdir(parents=True)
    for size, (name, level) in enumerate(LEVELS.items(), start=3):
        Image.new("RGB", (size, 2 * size), (level,) * 3).save(tmp_path / "d" / name)
    rows = [{"image": name, "labels": labels} for name, labels in zip(LEVELS, (["y", "x"], [], ["x"]), strict=True)]
    (tmp_path / "d" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path / "d"


def error_of(folder, row: dict, **columns) -> str:
    file = folder / "one.jsonl"
    file.write_text(json.dumps({"labels": [], **row}) + "\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        list(iterate_rows(file, Columns(image="image", **columns)))
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{folder}/", "")


def test_names_are_relative_to_the_datas_own_folder(folder):
    rows = load_splits(folder, columns=COLUMNS)["train"]
    assert rows.column_names == ["id", "image", "labels"]
    assert [row["image"] for row in rows] == [{"path": str(folder / name), "bytes": None} for name in LEVELS]
    assert rows["labels"][:] == [["y", "x"], [], ["x"]]


def test_a_csv_and_another_folder_and_another_column(folder, tmp_path):
    file = tmp_path / "list.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["file_name", "labels"], ["sub/c.png", "x;y"]])
    rows = list(iterate_rows(file, Columns(image="file_name", image_folder=str(folder))))
    assert rows == [{"id": "1", "image": {"path": str(folder / "sub/c.png"), "bytes": None}, "labels": ["x", "y"]}]


def test_the_image_feature_of_a_parquet_file_holds_the_bytes(folder, tmp_path):
    features = datasets.Features({"image": datasets.Image(), "labels": datasets.List(datasets.Value("string"))})
    rows = {"image": [str(folder / "a.png")], "labels": [["x"]]}
    made = datasets.Dataset.from_dict(rows, features=features)
    embedded = made.map(lambda row: row, features=features, load_from_cache_file=False)
    embedded = embedded.cast_column("image", datasets.Image(decode=False)).map(
        lambda row: {"image": {"path": "a.png", "bytes": (folder / "a.png").read_bytes()}}, load_from_cache_file=False
    )
    embedded.to_parquet(tmp_path / "train.parquet")
    (row,) = load_splits(tmp_path / "train.parquet", columns=COLUMNS)["train"]
    assert row["image"]["bytes"] == (folder / "a.png").read_bytes()
    pixels = pixels_of(new_image_processor(4), [row["image"]])
    assert torch.equal(pixels, pixels_of(new_image_processor(4), [folder / "a.png"]))


def test_a_mistake_names_file_row_and_field(folder):
    (folder / "notes.png").write_text("no picture", encoding="utf-8")
    assert error_of(folder, {"image": "z.png"}).startswith("one.jsonl, row 1, field 'image': no such file: z.png")
    assert "row 1, field 'image': notes.png: no picture" in error_of(folder, {"image": "notes.png"})
    assert "the image is null" in error_of(folder, {"image": None})
    assert "the image is an address: https://x/a.png; accepted: a file" in error_of(
        folder, {"image": "https://x/a.png"}
    )
    assert "no such column; found: 'labels', 'text'" in error_of(folder, {"text": "a"})
    assert "no such file: elsewhere/a.png" in error_of(
        folder, {"image": "a.png"}, image_folder=str(folder / "elsewhere")
    )


def test_pictures_are_counted_and_their_fingerprint_is_no_machines(folder, tmp_path, caplog):
    (folder / "test.jsonl").write_text('{"image": "b.png", "labels": ["x"]}\n', encoding="utf-8")
    splits = load_splits(folder, columns=COLUMNS)
    report = check_splits(splits)
    assert report.splits["test"].also_in_train == 1 and report.splits["test"].noun == "pictures"
    assert report.splits["train"].empty_label_sets == 1
    before = fingerprint(splits["train"])
    folder.rename(tmp_path / "elsewhere")
    assert fingerprint(load_splits(tmp_path / "elsewhere", columns=COLUMNS)["train"]) == before
    Image.new("RGB", (50, 50), "red").save(tmp_path / "elsewhere" / "b.png")
    assert fingerprint(load_splits(tmp_path / "elsewhere", columns=COLUMNS)["train"]) != before


def test_a_batch_is_pixels_of_one_size_and_targets(folder):
    splits = load_splits(folder, columns=COLUMNS)
    space = LabelSpace.from_label_lists(splits["train"]["labels"])
    rows = encode_pictures(splits, space)["train"]
    assert rows.column_names == ["id", "pixel_values", "label_ids", "length"] and rows["length"][:] == [1, 1, 1]
    processor = new_image_processor(8)
    batch = ImageCollator(processor, 2, return_ids=True)([rows[place] for place in range(3)])
    assert batch["pixel_values"].shape == (3, 3, 8, 8) and batch["pixel_values"].dtype == torch.float32
    expected = torch.tensor([level / 127.5 - 1 for level in LEVELS.values()])
    assert torch.allclose(batch["pixel_values"].mean(dim=(1, 2, 3)), expected, atol=1e-5)
    assert batch["labels"].tolist() == [[1, 1], [0, 0], [1, 0]] and batch["ids"] == ["1", "2", "3"]
    lists = ImageCollator(processor, 2, targets="label_ids")([rows[0], rows[1]])
    assert lists["label_ids"].tolist() == [[0, 1], [-100, -100]]
    # a row that is to be predicted, with an open picture
    alone = ImageCollator(processor, 2)([{"image": Image.open(folder / "a.png")}])
    assert list(alone) == ["pixel_values"] and torch.equal(alone["pixel_values"][0], batch["pixel_values"][0])
    with pytest.raises(UserError, match="a row without a picture"):
        ImageCollator(processor, 2)([{"labels": [0]}])


def test_an_unknown_label_is_counted_in_validation_and_an_error_in_training(folder):
    (folder / "validation.jsonl").write_text('{"image": "b.png", "labels": ["new", "x"]}\n', encoding="utf-8")
    splits = load_splits(folder, columns=COLUMNS)
    space = LabelSpace.from_label_lists(splits["train"]["labels"])
    report = check_splits(splits, space)
    assert encode_pictures(splits, space, report=report)["validation"]["label_ids"][:] == [[0]]
    assert report.splits["validation"].unknown_labels == 1
    with pytest.raises(UserError, match="train, row 1"):
        encode_pictures(splits, LabelSpace.from_names(["x"]))


def test_the_processor_is_saved_and_loaded_with_the_same_pixels(folder, tmp_path):
    processor = new_image_processor(6, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1))
    processor.save_pretrained(tmp_path / "p")
    loaded = load_image_processor(tmp_path / "p")
    pictures = [folder / name for name in LEVELS]
    assert torch.equal(pixels_of(loaded, pictures), pixels_of(processor, pictures))
    with pytest.raises(UserError, match="no image processor"):
        load_image_processor(tmp_path)


def test_a_processor_that_leaves_pictures_as_they_are_is_refused(folder):
    processor = new_image_processor(6)
    processor.do_resize = False
    with pytest.raises(UserError, match="must bring pictures to one size"):
        pixels_of(processor, [folder / "a.png", folder / "b.png"])


def test_a_picture_alone_has_the_pixels_that_it_has_in_a_batch(folder):
    processor = new_image_processor(5)
    pictures = [folder / name for name in LEVELS]
    together = pixels_of(processor, pictures)
    assert all(torch.equal(pixels_of(processor, [one])[0], row) for one, row in zip(pictures, together, strict=True))
    assert np.unique(together[0]).size == 1
