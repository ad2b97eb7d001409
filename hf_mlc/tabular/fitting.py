"""What the training rows of a table say about its features, as the extractor that travels with a model.

Which kind a feature is, where nobody says:

| values in training | kind |
| --- | --- |
| numbers, also written as strings, or nothing at all | numeric |
| strings, and at most half of the values numbers | categories |
| mostly numbers, and some strings | an error that names the first: a slip, or a column to be named as one of categories |

Shape legend: B rows of a block, F features.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hf_mlc.errors import UserError
from hf_mlc.modeling.processing_table import (
    CATEGORY,
    NUMERIC,
    TableFeatureExtractor,
    TableRowError,
    category_of,
    is_index,
    number_of,
    shown,
    sparse_keys,
)
from hf_mlc.tabular.statistics import ColumnStatistics


# cells of a block of rows that are numbers at one time (8 MiB)
CELLS = 2**20
# a sparse table with a higher position is one whose positions are something else: ids, hashes
WIDEST = 2**24
# of so many rows and more: a feature with a category for every second of them is no feature of categories
FEW_ROWS = 20


def fit_table(
    rows: Sequence[Any],
    *,
    names: Sequence[str] | None = None,
    types: Sequence[Any] | None = None,
    category_columns: Sequence[str] = (),
    absent: Literal["error", "zero", "missing"] = "error",
    missing_values: Literal["indicator", "mean", "error"] = "indicator",
    max_categories: int = 1000,
    named_columns: bool = False,
    file: str | Path = "train",
) -> TableFeatureExtractor:
    """The extractor of a table: means and deviations, categories, which values may be missing. Two or three passes.

    Numbers are standardised. Columns of 0 and 1 are left as they are, and sparse tables (rows of positions, or `absent`
    "zero") are scaled and not centred, so that what is zero stays zero. A column that is constant becomes 0.

    Args:
        rows (sequence): the TRAINING rows, as [`~hf_mlc.modeling.processing_table.TableFeatureExtractor`] takes them.
        names (`list[str]`, *optional*): the features in order. Without them those of the rows; positions are called
            `feature_0`, ... up to the highest that occurs.
        types (`list`, *optional*): of each of `names`: `"num"` (`"numeric"`, `"real"`, `"integer"`), `"category"` or the list
            of its categories. Of 0 and 1, and two categories in a sparse table (which holds their number), are numeric.
        category_columns (`list[str]`, *optional*): features of categories, whatever their values look like.
        absent, missing_values, named_columns: see the extractor.
        max_categories (`int`, *optional*, defaults to 1000): more different strings in a feature are an error: an id, a text.
        file (`str` or `Path`, *optional*, defaults to `"train"`): where the rows come from, for error messages.

    Raises:
        `UserError`: no feature, a row that doesn't fit the others, an infinite number, a string among numbers, too many
            categories, `category_columns` or `types` that don't fit; it names file, row and feature.
    """
    try:
        walker, sparse = _walker(rows, names, absent, named_columns, file)
        kinds = _declared_kinds(walker.feature_names, types, category_columns, sparse=sparse)
        statistics, kinds = _measure(rows, walker, kinds, file)
        categories = _categories(rows, walker, kinds, max_categories, file)
    except TableRowError as error:
        raise of_user(error, file) from None
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(str(error), file=file) from None  # features named twice
    numeric_F = np.array([kind == NUMERIC for kind in kinds])
    means, scales, fills = statistics.scaling(sparse=sparse)
    missing = [name for name, count in zip(walker.feature_names, statistics.num_missing, strict=True) if count]
    return TableFeatureExtractor(
        walker.feature_names,
        kinds,
        means=means[numeric_F].tolist(),
        scales=scales[numeric_F].tolist(),
        fills=fills[numeric_F].tolist(),
        missing=missing if missing_values == "indicator" else [],
        categories=categories,
        keys=walker.keys,
        absent=absent,
        unknown=walker.unknown,
        missing_values=missing_values,
        named_columns=named_columns,
    )


def of_user(error: TableRowError, file: str | Path) -> UserError:
    """The error of a row with the file that it stands in."""
    return UserError(error.problem, file=file, row=error.row, field=error.field, accepted=error.accepted)


def summary(extractor: TableFeatureExtractor) -> str:
    """One line of what was found: how many features of which kind, and how many columns they become."""
    constant = sum(scale == 0 for scale in extractor.scales)
    parts = [f"{extractor.numeric_size:,} numeric features"]
    if constant:
        parts[0] += f" ({constant:,} constant in training)"
    if extractor.categories:
        number = sum(map(len, extractor.categories.values()))
        parts.append(f"{len(extractor.categories):,} of categories ({number:,} in all)")
    if extractor.missing:
        parts.append(f"{len(extractor.missing):,} with missing values")
    return f"table: {', '.join(parts)}; {extractor.input_size:,} columns"


def remarks(extractor: TableFeatureExtractor, num_rows: int) -> list[str]:
    """A line for each feature of which nearly every training row has a category of its own: names, dates, free text.

    Args:
        extractor ([`~hf_mlc.modeling.processing_table.TableFeatureExtractor`]): fitted on them.
        num_rows (`int`): how many there were; of fewer than 20 nothing is said.
    """
    return [
        f"feature '{name}': {len(values):,} categories in {num_rows:,} rows ({shown(values[-1])}, ...), a column each; is it "
        "a name, a date, a text, a number with a decimal comma? accepted instead: --feature_columns without it, numbers with "
        "a decimal point, a date as numbers"
        for name, values in extractor.categories.items()
        if num_rows >= FEW_ROWS and len(values) > num_rows / 2
    ]


def declares_categories(names: Sequence[str], types: Sequence[Any] | None, category_columns: Sequence[str]) -> bool:
    """Whether some feature is declared to be one of categories, so that its values count as they are written.

    Args:
        names, types, category_columns: as [`fit_table`] takes them.
    """
    kinds = (_kind_of_type(kind, name, sparse=False) for kind, name in zip(types or (), names, strict=False))
    return bool(category_columns) or CATEGORY in kinds


# -- the features -----------------------------------------------------------------------------------------------------


def _walker(
    rows: Sequence[Any], names: Sequence[str] | None, absent: str, named_columns: bool, file: str | Path
) -> tuple[TableFeatureExtractor, bool]:
    """An extractor that knows the features' names and nothing more, to walk over rows with; and whether rows are sparse."""
    first = next((row for row in rows if not isinstance(row, Mapping) or len(row)), None)
    if first is None:
        raise UserError("no features in any row", file=file, field="features", accepted="rows that hold values")
    declared = names is not None
    found, keys, sparse = _found_names(rows, first, absent, named_columns, file)
    if declared:
        _check_names(names, file)
    extractor = TableFeatureExtractor(
        list(names) if declared else found,
        keys=keys,
        absent=absent,
        unknown="skip" if sparse and not declared else "error",
    )
    if not extractor.feature_names:
        raise UserError("no features in any row", file=file, field="features", accepted="rows that hold values")
    return extractor, sparse


