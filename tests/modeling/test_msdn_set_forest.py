"""The forest beside the chain: its votes are scikit-learn's, and answers and scores are of the product of the two."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError as Refused

from hf_mlc.modeling.configuration_ensemble import EnsembleConfig
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_ensemble import EnsembleForMultiLabelClassification
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.msdn_known_sets import pack_sets
from hf_mlc.modeling.msdn_set_forest import SetForest
from hf_mlc.tabular.powerset_forest import PowersetForest
from hf_mlc.training.set_forest import buffers_of


COLUMNS, LABELS, TREES = 6, 4, 9


def table(num_rows: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows and the label sets that they have, with a few values that many rows share."""
    draw = np.random.default_rng(seed)
    features = np.round(draw.normal(size=(num_rows, COLUMNS)), 1).astype(np.float32)
    return features, (features[:, :LABELS] + 0.3 * draw.normal(size=(num_rows, LABELS)) > 0.2).astype(np.int64)


def grown(**settings) -> tuple[PowersetForest, np.ndarray]:
    features, truth = table()
    sets, set_of = np.unique(truth, axis=0, return_inverse=True)
    forest = PowersetForest(n_estimators=TREES, seed=3, **settings)
    return forest.fit_sets(features, set_of.ravel(), len(sets)), sets


def planted(*, weight: float = 0.7, orders: int = 2, **settings) -> MsdnForMultiLabelClassification:
    """A model whose relations say something, with the forest and the sets of the table."""
    forest, sets = grown()
    nodes = sum(len(tree.left) for tree in forest.trees)
    entries = sum(tree.counts.nnz for tree in forest.trees)
    config = MsdnConfig(
        input_size=COLUMNS, num_labels=LABELS, hidden_size=8, num_orders=orders, known_sets="restrict", forest_weight=weight,
        num_forest_trees=TREES, num_known_sets=len(sets), num_forest_nodes=nodes, num_forest_entries=entries, **settings,
    )  # fmt: skip
    torch.manual_seed(5)
    model = MsdnForMultiLabelClassification(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    model.known_sets.fill(pack_sets(torch.from_numpy(sets)), torch.ones(len(sets), dtype=torch.long))
    model.set_forest.fill(**buffers_of(forest.trees))
    return model


def module_of(forest: PowersetForest) -> SetForest:
    buffers = buffers_of(forest.trees)
    module = SetForest(*(len(buffers[name]) for name in ("roots", "columns", "sets")))
    module.fill(**buffers)
    return module


def asked(num_rows: int = 40) -> dict[str, torch.Tensor]:
    return {"input_features": torch.from_numpy(table(num_rows, seed=9)[0])}


def expected_log_shares(model: MsdnForMultiLabelClassification, batch) -> torch.Tensor:
    """log P of the known sets in each order with the forest's votes, in so many words, `(M, B, S)`, not normalised."""
    forest, sets = grown()
    votes = torch.from_numpy(forest.shares(batch["input_features"].numpy()))
    base = model(**batch).base_logits
    of_orders = []
    for number in range(model.config.num_orders):
        columns = []
        for row in torch.from_numpy(sets).float():
            answers = row.expand_as(base)
            logits = model.logits_given(base, answers)[:, number]
            columns.append(
                -torch.nn.functional.binary_cross_entropy_with_logits(logits, answers, reduction="none").sum(1)
            )
        of_orders.append(torch.stack(columns, dim=1).double())
    return torch.stack(of_orders) + model.config.forest_weight * (votes + 1 / (3 * TREES)).log()


@pytest.mark.parametrize("settings", [{}, {"min_samples_leaf": 5}], ids=["pure", "mixed"])
def test_votes_are_those_of_the_forest(settings):
    forest, sets = grown(**settings)
    module = module_of(forest)
    rows = np.concatenate([table()[0], table(50, seed=2)[0]])  # on thresholds, and beside them
    expected = torch.from_numpy(forest.shares(rows))
    found = module(torch.from_numpy(rows), len(sets))
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(len(rows)))
    alone = torch.cat([module(torch.from_numpy(row[None]), len(sets)) for row in rows[:20]])
    torch.testing.assert_close(alone, found[:20])


