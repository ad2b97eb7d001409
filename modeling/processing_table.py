"""Rows of a table to the numbers that a model reads: standardised numbers, signs of missing values, one-hot categories.

What was learned of the training rows (means, deviations, categories) is saved as `preprocessor_config.json` and travels with
the weights, so that a row means the same wherever the model is. `hf_mlc.tabular.fitting` makes one; here nothing is learned.

Columns of `input_features`, in this order:

| columns | of | value |
| --- | --- | --- |
| numbers | every numeric feature | `(x - mean) / scale`; 0 for one that was constant in training |
| signs of missing values | features with missing values in training | 1 where the value is missing, else 0 |
| categories | every category of every feature of categories | 1 for the row's category, else 0 |

Shape legend: B rows of a batch, F features, N numeric features, P columns of `input_features`.
"""

import math
import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from transformers import BatchFeature, FeatureExtractionMixin


NUMERIC, CATEGORY = "numeric", "category"
# what stands for a missing value, besides None and NaN
MISSING = ("", "?", "NA", "NaN", "nan")
_INDEX = re.compile(r"0|[1-9][0-9]*")
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
_LARGEST = float(np.finfo(np.float32).max)
# a boolean is the category "1" or "0" (`category_of`), or what a CSV may have called it in training
_SPELLINGS = {"1": ("True", "true", "TRUE"), "0": ("False", "false", "FALSE")}


class TableRowError(ValueError):
    """What is wrong with a row: one line that names row and feature, what was found, what is accepted.

    Args:
        problem (`str`): what was found.
        row (`int`, *optional*): counted from 1.
        field (`str`, *optional*): the feature.
        accepted (`str`, *optional*): what would have been accepted.
    """

    def __init__(self, problem: str, *, row: int | None = None, field: str | None = None, accepted: str | None = None):
        self.problem, self.row, self.field, self.accepted = problem, row, field, accepted
        place = ", ".join(
            [f"row {row}"] * (row is not None) + [f"field '{field}'"] * (field is not None)  # whichever is known
        )
        super().__init__((f"{place}: " if place else "") + problem + (f"; accepted: {accepted}" if accepted else ""))


