"""The rows that all arms of one comparison share: drawn, split and written once, before any arm sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from hf_mlc.comparing.claim import ROOT, ClaimData, Dates
from hf_mlc.comparing.event_rows import SEQUENCES, labels_of_training, rows_of_sequences, with_user
from hf_mlc.comparing.label_dependence import label_dependence
from hf_mlc.comparing.lines import settings_hash
from hf_mlc.data import Columns, add_validation_split, fingerprint, load_splits
from hf_mlc.data.contents.features import ALL
from hf_mlc.data.writing import LABELS_FILE
from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.labels import LabelSpace
from hf_mlc.tabular.feature_files import read_feature_file
from hf_mlc.tabular.fitting import declares_categories


SPLITS = ("test", "validation", "unused")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
MOST_UNUSED = 2000  # rows that the draw left, to choose a recipe on
MOST_RELATED = 2000  # labels up to which it is said how much they depend on each other
# what a recipe may say of a table's features, as `train` takes it: it goes for every arm, which all see the same columns
TABLE_SETTINGS = ("feature_file", "category_columns", "max_categories", "absent_features", "missing_values")


@dataclass(frozen=True)
class Rows:
    """Where the rows of one comparison lie.

    Args:
        train, validation (`str`): files of training and validation rows: `id`, `labels` and `text`, or of a table `features`, or of
            sequences `events`, the history.
        labels (`str`): file of the label space: the labels of ALL training rows, drawn or not, so that a document's true
            labels are the same at every training size; or those that the data set names. Training counts are of the training
            file alone.
        measured (`str`): the folder or file whose `split` is measured; opened when everything is chosen.
        split (`str`): what is measured.
        text_column (`list[str]`): columns of its text.
        columns (`dict`, *optional*): where its labels and ids stand, as arguments of [`~hf_mlc.data.rows.Columns`].
        fingerprints (`dict[str, str]`): of the training and the validation rows.
        num_train (`int`): training rows.
        across (`bool`, *optional*, defaults to `False`): the measured rows come from elsewhere, and the labels that both sides
            have are evaluated.
        label_map (`dict`, *optional*): what training calls the measured rows' labels; `None` for one to leave out.
        date_column, measured_from (`str`, *optional*): only rows from this day on are measured.
        features_column (`str` or `list[str]`, *optional*): of a table, the column of the measured rows' features, or those of each.
        meta_file (`str`, *optional*): of a table, the file that declares its features.
        category_columns (`list[str]`, *optional*): of a table, features of categories, whatever their values look like.
        absent_features (`str`, *optional*, defaults to `"error"`): of a table, what a feature means that an object doesn't hold.
        train_sequences (`str`, *optional*): of event sequences, a file with one row for each training user, whose history is all of that
            user's training events but the last: the form in which a causal model has every training target once.
        facts (`dict`, *optional*): of the rows, for every line: how much the labels of a table depend on each other.
    """

    train: str
    validation: str
    labels: str
    measured: str
    split: str
    text_column: list[str]
    fingerprints: dict[str, str]
    num_train: int
    across: bool = False
    label_map: dict[str, str | None] | None = None
    date_column: str | None = None
    measured_from: str | None = None
    features_column: str | list[str] | None = None
    meta_file: str | None = None
    category_columns: Sequence[str] = ()
    absent_features: str = "error"
    train_sequences: str | None = None
    columns: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_table(self) -> bool:
        """Whether the rows hold features, not texts."""
        return self.features_column is not None

    @property
    def is_events(self) -> bool:
        """Whether the rows hold histories of events."""
        return self.train_sequences is not None

    def read(self, split: str) -> datasets.Dataset:
        """The rows of `"train"` or `"validation"`."""
        columns = None
        if self.is_table:
            columns = self._columns_of_table("features")
        elif self.is_events:
            columns = Columns(events="events")
        return load_splits(**{f"{split}_file": getattr(self, split)}, columns=columns, splits=[split])[split]

    def read_measured(self) -> datasets.Dataset:
        """The rows that are measured. Call it once, at the end."""
        if self.is_table:
            columns = self._columns_of_table(self.features_column)
        else:
            columns = Columns(events="events") if self.is_events else Columns(text=list(self.text_column))
        rows = self._load_measured(replace(columns, **self.columns))
        if self.measured_from is None:
            return rows
        dates = self._load_measured(Columns(text=[self.date_column], **self.columns))
        days = _days(dates, file=self.measured, field=self.date_column)
        return rows.select([place for place, day in enumerate(days) if day >= self.measured_from])

    def _columns_of_table(self, features_column: str | list[str]) -> Columns:
        return columns_of_table(features_column, self.meta_file, self.category_columns, self.absent_features)

    def _load_measured(self, columns: Columns) -> datasets.Dataset:
        if Path(self.measured).is_dir():
            return load_splits(self.measured, columns=columns, splits=["test"])["test"]
        return load_splits(test_file=self.measured, columns=columns, splits=["test"])["test"]

    def known_labels(self, label_lists: list[list[str]], space: LabelSpace) -> tuple[list[np.ndarray], list[int]]:
        """The measured rows' labels as ids of the training labels, and how many of each row's are none of these."""
        names = self.label_map or {}
        known, unknown = [], []
        for labels in label_lists:
            called = [names.get(str(label), label) for label in labels] if names else labels
            ids, number = space.encode_known([label for label in called if label is not None])
            known.append(ids)
            unknown.append(number)
        return known, unknown

    def label_space(self) -> LabelSpace:
        """The labels, with the counts of the training rows."""
        return LabelSpace.load(self.labels).counted(self.read("train")["labels"], file=self.train)


def folder_of(data: ClaimData, data_dir: str | Path) -> Path:
    """The data set's folder, written if it is a generated one; `UserError` where it is missing."""
    if data.generated is not None:
        return data.generated.write(data.folder)
    folder = Path(data_dir) / data.folder  # an absolute `data.folder` stays itself
    if not folder.is_dir():
        raise UserError("no such folder", file=folder, field="data_dir", accepted="the folder of the data sets")
    return folder