@pytest.mark.parametrize("settings", [{}, {"min_samples_leaf": 20}], ids=["pure", "mixed"])
def test_votes_are_the_same_in_blocks_of_rows_and_with_any_number_of_threads(monkeypatch, settings):
    forest, sets = grown(**settings)
    module, rows = module_of(forest), torch.from_numpy(table(5_000, seed=2)[0])
    whole, threads = module(rows, len(sets)), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert all(torch.equal(module(rows, len(sets)), whole) for _ in range(3))
    finally:
        torch.set_num_threads(threads)
    monkeypatch.setattr("hf_mlc.modeling.msdn_chain.BLOCK_BYTES", 60 * 7 * TREES)
    assert torch.equal(module(rows[:60], len(sets)), whole[:60])
    assert module(rows[:0], len(sets)).shape == (0, len(sets))


def test_a_threshold_between_two_float32_goes_where_scikit_learn_goes():
    # the middle is no float32, and the nearest one is the upper value
    below = np.nextafter(np.float32(4.0), np.float32(5.0))
    above = np.nextafter(below, np.float32(5.0))
    features = np.array([[below], [above]] * 10, np.float32)
    forest = PowersetForest(n_estimators=TREES, seed=0).fit_sets(features, np.array([0, 1] * 10), 2)
    module = module_of(forest)
    assert torch.equal(module(torch.from_numpy(features), 2).argmax(dim=1), torch.tensor([0, 1] * 10))


@torch.no_grad()
def test_the_answer_is_the_best_of_the_product():
    model, batch = planted(), asked()
    log_shares = expected_log_shares(model, batch)
    sets = model.known_sets.sets_SL
    output = model(**batch)
    assert torch.equal(output.chosen, sets[log_shares.mean(dim=0).argmax(dim=1)])
    shares = log_shares.logsumexp(dim=0).softmax(dim=1)
    torch.testing.assert_close(output.logits.sigmoid().double(), shares @ sets.double(), atol=1e-5, rtol=1e-4)
    alone = planted(weight=0)(**batch)
    assert alone.set_bonus is None and not torch.equal(alone.chosen, output.chosen)
    forest, names = grown()
    votes = torch.from_numpy(forest.shares(batch["input_features"].numpy()))
    almost = planted(weight=10_000)(**batch).chosen  # of sets with the most votes one
    places = (almost[:, None] == torch.from_numpy(names).bool()).all(dim=2).int().argmax(dim=1)
    torch.testing.assert_close(votes.gather(1, places[:, None]).squeeze(1), votes.amax(dim=1))


@torch.no_grad()
@pytest.mark.parametrize("reads", [False, True], ids=["tables", "documents"])
def test_a_document_is_answered_alike_in_any_batch(reads):
    model, batch = planted(document_relations=reads), asked()
    whole = model(**batch)
    alone = [model(input_features=row[None]) for row in batch["input_features"]]
    assert torch.equal(torch.cat([output.chosen for output in alone]), whole.chosen)
    torch.testing.assert_close(torch.cat([output.logits for output in alone]), whole.logits)
    without = planted(document_relations=reads, weight=0)
    assert not torch.equal(without(**batch).chosen, whole.chosen)
    votes = model.set_forest.log_votes(batch["input_features"], len(model.known_sets))
    torch.testing.assert_close(whole.set_bonus, 0.7 * votes)


@torch.no_grad()
def test_other_rules_go_by_the_product_too():
    model, batch = planted(), asked()
    sets, log_shares = model.known_sets.sets_SL, expected_log_shares(model, batch)
    model.config.min_labels = 2
    large = sets.sum(dim=1) >= 2
    expected = sets[log_shares.mean(dim=0).masked_fill(~large, float("-inf")).argmax(dim=1)]
    assert torch.equal(model(**batch).chosen, expected)
    model.config.min_labels, model.config.decision = 0, "expected_f1"
    shares = log_shares.logsumexp(dim=0).softmax(dim=1)
    both = (sets[:, None] & sets[None]).sum(dim=2) * 2.0
    sizes = sets.sum(dim=1)
    f1 = torch.where(sizes[:, None] + sizes[None] > 0, both / (sizes[:, None] + sizes[None]).clamp(min=1), 1.0)
    worth = shares @ f1.double()
    places = (model(**batch).chosen[:, None] == sets).all(dim=2).int().argmax(dim=1)
    torch.testing.assert_close(worth.gather(1, places[:, None]).squeeze(1), worth.amax(dim=1), atol=1e-5, rtol=0)
    model.config.decision, model.config.scores = "sets", "decoded"
    output = model(**batch)
    assert torch.equal(output.chosen, sets[log_shares.mean(dim=0).argmax(dim=1)])
    along = model.logits_given(output.base_logits, output.chosen.float()).mean(dim=1)
    torch.testing.assert_close(output.logits, along)


