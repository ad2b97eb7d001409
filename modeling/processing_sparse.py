"""Sparse rows to what a model of sparse features reads: the positions of the features that a row holds, and their weights.

Of a vocabulary of millions a row holds a hundred; nothing here is ever as wide as the vocabulary. How rows are read and what is
wrong with one is said as for tables (`processing_table.py`).

Shape legend: B rows of a batch, F features of the row that has most, V features in all, Z entries of all rows.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
from transformers import BatchFeature, FeatureExtractionMixin

from .processing_table import TableRowError, is_index, listed_rows, number_of, shown, sparse_keys


_LARGEST = float(np.finfo(np.float32).max)
# ids are positions plus 1, in 32 bits
_LARGEST_POSITION = 2**31 - 2


class SparseRows(NamedTuple):
    """Rows one after the other: row i has the entries from `offsets[i]` to `offsets[i + 1]`.

    Attributes:
        offsets (`np.ndarray`): int64 `(B + 1,)`.
        input_ids (`np.ndarray`): int32 `(Z,)`, positions from 1 on, sorted within a row; 0 is left for padding.
        token_weights (`np.ndarray`): float32 `(Z,)`.
    """

    offsets: np.ndarray
    input_ids: np.ndarray
    token_weights: np.ndarray


class SparseFeatureExtractor(FeatureExtractionMixin):
    r"""
    Turns sparse rows into `input_ids` and `token_weights`.

    Args:
        num_features (`int`, *optional*, defaults to 0): V; the number of names where names are given.
        feature_names (`list[str]`, *optional*): the V features by name, where rows name them.
        scale_rows (`bool`, *optional*, defaults to `True`): whether a row's weights are divided by their length (L2 norm). A row
            without entries stays empty.

    Attributes:
        vocab_size (`int`): V + 1: how many `input_ids` there are, padding among them.
        unseen_counts (`collections.Counter`): by feature, how often one came that isn't among the V, and was left out; grows with
            every call, and is not saved.

    Raises:
        `ValueError`: a number of features that is no whole one or negative, names that stand there twice, another number of names.

    Example:
        >>> extractor = SparseFeatureExtractor(num_features=10)
        >>> batch = extractor([{"indices": [2, 7], "values": [3.0, 4.0]}, {"0": 2, "12": 1}])
        >>> batch["input_ids"].tolist(), batch["token_weights"].tolist()
        ([[3, 8], [1, 0]], [[0.6000000238418579, 0.800000011920929], [1.0, 0.0]])
        >>> extractor.unseen_counts
        Counter({'position 12': 1})
    """

    model_input_names = ["input_ids", "token_weights"]
    padding_value = 0  # what a pipeline of transformers fills up the rows of a batch with

    def __init__(
        self,
        num_features: int | None = None,
        feature_names: Sequence[str] | None = None,
        scale_rows: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.feature_names = None if feature_names is None else list(feature_names)
        counted = 0 if feature_names is None else len(self.feature_names)
        if num_features is not None and (isinstance(num_features, str) or not is_index(num_features)):
            raise ValueError(f"`num_features` must be a whole number, 0 or more, found {num_features!r}")
        self.num_features = counted if num_features is None else int(num_features)
        self.scale_rows = scale_rows
        if self.feature_names is not None and counted != self.num_features:
            raise ValueError(f"`feature_names` has {counted} entries for {self.num_features} features")
        self._position_of = {name: position for position, name in enumerate(self.feature_names or ())}
        if len(self._position_of) < counted:
            twice = next(name for name, times in Counter(self.feature_names).items() if times > 1)
            raise ValueError(f"`feature_names` must be different names, found {twice!r} twice")
        self.unseen_counts: Counter[str] = Counter()

    @property
    def vocab_size(self) -> int:
        return self.num_features + 1

    def to_dict(self) -> dict[str, Any]:
        """What is saved: the arguments, and nothing of what is derived or counted."""
        return {
            name: value for name, value in super().to_dict().items() if name not in ("unseen_counts", "_position_of")
        }

    def __call__(
        self,
        rows: Any,
        return_tensors: str | None = "pt",
        *,
        first_row: int = 1,
        unknown: Literal["error", "skip"] = "skip",
        **kwargs,
    ) -> BatchFeature:
        """
        Args:
            rows (`list`): B rows, each `{"indices": [...], "values": [...]}`, an object by position (`{"3": 1.5}`), with names also
                `{"names": [...], "values": [...]}` or an object by name, or a list of V values; or one row, an array `(B, V)`, a
                sparse matrix of scipy. A value of 0 is as good as none.
            return_tensors (`str`, *optional*, defaults to `"pt"`): `"pt"` or `"np"`.
            first_row (`int`, *optional*, defaults to 1): the number of the first row in error messages.
            unknown (`str`, *optional*, defaults to `"skip"`): a feature that isn't among the V: left out and counted, or an
                `"error"`.

        Returns:
            `BatchFeature`: `input_ids`, int64 `(B, F)`, padded with 0; `token_weights`, float32 `(B, F)`; F is 1 at least.

        Raises:
            `ValueError`: a position or a name that is none or stands there twice, values that are no finite numbers; it names
                row and feature.
        """
        if return_tensors not in ("pt", "np", None):
            raise ValueError(f"`return_tensors` must be 'pt' or 'np', found {return_tensors!r}")
        if hasattr(rows, "tocsr"):
            rows = listed_matrix(rows)
        encoded = self.encode(listed_rows(rows), first_row=first_row, unknown=unknown)
        return BatchFeature(padded(encoded), tensor_type=return_tensors)

    def encode(
        self, rows: Sequence[Any], *, first_row: int = 1, unknown: Literal["error", "skip"] = "skip"
    ) -> SparseRows:
        """As a call, of a list of rows, with nothing padded."""
        found = _all_in_order(rows, self.num_features)
        if found is None:
            entries = [self._entries(row, first_row + place, unknown) for place, row in enumerate(rows)]
            offsets = np.cumsum([0, *(len(positions) for positions, _ in entries)])
            positions = np.concatenate([np.zeros(0, np.int64), *(positions for positions, _ in entries)])
            values = np.concatenate([np.zeros(0), *(values for _, values in entries)])
        else:
            offsets, positions, values = found
        weights = _scaled(values, offsets) if self.scale_rows else values
        return SparseRows(offsets, (positions + 1).astype(np.int32), weights.astype(np.float32))

    # -- inside

    def _entries(self, row: Any, number: int, unknown: str) -> tuple[np.ndarray, np.ndarray]:
        """The sorted positions of a row's features that are among the V and not 0, and their values."""
        keys, values, by_name = self._keys_and_values(row, number)
        values = self._numbers(keys, values, number)
        positions = self._of_names(keys, number) if by_name else _of_indices(keys, number)
        order = np.argsort(positions, kind="stable")
        positions, values = positions[order], values[order]
        twice = (positions[1:] == positions[:-1]) & (positions[1:] >= 0)
        if twice.any():
            again = int(positions[1:][twice][0])
            problem = f"'{self.feature_names[again]}'" if by_name else f"position {again}"
            raise TableRowError(f"{problem} stands there twice", row=number, accepted="each feature once")
        known = (positions >= 0) & (positions < self.num_features)
        if not known.all():
            if by_name:
                missed = [str(key) for key in keys if key not in self._position_of]
            else:
                missed = [f"position {position}" for position in positions[~known].tolist()]
            if unknown == "error":
                accepted = f"one of the {self.num_features:,} features"
                accepted += "" if by_name or not self.num_features else f", 0 to {self.num_features - 1}"
                raise TableRowError(f"no such feature: {missed[0]}", row=number, accepted=accepted)
            self.unseen_counts.update(missed)
        kept = known & (values != 0)
        return positions[kept], values[kept]

    def _keys_and_values(self, row: Any, number: int) -> tuple[Sequence[Any], Sequence[Any], bool]:
        """A row's features, its values, and whether the features are names."""
        if isinstance(row, Mapping):
            listed = sparse_keys(row)
            if listed is None:
                return list(row), list(row.values()), self.feature_names is not None
            keys, values = row[listed], row["values"]
            if not all(hasattr(part, "__len__") and not isinstance(part, str) for part in (keys, values)):
                raise TableRowError("positions or values are no list", row=number, accepted="a list of each")
            if len(keys) != len(values):
                raise TableRowError(
                    f"{len(keys)} {listed} and {len(values)} values", row=number, accepted="as many of both"
                )
            if listed == "names" and self.feature_names is None:
                accepted = f"positions, 0 to {self.num_features - 1}: the features have no names"
                raise TableRowError("features by name", row=number, accepted=accepted)
            return keys, values, listed == "names"
        # the length of a sparse matrix is ambiguous, so that scipy refuses to tell it
        if isinstance(row, (str, bytes)) or not hasattr(row, "__len__") or hasattr(row, "tocsr"):
            raise TableRowError(
                f"a row is {shown(row)}", row=number, accepted="positions and values, or a list of values"
            )
        if len(row) != self.num_features:
            raise TableRowError(f"{len(row)} values", row=number, accepted=f"{self.num_features}, one a feature")
        return range(len(row)), row, False

    def _numbers(self, keys: Sequence[Any], values: Sequence[Any], number: int) -> np.ndarray:
        array = np.asarray(values) if len(values) else np.zeros(0)
        if array.dtype.kind not in "biuf" or array.ndim != 1:
            array = np.array([_number(value) for value in values], dtype=np.float64)
        array = array.astype(np.float64)
        wrong = ~(np.abs(array) <= _LARGEST)  # NaN too
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            field = f"position {keys[place]}" if self.feature_names is None else str(keys[place])
            problem = f"found {shown(_plain(values[place]))}"
            raise TableRowError(problem, row=number, field=field, accepted="a finite number")
        return array

    def _of_names(self, names: Sequence[Any], number: int) -> np.ndarray:
        """Positions of names, -1 for one that isn't there."""
        for name in names:
            if not isinstance(name, str):
                raise TableRowError(f"a feature's name is {shown(name)}", row=number, accepted="strings")
        return np.array([self._position_of.get(name, -1) for name in names], dtype=np.int64)


