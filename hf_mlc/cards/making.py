"""Sentences of the card about how the model was made: from what, at which cost, by which commands."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from hf_mlc.cards.facts import BASELINE, RECIPE, CardFacts
from hf_mlc.cards.markdown import code, escaped, fenced
from hf_mlc.commands.column_arguments import (
    ColumnArguments,
    HubDataArguments,
    LabelColumnArguments,
    TextColumnArguments,
)
from hf_mlc.commands.recipes import read_recipe
from hf_mlc.folder_files import METRICS_FILE, RESULTS_FILE
from hf_mlc.inputs import input_kind_of


# of a recipe's arguments, those that say where the data is
_DATA = ("dataset_name", "train_file", "validation_file", "test_file")
# and those by which evaluate and card find the same rows
_OF_EVALUATE = [field.name for part in (ColumnArguments, HubDataArguments) for field in dataclasses.fields(part)]
_OF_CARD = [
    field.name
    for part in (TextColumnArguments, LabelColumnArguments, HubDataArguments)
    for field in dataclasses.fields(part)
]


def data_sentence(facts: CardFacts) -> str:
    """What the model was trained on, with fingerprints of the rows."""
    dataset, trained = facts.words.dataset, facts.results.get("data")
    lines = []
    if dataset:
        name = escaped(dataset.get("name") or dataset.get("id") or "")
        url = dataset.get("url") or (f"https://huggingface.co/datasets/{dataset['id']}" if "id" in dataset else None)
        text = f"Data: [{name}]({url})" if url else f"Data: {name}"
        if "license" in dataset:
            text += f" (licence: {escaped(dataset['license'])})"
        lines.append(text + ("." if "description" not in dataset else f". {dataset['description'].strip()}"))
    else:
        lines.append("<!-- data set: unknown -->")
    if trained:
        rows = ", ".join(f"{number:,} {split}" for split, number in trained["rows"].items())
        column = input_kind_of(facts.config).content.column
        lines.append(f"Rows: {rows}. Fingerprints (SHA-256 over id, {column} and labels of the rows, in order):")
        prints = dict(trained["fingerprints"])
        if facts.evaluation.get("fingerprint"):
            prints[facts.evaluation["split"]] = facts.evaluation["fingerprint"]
        lines.append("\n".join(f"- {split}: {code(value)}" for split, value in prints.items()))
    else:
        lines.append("<!-- rows and their fingerprints: unknown -->")
    return "\n\n".join(lines)


def cost_sentence(facts: CardFacts) -> str | None:
    """Parameters, time, memory, hardware, versions: as far as they are known."""
    results = facts.results
    training, hardware, refit = results.get("training"), results.get("hardware"), results.get("refit")
    if not training:
        return None
    parts = [f"{results['parameters']:,} parameters"] if results.get("parameters") else []
    took = _took(training)
    if refit:
        took += f"; then anew on all {refit['rows']:,} training and validation rows, {_took(refit)}"
    if hardware:
        took += f", on {escaped(hardware['device'])}, {hardware['cores']} cores ({escaped(hardware['machine'])})"
    if training.get("processes", 1) > 1:
        took += f", {training['processes']} processes"
    parts.append(took)
    for key, what in (("peak_memory_bytes", "peak memory"), ("peak_gpu_memory_bytes", "peak memory of the GPU")):
        if training.get(key):
            parts.append(f"{what} {training[key] / 1e6:,.0f} MB")
    text = "; ".join(parts) + "."
    if refit:
        text += (
            " The weights are those of the second training; how long it took, and the thresholds, were chosen by the first"
            " on validation rows, and the second has none left to be measured on."
        )
    elif training.get("best_step") and results.get("recipe", {}).get("load_best_model_at_end", True):
        text += f" The weights are those of step {training['best_step']:,}, the best on validation rows."
    if results.get("versions"):
        versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
        text += f"\n\nVersions: {versions}."
    return text


def _took(run: dict[str, Any]) -> str:
    parts = [f"{run['epochs']:.3g} epochs"] if run.get("epochs") is not None else []
    parts += [f"{run['steps']:,} steps"] if run.get("steps") is not None else []
    text = ", ".join(parts)
    if run.get("seconds") is not None:
        text += f" in {run['seconds']:.0f} s"
    if run.get("cpu_seconds") is not None:
        text += f" ({run['cpu_seconds']:.0f} s of processor time)"
    if run.get("resumed"):
        # of a checkpoint without the seconds up to it
        text += ", in several parts" if "before_resuming" in run else ", the last part of a resumed run"
    return text


def commands(facts: CardFacts) -> str | None:
    """The commands that made model, measurements and card, where the card stands beside the run's recipe; what the run
    was told beyond the recipe is among them."""
    folder, asked = facts.card_folder, facts.results.get("recipe")
    if folder is None or not (folder / RECIPE).is_file() or asked is None:
        return None
    recipe = read_recipe(folder / RECIPE)
    beyond = {name: value for name, value in asked.items() if name not in _DATA and recipe.get(name) != value}
    cards = f"model_cards/{folder.resolve().name}"
    lines = [facts.words.dataset["command"]] if "command" in facts.words.dataset else []
    lines += [
        f"accelerate launch scripts/train.py --config {cards}/{RECIPE} --dataset_name DATA --output_dir MODEL{_as_words(beyond)}",
        f"cp MODEL/{RESULTS_FILE} {cards}/",
    ]
    if facts.evaluation.get("model"):
        columns = _as_words(_given(asked, _OF_EVALUATE))
        used = facts.evaluation.get("decision", {})
        rule = "" if used.get("tuned", True) else _as_words({"threshold": used["thresholds"]})
        lines.append(
            f"python scripts/evaluate.py --model MODEL --dataset_name DATA{columns}{rule} "
            f"--split {facts.evaluation['split']} --output {cards}/{METRICS_FILE}"
        )
    if facts.baseline_metrics:
        texts = _as_words({"text_column": facts.baseline.get("text_column", ["text"])})
        texts = "" if texts == " --text_column text" else texts
        metric = _as_words({"threshold_metric": facts.baseline["threshold_metric"]})
        lines.append(f"python benchmarks/tfidf.py --dataset_name DATA{texts}{metric} --output {cards}/{BASELINE}")
    name = _as_words({"repo_id": facts.model_id}) if "/" in facts.model_id else ""
    data = f" --dataset_name DATA{_as_words(_given(asked, _OF_CARD))}" if facts.examples else ""
    lines.append(f"python scripts/card.py --model MODEL --card_folder {cards}{name}{data}")
    return fenced("\n".join(lines))


def _given(asked: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Of what a run was told, that which says where `names` and the rows' ids are."""
    return {name: asked[name] for name in (*names, "id_column") if asked.get(name) is not None}


def _as_words(arguments: dict[str, Any]) -> str:
    """Arguments as they are typed, each after a space."""
    words = []
    for name, value in arguments.items():
        words += [f"--{name}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    return " " + shlex.join(words) if words else ""
