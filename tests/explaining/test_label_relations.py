"""Relations between labels: changes against all answers counted out, against the weights' bound, and where they are known."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch

from hf_mlc.errors import UserError
from hf_mlc.explaining import label_relations as module
from hf_mlc.explaining.label_relations import (
    changes_from_draws,
    changes_from_tables,
    label_relations,
    possible_changes,
)
from hf_mlc.inference import LoadedModel
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification


COUNTS = [10, 70, 40, 25, 5, 60, 33, 50, 15, 80, 20, 45]  # of 100 documents


def loaded(num_labels: int = 5, *, counts: bool = True, seed: int = 0, **settings) -> LoadedModel:
    torch.manual_seed(seed)
    config = MsdnConfig(num_labels=num_labels, input_size=3, hidden_size=4, **{"kernel_sizes": [1, 3]} | settings)
    model = MsdnForMultiLabelClassification(config).eval()
    output = model.relations.output
    torch.nn.init.normal_(output if isinstance(output, torch.Tensor) else output.weight)
    space = LabelSpace(
        [f"label {number}" for number in range(num_labels)],
        counts=np.array(COUNTS[:num_labels]) if counts else None,
        num_documents=100 if counts else None,
    )
    return LoadedModel(model, None, space)


def counted_out(relation, chances_L: torch.Tensor) -> dict[tuple[int, int], tuple[float, float]]:
    """By pair of places (given, of): the mean change and its mean absolute value over all answers, each with its probability."""
    num_labels, found = len(chances_L), {}
    for answers in itertools.product([0.0, 1.0], repeat=num_labels):
        answers_L = torch.tensor(answers)
        for given in range(num_labels):
            if answers_L[given]:
                continue
            other_L = answers_L.clone()
            other_L[given] = 1.0
            chance_L = torch.where(answers_L == 1, chances_L, 1 - chances_L)
            chance = float(chance_L.prod() / chance_L[given])  # of the other answers
            change_L = (relation(other_L[None, None]) - relation(answers_L[None, None]))[0, 0]
            for of in range(given + 1, num_labels):
                mean, size = found.get((given, of), (0.0, 0.0))
                found[given, of] = mean + chance * float(change_L[of]), size + chance * float(change_L[of].abs())
    return found


@torch.no_grad()
def test_changes_from_the_table_equal_all_answers_counted_out():
    relations = loaded().model.relations
    chances_ML = torch.tensor(COUNTS[:5])[None] / 100
    found = changes_from_tables(relations.state_tables(), chances_ML)
    expected = counted_out(relations, chances_ML[0])
    assert found.offsets == [1, 2, 3]
    for place, column in itertools.product(range(5), range(3)):
        given = place - found.offsets[column]
        if given < 0:
            assert found.size[0, place, column].isnan()
            continue
        assert float(found.mean[0, place, column]) == pytest.approx(expected[given, place][0], abs=1e-5)
        assert float(found.size[0, place, column]) == pytest.approx(expected[given, place][1], abs=1e-5)
    # beyond the reach nothing changes
    assert expected[0, 4] == (0.0, 0.0)


@torch.no_grad()
def test_drawn_answers_come_near_the_table(monkeypatch):
    relations = loaded(9, num_orders=2).model.relations
    chances_ML = torch.tensor([COUNTS[:9], COUNTS[1:10]]) / 100
    exact = changes_from_tables(relations.state_tables(), chances_ML)
    monkeypatch.setattr(module, "DRAWN_ANSWERS", 6000)
    drawn = changes_from_draws(relations, chances_ML, seed=1)
    assert drawn.offsets == exact.offsets
    torch.testing.assert_close(drawn.size, exact.size, atol=0.05, rtol=0.05, equal_nan=True)
    torch.testing.assert_close(drawn.mean, exact.mean, atol=0.05, rtol=0.05, equal_nan=True)
    again = changes_from_draws(relations, chances_ML, seed=1)
    assert torch.equal(again.size.nan_to_num(), drawn.size.nan_to_num())


@torch.no_grad()
def test_no_change_is_larger_than_the_weights_allow_for():
    relations = loaded(9, kernel_sizes=[2, 4]).model.relations
    chances_ML = torch.tensor(COUNTS[:9])[None] / 100
    found = changes_from_tables(relations.state_tables(), chances_ML)
    possible = sum(possible_changes(relations, scale, 4) for scale in range(2))
    assert torch.equal(possible.isnan(), found.size.isnan())
    assert (found.size <= possible + 1e-5)[~possible.isnan()].all()
    assert (found.size.nan_to_num() > 0.02 * possible.nan_to_num()).float().mean() > 0.5  # and it is no idle bound
    assert not possible_changes(relations, 0, 4)[..., 2:].nan_to_num().any()  # a kernel of 2 sees no third label


@torch.no_grad()
@pytest.mark.parametrize("dilations", [[], [2]])
def test_relations_that_read_the_document_are_shown_as_of_one_that_says_nothing(dilations):
    one = loaded(9, document_relations=True, dilations=dilations)
    reading, plain = one.model.relations, loaded(9, dilations=dilations)
    torch.nn.init.normal_(reading.projection.bias)
    weights = {name: value for name, value in reading.state_dict().items() if not name.startswith("projection")}
    plain.model.relations.load_state_dict(weights)
    added_by_scale = reading.projection.bias.chunk(2)
    for convolution, added_C in zip(plain.model.relations.convolutions, added_by_scale, strict=True):
        convolution.bias += added_C
    found, expected = label_relations(one).to_dict(), label_relations(plain).to_dict()
    for name, values in {"reads_document": (True, False), "parameters": None}.items():
        pair = found.pop(name), expected.pop(name)
        assert pair == values if values else pair[0] != pair[1]
    assert found == expected


def test_offsets_of_known_dependencies_are_found():
    """Labels that are XOR of those 1 and 6 places back: flipping any other label changes nothing."""
    one = loaded(10, kernel_sizes=[2, 8], channels=8, relation_dropout=0.0, counts=False, label_order="given")
    relations = one.model.relations
    optimizer = torch.optim.Adam(relations.parameters(), lr=0.03)
    generator = torch.Generator().manual_seed(0)
    for _ in range(250):
        answers_BL = torch.randint(0, 2, (128, 10), generator=generator).float()
        for label in range(6, 10):
            answers_BL[:, label] = (answers_BL[:, label - 1] != answers_BL[:, label - 6]).float()
        logits_BL = relations(answers_BL[:, None])[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits_BL, answers_BL)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = label_relations(one)
    ranked = sorted(zip(found.change, found.offsets, strict=True), reverse=True)
    assert {offset for _, offset in ranked[:2]} == {1, 6}, ranked
    by_kernel = {scale["kernel_size"]: scale["change"] for scale in found.scales}
    assert by_kernel[2][5] == 0.0 < by_kernel[8][5]  # the small kernel doesn't reach 6 back
    strongest = {(pair["given"], pair["label"]) for pair in found.pairs[:8]}
    assert strongest == {(f"label {j - d}", f"label {j}") for j in range(6, 10) for d in (1, 6)}
    assert [pair["size"] for pair in found.pairs] == sorted((pair["size"] for pair in found.pairs), reverse=True)


def test_pairs_name_labels_and_not_places():
    one = loaded(4, kernel_sizes=[1], label_ranks=[2, 0, 3, 1])  # the chain: label 1, 3, 0, 2
    found = label_relations(one)
    assert {(pair["given"], pair["label"]) for pair in found.pairs} == {
        ("label 1", "label 3"), ("label 3", "label 0"), ("label 0", "label 2"),
    }  # fmt: skip
    assert {pair["offset"] for pair in found.pairs} == {1}
    # of a kernel of one the change is that of two values of the table
    with torch.no_grad():
        table_LS = one.model.relations.state_tables()[0]
    expected = {("label 1", "label 3"): table_LS[1], ("label 0", "label 2"): table_LS[3]}
    for pair in found.pairs:
        if (pair["given"], pair["label"]) in expected:
            no, yes = expected[pair["given"], pair["label"]].tolist()
            assert pair["change"] == pytest.approx(yes - no, abs=1e-4)
            assert pair["size"] == pytest.approx(abs(yes - no), abs=1e-4)


def test_pairs_of_several_orders_are_means_over_them():
    one = loaded(3, kernel_sizes=[2], num_orders=2, label_ranks=[[0, 1, 2], [2, 1, 0]])
    found = label_relations(one)
    with torch.no_grad():
        tables = one.model.relations.state_tables()
    orders = torch.tensor([[0, 1, 2], [2, 1, 0]])
    changes = changes_from_tables(tables, (torch.tensor(COUNTS[:3]) / 100)[orders])
    pairs = {(pair["given"], pair["label"]): pair["size"] for pair in found.pairs}
    # label 0 stands before label 1 in the first order alone, label 2 in the second
    assert pairs["label 0", "label 1"] == pytest.approx(float(changes.size[0, 1, 0]) / 2, abs=1e-4)
    assert pairs["label 2", "label 0"] == pytest.approx(float(changes.size[1, 2, 1]) / 2, abs=1e-4)
    assert len(pairs) == 6 and found.num_orders == 2


def test_relations_without_a_table_are_drawn():
    for settings, reach in (({"kernel_sizes": [3], "dilations": [3]}, 9), ({"kernel_sizes": [2, 12]}, 11)):
        found = label_relations(loaded(12, **settings))
        assert not found.exact and len(found.offsets) == reach
        assert all(change > 0 for change in found.change)
        has_own = [scale["change"] is not None for scale in found.scales]
        assert has_own == [not settings.get("dilations")] * len(has_own)


@pytest.mark.parametrize("label_mask_rate", [0.25, 1.0])
@torch.no_grad()
def test_of_the_parallel_variant_labels_on_both_sides_are_shown(label_mask_rate):
    one = loaded(6, variant="parallel", kernel_sizes=[3], refinement_steps=1, label_mask_rate=label_mask_rate)
    found = label_relations(one)
    assert found.offsets == [-1, 1] and not found.exact
    relations = one.model.relations
    base = torch.logit(torch.tensor(COUNTS[:6]) / 100).repeat(2, 1, 1)
    shown = None
    if label_mask_rate < 1:  # the state that unmasking asks in
        shown = torch.full_like(base, -1.0)
        shown[0, 0, 2], shown[1, 0, 2] = 1.0, 0.0
    else:
        base[0, 0, 2], base[1, 0, 2] = 12.0, -12.0
    yes, no = relations(base, torch.zeros(2, 4), shown)[-1][:, 0]
    pairs = {(pair["given"], pair["label"]): pair for pair in found.pairs}
    for label, offset in ((1, -1), (3, 1)):
        pair = pairs["label 2", f"label {label}"]
        assert pair["offset"] == offset
        assert pair["change"] == pytest.approx(float(yes[label] - no[label]), abs=1e-3)
    # one step changes no logit by more than the weights allow for
    (scale,) = found.scales
    assert all(change <= possible + 1e-5 for change, possible in zip(scale["change"], scale["possible"], strict=True))


def test_a_model_without_relations_has_no_pairs():
    new = loaded()
    torch.nn.init.zeros_(new.model.relations.output)
    found = label_relations(new)
    assert found.pairs == [] and found.change == [0.0, 0.0, 0.0]
    alone = label_relations(loaded(1))
    assert alone.pairs == [] and alone.offsets == []
    json.dumps(found.to_dict(), allow_nan=False), json.dumps(alone.to_dict(), allow_nan=False)


def test_other_architectures_are_refused():
    model = PlantForMultiLabelClassification(PlantConfig(num_labels=2, vocab_size=5, hidden_size=4))
    with pytest.raises(UserError, match="a model of type plant holds no relations"):
        label_relations(LoadedModel(model, None, LabelSpace(["a", "b"])))
