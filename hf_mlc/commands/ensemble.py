"""`ensemble`: several trained models saved as one that averages their scores, its thresholds tuned anew."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset

from hf_mlc.commands.column_arguments import ColumnArguments, HubDataArguments
from hf_mlc.commands.parsing import check_at_least, parse_arguments
from hf_mlc.commands.running import check_output_folder, say, write_json
from hf_mlc.data import fingerprint
from hf_mlc.data.training_rows import results_of
from hf_mlc.ensembles import DECISIONS, make_ensemble, tune_ensemble
from hf_mlc.errors import MissingSplitError, UserError
from hf_mlc.files import check_new_folder, folder_written_whole
from hf_mlc.folder_files import RESULTS_FILE
from hf_mlc.inference import LoadedModel, load_model
from hf_mlc.run_facts import Stopwatch, num_parameters, versions, weights_fingerprint
from hf_mlc.thresholds import METRICS, value_of
from hf_mlc.training.arguments import THRESHOLD_KINDS


@dataclass
class EnsembleArguments:
    """Arguments of `ensemble`."""

    models: list[str] = field(metadata={"help": "Trained models' folders or Hub ids, two or more."})
    output_dir: str = field(metadata={"help": "A new folder for the one model."})
    weights: list[float] | None = field(default=None, metadata={"help": "How much each counts; all alike."})
    decision: str | None = field(
        default=None,
        metadata={
            "help": f"{', '.join(DECISIONS)}; the models' own if they have the same one and it can be averaged."
        },
    )
    dataset_name: str | None = field(
        default=None, metadata={"help": "Its validation rows tune the thresholds: a Hub id, or a folder of splits."}
    )
    validation_file: str | None = field(default=None, metadata={"help": "Local file of validation rows, instead."})
    threshold_kind: str = field(default="auto", metadata={"help": "auto, global or per_label."})
    threshold_metric: str = field(default="f1_micro", metadata={"help": "The metric that thresholds maximise."})
    batch_size: int = field(default=32, metadata={"help": "Documents a forward pass."})
    seed: int = field(default=0, metadata={"help": "Of the cross-validation inside the validation rows."})

    def __post_init__(self):
        check_at_least(1, batch_size=self.batch_size)
        accepted = {"decision": (None, *DECISIONS), "threshold_metric": METRICS}
        accepted["threshold_kind"] = tuple(kind for kind in THRESHOLD_KINDS if kind != "none")
        for name, values in accepted.items():
            if getattr(self, name) not in values:
                shown = ", ".join(value for value in values if value is not None)
                raise UserError(f"found '{getattr(self, name)}'", field=name, accepted=shown)
        if self.weights is not None and len(self.weights) != len(self.models):
            raise UserError(
                f"found {len(self.weights)} for {len(self.models)} models", field="weights", accepted="one a model"
            )
        if self.dataset_name is not None and self.validation_file is not None:
            raise UserError("beside dataset_name", field="validation_file", accepted="one of the two")
        check_output_folder(self.output_dir)
        check_new_folder(self.output_dir, field="output_dir")


def main(arguments: list[str]) -> None:
    """Makes the ensemble by `arguments`, whole or not at all."""
    (args, *of_data), _, _ = parse_arguments((EnsembleArguments, ColumnArguments, HubDataArguments), arguments)
    stopwatch = Stopwatch()
    members = [load_model(name, device="cpu") for name in args.models]
    ensemble = make_ensemble(members, names=args.models, weights=args.weights, decision=args.decision)
    model, config = ensemble.model, ensemble.model.config
    say(f"{len(members)} models, {num_parameters(model):,} parameters, {len(ensemble.label_space)} labels")
    if any(member.label_space != ensemble.label_space for member in members):
        say(f"the models have other training counts; those of {args.models[0]} are kept")
    facts = {
        "model_type": config.model_type,
        "seed": args.seed,
        "parameters": num_parameters(model),
        "members": [
            _facts_of(name, weight, member)
            for name, weight, member in zip(args.models, model.weights, members, strict=True)
        ],
        "decision": config.decision,
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count(), "device": "cpu"},
        "versions": versions(),
    }
    if args.dataset_name is not None or args.validation_file is not None:
        facts |= _tuned(args, _validation_rows(args, *of_data, ensemble), ensemble)
    else:
        say("thresholds: the mean of the models'; a data set with validation rows tunes them anew")
    with folder_written_whole(args.output_dir) as folder:
        model.save_pretrained(folder)
        ensemble.processor.save_pretrained(folder)
        write_json(folder / RESULTS_FILE, {**facts, "training": stopwatch.read()})
    say(f"saved in {args.output_dir}")


def _facts_of(name: str, weight: float, member: LoadedModel) -> dict[str, Any]:
    return {
        # of a path on this machine the name is enough
        "name": Path(name).resolve().name if Path(name).exists() else name,
        "model_type": member.model.config.model_type,
        "weight": weight,
        "weights": weights_fingerprint(name),
    }


def _tuned(args: EnsembleArguments, rows: Dataset, ensemble: LoadedModel) -> dict[str, Any]:
    """Tunes the thresholds; what was chosen, and on which rows."""
    source = args.dataset_name or args.validation_file
    marked = fingerprint(rows)
    for name in args.models:
        results = results_of(name)
        chosen_on = _validation_fingerprint(results)
        if results.get("refit") and chosen_on == marked:
            field = "validation_file" if args.dataset_name is None else "dataset_name"
            raise UserError(
                "was trained on these rows as well (refit)", file=name, field=field,
                accepted="validation rows that no model was trained on, or none: the mean of the models' thresholds",
            )  # fmt: skip
        if chosen_on not in (None, marked):
            say(
                f"{name} was validated on other rows: if it was trained on some of these, the thresholds suit rows that it "
                "knows"
            )
    choice, of_sets = tune_ensemble(
        ensemble,
        rows,
        kind=args.threshold_kind,
        metric=args.threshold_metric,
        batch_size=args.batch_size,
        seed=args.seed,
    )
    shown = f"{choice.thresholds:.3f}" if isinstance(choice.thresholds, float) else "one a label"
    say(
        f"thresholds from validation: {shown}, at least {choice.min_labels} labels; {choice.metric} {choice.value:.4f}"
    )
    if of_sets:
        say(
            f"its own sets (decision: {ensemble.model.config.decision}): {choice.metric} {value_of(of_sets, choice.metric):.4f}"
        )
    return {
        "thresholds": choice.to_dict(),
        "validation": of_sets or None,
        "data": {
            "source": Path(source).name if Path(source).exists() else source,
            "rows": {"validation": len(rows)},
            "fingerprints": {"validation": marked},
            "labels": len(ensemble.label_space),
        },
    }


def _validation_rows(
    args: EnsembleArguments, column_args: ColumnArguments, hub_args: HubDataArguments, ensemble: LoadedModel
) -> Dataset:
    kind, processor = ensemble.kind, ensemble.processor
    how = {"columns": column_args.columns(kind, processor=processor), "splits": ["validation"]}
    if args.validation_file is not None:
        return kind.load(processor, validation_file=args.validation_file, **how)["validation"]
    try:
        return kind.load(processor, args.dataset_name, **hub_args.version(), **how)["validation"]
    except MissingSplitError as error:
        raise UserError(
            f"{error.problem}; rows set aside in training would be others for each seed", file=args.dataset_name,
            field="dataset_name", accepted="a data set with a validation split, or --validation_file",
        ) from None  # fmt: skip


def _validation_fingerprint(results: dict[str, Any]) -> str | None:
    """Which validation rows chose a model, as far as its results.json says it."""
    try:
        return results["data"]["fingerprints"]["validation"]
    except (KeyError, TypeError):
        return None
