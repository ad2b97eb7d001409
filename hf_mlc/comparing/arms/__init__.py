"""What fits an arm: one file a kind. Each has `fit(job, folder) -> Fitted` and sees training and validation rows alone."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from hf_mlc.comparing.data import Rows
from hf_mlc.comparing.latency import Timing
from hf_mlc.errors import UserError


# places in the list of texts, scores, the labels of the columns where not every label was scored, and, of a system that decides
# on label sets as a whole, the sets; they may be left out
Scored = Iterator[
    tuple[list[int], torch.Tensor, torch.Tensor | None]
    | tuple[list[int], torch.Tensor, torch.Tensor | None, torch.Tensor | None]
]


@dataclass(frozen=True)
class Job:
    """One run: an arm with a seed on rows.

    Args:
        runner (`str`): a key of `RUNNERS`.
        settings (`dict`): of the runner.
        rows ([`~hf_mlc.comparing.data.Rows`]): the rows.
        seed (`int`): of everything drawn in the run.
        environments (`str`): folder of the virtual environments of outside systems.
        batch_sizes (`list[int]`, *optional*): numbers of rows at a time, at which answering is timed besides.
    """

    runner: str
    settings: dict[str, Any]
    rows: Rows
    seed: int
    environments: str
    batch_sizes: Sequence[int] = ()


@dataclass
class Fitted:
    """What came of fitting.

    Args:
        score: gives the scores of texts, batch by batch.
        thresholds (`float` or `list[float]`): chosen on validation rows.
        min_labels (`int`): likewise.
        parameters (`int`): numbers in the model; of a sparse one those that are stored.
        model_bytes (`int`): bytes of what prediction needs.
        facts (`dict`): what else is worth a line: chosen settings, epochs.
        versions (`dict[str, str]`): of outside packages.
        predict_seconds: the seconds that scoring took, where the clock of this process would count another's start.
        spared (`dict`, *optional*): `seconds` and `cpu_seconds` of work that another process did: an earlier arm for this one as
            well, or this one's before it was cut short; they belong to what fitting it costs.
        beside (`dict`, *optional*): `seconds` and `cpu_seconds` of what fitting did for the comparison alone, such as writing rows
            down in another form; they do not.
        parameter_parts (`dict[str, int]`, *optional*): of a model that relates labels on top of an encoder, how `parameters` divide
            into `encoder`, `head` and `relation`.
        optimizer_cpu_seconds (`float`, *optional*): of a network, the process seconds of its optimiser's steps alone, of every training
            that fitting it took; what else fitting does (reading, encoding, thresholds, saving) is not in it.
        timed (*optional*): given items and how many come at a time, how long their best labels take.
    """

    score: Callable[[Sequence[str]], Scored]
    thresholds: float | list[float]
    min_labels: int
    parameters: int
    model_bytes: int
    facts: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    predict_seconds: Callable[[], float] | None = None
    spared: dict[str, float] | None = None
    beside: dict[str, float] | None = None
    parameter_parts: dict[str, int] | None = None
    optimizer_cpu_seconds: float | None = None
    timed: Callable[[Sequence[Any], int], Timing] | None = None


# what is given the data set's recipe
OURS = (
    "train",
    "leaked",
    "seed-ensemble",
    "seed-ensemble-per-label",
    "same-encoder-per-label",
    "same-encoder-label-wise",
    "same-encoder-powerset",
    "same-encoder-chain",
    "msdn-encoder-br",
    "rnn-chain",
    "rnn-chain-small",
    "rethink-rnn",
    "rnn-labels",
    "vanilla-transformer",
    "event-transformer",
    "event-gru",
)
# what else can be fitted anew with the validation rows once they have chosen
REFITTING = ("tfidf", "mutual-information", "table-method")
# and what always is, whatever a recipe says, but where it is told not to
ALWAYS_REFITTING = ("problem-transformation",)
# what reads a table's columns as ours do, by what a recipe says of its features (`hf_mlc.comparing.data.TABLE_SETTINGS`)
READING_COLUMNS = ("table-method",)
# of a runner that answers otherwise than it did by the same settings: lines from before count as other runs
REVISIONS = {"table-method": (2,)}  # thresholds judged by rows that had no part in their choice
# what a recipe may say of how validation rows are used, and what `train` does unless it is said: it goes for every arm
VALIDATION_RULE = {"threshold_kind": "auto", "threshold_metric": "f1_micro", "refit": False}
# the modules of this package; imported when one of their arms runs, in that run's process
RUNNERS = {
    "train": "ours",
    "leaked": "leaked",
    "tfidf": "linear",
    "mutual-information": "mutual_information",
    "problem-transformation": "problem_transformations",
    **dict.fromkeys(("seed-ensemble", "seed-ensemble-per-label"), "seed_ensemble"),
    **dict.fromkeys((name for name in OURS if name.startswith("same-encoder")), "same_encoder"),
    **dict.fromkeys(("msdn-encoder-br", "rnn-chain", "rnn-chain-small", "rethink-rnn", "rnn-labels"), "msdn_encoder"),
    "table-method": "table_methods",
    "xr-linear": "xr_linear",
    "napkinxc": "napkinxc",
    "omikuji": "omikuji",
    "bigru-lwan": "bigru_lwan",
    "next-frequency": "next_frequency",
    "tifu-knn": "tifu_knn",
    **dict.fromkeys(("vanilla-transformer", "event-transformer", "event-gru"), "event_networks"),
}


def load_runner(name: str) -> ModuleType:
    """The module that fits arms of this runner; `UserError` if there is none."""
    if name not in RUNNERS:
        raise UserError(f"found '{name}'", field="runner", accepted=", ".join(RUNNERS))
    return importlib.import_module(f"{__name__}.{RUNNERS[name]}")


def fit(job: Job, folder: Path) -> Fitted:
    """Fits the job's arm; what it writes goes into `folder`."""
    return load_runner(job.runner).fit(job, folder)
