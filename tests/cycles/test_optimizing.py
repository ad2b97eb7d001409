"""One optimizer of two, gradients of a few rows, and the paper's schedule."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from hf_mlc.commands.train_bags import bag_training
from hf_mlc.cycles import callback
from hf_mlc.cycles.optimizers import JointOptimizer, RowAdam, drop_faded, gradient_norm, sparse_parameters
from hf_mlc.cycles.schedule import halving, halving_epochs
from hf_mlc.cycles.trainer import check_exchange
from hf_mlc.errors import UserError
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from tests.cycles.conftest import trainer_of


class Net(nn.Module):
    def __init__(self, sparse: bool):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.layer = nn.Embedding(6, 3, sparse=sparse), nn.Linear(3, 1)

    def forward(self, ids):
        return self.layer(self.table(ids)).square().sum()


def joint(net: Net) -> JointOptimizer:
    tables = sparse_parameters(net)
    return JointOptimizer([torch.optim.AdamW(net.layer.parameters(), lr=0.1), RowAdam(tables, lr=0.1)])


def test_rows_that_were_not_looked_up_stay_and_the_schedule_reaches_both_parts():
    net = Net(sparse=True)
    before, optimizer = copy.deepcopy(net), joint(net)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    net(torch.tensor([0, 2, 2])).backward()
    optimizer.step()
    schedule.step()
    changed = (net.table.weight != before.table.weight).any(dim=1)
    assert changed.tolist() == [True, False, True, False, False, False]
    assert (net.layer.weight != before.layer.weight).any()
    assert [group["lr"] for part in optimizer.parts for group in part.param_groups] == [0.05, 0.05]
    optimizer.zero_grad()
    assert net.table.weight.grad is None and net.layer.weight.grad is None


def test_the_steps_of_rows_are_those_of_torchs_own():
    ours, theirs = Net(sparse=True), Net(sparse=True)
    optimizers = [RowAdam([ours.table.weight], lr=0.1), torch.optim.SparseAdam([theirs.table.weight], lr=0.1)]
    for step in range(5):
        for net, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            net(torch.tensor([step % 3, 4, 4])).backward()
            optimizer.step()
    torch.testing.assert_close(ours.table.weight, theirs.table.weight)


def test_a_saved_state_goes_on_as_the_unbroken_one(tmp_path):
    def steps(net, optimizer, number):
        for step in range(number):
            optimizer.zero_grad()
            net(torch.tensor([step % 6, 1])).backward()
            optimizer.step()

    whole, first = Net(sparse=True), Net(sparse=True)
    steps(whole, one := joint(whole), 2)
    steps(whole, one, 2)
    steps(first, before := joint(first), 2)
    torch.save(before.state_dict(), tmp_path / "state.pt")
    second = copy.deepcopy(first)
    after = joint(second)
    after.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    after.param_groups[0]["lr"] = 0.1  # the groups are still those of the parts
    assert after.param_groups[0] is after.parts[0].param_groups[0]
    steps(second, after, 2)
    for ours, theirs in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_gradients_length_is_that_of_dense_ones_and_is_cut_alike():
    dense, sparse = Net(sparse=False), Net(sparse=True)
    for net in (dense, sparse):
        net(torch.tensor([4, 4, 1])).backward()
    expected = nn.utils.clip_grad_norm_(dense.parameters(), 0.5)
    found = gradient_norm(list(sparse.parameters()), clip_to=0.5)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(sparse.table.weight.grad.to_dense(), dense.table.weight.grad)
    assert gradient_norm(list(sparse.parameters())).item() == pytest.approx(0.5, rel=1e-4)


def test_gradients_of_half_precision_are_cut_by_their_true_length(tmp_path):
    trainer = trainer_of(tmp_path, fields={"sparse_gradients": True}, max_grad_norm=1.0)
    batch = trainer.data_collator([dict(row) for row in trainer.train_dataset])
    inputs = {name: batch[name] for name in ("input_ids", "token_weights", "label_ids")}
    parameters, scale = list(trainer.model.parameters()), 2.0**14
    (trainer.model(**inputs).loss * scale * 1e-3).backward()  # short gradients, as the scaler leaves them
    loose = [table.grad.to_dense() / scale for table in sparse_parameters(trainer.model)]
    calls = []

    def unscaled():
        calls.append(1)
        for parameter in parameters:
            parameter.grad = None if parameter.grad is None else parameter.grad / scale

    trainer.accelerator.unscale_gradients = unscaled
    assert trainer._clip_grad_norm(trainer.model).item() < 1.0
    assert calls == [1]
    for table, expected in zip(sparse_parameters(trainer.model), loose, strict=True):
        torch.testing.assert_close(table.grad.to_dense(), expected)


def test_memory_that_has_faded_is_dropped_and_nothing_else():
    net = Net(sparse=False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.0)
    net(torch.tensor([0, 1])).backward()
    optimizer.step()
    mean = optimizer.state[net.table.weight]["exp_avg"]
    kept = mean[1].clone()
    mean[0] = torch.tensor([1e-40, -1e-33, 1e-29])
    sparse = joint(Net(sparse=True))
    drop_faded(JointOptimizer([optimizer, *sparse.parts]))
    assert torch.equal(mean[0], torch.tensor([0.0, 0.0, 1e-29]))
    assert torch.equal(mean[1], kept) and kept.any()


def test_in_training_no_number_of_adams_memory_fades_to_a_denormal_one(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(callback, "drop_faded", calls.append)
    monkeypatch.setattr(callback, "FADED_STEPS", 4)
    trainer = trainer_of(tmp_path, num_train_epochs=2)
    trainer.train()
    assert len(calls) == 2 and calls[0] is trainer.optimizer  # at the steps 4 and 8 of ten


@pytest.mark.parametrize("sparse", [True, False])
def test_gradients_of_a_few_rows_are_exchanged_by_gloo_alone(tmp_path, monkeypatch, sparse):
    model = trainer_of(tmp_path, fields={"sparse_gradients": sparse}).model
    check_exchange(model, "gloo")
    monkeypatch.setattr(MultiLabelTrainingArguments, "world_size", 2)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_backend", lambda: "nccl")
    if sparse:
        with pytest.raises(UserError, match=r"'sparse_gradients'.*'nccl'.*accepted: --sparse_gradients false"):
            trainer_of(tmp_path, fields={"sparse_gradients": True})
    else:
        check_exchange(model, "nccl")


def test_the_papers_epochs_of_halving():
    assert halving_epochs(14, 31) == [14, 21, 25, 30]
    assert halving_epochs(8, 21) == [8, 10, 15, 20]
    factor = halving(2, 10, 40)
    assert [factor(step) for step in (0, 19, 20, 39)] == [1.0, 1.0, 0.5, 0.5]


def test_a_training_halves_its_rate(tmp_path):
    trainer = trainer_of(tmp_path, halving_step=1, num_train_epochs=2, learning_rate=0.02, logging_steps=5)
    trainer.train()
    # the second epoch's rate; a step of 1 becomes one of 5 epochs
    assert [row["learning_rate"] for row in trainer.state.log_history if "learning_rate" in row] == [0.02, 0.01]


def test_a_training_of_so_many_steps_halves_its_rate_too(tmp_path):
    trainer = trainer_of(tmp_path, halving_step=1, max_steps=10, learning_rate=0.02, logging_steps=5)
    trainer.train()
    assert [row["learning_rate"] for row in trainer.state.log_history if "learning_rate" in row] == [0.02, 0.01]


def test_with_sparse_gradients_a_training_is_one_too(tmp_path):
    sparse = trainer_of(tmp_path / "sparse", fields={"sparse_gradients": True}, max_grad_norm=1.0)
    assert len(sparse_parameters(sparse.model)) == 3  # tokens, classifier, its biases
    sparse.train()
    assert isinstance(sparse.optimizer.optimizer, JointOptimizer)
    history = [row["loss"] for row in sparse.state.log_history if "loss" in row] or [sparse.state.log_history[-1]]
    found = sparse.evaluate()
    dense = trainer_of(tmp_path / "dense", fields={"sparse_gradients": False}, max_grad_norm=1.0)
    dense.train()
    # Adam's memory of rows that no batch looked up is all that tells them apart
    assert found["eval_loss"] == pytest.approx(dense.evaluate()["eval_loss"], rel=0.2) and history


@pytest.mark.parametrize("sparse", [False, True])
def test_token_vectors_learn_at_a_rate_of_their_own(tmp_path, sparse):
    trainer = trainer_of(
        tmp_path, fields={"sparse_gradients": sparse}, learning_rate=0.02, token_learning_rate_scale=5.0
    )
    model, optimizer = trainer.model.train(), trainer.create_optimizer()
    assert isinstance(optimizer, JointOptimizer) and len(optimizer.parts) == 2
    tables = {"tokens": model.get_input_embeddings().weight, "labels": model.classifier.weight}
    rates = {id(value): group["lr"] for group in optimizer.param_groups for value in group["params"]}
    assert rates.keys() == {id(value) for value in model.parameters()}
    assert rates.pop(id(tables["tokens"])) == pytest.approx(0.1) and set(rates.values()) == {0.02}
    before = {name: table.detach().clone() for name, table in tables.items()}
    schedule = trainer.create_scheduler(10)
    batch = trainer.data_collator([dict(row) for row in trainer.train_dataset])
    inputs = {name: batch[name] for name in ("input_ids", "token_weights", "label_ids")}
    model(**inputs, candidate_ids=torch.arange(12)).loss.backward()
    optimizer.step()
    # Adam's first step is as long as the rate
    for name, rate in (("tokens", 0.1), ("labels", 0.02)):
        assert (tables[name] - before[name]).abs().max().item() == pytest.approx(rate, rel=1e-3)
    schedule.step()
    assert {round(group["lr"], 9) for group in optimizer.param_groups} == {0.09, 0.018}


def test_at_the_rate_of_everything_else_there_is_one_optimizer(tmp_path):
    trainer = trainer_of(tmp_path, fields={"sparse_gradients": False})
    assert not isinstance(trainer.create_optimizer(), JointOptimizer)


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("betas", [0.5, 1.5], "numbers from 0 to 1"),
        ("negatives", "hard", "shortlist, random, all"),
        ("token_start", "zeros", "random, label_factors"),
        ("token_learning_rate_scale", 0.0, "above 0"),
        ("cycle_dtype", "bfloat16", "float32, float16"),
        ("random_negatives", -1, "a whole number from 0"),
        ("cycle_batch_size", 0, "a whole number from 1"),
        ("halving_step", 0, "a whole number from 1"),
        ("metric_for_best_model", "p@7", "p@1, p@3, p@5, r@1"),
        ("metric_for_best_model", "eval_psp@2@1-5", "p@1, p@3, p@5, r@1"),
    ],
)
def test_values_that_there_cannot_be_are_refused(tmp_path, field, value, accepted):
    with pytest.raises(UserError, match=f"'{field}'.*accepted: {accepted}"):
        MultiLabelTrainingArguments(output_dir=str(tmp_path), use_cpu=True, **{field: value})


def test_a_metric_for_beta_that_is_not_measured_is_refused_before_training(tmp_path):
    for metric in ("p@7", "precision@5", "p@5+psp@2"):
        with pytest.raises(UserError, match=r"'beta_metric': '\S+' is no metric.*accepted: p@1, p@3, p@5, r@1"):
            trainer_of(tmp_path, beta_metric=metric)
    assert trainer_of(tmp_path, beta_metric="p@7", betas=[]).args.betas == []  # nothing is chosen by it
    assert trainer_of(tmp_path, ranking_ks=[1, 10]).args.beta_metric == "p@10"
    assert trainer_of(tmp_path).args.beta_metric == "p@5"


def test_the_checkpoint_of_bags_is_picked_by_what_is_measured():
    assert bag_training({})["metric_for_best_model"] == "p@5"
    assert bag_training({"ranking_ks": [1, 10]})["metric_for_best_model"] == "p@10"