class TableFeatureExtractor(FeatureExtractionMixin):
    r"""
    Turns rows of a table into `input_features`.

    Args:
        feature_names (`list[str]`, *optional*, defaults to `[]`): the F features, in the order of positions.
        kinds (`list[str]`, *optional*): of each feature, `"numeric"` or `"category"`; all numeric if not given.
        means (`list[float]`, *optional*): of each of the N numeric features, what is subtracted: its mean in training; 0
            where values stay uncentred (columns of 0 and 1, and sparse tables, so that zero stays zero).
        scales (`list[float]`, *optional*): what is divided by: the standard deviation in training, 1 for columns of 0
            and 1; 0 marks a feature that was constant in training, which becomes 0.
        fills (`list[float]`, *optional*): what stands in the column where the value is missing: its training mean, scaled.
        missing (`list[str]`, *optional*): features that had missing values in training; each gets a column.
        categories (`dict[str, list[str]]`, *optional*): of each feature of categories, its values in training. A boolean is
            whichever of 1, True, true and TRUE (or 0, False, ...) is one of them.
        keys (`str`, *optional*, defaults to `"names"`): what an object of whole numbers as keys means,
            `{"3": 1.5, "7": 2}`: `"indices"`, positions of a sparse row, or `"names"`.
        absent (`str`, *optional*, defaults to `"error"`): a feature that an object with names doesn't hold: `"error"`,
            `"zero"` (sparse rows) or `"missing"`. Rows of positions are sparse: what they don't hold is 0.
        unknown (`str`, *optional*, defaults to `"error"`): a name or a position that isn't among the features: `"error"`,
            or `"skip"`, counted in `unseen_counts`.
        missing_values (`str`, *optional*, defaults to `"indicator"`): `"indicator"`: a value may be missing where training
            had missing values too; `"mean"`: anywhere; `"error"`: nowhere.
        named_columns (`bool`, *optional*, defaults to `False`): whether each feature was a column of its own in the training
            data, and not an entry of one column of lists or objects.

    Attributes:
        numeric_size (`int`): N, the number of leading columns that hold numbers.
        input_size (`int`): P.
        unseen_counts (`collections.Counter`): by feature, how often a category came that training didn't have (it becomes all
            zeros), or a skipped feature; grows with every call, and is not saved.

    Raises:
        `ValueError`: features named twice, lists of different lengths, an unknown kind or option.

    Example:
        >>> extractor = TableFeatureExtractor(
        ...     ["age", "colour"], ["numeric", "category"], means=[40.0], scales=[10.0], categories={"colour": ["blue", "red"]}
        ... )
        >>> extractor([{"age": 50, "colour": "red"}, ["35", "green"]])["input_features"].tolist()
        [[1.0, 0.0, 1.0], [-0.5, 0.0, 0.0]]
        >>> extractor.unseen_counts
        Counter({'colour': 1})
    """

    model_input_names = ["input_features"]

    def __init__(
        self,
        feature_names: Sequence[str] | None = None,
        kinds: Sequence[str] | None = None,
        means: Sequence[float] | None = None,
        scales: Sequence[float] | None = None,
        fills: Sequence[float] | None = None,
        missing: Sequence[str] | None = None,
        categories: Mapping[str, Sequence[str]] | None = None,
        keys: Literal["names", "indices"] = "names",
        absent: Literal["error", "zero", "missing"] = "error",
        unknown: Literal["error", "skip"] = "error",
        missing_values: Literal["indicator", "mean", "error"] = "indicator",
        named_columns: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.feature_names = list(feature_names or [])
        self.kinds = list(kinds) if kinds is not None else [NUMERIC] * len(self.feature_names)
        num_numeric = self.kinds.count(NUMERIC)
        self.means = list(means) if means is not None else [0.0] * num_numeric
        self.scales = list(scales) if scales is not None else [1.0] * num_numeric
        self.fills = list(fills) if fills is not None else [0.0] * num_numeric
        self.missing = list(missing or [])
        self.categories = {name: list(values) for name, values in (categories or {}).items()}
        self.keys, self.absent, self.unknown = keys, absent, unknown
        self.missing_values, self.named_columns = missing_values, named_columns
        self._validate()
        self._prepare()

    # -- what it is

    @property
    def numeric_size(self) -> int:
        return len(self.means)

    @property
    def input_size(self) -> int:
        return self.numeric_size + len(self.missing) + sum(len(values) for values in self.categories.values())

    @property
    def column_names(self) -> list[str]:
        """What each of the P columns holds: `age`, `age is missing`, `colour = red`."""
        numbers = [name for name, kind in zip(self.feature_names, self.kinds, strict=True) if kind == NUMERIC]
        signs = [f"{name} is missing" for name in self.missing]
        return numbers + signs + [f"{name} = {value}" for name, values in self.categories.items() for value in values]

    def to_dict(self) -> dict[str, Any]:
        """What is saved: the arguments, and nothing of what is derived or counted."""
        return {name: value for name, value in super().to_dict().items() if name not in self._derived}

    # -- rows

    def __call__(self, rows: Any, return_tensors: str | None = "pt", *, first_row: int = 1, **kwargs) -> BatchFeature:
        """
        Args:
            rows (`list`): B rows, each a list of F values by position, an object by name, `{"indices": [...], "values":
                [...]}`, or an object by position (`{"3": 1.5}`); or one row, an array `(B, F)`, a pandas `DataFrame`. A
                number may be written as a string; None, NaN, `""`, `"?"` and `"NA"` are missing values.
            return_tensors (`str`, *optional*, defaults to `"pt"`): `"pt"` or `"np"`.
            first_row (`int`, *optional*, defaults to 1): the number of the first row in error messages.

        Returns:
            `BatchFeature`: `input_features`, float32 `(B, P)`.

        Raises:
            `ValueError`: a row of the wrong width, a feature that is not there or not known, an infinite number, a string
                where numbers belong, a value that is missing where none may be; it names row and feature.
        """
        if return_tensors not in ("pt", "np", None):
            raise ValueError(f"`return_tensors` must be 'pt' or 'np', found {return_tensors!r}")
        features_BP = self.encode(listed_rows(rows), first_row=first_row)
        return BatchFeature({"input_features": features_BP}, tensor_type=return_tensors)

    def encode(self, rows: Sequence[Any], *, first_row: int = 1) -> np.ndarray:
        """As a call, but always a list of rows to a float32 array `(B, P)`."""
        features_BP = np.zeros((len(rows), self.input_size), dtype=np.float32)
        if not len(rows):
            return features_BP
        numbers_BN = self.array_of_numbers(rows)
        if numbers_BN is None:
            numbers_BN = self._read_cells(rows, features_BP, first_row)
        self._write_numbers(numbers_BN, features_BP, first_row)
        return features_BP

    def cells(self, row: Any, number: int) -> Iterator[tuple[int, Any]]:
        """The position and the value of each feature that a row holds, unread; those it must hold are checked to be there."""
        if isinstance(row, Mapping):
            listed = sparse_keys(row)
            if listed == "indices":
                yield from self._by_index(row["indices"], row["values"], number)
            elif listed == "names":
                yield from self._by_name(row["names"], row["values"], number)
            elif self.keys == "indices" and all(is_index(key) for key in row):
                yield from self._by_index(list(row), list(row.values()), number)
            else:
                yield from self._by_name(list(row), list(row.values()), number)
            return
        if isinstance(row, (str, bytes)) or not hasattr(row, "__len__"):
            raise TableRowError(
                f"a row is {shown(row)}", row=number, accepted="a list of values, or an object of names and values"
            )
        if len(row) != len(self.feature_names):
            found = f"{len(row)} values" if len(row) != 1 else "1 value"
            raise TableRowError(found, row=number, accepted=f"{len(self.feature_names)}, one a feature")
        yield from enumerate(row)

    # -- inside

    _derived = ("unseen_counts", "_position_of", "_number_at", "_category_at", "_sign_at")

    def _validate(self) -> None:
        choices = {
            "keys": ("names", "indices"),
            "absent": ("error", "zero", "missing"),
            "unknown": ("error", "skip"),
            "missing_values": ("indicator", "mean", "error"),
        }
        for name, accepted in choices.items():
            if getattr(self, name) not in accepted:
                raise ValueError(f"`{name}` must be one of {', '.join(accepted)}, found {getattr(self, name)!r}")
        twice = [name for name, times in Counter(self.feature_names).items() if times > 1]
        if twice:
            raise ValueError(f"`feature_names` must be different names, found {twice[0]!r} twice")
        if len(self.kinds) != len(self.feature_names) or set(self.kinds) - {NUMERIC, CATEGORY}:
            raise ValueError(f"`kinds` must be 'numeric' or 'category' for each feature, found {self.kinds[:5]}")
        for name in ("means", "scales", "fills"):
            values = getattr(self, name)
            if len(values) != self.kinds.count(NUMERIC) or not all(math.isfinite(value) for value in values):
                raise ValueError(f"`{name}` must be a number for each numeric feature, found {len(values)} values")
        of_categories = [name for name, kind in zip(self.feature_names, self.kinds, strict=True) if kind == CATEGORY]
        if set(self.categories) != set(of_categories):
            raise ValueError(f"`categories` must be of {of_categories[:5]}, found {list(self.categories)[:5]}")
        self.categories = {name: self.categories[name] for name in of_categories}  # a saved file has them sorted
        if set(self.missing) - set(self.feature_names):
            raise ValueError("`missing` must be names of features")

    def _prepare(self) -> None:
        self.unseen_counts: Counter[str] = Counter()
        self._position_of = {name: position for position, name in enumerate(self.feature_names)}
        self._number_at: dict[int, int] = {}  # position of a feature -> its column
        self._category_at: dict[int, dict[str, int]] = {}  # position of a feature -> category -> column
        column = self.numeric_size + len(self.missing)
        for position, (name, kind) in enumerate(zip(self.feature_names, self.kinds, strict=True)):
            if kind == NUMERIC:
                self._number_at[position] = len(self._number_at)
                continue
            values = self.categories[name]
            self._category_at[position] = {value: column + place for place, value in enumerate(values)}
            self._add_booleans(self._category_at[position])
            column += len(values)
        self._sign_at = {self._position_of[name]: self.numeric_size + i for i, name in enumerate(self.missing)}

    @staticmethod
    def _add_booleans(column_of: dict[str, int]) -> None:
        """The columns of true and false too, in a feature whose categories in training were these words."""
        for name, spellings in _SPELLINGS.items():
            known = next((spelling for spelling in spellings if spelling in column_of), None)
            if known is not None:
                column_of.setdefault(name, column_of[known])

    def array_of_numbers(self, rows: Sequence[Any]) -> np.ndarray | None:
        """Rows that are lists of numbers and nothing else, in one step; `None` for any other."""
        if self._category_at or isinstance(rows[0], Mapping):
            return None
        try:
            values = np.asarray(rows)
        except ValueError:  # of different lengths
            return None
        if values.dtype.kind not in "biuf" or values.shape != (len(rows), len(self.feature_names)):
            return None
        return values.astype(np.float64)

    def _read_cells(self, rows: Sequence[Any], features_BP: np.ndarray, first_row: int) -> np.ndarray:
        """The numbers `(B, N)`, NaN where missing; categories and their signs are written into `features_BP`."""
        numbers_BN = np.zeros((len(rows), self.numeric_size), dtype=np.float64)
        for place, row in enumerate(rows):
            number = first_row + place
            for position, value in self.cells(row, number):
                column = self._number_at.get(position)
                if column is None:
                    self._write_category(position, value, features_BP[place], number)
                    continue
                try:
                    numbers_BN[place, column] = number_of(value)
                except ValueError:
                    raise TableRowError(
                        f"found {shown(value)} in a column of numbers",
                        row=number,
                        field=self.feature_names[position],
                        accepted='a number; "" or "?" for a missing one',
                    ) from None
        return numbers_BN

    def _write_category(self, position: int, value: Any, features_P: np.ndarray, row: int) -> None:
        name = self.feature_names[position]
        try:
            category = category_of(value)
        except ValueError:
            raise TableRowError(f"found {shown(value)}", row=row, field=name, accepted="a category's name") from None
        if category is None:
            self._check_may_be_missing(position, row)
            if position in self._sign_at:
                features_P[self._sign_at[position]] = 1.0
            return
        column = self._category_at[position].get(category)
        if column is None:
            self.unseen_counts[name] += 1
        else:
            features_P[column] = 1.0

    def _write_numbers(self, numbers_BN: np.ndarray, features_BP: np.ndarray, first_row: int) -> None:
        is_missing_BN = np.isnan(numbers_BN)
        means_N, scales_N = np.asarray(self.means, dtype=np.float64), np.asarray(self.scales, dtype=np.float64)
        is_constant_N = scales_N == 0
        with np.errstate(invalid="ignore", over="ignore"):
            scaled_BN = (numbers_BN - means_N) / np.where(is_constant_N, 1.0, scales_N)
        too_large_BN = np.isinf(numbers_BN) | (np.abs(scaled_BN) > _LARGEST)
        position_of_column = [position for position, _ in sorted(self._number_at.items(), key=lambda item: item[1])]
        if too_large_BN.any():
            place, column = np.argwhere(too_large_BN)[0].tolist()
            value = numbers_BN[place, column]
            raise TableRowError(
                f"found {'an infinite number' if math.isinf(value) else f'{value:g}, too large to compute with'}",
                row=first_row + place,
                field=self.feature_names[position_of_column[column]],
                accepted="finite numbers",
            )
        scaled_BN[:, is_constant_N] = 0.0
        if is_missing_BN.any():
            for place, column in np.argwhere(is_missing_BN).tolist():
                position = position_of_column[column]
                self._check_may_be_missing(position, first_row + place)
                scaled_BN[place, column] = self.fills[column]
                if position in self._sign_at:
                    features_BP[place, self._sign_at[position]] = 1.0
        features_BP[:, : self.numeric_size] = scaled_BN

    def _check_may_be_missing(self, position: int, row: int) -> None:
        if self.missing_values == "mean" or (self.missing_values == "indicator" and position in self._sign_at):
            return
        why = "a value"
        if self.missing_values == "indicator":
            why += ", since none is missing in training (missing_values 'mean' would take its mean)"
        raise TableRowError(
            "the value is missing",
            row=row,
            field=self.feature_names[position],
            accepted=why,
        )

    def _by_index(self, indices: Sequence[Any], values: Sequence[Any], row: int) -> Iterator[tuple[int, Any]]:
        _check_lengths(indices, values, row)
        held = set()
        for key, value in zip(indices, values, strict=True):
            if not is_index(key):
                raise TableRowError(f"a position is {shown(key)}", row=row, accepted="whole numbers from 0 on")
            position = int(key)
            if position in held:
                raise TableRowError(f"position {position} stands there twice", row=row, accepted="each once")
            held.add(position)
            if position < len(self.feature_names):
                yield position, value
            elif self.unknown == "skip":
                self.unseen_counts[f"position {position}"] += 1
            else:
                raise TableRowError(
                    f"position {position}",
                    row=row,
                    accepted=f"0 to {len(self.feature_names) - 1}: there are {len(self.feature_names)} features",
                )

    def _by_name(self, names: Sequence[Any], values: Sequence[Any], row: int) -> Iterator[tuple[int, Any]]:
        _check_lengths(names, values, row)
        held = set()
        for name, value in zip(names, values, strict=True):
            if not isinstance(name, Hashable):
                raise TableRowError(f"a name is {shown(name)}", row=row, accepted=_some_of(self.feature_names))
            if name in held:
                raise TableRowError("stands there twice", row=row, field=str(name), accepted="each feature once")
            held.add(name)
            position = self._position_of.get(name)
            if position is not None:
                yield position, value
            elif self.unknown == "skip":
                self.unseen_counts[str(name)] += 1
            else:
                raise TableRowError("no such feature", row=row, field=str(name), accepted=_some_of(self.feature_names))
        if len(held) >= len(self.feature_names) and self._position_of.keys() <= held:
            return
        if self.absent == "zero":
            if self.named_columns:  # training had 0 there (`Columns.absent`): of categories the one that is called so
                yield from ((place, 0) for place in self._category_at if self.feature_names[place] not in held)
            return
        for name, position in self._position_of.items():
            if name in held:
                continue
            if self.absent == "error":
                raise TableRowError(
                    "the feature is not there", row=row, field=name, accepted="every feature; null for a missing value"
                )
            yield position, None


# -- values -------------------------------------------------------------------------------------------------------


def number_of(value: Any) -> float:
    """A value as a number, NaN where it is missing.

    Raises:
        `ValueError`: it is neither.
    """
    if value is None:
        return math.nan
    if isinstance(value, str):
        text = value.strip()
        if text in MISSING:
            return math.nan
        if "_" in text:  # Python reads 1_000 as a number, and nobody else does
            raise ValueError(text)
        return float(text)
    if isinstance(value, (bool, int, float, np.number, np.bool_, Decimal)):
        try:
            return float(value)
        except OverflowError:  # an integer of hundreds of digits
            return math.inf
    if type(value).__name__ in ("NAType", "NaTType"):  # what pandas has for a missing value
        return math.nan
    raise ValueError(type(value).__name__)


def category_of(value: Any) -> str | None:
    """A value as the name of a category, `None` where it is missing; 7, 7.0, "7" and "7.0" are one name, "7".

    Raises:
        `ValueError`: it is a list or an object.
    """
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, Decimal):
        value = of_decimal(value)
    if isinstance(value, str):
        text = value.strip()
    elif isinstance(value, (int, np.integer)):  # every digit of it, as a string has them
        text = str(value)
    else:
        number = number_of(value)
        if math.isnan(number):
            return None
        text = repr(number)
    if text in MISSING or text.lstrip("+-").lower() == "nan":  # in whatever letters: as a number it is missing, too
        return None
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def of_decimal(value: Decimal) -> int | float:
    """A decimal number, as Parquet and databases have them, as one of Python's own: whole ones keep every digit, as an id needs."""
    return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)


