"""COCO's annotations, as its makers write them and as they come out of tools."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hf_mlc import load_splits
from hf_mlc.commands.prepare_coco import main
from hf_mlc.commands.running import run
from hf_mlc.data import Columns
from hf_mlc.images.coco import read_instances
from hf_mlc.images.preparing import find_parts
from hf_mlc.images.shapes import LABELS, write_coco_shapes
from tests.mimic.generated import read_rows


# in the file's order: annotations first, as no reader may mind
CONTENT = {
    "info": {"year": 2017, "description": "made for this test"},
    "annotations": [
        {"id": 1, "image_id": 11, "category_id": 18, "iscrowd": 0, "segmentation": [[1, 2, 3.5, 4]], "bbox": [0, 0, 1, 1]},
        {"id": 2, "image_id": 11, "category_id": 18, "iscrowd": 0, "segmentation": [[9, 9, 9, 9]]},
        {"id": 3, "image_id": 11, "category_id": 1, "iscrowd": 1, "segmentation": {"counts": [4, 2], "size": [2, 3]}},
        {"id": 4, "image_id": 12, "category_id": 1, "iscrowd": 1},
        {"id": 5, "image_id": 12, "category_id": 1, "iscrowd": 0},
        {"id": 6, "image_id": 99, "category_id": 1, "iscrowd": 0},
    ],
    "licenses": [],
    "images": [
        {"id": 11, "file_name": "a.png", "width": 4, "height": 4},
        {"id": 12, "file_name": "b.png"},
        {"id": 13, "file_name": "c.png"},
    ],
    "categories": [
        {"id": 1, "name": "person", "supercategory": "person"},
        {"id": 18, "name": "dog", "supercategory": "animal"},
        {"id": 3, "name": "car"},
    ],
}  # fmt: skip


def changed(**parts) -> dict:
    return {**CONTENT, **parts}


def write(folder: Path, content: dict = CONTENT, *, pictures=("a.png", "b.png", "c.png")) -> Path:
    """A folder in COCO's own layout, the same content in training and validation."""
    from PIL import Image

    (folder / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(content), encoding="utf-8")
        (folder / split).mkdir()
        for name in pictures:
            Image.new("RGB", (4, 4), "red").save(folder / split / name)
    return folder


def prepared(source: Path, output: Path, *words: str) -> dict:
    assert run(main, ["--coco_dir", str(source), "--output_dir", str(output), *words]) == 0
    return json.loads((output / "report.json").read_text(encoding="utf-8"))


def error_of(content: dict, folder: Path) -> str:
    with pytest.raises(ValueError) as caught:
        file = folder / "instances.json"
        file.write_text(json.dumps(content), encoding="utf-8")
        read_instances(file)
    return str(caught.value)


def test_categories_become_labels_and_everything_odd_is_counted(tmp_path, capsys):
    report = prepared(write(tmp_path / "in"), tmp_path / "out", "--year", "2017")
    assert read_rows(tmp_path / "out" / "coco" / "train.jsonl.gz") == [
        {"id": "11", "image": "../../in/train2017/a.png", "labels": ["person", "dog"]},
        {"id": "12", "image": "../../in/train2017/b.png", "labels": ["person"]},
        {"id": "13", "image": "../../in/train2017/c.png", "labels": []},
    ]
    assert report["annotations"]["train"] == {
        "annotations": 6,
        "crowd_annotations": 2,
        "repeated_categories": 0,
        "repeated_images": 0,
        "labels_by_crowds_alone": 1,  # the person in a.png; the one in b.png stands alone too
        "annotated_images_not_listed": 1,
        "images": 3,
        "images_with_labels": 2,
        "images_missing": 0,
        "images_without_labels_dropped": 0,
    }
    # a category without objects is a label all the same
    assert json.loads((tmp_path / "out" / "coco" / "labels.json").read_text()) == ["person", "dog", "car"]
    assert report["data_sets"]["coco"]["rows"] == {"all": 6, "train": 3, "test": 3}
    said = capsys.readouterr().err
    assert "train: 6 annotations, 2 of crowds (1 labels by them alone), 1 pictures without labels" in said
    assert "coco: train: 3, published 118,287" in said
    assert "coco, pictures with labels: test: 2, published 4,952" in said


