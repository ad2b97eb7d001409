"""What a fresh process finds in saved models' folders, written to a report; conftest.py runs it.

Arguments: "with" or "without" the package, the folder that holds one folder a model, the file to report in.
"""

import json
import os
import sys

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, pipeline


WITH_PACKAGE, root, report_file = sys.argv[1] == "with", sys.argv[2], sys.argv[3]


class NoPackage:
    """As if hf_mlc were not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hf_mlc":
            raise ModuleNotFoundError("No module named 'hf_mlc'", name="hf_mlc")


if WITH_PACKAGE:
    import hf_mlc  # noqa: F401
else:
    sys.meta_path.insert(0, NoPackage())

TRUST = {} if WITH_PACKAGE else {"trust_remote_code": True}


def auto_classes(folder: str, names: list[str]) -> dict:
    """How far the logits are from those expected, by Auto class, and what each says without trust."""
    tensors = load_file(os.path.join(folder, "inputs_and_logits.safetensors"))
    expected, found = tensors.pop("expected"), {}
    for name in names:
        auto = getattr(transformers, name)
        try:
            auto.from_pretrained(folder)
            found[f"{name} plain"] = "opened"
        except ValueError as error:
            found[f"{name} plain"] = f"ValueError: {error}"
        model = auto.from_pretrained(folder, **TRUST)
        with torch.no_grad():
            found[name] = (model(**tensors).logits - expected).abs().max().item()
        found["module"] = type(model).__module__
    found["config"] = type(AutoConfig.from_pretrained(folder, **TRUST)).__name__
    return found


def pipelines(folder: str, texts: list[str]) -> dict:
    """What the pipelines answer, named and not, and from the folder that one of them saved."""
    named = pipeline("multi-label-classification", model=folder, **TRUST)
    found = {"class": f"{type(named).__module__}.{type(named).__name__}", "named": named(texts, batch_size=2)}
    try:
        pipeline("multi-label-classification", model=folder)
        found["plain"] = "opened"
    except ValueError as error:
        found["plain"] = f"ValueError: {error}"
    found["with trust"] = pipeline(model=folder, trust_remote_code=True)(texts)
    if named.model.has_token_weights:
        found["explained"] = named(texts[0], top_k=2, explain=1)
    named.save_pretrained(f"{report_file}-again")
    found["saved again"] = pipeline(model=f"{report_file}-again", **TRUST)(texts)
    found["stock"] = pipeline("text-classification", model=folder, top_k=None, **TRUST)(texts)
    AutoModel.from_pretrained(f"{report_file}-again", **TRUST)
    return found


report = {}
for folder_name in sorted(os.listdir(root)):
    model_folder = os.path.join(root, folder_name)
    with open(os.path.join(model_folder, "expected.json"), encoding="utf-8") as file:
        facts = json.load(file)
    report[folder_name] = auto_classes(model_folder, facts["auto_classes"])
    if facts["texts"]:
        report[folder_name]["pipelines"] = pipelines(model_folder, facts["texts"])
report["hf_mlc loaded"] = "hf_mlc" in sys.modules
report["remote modules"] = sorted(name for name in sys.modules if name.startswith("transformers_modules."))
with open(report_file, "w", encoding="utf-8") as file:
    json.dump(report, file)
