"""All runs of a comparison, one after the other, each in a process of its own; those already in the file are left out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_mlc.commands.running import say
from hf_mlc.comparing.arms import OURS, REFITTING, RUNNERS, VALIDATION_RULE
from hf_mlc.comparing.claim import Arm, Claim, ClaimData
from hf_mlc.comparing.data import Rows, folder_of, prepare_rows, rows_as_json
from hf_mlc.comparing.environments import ENVIRONMENTS, python_of
from hf_mlc.comparing.lines import append_line, key_of, read_lines, settings_hash
from hf_mlc.errors import UserError


LOG_TAIL = 15  # lines of a failed run's log that are shown


@dataclass(frozen=True)
class Plan:
    """What is to be compared.

    Args:
        claim, data, arms: of the claim.
        seeds (`list[int]`): of the runs.
        train_sizes (`list[int | None]`): training documents; `None` for all there are.
        split (`str`): what is measured.
        data_dir (`Path`): the folder of all data sets.
        output (`Path`): the file of lines.
        train_settings (`dict`): arguments of `train` that all arms of this package start from; what they say of validation
            rows goes for the others too.
        environments (`Path`): of outside systems.
        models_dir (`Path`, *optional*): where trained models are kept; they are deleted if not given.
        encoder (`str`, *optional*): the pretrained encoder of the arms that start from one.
    """

    claim: Claim
    data: ClaimData
    arms: Sequence[Arm]
    seeds: Sequence[int]
    train_sizes: Sequence[int | None]
    split: str
    data_dir: Path
    output: Path
    train_settings: dict[str, Any]
    environments: Path
    models_dir: Path | None = None
    encoder: str | None = None

    def settings_of(self, arm: Arm) -> dict[str, Any]:
        """What the arm's runner is given on this data set."""
        own = {**arm.settings, **self.data.arm_settings.get(arm.name, {})}
        if arm.with_encoder:
            own["text_encoder"] = self.encoder
        if arm.runner in OURS:
            return {**self.train_settings, **own}
        rule = {
            name: self.train_settings[name]
            for name, default in VALIDATION_RULE.items()
            if self.train_settings.get(name, default) != default and (name != "refit" or arm.runner in REFITTING)
        }
        return {**rule, **own}


def scores_folder(output: Path) -> Path:
    """Where the scores behind a file of lines lie: beside it."""
    return output.with_name(f"{output.stem}.scores")


def scores_name(line: dict[str, Any]) -> str:
    """The file of one line's scores."""
    size = "all" if line["train_size"] is None else line["train_size"]
    parts = (line["dataset"], size, line["arm"], f"seed{line['seed']}", line["split"], line["settings"])
    return "-".join(str(part) for part in parts) + ".npz"


def lines_there(plan: Plan) -> list[dict[str, Any]]:
    """The runs of a comparison that are in the file, without a look at the data: a file may come from another machine. Of
    several lines of one arm, seed and size, which differ in settings or rows, the last."""
    found: dict[tuple, dict[str, Any]] = {}
    left_out = 0
    for line in read_lines(plan.output):
        if (line["claim"], line["dataset"], line["split"]) == (plan.claim.name, plan.data.name, plan.split):
            run = (line["train_size"], line["seed"], line["arm"])
            left_out += run in found
            found[run] = line
    if left_out:
        say(f"{left_out} lines with other settings or rows are followed by newer ones of the same runs: left out")
    runs = [(size, seed, arm.name) for size in plan.train_sizes for seed in plan.seeds for arm in plan.arms]
    return [found[run] for run in runs if run in found]


