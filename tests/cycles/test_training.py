"""A training in cycles: what the index is made of, what beta does, the numbers that are left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from hf_mlc.cycles.beta import metric_value
from hf_mlc.cycles.rows import label_table
from hf_mlc.errors import UserError
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
    losses = [cost["labels"].get("proxy_loss") for cost in trainer.costs]
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


def test_results_hold_what_the_cycles_cost_and_the_table_of_betas(trained):
    trained.tune_beta()
    results = run_results(trained)
    assert [one["cycle"] for one in results["cycles"]] == [0, 1, "last"]
    for one in results["cycles"][:2]:
        for phase in ("encode", "labels", "shortlists", "classifier"):
            assert {"seconds", "cpu_seconds"} <= set(one[phase]), phase
        assert 0 < one["shortlists"]["recall@5"] <= 1
    assert {"beta", "p@5", "psp@5"} <= set(results["beta"]["tried"][0])


def test_labels_without_training_rows_are_in_no_list(tmp_path):
    train = rows_of(40, seed=1, num_labels=NUM_LABELS - 2)
    trainer = trainer_of(tmp_path, rows=(train, rows_of(16, seed=2)), num_train_epochs=1, keep_cycle_files=True)
    trainer.train()
    assert trainer.model.trained_labels.tolist() == [True] * 10 + [False] * 2
    lists = np.load(tmp_path / "cycle" / "000" / "shortlists.npy")
    assert lists.dtype == np.int32 and lists.shape == (40, 5) and lists.max() < 10
