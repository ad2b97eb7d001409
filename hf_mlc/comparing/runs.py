"""All runs of a comparison, one after the other; those already in the file are left out."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_mlc.commands.running import say
from hf_mlc.comparing.arms import (
    ALWAYS_REFITTING,
    OURS,
    READING_COLUMNS,
    REFITTING,
    REVISIONS,
    RUNNERS,
    VALIDATION_RULE,
)
from hf_mlc.comparing.claim import Arm, Claim, ClaimData
from hf_mlc.comparing.data import TABLE_SETTINGS, Rows, folder_of, prepare_rows, rows_as_json
from hf_mlc.comparing.environments import ENVIRONMENTS, python_of
from hf_mlc.comparing.lines import append_line, key_of, newest, read_lines, settings_hash, unmeasured_buckets
from hf_mlc.comparing.processes import Alone, Shared
from hf_mlc.comparing.trials import SEED as TRIALS_SEED
from hf_mlc.comparing.trials import Choice, choose, trials_file
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
            rows, and of a table's features, goes for the others too.
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

    def settings_of(self, arm: Arm, trial: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the arm's runner is given on this data set: with the settings of one of its trials, or with those that another
        arm chose, which its own stand on top of. Where validation rows are measured, nothing is trained on them."""
        own = {**arm.settings, **self.data.arm_settings.get(arm.name, {})}
        own = {**(trial or {}), **own} if arm.chosen_as else {**own, **(trial or {})}
        if arm.with_encoder:
            own["text_encoder"] = self.encoder
        if arm.runner in OURS:
            held = {name: value for name, value in arm.held.items() if name in self.train_settings}
            recipe = {name: value for name, value in self.train_settings.items() if name not in arm.without}
            return self._measurable(arm, {**recipe, **held, **own})
        rule = {
            name: self.train_settings[name]
            for name, default in VALIDATION_RULE.items()
            if self.train_settings.get(name, default) != default and (name != "refit" or arm.runner in REFITTING)
        }
        columns = self.table_settings if arm.runner in READING_COLUMNS else {}
        return self._measurable(arm, {**rule, **columns, **own})

    @property
    def table_settings(self) -> dict[str, Any]:
        """What `train_settings` say of a table's features."""
        found = {name: self.train_settings[name] for name in TABLE_SETTINGS if name in self.train_settings}
        named = found.get("category_columns", [])
        if not isinstance(named, list):  # a recipe may name a single one without brackets
            found["category_columns"] = [named]
        return found

    def _measurable(self, arm: Arm, settings: dict[str, Any]) -> dict[str, Any]:
        return _without_refit(arm, settings) if self.split == "validation" else settings


def _without_refit(arm: Arm, settings: dict[str, Any]) -> dict[str, Any]:
    """Of a run that is measured on validation rows: what was trained on them would be measured on them."""
    return {**settings, "refit": False} if settings.get("refit", arm.runner in ALWAYS_REFITTING) else settings


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
    whose = plan.claim.name, plan.data.name, plan.split
    lines = [line for line in read_lines(plan.output) if (line["claim"], line["dataset"], line["split"]) == whose]
    found = {(line["train_size"], line["seed"], line["arm"]): line for line in newest(lines)}
    if len(found) < len(lines):
        left_out = len(lines) - len(found)
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
    scores_folder(plan.output).mkdir(parents=True, exist_ok=True)
    lines, failures = [], []
    with Shared() if plan.claim.one_process else Alone() as processes:
        for train_size in plan.train_sizes:
            with tempfile.TemporaryDirectory(prefix="hf_mlc-compare-trials-") as of_trials:
                trials = _Trials(plan, source, Path(of_trials), train_size, processes, failures)
                for seed in plan.seeds:
                    lines += _lines_of_seed(plan, trials, seed, kept, command)
    return lines, failures


