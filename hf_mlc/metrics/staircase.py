"""Metrics of label sets as functions of one threshold: staircases with steps at the scores, searched exactly.

Scores are compared as the whole numbers whose bits they share (`keys`): for floats from 0 on the order is the same. A
score of 1 is predicted at any threshold, and so are the labels that `min_labels` guarantees: both have the key of 1.

Sums over documents and labels are sums of whole numbers, so that their order cannot matter.

Shape legend: N documents, B of one piece, S scored columns, C cells, G groups of cells, I intervals, U thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_mlc.metrics.row_store import Rows, RowStore


TOP = int(np.float32(1.0).view(np.int32))
LOW = int(np.float32(2.0**-17).view(np.int32))  # below it the first look has one interval
ONE = 2**40  # in fixed point: sums of eight million numbers fit 64 bits
MARGIN = 1e-9  # by how much a bound may be wrong
DIGITS = 11  # sums of rounded numbers differ beyond, where they should be equal


def threshold_between(upper: float, lower: float) -> float:
    """Halfway between two neighbouring scores, rounded to float32 so that `upper` reaches it and `lower` does not."""
    upper, lower = np.float32(upper), np.float32(lower)
    middle = np.float32((float(upper) + float(lower)) / 2)
    return float(middle if middle > lower else upper)


def best_f1_threshold(scores: np.ndarray, truth: np.ndarray, num_true: int) -> tuple[float, float]:
    """The threshold t up to 1 that maximises F1(t) = 2 tp(t) / (predicted(t) + true), with everything at or above t
    predicted. Exact: between two positives F1 only falls, so one of the positives' scores is the lowest one predicted.

    Args:
        scores (`np.ndarray` of shape `(C,)`): float32 from 0 to 1; 1 is predicted at any threshold.
        truth (`np.ndarray` of shape `(C,)`): bool.
        num_true (`int`): true ones, with or without a score.

    Returns:
        the threshold, halfway to the next lower score (0 where there is none), and its F1. Of equally good ones the
        highest.
    """
    ascending = np.sort(scores)
    # as little as can be is a choice as well
    lowest_predicted = np.unique(np.append(scores[truth], np.float32(1)))
    positives = np.sort(scores[truth])
    starts = np.searchsorted(ascending, lowest_predicted, side="left")
    predicted = len(ascending) - starts
    tp = len(positives) - np.searchsorted(positives, lowest_predicted, side="left")
    f1 = 2.0 * tp / np.maximum(predicted + num_true, 1)
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    lower = ascending[starts[best] - 1] if starts[best] > 0 else 0.0
    return threshold_between(lowest_predicted[best], lower), float(f1[best])


def fixed_point(values: np.ndarray, one: int = ONE) -> np.ndarray:
    """Numbers from 0 to 1 as whole multiples of 1 / `one`, a power of 2."""
    return np.rint(values * one).astype(np.int64)


def _f1(tp, predicted, num_true, empty: float) -> np.ndarray:
    whole = np.asarray(predicted + num_true, np.float64)
    return np.divide(2.0 * tp, whole, out=np.full(whole.shape, empty), where=whole > 0)


def _keys(piece: Rows, min_labels: int) -> np.ndarray:
    """Keys of shape (B, S), -1 where the truth is unknown."""
    keys_BS = (piece.scores_BS + np.float32(0)).view(np.int32)  # + 0 turns -0.0, whose bits are negative, into 0.0
    if min_labels and keys_BS.size:
        keys_BS[np.arange(len(piece)), piece.best_columns()] = TOP
    if piece.truth_BS.min(initial=0) < 0:
        keys_BS[piece.truth_BS < 0] = -1
    return keys_BS


@dataclass
class _Cells:
    """Flat cells: `keys_C`, `truth_C` (bool), and the `rows_C` and `ids_C` that they belong to."""

    keys_C: np.ndarray
    truth_C: np.ndarray
    rows_C: np.ndarray
    ids_C: np.ndarray


class _MeanF1:
    """Mean over G groups of 2 tp / (predicted + true): of labels (`f1_macro`), of documents (`f1_samples`, where
    predicting nothing is right for a document without labels) or of all cells as one group (`f1_micro`)."""

    def __init__(self, store: RowStore, groups: str):
        self.groups, self.empty = groups, 1.0 if groups == "rows" else 0.0
        by_group = {"all": lambda: store.num_true_L.sum(keepdims=True), "rows": lambda: store.num_true_N}
        self.num_true_G = by_group.get(groups, lambda: store.num_true_L)().astype(np.int64)
        self.num_groups = len(self.num_true_G)
        self.one = 2 ** min(52, 62 - self.num_groups.bit_length())  # as fine as the sum over the groups allows

    def start(self, num_intervals: int) -> None:
        """Forgets the counts: those of each interval, and of what lies above them all."""
        self.predicted_GI, self.tp_GI = np.zeros((2, self.num_groups, num_intervals + 1), np.int32)

    def count(self, first: int, piece: Rows, at_C: np.ndarray | slice, interval_C: np.ndarray, truth_C) -> None:
        """Adds a piece's cells `at_C`, which fall into `interval_C`."""
        num_intervals = self.predicted_GI.shape[1]
        if self.groups == "all":
            target, index_C = slice(None), interval_C
        elif self.groups == "rows":
            target = slice(first, first + len(piece))
            rows_BS = np.broadcast_to(np.arange(len(piece), dtype=np.int32)[:, None], piece.scores_BS.shape)
            index_C = rows_BS.reshape(-1)[at_C] * num_intervals + interval_C
        else:
            target = slice(None)
            index_C = _label_ids(piece).reshape(-1)[at_C] * num_intervals + interval_C
        for counts_GI, index in ((self.predicted_GI[target], index_C), (self.tp_GI[target], index_C[truth_C])):
            counts_GI += np.bincount(index, minlength=counts_GI.size).reshape(counts_GI.shape)

    def finish(self) -> None:
        """From counts in the intervals to counts at and above the lower edge of each."""
        for counts_GI in (self.predicted_GI, self.tp_GI):
            counts_GI[:] = counts_GI[:, ::-1].cumsum(axis=1, dtype=np.int32)[:, ::-1]

    def at_edges(self, edges_I: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The value at each edge, the last one included, and a bound for each interval: were its true cells the best
        ones."""
        values_I, bounds_I = np.zeros(len(edges_I), np.int64), np.zeros(len(edges_I) - 1, np.int64)
        step = max(1, 2**16 // len(edges_I))
        for start in range(0, self.num_groups, step):
            predicted, tp = self.predicted_GI[start : start + step], self.tp_GI[start : start + step]
            num_true = self.num_true_G[start : start + step, None]
            values_I += fixed_point(_f1(tp, predicted, num_true, self.empty), self.one).sum(axis=0)
            fewest = predicted[:, 1:] + tp[:, :-1] - tp[:, 1:]
            bounds_I += fixed_point(_f1(tp[:, :-1], fewest, num_true, self.empty), self.one).sum(axis=0)
        return values_I / (self.one * self.num_groups), bounds_I / (self.one * self.num_groups)

    def between(self, cells: _Cells, edge: int, thresholds_U: np.ndarray) -> np.ndarray:
        """The value at ascending thresholds, given all cells from the lowest of them up to edge number `edge`."""
        groups_C = {"rows": cells.rows_C, "labels": cells.ids_C, "all": np.zeros(1, np.int32)}[self.groups]
        # group, falling key and truth in one number: sorting numbers is many times faster than sorting by keys
        packed_C = (groups_C.astype(np.int64) << 32) | ((TOP - cells.keys_C).astype(np.int64) << 1) | cells.truth_C
        packed_C.sort()
        groups_C, keys_C = (packed_C >> 32).astype(np.int32), (TOP - ((packed_C & 0xFFFFFFFF) >> 1)).astype(np.int32)
        tp_C = (packed_C & 1).cumsum(dtype=np.int32)
        del packed_C
        is_first_C = np.append(True, groups_C[1:] != groups_C[:-1])
        starts = np.flatnonzero(is_first_C)
        sizes = np.diff(np.append(starts, len(groups_C)))
        first_C = np.repeat(starts.astype(np.int32), sizes)
        tp_C -= np.repeat(np.append(np.int32(0), tp_C)[starts], sizes)
        tp_C += self.tp_GI[groups_C, edge]
        predicted_C = np.arange(1, len(groups_C) + 1, dtype=np.int32) - first_C + self.predicted_GI[groups_C, edge]
        after_C = fixed_point(_f1(tp_C, predicted_C, self.num_true_G[groups_C], self.empty), self.one)
        above_G = fixed_point(
            _f1(self.tp_GI[:, edge], self.predicted_GI[:, edge], self.num_true_G, self.empty), self.one
        )
        before_C = np.append(0, after_C[:-1])
        before_C[starts] = above_G[groups_C[starts]]
        after_C -= before_C
        order_C = keys_C.argsort()[::-1]
        total_C = np.append(0, after_C[order_C].cumsum())
        entered_U = len(keys_C) - np.searchsorted(keys_C[order_C[::-1]], thresholds_U, side="left")
        return (above_G.sum() + total_C[entered_U]) / (self.one * self.num_groups)


class _ExactMatch:
    """Share of documents whose set is exactly right: those with t at or below their lowest true score and above their
    highest false one. Two numbers a document tell it at every threshold."""

    num_groups = 1

    def __init__(self, store: RowStore, min_labels: int):
        entered, left, self.num_empty, self.num_documents = [], [], 0, len(store)
        for _, piece in store.pieces():
            keys_BS, true_BS = _keys(piece, min_labels), piece.truth_BS == 1
            lowest_B = np.where(true_BS, keys_BS, TOP + 1).min(axis=1, initial=TOP + 1)
            keys_BS[true_BS] = -1
            highest_B = keys_BS.max(axis=1, initial=-1)
            without_B = piece.num_true_B == 0
            reachable_B = ~without_B & (true_BS.sum(axis=1) == piece.num_true_B) & (lowest_B > highest_B)
            entered.append(lowest_B[reachable_B])
            left.append(highest_B[reachable_B | without_B])
            self.num_empty += int(without_B.sum())
        self.entered, self.left = np.sort(np.concatenate(entered)), np.sort(np.concatenate(left))

    def at(self, thresholds_U: np.ndarray) -> np.ndarray:
        """The value at any thresholds."""
        entered_U = len(self.entered) - np.searchsorted(self.entered, thresholds_U, side="left")
        left_U = len(self.left) - np.searchsorted(self.left, thresholds_U, side="left")
        return (self.num_empty + entered_U - left_U) / self.num_documents

    def at_edges(self, edges_I: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values_I = self.at(edges_I)
        entering_I = np.diff(np.searchsorted(self.entered, edges_I, side="left"))
        return values_I, values_I[1:] + entering_I / self.num_documents

    def between(self, cells: _Cells, edge: int, thresholds_U: np.ndarray) -> np.ndarray:
        return self.at(thresholds_U)


class Search:
    """The one threshold up to 1 that maximises the mean of some metrics over all rows of a store.

    Narrowing, not sorting: the range of scores is divided into intervals; the metric is known at their edges from
    counts, and bounded within them. Intervals that could hold the maximum are looked at again, cell by cell where they
    are few, divided once more where not. The answer is that of a full search over every score.

    Args:
        store (`RowStore`): rows.
        metrics (`tuple[str, ...]`): of "f1_micro", "f1_macro", "f1_samples", "subset_accuracy".
        min_labels (`int`): 0 or 1, the smallest label set that a document may get.
    """

    def __init__(self, store: RowStore, metrics: tuple[str, ...], min_labels: int):
        self.store, self.min_labels = store, min_labels
        groups = {"f1_micro": "all", "f1_macro": "labels", "f1_samples": "rows"}
        self.parts = [
            _ExactMatch(store, min_labels) if name == "subset_accuracy" else _MeanF1(store, groups[name])
            for name in metrics
        ]
        self.counted = [part for part in self.parts if isinstance(part, _MeanF1)]
        self.best = (-1.0, TOP)

    def run(self) -> tuple[float, float]:
        """The threshold, halfway between the scores around it, and the value. Of equally good ones the highest."""
        if self.counted:
            waiting = [(0, TOP)]
            while waiting:
                waiting += self._narrow(*waiting.pop())
        else:  # such a metric rises nowhere but at a lowest true score
            self._offer(thresholds := np.append(self.parts[0].entered, TOP), self.parts[0].at(thresholds))
        value, key = self.best
        lower, upper = 0, TOP
        for _, piece in self.store.pieces():
            keys_BS = _keys(piece, self.min_labels)
            lower = max(lower, int(keys_BS.max(initial=0, where=keys_BS < key)))
            upper = min(upper, int(keys_BS.min(initial=TOP, where=keys_BS >= key)))
        return threshold_between(*np.array([upper, lower], np.int32).view(np.float32)), value

    def _offer(self, thresholds_U: np.ndarray, values_U: np.ndarray) -> None:
        for_ties_U = values_U.round(DIGITS)
        place = int(np.lexsort((thresholds_U, for_ties_U))[-1])
        candidate = (float(values_U[place]), int(thresholds_U[place]))
        if (for_ties_U[place], candidate[1]) > (round(self.best[0], DIGITS), self.best[1]):
            self.best = candidate

    def _narrow(self, low: int, high: int) -> list[tuple[int, int]]:
        """Looks at the thresholds from `low` to `high`; returns the ranges that it could not settle."""
        most = int(np.clip(self.store.work_cells // max(part.num_groups for part in self.counted), 4, 2**14))
        start = LOW if low == 0 and high == TOP else low
        shift = max(0, int(np.ceil(np.log2((high - start) / most))))
        edges_I = np.append(np.arange(start, high, 1 << shift), high)
        edges_I[0] = low
        sizes_I = self._count(start, shift, low, high, len(edges_I) - 1)
        values, bounds = zip(*(part.at_edges(edges_I) for part in self.parts), strict=True)
        values_I, bounds_I = np.mean(values, axis=0), np.mean(bounds, axis=0)
        self._offer(edges_I, values_I)

        open_I = (bounds_I >= self.best[0] - MARGIN) & (sizes_I > 0) & (np.diff(edges_I) > 1)
        places = np.flatnonzero(open_I)
        if not len(places):
            return []
        bottom, top = int(places[0]), int(places[-1])
        is_many = sizes_I[bottom : top + 1].sum() > self.store.work_cells
        if is_many and 2 * (top + 1 - bottom) <= len(sizes_I):  # a closer look costs less than many cells
            return [(int(edges_I[bottom]), int(edges_I[top + 1]))]
        spans, unsettled = self._spans(places[::-1].tolist(), sizes_I)
        # those that promise most first: they may settle the others
        for bottom, top in sorted(spans, key=lambda span: -bounds_I[span[0] : span[1] + 1].max()):
            if bounds_I[bottom : top + 1].max() >= self.best[0] - MARGIN:
                cells = self._cells(edges_I[bottom], edges_I[top + 1])
                thresholds_U = np.unique(cells.keys_C)
                self._offer(
                    thresholds_U,
                    np.mean([part.between(cells, top + 1, thresholds_U) for part in self.parts], axis=0),
                )
        return [
            (int(edges_I[place]), int(edges_I[place + 1]))
            for place in unsettled
            if bounds_I[place] >= self.best[0] - MARGIN
        ]

    def _spans(self, places: list[int], sizes_I: np.ndarray) -> tuple[list[tuple[int, int]], list[int]]:
        """Runs (lowest, highest) of intervals, from falling places, that are small enough to be looked at cell by
        cell, and the intervals that are too large."""
        spans, too_large = [], []
        before_I = np.append(0, sizes_I.cumsum())
        for place in places:
            if sizes_I[place] > self.store.work_cells:
                too_large.append(place)
            elif spans and before_I[spans[-1][1] + 1] - before_I[place] <= self.store.work_cells:
                spans[-1] = (place, spans[-1][1])
            else:
                spans.append((place, place))
        return spans, too_large

    def _count(self, start: int, shift: int, low: int, high: int, num_intervals: int) -> np.ndarray:
        """Counts the cells of each interval for every metric that needs it; returns how many there are."""
        sizes_I = np.zeros(num_intervals + 1, np.int64)
        for part in self.counted:
            part.start(num_intervals)
        for first, piece in self.store.pieces():
            keys_C = _keys(piece, self.min_labels).reshape(-1)
            at_C, truth_C = slice(None), piece.truth_BS.reshape(-1) == 1
            if keys_C.min(initial=TOP) < low:
                at_C = np.flatnonzero(keys_C >= low)
                keys_C, truth_C = keys_C[at_C], truth_C[at_C]
            interval_C = np.maximum(keys_C - start, 0) >> shift
            interval_C[keys_C >= high] = num_intervals
            sizes_I += np.bincount(interval_C, minlength=num_intervals + 1)
            for part in self.counted:
                part.count(first, piece, at_C, interval_C, truth_C)
        for part in self.counted:
            part.finish()
        return sizes_I[:-1]

    def _cells(self, low: int, high: int) -> _Cells:
        found = []
        for first, piece in self.store.pieces():
            keys_C = _keys(piece, self.min_labels).reshape(-1)
            at_C = np.flatnonzero((keys_C >= low) & (keys_C < high))
            rows_C = (first + at_C // max(piece.scores_BS.shape[1], 1)).astype(np.int32)
            found.append(
                (keys_C[at_C], piece.truth_BS.reshape(-1)[at_C] == 1, rows_C, _label_ids(piece).reshape(-1)[at_C])
            )
        return _Cells(*(np.concatenate(values) for values in zip(*found, strict=True)))


def _label_ids(piece: Rows) -> np.ndarray:
    if piece.ids_BS is not None:
        return piece.ids_BS
    return np.broadcast_to(np.arange(piece.scores_BS.shape[1], dtype=np.int32), piece.scores_BS.shape)
