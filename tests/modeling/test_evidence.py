from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from hf_mlc.modeling.evidence import evidence_spans


def spans(text, offsets, weights, **how):
    found = evidence_spans(text, offsets, weights, **how)
    assert all(span["text"] == text[span["start"] : span["end"]] for span in found)
    return [(span["text"], span["weight"]) for span in found]


def test_words_come_best_first_with_their_places():
    found = evidence_spans("fever and cough", [(0, 5), (6, 9), (10, 15)], [0.25, 0.0625, 0.5])
    assert found == [
        {"start": 10, "end": 15, "text": "cough", "weight": 0.5},
        {"start": 0, "end": 5, "text": "fever", "weight": 0.25},
        {"start": 6, "end": 9, "text": "and", "weight": 0.0625},
    ]


def test_pieces_of_a_word_are_summed_and_the_word_stands_for_them():
    # hyper-tens-ion: 0.125 + 0.25 + 0.125; neither the space nor the comma belongs to it
    offsets = [(0, 2), (3, 8), (8, 12), (12, 15), (15, 16)]
    found = spans("no hypertension,", offsets, [0.25, 0.125, 0.25, 0.125, 0.0625])
    assert found == [("hypertension", 0.5), ("no", 0.25), (",", 0.0625)]


def test_special_tokens_padding_and_white_space_are_left_out():
    offsets = [(0, 0), (0, 5), (5, 7), (7, 12), (0, 0), (0, 0)]
    found = spans("fever\n cough", offsets, [0.25, 0.125, 0.25, 0.125, 0.125, 0.125])
    assert found == [("fever", 0.125), ("cough", 0.125)]


def test_ties_are_in_the_order_of_the_text_and_top_k_cuts():
    text, offsets = "a b c d e f g", [(place, place + 1) for place in range(0, 13, 2)]
    assert [word for word, _ in spans(text, offsets, [1, 2, 1, 2, 1, 2, 1])] == list("bdfac")
    assert [word for word, _ in spans(text, offsets, [1, 2, 1, 2, 1, 2, 1], top_k=2)] == list("bd")
    assert [word for word, _ in spans(text, offsets, [1, 2, 1, 2, 1, 2, 1], top_k=None)] == list("bdfaceg")


def test_a_word_that_occurs_twice_is_two_words():
    assert spans("pain, pain", [(0, 4), (4, 5), (6, 10)], [0.25, 0.0, 0.75], top_k=2) == [
        ("pain", 0.75),
        ("pain", 0.25),
    ]


def test_offsets_that_hold_the_space_before_a_word_are_trimmed():
    assert spans("no cough", [(0, 2), (2, 5), (5, 8)], [0.25, 0.25, 0.5]) == [("cough", 0.75), ("no", 0.25)]


def test_an_accent_that_is_a_character_of_its_own_is_inside_its_word():
    text = "de\u0301ja\u0300 vu"
    assert spans(text, [(0, 2), (2, 3), (3, 4), (4, 6), (7, 9)], [0.125] * 5) == [
        ("de\u0301ja\u0300", 0.5),
        ("vu", 0.125),
    ]


def test_an_accent_that_normalised_offsets_leave_out_belongs_to_its_word():
    text = "de\u0301ja\u0300 vu"
    assert spans(text, [(0, 2), (3, 5), (7, 9)], [0.25, 0.5, 0.125]) == [("de\u0301ja\u0300", 0.75), ("vu", 0.125)]


def test_characters_of_a_script_without_spaces_are_words_of_their_own():
    assert spans("高血压", [(0, 1), (1, 2), (2, 3)], [0.25, 0.5, 0.125]) == [("血", 0.5), ("高", 0.25), ("压", 0.125)]


def test_several_tokens_for_the_bytes_of_one_character_are_one_word():
    assert spans("压", [(0, 1), (0, 1), (0, 1)], [0.25, 0.5, 0.125]) == [("压", 0.875)]
    assert spans("🙂 ok", [(0, 1), (0, 1), (1, 4)], [0.25, 0.5, 0.125]) == [("🙂", 0.75), ("ok", 0.125)]


def test_an_empty_text_has_no_evidence():
    assert evidence_spans("", [], []) == []
    assert evidence_spans("", [(0, 0)], [1.0]) == []


def test_negative_weights_come_last():
    assert spans("a b c", [(0, 1), (2, 3), (4, 5)], [-0.5, 0.25, -0.25]) == [("b", 0.25), ("c", -0.25), ("a", -0.5)]


def test_one_weight_a_token_or_an_error():
    with pytest.raises(ValueError, match="2 weights for 1 tokens"):
        evidence_spans("a", [(0, 1)], [0.5, 0.5])


def test_pieces_and_special_tokens_of_a_real_tokenizer():
    pieces = ["[CLS]", "[SEP]", "[UNK]", "no", "hyper", "##tens", "##ion", "."]
    tokenizer = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 1), ("[CLS]", 0))
    text = "no hypertension. zebra"
    encoding = tokenizer.encode(text)
    assert encoding.tokens == ["[CLS]", "no", "hyper", "##tens", "##ion", ".", "[UNK]", "[SEP]"]
    weights = [0.5, 0.0625, 0.125, 0.125, 0.125, 0.0, 0.03125, 0.5]
    assert spans(text, encoding.offsets, weights) == [
        ("hypertension", 0.375),
        ("no", 0.0625),
        ("zebra", 0.03125),
        (".", 0.0),
    ]
