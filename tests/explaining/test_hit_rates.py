from __future__ import annotations

import math

import numpy as np
import pytest

from hf_mlc.errors import UserError
from hf_mlc.explaining.evidence_rows import EvidenceRow, read_evidence
from hf_mlc.explaining.hit_rates import marked_words, span_hits
from hf_mlc.explaining.lexical import LexicalBaseline, word_set


def hits(weights, marked):
    return span_hits(np.array(weights, dtype=float), np.array(marked, dtype=bool))


def test_span_hits_are_those_counted_by_hand():
    # by weight: 0 1 0 0 0 0 1 -> the first is none, one of two marked words is among five; precision 1/2 and 2/7
    found = hits([0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], [0, 1, 0, 0, 0, 0, 1])
    assert found == {
        "hit@1": 0.0,
        "hit@5": 1.0,
        "recall@5": 0.5,
        "average_precision": pytest.approx((1 / 2 + 2 / 7) / 2),
    }
    # the order of the text is nothing: the heaviest stands last
    assert hits([-2.0, -1.0, 3.0], [0, 0, 1])["hit@1"] == 1.0


def test_fewer_than_five_words_are_all_looked_at():
    assert hits([2.0, 1.0], [0, 1]) == {"hit@1": 0.0, "hit@5": 1.0, "recall@5": 1.0, "average_precision": 0.5}


def test_equal_weights_get_what_chance_gets():
    # 2 of 10 words: one draw hits with 2/10; five miss with C(8,5)/C(10,5) = 56/252; half of the two are expected
    found = hits([0.0] * 10, [1, 1] + [0] * 8)
    assert found["hit@1"] == pytest.approx(0.2)
    assert found["hit@5"] == pytest.approx(1 - 56 / 252)
    assert found["recall@5"] == pytest.approx(0.5)
    assert found["average_precision"] == pytest.approx(0.2)
    # one sure place and a tie of three for the four others, one of the three marked: sure
    partly = hits([5, 1, 1, 1, 0, 0], [0, 0, 0, 1, 0, 0])
    assert partly["hit@1"] == 0.0 and partly["hit@5"] == 1.0
    # two sure places, four words tie for three: one of those four is marked
    partly = hits([5, 4, 1, 1, 1, 1], [0, 0, 0, 1, 0, 0])
    assert partly["hit@5"] == pytest.approx(3 / 4) and partly["recall@5"] == pytest.approx(3 / 4)


def test_a_word_is_marked_when_it_shares_a_character_with_a_span():
    words = [(0, 5), (6, 9), (10, 15)]
    assert marked_words(words, [(4, 6)]).tolist() == [True, False, False]
    assert marked_words(words, [(5, 6), (9, 10)]).tolist() == [False, False, False]
    assert marked_words(words, [(8, 11)]).tolist() == [False, True, True]


def test_both_forms_of_evidence_are_read(tmp_path):
    file = tmp_path / "test.jsonl"
    file.write_text(
        '{"id": "a", "text": "fever", "labels": ["x"], "evidence": {"x": [[0, 5]]}}\n'
        '{"id": "b", "text": "fever", "labels": ["x"], "evidence": [{"label": "x", "spans": [[0, 2]]},'
        ' {"label": "x", "spans": [[3, 4], [4, 4]]}]}\n',
        encoding="utf-8",
    )
    assert read_evidence(file) == [
        EvidenceRow("a", "fever", ["x"], {"x": [(0, 5)]}),
        EvidenceRow("b", "fever", ["x"], {"x": [(0, 2), (3, 4)]}),
    ]


@pytest.mark.parametrize("evidence", ['{"x": [[0, 6]]}', '{"x": [[2, 1]]}', '[{"label": "x"}]', "null", '{"x": [3]}'])
def test_evidence_that_cannot_be_is_an_error_with_its_place(tmp_path, evidence):
    file = tmp_path / "test.jsonl"
    file.write_text(f'{{"text": "fever", "labels": ["x"], "evidence": {evidence}}}\n', encoding="utf-8")
    with pytest.raises(UserError, match="row 1, field 'evidence'"):
        read_evidence(file)


def test_association_with_a_label_is_counted_in_training_documents():
    lexical = LexicalBaseline(["Fever, fever", "fever cough", "cough", "well"], [["x"], ["x"], [], []])
    # fever: 2 of 4 documents, both x; cough: once with x of its two, ln(4 * 1 / (2 * 2)) = 0; well never
    found = lexical.association(["FEVER", "cough", "well", "unseen"], "x")
    assert found == pytest.approx([0.5 * math.log(2), 0.0, 0.0, 0.0])
    assert not lexical.association(["fever"], "unseen").any()


def test_overlap_with_a_description_weighs_rare_words_more():
    lexical = LexicalBaseline(["of fever", "of cough", "of"], [[], [], []])
    found = lexical.overlap(["Fever", "of", "cough"], "fever of unknown origin")
    assert found == pytest.approx([math.log(4 / 2), math.log(4 / 4), 0.0])
    assert word_set("Fever, fever of") == {"fever", "of"}
