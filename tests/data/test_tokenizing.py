"""Tokenizers trained from scratch, and tokenised splits."""

from __future__ import annotations

import datasets
import pytest
from transformers import AutoTokenizer

from hf_mlc.data import DataReport, SplitCounts, texts_of, tokenize_splits, train_tokenizer
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace


TEXTS = ["The cat sat, the CAT ran.", "A cat (sat) on the mat.", "cafe\u0301 caf\u00e9"]


def word_tokenizer(**arguments):
    return train_tokenizer(TEXTS, **{"min_frequency": 1, **arguments})


def test_special_tokens_have_their_fixed_ids():
    for kind in ("word", "letters", "bpe"):
        tokenizer = word_tokenizer(kind=kind)
        assert tokenizer.convert_tokens_to_ids(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]) == [0, 1, 2, 3, 4]
        assert (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id) == (0, 1, 4)


def test_words_and_single_punctuation_marks_are_tokens_of_the_lowered_text():
    tokenizer = word_tokenizer()
    assert tokenizer.tokenize("The CAT(s)... sat,\tmat!") == ["the", "cat", "(", "[UNK]", ")"] + ["."] * 3 + [
        "sat",
        ",",
        "mat",
        "[UNK]",
    ]
    assert "The" in word_tokenizer(lowercase=False).get_vocab()


def test_of_letters_alone_numbers_and_punctuation_are_no_tokens():
    tokenizer = train_tokenizer(
        ["Net 2,751,000 vs. F\u00fcr's 3-year x\u00b2 \u732b_1"], kind="letters", min_frequency=1
    )
    text = "NET\t2,179,000 (F\u00fcr) 3rd-year vs 1987_unseen \u732b!"
    encoded = tokenizer(text, return_offsets_mapping=True)
    words = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    assert words == ["net", "f\u00fcr", "[UNK]", "year", "vs", "[UNK]", "\u732b"]
    read = [text[start:end] for start, end in encoded["offset_mapping"]]
    assert read == ["NET", "F\u00fcr", "rd", "year", "vs", "unseen", "\u732b"]
    assert tokenizer("1987 ... 12% \u0301")["input_ids"] == []
    assert tokenizer.tokenize("12\u0301net") == ["net"]  # no word begins with an accent


def test_composed_and_combining_accents_are_one_word():
    for kind in ("word", "letters"):
        tokenizer = word_tokenizer(kind=kind, min_frequency=2)
        assert tokenizer("cafe\u0301")["input_ids"] == tokenizer("caf\u00e9")["input_ids"] != [tokenizer.unk_token_id]


def test_rare_words_and_words_beyond_the_vocabulary_are_unknown():
    assert sorted(word_tokenizer(min_frequency=3).get_vocab()) == sorted(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat"]
    )
    assert len(word_tokenizer(vocab_size=8)) == 8


def test_offsets_point_into_the_text_as_it_was():
    text = "The  CAT sat."
    for kind in ("word", "bpe"):  # of letters alone the full stop would be missing
        encoded = word_tokenizer(kind=kind)(text, return_offsets_mapping=True)
        pieces = [text[start:end].strip() for start, end in encoded["offset_mapping"]]
        assert "".join(pieces) == "TheCATsat."
    encoded = word_tokenizer()(text, return_offsets_mapping=True)
    assert encoded["offset_mapping"] == [(0, 3), (5, 8), (9, 12), (12, 13)]


def test_byte_pairs_know_every_text_and_give_it_back():
    tokenizer = word_tokenizer(kind="bpe")
    ids = tokenizer("zebra 猫")["input_ids"]
    assert tokenizer.unk_token_id not in ids and tokenizer.decode(ids) == "zebra 猫"


def test_special_tokens_stand_around_a_text_only_when_asked_for():
    assert word_tokenizer()("cat")["input_ids"] == word_tokenizer()("cat", add_special_tokens=False)["input_ids"]
    around = word_tokenizer(add_special_tokens_around=True)
    assert around.convert_ids_to_tokens(around("cat")["input_ids"]) == ["[CLS]", "cat", "[SEP]"]


def test_a_saved_tokenizer_does_the_same(tmp_path):
    for kind in ("word", "letters", "bpe"):
        tokenizer = word_tokenizer(kind=kind, max_length=77)
        tokenizer.save_pretrained(tmp_path / kind)
        loaded = AutoTokenizer.from_pretrained(tmp_path / kind)
        assert loaded(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]
        assert loaded.model_max_length == 77 and loaded.pad_token_id == 0 and loaded.is_fast


def test_training_twice_gives_the_same_vocabulary():
    for kind in ("word", "letters", "bpe"):
        assert word_tokenizer(kind=kind).get_vocab() == word_tokenizer(kind=kind).get_vocab()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "characters"}, "'characters'; accepted: 'word', 'letters' or 'bpe'"),
        ({"kind": "letters", "min_frequency": 50}, "no word occurs 50 times in the training texts"),
        ({"vocab_size": 5}, "a vocabulary of 5; accepted: more than 5"),
        ({"kind": "bpe", "vocab_size": 100}, "accepted: 261 or more for bpe"),
        ({"min_frequency": 50}, "no word occurs 50 times in the training texts"),
    ],
)
def test_a_tokenizer_that_cannot_be_trained_is_an_error(arguments, message):
    with pytest.raises(UserError, match=message):
        word_tokenizer(**arguments)