def _found_names(
    rows: Sequence[Any], first: Any, absent: str, named_columns: bool, file: str | Path
) -> tuple[list[str], str, bool]:
    if not isinstance(first, Mapping):
        return [f"feature_{i}" for i in range(len(first))], "indices", False
    if named_columns:  # a name may be a number
        return [str(name) for name in first], "names", absent == "zero"
    listed = sparse_keys(first)
    if listed == "indices":
        return _numbered((row["indices"] for row in rows), file), "indices", True
    if listed == "names":
        return list(dict.fromkeys(str(name) for row in rows for name in row["names"])), "names", absent == "zero"
    if all(is_index(key) for key in first):
        return _numbered(rows, file), "indices", True
    if absent == "error":
        return [str(name) for name in first], "names", False
    return list(dict.fromkeys(str(name) for row in rows for name in row)), "names", absent == "zero"


def _numbered(positions: Iterable[Iterable[Any]], file: str | Path) -> list[str]:
    """Names of the features up to the highest position in any row."""
    highest = -1
    for row, held in enumerate(positions, start=1):
        highest = max(highest, max(map(int, held), default=-1))
        if highest >= WIDEST:
            accepted = f"positions below {WIDEST:,}; number the features anew and declare them with --feature_file"
            raise UserError(f"position {highest}", file=file, row=row, field="features", accepted=accepted)
    return [f"feature_{i}" for i in range(highest + 1)]


