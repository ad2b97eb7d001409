"""Part of `MultiLabelModelTesterMixin`: a saved folder opens in a process that has only it, with our package or without.

A process takes seconds to start, so one of each kind opens the folders of all testers, and the tests look at what it
reported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from transformers import set_seed

import hf_mlc


# argument: the folder that holds one folder a model; prints one JSON line
PROBE = """
import json, os, sys
WITH_PACKAGE, root = sys.argv[1] == "with", sys.argv[2]
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
print(json.dumps(report))
"""


class FreshProcessTesterMixin:
    """Both ways to reach our code, and what is said when neither is open."""

    @pytest.fixture(scope="class")
    def saved_models(self, tmp_path_factory):
        """A folder of model folders, each with inputs and the logits they must give."""
        root = tmp_path_factory.mktemp("saved")
        hf_mlc.auto.register()
        for tester in self.testers:
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

    def _probe(self, saved_models, tmp_path_factory, kind: str) -> dict:
        home = tmp_path_factory.mktemp(f"home_{kind}")
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "HF_MODULES_CACHE": str(home / "m")}
        command = [sys.executable, "-I", "-c", PROBE, kind, str(saved_models)]
        result = subprocess.run(
            command, env=environment, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
        )
        assert result.returncode == 0, result.stderr[-4000:]
        return json.loads(result.stdout.splitlines()[-1])

    @pytest.fixture(scope="class")
    def with_package(self, saved_models, tmp_path_factory):
        return self._probe(saved_models, tmp_path_factory, "with")

    @pytest.fixture(scope="class")
    def without_package(self, saved_models, tmp_path_factory):
        return self._probe(saved_models, tmp_path_factory, "without")

    def test_importing_the_package_is_enough_for_the_auto_classes(self, tester, with_package):
        found = with_package[str(tester)]
        assert with_package["hf_mlc loaded"]
        assert found["config"] == tester.config_class.__name__
        # our own class, not the copy beside the weights
        assert found["module"] == tester.model_class.__module__
        for auto in tester.model_class.auto_classes:
            assert found[auto] < 1e-6
            assert found[f"{auto} plain"] == "opened"

    def test_without_the_package_the_folder_brings_its_own_code(self, tester, without_package):
        found = without_package[str(tester)]
        assert not without_package["hf_mlc loaded"]
        assert found["config"] == tester.config_class.__name__
        assert found["module"].startswith("transformers_modules.")
        for auto in tester.model_class.auto_classes:
            assert found[auto] < 1e-6

    def test_without_package_and_without_trust_the_error_says_what_to_do(self, tester, without_package):
        for auto in tester.model_class.auto_classes:
            message = without_package[str(tester)][f"{auto} plain"]
            assert message.startswith("ValueError")
            assert "trust_remote_code=True" in message