def test_a_model_without_a_forest_saves_nothing_of_one():
    config = MsdnConfig(input_size=COLUMNS, num_labels=LABELS, known_sets="restrict", num_known_sets=3)
    assert not any("forest" in name for name in MsdnForMultiLabelClassification(config).state_dict())


@torch.no_grad()
def test_a_forest_is_saved_and_no_cast_moves_a_threshold(tmp_path):
    model, batch = planted(), asked()
    model.save_pretrained(tmp_path)
    loaded = MsdnForMultiLabelClassification.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(**batch).chosen, model(**batch).chosen)
    half = MsdnForMultiLabelClassification.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    assert torch.equal(half(**batch).set_bonus, model(**batch).set_bonus)
    assert torch.equal(model.half().float()(**batch).set_bonus, half(**batch).set_bonus)
    without = MsdnForMultiLabelClassification.from_pretrained(tmp_path, forest_weight=0).eval()
    assert without(**batch).set_bonus is None
    more_labels = MsdnConfig.from_pretrained(tmp_path, num_labels=LABELS + 1)
    assert (
        more_labels.num_forest_trees
        == more_labels.num_forest_nodes
        == more_labels.num_forest_entries
        == more_labels.num_known_sets
        == 0
    )


@torch.no_grad()
def test_explanations_hold_the_votes_still():
    model, batch = planted(), asked(6)
    fixed, chosen = model.path_inputs(**batch), torch.tensor([2, 0])
    torch.testing.assert_close(model.label_logits(chosen, **fixed, **batch), model(**batch).logits[:, chosen])
    torch.testing.assert_close(model.label_logits(chosen, **batch), model(**batch).logits[:, chosen])
    other = {"input_features": torch.zeros_like(batch["input_features"])}
    moved = model.label_logits(chosen, **other)
    assert not torch.allclose(model.label_logits(chosen, **fixed, **other), moved)


@torch.no_grad()
def test_an_ensemble_votes_with_its_members_forests(tmp_path):
    members, batch = [planted(orders=1), planted(orders=2)], asked()
    config = EnsembleConfig.of([member.config for member in members], decision="sets")
    model = EnsembleForMultiLabelClassification(config).eval()
    for own, member in zip(model.members, members, strict=True):
        own.load_state_dict(member.state_dict())
    shares = sum(expected_log_shares(member, batch).logsumexp(dim=0).softmax(dim=1) for member in members)
    assert torch.equal(model(**batch).chosen, members[0].known_sets.sets_SL[shares.argmax(dim=1)])
    model.save_pretrained(tmp_path)
    loaded = EnsembleForMultiLabelClassification.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(**batch).chosen, model(**batch).chosen)


def test_what_a_forest_needs_is_said():
    with pytest.raises(Refused, match="`forest_weight` needs `known_sets` 'restrict', found 'favour'"):
        MsdnConfig(input_size=2, forest_weight=1, known_sets="favour")
    with pytest.raises(Refused, match="`forest_weight` is of tables"):
        MsdnConfig(encoder="gru", forest_weight=1, known_sets="restrict")
    with pytest.raises(Refused, match="`forest_weight` must not be negative, found -1"):
        MsdnConfig(input_size=2, forest_weight=-1)
    with pytest.raises(Refused, match=r"`forest_max_features` must be in \(0, 1\], found 2"):
        MsdnConfig(input_size=2, forest_max_features=2)
    settings = {"input_size": COLUMNS, "num_labels": LABELS, "known_sets": "restrict", "num_known_sets": 1}
    room = {"num_forest_trees": 1, "num_forest_nodes": 3, "num_forest_entries": 2}
    for sizes in ({}, room):  # with none, and with room for one that nobody has grown
        model = MsdnForMultiLabelClassification(MsdnConfig(**settings, forest_weight=1, **sizes)).eval()
        model.known_sets.fill(pack_sets(torch.ones(1, LABELS)), torch.ones(1, dtype=torch.long))
        with pytest.raises(ValueError, match=r"needs a forest over the label sets .*train --model_name_or_path"):
            model(**asked())
    model = planted()
    model.config.known_sets = "off"
    with pytest.raises(ValueError, match="`forest_weight` needs `known_sets` 'restrict', found 'off'; or set it to 0"):
        model(**asked())
    with pytest.raises(ValueError, match=r"`branches` must be of shape \(3, 2\), found None"):
        SetForest(1, 3, 2).fill(roots=torch.zeros(1))
