"""Settings that are tried before an arm runs: each trained once, chosen on validation rows, then used with every seed.

Every arm tries equally many on a data set, so that nobody is tuned more than another. All trials run with one seed, whatever seeds
the comparison has, so that parts of it run apart make the same choice; test rows have no part in it. (Rows measured with `--split
validation` or `unused` may have: those of seed 0's draw, on which the trials were.) Trials are lines
of a file of their own beside the comparison's, and are not trained twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_mlc.comparing.claim import Arm, ClaimData


SEED = 0


def trials_file(output: Path) -> Path:
    """Where the trials behind a file of lines lie: beside it."""
    return output.with_name(f"{output.stem}.trials.jsonl")


@dataclass(frozen=True)
class Choice:
    """What an arm's trials came to.

    Args:
        settings (`dict`): of the chosen trial.
        facts (`dict`): for the line: the number of trials, the value of each and the seconds of training that they took.
    """

    settings: Mapping[str, Any]
    facts: Mapping[str, Any]


def trials_of(arm: Arm, data: ClaimData) -> Sequence[Mapping[str, Any]]:
    """The settings that the arm tries on the data set, the first as many as it has trials for; none where it has none.

    Settings without effect there are left out, and of trials that are then alike the first stays.
    """
    trials: list[Mapping[str, Any]] = []
    for settings in arm.trials:
        settings = {name: value for name, value in settings.items() if name not in data.without_effect}
        if settings not in trials:
            trials.append(settings)
    return trials[: max(1, data.num_trials)]


def choose(
    arm: Arm, data: ClaimData, metric: str, run_trial: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]
) -> Choice | None:
    """Tries what the arm declares and takes the best by the validation rows; of equals the first.

    Args:
        arm, data: whose trials.
        metric (`str`): that decides.
        run_trial: trains with the settings of a trial and gives its line; `None` where that failed.

    Returns:
        The choice; one without settings where the arm declares no trials, without a training where only one is asked for. `None`
        where every trial failed.
    """
    trials = trials_of(arm, data)
    if len(trials) < 2:
        return Choice(trials[0] if trials else {}, {})
    best, values, seconds = None, [], 0.0
    for settings in trials:
        line = run_trial(settings)
        if line is None:
            values.append(None)
            continue
        value = line["metrics"][metric]
        values.append(value)
        seconds += line["train_seconds"]
        if best is None or value > best[0]:
            best = value, settings
    if best is None:
        return None
    facts = {"by": metric, "chosen": dict(best[1]), "number": len(trials), "values": values}
    return Choice(best[1], facts | {"train_seconds": round(seconds, 2)})
