"""Loading splits: every format and every place; what cannot be read is in test_bad_rows.py."""

from __future__ import annotations

import csv
import datetime
import gzip
import os

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_mlc.data import hub, hub_splits
from hf_mlc.data.file_splits import iterate_rows
from hf_mlc.data.loading import load_splits
from hf_mlc.data.rows import Columns
from hf_mlc.errors import UserError
from tests.data.small_files import ROWS, error_of, jsonl, loaded


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


# -- formats


@pytest.mark.parametrize("name", ["d.jsonl", "d.json", "d.jsonl.gz", "d.JSONL"])
def test_json_lines_come_back_as_they_are(tmp_path, name):
    assert loaded(jsonl(tmp_path / name, ROWS)) == ROWS


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.csv.gz"])
def test_csv_labels_are_split_by_semicolons_and_stripped(tmp_path, name):
    delimiter = "\t" if "tsv" in name else ","
    body = delimiter.join(["id", "text", "labels"]) + "\n" + delimiter.join(["x", '"a\nb"', " b ; a;"]) + "\n"
    body += delimiter.join(["y", "", ""]) + "\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(body.encode()) if name.endswith(".gz") else body.encode())
    assert loaded(path) == [
        {"id": "x", "text": "a\nb", "labels": ["b", "a"]},
        {"id": "y", "text": "", "labels": []},
    ]


def test_a_csv_may_hold_json_lists_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text('\ufefftext,labels\nhi,"[""a; b"", ""c""]"\n', encoding="utf-8")
    assert loaded(path) == [{"id": "1", "text": "hi", "labels": ["a; b", "c"]}]


