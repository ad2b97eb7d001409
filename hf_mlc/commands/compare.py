"""`compare`: a paper's claim, our model beside its ablations and other systems, on the same rows in one run."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hf_mlc.commands.parsing import check_at_least, parse_arguments
from hf_mlc.commands.recipes import read_recipe
from hf_mlc.commands.running import check_output_file, say
from hf_mlc.comparing.claim import ROOT, Claim, ClaimData, find_claim
from hf_mlc.comparing.data import SPLITS
from hf_mlc.errors import UserError


@dataclass
class CompareArguments:
    """Arguments of `compare NAME`."""

    dataset: str | None = field(
        default=None,
        metadata={
            "help": "Data sets of the claim with commas between, all, or a folder of splits; the claim's first if not given."
        },
    )
    output: str | None = field(
        default=None, metadata={"help": "File of lines, one a run; what is already in it is not run again."}
    )
    seeds: int = field(default=5, metadata={"help": "How many seeds."})
    first_seed: int = field(default=0, metadata={"help": "The first of them."})
    arms: str | None = field(
        default=None, metadata={"help": "Names with commas between; the default ones if not given."}
    )
    train_sizes: str | None = field(
        default=None, metadata={"help": "Training documents to draw, numbers with commas between; all: every one."}
    )
    data_dir: str | None = field(
        default=None, metadata={"help": "Folder of the data sets; $HF_MLC_DATA, or shared/data beside the repository."}
    )
    trials: int | None = field(
        default=None,
        metadata={"help": "Settings that each arm tries on validation rows, where the claim declares some."},
    )
    split: str = field(
        default="test",
        metadata={"help": "What is measured: test; to choose settings, validation, or unused (rows not drawn)."},
    )
    recipe: str | None = field(
        default=None,
        metadata={
            "help": "Arguments of train for all arms of this package, instead of the claim's; what it says of thresholds and refit goes for"
            " all arms, and so do the columns of texts, labels and ids that it names, of a folder of yours."
        },
    )
    environments: str | None = field(
        default=None, metadata={"help": "Folder for virtual environments of outside systems; below ~/.cache."}
    )
    encoder_path: str | None = field(
        default=None,
        metadata={
            "help": "Folder or Hub id of the pretrained encoder for arms that start from one; without it they don't run."
        },
    )
    measured_dataset: str | None = field(
        default=None, metadata={"help": "Folder of another data set, whose test split is measured instead."}
    )
    label_map: str | None = field(
        default=None,
        metadata={"help": "JSON file: the measured rows' label names and those that training calls them."},
    )
    models_dir: str | None = field(default=None, metadata={"help": "Keep the trained models in this folder."})
    resamples: int = field(default=2000, metadata={"help": "Of the bootstrap."})
    report_only: bool = field(default=False, metadata={"help": "Print the tables of what is there; run nothing."})

    def __post_init__(self):
        check_at_least(1, seeds=self.seeds, resamples=self.resamples)
        check_at_least(0, first_seed=self.first_seed)
        if self.trials is not None:
            check_at_least(1, trials=self.trials)
        if self.split not in SPLITS:
            raise UserError(f"found '{self.split}'", field="split", accepted=", ".join(SPLITS))

    def sizes(self) -> list[int | None] | None:
        """Training sizes asked for, `None` for all documents; `None` if not given."""
        if self.train_sizes is None:
            return None
        try:
            sizes = [None if word.strip() == "all" else int(word) for word in self.train_sizes.split(",")]
        except ValueError:
            raise UserError(
                f"found '{self.train_sizes}'", field="train_sizes", accepted="numbers with commas between, or all"
            ) from None
        return list(dict.fromkeys(sizes))

    def data_folder(self) -> Path:
        """Where the data sets lie."""
        return Path(self.data_dir or os.environ.get("HF_MLC_DATA") or ROOT / "../shared/data").resolve()

    def chosen_datasets(self, claim: Claim) -> list[ClaimData]:
        """The data sets asked for, each once, as they are to be measured."""
        if self.dataset is None:
            found = [claim.datasets[0]]
        elif self.dataset == "all":
            found = list(claim.datasets)
        elif Path(self.dataset).is_dir():
            found = [claim.data(self.dataset)]
        else:
            found = [claim.data(name) for name in dict.fromkeys(word.strip() for word in self.dataset.split(","))]
        if self.recipe is not None:
            recipe = read_recipe(self.recipe)
            # how a claim's own data sets are read, the claim says
            found = [data if data in claim.datasets else data.with_columns_of(recipe) for data in found]
        if self.trials is not None:
            found = [replace(data, num_trials=self.trials) for data in found]
        return [self.measured_elsewhere(data) for data in found]

    def measured_elsewhere(self, data: ClaimData) -> ClaimData:
        """The data set with another one's rows, or another one's labels, to measure; its name then says so."""
        if self.measured_dataset is None and self.label_map is None:
            return data
        changes, name = {}, data.name
        if self.measured_dataset is not None:
            if not Path(self.measured_dataset).is_dir():
                raise UserError("no such folder", file=self.measured_dataset, field="measured_dataset")
            changes["measured_folder"] = str(Path(self.measured_dataset).resolve())
            name += f"-on-{Path(self.measured_dataset).resolve().name}"
        if self.label_map is not None:
            changes["label_map"] = str(Path(self.label_map).resolve())
            name += "-mapped"
        return replace(data, name=name, **changes)

    def environments_folder(self) -> Path:
        """Where environments of outside systems are made."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return Path(self.environments) if self.environments else cache / "hf_mlc" / "environments"


