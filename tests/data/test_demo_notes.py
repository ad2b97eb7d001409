from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from itertools import islice, pairwise

import pytest

from hf_mlc.data.demo_codes import CODE_SHEET, EXCLUDED_BY, NOT_DENIED_WITH
from hf_mlc.data.demo_notes import BLOCK, DEMO_CODES, DEMO_PARENTS, RARE, generate_notes, main, write_demo_corpus
from hf_mlc.data.demo_phrases import FILLER_CONTRADICTS, FILLERS, LAYOUTS, NORMAL_RESULTS
from hf_mlc.errors import UserError


SPLITS = ("train", "validation", "test")


def read_rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def shape_of(phrase):
    """The phrase in small letters with every number, or range of numbers, as #."""
    return re.sub(r"<[^>]*>|\d+(\.\d+)?", "#", phrase.lower())


def slips_of(phrase):
    """The phrase, and every phrase that one swapped, dropped or doubled letter makes of it."""
    yield phrase
    for i in range(len(phrase)):
        yield phrase[:i] + phrase[i + 1 :]
        yield phrase[:i] + phrase[i] + phrase[i:]
        yield phrase[:i] + phrase[i : i + 2][::-1] + phrase[i + 2 :]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_demo_corpus(tmp_path_factory.mktemp("demo") / "made" / "on_the_way")


@pytest.fixture(scope="module")
def rows(corpus):
    return {split: read_rows(corpus[split]) for split in SPLITS}


def test_two_runs_write_the_same_bytes_whatever_the_hash_seed(corpus, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hf_mlc.data.demo_notes", "--output_dir", str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        check=True,
        capture_output=True,
    )
    for path in corpus.values():
        assert digest(tmp_path / path.name) == digest(path)


def test_notes_are_the_same_on_every_machine():
    # a change to sheet, phrases or generator changes this sum; a change of machine or Python must not
    lines = "".join(json.dumps(row) + "\n" for row in generate_notes(100))
    assert (
        hashlib.sha256(lines.encode()).hexdigest()
        == "8f959368a82eed0caa36cbbc02dbd16550c3a4960bedb65341f97b331a5561b9"
    )


def test_another_seed_gives_other_notes():
    assert next(generate_notes(1, seed=0))["text"] != next(generate_notes(1, seed=1))["text"]


def test_fewer_notes_are_the_first_of_more():
    assert list(generate_notes(5)) == list(islice(generate_notes(50), 5))


def test_sizes_and_columns(rows):
    assert {split: len(part) for split, part in rows.items()} == {"train": 2000, "validation": 300, "test": 500}
    assert all(list(row) == ["id", "text", "labels", "evidence"] for part in rows.values() for row in part)
    assert len({row["id"] for part in rows.values() for row in part}) == 2800


def test_no_text_is_in_two_splits_or_twice_in_one(rows):
    assert len({row["text"] for part in rows.values() for row in part}) == 2800


def test_every_span_quotes_a_way_to_mention_its_code(rows):
    ways = {
        code: {
            slip
            for phrase in entry.names + entry.told + entry.labs + entry.drugs
            for slip in slips_of(shape_of(phrase))
        }
        for code, entry in CODE_SHEET.items()
    }
    for row in rows["train"]:
        assert list(row["evidence"]) == row["labels"]
        for code, spans in row["evidence"].items():
            assert spans
            for start, end in spans:
                assert shape_of(row["text"][start:end]) in ways[code], (row["id"], code, row["text"][start:end])


def test_spans_of_a_note_do_not_overlap(rows):
    for row in rows["train"]:
        spans = sorted(span for spans in row["evidence"].values() for span in spans)
        assert all(first[1] <= second[0] for first, second in pairwise(spans))
        assert spans[0][0] >= 0 and spans[-1][1] <= len(row["text"])


def test_some_codes_are_never_named_only_implied(rows):
    implied = 0
    for row in rows["train"]:
        for code, spans in row["evidence"].items():
            hints = {
                shape_of(phrase) for entry in [CODE_SHEET[code]] for phrase in entry.told + entry.labs + entry.drugs
            }
            implied += all(shape_of(row["text"][start:end]) in hints for start, end in spans)
    # 15 % of some 6,500 codes are meant to be, less the misspelt ones: about 900
    assert 600 < implied < 1200