def test_what_was_prepared_can_be_loaded_from_anywhere(tmp_path, monkeypatch):
    prepared(write(tmp_path / "in"), tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    rows = load_splits("coco", columns=Columns(image="image"))["train"]
    assert Path(rows[1]["image"]["path"]).samefile(tmp_path / "in" / "train2017" / "b.png")
    assert rows[0]["labels"] == ["person", "dog"]
    # the whole tree in another place
    monkeypatch.chdir(tmp_path)
    Path("moved").mkdir()
    for name in ("in", "out"):
        shutil.move(name, f"moved/{name}")
    assert len(load_splits("moved/out/coco", columns=Columns(image="image"))["train"]) == 3


def test_crowds_and_empty_pictures_can_be_left_out(tmp_path):
    source = write(tmp_path / "in")
    report = prepared(source, tmp_path / "out", "--crowds", "drop", "--empty", "drop", "--validation_as", "validation")
    rows = read_rows(tmp_path / "out" / "coco" / "validation.jsonl.gz")
    assert [(row["id"], row["labels"]) for row in rows] == [("11", ["dog"]), ("12", ["person"])]
    assert report["annotations"]["validation"]["images_without_labels_dropped"] == 1
    assert report["annotations"]["train"]["labels_by_crowds_alone"] == 0


def test_a_missing_picture_is_an_error_unless_it_is_to_be_dropped(tmp_path, capsys):
    source = write(tmp_path / "in", pictures=("a.png", "c.png"))
    assert run(main, ["--coco_dir", str(source), "--output_dir", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "instances_train2017.json, row 2, field 'file_name': there is no" in message and "b.png" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]  # nothing half-written
    report = prepared(source, tmp_path / "out", "--missing", "drop")
    assert report["annotations"]["train"]["images_missing"] == 1
    assert report["data_sets"]["coco"]["rows"]["train"] == 2


def test_without_a_training_row_nothing_is_written(tmp_path, capsys):
    source = write(tmp_path / "in", pictures=())
    words = ["--coco_dir", str(source), "--output_dir", str(tmp_path / "out"), "--missing", "drop"]
    assert run(main, words) == 2
    message = capsys.readouterr().err
    assert "instances_train2017.json, field 'images': no training row: 3 pictures listed, 3 missing" in message
    assert message.count("\n") == 1 and sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_repeats_are_joined_and_counted(tmp_path):
    content = changed(
        categories=[*CONTENT["categories"], {"id": 18, "name": "dog"}, {"id": 40, "name": "person"}],
        images=[*CONTENT["images"], {"id": 11, "file_name": "a.png"}, {"id": 14, "file_name": "c.png"}],
        annotations=[{"image_id": 14, "category_id": 40}, {"image_id": 13, "category_id": 18}],
    )
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    found = read_instances(file)
    assert found.label_names == ["person", "dog", "car"]
    assert found.files == {11: "a.png", 12: "b.png", 13: "c.png"}
    assert found.labels == {13: {1, 18}}  # those of its second entry, by the first category of the name
    assert found.facts["repeated_categories"] == 2 and found.facts["repeated_images"] == 2


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (changed(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), "row 2, field 'categories': the id 1 stands for 'a' and for 'b'"),
        (changed(images=[{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]), "row 2, field 'images': the id 1"),
        (changed(images=[{"id": 1}]), "row 1, field 'images.file_name': found None"),
        (changed(images=[{"id": "1", "file_name": "a"}]), "field 'images.id': found '1'; accepted: an integer"),
        (changed(annotations=[{"image_id": 11}]), "row 1, field 'annotations.category_id': found None"),
        (changed(annotations=[{"image_id": 11, "category_id": 7}]), "the category 7, which isn't listed"),
        (changed(annotations=[3]), "row 1, field 'annotations': found 3; accepted: a list of objects"),
        (changed(annotations={"a": 1}), "field 'annotations': found an object; accepted: a list"),
        (changed(categories=[]), "no category"),
        ({"images": [], "annotations": []}, "no categories; accepted: COCO's instances_*.json"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(tmp_path, content, fragment):
    assert fragment in error_of(content, tmp_path)


def test_the_layout_of_annotation_tools(tmp_path):
    from PIL import Image

    for split in ("train", "valid"):
        (tmp_path / "in" / split).mkdir(parents=True)
        (tmp_path / "in" / split / "_annotations.coco.json").write_text(json.dumps(CONTENT), encoding="utf-8")
        for name in "abc":
            Image.new("L", (4, 4)).save(tmp_path / "in" / split / f"{name}.png")
    assert set(find_parts(tmp_path / "in")) == {"train", "validation"}
    valid = tmp_path / "in" / "valid"
    shutil.copy(valid / "_annotations.coco.json", valid / "a.json")
    assert set(find_parts(tmp_path / "in")) == {"train", "validation"}  # the name decides
    (valid / "_annotations.coco.json").rename(valid / "b.json")
    with pytest.raises(ValueError, match=r"several annotations for validation: valid/a\.json, valid/b\.json"):
        find_parts(tmp_path / "in")
    (valid / "a.json").unlink()
    report = prepared(tmp_path / "in", tmp_path / "out", "--name", "mine")
    assert report["data_sets"]["mine"]["rows"] == {"all": 6, "train": 3, "test": 3}


def test_what_is_not_there_or_there_twice_is_one_line(tmp_path, capsys):
    def error(*words: str) -> str:
        assert run(main, ["--coco_dir", str(tmp_path / "in"), "--output_dir", str(tmp_path / "out"), *words]) == 2
        return capsys.readouterr().err

    assert "no such folder" in error()
    write(tmp_path / "in")
    annotations = tmp_path / "in" / "annotations"
    shutil.copy(annotations / "instances_train2017.json", annotations / "instances_train2014.json")
    assert "several annotations for train: instances_train2014.json, instances_train2017.json" in error()
    assert "found 'all'; accepted: keep, drop" in error("--crowds", "all")
    assert "field 'year': found '17'" in error("--year", "17")
    shutil.rmtree(tmp_path / "in" / "train2017")
    assert "no pictures of train; accepted: a folder train2017" in error("--year", "2017")
    (annotations / "instances_train2017.json").unlink()
    (annotations / "instances_train2014.json").unlink()
    assert "no training annotations" in error()


def test_drawn_pictures_in_cocos_format_come_back_with_their_labels(tmp_path):
    source = write_coco_shapes(tmp_path / "in", num_train=5, num_validation=3)
    prepared(source, tmp_path / "out")
    annotations = json.loads((source / "annotations" / "instances_val2017.json").read_text())
    expected: dict[str, set[str]] = {}
    for one in annotations["annotations"]:
        expected.setdefault(str(one["image_id"]), set()).add(LABELS[one["category_id"] - 1])
    rows = read_rows(tmp_path / "out" / "coco" / "test.jsonl.gz")
    assert {row["id"]: set(row["labels"]) for row in rows} == expected
