"""Tables in half precision and in whole numbers, and how rows of any table are read."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from hf_mlc.modeling import label_tables
from hf_mlc.modeling.label_tables import StoredTable, read_rows


VECTORS = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
IDS = torch.tensor([[6, 0], [2, 2]])


def test_half_precision_is_kept_bit_by_bit():
    table = StoredTable.of(VECTORS, "float16")
    assert table.values.dtype == torch.int16 and table.shape == (7, 5)
    assert torch.equal(table.read(slice(None)), VECTORS.half().float())
    assert torch.equal(table(IDS), VECTORS.half().float()[IDS])


def test_whole_numbers_are_off_by_half_a_step_at_most():
    vectors = VECTORS.clone()
    vectors[3] = 0
    table = StoredTable.of(vectors, "int8")
    assert table.values.dtype == torch.int8
    steps = vectors.abs().amax(dim=1, keepdim=True) / 127
    assert ((table.read(slice(None)) - vectors).abs() <= steps / 2 + 1e-7).all()
    assert table.read(torch.tensor([3])).abs().sum() == 0
    # 127 stands for the largest number of a row
    assert table.values.abs().amax(dim=1).tolist() == [127, 127, 127, 0, 127, 127, 127]


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_a_cast_to_another_precision_leaves_the_values_alone(dtype):
    table = StoredTable.of(VECTORS, dtype)
    before = table.read(slice(None))
    table.to(torch.bfloat16)
    assert (table.read(slice(None)) - before).abs().max() < 0.02  # the scales alone, of int8, are rounded
    if dtype == "float16":
        assert torch.equal(table.read(slice(None)), before)


@pytest.mark.parametrize(("dtype", "value"), [("float16", 1e5), ("float16", float("nan")), ("int8", float("inf"))])
def test_numbers_that_a_table_has_not_got_are_refused(dtype, value):
    vectors = VECTORS.clone()
    vectors[1, 1] = value
    with pytest.raises(ValueError, match=f"a table of {dtype} holds finite numbers"):
        StoredTable.of(vectors, dtype)


def test_rows_of_every_form_of_table_are_read_alike():
    embedding = nn.Embedding.from_pretrained(VECTORS, freeze=False)
    for rows in (slice(2, 5), IDS, torch.tensor([4, 1])):
        for table in (VECTORS, embedding, StoredTable.of(VECTORS, "float16")):
            torch.testing.assert_close(read_rows(table, rows), VECTORS[rows], atol=1e-2, rtol=1e-3)
    read_rows(embedding, torch.tensor([4, 1])).sum().backward()
    assert embedding.weight.grad.sum(dim=1).tolist() == [0, 5, 0, 0, 5, 0, 0]


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_what_is_kept_at_hand_follows_the_stored_values(dtype, monkeypatch):
    table = StoredTable.of(VECTORS, dtype)
    kept = table.read(slice(None))
    assert table.read(IDS).equal(kept[IDS]) and table.read(slice(1, 3)).equal(kept[1:3])
    table.load_state_dict(StoredTable.of(2 * VECTORS, dtype).state_dict())
    twice = table.read(slice(None))
    assert torch.allclose(twice, 2 * kept)
    copied = copy.deepcopy(table)
    assert copied.__dict__["_known"][1] is None and copied.read(IDS).equal(twice[IDS])
    monkeypatch.setattr(label_tables, "MOST_KEPT", 0)  # a large table is read row by row
    assert table.read(IDS).equal(twice[IDS]) and table.read(slice(None)).equal(twice)


def test_gradients_go_through_after_an_answer_in_inference_mode():
    table = StoredTable.of(VECTORS, "float16")
    with torch.inference_mode():
        table.read(slice(None))
    vectors = torch.ones(2, VECTORS.shape[1], requires_grad=True)
    (vectors @ table.read(slice(0, 3)).T).sum().backward()
    torch.testing.assert_close(vectors.grad[0], VECTORS[:3].sum(dim=0), atol=1e-2, rtol=1e-2)