def run_all(plan: Plan, *, command: Callable[[str, int, int | None], str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Does what is missing, arms within seeds within sizes, so that a table of whole seeds is there early.

    Args:
        plan ([`Plan`]): what to compare.
        command: gives the command line that repeats the run of an arm, a seed and a size.

    Returns:
        The lines of the whole comparison, old and new, and one sentence for each run that failed.
    """
    source = folder_of(plan.data, plan.data_dir)
    for arm in plan.arms:
        if arm.with_encoder and plan.encoder is None:
            raise UserError(f"none given, and {arm.name} starts from one", field="encoder_path", accepted="a folder")
    kept = {key_of(line): line for line in read_lines(plan.output)}
    scores = scores_folder(plan.output)
    scores.mkdir(parents=True, exist_ok=True)
    lines, failures = [], []
    for train_size in plan.train_sizes:
        for seed in plan.seeds:
            with tempfile.TemporaryDirectory(prefix="hf_mlc-compare-") as work:
                rows = prepare_rows(
                    plan.data, source, Path(work, "rows"), train_size=train_size, seed=seed, split=plan.split
                )
                for arm in plan.arms:
                    line = _head(plan, arm, seed, train_size, rows)
                    if key_of(line) in kept:
                        lines.append(kept[key_of(line)])
                        continue
                    shown = f"{arm.name}, seed {seed}" + (f", {train_size} documents" if train_size else "")
                    say(f"{shown} ...")
                    result, problem = _one(plan, arm, seed, rows, Path(work), scores / scores_name(line))
                    if result is None:
                        failures.append(f"{shown}: {problem}")
                        say(f"{shown} failed: {problem}")
                        continue
                    line |= result | {"command": command(arm.name, seed, train_size)}
                    append_line(plan.output, line)
                    lines.append(line)
                    values = "  ".join(
                        f"{name} {line['metrics'].get(name, float('nan')):.4f}" for name in _named(plan)
                    )
                    say(f"{shown}: {values}  ({line['train_seconds']:.0f} s)")
    return lines, failures


def _head(plan: Plan, arm: Arm, seed: int, train_size: int | None, rows: Rows) -> dict[str, Any]:
    return {
        "claim": plan.claim.name,
        "dataset": plan.data.name,
        "arm": arm.name,
        "seed": seed,
        "split": plan.split,
        "train_size": train_size,
        "train_documents": rows.num_train,
        "settings": settings_hash(arm.runner, plan.settings_of(arm), rows.fingerprints),
    }


def _named(plan: Plan) -> Sequence[str]:
    return plan.data.end_points[:3]


def _one(
    plan: Plan, arm: Arm, seed: int, rows: Rows, work: Path, scores_file: Path
) -> tuple[dict[str, Any] | None, str]:
    """The result of one run, or `None` and what went wrong."""
    assert arm.runner in RUNNERS
    if arm.runner in ENVIRONMENTS:
        try:  # before the run's clock starts
            python_of(arm.runner, plan.environments)
        except UserError as error:
            return None, str(error)
    name = scores_file.stem
    models = work / "models" if plan.models_dir is None else plan.models_dir
    models.mkdir(parents=True, exist_ok=True)
    result_file, job_file, log_file = work / f"{name}.json", work / f"{name}.job.json", scores_file.with_suffix(".log")
    job = {
        "runner": arm.runner,
        "settings": plan.settings_of(arm),
        "rows": rows_as_json(rows),
        "seed": seed,
        "environments": str(plan.environments),
        "where": {"model": str(models / name), "scores": str(scores_file), "result": str(result_file)},
    }
    job_file.write_text(json.dumps(job), encoding="utf-8")
    with log_file.open("w", encoding="utf-8") as log:
        process = subprocess.run(
            [sys.executable, "-m", "hf_mlc.comparing.one_run", str(job_file)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
            check=False,
        )
    if process.returncode == 0:
        return json.loads(result_file.read_text(encoding="utf-8")), ""
    tail = log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if process.returncode == 2 and tail:
        return None, tail[-1].removeprefix("hf-mlc: error: ")
    for text in tail[-LOG_TAIL:]:
        say(f"    {text}")
    return None, f"ended with status {process.returncode}; its output is in {log_file}"


def check_output(path: Path) -> None:
    """`UserError` unless lines can be added to the file."""
    if path.suffix != ".jsonl":
        raise UserError(f"found '{path.name}'", field="output", accepted="a file called *.jsonl")