def _check_names(names: Sequence[str], file: str | Path) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise UserError("two features of this name", file=file, field=twice[0], accepted="each feature's name once")
    for position, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise UserError(f"feature {position} is called {name!r}", file=file, accepted="names with a character")


def _declared_kinds(
    names: Sequence[str], types: Sequence[Any] | None, category_columns: Sequence[str], *, sparse: bool
) -> list[str | None]:
    """The kinds that were given, `None` where values decide."""
    kinds: list[str | None] = [None] * len(names)
    if types is not None:
        if len(types) != len(names):
            raise UserError(f"{len(types)} types", field="feature_types", accepted=f"{len(names)}, one a feature")
        kinds = [_kind_of_type(kind, name, sparse=sparse) for kind, name in zip(types, names, strict=True)]
    position_of = {name: position for position, name in enumerate(names)}
    for name in category_columns:
        if name not in position_of:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f", did you mean '{close[0]}'?" if close else ""
            raise UserError(f"no feature '{name}'{hint}", field="category_columns", accepted="names of features")
        kinds[position_of[name]] = CATEGORY
    return kinds


def _kind_of_type(kind: Any, name: str, *, sparse: bool) -> str:
    if isinstance(kind, (list, tuple)):
        of_numbers = sorted(map(str, kind)) in (["0"], ["1"], ["0", "1"]) or (sparse and len(kind) <= 2)
        return NUMERIC if of_numbers else CATEGORY
    if kind in ("num", "numeric", "real", "integer"):
        return NUMERIC
    if kind == "category":
        return CATEGORY
    accepted = "num, category, or a list of categories"
    raise UserError(f"'{name}' is of the type {kind!r}", field="feature_types", accepted=accepted)


# -- the values -------------------------------------------------------------------------------------------------------


def _measure(
    rows: Sequence[Any], walker: TableFeatureExtractor, kinds: Sequence[str | None], file: str | Path
) -> tuple[ColumnStatistics, list[str]]:
    """Statistics of every feature's numbers, and the kinds."""
    num_features = len(walker.feature_names)
    statistics = ColumnStatistics(num_features)
    num_strings = np.zeros(num_features, dtype=np.int64)
    first_string: dict[int, tuple[int, Any]] = {}
    first_unusable: dict[int, UserError] = {}
    for start, block in _blocks(rows, num_features):
        numbers_BF, is_string_BF = np.zeros((len(block), num_features)), None
        array = walker.array_of_numbers(block)
        if array is not None:
            numbers_BF = array
        else:
            is_string_BF = np.zeros((len(block), num_features), dtype=bool)
            for place, row in enumerate(block):
                for position, value in walker.cells(row, start + place + 1):
                    try:
                        numbers_BF[place, position] = number_of(value)
                    except ValueError:
                        if not isinstance(value, str):
                            accepted = "a number or a string"
                            name = walker.feature_names[position]
                            raise UserError(
                                f"found {shown(value)}",
                                file=file,
                                row=start + place + 1,
                                field=name,
                                accepted=accepted,
                            ) from None
                        is_string_BF[place, position] = True
                        first_string.setdefault(position, (start + place + 1, value))
            num_strings += is_string_BF.sum(axis=0)
        _take_out_unusable(numbers_BF, kinds, walker, start, file, first_unusable)
        statistics.update(numbers_BF, is_string_BF)
    decided = _decided_kinds(kinds, walker, statistics, num_strings, first_string, file)
    for position, error in first_unusable.items():
        if decided[position] == NUMERIC:
            raise error
    return statistics, decided