def prepare_rows(
    data: ClaimData, source: Path, folder: Path, *, train_size: int | None, seed: int, split: str = "test",
    propensity: Sequence[float] | None = None, table_settings: Mapping[str, Any] | None = None,
) -> Rows:  # fmt: skip
    """Draws the seed's training documents, sets its validation rows aside, and writes them below `folder`.

    The documents set aside are of the `train_size`: they are labelled, too. `propensity`: A and B of `psp@k`, where the recipe says
    them; `table_settings`: what it says of a table's features (`TABLE_SETTINGS`).
    """
    if data.sequences is not None and train_size is not None:
        raise UserError(f"found {train_size}", field="train_sizes", accepted="all, of event sequences")
    if data.sequences is not None and data.is_across:
        raise UserError(
            "rows from elsewhere", field="measured_dataset", accepted="none, nor a label map, of event sequences"
        )
    if data.generated is not None:
        return _generated_rows(data, source, train_size=train_size, split=split)
    skip = ["test"] if train_size is None else ["test", "validation"]
    of_table = {} if data.features_column is None else _declared(data, source, table_settings or {})
    made: dict[str, datasets.Dataset] = {}
    if data.sequences is not None:
        made = rows_of_sequences(data.sequences, source, seed=seed)
        splits = datasets.DatasetDict({name: made[name] for name in ("train", "validation")})
        space = LabelSpace.from_label_lists(labels_of_training(splits["train"]), file=source)
    else:
        columns = (
            columns_of_table(data.features_column, **of_table) if of_table else Columns(text=list(data.text_column))
        )
        splits = load_splits(source, columns=replace(columns, **data.columns), skip=skip)
        if data.dates is not None:
            splits = _written_until(splits, data.dates, source, skip, data.columns)
        space = _label_space(data, source, splits["train"]["labels"])
    features_column = data.features_column
    if features_column == ALL:  # of the measured rows too those that training has
        features_column = list(splits["train"].features["features"])
    unused = None
    if train_size is not None:
        if not 2 <= train_size <= len(splits["train"]):
            raise UserError(f"found {train_size}", field="train_sizes", accepted=f"2 to {len(splits['train'])}")
        order = np.random.default_rng([seed, train_size]).permutation(len(splits["train"]))
        drawn, left = np.sort(order[:train_size]), np.sort(order[train_size:][:MOST_UNUSED])
        unused = splits["train"].select(left)
        splits = datasets.DatasetDict(train=splits["train"].select(drawn))
    if "validation" not in splits:
        splits, _ = add_validation_split(splits, space, fraction=data.validation_fraction, seed=seed, file=source)
    folder.mkdir(parents=True, exist_ok=True)
    parts = {**made, "train": splits["train"], "validation": splits["validation"]}
    if split == "unused":
        if unused is None or not len(unused):
            raise UserError("no unused training rows", field="split", accepted="unused with train_sizes only")
        parts["unused"] = unused
    for name, rows in parts.items():
        with written_whole(folder / f"{name}.jsonl") as stream:
            for row in rows:
                if data.sequences is not None:
                    part = "" if data.sequences.one_source else "train" if name == SEQUENCES else name
                    row = with_user(row, part)
                labels = row["labels"]
                if not space.integers_are_ids:  # an id stays one: "1" may be the name of another label
                    labels = [str(label) for label in labels]
                stream.write(json.dumps({**row, "labels": labels}) + "\n")
    if propensity is not None:
        space = replace(space, propensity=tuple(propensity))
    space.save(folder / "labels.json")
    label_map = None if data.label_map is None else read_label_map(ROOT / data.label_map, space)
    fingerprints = {name: fingerprint(splits[name]) for name in ("train", "validation")}
    if data.is_across:  # what is measured is part of what a run is
        dates = None if data.dates is None else vars(data.dates)
        fingerprints["across"] = settings_hash(label_map, dates, data.measured_folder)
    measured = folder / f"{split}.jsonl" if made or split != "test" else source
    if split == "test" and data.measured_folder is not None:
        measured = source.parent / data.measured_folder
        if not measured.is_dir():
            raise UserError("no such folder", file=measured, field="measured_dataset")
    return Rows(
        train=str(folder / "train.jsonl"),
        validation=str(folder / "validation.jsonl"),
        labels=str(folder / "labels.json"),
        measured=str(measured),
        split=split,
        text_column=list(data.text_column) if split == "test" else ["text"],
        columns=dict(data.columns) if split == "test" else {},
        fingerprints=fingerprints,
        num_train=len(splits["train"]),
        across=data.is_across,
        label_map=label_map if split == "test" else None,
        features_column=features_column if split == "test" or features_column is None else "features",
        **of_table,
        train_sequences=str(folder / f"{SEQUENCES}.jsonl") if made else None,
        facts=_facts(data, splits["train"]["labels"], space),
        date_column=data.dates.column if data.dates and split == "test" else None,
        measured_from=data.dates.measured_from if data.dates and split == "test" else None,
    )