def sparse_keys(row: Mapping[str, Any]) -> str | None:
    """`"indices"` or `"names"` of a row that holds these in a list and its `values` in another; `None` for an object of
    features, also of two that are called so: a feature's value is no list."""
    keys = next((keys for keys in ("indices", "names") if set(row) == {keys, "values"}), None)
    is_list = keys is not None and any(isinstance(value, (list, tuple, np.ndarray)) for value in row.values())
    return keys if is_list else None


def is_index(key: Any) -> bool:
    """Whether a key of a row is a position: a whole number, from 0 on, without leading zeros."""
    if isinstance(key, str):
        return _INDEX.fullmatch(key) is not None
    return isinstance(key, (int, np.integer)) and not isinstance(key, bool) and key >= 0


def shown(value: Any) -> str:
    """A value as an error message says it."""
    if value is None:
        return "null"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def listed_rows(rows: Any) -> Sequence[Any]:
    """Whatever holds rows as a list of them."""
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):  # a DataFrame of pandas
        return rows.to_dict("records")
    rows = _as_array(rows)
    if isinstance(rows, Mapping):
        return [rows]
    if isinstance(rows, (str, bytes)) or not hasattr(rows, "__len__"):
        raise TableRowError(f"rows are {shown(rows)}", accepted="a list of rows")
    if isinstance(rows, (list, tuple)) and any(hasattr(row, "detach") for row in rows):
        rows = [_as_array(row) for row in rows]
    if len(rows) and not isinstance(rows[0], (Mapping, list, tuple)) and np.ndim(rows[0]) == 0:
        return [rows]
    return rows


def _as_array(value: Any) -> Any:
    """A tensor as an array, bfloat16, which numpy hasn't, as float32; anything else as it is."""
    if not hasattr(value, "detach"):
        return value
    value = value.detach().cpu()
    return (value.float() if value.is_floating_point() else value).numpy()


def _check_lengths(names: Sequence[Any], values: Sequence[Any], row: int) -> None:
    for value in (names, values):
        if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
            accepted = "a list of positions or names, and a list of values"
            raise TableRowError(f"in place of a list {shown(value)}", row=row, accepted=accepted)
    if len(names) != len(values):
        raise TableRowError(
            f"{len(names)} positions or names and {len(values)} values",
            row=row,
            accepted="as many of one as of the other",
        )


def _some_of(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


__all__ = ["TableFeatureExtractor", "TableRowError"]