def listed_matrix(matrix: Any) -> list[dict[str, np.ndarray]]:
    """A sparse matrix of scipy as rows of `indices` and `values`; what stands in one cell twice is added up, as scipy means it."""
    matrix = matrix.tocsr(copy=True)
    matrix.sum_duplicates()
    bounds = zip(matrix.indptr, matrix.indptr[1:], strict=False)
    return [{"indices": matrix.indices[a:b], "values": matrix.data[a:b]} for a, b in bounds]


def padded(rows: SparseRows) -> dict[str, np.ndarray]:
    """Rows side by side: `input_ids`, int64 `(B, F)`, and `token_weights`, float32 `(B, F)`, each padded with 0."""
    lengths = np.diff(rows.offsets)
    inside_BF = np.arange(max(1, lengths.max(initial=0))) < lengths[:, None]
    ids_BF = np.zeros(inside_BF.shape, dtype=np.int64)
    weights_BF = np.zeros(inside_BF.shape, dtype=np.float32)
    ids_BF[inside_BF], weights_BF[inside_BF] = rows.input_ids, rows.token_weights
    return {"input_ids": ids_BF, "token_weights": weights_BF}


def _all_in_order(rows: Sequence[Any], num_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Offsets, positions and values of rows in which there is nothing to mend or to refuse, all in one step; `None` otherwise.

    So are the rows of a data set that is read from a file: known positions in ascending order, finite values other than 0.
    """
    if not all(isinstance(row, Mapping) and row.keys() == {"indices", "values"} for row in rows):
        return None
    lists = [row[name] for row in rows for name in ("indices", "values")]
    if set(map(type, lists)) - {list} or list(map(len, lists[::2])) != list(map(len, lists[1::2])):
        return None
    indices, values = (list(chain.from_iterable(lists[start::2])) for start in (0, 1))
    if set(map(type, indices)) - {int} or set(map(type, values)) - {int, float}:
        return None
    offsets = np.cumsum([0, *map(len, lists[::2])])
    try:
        positions, numbers = np.array(indices, dtype=np.int64), np.array(values, dtype=np.float64)
    except OverflowError:
        return None
    ascending = positions[1:] > positions[:-1]
    ascending[[end - 1 for end in offsets[1:-1] if 0 < end < len(positions)]] = True  # from one row to the next
    inside = (positions >= 0) & (positions < num_features)
    usable = (np.abs(numbers) <= _LARGEST) & (numbers != 0)
    return (offsets, positions, numbers) if ascending.all() and inside.all() and usable.all() else None


def _scaled(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The values over the length of their row."""
    lengths = np.diff(offsets)
    starts = offsets[:-1][lengths > 0]
    if not len(starts):
        return values
    rows = np.repeat(np.arange(len(starts)), lengths[lengths > 0])
    largest = np.maximum.reduceat(
        np.abs(values), starts
    )  # divided by first, so that no square is too large or too small
    scaled = values / largest[rows]
    return scaled / np.sqrt(np.add.reduceat(scaled**2, starts))[rows]


def _of_indices(keys: Sequence[Any], number: int) -> np.ndarray:
    array = np.asarray(keys) if len(keys) else np.zeros(0, np.int64)
    bounded = array.dtype.kind in "iu" and array.min(initial=0) >= 0 and array.max(initial=0) <= _LARGEST_POSITION
    if not bounded or array.ndim != 1:
        wrong = next((key for key in keys if not is_index(key) or int(key) > _LARGEST_POSITION), None)
        if wrong is not None:
            accepted = f"whole numbers from 0 on, up to {_LARGEST_POSITION}"
            raise TableRowError(f"a position is {shown(_plain(wrong))}", row=number, accepted=accepted)
        array = np.array([int(key) for key in keys])
    return array.astype(np.int64)


def _number(value: Any) -> float:
    try:
        return number_of(value)
    except ValueError:
        return math.nan


def _plain(value: Any) -> Any:
    """A number of numpy as Python's own, which messages show without its type."""
    return value.item() if isinstance(value, np.generic) else value


__all__ = ["SparseFeatureExtractor", "SparseRows"]