def _generated_rows(data: ClaimData, source: Path, *, train_size: int | None, split: str) -> Rows:
    """The files as they are: nothing is drawn, and every seed has the same validation rows."""
    if train_size is not None or split == "unused":
        raise UserError(f"found {train_size}", field="train_sizes", accepted="all, of a generated data set")
    return Rows(
        train=str(source / "train.txt"),
        validation=str(source / "validation.txt"),
        labels=str(source / LABELS_FILE),
        measured=str(source / f"{split}.txt"),
        split=split,
        text_column=[],
        fingerprints={"generated": data.generated.fingerprint},
        num_train=data.generated.num_train,
        features_column="features",
    )


def _declared(data: ClaimData, source: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a table's features before its rows are read: by the recipe, or by the data set's own file."""
    meta_file = None if data.meta_file is None else str(source / data.meta_file)
    if settings.get("feature_file") is not None:
        meta_file = str(Path(settings["feature_file"]).resolve())
    return {
        "meta_file": meta_file,
        "category_columns": list(settings.get("category_columns") or ()),
        "absent_features": settings.get("absent_features", "error"),
    }


def columns_of_table(
    features_column: str | Sequence[str], meta_file: str | None, category_columns: Sequence[str], absent_features: str
) -> Columns:
    """The columns of a table, whose values stay as they are written where some are declared categories."""
    declared = None if meta_file is None else read_feature_file(meta_file)
    names, types = ((), None) if declared is None else (declared.names, declared.types)
    as_written = declares_categories(names, types, category_columns)
    if not isinstance(features_column, str):
        features_column = tuple(features_column)
    return Columns(features=features_column, as_written=as_written, absent=absent_features)


def _label_space(data: ClaimData, source: Path, label_lists) -> LabelSpace:
    """The labels that the data set names, or those of its training rows."""
    if data.meta_file is None:
        return LabelSpace.from_label_lists(label_lists, file=source)
    path = source / data.meta_file
    try:
        names = dict(json.loads(path.read_text(encoding="utf-8"))).get("labels")
    except (OSError, ValueError, TypeError) as error:
        accepted = "a JSON object, the names of all labels in a list under 'labels'"
        raise UserError(f"can't be read ({error})", file=path, field="meta_file", accepted=accepted) from None
    if names is None and (source / LABELS_FILE).is_file():
        names = LabelSpace.load(source / LABELS_FILE).names
    return LabelSpace.from_label_lists(label_lists, names=names, file=source)


def _facts(data: ClaimData, label_lists, space: LabelSpace) -> dict[str, Any]:
    if data.features_column is None or len(space) > MOST_RELATED:
        return {}
    ids = [space.encode_known(labels)[0] for labels in label_lists]
    return {"label_dependence": round(label_dependence(ids, len(space)), 4)}


def read_label_map(path: Path, space: LabelSpace) -> dict[str, str | None]:
    """What training calls the labels of other data.

    Raises:
        `UserError`: no JSON object of names or nulls, or a name that no training label has.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"can't be read ({error})", file=path, field="label_map") from None
    accepted = 'a JSON object, {"name in the measured rows": "name in the training rows" or null}'
    if not isinstance(content, dict) or not all(value is None or isinstance(value, str) for value in content.values()):
        raise UserError("no names", file=path, field="label_map", accepted=accepted)
    for name, called in content.items():
        if called is not None and called not in space.names:
            raise UserError(
                f"'{name}' is mapped to '{called}'", file=path, field="label_map", accepted="training labels"
            )
    return content


