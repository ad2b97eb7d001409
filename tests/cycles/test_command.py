"""`train --model_type lightdxml`: the same command goes on after a kill; what it leaves behind."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.cycles import cycle as cycle_module
from hf_mlc.cycles.arguments import without_cycles
from hf_mlc.inference import load_model


class Killed(BaseException):
    """Not an `Exception`: nothing on the way may catch it."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Rows of sparse features in the extreme-classification repository's format: 60 to train on, 20 to test on."""
    folder, rng = tmp_path_factory.mktemp("sparse"), np.random.default_rng(0)
    for split, number in (("train", 60), ("test", 20)):
        lines = [f"{number} 40 12"]
        for _ in range(number):
            labels = np.sort(rng.choice(12, rng.integers(1, 4), replace=False))
            features = np.unique(np.concatenate([3 * labels, 3 * labels + 1, rng.integers(40, size=2)]))
            weights = " ".join(f"{one}:{rng.uniform(0.5, 1.5):.3f}" for one in features)
            lines.append(f"{','.join(map(str, labels))} {weights}")
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def command(files, output, *further) -> list[str]:
    given = {
        "model_type": "lightdxml", "encoder": "features", "train_file": files / "train.txt",
        "test_file": files / "test.txt", "output_dir": output, "embed_dim": 8, "shortlist_size": 5, "cycle_epochs": 1,
        "num_train_epochs": 2, "per_device_train_batch_size": 16, "disable_tqdm": "true", "use_cpu": "true",
        "beta_metric": "p@1+psp@3",
    }  # fmt: skip
    return [*(str(word) for name, value in given.items() for word in (f"--{name}", value)), *further]


def test_the_same_command_goes_on_after_a_kill(files, tmp_path, monkeypatch):
    assert run(train, command(files, tmp_path / "whole")) == 0
    calls = []

    def dying(*args, original=cycle_module.fill_shortlists, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(cycle_module, "fill_shortlists", dying)
        with pytest.raises(Killed):
            run(train, command(files, tmp_path / "killed"))
    assert (tmp_path / "killed" / "cycle" / "001" / "vectors.npy").exists()
    assert run(train, command(files, tmp_path / "killed")) == 0
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())
    found = [
        json.loads((tmp_path / name / "results.json").read_text(encoding="utf-8")) for name in ("whole", "killed")
    ]
    for results in found:
        assert [one["cycle"] for one in results["cycles"]] == [0, 1, "last"]
        assert results["beta"]["metric"] == "p@1+psp@3" and results["thresholds"] is not None
    assert found[0]["validation"]["p@1"] == found[1]["validation"]["p@1"] and found[0]["beta"] == found[1]["beta"]
    assert load_model(str(tmp_path / "whole")).model.config.beta == found[0]["beta"]["beta"]
    assert not (tmp_path / "whole" / "cycle").exists() and not (tmp_path / "killed" / "cycle").exists()


def test_a_second_training_on_all_rows_keeps_the_beta_that_was_chosen(files, tmp_path):
    assert run(train, command(files, tmp_path / "out", "--refit", "true", "--betas", "0.25")) == 0
    assert load_model(str(tmp_path / "out")).model.config.beta == 0.25
    assert not (tmp_path / "out" / "refit").exists()


def test_a_grid_that_cannot_be_is_one_line(files, tmp_path, capsys):
    assert run(train, command(files, tmp_path / "out", "--betas", "0.5", "2")) == 2
    assert "field 'betas': found [0.5, 2.0]; accepted: numbers from 0 to 1" in capsys.readouterr().err


def test_arguments_of_cycles_are_without_effect_on_others():
    given = ["betas", "learning_rate", "token_learning_rate_scale", "token_start"]
    lightdxml, transformer = SimpleNamespace(model_type="lightdxml"), SimpleNamespace(model_type="lightdxml")
    lightdxml.encoder, transformer.encoder = "tfidf", "transformer"
    tokens = ["token_learning_rate_scale", "token_start"]
    assert without_cycles(given, SimpleNamespace(model_type="plant"), is_new=True) == ["betas", *tokens]
    assert without_cycles(given, lightdxml, is_new=True) == []
    assert without_cycles(given, lightdxml, is_new=False) == ["token_start"]
    assert without_cycles(given, transformer, is_new=True) == tokens


def test_token_vectors_begin_in_one_way(files, tmp_path, capsys):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("one 1.0 2.0\n", encoding="utf-8")
    further = ["--token_start", "label_factors", "--word_vectors", str(vectors)]
    assert run(train, command(files, tmp_path / "out", *further)) == 2
    error = capsys.readouterr().err
    assert "field 'token_start': brings its own word vectors; accepted: none beside word_vectors" in error
