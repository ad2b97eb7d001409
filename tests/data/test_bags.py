"""Bags of words: as the tokenizer counts them, whatever stands in a text; vocabularies by documents."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from tokenizers import Tokenizer, normalizers, processors

from hf_mlc.data import bags as bags_module
from hf_mlc.data import train_tokenizer
from hf_mlc.data.bags import bag_batch, counted_tokens, pieces_of
from hf_mlc.errors import UserError


TEXTS = [
    "The cat sat, the CAT ran.",
    "A cat (sat)\ton the\u00a0mat: cafe\u0301,caf\u00e9",
    "x\u00b2 \u0301 \u03a3\u0391\u03a3 \u0130s a\u0600b \u732b\u732b,\u732b \x1c\x1f",
    "",
    " \n ",
    "[PAD] a[UNK]b\x85cat\u2028cat",
]


def tokenizer_of(texts=TEXTS, **arguments):
    return train_tokenizer(texts, **{"min_frequency": 1, "by_documents": True, **arguments})


def test_pieces_give_the_tokens_that_the_tokenizer_gives():
    for arguments in ({}, {"lowercase": False}, {"by_documents": False}, {"min_frequency": 2}, {"kind": "letters"}):
        tokenizer = tokenizer_of(**arguments)
        pieces = pieces_of(tokenizer)
        assert [list(pieces.of_text(text)) for text in TEXTS] == tokenizer(TEXTS)["input_ids"]


def test_forgetting_pieces_changes_nothing(monkeypatch):
    monkeypatch.setattr(bags_module, "_MOST_PIECES", 2)
    tokenizer = tokenizer_of()
    pieces = pieces_of(tokenizer)
    assert [list(pieces.of_text(text)) for text in TEXTS] == tokenizer(TEXTS)["input_ids"]
    assert len(pieces) <= 2


def test_tokenizers_that_may_look_over_blanks_are_not_taken_apart():
    assert pieces_of(tokenizer_of(kind="bpe", by_documents=False)) is None
    assert pieces_of(tokenizer_of(add_special_tokens_around=True)) is None


@pytest.mark.parametrize("normalizer", [normalizers.Lowercase(), normalizers.NFC(), normalizers.Sequence([])], ids=str)
def test_known_steps_of_normalisation_may_stand_alone(normalizer):
    tokenizer = tokenizer_of()
    tokenizer.backend_tokenizer.normalizer = normalizer
    pieces = pieces_of(tokenizer)
    assert [list(pieces.of_text(text)) for text in TEXTS] == tokenizer(TEXTS)["input_ids"]


def test_tokenizers_that_change_texts_in_other_ways_are_not_taken_apart():
    def with_normalizer(normalizer):
        tokenizer = tokenizer_of()
        tokenizer.backend_tokenizer.normalizer = normalizer
        return tokenizer

    assert pieces_of(with_normalizer(normalizers.Prepend("z"))) is None
    assert (
        pieces_of(with_normalizer(normalizers.Sequence([normalizers.Lowercase(), normalizers.Prepend("z")]))) is None
    )
    without = tokenizer_of()
    state = json.loads(without.backend_tokenizer.to_str()) | {"normalizer": None}
    without._tokenizer = Tokenizer.from_str(json.dumps(state))
    assert without.backend_tokenizer.normalizer is None and pieces_of(without) is None
    around = tokenizer_of()
    around.backend_tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    assert pieces_of(around) is None
    added = tokenizer_of()
    added.add_tokens(["the cat"])  # over a blank
    assert pieces_of(added) is None


def test_the_vocabulary_is_chosen_by_documents():
    # "a" stands three times in one text, "b" in two texts, "c" in three, "d" in all four
    texts = ["a a a b c d", "b c d", "c d", "d"]
    assert word_list(texts) == ["d", "c", "b", "a"]
    assert word_list(texts, min_frequency=2) == ["d", "c", "b"]
    assert word_list(texts, min_frequency=2, max_share=0.75) == ["c", "b"]  # three of four is not more than that
    assert word_list(texts, vocab_size=7) == ["d", "c"]
    # of words of as many texts the first in the alphabet
    assert word_list(["z y", "z y x"]) == ["y", "z", "x"]
    with pytest.raises(UserError, match="no word occurs 9 times"):
        word_list(texts, min_frequency=9)


def word_list(texts: list[str], **arguments) -> list[str]:
    tokenizer = tokenizer_of(texts, **arguments)
    assert tokenizer.convert_tokens_to_ids(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]) == [0, 1, 2, 3, 4]
    return [tokenizer.convert_ids_to_tokens(number) for number in range(5, len(tokenizer))]


def test_rows_without_any_token_are_empty():
    bags = counted_tokens([[], [5, 5, 1], [], []], left_out=[1])
    assert [ids.tolist() for ids in bags["input_ids"]] == [[], [5], [], []]
    assert [counts.tolist() for counts in bags["token_counts"]] == [[], [2.0], [], []]
    nothing = counted_tokens([[], []], left_out=[0])
    assert [len(ids) for ids in nothing["input_ids"]] == [0, 0] and len(nothing["token_counts"]) == 2


@pytest.mark.parametrize("arguments", [{}, {"kind": "bpe", "by_documents": False, "vocab_size": 300}])
def test_a_batch_of_bags_is_what_the_tokenizer_says_counted(arguments):
    tokenizer = tokenizer_of(**arguments)
    tokenizer.model_max_length = 7
    batch = bag_batch(tokenizer, TEXTS)
    special = tokenizer.all_special_ids
    for place, ids in enumerate(tokenizer(TEXTS, truncation=True)["input_ids"]):
        wanted = Counter(token for token in ids if token not in special)
        read = batch["attention_mask"][place].bool()
        found = zip(batch["input_ids"][place][read].tolist(), batch["token_counts"][place][read].tolist(), strict=True)
        assert dict(found) == wanted
        assert (batch["input_ids"][place][~read] == tokenizer.pad_token_id).all()
    assert bag_batch(tokenizer, [""])["attention_mask"].tolist() == [[0]]
