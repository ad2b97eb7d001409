"""Idf from bags of tokens: by hand, and what counts for nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hf_mlc.word_vectors.idf import fill_idf


# token 1 stands in all four documents, 2 in three, 3 in two, 4 in one, 0 and 5 in none
BAGS = [[1, 2, 3, 4], [1, 2, 3], [1, 2], [1]]


def filled(blocks: list[list[list[int]]] | None = None, **settings) -> tuple[list[float], dict]:
    blocks = [BAGS] if blocks is None else blocks
    idf = torch.full((6,), -1.0)
    facts = fill_idf(idf, (np.concatenate(block) for block in blocks), 4, **settings)
    return idf.tolist(), facts


def test_idf_is_one_plus_the_logarithm_of_the_share_and_0_for_what_never_occurs():
    idf, facts = filled()
    expected = [0, 1 + math.log(5 / 5), 1 + math.log(5 / 4), 1 + math.log(5 / 3), 1 + math.log(5 / 2), 0]
    assert idf == pytest.approx(expected)
    assert facts == {"documents": 4, "tokens": 4, "too_rare": 0, "too_common": 0}


def test_blocks_of_documents_give_the_same():
    assert filled([BAGS[:1], BAGS[1:]]) == filled()


def test_rare_and_common_tokens_count_for_nothing():
    idf, facts = filled(min_documents=2, max_share=0.75)  # 3 of 4 is not more than that
    assert idf == pytest.approx([0, 0, 1 + math.log(5 / 4), 1 + math.log(5 / 3), 0, 0])
    assert facts == {"documents": 4, "tokens": 2, "too_rare": 1, "too_common": 1}
