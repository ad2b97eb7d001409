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
from hf_mlc.comparing.all_at_once import AllAtOnce
from hf_mlc.comparing.generated import Generated
from hf_mlc.comparing.set_statements import OverSets
from hf_mlc.data.contents.features import ALL
from hf_mlc.data.writing import FEATURES_FILE
from hf_mlc.errors import UserError


ROOT = Path(__file__).parents[2]  # of the repository: recipes are its files
# arguments of `train` and other commands that say where labels and ids stand, and what `Columns` calls them
_COLUMNS = {
    "labels_column": "labels",
    "labels_separator": "labels_separator",
    "label_columns": "label_columns",
    "id_column": "id",
}


@dataclass(frozen=True)
class Arm:
    """One system of a comparison.

    Args:
        name (`str`): as the lines say it. The full model's is its model_type, ablations' begin with it.
        about (`str`): what it is, in a few words, for the table.
        runner (`str`): what fits it, a key of `hf_mlc.comparing.arms.RUNNERS`.
        settings (`dict`, *optional*): of the runner. Of `"train"`: arguments of `train`, on top of the data set's recipe.
        without (`tuple[str]`, *optional*): settings of the data set's recipe that the arm does not take over.
        held (`dict`, *optional*): settings that the arm's name promises and the runner has anyway: told only where the data set's
            recipe says otherwise.
        by_default (`bool`, *optional*, defaults to `True`): whether it runs where no arms are asked for.
        group (`str`, *optional*): heading of the table's part that it stands in; such arms are kept apart.
        with_encoder (`bool`, *optional*, defaults to `False`): starts from the pretrained encoder of `--encoder_path`;
            without that path it does not run.
        trials (`tuple[dict]`, *optional*): settings to choose from on validation rows, each on top of `settings`, the likeliest
            first: a data set takes as many of them, from the first, as it has trials (`ClaimData.num_trials`).
        chosen_as (`str`, *optional*): an arm whose choice this one takes over, instead of trials of its own; so that an
            ablation differs from it in `settings` and in nothing else.
    """

    name: str
    about: str
    runner: str = "train"
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    without: tuple[str, ...] = ()
    held: Mapping[str, Any] = field(default_factory=dict, hash=False)
    by_default: bool = True
    group: str = ""
    with_encoder: bool = False
    trials: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    chosen_as: str | None = None


