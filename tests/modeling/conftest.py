"""Fixtures of the architectures' common tests: models saved once a test class and opened in fresh processes.

A process takes seconds to start, so one of each kind opens the folders of all testers of a class.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, set_seed

import hf_mlc


PROBE = Path(__file__).with_name("probe.py")


def text_of(document: tuple[int, ...]) -> str:
    """A document of token ids as words that `word_tokenizer` turns into the same ids."""
    return " ".join(f"w{token}" for token in document)


def word_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """Token n is the word "wn"; 0 is padding, 1 every other word."""
    words = {f"w{token}": token for token in range(2, vocab_size)}
    backend = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, **words}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=16,
        model_input_names=["input_ids", "attention_mask"],
    )


@pytest.fixture(scope="class")
def saved_models(request, tmp_path_factory):
    """A folder of model folders, each with inputs and the logits they must give, or texts and what becomes of them."""
    root = tmp_path_factory.mktemp("saved")
    hf_mlc.auto.register()
    for tester in request.cls.testers:
        set_seed(0)
        config = tester.get_config()
        if getattr(config, "decision", "thresholds") != "thresholds":
            config.min_labels = 1  # an untrained search may end at once, and no label says little about a pipeline
        model = tester.model_class(config).eval()
        folder = root / str(tester)
        model.save_pretrained(folder)
        batch = tester.collate(tester.documents(), extra=1)
        with torch.no_grad():
            output = model(**batch)
            logits = output.logits
        save_file({**batch, "expected": logits}, folder / "inputs_and_logits.safetensors")
        expected = {"auto_classes": model.auto_classes, "texts": []}
        if "text" in model.input_modalities:
            word_tokenizer(tester.vocab_size).save_pretrained(folder)
            names, scores = model.config.id2label, logits.sigmoid()
            chosen = [row.nonzero().flatten().tolist() for row in model.decide_output(output)]
            expected["texts"] = [text_of(document) for document in tester.documents()]
            expected["scores"] = [dict(zip(names.values(), row.tolist(), strict=True)) for row in scores]
            expected["chosen"] = [
                [names[number] for number in sorted(ids, key=lambda number, row=row: -row[number])]
                for ids, row in zip(chosen, scores.tolist(), strict=True)
            ]
        (folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    return root


@pytest.fixture(scope="class")
def with_package(saved_models, tmp_path_factory):
    return _probe("with", saved_models, tmp_path_factory.mktemp("home_with"))


@pytest.fixture(scope="class")
def without_package(saved_models, tmp_path_factory):
    return _probe("without", saved_models, tmp_path_factory.mktemp("home_without"))


def _probe(kind: str, saved_models: Path, home: Path) -> dict:
    report = home / "report.json"
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(home),
        "HF_MODULES_CACHE": str(home / "modules"),
    }
    result = subprocess.run(
        [sys.executable, "-I", str(PROBE), kind, str(saved_models), str(report)],
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,  # nobody there to answer "do you wish to run the custom code?"
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return json.loads(report.read_text(encoding="utf-8"))
