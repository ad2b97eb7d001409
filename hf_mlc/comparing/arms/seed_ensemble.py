"""Several models of one recipe that differ by their seeds, made into one by the very command that a user types: `ensemble`.

What it is worth to average seeds is no merit of an architecture, so that SGM's encoder under sigmoids can be averaged as well.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from hf_mlc.commands.ensemble import main as ensemble
from hf_mlc.comparing.arms import Fitted, Job, ours, same_encoder
from hf_mlc.inference import load_model
from hf_mlc.run_facts import sum_of_costs


MEMBERS = 5
# the runner of each member, by that of the whole
MEMBER_RUNNERS = {"seed-ensemble": "train", "seed-ensemble-per-label": "same-encoder-per-label"}


def fit(job: Job, folder: Path) -> Fitted:
    """Trains each member as its own runner does, on the same rows; none has the job's own seed, with which another arm runs.
    Thresholds of the whole are chosen on the validation rows; with `refit`, after which the members know these, they are the mean
    of those that each had before its second training.
    """
    parts = folder.with_name(f"{folder.name}-members")
    parts.mkdir(parents=True, exist_ok=True)
    seeds = [1000 * (job.seed + 1) + member for member in range(MEMBERS)]
    runner = MEMBER_RUNNERS[job.runner]
    is_ours = runner == "train"
    fit_member = ours.fit if is_ours else same_encoder.fit
    members = [fit_member(replace(job, runner=runner, seed=seed), parts / str(seed)) for seed in seeds]
    words = ["--models", *(str(parts / str(seed)) for seed in seeds), "--output_dir", str(folder)]
    words += [] if job.settings.get("refit") else ["--validation_file", job.rows.validation, "--seed", str(job.seed)]
    for name in ("threshold_kind", "threshold_metric"):
        words += [f"--{name}", job.settings[name]] if name in job.settings else []
    with nullcontext() if is_ours else ours.shown(same_encoder.SameEncoderModel, like="sgm"):
        ensemble(words)
        loaded = load_model(str(folder))
    return Fitted(
        score=ours.scoring(loaded, job.settings),
        thresholds=loaded.model.config.thresholds,
        min_labels=loaded.model.config.min_labels,
        parameters=sum(member.parameters for member in members),
        model_bytes=ours.bytes_of_model(folder),
        parameter_parts=_summed([member.parameter_parts for member in members]),
        optimizer_cpu_seconds=round(sum(member.optimizer_cpu_seconds for member in members), 2),
        facts={"members": len(members), "seeds": seeds, "decision": loaded.model.config.decision},
        # not what a cache spared them: the first one filled it, in this process
        spared=sum_of_costs(*(ours.before_resuming(parts / str(seed)) for seed in seeds)),
    )


def _summed(parts: list[dict[str, int] | None]) -> dict[str, int] | None:
    return None if None in parts else {name: sum(part[name] for part in parts) for name in parts[0]}