def _lines_of_seed(
    plan: Plan, trials: _Trials, seed: int, kept: Mapping[tuple, dict[str, Any]],
    command: Callable[[str, int, int | None], str],
) -> list[dict[str, Any]]:  # fmt: skip
    """The lines of all arms with one seed; those that were not there are added to the file."""
    lines, train_size = [], trials.train_size
    with tempfile.TemporaryDirectory(prefix="hf_mlc-compare-") as work:
        rows = prepare_rows(
            plan.data, trials.source, Path(work, "rows"), train_size=train_size, seed=seed, split=plan.split,
            propensity=plan.train_settings.get("propensity"), table_settings=plan.table_settings,
        )  # fmt: skip
        for arm in plan.arms:
            shown = _shown(arm, seed, train_size)
            line, problem = _line(plan, arm, trials, seed, rows, Path(work), kept)
            if line is None:
                trials.failures.append(f"{shown}: {problem}")
                say(f"{shown} failed: {problem}")
                continue
            lines.append(line)
            if key_of(line) not in kept:
                line["command"] = command(arm.name, seed, train_size)
                append_line(plan.output, line)
                say(f"{shown}: {_values(plan, line)}")
    return lines


def _line(
    plan: Plan, arm: Arm, trials: _Trials, seed: int, rows: Rows, work: Path, kept: Mapping[tuple, dict[str, Any]]
) -> tuple[dict[str, Any] | None, str]:
    """The line of an arm and a seed, that of the file where it is there; `None` and what went wrong where it failed."""
    choice = trials.choice(arm)
    if choice is None:
        return None, "no trial of it ended"
    line = _head(plan, arm, choice.settings, seed, trials.train_size, rows)
    if key_of(line) in kept:
        return kept[key_of(line)], ""
    say(f"{_shown(arm, seed, trials.train_size)} ...")
    run = _Run(arm, plan.settings_of(arm, choice.settings), seed, rows)
    scores_file = scores_folder(plan.output) / scores_name(line)
    result, problem = _one(plan, run, work, scores_file, trials.processes)
    if result is None:
        return None, problem
    return line | result | ({"trials": dict(choice.facts)} if choice.facts else {}), ""


class _Trials:
    """The choices of the arms at one training size, each made when its arm is first asked for, all on rows in `folder`."""

    def __init__(
        self, plan: Plan, source: Path, folder: Path, train_size: int | None, processes: Alone, failures: list[str]
    ):
        self.plan, self.source, self.folder, self.train_size = plan, source, folder, train_size
        self.processes, self.failures = processes, failures
        self.file = trials_file(plan.output)
        self.kept = {key_of(line): line for line in read_lines(self.file)}
        self.choices: dict[str, Choice | None] = {}

    def choice(self, arm: Arm) -> Choice | None:
        """What the arm runs with; `None` where all its trials failed."""
        chooser = arm if arm.chosen_as is None else self.plan.claim.arm(arm.chosen_as)
        if chooser.name not in self.choices:
            with tempfile.TemporaryDirectory(dir=self.folder) as work:
                self.choices[chooser.name] = self._chosen(chooser, Path(work))
        return self.choices[chooser.name]

    @functools.cached_property
    def rows(self) -> Rows:
        return prepare_rows(
            self.plan.data, self.source, self.folder / "rows", train_size=self.train_size, seed=TRIALS_SEED,
            split="validation", propensity=self.plan.train_settings.get("propensity"),
            table_settings=self.plan.table_settings,
        )  # fmt: skip

    def _chosen(self, arm: Arm, work: Path) -> Choice | None:
        plan = self.plan

        def run_trial(trial: Mapping[str, Any]) -> dict[str, Any] | None:
            rows = self.rows
            line = {**_head(plan, arm, trial, TRIALS_SEED, self.train_size, rows), "split": "validation"}
            if key_of(line) in self.kept:
                return self.kept[key_of(line)]
            shown = f"{_shown(arm, None, self.train_size)}, trial {json.dumps(trial)}"
            say(f"{shown} ...")
            run = _Run(arm, _without_refit(arm, plan.settings_of(arm, trial)), TRIALS_SEED, rows, is_trial=True)
            result, problem = _one(plan, run, work, work / scores_name(line), self.processes, keep=False)
            if result is None:
                self.failures.append(f"{shown}: {problem}")
                say(f"{shown} failed: {problem}")
                return None
            line |= result | {"trial": dict(trial)}
            append_line(self.file, line)
            say(f"{shown}: {plan.claim.trials_by} {line['metrics'][plan.claim.trials_by]:.4f}")
            return line

        return choose(arm, plan.data, plan.claim.trials_by, run_trial)


