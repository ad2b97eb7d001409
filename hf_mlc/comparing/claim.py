"""What a claim declares: data sets, arms, end points, and which differences decide it.

A claim is a file in `claims/` that defines `CLAIM`. Nothing else knows of its architecture.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hf_mlc.commands.recipes import read_recipe
from hf_mlc.errors import UserError


ROOT = Path(__file__).parents[2]  # of the repository: recipes are its files


@dataclass(frozen=True)
class Arm:
    """One system of a comparison.

    Args:
        name (`str`): as the lines say it. The full model's is its model_type, ablations' begin with it.
        about (`str`): what it is, in a few words, for the table.
        runner (`str`): what fits it, a key of `hf_mlc.comparing.arms.RUNNERS`.
        settings (`dict`, *optional*): of the runner. Of `"train"`: arguments of `train`, on top of the data set's recipe.
        by_default (`bool`, *optional*, defaults to `True`): whether it runs where no arms are asked for.
    """

    name: str
    about: str
    runner: str = "train"
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    by_default: bool = True


@dataclass(frozen=True)
class ClaimData:
    """One data set of a claim.

    Args:
        name (`str`): as `--dataset` says it.
        folder (`str`): below the folder of all data sets.
        end_points (`tuple[str]`): metrics whose differences decide, fixed before running.
        shown (`tuple[str]`): further metrics of the table.
        text_column (`tuple[str]`, *optional*): columns of the text.
        train_sizes (`tuple[int]`, *optional*): how many training documents to draw, one comparison each; without it all.
        validation_fraction (`float`, *optional*, defaults to 0.1): set aside where there is no validation split.
        recipe (`str`, *optional*): file of the arguments of `train`, from the repository's root.
        settings (`dict`, *optional*): arguments of `train` on top of the recipe, or without one.
        arm_settings (`dict`, *optional*): by the arm's name, settings that it has on this data set alone.
        arms (`tuple[str]`, *optional*): which arms run by default here, instead of the claim's.
    """

    name: str
    folder: str
    end_points: tuple[str, ...]
    shown: tuple[str, ...] = ()
    text_column: tuple[str, ...] = ("text",)
    train_sizes: tuple[int, ...] = ()
    validation_fraction: float = 0.1
    recipe: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    arm_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    arms: tuple[str, ...] | None = None

    def train_settings(self) -> dict[str, Any]:
        """The recipe's arguments with those of this data set on top."""
        if self.recipe is None:
            return dict(self.settings)
        return {**read_recipe(ROOT / self.recipe), **self.settings}


@dataclass(frozen=True)
class Claim:
    """What is compared.

    Args:
        name (`str`): of the claim, and of its full model.
        datasets (`tuple[ClaimData]`): what `--dataset` may name; a folder's path is run like the first, but by the claim's
            `own_data`.
        arms (`tuple[Arm]`): what `--arms` may name.
        differences (`tuple[tuple[str, str]]`): pairs of arms, first less second, printed with their intervals.
        own_data (`ClaimData`): settings and end points for a folder of the user's.
        must_be_ahead (`dict`, *optional*): by arm, the arms that it has to be ahead of, every one, for the claim to hold.
    """

    name: str
    datasets: tuple[ClaimData, ...]
    arms: tuple[Arm, ...]
    differences: tuple[tuple[str, str], ...]
    own_data: ClaimData
    must_be_ahead: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def arm(self, name: str) -> Arm:
        """The arm of this name; `UserError` if there is none."""
        return _named(name, self.arms, "arms")

    def data(self, name: str) -> ClaimData:
        """The data set of this name, or the folder at this path as a data set of the user's."""
        if Path(name).is_dir():
            return replace(self.own_data, name=Path(name).resolve().name, folder=str(Path(name).resolve()))
        return _named(name, self.datasets, "dataset", "a folder's path")

    def chosen_arms(self, data: ClaimData, names: list[str] | None) -> list[Arm]:
        """The arms asked for, each once, or those that run by default."""
        if names:
            return [self.arm(name) for name in dict.fromkeys(names)]
        if data.arms is not None:
            return [self.arm(name) for name in data.arms]
        return [arm for arm in self.arms if arm.by_default]


def find_claim(name: str) -> Claim:
    """The claim of this name; `UserError` if there is none."""
    from hf_mlc.comparing import claims

    known = [module.name for module in pkgutil.iter_modules(claims.__path__)]
    if name not in known:
        raise UserError(f"unknown claim '{name}'", field="NAME", accepted=", ".join(known))
    return importlib.import_module(f"{claims.__name__}.{name}").CLAIM


def _named(name: str, among: tuple, field: str, *others: str):
    for one in among:
        if one.name == name:
            return one
    raise UserError(f"found '{name}'", field=field, accepted=", ".join([*(one.name for one in among), *others]))
