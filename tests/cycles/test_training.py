"""A training in cycles: what the index is made of, what beta does, the numbers that are left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from hf_mlc.cycles import cycle
from hf_mlc.cycles.beta import metric_value
from hf_mlc.cycles.rows import label_table
from hf_mlc.errors import UserError
from hf_mlc.modeling import label_graph
from hf_mlc.modeling.modeling_lightdxml import NOT_SCORED
from hf_mlc.training.results import run_results
from tests.cycles.conftest import NUM_LABELS, rows_of, trainer_of


def index_of(trainer) -> torch.Tensor:
    """What the index must hold: centroids of the training rows by the weights as they are, after the proxy; plainly computed."""
    model, rows = trainer.model.eval(), trainer.train_dataset
    batch = trainer.data_collator([dict(row) for row in rows])
    with torch.no_grad():
        vectors = model.encode(input_ids=batch["input_ids"], token_weights=batch["token_weights"])
        labels = torch.from_numpy(label_table(rows, NUM_LABELS).toarray())
        centroids = labels.T @ vectors / labels.sum(dim=0).clamp(min=1)[:, None]
        return F.normalize(model.proxy(centroids), dim=1)


def test_after_training_the_index_is_of_the_weights_that_are_kept(trained):
    torch.testing.assert_close(trained.model.index_vectors, index_of(trained), rtol=1e-4, atol=1e-5)
    assert trained.model.has_index and trained.state.best_global_step is not None


def test_the_index_of_a_checkpoint_is_that_of_the_cycle_it_stands_in(trained):
    folder = Path(trained.args.output_dir)
    saved = [load_file(folder / f"checkpoint-{step}" / "model.safetensors") for step in (5, 10, 15)]
    made = [torch.from_numpy(np.load(folder / "cycle" / name / "label_vectors.npy")) for name in ("000", "001")]
    for weights, vectors in zip(saved, (made[0], made[0], made[1]), strict=True):
        torch.testing.assert_close(weights["index_vectors"], vectors, rtol=1e-6, atol=1e-6)
    assert (made[0] - made[1]).abs().max() > 1e-3


def test_training_teaches_the_model(tmp_path):
    trainer = trainer_of(
        tmp_path,
        fields={"embed_dim": 32, "shortlist_size": 6, "embedding_dropout": 0.1, "residual_dropout": 0.1},
        rows=(rows_of(200, seed=1), rows_of(60, seed=2)),
        num_train_epochs=8,
        learning_rate=0.02,
    )
    trainer.train()
    found = trainer.evaluate()
    # twelve labels, two a document: by chance one of six first answers is right
    assert found["eval_p@1"] > 0.7, found["eval_p@1"]
    facts = trainer.own_facts()["cycles"]
    recalls = [cost["validation"]["recall@6"] for cost in facts]
    assert recalls[-1] > 0.8 and [cost["cycle"] for cost in facts] == [0, 1, 2, 3, "last"]


@pytest.mark.parametrize("proxy", ["none", "two_layer"])
def test_other_proxies_are_trained_too(tmp_path, proxy):
    trainer = trainer_of(
        tmp_path, fields={"proxy": proxy, "proxy_hidden": 6}, num_train_epochs=2, cycle_dtype="float16"
    )
    trainer.train()
    # half precision on disk
    torch.testing.assert_close(trainer.model.index_vectors, index_of(trainer), rtol=1e-2, atol=1e-2)
    losses = [cost["labels"].get("proxy_loss") for cost in trainer.cycle_facts]
    assert all(loss is None for loss in losses) if proxy == "none" else all(len(loss) == 2 for loss in losses)


def test_beta_is_what_an_evaluation_with_it_says(trained):
    trained.args.beta_metric = "p@1+p@3"
    choice = trained.tune_beta()
    trained.args.beta_metric = "p@5"
    assert choice.num_documents == 16 and len(choice.tried) == len(trained.args.betas)
    values = [metric_value(one, "p@1+p@3") for one in choice.tried]
    assert choice.value == max(values) and trained.model.config.beta == choice.beta
    assert len(set(values)) > 1
    for one in (choice.tried[0], choice.tried[3], choice.tried[-1]):
        trained.model.config.beta = one["beta"]
        found = trained.evaluate()
        for name in ("p@1", "p@5", "psp@3", "ndcg@5"):
            assert found[f"eval_{name}"] == pytest.approx(one[name], abs=1e-6), (one["beta"], name)
    trained.model.config.beta = choice.beta


def test_beta_by_several_metrics_and_an_unknown_one(trained):
    assert metric_value({"p@1": 0.5, "psp@5": 0.25}, "p@1+psp@5") == 0.375
    trained.args.beta_metric = "p@7"
    try:
        with pytest.raises(UserError, match=r"'p@7'.*accepted: p@1"):
            trained.tune_beta()
    finally:
        trained.args.beta_metric = "p@5"


def test_thresholds_are_of_scores_mixed_by_the_beta_that_was_chosen(trained):
    trained.model.config.beta = 0.0
    choice = trained.tune_thresholds()
    assert trained.model.config.beta == trained.beta_choice.beta
    assert trained.evaluate()["eval_f1_micro"] == pytest.approx(choice.value)


def test_beta_and_thresholds_come_from_validation_rows_alone(trained):
    def chosen() -> tuple:
        trained.model.config.beta = 0.5
        thresholds = trained.tune_thresholds()
        return trained.beta_choice.to_dict(), thresholds.to_dict()

    train, validation, expected = trained.train_dataset, trained.eval_dataset, chosen()
    weights = {name: values.clone() for name, values in trained.model.state_dict().items()}
    try:
        trained.train_dataset = rows_of(40, seed=9)
        assert chosen() == expected
        trained.train_dataset = train
        labels = validation["label_ids"][:]
        trained.eval_dataset = validation.remove_columns("label_ids").add_column("label_ids", labels[1:] + labels[:1])
        beta, thresholds = chosen()
        assert beta["tried"] != expected[0]["tried"] and thresholds != expected[1]
    finally:
        trained.train_dataset, trained.eval_dataset = train, validation
        assert chosen() == expected
    assert all(torch.equal(values, weights[name]) for name, values in trained.model.state_dict().items())


def test_results_hold_what_the_cycles_cost_and_the_table_of_betas(trained):
    trained.tune_beta()
    results = run_results(trained)
    assert [one["cycle"] for one in results["cycles"]] == [0, 1, "last"]
    for one in results["cycles"][:2]:
        for phase in ("encode", "labels", "shortlists", "classifier"):
            assert {"seconds", "cpu_seconds"} <= set(one[phase]), phase
        assert 0 < one["shortlists"]["recall@5"] <= 1
    assert {"beta", "p@5", "psp@5"} <= set(results["beta"]["tried"][0])


@pytest.mark.parametrize("trained_before", [False, True])
def test_against_all_labels_no_lists_are_made_and_the_index_at_the_end(tmp_path, trained_before):
    rows = rows_of(40, seed=1, num_labels=NUM_LABELS - 2), rows_of(16, seed=2)
    trainer = trainer_of(tmp_path, rows=rows, num_train_epochs=3, negatives="all", keep_cycle_files=True)
    if trained_before:  # whose index is of other vectors, and of other labels
        trainer.model.set_index(torch.randn_like(trainer.model.index_vectors))
        trainer.model.trained_labels.fill_(True)
    scored, evaluated = [], []

    def note(model, args, inputs, output):
        if model.training:
            scored.append(inputs["candidate_ids"].tolist())
        else:
            evaluated.append((model.has_index, output.candidate_ids, output.logits.shape[1]))
            assert (output.logits[:, -2:] == NOT_SCORED).all()

    with trainer.model.register_forward_hook(note, with_kwargs=True):
        trainer.train()
    assert scored == [list(range(NUM_LABELS - 2))] * 15  # the labels with training rows
    assert evaluated == [(False, None, NUM_LABELS)] * 6  # between epochs, all by the classifier alone
    assert trainer.model.has_index
    torch.testing.assert_close(trainer.model.index_vectors, index_of(trainer), rtol=1e-4, atol=1e-5)
    assert [one["cycle"] for one in trainer.cycle_facts] == [0, "last"]
    assert trainer.cycle_facts[0]["classifier"]["epochs"] == 3 and "shortlists" not in trainer.cycle_facts[0]
    assert {file.name for file in tmp_path.rglob("*.np?")} == {"vectors.npy", "label_vectors.npy", "proxy.npz"}


@pytest.mark.parametrize("shared", [True, False])
def test_against_random_labels_no_list_is_sought_and_the_index_is_made(tmp_path, monkeypatch, shared):
    monkeypatch.setattr(cycle, "fill_shortlists", None)
    trainer = trainer_of(
        tmp_path, fields={"shared_shortlist": shared}, num_train_epochs=3, negatives="random", keep_cycle_files=True
    )
    trainer.train()
    facts = trainer.cycle_facts
    assert [one["cycle"] for one in facts] == [0, 1, "last"] and "shortlists" not in facts[0]
    assert facts[0]["validation"]["recall@5"] > 0
    assert {file.name for file in tmp_path.rglob("*.np?")} == {"vectors.npy", "label_vectors.npy", "proxy.npz"}


def test_that_no_graph_can_be_made_is_said_before_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(label_graph, "hnswlib", None)
    for index, number in (("hnsw", 1), ("exact", 0)):
        trainer = trainer_of(tmp_path / index, fields={"index": index})
        trainer.callback_handler.on_train_begin(trainer.args, trainer.state, trainer.control)
        said = capsys.readouterr().err
        assert said.count("compared with all 12 labels") == said.count("pip install hf_mlc[ann]") == number


def test_all_labels_and_a_list_for_each_document_exclude_each_other(tmp_path):
    with pytest.raises(UserError, match=r"'negatives'.*accepted: shortlist or random"):
        trainer_of(tmp_path, fields={"shared_shortlist": False}, negatives="all")


def test_labels_without_training_rows_are_in_no_list(tmp_path):
    train = rows_of(40, seed=1, num_labels=NUM_LABELS - 2)
    trainer = trainer_of(tmp_path, rows=(train, rows_of(16, seed=2)), num_train_epochs=1, keep_cycle_files=True)
    trainer.train()
    assert trainer.model.trained_labels.tolist() == [True] * 10 + [False] * 2
    lists = np.load(tmp_path / "cycle" / "000" / "shortlists.npy")
    assert lists.dtype == np.int32 and lists.shape == (40, 5) and lists.max() < 10