def _written_until(
    splits: datasets.DatasetDict, dates: Dates, source: Path, skip: list[str], columns: Mapping[str, Any]
) -> datasets.DatasetDict:
    """Training and validation rows of the first days."""
    written = load_splits(source, columns=Columns(text=[dates.column], **columns), skip=skip)
    chosen = {}
    for name, rows in splits.items():
        days = _days(written[name], file=source, field=dates.column)
        chosen[name] = rows.select([place for place, day in enumerate(days) if day <= dates.train_until])
    if not len(chosen["train"]):
        raise UserError("no row so early", file=source, field="train_until", accepted=f"a day from {min(days)} on")
    return datasets.DatasetDict(chosen)


def _days(rows: datasets.Dataset, *, file, field: str) -> list[str]:
    """The days of the rows, `YYYY-MM-DD`, so that their order is that of the alphabet."""
    days = []
    for row, written in enumerate(rows["text"], start=1):
        english = re.match(r"\s*(\d{1,2})-([A-Za-z]{3})-(\d{4})\b", written)
        numbers = re.match(r"\s*(\d{4}-\d{2}-\d{2})", written)
        if english and english[2].upper() in MONTHS:
            days.append(f"{english[3]}-{MONTHS.index(english[2].upper()) + 1:02d}-{int(english[1]):02d}")
        elif numbers:
            days.append(numbers[1])
        else:
            accepted = "26-FEB-1987 or 1987-02-26, a time of day behind it or not"
            raise UserError(f"found '{written[:30]}'", file=file, row=row, field=field, accepted=accepted)
    return days


def rows_as_json(rows: Rows) -> dict[str, Any]:
    """For the job of a run."""
    return dict(vars(rows))
