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
from transformers import set_seed

import hf_mlc


# arguments: with or without the package, the folder that holds one folder a model, the file to report in
PROBE = """
import json, os, sys
WITH_PACKAGE, root, report_file = sys.argv[1] == "with", sys.argv[2], sys.argv[3]
if not WITH_PACKAGE:
    class NoPackage:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "hf_mlc":
                raise ModuleNotFoundError("No module named 'hf_mlc'", name="hf_mlc")
    sys.meta_path.insert(0, NoPackage())
else:
    import hf_mlc
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

report = {}
for name in sorted(os.listdir(root)):
    folder, found = os.path.join(root, name), {}
    tensors = load_file(os.path.join(folder, "inputs_and_logits.safetensors"))
    expected = tensors.pop("expected")
    classes = [getattr(__import__("transformers"), auto) for auto in json.load(open(os.path.join(folder, "autos.json")))]
    for auto in classes:
        try:
            auto.from_pretrained(folder)
            found[auto.__name__ + " plain"] = "opened"
        except ValueError as error:
            found[auto.__name__ + " plain"] = f"ValueError: {error}"
        model = auto.from_pretrained(folder, **({} if WITH_PACKAGE else {"trust_remote_code": True}))
        with torch.no_grad():
            found[auto.__name__] = (model(**tensors).logits - expected).abs().max().item()
        found["module"] = type(model).__module__
    config = AutoConfig.from_pretrained(folder, **({} if WITH_PACKAGE else {"trust_remote_code": True}))
    found["config"] = type(config).__name__
    report[name] = found
report["hf_mlc loaded"] = "hf_mlc" in sys.modules
with open(report_file, "w") as file:
    json.dump(report, file)
"""


@pytest.fixture(scope="class")
def saved_models(request, tmp_path_factory):
    """A folder of model folders, each with inputs and the logits they must give."""
    root = tmp_path_factory.mktemp("saved")
    hf_mlc.auto.register()
    for tester in request.cls.testers:
        set_seed(0)
        model = tester.model_class(tester.get_config()).eval()
        folder = root / str(tester)
        model.save_pretrained(folder)
        batch = tester.collate(tester.documents(), extra=1)
        with torch.no_grad():
            expected = model(**batch).logits
        save_file({**batch, "expected": expected}, folder / "inputs_and_logits.safetensors")
        (folder / "autos.json").write_text(json.dumps(model.auto_classes), encoding="utf-8")
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
        [sys.executable, "-I", "-c", PROBE, kind, str(saved_models), str(report)],
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,  # nobody there to answer "do you wish to run the custom code?"
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return json.loads(report.read_text(encoding="utf-8"))
