"""Groups of layers, their learning rates, and the epochs at which they begin to learn."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.unfreezing import GradualUnfreezing, optimizer_groups, parameter_groups
from tests.common.plant_tester import PlantModelTester
from tests.modeling.model_tester import build


ROOT = Path(__file__).parents[2]
TINY = [
    "--encoder", "awd_lstm", "--hidden_size", "16", "--recurrent_size", "16", "--num_hidden_layers", "2", "--max_length", "32",
    "--disable_tqdm", "true", "--report_to", "none", "--use_cpu", "true", "--max_train_samples", "48",
    "--max_eval_samples", "20", "--per_device_train_batch_size", "8", "--threshold_kind", "none",
]  # fmt: skip


def arguments(corpus, out, *more):
    return ["--dataset_name", str(corpus), "--output_dir", str(out), *TINY, *more]


def weights(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("encoder", ["bag_of_words", "convolution", "gru", "awd_lstm", "transformer"])
def test_groups_run_from_the_embedding_over_the_layers_to_the_head(encoder):
    model = build(PlantModelTester(encoder=encoder))
    groups = parameter_groups(model)
    layers = [] if encoder == "bag_of_words" else ["layer 0", "layer 1"]
    assert list(groups) == ["embedding", *layers, "head"]
    assert sorted(name for names in groups.values() for name in names) == sorted(
        name for name, _ in model.named_parameters()
    )
    assert all("embed" in name for name in groups["embedding"])
    assert not [name for name in groups["head"] if name.startswith("encoder.")]


@pytest.mark.parametrize("model_type", ["distilbert", "roberta", "modernbert", "albert", "deberta-v2", "mistral"])
def test_backbones_of_other_kinds_fall_into_layers_too(model_type):
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 37}
    if model_type == "distilbert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 37}
    special = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
    if model_type == "modernbert":
        special |= {"cls_token_id": 2, "sep_token_id": 3}
    if model_type == "mistral":
        sizes["num_key_value_heads"] = 1
    config = {"model_type": model_type, "vocab_size": 40, **sizes, **special}
    groups = parameter_groups(build(PlantModelTester(encoder="transformer"), text_config=config))
    # the layers of ALBERT are one, used again and again
    layers = ["layer 0"] if model_type == "albert" else ["layer 0", "layer 1"]
    assert list(groups) == ["embedding", *layers, "head"]
    if model_type in ("modernbert", "mistral"):
        assert any("norm" in name and "layers" not in name for name in groups["layer 1"])


def test_every_layer_learns_at_its_own_rate_and_keeps_its_weight_decay():
    model = build(PlantModelTester(encoder="awd_lstm"))
    decayed = [name for name, parameter in model.named_parameters() if parameter.ndim > 1]
    groups = optimizer_groups(model, decayed, learning_rate=1.0, weight_decay=0.1, layer_decay=0.5)
    rates = {group["name"]: group["lr"] for group in groups}
    assert rates == {"head": 1.0, "layer 1": 0.5, "layer 0": 0.25, "embedding": 0.125}
    assert groups[0]["name"] == "head"  # whose rate is logged
    for group in groups:
        assert all((parameter.ndim > 1) == (group["weight_decay"] == 0.1) for parameter in group["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_one_group_more_is_free_after_each_number_of_epochs(tmp_path):
    args = MultiLabelTrainingArguments(
        output_dir=str(tmp_path),
        use_cpu=True,
        eval_strategy="no",
        load_best_model_at_end=False,
        unfreeze_epochs=[1, 0.5],
    )
    schedule = GradualUnfreezing(build(PlantModelTester(encoder="awd_lstm")), args)
    # head, layer 1, layer 0, embedding
    assert [schedule.num_free(epoch) for epoch in (0, 0.99, 1, 1.4, 1.5, 9)] == [1, 1, 2, 2, 4, 4]


def test_parameters_frozen_by_others_stay_frozen():
    model = build(PlantModelTester(encoder="convolution"))
    model.decoder.bias.requires_grad_(False)
    assert "decoder.bias" not in parameter_groups(model)["head"]


def test_the_encoder_stands_still_until_it_is_freed(corpus, tmp_path):
    # 48 rows in batches of 8: 6 steps an epoch
    out = tmp_path / "out"
    more = ["--num_train_epochs", "3", "--unfreeze_epochs", "1", "1", "--layer_learning_rate_decay", "0.5",
            "--save_total_limit", "5", "--learning_rate", "0.05", "--load_best_model_at_end", "false"]  # fmt: skip
    assert run(train, arguments(corpus, out, *more)) == 0
    first, second, third = (weights(out / f"checkpoint-{step}") for step in (6, 12, 18))
    moved = {name for name, value in second.items() if not torch.equal(value, first[name])}
    assert moved == {name for name in first if name.startswith(("decoder.", "encoder.layers.1."))}
    assert {name for name, value in third.items() if not torch.equal(value, second[name])} == set(first)


def test_a_resumed_run_frees_the_same_layers_at_the_same_steps(corpus, tmp_path):
    out = tmp_path / "out"
    # 5 steps into the second of the epochs of 6 steps, one step before the next layer is freed
    saving = ["--eval_strategy", "steps", "--eval_steps", "11", "--save_strategy", "steps", "--save_steps", "11"]
    more = ["--num_train_epochs", "4", "--unfreeze_epochs", "1", "1", "1", "--layer_learning_rate_decay", "0.4",
            "--save_total_limit", "5", "--load_best_model_at_end", "false"]  # fmt: skip
    assert run(train, arguments(corpus, out, *more, *saving)) == 0
    unbroken = weights(out)
    (out / "results.json").unlink()
    for step in (22, 24):  # as if it had been killed after step 11
        shutil.rmtree(out / f"checkpoint-{step}", ignore_errors=True)
    assert run(train, arguments(corpus, out, *more, *saving)) == 0
    assert json.loads((out / "results.json").read_text(encoding="utf-8"))["training"]["resumed"]
    for name, value in weights(out).items():
        assert torch.equal(value, unbroken[name]), name


def test_two_processes_unfreeze_as_one(corpus, tmp_path):
    same = ["--optim", "sgd", "--learning_rate", "0.5", "--max_grad_norm", "0.5", "--num_train_epochs", "3",
            "--unfreeze_epochs", "1", "1", "--layer_learning_rate_decay", "0.9", "--load_best_model_at_end", "false",
            "--embedding_dropout", "0", "--input_dropout", "0", "--hidden_dropout", "0", "--weight_dropout", "0"]  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(train, arguments(corpus, one, *same)) == 0
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = str(sock.getsockname()[1])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", port]
    command = [*launcher, str(ROOT / "scripts/train.py"), *arguments(corpus, two, *same), "--ddp_backend", "gloo"]
    command[command.index("--per_device_train_batch_size") + 1] = "4"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    theirs = weights(two)
    for name, value in weights(one).items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_without_the_arguments_the_optimizer_is_transformers_own(tmp_path):
    from hf_mlc.training.trainer import MultiLabelTrainer

    args = MultiLabelTrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, eval_strategy="no", load_best_model_at_end=False, report_to="none"
    )
    model = build(PlantModelTester(encoder="awd_lstm"))
    trainer = MultiLabelTrainer(model, args, label_space=object(), data_collator=lambda rows: rows)
    assert trainer.unfreezing is None
    assert len(trainer.create_optimizer().param_groups) == 2
