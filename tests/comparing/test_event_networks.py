"""The networks over events: as models by themselves, and learning a tiny rule."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import set_seed

from hf_mlc.auto import ARCHITECTURES
from hf_mlc.commands.config_arguments import config_names
from hf_mlc.comparing.arms import Fitted, Job, fit
from hf_mlc.comparing.arms.event_networks import (
    MODEL_TYPE,
    OF_LANET,
    SETTINGS,
    EventNetworkConfig,
    EventNetworkModel,
)
from hf_mlc.comparing.arms.next_frequency import METHODS
from hf_mlc.comparing.claim import ClaimData, Sequences
from hf_mlc.comparing.data import Rows, prepare_rows
from hf_mlc.comparing.one_run import measure, own_cache
from hf_mlc.events.demo import generate_customers
from hf_mlc.modeling.configuration_lanet import LanetConfig


K, BINS, USERS, GAPS, PAD = 6, 3, 4, 5, -100
RUNNERS = tuple(SETTINGS)


def model_of(runner: str, *, seed: int = 0, **settings) -> EventNetworkModel:
    settings = {
        "num_labels": K, "hidden_size": 16, "intermediate_size": 16, "num_heads": 4, "num_gaps": GAPS,
        "num_users": USERS, "num_amount_bins": BINS, **SETTINGS[runner], **settings,
    }  # fmt: skip
    set_seed(seed)
    return EventNetworkModel(EventNetworkConfig(**settings)).eval()


def batch_of(sets: list[list[list[int]]], *, seed: int = 0) -> dict[str, torch.Tensor]:
    """Histories as the processor makes a batch of them, with gaps, amounts and users that are drawn."""
    events, labels = max(map(len, sets)), max((len(ids) for row in sets for ids in row), default=0)
    batch = {
        "event_ids": torch.full((len(sets), events, labels), PAD),
        "event_mask": torch.zeros(len(sets), events, dtype=torch.bool),
        "event_gaps": torch.zeros(len(sets), events),
        "event_times": torch.zeros(len(sets), events),
        "event_gap_ids": torch.zeros(len(sets), events, dtype=torch.long),
        "event_amount_bins": torch.full((len(sets), events, labels), PAD),
        "user_ids": torch.zeros(len(sets), dtype=torch.long),
    }
    for row, one in enumerate(sets):
        generator = torch.Generator().manual_seed(seed + row)
        batch["user_ids"][row] = torch.randint(0, USERS + 1, (), generator=generator)
        for place, ids in enumerate(one):
            batch["event_mask"][row, place] = True
            batch["event_ids"][row, place, : len(ids)] = torch.tensor(ids, dtype=torch.long)
            bins = torch.randint(0, BINS, (len(ids),), generator=generator)
            batch["event_amount_bins"][row, place, : len(ids)] = bins
            gap = torch.randint(1, GAPS + 1, (), generator=generator)
            batch["event_gap_ids"][row, place], batch["event_gaps"][row, place] = gap, 2.0 * gap
            batch["event_times"][row, place] = 7.0 * place
    return batch


SETS = [[[0, 1], [2], [3, 4, 5]], [[5]], [], [[1, 2], []]]


def part(batch: dict[str, torch.Tensor], rows: slice) -> dict[str, torch.Tensor]:
    return {name: tensor[rows] for name, tensor in batch.items()}


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("runner", RUNNERS)
def test_no_answer_depends_on_padding_or_on_the_batch(runner, pooling):
    model, batch = model_of(runner, event_pooling=pooling), batch_of(SETS)
    whole = model(**batch).logits
    assert whole.shape == (4, K) and torch.isfinite(whole).all()
    for row, sets in enumerate(SETS):
        alone = batch_of([sets], seed=row)
        assert torch.allclose(model(**alone).logits[0], whole[row], atol=1e-5)
    longer = {
        name: torch.nn.functional.pad(
            tensor,
            (0, 2, 0, 3) if tensor.ndim == 3 else (0, 3) if tensor.ndim == 2 else (0, 0),
            value=PAD if tensor.ndim == 3 else 0,
        )
        for name, tensor in batch.items()
    }
    padding = ~longer["event_mask"]
    longer["event_gaps"][padding], longer["event_gap_ids"][padding] = 50.0, 2  # whatever stands there
    longer["event_ids"][padding], longer["event_amount_bins"][padding] = 3, 1
    rows = batch["event_mask"].any(dim=1)  # of an empty history the first place is read as one without labels
    assert torch.allclose(model(**longer).logits[rows], whole[rows], atol=1e-5)


@pytest.mark.parametrize("runner", RUNNERS)
def test_every_parameter_learns(runner):
    model, batch = model_of(runner).train(), batch_of(SETS)
    labels = (torch.arange(4 * K).view(4, K) % 3 == 0).float()
    model(**batch, labels=labels).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("runner", RUNNERS)
def test_targets_as_ids_cost_the_same_and_move_no_answer(runner):
    model, batch = model_of(runner), batch_of(SETS)
    labels = torch.zeros(4, K)
    labels[0, 2] = labels[1, 0] = labels[1, 5] = 1
    ids = torch.tensor([[2, PAD], [0, 5], [PAD, PAD], [PAD, PAD]])
    dense, sparse = model(**batch, labels=labels), model(**batch, label_ids=ids)
    assert torch.allclose(dense.loss, sparse.loss)
    assert torch.equal(dense.logits, model(**batch).logits)


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("given", ["event_gap_ids", "event_amount_bins", "user_ids"])
def test_every_input_is_read(runner, given):
    model, batch = model_of(runner), part(batch_of(SETS), slice(0, 1))
    before = model(**batch).logits
    changed = batch[given].clone()
    changed[changed >= 0] = (changed[changed >= 0] + 1) % 3
    assert (model(**{**batch, given: changed}).logits - before).abs().max() > 1e-5


@pytest.mark.parametrize("runner", RUNNERS)
def test_users_amounts_and_labels_may_be_missing(runner):
    model = model_of(runner, num_users=0, num_amount_bins=0)
    batch = {name: t for name, t in batch_of(SETS).items() if name not in ("user_ids", "event_amount_bins")}
    assert torch.isfinite(model(**batch).logits).all()
    empty = {
        "event_ids": torch.zeros(2, 0, 0, dtype=torch.long), "event_mask": torch.zeros(2, 0, dtype=torch.bool),
        "event_gaps": torch.zeros(2, 0), "event_gap_ids": torch.zeros(2, 0, dtype=torch.long),
    }  # fmt: skip
    assert torch.allclose(model(**empty).logits[0], model(**batch).logits[2], atol=1e-5)


@pytest.mark.parametrize("runner", ["event-transformer", "event-gru"])
def test_the_time_to_the_target_is_read_where_it_is_known(runner):
    model, batch = model_of(runner, uses_target_time=True), part(batch_of(SETS), slice(0, 1))
    near, far = (model(**batch, target_gaps=torch.tensor([gap])).logits for gap in (1.0, 90.0))
    assert (near - far).abs().max() > 1e-4


def swapped(runner: str, **settings) -> torch.Tensor:
    """How much the logits move where two events change places, gaps being equal."""
    model = model_of(runner, num_users=0, num_amount_bins=0, **settings)
    answers = []
    for sets in ([[0], [1], [2]], [[1], [0], [2]]):
        batch = {name: t for name, t in batch_of([sets]).items() if name not in ("user_ids", "event_amount_bins")}
        answers.append(
            model(**{**batch, "event_gap_ids": torch.ones(1, 3).long(), "event_gaps": torch.ones(1, 3)}).logits
        )
    return (answers[0] - answers[1]).abs().max()


def test_who_knows_the_order_of_events():
    assert swapped("vanilla-transformer") < 1e-5  # that layout has no positions
    assert swapped("event-transformer", positions=False) < 1e-5
    for runner in ("event-transformer", "event-gru"):
        assert swapped(runner) > 1e-4


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_tiny_rule_is_learned(runner):
    """What comes next is the label after the last event's: (k + 1) mod 6."""
    generator = torch.Generator().manual_seed(0)
    firsts, lasts = torch.randint(0, K, (2, 300), generator=generator).tolist()
    # the events before the last are of one label, so that the layout without positions can know it as well
    sets = [[[first], [first], [last]] if first % 2 else [[last]] for first, last in zip(firsts, lasts, strict=True)]
    if runner == "vanilla-transformer":
        sets = [row[-1:] for row in sets]
    batch = batch_of(sets)
    labels = torch.nn.functional.one_hot((torch.tensor(lasts) + 1) % K, K).float()
    model = model_of(runner, dropout=0.0, head_dropout=0.0).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        model(**part(batch, slice(0, 200)), labels=labels[:200]).loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = model.eval()(**part(batch, slice(200, 300))).logits
    assert (found.argmax(dim=1) == labels[200:].argmax(dim=1)).float().mean() > 0.95