def test_a_csv_with_python_lists_is_an_error_that_says_what_to_do(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("text,labels\nhi,['a']\n", encoding="utf-8")
    assert error_of(path).startswith(
        "d.csv, row 1, field 'labels': no JSON list: ['a']; accepted: labels separated by"
    )


def test_a_text_longer_than_the_csv_module_likes_is_read(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text(f"text,labels\n{'word ' * 40_000},a\n", encoding="utf-8")
    assert len(loaded(path)[0]["text"]) == 200_000


def test_a_separator_splits_strings_of_any_format(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [{"text": "t", "labels": "a | b|a"}])
    assert loaded(path, columns=Columns(labels_separator="|"))[0]["labels"] == ["a", "b", "a"]
    assert "accepted: a list, or a string together with labels_separator" in error_of(path)


@pytest.mark.parametrize("name", ["d.parquet", "d.parquet.gz"])
def test_parquet_comes_back_as_it_is(tmp_path, name):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "plain.parquet")
    data = (tmp_path / "plain.parquet").read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert loaded(tmp_path / name) == ROWS


def test_class_names_in_a_parquet_file_become_the_labels(tmp_path):
    features = datasets.Features(
        {"text": datasets.Value("string"), "labels": datasets.List(datasets.ClassLabel(names=["no", "yes"]))}
    )
    data = datasets.Dataset.from_dict({"text": ["t"], "labels": [[1, 0]]}, features=features)
    data.to_parquet(str(tmp_path / "d.parquet"))
    assert loaded(tmp_path / "d.parquet") == [{"id": "1", "text": "t", "labels": ["yes", "no"]}]


def test_integer_labels_stay_integers(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [{"text": "t", "labels": []}, {"text": "t", "labels": [3, 1]}])
    split = load_splits(path)["train"]
    assert split["labels"][1] == [3, 1] and split.features["labels"] == datasets.List(datasets.Value("int64"))


def test_text_columns_are_joined_by_a_newline_and_other_names_are_taken(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [{"title": "A", "body": "b", "codes": ["x"], "key": 5}])
    columns = Columns(text=["title", "body"], labels="codes", id="key")
    assert loaded(path, columns=columns) == [{"id": "5", "text": "A\nb", "labels": ["x"]}]


def test_the_row_number_stands_in_for_an_id_that_is_not_there(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [{"text": "t", "labels": ["a"], "id": None}, {"text": "t", "labels": ["a"]}])
    assert [row["id"] for row in loaded(path)] == ["1", "2"]


@pytest.mark.parametrize("value, name", [(7.0, "7"), (7.5, "7.5"), (True, "True"), (float("nan"), "2")])
def test_an_id_column_that_nobody_asked_for_may_hold_any_value(tmp_path, value, name):
    rows = [{"text": "t", "labels": ["a"], "id": each} for each in ("x", value)]
    path = jsonl(tmp_path / "d.jsonl", rows)
    assert [row["id"] for row in loaded(path)] == ["x", name]
    if value == value:  # NaN is no value, and its error another
        assert error_of(path, columns=Columns(id="id")).startswith("d.jsonl, row 2, field 'id': the id is a")


def test_ids_with_a_gap_and_dates_as_pandas_writes_them_into_parquet(tmp_path):
    day = datetime.datetime(2024, 5, 31)
    for ids, names in ((pa.array([5.0, None]), ["5", "2"]), (pa.array([day, None]), ["2024-05-31 00:00:00", "2"])):
        pq.write_table(pa.table({"id": ids, "text": ["t", "u"], "labels": [["a"], []]}), tmp_path / "d.parquet")
        assert [row["id"] for row in loaded(tmp_path / "d.parquet")] == names


def test_blank_lines_are_skipped_and_counted(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('\n{"text": "t", "labels": ["a"]}\n\n{"text": "t"}\n', encoding="utf-8")
    assert error_of(path).startswith("d.jsonl, row 4, field 'labels': no such column; found: 'text'")


# -- places


def test_a_folder_is_matched_by_name(tmp_path):
    for name in ("train.jsonl", "dev-set.jsonl.gz", "test_2020.jsonl", "label_names.jsonl", "trainer.jsonl"):
        jsonl(tmp_path / name, [{"text": name, "labels": ["a"]}])
    (tmp_path / "train.txt").write_text("no data", encoding="utf-8")
    splits = load_splits(tmp_path)
    assert {name: split["text"][0] for name, split in splits.items()} == {
        "train": "train.jsonl",
        "validation": "dev-set.jsonl.gz",
        "test": "test_2020.jsonl",
    }
    assert list(load_splits(tmp_path, splits=["test"])) == ["test"]


@pytest.mark.parametrize(
    "names",
    [("trainset", "validate", "testset"), ("Train", "valset", "Testing"), ("training", "validationset", "test2")],
)
def test_what_else_splits_are_called(tmp_path, names):
    for name in names:
        jsonl(tmp_path / f"{name}.jsonl", [{"text": name, "labels": ["a"]}])
    found = {name: split["text"][0] for name, split in load_splits(tmp_path).items()}
    assert found == dict(zip(("train", "validation", "test"), names, strict=True))


def test_splits_that_are_not_asked_for_are_not_opened(tmp_path):
    jsonl(tmp_path / "train.jsonl", ROWS)
    (tmp_path / "test.jsonl").write_text("not JSON", encoding="utf-8")
    assert list(load_splits(tmp_path, splits=["train"])) == ["train"]


def test_shards_of_a_split_are_read_in_order(tmp_path):
    for i in range(2):
        jsonl(tmp_path / f"train-0000{i}-of-00002.jsonl", [{"text": str(i), "labels": ["a"]}])
    assert [row["text"] for row in loaded(tmp_path)] == ["0", "1"]
    (tmp_path / "train-00001-of-00002.jsonl").unlink()
    jsonl(tmp_path / "train-00002-of-00002.jsonl", ROWS)
    assert "several files of the split 'train'" in error_of(tmp_path)


def test_an_ambiguous_or_incomplete_folder_lists_what_is_there(tmp_path):
    jsonl(tmp_path / "test.jsonl", ROWS)
    assert "no file of the split 'train'; found: test.jsonl" in error_of(tmp_path)
    jsonl(tmp_path / "train.jsonl", ROWS)
    jsonl(tmp_path / "train_small.jsonl", ROWS)
    assert "several files of the split 'train': train.jsonl, train_small.jsonl" in error_of(tmp_path)
    assert len(load_splits(tmp_path, splits={"train": "train_small"})["train"]) == 2


def test_files_of_splits_are_taken_as_they_are_named(tmp_path):
    one, two = jsonl(tmp_path / "a.jsonl", ROWS), jsonl(tmp_path / "b.jsonl", ROWS[:1])
    splits = load_splits(train_file=one, test_file=str(two))
    assert {name: len(split) for name, split in splits.items()} == {"train": 2, "test": 1}
    assert list(load_splits(one, splits=["test"])) == ["test"]
    with pytest.raises(UserError, match="either dataset_name or train_file"):
        load_splits(one, test_file=two)
    with pytest.raises(UserError, match="no data set"):
        load_splits()
    with pytest.raises(UserError, match="no file for the split 'validation'"):
        load_splits(train_file=one, splits=["train", "validation"])


def test_labels_of_one_kind_are_asked_of_all_files(tmp_path):
    jsonl(tmp_path / "train.jsonl", [{"text": "t", "labels": ["a"]}])
    jsonl(tmp_path / "test.jsonl", [{"text": "t", "labels": []}, {"text": "t", "labels": [1]}])
    message = error_of(tmp_path)
    assert "test.jsonl, row 2, field 'labels': the label 1 where the labels before it are strings" in message


def test_the_first_rows_are_taken_where_a_maximum_is_set(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [*ROWS, {"text": "bad"}])
    assert loaded(path, max_samples={"train": 2}) == ROWS
    assert loaded(path, max_samples={"train": 1}) == ROWS[:1]
    with pytest.raises(UserError, match="max_samples"):
        load_splits(path, max_samples={"train": 0})
    with pytest.raises(UserError, match="unknown split 'dev'; accepted: train, validation, test"):
        load_splits(path, max_samples={"dev": 1})


def test_a_file_that_has_changed_is_read_again(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", ROWS)
    first = load_splits(path)["train"]
    assert load_splits(path)["train"].cache_files == first.cache_files
    changed = [dict(ROWS[0], text="two"), ROWS[1]]  # as many bytes as before
    jsonl(path, changed)
    os.utime(path, ns=(1, 1))
    assert loaded(path) == changed


def test_what_is_not_on_disk_comes_from_the_hub(monkeypatch):
    asked = []
    features = datasets.Features(
        {
            "sentence": datasets.Value("string"),
            "labels": datasets.List(datasets.ClassLabel(names=["joy", "fear"])),
            "other": datasets.Value("float64"),
        }
    )
    rows = {"sentence": ["s", "t"], "labels": [[1], []], "other": [0.5, None]}
    there = datasets.DatasetDict(
        {name: datasets.Dataset.from_dict(rows, features=features) for name in ("train", "dev")}
    )
    monkeypatch.setattr(hub_splits, "load_from_hub", lambda *args, **kwargs: asked.append((args, kwargs)) or there)
    splits = load_splits(
        "org/emotions", config_name="small", revision="abc", columns=Columns(text="sentence"), max_samples={"train": 1}
    )
    assert asked == [(("org/emotions", "small"), {"revision": "abc", "cache_dir": None})]
    assert splits["train"].to_list() == [{"id": "1", "text": "s", "labels": ["fear"]}]
    assert splits["validation"].to_list()[1] == {"id": "2", "text": "t", "labels": []}
    with pytest.raises(
        UserError,
        match=r"org/emotions\[train\], row 1, field 'text': no such column; found: 'sentence', 'labels', 'other'",
    ):
        load_splits("org/emotions", columns=Columns())
    with pytest.raises(UserError, match="no split 'test'; found: train, dev"):
        load_splits("org/emotions", columns=Columns(text="sentence"), splits=["test"])


def test_integers_on_the_hub_stay_integers_and_null_labels_are_an_error(monkeypatch):
    features = datasets.Features({"text": datasets.Value("string"), "labels": datasets.List(datasets.Value("int32"))})
    there = {"train": datasets.Dataset.from_dict({"text": ["s"], "labels": [[7]]}, features=features)}
    monkeypatch.setattr(hub_splits, "load_from_hub", lambda *args, **kwargs: there)
    assert load_splits("org/x")["train"].to_list() == [{"id": "1", "text": "s", "labels": [7]}]
    there["train"] = datasets.Dataset.from_dict({"text": ["s"], "labels": [None]}, features=features)
    with pytest.raises(UserError, match=r"org/x\[train\], row 1, field 'labels': the labels are null"):
        load_splits("org/x")


def test_a_data_set_that_the_hub_does_not_give_is_one_line():
    # the tests run with HF_HUB_OFFLINE=1, which is one way of not being found
    with pytest.raises(UserError, match=r"^org/none: cannot be loaded"):
        load_splits("org/none")


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("Dataset scripts are no longer supported, but found x.py"),
        datasets.exceptions.DatasetGenerationError("An error occurred while generating the dataset"),
    ],
)
def test_a_data_set_on_the_hub_that_cannot_be_read_is_one_line(monkeypatch, failure):
    def load_dataset_builder(*args, **kwargs):
        raise failure

    monkeypatch.setattr(datasets, "load_dataset_builder", load_dataset_builder)
    monkeypatch.setattr(hub, "_commit_of", lambda *_: ("a" * 40, None))
    with pytest.raises(UserError, match=f"^org/x: cannot be loaded .{failure}"):
        load_splits("org/x")


@pytest.mark.parametrize("name", ["./none", "/no/where", "none.csv", "none.jsonl.gz", "a/b/c"])
def test_a_mistaken_path_is_not_looked_for_on_the_hub(name, monkeypatch):
    monkeypatch.setattr(hub_splits, "load_from_hub", lambda *args, **kwargs: pytest.fail("asked the Hub"))
    with pytest.raises(UserError, match="no such file or folder"):
        load_splits(name)


# -- rows one at a time, as prediction reads them


@pytest.mark.parametrize("labels", ["a string", 3, None, [None], ["b", 1]])
def test_labels_are_not_looked_at_where_none_are_wanted(tmp_path, labels):
    path = jsonl(tmp_path / "d.jsonl", [{"text": "t", "id": None}, {"id": "x", "text": "u", "labels": labels}])
    rows = list(iterate_rows(path, Columns(labels=None)))
    assert rows == [{"id": "1", "text": "t"}, {"id": "x", "text": "u"}]


def test_a_parquet_or_csv_without_labels_is_read_where_none_are_wanted(tmp_path):
    pq.write_table(pa.table({"text": ["t"], "other": [1]}), tmp_path / "d.parquet")
    (tmp_path / "d.csv").write_text("text,labels,labels\nt,1,2\n", encoding="utf-8")
    for name in ("d.parquet", "d.csv"):
        assert list(iterate_rows(tmp_path / name, Columns(labels=None))) == [{"id": "1", "text": "t"}]


def test_splits_without_a_labels_column_cannot_be_asked_for(tmp_path):
    with pytest.raises(UserError, match="no labels column"):
        load_splits(jsonl(tmp_path / "d.jsonl", ROWS), columns=Columns(labels=None))


def test_a_bad_row_is_reached_only_after_the_good_ones_before_it(tmp_path):
    rows = iterate_rows(jsonl(tmp_path / "d.jsonl", [ROWS[0], {}]))
    assert next(rows) == ROWS[0]
    with pytest.raises(UserError, match="row 2"):
        next(rows)


def test_a_csv_written_by_pythons_own_writer_comes_back(tmp_path):
    texts = ['quote " and, comma', "line\r\nend", "tab\there", ""]
    with (tmp_path / "d.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([["text", "labels"], *([text, "a"] for text in texts)])
    assert [row["text"] for row in loaded(tmp_path / "d.csv")] == texts


# -- real files


@pytest.mark.real_data
def test_reuters_has_its_published_sizes(real_data):
    splits = load_splits(real_data("reuters21578"), columns=Columns(text=["title", "text"]))
    assert {name: len(split) for name, split in splits.items()} == {"train": 7770, "test": 3019}
    assert len({label for labels in splits["train"]["labels"] for label in labels}) == 90
    assert splits["train"][0]["id"] == "1" and splits["train"][0]["labels"] == ["cocoa"]
    assert splits["train"][0]["text"].startswith("BAHIA COCOA REVIEW\nBAHIA COCOA REVIEW\nShowers")


@pytest.mark.real_data
def test_codiesp_reads_either_language_and_either_code_system(real_data):
    folder = real_data("codiesp")
    splits = load_splits(folder)
    assert {name: len(split) for name, split in splits.items()} == {"train": 500, "test": 250}
    assert splits["train"][0]["labels"][:2] == ["n44.8", "z20.818"]
    english = load_splits(folder, columns=Columns(text="text_en", labels="procedures"), splits=["test"])
    assert english["test"][0]["text"] != splits["test"][0]["text"]


@pytest.mark.real_data
def test_the_first_eu_laws_are_read_without_the_rest(real_data):
    splits = load_splits(real_data("eurlex57k"), max_samples={"train": 50, "validation": 20, "test": 20})
    assert {name: len(split) for name, split in splits.items()} == {"train": 50, "validation": 20, "test": 20}
    assert all(labels for labels in splits["train"]["labels"])


@pytest.mark.parametrize("field", ["config_name", "revision"])
def test_what_only_the_hub_has_is_refused_for_files(field, tmp_path):
    (tmp_path / "train.jsonl").write_text('{"text": "a", "labels": ["x"]}\n', encoding="utf-8")
    with pytest.raises(UserError, match=rf"field '{field}': found 'v1', which files on this machine don't have"):
        load_splits(tmp_path, **{field: "v1"})