def test_every_code_is_described_and_the_descriptions_are_written(corpus):
    assert len(DEMO_CODES) >= 60
    assert all(re.fullmatch(r"[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?", code) for code in DEMO_CODES)
    assert all(description.strip() for description in DEMO_CODES.values())
    assert len(set(DEMO_CODES.values())) == len(DEMO_CODES)
    assert json.loads(corpus["label_descriptions"].read_text(encoding="utf-8")) == DEMO_CODES


def test_parents_are_the_three_character_categories():
    assert DEMO_PARENTS["E11.9"] == DEMO_PARENTS["E11.40"] == "E11"
    assert "B20" not in DEMO_PARENTS  # a category itself
    assert all(code.startswith(parent + ".") for code, parent in DEMO_PARENTS.items())


def test_the_sheet_names_only_codes_it_has():
    named = {code for entry in CODE_SHEET.values() for code in entry.companions}
    named |= {code for table in (EXCLUDED_BY, NOT_DENIED_WITH) for codes in table.values() for code in codes}
    named |= {code for _, *codes in NORMAL_RESULTS for code in codes}
    named |= {code for codes in FILLER_CONTRADICTS.values() for code in codes}
    assert named <= set(CODE_SHEET)
    assert set(FILLER_CONTRADICTS) <= {text for texts in FILLERS.values() for text in texts}
    assert all(entry.names[1:] and entry.told + entry.labs + entry.drugs for entry in CODE_SHEET.values())


def test_every_layout_has_every_section():
    assert all({name for name, _ in layout.sections} == {*FILLERS, "past", "drugs", "results"} for layout in LAYOUTS)


def test_all_codes_occur_in_training_with_a_long_tail(rows):
    counts = Counter(code for row in rows["train"] for code in row["labels"])
    assert set(counts) == set(DEMO_CODES)
    assert sum(count > 400 for count in counts.values()) >= 3  # more than 20 % of 2,000
    assert sum(count <= 5 for count in counts.values()) >= 8
    assert counts["A15.0"] == 1


@pytest.mark.parametrize("seed", [1, 2])
def test_rare_codes_occur_exactly_as_often_as_the_sheet_says(seed):
    counts = Counter(code for row in generate_notes(BLOCK, seed=seed) for code in row["labels"])
    for entry in CODE_SHEET.values():
        if entry.count <= RARE:
            assert counts[entry.code] == entry.count


def test_notes_have_one_to_six_codes(rows):
    sizes = Counter(len(row["labels"]) for row in rows["train"])
    assert set(sizes) == {1, 2, 3, 4, 5, 6}
    # weights 9, 22, 27, 22, 13, 7: the mean is (9 + 44 + 81 + 88 + 65 + 42) / 100 = 3.29, less 2 % left out
    assert 3.1 < sum(size * count for size, count in sizes.items()) / 2000 < 3.35


def test_most_notes_have_60_to_160_words_and_a_few_are_long(rows):
    lengths = [len(row["text"].split()) for row in rows["train"]]
    assert sum(60 <= length <= 160 for length in lengths) > 0.9 * len(lengths)
    assert min(lengths) >= 45 and max(lengths) <= 400
    assert 0.02 < sum(length > 200 for length in lengths) / len(lengths) < 0.08


def test_codes_that_exclude_each_other_never_share_a_note(rows):
    for row in rows["train"]:
        for code in row["labels"]:
            assert not set(EXCLUDED_BY[code]) & set(row["labels"])


def test_men_have_no_womens_codes_and_the_other_way_round(rows):
    for row in rows["train"]:
        woman = re.search(r"\b(woman|lady|female)\b", row["text"]) is not None
        assert not any(CODE_SHEET[code].sex == ("M" if woman else "F") for code in row["labels"])


def test_diabetes_and_hypertension_come_together_more_than_by_chance(rows):
    with_both = sum({"E11.9", "I10"} <= set(row["labels"]) for row in rows["train"])
    counts = Counter(code for row in rows["train"] for code in row["labels"])
    assert with_both > 1.2 * counts["E11.9"] * counts["I10"] / 2000


