"""Sparse rows to positions and weights: every form of a row, what is wrong with one, and what is saved."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor, SparseRows, padded


EXTRACTOR = SparseFeatureExtractor(10)
NAMED = SparseFeatureExtractor(feature_names=["wheat", "corn", "oil"])


def encoded(rows, extractor=EXTRACTOR, **how) -> list[dict[int, float]]:
    batch = extractor(rows, **how)
    pairs = zip(batch["input_ids"].tolist(), batch["token_weights"].tolist(), strict=True)
    return [{i: round(w, 4) for i, w in zip(*pair, strict=True) if i} for pair in pairs]


def test_every_form_of_a_row_is_the_same_row():
    dense = [0, 0, 3.0, 0, 0, 0, 0, 4.0, 0, 0]
    forms = [
        {"indices": [2, 7], "values": [3, 4]},
        {"indices": np.array([7, 2]), "values": np.array([4.0, 3.0], dtype=np.float32)},
        {"indices": ["7", "2"], "values": ["4", "3"]},
        {"7": 4, "2": 3.0},
        {"7": 4, "2": 3.0, "5": 0},
        dense,
        np.array(dense),
    ]
    expected = {3: 0.6, 8: 0.8}  # 3 and 4 over 5, at positions from 1 on
    assert encoded(forms) == [expected] * len(forms)
    assert encoded({"7": 4, "2": 3}) == encoded(dense) == encoded(torch.tensor([dense])) == [expected]
    names = [
        {"wheat": 3, "oil": 4},
        {"names": ["oil", "wheat"], "values": [4, 3]},
        [3, 0, 4],
        {"indices": [0, 2], "values": [3, 4]},
    ]
    assert encoded(names, NAMED) == [{1: 0.6, 3: 0.8}] * 4


def test_a_matrix_of_scipy_is_read_without_becoming_dense():
    sparse = pytest.importorskip("scipy.sparse")
    matrix = sparse.csr_matrix(([3.0, 4.0, 2.0], ([0, 0, 2], [2, 7, 1])), shape=(3, 10))
    assert encoded(matrix) == [{3: 0.6, 8: 0.8}, {}, {2: 1.0}]


def test_rows_are_padded_with_zero_to_the_longest():
    batch = EXTRACTOR([{"4": 2}, {"indices": [], "values": []}, {"1": 1, "3": 1}])
    assert batch["input_ids"].tolist() == [[5, 0], [0, 0], [2, 4]] and batch["input_ids"].dtype == torch.int64
    assert torch.allclose(batch["token_weights"], torch.tensor([[1, 0], [0, 0], [0.5**0.5, 0.5**0.5]]))
    empty = padded(SparseRows(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)))
    assert empty["input_ids"].tolist() == [[0]] and empty["token_weights"].tolist() == [[0.0]]


def test_weights_of_any_size_get_the_length_of_one_and_may_be_left_as_they_are():
    for size in (1e-30, 1.0, 1e30):
        weights = EXTRACTOR([{"1": 3 * size, "2": -4 * size}])["token_weights"]
        assert torch.allclose(weights, torch.tensor([[0.6, -0.8]]))
    assert encoded([{"1": 3, "2": 4}], SparseFeatureExtractor(10, scale_rows=False)) == [{2: 3.0, 3: 4.0}]


def test_rows_that_are_read_in_one_step_are_the_same_to_the_last_bit():
    draw = np.random.default_rng(0)
    rows = []
    for size in (3, 0, 7, 1, 0):
        indices = sorted(draw.choice(10, size, replace=False).tolist())
        rows.append({"indices": indices, "values": draw.normal(size=size).tolist()})
    together = EXTRACTOR.encode(rows)
    assert together.offsets.tolist() == [0, 3, 3, 10, 11, 11]
    # a last row whose features are out of order makes all of them go the other way
    others = EXTRACTOR.encode([*rows, {"indices": [4, 2], "values": [1.0, 2.0]}])
    assert np.array_equal(others.input_ids[:11], together.input_ids) and others.input_ids[11:].tolist() == [3, 5]
    assert np.array_equal(others.token_weights[:11], together.token_weights)
    one_by_one = [EXTRACTOR.encode([row]).token_weights for row in rows]
    assert np.array_equal(np.concatenate(one_by_one), together.token_weights)
    # where one row ends and the next begins positions need not ascend, within a row they must
    assert EXTRACTOR.encode(
        [{"indices": [9], "values": [1.0]}, {"indices": [0], "values": [1.0]}]
    ).input_ids.tolist() == [10, 1]


def test_an_unknown_feature_is_left_out_and_counted_or_an_error():
    extractor = SparseFeatureExtractor(10)
    assert encoded([{"2": 3, "10": 1}, {"10": 5, "11": 1}], extractor) == [{3: 1.0}, {}]
    assert extractor.unseen_counts == {"position 10": 2, "position 11": 1}
    named = SparseFeatureExtractor(feature_names=["wheat", "corn", "oil"])
    assert encoded([{"oil": 1, "rye": 1}], named) == [{3: 1.0}] and named.unseen_counts == {"rye": 1}
    with pytest.raises(
        ValueError, match="row 2: no such feature: position 10; accepted: one of the 10 features, 0 to 9"
    ):
        extractor([{"1": 1}, {"10": 1}], unknown="error")
    with pytest.raises(ValueError, match="row 1: no such feature: rye; accepted: one of the 3 features"):
        named([{"rye": 1}], unknown="error")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"indices": [1, 1], "values": [1, 2]}, "row 7: position 1 stands there twice; accepted: each feature once"),
        ({"indices": [1], "values": [1, 2]}, "row 7: 1 indices and 2 values"),
        ({"indices": [-1], "values": [1]}, "row 7: a position is -1; accepted: whole numbers from 0 on"),
        ({"indices": [1.5], "values": [1]}, "row 7: a position is 1.5"),
        ({"indices": np.array([2**63 + 3], np.uint64), "values": [1]}, "row 7: a position is 9223372036854775811; accepted: whole numbers from 0 on, up to 2147483646"),
        ({"indices": [2**31], "values": [1]}, "row 7: a position is 2147483648"),
        ({str(2**31): 1}, "row 7: a position is '2147483648'"),
        ({"indices": ["x"], "values": [1]}, "row 7: a position is 'x'"),
        ({"indices": [True], "values": [1]}, "row 7: a position is True"),
        ({"wheat": 1}, "row 7: a position is 'wheat'"),
        ({"indices": [1, 4], "values": [1, float("nan")]}, "row 7, field 'position 4': found nan; accepted: a finite number"),
        ({"3": float("inf")}, "row 7, field 'position 3': found inf"),
        ({"3": None}, "row 7, field 'position 3': found null"),
        ({"3": 1e300}, "row 7, field 'position 3': found 1e"),
        ({"3": "much"}, "row 7, field 'position 3': found 'much'"),
        ({"names": ["wheat"], "values": [1]}, "row 7: features by name; accepted: positions, 0 to 9"),
        ([1, 2, 3], "row 7: 3 values; accepted: 10, one a feature"),
        ("wheat", "row 7: a row is 'wheat'"),
    ],
)  # fmt: skip
def test_a_row_that_is_none_is_one_line(row, message):
    with pytest.raises(ValueError, match="^" + message):
        EXTRACTOR.encode([row], first_row=7)


def test_names_twice_in_a_row_and_bad_arguments_are_one_line():
    with pytest.raises(ValueError, match="row 1: 'oil' stands there twice"):
        NAMED([{"names": ["oil", "oil"], "values": [1, 2]}])
    with pytest.raises(ValueError, match="row 1: a feature's name is 3"):
        NAMED([{"names": [3], "values": [1]}])
    with pytest.raises(ValueError, match="different names, found 'oil' twice"):
        SparseFeatureExtractor(feature_names=["oil", "oil"])
    with pytest.raises(ValueError, match="2 entries for 3 features"):
        SparseFeatureExtractor(3, feature_names=["oil", "gas"])
    for wrong, found in ((-1, "-1"), (10.5, "10.5"), ("10", "'10'"), (True, "True")):
        with pytest.raises(ValueError, match=f"`num_features` must be a whole number, 0 or more, found {found}"):
            SparseFeatureExtractor(wrong)
    assert SparseFeatureExtractor(np.int64(3)).to_json_string() == SparseFeatureExtractor(3).to_json_string()


@pytest.mark.parametrize("extractor", [EXTRACTOR, NAMED, SparseFeatureExtractor(4, scale_rows=False)])
def test_a_saved_extractor_is_the_same(extractor, tmp_path):
    extractor([{"indices": [99], "values": [1]}])  # what was counted is not saved
    extractor.save_pretrained(tmp_path)
    loaded = SparseFeatureExtractor.from_pretrained(tmp_path)
    assert loaded.to_dict() == extractor.to_dict() and not loaded.unseen_counts
    assert loaded.vocab_size == extractor.num_features + 1 and loaded.scale_rows == extractor.scale_rows
    row = {"indices": [0, 2], "values": [3, 4]}
    assert encoded([row], loaded) == encoded([row], extractor)
