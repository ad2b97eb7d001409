"""A model of this package, by the very command that a user types: `train`, without a look at the test split."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml

from hf_mlc.auto import ARCHITECTURES
from hf_mlc.commands.train import main as train
from hf_mlc.comparing.arms import Fitted, Job, Scored
from hf_mlc.comparing.event_rows import LONGEST_SEQUENCE
from hf_mlc.comparing.latency import TOP_K, Timing
from hf_mlc.errors import UserError
from hf_mlc.folder_files import RESULTS_FILE
from hf_mlc.inference import LoadedModel, encoded_batches, load_model, scored_batches
from hf_mlc.inputs import SPARSE
from hf_mlc.modeling.answers import choose_labels
from hf_mlc.modeling.configuration_ensemble import MEMBER_CONFIGS
from hf_mlc.modeling.label_graph import GRAPH_FILE
from hf_mlc.modeling.modeling_ensemble import MEMBER_MODELS
from hf_mlc.run_facts import seconds_before_resuming, sum_of_costs
from hf_mlc.tabular.feature_files import read_feature_file


TEXTS_AT_ONCE = 1024  # sorted by length together, as `evaluate` does
# what the comparison decides; a recipe's columns are those of the data, of which every arm is given rows written anew
OF_THE_RUN = {
    "dataset_name", "train_file", "validation_file", "test_file", "text_column", "labels_column", "labels_separator",
    "label_columns", "features_column", "feature_columns", "id_column", "label_file", "output_dir", "do_predict", "seed",
    "validation_fraction", "push_to_hub",
}  # fmt: skip


def fit(job: Job, folder: Path) -> Fitted:
    """Trains by the job's settings; the model is left in `folder`."""
    settings = {name: value for name, value in job.settings.items() if name not in OF_THE_RUN}
    settings = {"disable_tqdm": True, "report_to": "none", "save_total_limit": 1} | settings
    settings |= {
        "train_file": job.rows.train,
        "validation_file": job.rows.validation,
        "label_file": job.rows.labels,
        "output_dir": str(folder),
        "planting_cache": str(folder.parent / "planting"),  # arms that differ in training alone plant the same
        "seed": job.seed,
    }
    if job.rows.is_events:
        settings |= {"events_column": "events", "event_targets": "column"}
        if settings.get("causal"):  # predicts every set of a training sequence, and so has each once
            settings |= {"train_file": job.rows.train_sequences, "max_history": LONGEST_SEQUENCE}
    if job.rows.meta_file is not None and settings.get("encoder") == SPARSE.name:
        settings = {"num_features": len(read_feature_file(job.rows.meta_file).names)} | settings
    elif job.rows.meta_file is not None:
        settings = {"feature_file": job.rows.meta_file} | settings
    recipe = folder.with_name(f"{folder.name}.yaml")
    recipe.write_text(yaml.safe_dump(settings), encoding="utf-8")
    _train(recipe, folder)
    results = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    if results["thresholds"] is None:
        raise UserError("found none", field="threshold_kind", accepted="thresholds tuned on validation rows")
    loaded = load_model(str(folder))
    split = getattr(loaded.model, "parameter_split", None)  # of models that relate labels
    trainings = [results["training"], *([results["refit"]] if results["refit"] else [])]
    return Fitted(
        score=scoring(loaded, settings),
        timed=functools.partial(timed, loaded),
        thresholds=loaded.model.config.thresholds,
        min_labels=loaded.model.config.min_labels,
        parameters=results["parameters"],
        model_bytes=bytes_of_model(folder),
        parameter_parts=None if split is None else split(),
        optimizer_cpu_seconds=round(sum(training["cpu_seconds"] for training in trainings), 2),
        facts={
            "epochs": results["training"]["epochs"],
            "steps": results["training"]["steps"],
            "best_step": results["training"]["best_step"],
            **({"resumed": True} if any(training["resumed"] for training in trainings) else {}),
            "validation": _few(results["validation"]),
            **({"planting": results["planting"]} if results.get("planting") else {}),
        },
        spared=sum_of_costs((results.get("planting") or {}).get("from_cache"), seconds_before_resuming(*trainings)),
    )


def before_resuming(folder: Path) -> dict[str, float] | None:
    """What other processes trained of the run in `folder`, up to the checkpoints that it was resumed from."""
    results = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    return seconds_before_resuming(results["training"], results["refit"])


def _train(recipe: Path, folder: Path) -> None:
    """Trains by the recipe; where a run of it was cut short, on from its last checkpoint."""
    if any(folder.glob("checkpoint-*")) and not (folder / RESULTS_FILE).exists():
        try:
            return train(["--config", str(recipe)])
        except UserError as error:
            if str(error.file) != str(folder):
                raise  # else its checkpoints are of other rows or another recipe
    train(["--config", str(recipe), "--overwrite_output", "true"])


@contextmanager
def shown(model_class: type, *, like: str) -> Iterator[None]:
    """Inside, `train`, `load_model` and `ensemble` know a comparison's own model as an architecture, trained as that of the model
    type `like` is."""
    config_class = model_class.config_class
    transformers.AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
    for auto_class in model_class.auto_classes:
        getattr(transformers, auto_class).register(config_class, model_class, exist_ok=True)
    ARCHITECTURES[config_class.model_type] = replace(ARCHITECTURES[like], config=config_class, model=model_class)
    MEMBER_CONFIGS[config_class.model_type] = config_class
    MEMBER_MODELS[config_class.model_type] = model_class
    try:
        yield
    finally:
        for known in (ARCHITECTURES, MEMBER_CONFIGS, MEMBER_MODELS):
            del known[config_class.model_type]


def scoring(loaded: LoadedModel, settings: Mapping[str, Any]) -> Callable[[Sequence[str]], Scored]:
    """The `score` of a trained model."""
    batch_size = settings.get("per_device_eval_batch_size", 32)

    def score(texts: Sequence[str]) -> Scored:
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            for batch in scored_batches(loaded, texts[start : start + TEXTS_AT_ONCE], batch_size=batch_size):
                places = [start + place for place in batch.places]
                yield places, batch.scores_BS, batch.candidate_ids_BS, batch.chosen_BS

    return score


def timed(loaded: LoadedModel, items: Sequence[Any], batch_size: int) -> Timing:
    """How long the best labels of the items take, so many at a time; one batch is answered before the clock starts."""
    prepared = answered = 0.0
    for first in (None, *range(0, len(items), batch_size)):
        part, start = items[first or 0 : (first or 0) + batch_size], time.perf_counter()
        batches = [batch for _, batch in encoded_batches(loaded, part, batch_size)]
        middle = time.perf_counter()
        with torch.inference_mode():
            for batch in batches:
                choose_labels(loaded.model, batch, top_k=min(TOP_K, loaded.model.config.num_labels))
        if first is not None:
            prepared, answered = prepared + middle - start, answered + time.perf_counter() - middle
    return Timing(prepared, answered)


def bytes_of_model(folder: Path) -> int:
    """Weights, configuration, tokenizer or what else prepares the input, and an index's graph: the files that loading reads."""
    names = (
        "model*.safetensors*",
        "config.json",
        "labels.json",
        "tokenizer*.json",
        "preprocessor_config.json",
        GRAPH_FILE,
    )
    return sum(file.stat().st_size for name in names for file in folder.glob(name))


def _few(validation: dict[str, float] | None) -> dict[str, float]:
    kept = ("loss", "f1_micro", "tuned_f1_micro", "p@1")
    return {name: value for name, value in (validation or {}).items() if name in kept}