@dataclass(frozen=True)
class Statement:
    """A sentence of a claim, printed with whether it holds and where it does not.

    It says that an arm is above *all* the others in *all* end points; so it holds where every interval is clear of 0, and no
    correction for the number of comparisons is called for.

    Args:
        about (`str`): the sentence without its subject: "above ...".
        ours (`tuple[str]`): arms that it is said of, each by itself.
        others (`tuple[str]`): arms that each must be above.
        end_points (`tuple[str]`): metrics.
    """

    about: str
    ours: tuple[str, ...]
    others: tuple[str, ...]
    end_points: tuple[str, ...]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The differences that decide it."""
        return tuple((one, other) for one in self.ours for other in self.others)


@dataclass(frozen=True)
class Bars:
    """Numbers that an arm's means over the seeds must pass, all at once.

    Args:
        about (`str`): what they are.
        ours (`tuple[str]`): arms that are held against them, each by itself.
        values (`dict[str, float]`): a number a metric.
        dataset (`str`): of which they are.
    """

    about: str
    ours: tuple[str, ...]
    values: Mapping[str, float] = field(hash=False)
    dataset: str


@dataclass(frozen=True)
class Dates:
    """Training on what was written early, measuring what was written late.

    Args:
        column (`str`): of the date, written as `26-FEB-1987 15:01:01.79` or `1987-02-26`.
        train_until (`str`): last day of training and validation rows, `YYYY-MM-DD`.
        measured_from (`str`): first day of the measured rows.
    """

    column: str
    train_until: str
    measured_from: str


@dataclass(frozen=True)
class Sequences:
    """How rows are made of sequences of events: a history, and the label set that comes next.

    Args:
        settings (`dict`): of [`~hf_mlc.events.settings.EventSettings`], by which the rows are cut.
        column (`str`, *optional*, defaults to `"events"`): of the sequences.
        one_source (`bool`, *optional*, defaults to `False`): the splits' files are one pool of users, divided by time.
        most_frequent (`int`, *optional*): so many labels are kept, those that most training targets hold; all of them without it.
    """

    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    column: str = "events"
    one_source: bool = False
    most_frequent: int | None = None


@dataclass(frozen=True)
class ClaimData:
    """One data set of a claim.

    Args:
        name (`str`): as `--dataset` says it.
        folder (`str`): below the folder of all data sets.
        end_points (`tuple[str]`): metrics whose differences decide, fixed before running.
        shown (`tuple[str]`): further metrics of the table.
        text_column (`tuple[str]`, *optional*): columns of the text.
        columns (`dict`, *optional*): where labels and ids stand, as arguments of [`~hf_mlc.data.rows.Columns`]; in columns of these
            names if not given.
        features_column (`str` or `tuple[str]`, *optional*): of a table, the column of its features, instead of a text; or the columns of
            each, `"*"` for all but those of labels and ids.
        generated ([`Generated`], *optional*): sparse rows that are made where they are missing; `folder` is then their name in the cache.
        sequences ([`Sequences`], *optional*): of events, how rows are made of them, instead of a text.
        meta_file (`str`, *optional*): JSON file in the folder whose `feature_names` and `feature_types` are those of a table, and
            whose `labels` are the names of all labels, for data in which some label may have no training row. Labels may as well
            stand in a labels.json beside it; without either they are those of the training split.
        num_trials (`int`, *optional*, defaults to 1): settings that each arm with trials may try; with 1 nothing is tried, and
            each has its first.
        without_effect (`tuple[str]`, *optional*): settings that change nothing on it; trials that differ in these alone are one.
        train_sizes (`tuple[int]`, *optional*): how many training documents to draw, one comparison each; without it all.
        validation_fraction (`float`, *optional*, defaults to 0.1): set aside where there is no validation split.
        recipe (`str`, *optional*): file of the arguments of `train`, from the repository's root.
        settings (`dict`, *optional*): arguments of `train` on top of the recipe, or without one.
        arm_settings (`dict`, *optional*): by the arm's name, settings that it has on this data set alone.
        arms (`tuple[str]`, *optional*): which arms run by default here, instead of the claim's.
        dates ([`Dates`], *optional*): which rows are trained on and measured, by their dates.
        measured_folder (`str`, *optional*): another data set, whose test split is measured instead.
        label_map (`str`, *optional*): JSON file with the measured rows' label names and those that training calls them, `null`
            for a label to leave out; other names stay as they are.

    With any of the last three the evaluation is on the labels that both sides have.
    """

    name: str
    folder: str
    end_points: tuple[str, ...]
    shown: tuple[str, ...] = ()
    text_column: tuple[str, ...] = ("text",)
    columns: Mapping[str, Any] = field(default_factory=dict, hash=False)
    features_column: str | tuple[str, ...] | None = None
    generated: Generated | None = None
    sequences: Sequences | None = None
    meta_file: str | None = None
    num_trials: int = 1
    without_effect: tuple[str, ...] = ()
    train_sizes: tuple[int, ...] = ()
    validation_fraction: float = 0.1
    recipe: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    arm_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    arms: tuple[str, ...] | None = None
    dates: Dates | None = None
    measured_folder: str | None = None
    label_map: str | None = None

    @property
    def is_across(self) -> bool:
        """Whether what is measured comes from elsewhere than what is trained on."""
        return bool(self.dates or self.measured_folder or self.label_map)

    def train_settings(self) -> dict[str, Any]:
        """The recipe's arguments with those of this data set on top."""
        if self.recipe is None:
            return dict(self.settings)
        return {**read_recipe(ROOT / self.recipe), **self.settings}

    def with_columns_of(self, recipe: Mapping[str, Any]) -> ClaimData:
        """The same rows read from the columns that a recipe of `train` names: of texts and features theirs, and those of labels and ids.
        Event sequences are read as they are, since rows are made of them first.

        Args:
            recipe (`dict`): arguments of `train`; those that it doesn't name are as they are.
        """
        if self.sequences is not None:
            return self
        changes: dict[str, Any] = {}
        if recipe.get("text_column") is not None:
            changes["text_column"] = tuple(_several(recipe["text_column"]))
        if self.features_column is not None:
            if recipe.get("features_column") is not None:
                changes["features_column"] = recipe["features_column"]
            if recipe.get("feature_columns") is not None:
                names = tuple(_several(recipe["feature_columns"]))
                changes["features_column"] = ALL if names == (ALL,) else names
        columns = {name: recipe[argument] for argument, name in _COLUMNS.items() if recipe.get(argument) is not None}
        if "label_columns" in columns:
            columns["label_columns"] = tuple(_several(columns["label_columns"]))
        return replace(self, **changes, columns={**self.columns, **columns})


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
        statements (`tuple[Statement]`, *optional*): sentences to print, with which of them hold.
        bars (`tuple[Bars]`, *optional*): numbers to pass.
        all_at_once ([`AllAtOnce`], *optional*): bars that other arms set, all to be passed by one model.
        over_sets ([`OverSets`], *optional*): what is said of all data sets together.
        trials_by (`str`, *optional*, defaults to `"subset_accuracy"`): the metric of validation rows that trials are chosen by.
        batch_sizes (`tuple[int]`, *optional*): numbers of documents that come at a time, at which answering is timed.
        one_process (`bool`, *optional*, defaults to `False`): all runs in one process, where starting one would cost more than
            most trainings; memory is then that of the largest run so far.
    """

    name: str
    datasets: tuple[ClaimData, ...]
    arms: tuple[Arm, ...]
    differences: tuple[tuple[str, str], ...]
    own_data: ClaimData
    must_be_ahead: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    statements: tuple[Statement, ...] = ()
    bars: tuple[Bars, ...] = ()
    all_at_once: AllAtOnce | None = None
    over_sets: OverSets | None = None
    trials_by: str = "subset_accuracy"
    batch_sizes: tuple[int, ...] = ()
    one_process: bool = False

    def arm(self, name: str) -> Arm:
        """The arm of this name; `UserError` if there is none."""
        return _named(name, self.arms, "arms")

    def data(self, name: str) -> ClaimData:
        """The data set of this name, or the folder at this path as a data set of the user's; of a table with the features.json
        that lies in it."""
        if Path(name).is_dir():
            folder = Path(name).resolve()
            declared = self.own_data.features_column is not None and (folder / FEATURES_FILE).is_file()
            meta_file = FEATURES_FILE if declared else self.own_data.meta_file
            return replace(self.own_data, name=folder.name, folder=str(folder), meta_file=meta_file)
        return _named(name, self.datasets, "dataset", "a folder's path")

    def chosen_arms(self, data: ClaimData, names: list[str] | None, *, encoder: bool = False) -> list[Arm]:
        """The arms asked for, each once, or those that run by default.

        Args:
            data, names: of the comparison.
            encoder (`bool`, *optional*, defaults to `False`): whether a pretrained encoder was given: arms that start from
                one run by default only then.

        Raises:
            `UserError`: an arm that there isn't.
        """
        if names:
            return [self.arm(name) for name in dict.fromkeys(names)]
        if data.arms is not None:
            arms = [self.arm(name) for name in data.arms]
        else:
            arms = [arm for arm in self.arms if arm.by_default]
        return [arm for arm in arms if encoder or not arm.with_encoder]


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


def _several(value: Any) -> list[Any]:
    """A list of a recipe, which may hold a single value without brackets."""
    return list(value) if isinstance(value, (list, tuple)) else [value]