def _take_out_unusable(
    numbers_BF: np.ndarray,
    kinds: Sequence[str | None],
    walker: TableFeatureExtractor,
    start: int,
    file: str | Path,
    first_unusable: dict[int, UserError],
) -> None:
    """Zero in place of each number that can't be computed with; the first of a feature that may be numeric is kept as its error.

    A category's name may well read as such a number ("inf", "1e200"), and what a feature is its other rows say."""
    # squares of what is beyond overflow; the bound is far from anything that is measured
    bad_BF = np.abs(numbers_BF) > 1e150
    if not bad_BF.any():
        return
    for place, position in np.argwhere(bad_BF).tolist():
        value, numbers_BF[place, position] = float(numbers_BF[place, position]), 0.0
        if kinds[position] == CATEGORY or position in first_unusable:
            continue
        found = "an infinite number" if math.isinf(value) else f"{value:g}, too large to compute with"
        name = walker.feature_names[position]
        accepted = f"finite numbers; or --category_columns '{name}'"
        error = UserError(f"found {found}", file=file, row=start + place + 1, field=name, accepted=accepted)
        if kinds[position] == NUMERIC:
            raise error
        first_unusable[position] = error


def _decided_kinds(
    kinds: Sequence[str | None],
    walker: TableFeatureExtractor,
    statistics: ColumnStatistics,
    num_strings: np.ndarray,
    first_string: Mapping[int, tuple[int, Any]],
    file: str | Path,
) -> list[str]:
    decided = []
    for position, kind in enumerate(kinds):
        strings, numbers = int(num_strings[position]), int(statistics.num_numbers[position])
        if strings and kind != CATEGORY and (kind == NUMERIC or numbers > strings):
            row, value = first_string[position]
            name = walker.feature_names[position]
            of = "a numeric feature" if kind == NUMERIC else f"a feature with {numbers:,} numbers"
            raise UserError(
                f"found {shown(value)} in {of}",
                file=file,
                row=row,
                field=name,
                accepted=f"a number, '' or '?' where it is missing; or --category_columns '{name}'",
            )
        decided.append(kind or (CATEGORY if strings else NUMERIC))
    return decided


def _categories(
    rows: Sequence[Any], walker: TableFeatureExtractor, kinds: Sequence[str], most: int, file: str | Path
) -> dict[str, list[str]]:
    """The categories of every feature that has some, sorted."""
    found: dict[int, set[str]] = {position: set() for position, kind in enumerate(kinds) if kind == CATEGORY}
    if found:
        for start, block in _blocks(rows, len(kinds)):
            for place, row in enumerate(block):
                for position, value in walker.cells(row, start + place + 1):
                    if position in found and (category := category_of(value)) is not None:
                        found[position].add(category)
    for position, values in found.items():
        if len(values) > most:
            raise UserError(
                f"{len(values):,} different values",
                file=file,
                field=walker.feature_names[position],
                accepted=f"at most {most:,} categories (--max_categories); leave an id or a text out of the features",
            )
    return {walker.feature_names[position]: sorted(values, key=_order) for position, values in found.items()}


def _order(category: str) -> tuple[bool, float, str]:
    try:
        return (False, float(category), category)
    except ValueError:
        return (True, 0.0, category)


def _blocks(rows: Sequence[Any], num_features: int) -> Iterator[tuple[int, list[Any]]]:
    """Rows in blocks whose numbers fit `CELLS`, each with the number of rows before it."""
    size = max(1, min(4096, CELLS // max(1, num_features)))
    block: list[Any] = []
    start = 0
    for row in rows:
        block.append(row)
        if len(block) == size:
            yield start, block
            start, block = start + size, []
    if block:
        yield start, block