def _shown(arm: Arm, seed: int | None, train_size: int | None) -> str:
    return (
        arm.name + (f", seed {seed}" if seed is not None else "") + (f", {train_size} documents" if train_size else "")
    )


def _values(plan: Plan, line: dict[str, Any]) -> str:
    left_out = {name for names in unmeasured_buckets(plan.data.end_points, [line]).values() for name in names}
    named = [name for name in plan.data.end_points if name not in left_out][:3]
    values = "  ".join(
        f"{name} {line['metrics'][name]:.4f}" if name in line["metrics"] else f"{name} -" for name in named
    )
    return f"{values}  ({line['train_seconds']:.0f} s)"


def _head(
    plan: Plan, arm: Arm, trial: Mapping[str, Any], seed: int, train_size: int | None, rows: Rows
) -> dict[str, Any]:
    return {
        "claim": plan.claim.name,
        "dataset": plan.data.name,
        "arm": arm.name,
        "seed": seed,
        "split": plan.split,
        "train_size": train_size,
        "train_documents": rows.num_train,
        "settings": settings_hash(
            arm.runner, plan.settings_of(arm, trial), rows.fingerprints, *REVISIONS.get(arm.runner, ())
        ),
        **rows.facts,
    }


@dataclass(frozen=True)
class _Run:
    """What is to be run: an arm with settings and a seed, on rows."""

    arm: Arm
    settings: dict[str, Any]
    seed: int
    rows: Rows
    is_trial: bool = False


def _one(
    plan: Plan, run: _Run, work: Path, scores_file: Path, processes: Alone, *, keep: bool = True
) -> tuple[dict[str, Any] | None, str]:
    """The result of one run, or `None` and what went wrong. With `keep=False` its model goes in any case."""
    runner = run.arm.runner
    assert runner in RUNNERS
    if runner in ENVIRONMENTS:
        try:  # before the run's clock starts
            python_of(runner, plan.environments)
        except UserError as error:
            return None, str(error)
    name = scores_file.stem
    models = work / "models" if plan.models_dir is None or not keep else plan.models_dir
    models.mkdir(parents=True, exist_ok=True)
    result_file, job_file, log_file = work / f"{name}.json", work / f"{name}.job.json", scores_file.with_suffix(".log")
    job = {
        "runner": runner,
        "settings": run.settings,
        "rows": rows_as_json(run.rows),
        "seed": run.seed,
        "environments": str(plan.environments),
        "batch_sizes": [] if run.is_trial else list(plan.claim.batch_sizes),
        "where": {"model": str(models / name), "scores": str(scores_file), "result": str(result_file)},
    }
    job_file.write_text(json.dumps(job), encoding="utf-8")
    status = processes.do(job_file, log_file)
    if status == 0:
        return json.loads(result_file.read_text(encoding="utf-8")), ""
    tail = log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if status == 2 and tail:
        return None, tail[-1].removeprefix("hf-mlc: error: ")
    for text in tail[-LOG_TAIL:]:
        say(f"    {text}")
    return None, f"ended with status {status}; its output is in {log_file}" if keep else f"ended with status {status}"


def check_output(path: Path) -> None:
    """`UserError` unless lines can be added to the file."""
    if path.suffix != ".jsonl":
        raise UserError(f"found '{path.name}'", field="output", accepted="a file called *.jsonl")
