"""Yelp's two files, in the exact format of the open data set, with what is odd in them."""

from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path

import pytest

from hf_mlc import load_splits
from hf_mlc.commands.prepare_yelp import main
from hf_mlc.commands.running import run
from hf_mlc.yelp.preparing import SHARES, split_of
from hf_mlc.yelp.reading import categories_of
from tests.mimic.generated import read_rows


def business(number: str, categories, **more) -> dict:
    """A row as the data set has it."""
    return {
        "business_id": number, "name": "Abby Rappoport, LAC", "address": "1616 Chapala St, Ste 2", "city": "Santa Barbara",
        "state": "CA", "postal_code": "93101", "latitude": 34.42, "longitude": -119.71, "stars": 5.0, "review_count": 7,
        "is_open": 0, "attributes": {"ByAppointmentOnly": "True"}, "categories": categories, "hours": None, **more,
    }  # fmt: skip


def review(number: str, of: str, text: str = "If you decide to eat here, be aware.\n\nIt's slow.", **more) -> dict:
    return {
        "review_id": number, "user_id": "mh_-eMZ6K5RLWhZyISBhwA", "business_id": of, "stars": 3.0, "useful": 0, "funny": 0,
        "cool": 0, "text": text, "date": "2018-07-07 22:09:11", **more,
    }  # fmt: skip


def in_split(split: str, count: int, *, seed: int = 0) -> list[str]:
    """Ids of businesses that the seed puts into a split."""
    numbers = (f"Pns2l4eNsfO8kk83dix{n:03d}" for n in range(10_000))
    return [number for number in numbers if split_of(number, seed) == split][:count]


TRAIN, VALIDATION, TEST = in_split("train", 6), in_split("validation", 2), in_split("test", 2)
BUSINESSES = [
    business(TRAIN[0], "Restaurants, Coffee & Tea , Restaurants"),
    business(TRAIN[1], "Restaurants, Beer, Wine & Spirits, Food"),
    business(TRAIN[2], ["Food", "Restaurants"]),  # as in old rounds
    business(TRAIN[3], None, attributes=None),
    business(TRAIN[4], "Local Flavor"),
    business(VALIDATION[0], "Food, Restaurants, Zoos"),
    business(TEST[0], "Zoos"),
    business(TEST[1], "Food"),
]
REVIEWS = [
    review("r1", TRAIN[0]),
    review("r2", TEST[1]),
    review("r3", TRAIN[3]),
    review("r4", TRAIN[1], ""),
    review("r5", "who is this"),
    review("r6", TRAIN[0], "Ü\u2028again"),
    review("r7", VALIDATION[0]),
    review("r8", TEST[0]),
    review("r9", TRAIN[2]),
    review("r10", TRAIN[4]),
]


def write(
    folder: Path, businesses=BUSINESSES, reviews=REVIEWS, *, packed: bool = False, prefix="yelp_academic_dataset_"
):
    folder.mkdir()
    for name, rows in (("business", businesses), ("review", reviews)):
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path = folder / f"{prefix}{name}.json{'.gz' * packed}"
        path.write_bytes(gzip.compress(content) if packed else content)
    return folder


def prepared(source: Path, output: Path, *words: str) -> dict:
    arguments = ["--yelp_dir", str(source), "--output_dir", str(output), "--min_businesses", "2", *words]
    assert run(main, arguments) == 0
    return json.loads((output / "report.json").read_text(encoding="utf-8"))


def rows_of(output: Path) -> dict[str, list[dict]]:
    return {split: read_rows(output / "yelp" / f"{split}.jsonl.gz") for split in SHARES}


@pytest.mark.parametrize("packed", [False, True])
def test_reviews_get_the_frequent_categories_of_their_business(tmp_path, packed, capsys):
    report = prepared(
        write(tmp_path / "in", packed=packed, prefix="" if packed else "yelp_academic_dataset_"), tmp_path / "out"
    )
    rows = rows_of(tmp_path / "out")
    assert [(row["id"], row["labels"]) for row in rows["train"]] == [
        ("r1", ["Restaurants"]), ("r4", ["Restaurants", "Food"]), ("r6", ["Restaurants"]), ("r9", ["Food", "Restaurants"]),
    ]  # fmt: skip
    assert [(row["id"], row["labels"]) for row in rows["validation"]] == [("r7", ["Food", "Restaurants"])]
    assert [(row["id"], row["labels"]) for row in rows["test"]] == [("r2", ["Food"])]
    assert rows["train"][2]["text"] == "Ü\u2028again"
    assert json.loads((tmp_path / "out" / "yelp" / "labels.json").read_text()) == ["Food", "Restaurants"]
    assert report["facts"] == {
        "businesses": 8,
        "businesses_left_without_labels": 2,  # Local Flavor; Zoos
        "businesses_without_categories": 1,
        "categories": 6,
        "categories_left_out": 4,  # Coffee & Tea; Beer, Wine & Spirits; Local Flavor; Zoos
        "reviews": 10,
        "reviews_of_unlisted_businesses": 1,
        "reviews_without_labels": 3,
    }
    assert "reviews without labels: 3" in capsys.readouterr().err.splitlines()
    splits = load_splits(tmp_path / "out" / "yelp", cache_dir=tmp_path / "cache")
    assert splits["train"][0]["labels"] == ["Restaurants"] and set(splits) == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Food, Coffee & Tea", ["Food", "Coffee & Tea"]),
        (" Food ,Food,, Bars ", ["Food", "Bars"]),
        ("Shopping, Books, Mags, Music & Video, Toys", ["Shopping", "Books, Mags, Music & Video", "Toys"]),
        ("Books, Music & Video", ["Books", "Music & Video"]),
        ("Lawyers, Wills, Trusts, & Probates", ["Lawyers", "Wills, Trusts, & Probates"]),
        (None, []),
        ("", []),
        ([], []),
        (["Food", "Beer, Wine & Spirits"], ["Food", "Beer, Wine & Spirits"]),
    ],
)
def test_categories_come_as_a_string_with_commas_as_a_list_or_not_at_all(value, expected):
    assert categories_of({"categories": value}, file=Path("b.json"), number=1) == expected
    assert categories_of({}, file=Path("b.json"), number=1) == []