def main(arguments: list[str]) -> None:
    """Runs what is missing of the claim named first, then prints its tables on standard output."""
    named = bool(arguments) and not arguments[0].startswith("-")
    (args,), _, _ = parse_arguments(CompareArguments, arguments[named:])
    if not named:
        raise UserError("no claim", field="NAME", accepted="a claim's name before the arguments, as in: compare plant")
    claim = find_claim(arguments[0])
    chosen = args.chosen_datasets(claim)
    if args.output is None:
        raise UserError("none given", field="output", accepted="a file called *.jsonl")
    from hf_mlc.comparing.runs import check_output

    output = Path(args.output)
    check_output_file(output)
    check_output(output)
    lines, failures = [], []
    for data in chosen:
        found, failed = _compared(args, claim, data, output)
        lines += found
        failures += [f"{data.name}: {problem}" for problem in failed] if len(chosen) > 1 else failed
    if len(chosen) > 1 and claim.over_sets is not None:
        from hf_mlc.comparing.sets_report import sets_report

        said = sets_report(claim, lines, picture=output.with_name(f"{output.stem}.ranks.png"))
        sys.stdout.write(f"\n{said}\n" if said else "")
    for failure in failures:
        say(failure)
    if failures:
        raise UserError(f"{len(failures)} runs failed: {failures[0]}", accepted="the same command goes on from here")
    if not lines:
        names = ", ".join(data.name for data in chosen)
        raise UserError(f"no run of these on {names} in it", file=output, accepted="the command without --report_only")


def _compared(
    args: CompareArguments, claim: Claim, data: ClaimData, output: Path
) -> tuple[list[dict[str, Any]], list[str]]:
    """Runs what is missing on one data set and prints its tables; the lines of it, and a sentence for each run that failed."""
    from hf_mlc.comparing.report import report  # torch and scipy take seconds to load
    from hf_mlc.comparing.runs import Plan, lines_there, run_all, scores_folder

    names = [name.strip() for name in args.arms.split(",")] if args.arms else None
    plan = Plan(
        claim=claim,
        data=data,
        arms=claim.chosen_arms(data, names, encoder=args.encoder_path is not None),
        seeds=list(range(args.first_seed, args.first_seed + args.seeds)),
        train_sizes=args.sizes() or list(data.train_sizes) or [None],
        split=args.split,
        data_dir=args.data_folder(),
        output=output,
        train_settings=data.train_settings() if args.recipe is None else read_recipe(args.recipe),
        environments=args.environments_folder().resolve(),
        models_dir=Path(args.models_dir).resolve() if args.models_dir else None,
        encoder=args.encoder_path,
    )
    one_of_several = args.dataset is None or args.dataset == "all" or "," in args.dataset

    def command(arm: str, seed: int, train_size: int | None) -> str:
        words = ["python", "scripts/compare.py", claim.name, "--dataset"]
        words += [data.name if one_of_several else args.dataset, "--arms", arm]
        words += ["--seeds", "1", "--first_seed", str(seed)]
        words += ["--train_sizes", "all" if train_size is None else str(train_size)]
        words += ["--split", args.split] if args.split != "test" else []
        words += ["--trials", str(args.trials)] if args.trials is not None else []
        for name in ("recipe", "encoder_path", "measured_dataset", "label_map"):
            words += [f"--{name}", getattr(args, name)] if getattr(args, name) else []
        return shlex.join([*words, "--output", output.name])

    lines, failures = (lines_there(plan), []) if args.report_only else run_all(plan, command=command)
    if lines:
        sys.stdout.write(report(claim, data, lines, scores_folder(output), num_resamples=args.resamples) + "\n")
        sys.stdout.flush()
    return lines, failures