def test_the_authors_transformer_has_the_size_that_was_counted():
    """The paper note's pilot: 439 k parameters at 100 labels, with its 509 users and a table of gaps."""
    model = model_of("vanilla-transformer", num_labels=100, num_users=509, num_amount_bins=8, num_gaps=20)
    assert 430_000 < sum(parameter.numel() for parameter in model.parameters()) < 448_000


def test_some_users_are_unknown_in_training_and_none_otherwise():
    model, users = model_of("event-gru", user_dropout=0.5), torch.full((400,), 3)
    ids = torch.full((400, 1, 1), 2)
    assert torch.equal(model._users(users, ids), users)
    kept = model.train()._users(users, ids)
    assert set(kept.tolist()) == {0, 3} and 120 < (kept == 0).sum() < 280


def test_labels_that_compete_cost_what_their_softmax_says():
    model, batch = model_of("event-gru", label_loss="softmax"), part(batch_of(SETS), slice(0, 1))
    output = model(**batch, label_ids=torch.tensor([[1, 4]]))
    log_p = output.logits[0].log_softmax(dim=0)
    expected = -(log_p[1] + log_p[4]) / (K if model.config.loss_reduction == "mean" else 1)
    assert torch.allclose(output.loss, expected, atol=1e-6)


def test_one_event_in_a_batch_can_be_trained_on():
    model, batch = model_of("vanilla-transformer").train(), part(batch_of(SETS), slice(1, 2))
    assert torch.isfinite(model(**batch, labels=torch.zeros(1, K)).loss)


