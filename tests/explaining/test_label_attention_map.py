"""Attention between labels: against sums written out, with labels that are no tokens, and where blocks were planted."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hf_mlc.errors import UserError
from hf_mlc.explaining import label_attention_map as module
from hf_mlc.explaining.label_attention_map import LabelAttentionMap, label_attention_map
from hf_mlc.inference import LoadedModel
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_lanet import LanetForMultiLabelClassification


# four labels; the sets of one, two and three events, and of none
HISTORIES = [[[0, 1]], [[1], [0, 2]], [[3], [1, 3], [2]], []]


def padded(histories: list[list[list[int]]]) -> torch.Tensor:
    """Label ids `(B, n, m)`, padded with -100."""
    most_events = max([len(events) for events in histories] + [1])
    most_labels = max([len(labels) for events in histories for labels in events] + [1])
    ids_Bnm = torch.full((len(histories), most_events, most_labels), -100)
    for row, events in enumerate(histories):
        for place, labels in enumerate(events):
            ids_Bnm[row, place, : len(labels)] = torch.tensor(labels)
    return ids_Bnm


class Histories:
    """A kind of input that reads lists of lists of ids."""

    def order(self, items):
        return sorted(range(len(items)), key=lambda place: -len(items[place]))  # other than given

    def batch(self, processor, items):
        return {"event_ids": padded(items)}


def loaded(num_labels: int = 4, *, counts: list[int] | None = None, seed: int = 0, **settings):
    torch.manual_seed(seed)
    usual = {"embed_dim": 4, "num_heads": 2, "time_encoding": "none", "look_back": 3}
    model = LanetForMultiLabelClassification(LanetConfig(num_labels=num_labels, **usual | settings)).eval()
    with torch.no_grad():
        for layer in model.encoder.layers:
            if layer.attention is not None:  # far from uniform
                layer.attention.query_key_value.weight.mul_(3)
    space = LabelSpace(
        [f"label {number}" for number in range(num_labels)],
        counts=None if counts is None else np.array(counts),
        num_documents=None if counts is None else 100,
    )
    return SimpleNamespace(model=model, label_space=space, kind=Histories(), processor=None)


@torch.no_grad()
def written_out(one, histories) -> dict[str, np.ndarray]:
    """Means over histories, each looked at alone: a matrix product a layer over all tokens, with the identity."""
    num_labels, context = one.model.config.num_labels, one.model.config.num_context_tokens
    whole, there, times, times_there, layers = (np.zeros((num_labels, num_labels)) for _ in range(5))
    for events in histories:
        output = one.model(event_ids=padded([events]), output_attentions=True)
        ids = list(range(num_labels)) if output.token_ids is None else output.token_ids[0].tolist()
        product = None
        for weights_1HTT in output.attentions:
            layer_TT = weights_1HTT[0].mean(dim=0).double()
            layer_TT = (layer_TT + torch.eye(len(layer_TT), dtype=torch.float64)) / 2
            product = layer_TT if product is None else layer_TT @ product
        first_TT = output.attentions[0][0].mean(dim=0)
        read = {label for labels in events for label in labels}
        for (row, i), (column, j) in itertools.product(enumerate(ids, start=context), repeat=2):
            if min(i, j) >= 0:
                whole[i, j] += float(product[row, column])
                layers[i, j] += float(first_TT[row, column])
                times[i, j] += 1
                there[i, j] += float(product[row, column]) * (j in read)
                times_there[i, j] += j in read
    with np.errstate(invalid="ignore"):
        return {
            "rolled_out": whole / times,
            "first": layers / times,
            "when_there": there / times_there,
        }


def in_the_order_of_ids(found: LabelAttentionMap, shares: list[list[float | None]]) -> np.ndarray:
    places = [found.labels.index(name) for name in sorted(found.labels)]
    return np.array(shares, dtype=float)[np.ix_(places, places)]


@pytest.mark.parametrize(("batch_size", "bytes_at_once"), [(1, 2**28), (3, 2**28), (3, 700)])
@pytest.mark.parametrize(
    "settings", [{}, {"num_users": 2}, {"num_popular_tokens": 2}, {"num_users": 1, "num_popular_tokens": 1}]
)
def test_shares_equal_those_written_out(settings, batch_size, bytes_at_once, monkeypatch):
    monkeypatch.setattr(module, "BYTES_AT_ONCE", bytes_at_once)
    monkeypatch.setattr(module, "LEAST_HISTORIES", 1)
    one = loaded(**settings)
    found = label_attention_map(one, HISTORIES, batch_size=batch_size)
    expected = written_out(one, HISTORIES)
    assert found.num_histories == found.num_labels == len(found.labels) == 4
    for shares, name in ((found.rolled_out, "rolled_out"), (found.layers[0], "first")):
        known = in_the_order_of_ids(found, shares["attention"])
        assert known == pytest.approx(expected[name], rel=1e-3, nan_ok=True)
        assert np.isfinite(known).all() or "num_popular_tokens" in settings
    for pair in found.pairs:
        i, j = (int(pair[name].split()[1]) for name in ("label", "looks_at"))
        assert i != j and pair["attention"] == pytest.approx(expected["rolled_out"][i, j], rel=1e-3)
        assert pair["when_there"] == pytest.approx(expected["when_there"][i, j], rel=1e-3)
        others = [expected["rolled_out"][k, j] for k in range(4) if k != j]
        assert pair["usual"] == pytest.approx(np.nanmean(others), rel=1e-3)
    beyond = [pair["attention"] - pair["usual"] for pair in found.pairs]
    assert beyond and min(beyond) > 0 and beyond == sorted(beyond, reverse=True)


def test_a_mean_over_too_few_histories_is_none(monkeypatch):
    """Labels 2 and 3 are tokens together in one history, label 0 is one in each."""
    one = loaded(num_popular_tokens=1)
    found = label_attention_map(one, HISTORIES)
    monkeypatch.setattr(module, "LEAST_HISTORIES", 2)
    more = label_attention_map(one, HISTORIES)
    for result, known in (
        (found, [(0, 0)]),
        (more, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]),
    ):
        shares = in_the_order_of_ids(result, result.rolled_out["attention"])
        assert [tuple(cell) for cell in np.argwhere(np.isfinite(shares)).tolist()] == known
    json.dumps(found.to_dict(), allow_nan=False)


def test_rows_sum_to_one_where_every_token_is_a_label():
    found = label_attention_map(loaded(), HISTORIES)
    for shares in (found.rolled_out, *found.layers):
        assert np.sum(shares["attention"], axis=1) == pytest.approx(np.ones(4), rel=1e-3)


@torch.no_grad()
def test_shares_by_events_are_counted():
    one = loaded()
    found = label_attention_map(one, HISTORIES, most_pairs=99)
    sums = module._Sums(np.arange(4), 4, 2)
    output = one.model(event_ids=padded(HISTORIES), output_attentions=True)
    sums.add(output.attentions, torch.arange(4).expand(4, -1), padded(HISTORIES))
    together_CC, before_CC = sums._shares_by_events()
    # of the labels in one event with label 0 one is 1 and one is 2, ...
    assert together_CC.tolist() == [[0, 0.5, 0.5, 0], [0.5, 0, 0, 0.5], [1, 0, 0, 0], [0, 1, 0, 0]]
    # 0 after 1; 1 after 3; 2 after 1, and after 1 and 3; 3 after itself alone
    assert before_CC == pytest.approx(np.array([[0, 1, 0, 0], [0, 0, 0, 1], [0, 2 / 3, 0, 1 / 3], [0, 0, 0, 0]]))
    on_others_C = 1 - np.diag(in_the_order_of_ids(found, found.rolled_out["attention"]))
    for pair in found.pairs:
        i, j = (int(pair[name].split()[1]) for name in ("label", "looks_at"))
        assert pair["together"] == pytest.approx(on_others_C[i] * together_CC[i, j], rel=2e-3)
        assert pair["before"] == pytest.approx(on_others_C[i] * before_CC[i, j], rel=2e-3)


def planted(one, blocks: list[list[int]], monkeypatch) -> None:
    """Labels of a block look at each other five times as much as at others."""
    num_labels = one.model.config.num_labels
    weights_LL = torch.ones(num_labels, num_labels)
    for block in blocks:
        weights_LL[np.ix_(block, block)] = 5.0
    weights_LL /= weights_LL.sum(dim=1, keepdim=True)

    def forward(event_ids, output_attentions):
        attentions = (weights_LL.expand(len(event_ids), 2, -1, -1),) * 2
        return SimpleNamespace(logits=torch.zeros(len(event_ids), num_labels), attentions=attentions, token_ids=None)

    monkeypatch.setattr(one.model, "forward", forward)


def test_blocks_are_chosen_and_stand_together(monkeypatch):
    one = loaded(12, counts=[50 - number for number in range(12)])
    planted(one, [[1, 6, 11], [3, 8]], monkeypatch)
    found = label_attention_map(one, HISTORIES, num_shown=5, most_pairs=8)
    assert sorted(found.labels) == ["label 1", "label 11", "label 3", "label 6", "label 8"]
    blocks = ["ab"[name in ("label 3", "label 8")] for name in found.labels]
    assert [block for block, _ in itertools.groupby(blocks)] in (["a", "b"], ["b", "a"])
    in_blocks = {(1, 6), (1, 11), (6, 11), (3, 8)}
    assert {
        tuple(sorted(int(pair[name].split()[1]) for name in ("label", "looks_at"))) for pair in found.pairs
    } == in_blocks
    json.dumps(found.to_dict())


def test_attention_that_goes_by_what_stood_before_correlates_with_it(monkeypatch):
    one = loaded(6)
    planted(one, [[0, 1], [2, 3], [4, 5]], monkeypatch)
    following = [[[0], [1]], [[1], [0]], [[2], [3]], [[3], [2]], [[4], [5]], [[5], [4]]]
    found = label_attention_map(one, following)
    assert found.correlation["before"] == pytest.approx(1.0, abs=1e-3)
    assert found.correlation["together"] is None  # no event holds two


def test_named_labels_are_shown_and_others_left_out():
    found = label_attention_map(loaded(), HISTORIES, labels=["label 2", "label 0"], num_shown=3)
    assert sorted(found.labels) == ["label 0", "label 2"] and found.num_labels == 4
    assert {frozenset((pair["label"], pair["looks_at"])) for pair in found.pairs} <= {frozenset(found.labels)}
    whole = label_attention_map(loaded(), HISTORIES)
    places = [sorted(whole.labels).index(name) for name in sorted(found.labels)]
    expected = in_the_order_of_ids(whole, whole.rolled_out["attention"])[np.ix_(places, places)]
    assert in_the_order_of_ids(found, found.rolled_out["attention"]) == pytest.approx(expected, rel=1e-3)


def test_of_many_labels_the_frequent_ones_are_looked_at(monkeypatch):
    monkeypatch.setattr(module, "MOST_CANDIDATES", 3)
    found = label_attention_map(loaded(counts=[1, 9, 7, 8]), HISTORIES)
    assert sorted(found.labels) == ["label 1", "label 2", "label 3"]


def test_what_cannot_be_shown_is_said(monkeypatch):
    with pytest.raises(UserError, match="accepted: a lanet model with label_attention"):
        label_attention_map(loaded(label_attention=False), HISTORIES)
    config = MsdnConfig(num_labels=2, input_size=1)
    other = LoadedModel(SimpleNamespace(config=config), None, LabelSpace(["a", "b"]))
    with pytest.raises(UserError, match="a model of type msdn without attention between labels"):
        label_attention_map(other, HISTORIES)
    with pytest.raises(UserError, match="no histories"):
        label_attention_map(loaded(), [])
    with pytest.raises(UserError, match="field 'top_labels': fewer than two labels"):
        label_attention_map(loaded(), HISTORIES, num_shown=1)
    with pytest.raises(UserError, match="field 'model': fewer than two labels"):
        label_attention_map(loaded(1), [[[0]]])
    with pytest.raises(UserError, match="field 'label': fewer than two labels"):
        label_attention_map(loaded(), HISTORIES, labels=["label 1", "label 1"])
    with pytest.raises(UserError, match="label 9"):
        label_attention_map(loaded(), HISTORIES, labels=["label 1", "label 9"])
    # 2 layers, 2 heads, 4 x 4 numbers of 4 bytes
    monkeypatch.setattr(module, "MOST_BYTES", 255)
    with pytest.raises(UserError, match="attention between 4 tokens takes"):
        label_attention_map(loaded(), HISTORIES)
    monkeypatch.setattr(module, "MOST_BYTES", 256)
    assert label_attention_map(loaded(), HISTORIES).num_histories == 4
