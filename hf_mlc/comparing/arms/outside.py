"""What all outside systems share: files go to a program in the system's own environment, an answer and scores come back."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_mlc.comparing.arms import Fitted, Job, Scored
from hf_mlc.comparing.environments import python_of
from hf_mlc.comparing.latency import TOP_K, Timing
from hf_mlc.comparing.tuning import chosen_rule, chosen_shortlist_rule
from hf_mlc.data.contents import content_in
from hf_mlc.errors import UserError


PROGRAMS = Path(__file__).parents[1] / "outside"
EVERY_LABEL = 2000  # up to so many labels all are asked for, beyond them the best
SHORTLIST = 100
ROWS_AT_ONCE = 500


class Program:
    """A program of `hf_mlc/comparing/outside`, run with one JSON file.

    Args:
        job ([`Job`]): of the run.
        name (`str`): the program's file.
        folder (`Path`): its own: model, files in and out.
    """

    def __init__(self, job: Job, name: str, folder: Path):
        self.python = python_of(job.runner, Path(job.environments))
        self.name, self.folder = name, folder
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, verb: str, **content: Any) -> dict[str, Any]:
        """Runs `fit` or `predict`; returns the answer."""
        request, answer = self.folder / f"{verb}.json", self.folder / "answer.json"
        answer.unlink(missing_ok=True)
        request.write_text(
            json.dumps({"verb": verb, "folder": str(self.folder), "started": time.time(), **content}), encoding="utf-8"
        )
        done = subprocess.run([str(self.python), str(PROGRAMS / self.name), str(request)], check=False)
        if done.returncode or not answer.exists():
            raise UserError(f"{verb} ended with status {done.returncode}", file=self.name)
        return json.loads(answer.read_text(encoding="utf-8"))


class TopLabels:
    """The scores that a program left in a file: `ids` and `scores` of shape (N, K), -1 where there are fewer labels.

    Args:
        file (`Path`): the file.
        num_labels (`int`): L; where K is L, the scores are given for every label, 0 where the program had none.
    """

    def __init__(self, file: Path, num_labels: int):
        with np.load(file, allow_pickle=False) as arrays:
            self.ids_NK, self.scores_NK = arrays["ids"].astype(np.int64), arrays["scores"].astype(np.float32)
        self.num_labels = num_labels

    @property
    def dense_NL(self) -> np.ndarray | None:
        """Scores of every label, where they were asked for."""
        if self.ids_NK.shape[1] < self.num_labels:
            return None
        scores_NL = np.zeros((len(self.ids_NK), self.num_labels), np.float32)
        rows, columns = np.nonzero(self.ids_NK >= 0)
        scores_NL[rows, self.ids_NK[rows, columns]] = self.scores_NK[rows, columns]
        return scores_NL

    def batches(self) -> Scored:
        scores_NL = self.dense_NL
        for start in range(0, len(self.ids_NK), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            places = list(range(start, min(start + ROWS_AT_ONCE, len(self.ids_NK))))
            if scores_NL is not None:
                yield places, torch.from_numpy(scores_NL[part]), None
            else:
                yield places, torch.from_numpy(self.scores_NK[part]), torch.from_numpy(self.ids_NK[part])


def num_asked(num_labels: int) -> int:
    """How many labels a program is asked to score."""
    return num_labels if num_labels <= EVERY_LABEL else SHORTLIST


def fit_outside(
    job: Job,
    program: Program,
    inputs_of,
    *,
    settings: dict[str, Any],
    extra_bytes: int = 0,
    fit_inputs: dict[str, Any],
    seconds_of_preparing: Callable[[Sequence[Any], int], float] | None = None,
) -> Fitted:
    """Fits by a program, tunes the threshold on validation rows.

    Args:
        job ([`Job`]): of the run.
        program ([`Program`]): what fits and predicts.
        inputs_of: given texts, or features, and a name, writes them for the program; returns what it is told of them.
        settings (`dict`): of the program; `threshold_kind` and `threshold_metric`, as of `train`, are taken out of them.
        extra_bytes (`int`, *optional*, defaults to 0): of what prediction needs besides the program's model.
        fit_inputs (`dict`): what `fit` is told besides.
        seconds_of_preparing (*optional*): given items and how many come at a time, the seconds that `inputs_of` takes without its
            files; only for a program that knows the verb `time`.
    """
    settings = dict(settings)
    kind, metric = settings.pop("threshold_kind", "auto"), settings.pop("threshold_metric", "f1_micro")
    space = job.rows.label_space()
    common = {"top_k": num_asked(len(space)), "num_labels": len(space), "seed": job.seed, "settings": settings}
    answer = program.run("fit", **common, **fit_inputs)
    validation = job.rows.read("validation")
    answers = [answer]

    def predicted(items: Sequence[Any], name: str) -> TopLabels:
        output = program.folder / f"{name}.scores.npz"
        answers.append(program.run("predict", **common, **inputs_of(items, name), output=str(output)))
        return TopLabels(output, len(space))

    def timed(items: Sequence[Any], batch_size: int) -> Timing:
        asked = {**common, "top_k": min(TOP_K, len(space)), "batch_size": batch_size}
        prepared = seconds_of_preparing(items, batch_size)
        return Timing(prepared, program.run("time", **asked, **inputs_of(items, "timed"))["seconds"])

    found = predicted(validation[content_in(validation.column_names).column][:], "validation")
    true_ids = [space.encode_known(labels)[0] for labels in validation["labels"]]
    if found.dense_NL is not None:
        rule = chosen_rule(found.dense_NL, true_ids, space, kind=kind, metric=metric, seed=job.seed)
    else:
        rule = chosen_shortlist_rule(found.batches(), true_ids, space, metric=metric, seed=job.seed)
    return Fitted(
        score=lambda items: predicted(items, "measured").batches(),
        thresholds=rule.thresholds,
        min_labels=rule.min_labels,
        parameters=answer["parameters"],
        model_bytes=answer["bytes"] + extra_bytes,
        facts={**answer.get("facts", {}), "settings": settings},
        versions=answer["versions"],
        beside={name: sum(one["beside"][name] for one in answers) for name in ("seconds", "cpu_seconds")},
        predict_seconds=lambda: answers[-1]["seconds"],
        timed=None if seconds_of_preparing is None else timed,
    )