def test_the_output_bias_starts_at_the_base_rates():
    model = model_of("event-gru")
    model.set_training_statistics(torch.tensor([50.0, 1, 1, 1, 1, 99]), 100)
    assert torch.allclose(model.head.bias.sigmoid()[0], torch.tensor(0.5))
    assert torch.allclose(model.head.bias.sigmoid()[5], torch.tensor(99.5 / 101))


def test_sizes_that_nothing_can_be_built_with_are_refused():
    for name, value in {"hidden_size": 0, "intermediate_size": -1, "causal": True}.items():
        with pytest.raises(StrictDataclassClassValidationError, match=f"`{name}` .*found {value}"):
            EventNetworkConfig(**{name: value})
    for settings in ({"hidden_size": 10}, {"network": "vanilla", "num_heads": 3}):
        with pytest.raises(StrictDataclassClassValidationError, match="`num_heads` must divide"):
            EventNetworkConfig(**settings)
    assert EventNetworkConfig(hidden_size=96, num_heads=3).num_heads == 3  # whatever LANET's tokens would need
    assert EventNetworkConfig(network="gru", num_heads=5).num_heads == 5  # it has none


# -- trained by `train` -----------------------------------------------------------------------------------------------

TINY = {
    "hidden_size": 16, "intermediate_size": 16, "look_back": 3, "num_amount_bins": 3, "user_tokens": True,
    "num_train_epochs": 3, "learning_rate": 0.02, "per_device_train_batch_size": 32, "threshold_kind": "global",
    "use_cpu": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Rows:
    """Targets of 30 customers of the made-up shop, after whole histories."""
    folder = tmp_path_factory.mktemp("rows")
    customers = [json.dumps(customer) for customer in generate_customers(30, seed=1)]
    (folder / "shop").mkdir()
    for split, part_of in (("train", customers[:24]), ("test", customers[24:])):
        (folder / "shop" / f"{split}.jsonl").write_text("\n".join(part_of) + "\n")
    how = Sequences(settings={"targets": "next", "split_by": "given"})
    data = ClaimData("shop", "", ("auc_micro",), sequences=how)
    with own_cache():
        return prepare_rows(data, folder / "shop", folder / "rows", train_size=None, seed=0)


def run(runner: str, rows: Rows, folder: Path, settings: dict) -> tuple[Fitted, dict, np.ndarray]:
    folder.mkdir()
    job = Job(runner, settings, rows, 0, "")
    with own_cache():
        fitted = fit(job, folder / "model")
        result = measure(fitted, job, str(folder / "scores.npz"))
    return fitted, result, np.load(folder / "scores.npz")["scores_NK"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_network_is_trained_by_the_same_trainer_and_forgotten_afterwards(runner, rows, tmp_path):
    fitted, result, scores_NK = run(runner, rows, tmp_path / "first", TINY)
    assert result["metrics"]["auc_micro"] > 0.6  # base rates alone give more
    assert scores_NK.min() >= 0 and scores_NK.max() <= 1 and scores_NK.shape == (result["documents"], 43)
    assert fitted.optimizer_cpu_seconds > 0 and fitted.facts["epochs"] == 3
    assert MODEL_TYPE not in ARCHITECTURES
    again = run(runner, rows, tmp_path / "second", TINY)[2]
    assert np.array_equal(scores_NK, again)


def test_what_is_lanet_s_own_neither_refuses_a_network_nor_changes_it(rows, tmp_path):
    settings = {**TINY, "num_train_epochs": 1, "num_heads": 2}
    own = {
        "embed_dim": 3, "time_reference": "last", "time_encoding": "gap_embedding", "folding": "sum_and_share", "num_time_buckets": 1,
        "label_attention": False, "num_popular_tokens": 0, "ffn_ratio": 0.0, "attention_dropout": 2.0,
    }  # fmt: skip
    with pytest.raises(StrictDataclassClassValidationError):
        LanetConfig(embed_dim=3, folding="sum_and_share")
    assert set(own) <= OF_LANET <= set(config_names(LanetConfig))
    scores = [
        run("event-gru", rows, tmp_path / str(place), {**settings, **more})[2] for place, more in enumerate(({}, own))
    ]
    assert np.array_equal(*scores)


@pytest.mark.parametrize(
    "runner, settings",
    [("tifu-knn", {"num_groups": 3}), *(("next-frequency", {"method": name}) for name in METHODS)],
)
def test_frequency_methods_score_the_rows_that_networks_are_measured_on(runner, settings, rows, tmp_path):
    fitted, result, scores_NK = run(runner, rows, tmp_path / "run", settings)
    assert scores_NK.min() >= 0 and scores_NK.max() <= 1 and scores_NK.shape == (result["documents"], 43)
    assert result["metrics"]["auc_micro"] > 0.6 and result["metrics"]["r@10"] > 10 / 43
    json.dumps(fitted.facts)