def test_no_business_is_in_two_splits_and_the_seed_decides(tmp_path):
    businesses = [business(f"b{n}", "A, B" if n % 2 else "A") for n in range(300)]
    reviews = [review(f"r{n}-{m}", f"b{n}", f"{n}") for m in range(2) for n in range(300)]
    source = write(tmp_path / "in", businesses, reviews)
    report = prepared(source, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    groups = [{row["text"] for row in part} for part in rows.values()]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert report["data_sets"]["yelp"]["rows"]["all"] == 600
    assert [len(group) for group in groups] == pytest.approx([240, 30, 30], abs=20)
    prepared(write(tmp_path / "other", businesses[::-1], reviews[::-1]), tmp_path / "out2")
    assert {row["id"] for row in rows_of(tmp_path / "out2")["test"]} == {row["id"] for row in rows["test"]}
    prepared(source, tmp_path / "out3", "--seed", "1", "--reviews_per_business", "1")
    other = rows_of(tmp_path / "out3")
    assert {row["id"] for row in other["test"]} != {row["id"] for row in rows["test"]}
    assert sum(map(len, other.values())) == 300


def test_which_categories_count_is_learned_from_training_businesses(tmp_path):
    # twice in validation and test, once in training: not frequent enough
    businesses = [business(TRAIN[0], "Rare, Food"), business(TRAIN[1], "Food"), business(VALIDATION[0], "Rare, Food"),
                  business(VALIDATION[1], "Rare"), business(TEST[0], "Rare, Food")]  # fmt: skip
    prepared(write(tmp_path / "in", businesses, [review("a", TEST[0]), review("b", TRAIN[1])]), tmp_path / "out")
    assert read_rows(tmp_path / "out" / "yelp" / "test.jsonl.gz")[0]["labels"] == ["Food"]


@pytest.mark.parametrize(
    ("businesses", "reviews", "fragment"),
    [
        ([business(TRAIN[0], 3)], REVIEWS, "business.json, row 1, field 'categories': found 3"),
        ([business(TRAIN[0], ["a", 1])], REVIEWS, "field 'categories'"),
        (
            [business(TRAIN[0], "Food"), business(TRAIN[1], "Food, Caf\ud83d")],
            REVIEWS,
            "business.json, row 2, field 'categories': a category, 'Caf\\ud83d', has half a surrogate pair at character 3",
        ),
        ([{"name": "x"}], REVIEWS, "row 1, field 'business_id': found None; accepted: a string"),
        ([business("a", "A"), business("a", "B")], REVIEWS, "row 2, field 'business_id': the business a stood before"),
        (
            BUSINESSES,
            [review("a", TRAIN[0]), review("b", TRAIN[0], None)],
            "review.json, row 2, field 'text': found None",
        ),
        ([business(TRAIN[0], "A")], REVIEWS, "no category has 2 training businesses, the most frequent has 1"),
        (
            BUSINESSES,
            [review("a", TEST[1]), review("b", "c")],
            "review.json, field 'business_id': no training row: 2 reviews",
        ),
        (BUSINESSES, [], "no training row: 0 reviews"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(tmp_path, capsys, businesses, reviews, fragment):
    source = write(tmp_path / "in", businesses, reviews)
    words = ["--yelp_dir", str(source), "--output_dir", str(tmp_path / "out"), "--min_businesses", "2"]
    assert run(main, words) == 2
    message = capsys.readouterr().err
    assert fragment in message and message.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_missing_and_broken_files_are_one_line(tmp_path, capsys):
    def error() -> str:
        assert run(main, ["--yelp_dir", str(tmp_path / "in"), "--output_dir", str(tmp_path / "out")]) == 2
        return capsys.readouterr().err

    assert "no such folder" in error()
    source = write(tmp_path / "in", packed=True)
    file = source / "yelp_academic_dataset_review.json.gz"
    whole = file.read_bytes()
    (source / "yelp_academic_dataset_business.json.gz").write_bytes(whole[:-12])
    assert "the archive is cut short" in error()
    (source / "yelp_academic_dataset_business.json.gz").write_bytes(gzip.compress(b"{}\n[1]\n"))
    assert "row 1, field 'business_id'" in error()
    file.unlink()
    assert "no file of reviews; accepted: yelp_academic_dataset_review.json[.gz]" in error()


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_may_not_be_read_is_one_line(tmp_path, capsys, monkeypatch, packed):
    source = write(tmp_path / "in", packed=packed)

    def refused(file, *arguments, **more):  # the tests may run as root, who may read all
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))

    monkeypatch.setattr(*((gzip, "open") if packed else (Path, "open")), refused)
    assert run(main, ["--yelp_dir", str(source), "--output_dir", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "business.json" in message and "cannot be opened (Permission denied); accepted: a readable file" in message
