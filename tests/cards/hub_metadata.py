"""The checks of the Hub's own metadata validation that can be made without it, as its documentation describes them.

Sources: hub-docs `modelcard.md` (the specification of the metadata block), "Model Cards", "Licenses" and "Tasks" of the
Hub's documentation, and `model_index_to_eval_results` of huggingface_hub for the required keys of a model-index.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from huggingface_hub import ModelCard
from huggingface_hub.repocard import metadata_load
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from huggingface_hub.utils import validate_repo_id


LICENSES = {
    "apache-2.0", "mit", "openrail", "bigscience-openrail-m", "bsd", "bsd-2-clause", "bsd-3-clause", "cc", "cc0-1.0",
    "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
    "cc-by-nc-nd-4.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "unlicense", "odbl", "unknown", "other",
}  # fmt: skip
DATASET_TYPE = re.compile(r"(?:[\w-]+/)?[\w.-]+")


# of the Hub's, those that our kinds of input have
TASKS = ("text-classification", "tabular-classification", "image-classification")


def check_metadata(card: Path) -> dict:
    """Asserts that a card's metadata is such as the Hub takes; returns it."""
    metadata = metadata_load(card)
    assert isinstance(metadata, dict)
    for key in ("tags", "metrics", "datasets"):
        assert all(isinstance(value, str) for value in metadata.get(key, [])), key
    languages = metadata.get("language", [])
    for language in [languages] if isinstance(languages, str) else languages:
        assert re.fullmatch(r"[a-z]{2,3}", language)
    assert metadata.get("license", "other") in LICENSES
    if metadata.get("license") == "other":
        assert re.fullmatch(r"[a-z0-9.-]+", metadata["license_name"])
        assert metadata["license_link"] == "LICENSE" or metadata["license_link"].startswith("https://")
    base_models = metadata.get("base_model", [])
    for name in [base_models] if isinstance(base_models, str) else base_models:
        validate_repo_id(name)
    for name in metadata.get("datasets", []):
        validate_repo_id(name)
    assert metadata["library_name"] == "transformers" and metadata["pipeline_tag"] in TASKS
    for entry in metadata.get("widget", []):
        assert set(entry) <= {"text", "example_title"} and isinstance(entry["text"], str)
    for model in metadata.get("model-index", []):
        assert isinstance(model["name"], str) and model["results"]
        for result in model["results"]:
            assert isinstance(result["task"]["type"], str)
            assert isinstance(result["dataset"]["name"], str) and DATASET_TYPE.fullmatch(result["dataset"]["type"])
            for metric in result["metrics"]:
                assert isinstance(metric["type"], str) and isinstance(metric["value"], float)
                assert math.isfinite(metric["value"])
    if "model-index" in metadata:  # what huggingface_hub reads out of it and writes again is the same
        name, results = model_index_to_eval_results(metadata["model-index"])
        assert eval_results_to_model_index(name, results) == metadata["model-index"]
    assert ModelCard.load(card).data.to_dict() == metadata
    return metadata