def splits(**texts_and_labels):
    return datasets.DatasetDict(
        {
            name: datasets.Dataset.from_list(
                [{"id": str(i), "text": text, "labels": labels} for i, (text, labels) in enumerate(rows)]
            )
            for name, rows in texts_and_labels.items()
        }
    )


SPACE = LabelSpace.from_names(["a", "b", "c"])


def test_splits_get_tokens_lengths_and_sorted_unique_label_ids():
    data = splits(train=[("the cat", ["c", "a", "c"]), ("", []), ("mat", ["b"])])
    tokenizer = word_tokenizer()
    done = tokenize_splits(data, tokenizer, SPACE, max_length=10)["train"]
    assert sorted(done.column_names) == ["id", "input_ids", "label_ids", "length"]
    assert list(done["id"]) == ["0", "1", "2"]
    assert list(done["input_ids"]) == tokenizer(["the cat", "", "mat"])["input_ids"]
    assert list(done["label_ids"]) == [[0, 2], [], [1]] and list(done["length"]) == [2, 0, 1]
    assert done.features["label_ids"].feature.dtype == "int64"


def test_long_texts_are_cut_and_counted_with_special_tokens_included():
    data = splits(train=[("the cat sat", ["a"]), ("the cat sat on the mat", ["a"])])
    report = DataReport({"train": SplitCounts()})
    done = tokenize_splits(data, word_tokenizer(add_special_tokens_around=True), SPACE, max_length=5, report=report)[
        "train"
    ]
    assert list(done["length"]) == [5, 5] and done[1]["input_ids"][-1] == 3  # [SEP] stands at the end of a cut text
    assert report.splits["train"].cut_texts == 1  # 3 + 2 tokens fit exactly


def test_counted_texts_hold_each_word_once_with_its_number_and_no_unknown_word():
    data = splits(train=[("the cat, the cat the zebra", ["a"]), ("zebra", []), ("", ["b"]), ("mat cat", ["b"])])
    tokenizer = word_tokenizer(add_special_tokens_around=True)
    done = tokenize_splits(data, tokenizer, SPACE, max_length=2**30, counted=True)["train"]
    assert sorted(done.column_names) == ["id", "input_ids", "label_ids", "length", "token_counts"]
    cat, comma, mat, the = tokenizer.convert_tokens_to_ids(["cat", ",", "mat", "the"])
    assert tokenizer.unk_token_id == tokenizer.convert_tokens_to_ids("zebra")
    bags = [
        dict(zip(ids, counts, strict=True))
        for ids, counts in zip(done["input_ids"], done["token_counts"], strict=True)
    ]
    assert bags == [{the: 3, cat: 2, comma: 1}, {}, {}, {mat: 1, cat: 1}]
    assert all(list(ids) == sorted(ids) for ids in done["input_ids"]) and list(done["length"]) == [3, 0, 0, 2]
    assert done.features["token_counts"].feature.dtype == "float32"
    # kept apart from the same rows as sequences
    assert "token_counts" not in tokenize_splits(data, tokenizer, SPACE, max_length=2**30)["train"].column_names


def test_unknown_labels_are_skipped_and_counted_except_in_training():
    data = splits(train=[("cat", ["a"])], test=[("cat", ["b", "x", "y"]), ("mat", ["x"])])
    report = DataReport({"train": SplitCounts(), "test": SplitCounts()})
    done = tokenize_splits(data, word_tokenizer(), SPACE, max_length=5, report=report)
    assert list(done["test"]["label_ids"]) == [[1], []]
    assert (report.splits["train"].unknown_labels, report.splits["test"].unknown_labels) == (0, 3)
    with pytest.raises(UserError, match="test, row 1, field 'labels': label 'x' is not in the label space"):
        tokenize_splits(data, word_tokenizer(), SPACE, max_length=5, strict=True)
    bad = splits(train=[("cat", ["a"]), ("cat", ["x"])])
    with pytest.raises(UserError, match="train, row 2, field 'labels': label 'x' is not in the label space"):
        tokenize_splits(bad, word_tokenizer(), SPACE, max_length=5)


def test_a_second_run_reads_the_cache_and_reports_the_same(tmp_path):
    splits(train=[("the cat sat", ["a"]), ("mat", ["b"])]).save_to_disk(tmp_path)
    reports, files = [], []
    for max_length in (2, 2, 3):
        # from disk each time, with a tokenizer that has been used before and one that has not
        data, report = datasets.load_from_disk(tmp_path), DataReport({"train": SplitCounts()})
        tokenizer = word_tokenizer()
        if len(files) == 1:
            tokenizer(["the cat sat"], truncation=True, max_length=1, padding=True)
        done = tokenize_splits(data, tokenizer, SPACE, max_length=max_length, report=report)
        reports.append(report.splits["train"].cut_texts)
        files.append(done["train"].cache_files[0]["filename"])
    assert files[0] == files[1] != files[2]
    assert reports == [1, 1, 0]


def test_several_processes_give_the_same_rows():
    data = splits(train=[(text, ["a"]) for text in TEXTS])
    one, two = (tokenize_splits(data, word_tokenizer(), SPACE, max_length=4, num_proc=n) for n in (None, 2))
    assert one["train"].to_list() == two["train"].to_list()


def test_texts_of_a_split_come_in_order():
    assert list(texts_of(splits(train=[(text, []) for text in TEXTS])["train"], batch_size=2)) == TEXTS