@pytest.mark.parametrize(
    ("lead", "code"),
    [
        ("no evidence of ", "J18.9"),
        ("denies ", "I10"),
        ("negative for ", "F32.A"),
        ("family history of ", "E11.9"),
        ("mother with ", "K21.9"),
        ("screening for ", "E78.5"),
    ],
)
def test_conditions_are_mentioned_in_notes_that_do_not_have_them(rows, lead, code):
    phrases = tuple(lead + name.lower() for name in CODE_SHEET[code].names)
    mentioned = [row for part in rows.values() for row in part if any(p in row["text"].lower() for p in phrases)]
    assert any(code not in row["labels"] for row in mentioned)


def test_a_denied_condition_is_never_a_label(rows):
    for row in rows["train"]:
        for start in (match.end() for match in re.finditer(r"no evidence of ", row["text"].lower())):
            assert not any(start == span[0] for spans in row["evidence"].values() for span in spans)


def test_resolved_conditions_are_no_labels(rows):
    for row in rows["train"]:
        for match in re.finditer(r" \(\d{4}, resolved\)", row["text"]):
            assert not any(match.start() == span[1] for spans in row["evidence"].values() for span in spans)


def test_a_linear_model_does_decently_but_not_perfectly(rows):
    feature_extraction = pytest.importorskip("sklearn.feature_extraction.text")
    from sklearn.metrics import f1_score
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import MultiLabelBinarizer
    from sklearn.svm import LinearSVC

    tfidf, binarizer = feature_extraction.TfidfVectorizer(), MultiLabelBinarizer(classes=list(DEMO_CODES))
    inputs = tfidf.fit_transform(row["text"] for row in rows["train"])
    targets = binarizer.fit_transform(row["labels"] for row in rows["train"])
    model = OneVsRestClassifier(LinearSVC()).fit(inputs, targets)
    predicted = model.predict(tfidf.transform(row["text"] for row in rows["validation"]))
    expected = binarizer.transform(row["labels"] for row in rows["validation"])
    assert 0.7 < f1_score(expected, predicted, average="micro") < 0.9


def test_writing_again_into_the_same_folder_changes_nothing(corpus):
    before = {path: path.stat().st_mtime_ns for path in corpus.values()}
    assert write_demo_corpus(corpus["train"].parent) == corpus
    assert {path: path.stat().st_mtime_ns for path in corpus.values()} == before
    assert sorted(path.name for path in corpus["train"].parent.iterdir()) == sorted(p.name for p in corpus.values())


def test_a_file_that_is_not_ours_is_neither_overwritten_nor_joined(tmp_path):
    (tmp_path / "test.jsonl").write_text("mine\n")
    with pytest.raises(UserError, match=r"test\.jsonl: is there already, with another content"):
        write_demo_corpus(tmp_path, num_train=2, num_validation=1, num_test=1)
    assert [path.name for path in tmp_path.iterdir()] == ["test.jsonl"]
    assert (tmp_path / "test.jsonl").read_text() == "mine\n"


def test_a_folder_that_is_a_file_is_a_users_mistake(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="taken: is no folder"):
        write_demo_corpus(tmp_path / "taken")


def test_a_split_without_notes_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match="field 'num_test': 0 notes asked for"):
        write_demo_corpus(tmp_path / "new", num_test=0)
    assert not (tmp_path / "new").exists()


def test_main_prints_the_files_and_a_mistake_is_one_line_with_status_2(tmp_path, capsys):
    sizes = ["--num_train", "3", "--num_validation", "2", "--num_test", "1"]
    main(["--output_dir", str(tmp_path), *sizes])
    assert capsys.readouterr().out.splitlines()[0] == str(tmp_path / "train.jsonl")
    assert [len(read_rows(tmp_path / f"{split}.jsonl")) for split in SPLITS] == [3, 2, 1]

    with pytest.raises(SystemExit) as stopped:
        main(["--output_dir", str(tmp_path), "--seed", "1", *sizes])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "train.jsonl" in error and error.count("\n") == 1
