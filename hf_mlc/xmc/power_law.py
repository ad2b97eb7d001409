"""A generated data set of sparse rows in which few labels are frequent and most are rare, of any number of labels.

What is known of it: label l has a prototype of `prototype_size` features, of which some are those of its topic (so that labels
of a topic are hard to tell apart) and the rest its own; labels are drawn by Zipf's law, label 0 most often; a document draws
its features from the prototypes of its labels, and some from the whole vocabulary.

Prototypes and label frequencies are computed from their numbers and kept nowhere, and documents are made in blocks, each
from a seed of its own: memory doesn't grow with labels or documents, and the first n documents are the same whatever their
number.

Shape legend: C documents of a block, M draws of a document, Z nonzeros of the block, P pairs of a document and a label.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import pyarrow as pa
from datasets.arrow_writer import ArrowWriter

from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.sparse.encoding import ENCODED_FEATURES
from hf_mlc.xmc.writing import write_rows


# part of what files are found again by: raise it when the same settings make other documents
_VERSION = 1
# documents of a block: part of what a seed means
BLOCK = 4096
# draws for a document beyond its features, since some features are drawn twice
_SPARE = 2
_GOLDEN = 0x9E3779B97F4A7C15


class SparseBlock(NamedTuple):
    """Documents whose features and labels stand one after the other: document i has those from `offsets[i]` to `offsets[i + 1]`.

    Attributes:
        offsets (`np.ndarray`): int64 `(C + 1,)`, of the features.
        indices (`np.ndarray`): int32 `(Z,)`, sorted within a document.
        values (`np.ndarray`): float32 `(Z,)`, of length 1 within a document.
        label_offsets (`np.ndarray`): int64 `(C + 1,)`, of the labels.
        label_ids (`np.ndarray`): int64 `(P,)`, sorted within a document.
    """

    offsets: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    label_offsets: np.ndarray
    label_ids: np.ndarray

    def first(self, count: int) -> SparseBlock:
        """The first documents."""
        end, label_end = self.offsets[count], self.label_offsets[count]
        return SparseBlock(
            self.offsets[: count + 1],
            self.indices[:end],
            self.values[:end],
            self.label_offsets[: count + 1],
            self.label_ids[:label_end],
        )


@dataclass(frozen=True)
class PowerLawSet:
    """What is generated.

    Args:
        num_labels (`int`): L.
        num_features (`int`, *optional*, defaults to 100,000): V.
        nonzeros (`int`, *optional*, defaults to 100): features of a document; fewer where the draws hold fewer different ones.
        labels_per_document (`float`, *optional*, defaults to 3.0): the mean; each has one at least, and four times the mean at most.
        exponent (`float`, *optional*, defaults to 0.7): label l is drawn about in proportion to (l + 1) ** -exponent. With as many
            documents as labels, some labels have none: a fifth of them by the defaults.
        prototype_size (`int`, *optional*, defaults to 30): features of a label.
        topic_share (`float`, *optional*, defaults to 0.5): the share of these that are the topic's.
        labels_per_topic (`int`, *optional*, defaults to 50): labels that share a topic.
        noise (`float`, *optional*, defaults to 0.4): the share of a document's features that no label explains.
        seed (`int`, *optional*, defaults to 0): of all of it.

    Raises:
        `UserError`: a number out of its range.

    Example:
        >>> generated = PowerLawSet(num_labels=50, num_features=500, nonzeros=10, seed=3)
        >>> row = next(generated.rows(1000))
        >>> len(row["features"]["indices"]), sorted(row)
        (10, ['features', 'id', 'labels'])
    """

    num_labels: int
    num_features: int = 100_000
    nonzeros: int = 100
    labels_per_document: float = 3.0
    exponent: float = 0.7
    prototype_size: int = 30
    topic_share: float = 0.5
    labels_per_topic: int = 50
    noise: float = 0.4
    seed: int = 0

    def __post_init__(self):
        for name, least, most in (
            ("num_labels", 2, 2**31 - 1),
            ("num_features", 2, 2**31 - 1),
            ("nonzeros", 1, self.num_features // 2),
            ("labels_per_document", 1, self.num_labels / 4),
            ("exponent", 0, 3),
            ("prototype_size", 1, self.num_features),
            ("topic_share", 0, 1),
            ("labels_per_topic", 1, 2**31 - 1),
            ("noise", 0, 1),
            ("seed", 0, 2**63 - 1),
        ):
            if not least <= getattr(self, name) <= most:
                raise UserError(f"found {getattr(self, name)}", field=name, accepted=f"{least} to {most:g}")

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of all that the documents are made by, defaults and version among it."""
        written = json.dumps([asdict(self), BLOCK, _VERSION], sort_keys=True)
        return hashlib.sha256(written.encode()).hexdigest()[:12]

    # -- documents

    def blocks(self, num_documents: int, *, split: str = "train") -> Iterator[SparseBlock]:
        """The documents of a split, `BLOCK` at a time.

        Args:
            num_documents (`int`): N.
            split (`str`, *optional*, defaults to `"train"`): other splits have other documents, of the same labels.
        """
        for number, start in enumerate(range(0, num_documents, BLOCK)):
            yield self._block(split, number).first(min(BLOCK, num_documents - start))

    def rows(self, num_documents: int, *, split: str = "train") -> Iterator[dict[str, Any]]:
        """The same a row at a time: `{"id", "features": {"indices", "values"}, "labels": ids}`, of Python's own types."""
        number = 0
        for block in self.blocks(num_documents, split=split):
            for start, end, first, last in _bounds(block):
                number += 1
                yield {
                    "id": str(number),
                    "features": {
                        "indices": block.indices[start:end].tolist(),
                        "values": block.values[start:end].tolist(),
                    },
                    "labels": block.label_ids[first:last].tolist(),
                }

    def write(self, file: str | Path, num_documents: int, *, split: str = "train") -> Path:
        """Writes the documents as the extreme-classification repository does, plain or by its ending .gz; whole or not at all."""
        rows = (
            (block.indices[start:end], block.values[start:end], block.label_ids[first:last])
            for block in self.blocks(num_documents, split=split)
            for start, end, first, last in _bounds(block)
        )
        shape = (num_documents, self.num_features, self.num_labels)
        return write_rows(file, rows, shape)

    def encoded(self, num_documents: int, cache_dir: str | Path, *, split: str = "train") -> datasets.Dataset:
        """The documents as [`~hf_mlc.sparse.encoding.encode_sparse`] makes them, straight into an Arrow file that is mapped to memory.

        Args:
            num_documents (`int`): N.
            cache_dir (`str` or `Path`): where the file is kept, found again by the same settings. It is as large as the documents:
                some 800 bytes each by the defaults.
            split (`str`, *optional*, defaults to `"train"`): see `blocks`.
        """
        folder = Path(cache_dir)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"power-law-{split}-{num_documents}-{self.fingerprint}.arrow"
        if not file.exists():
            with (
                written_whole(file, binary=True) as stream,
                ArrowWriter(stream=stream, features=ENCODED_FEATURES) as writer,
            ):
                before = 0
                for block in self.blocks(num_documents, split=split):
                    writer.write_table(_encoded_table(block, before))
                    before += len(block.offsets) - 1
                writer.finalize(close_stream=False)
        return datasets.Dataset.from_file(str(file), split=datasets.NamedSplit(split))

    # -- inside

    def _block(self, split: str, number: int) -> SparseBlock:
        rng = np.random.default_rng([self.seed, zlib.crc32(split.encode()), number])
        label_offsets, label_ids = self._labels(rng)
        num_labels_C = np.diff(label_offsets)

        num_signal = self.nonzeros - round(self.noise * self.nonzeros)
        num_draws = _SPARE * self.nonzeros
        features_CM = self._skewed(rng.random((BLOCK, num_draws)))
        # a label of the document for each draw of a signal, and one feature of its prototype
        chosen_CM = (rng.random((BLOCK, num_signal)) * num_labels_C[:, None]).astype(np.int64)
        labels_CM = label_ids[label_offsets[:-1, None] + chosen_CM]
        slots_CM = rng.integers(0, self.prototype_size, (BLOCK, num_signal))
        features_CM[:, :num_signal] = self.prototype(labels_CM, slots_CM)
        values_CM = rng.uniform(0.5, 1.5, (BLOCK, num_draws))
        values_CM[:, :num_signal] *= 2.0

        offsets, indices, order_CM, kept_CM = _first_distinct(features_CM, np.full(BLOCK, self.nonzeros))
        values = np.take_along_axis(values_CM, order_CM, axis=1)[kept_CM]
        norms_C = np.sqrt(np.add.reduceat(values**2, offsets[:-1]))
        values = (values / np.repeat(norms_C, np.diff(offsets))).astype(np.float32)
        return SparseBlock(offsets, indices.astype(np.int32), values, label_offsets, label_ids)

    def _labels(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """How many labels the documents of a block have, as offsets, and which."""
        most = max(1, int(4 * self.labels_per_document))
        wanted_C = np.minimum(1 + rng.poisson(self.labels_per_document - 1, BLOCK), most)
        drawn_CM = self._zipf(rng.random((BLOCK, _SPARE * most)))
        offsets, label_ids, _, _ = _first_distinct(drawn_CM, wanted_C)
        return offsets, label_ids

    def _zipf(self, uniform: np.ndarray) -> np.ndarray:
        """Label ids by the inverse of the distribution's integral over [1, L + 1): no table of L entries."""
        end, power = self.num_labels + 1.0, 1.0 - self.exponent
        at = end**uniform if abs(power) < 1e-9 else (1.0 + uniform * (end**power - 1.0)) ** (1.0 / power)
        return np.minimum(at.astype(np.int64) - 1, self.num_labels - 1)

    def _skewed(self, uniform: np.ndarray) -> np.ndarray:
        """Features, those of small numbers more often: half of all draws fall on the first quarter."""
        return (uniform**2 * self.num_features).astype(np.int64)

    def prototype(self, label_ids: np.ndarray, slots: np.ndarray) -> np.ndarray:
        """The features that stand in the given slots (0 to `prototype_size - 1`) of the labels' prototypes; shapes that broadcast."""
        of_topic = slots < round(self.topic_share * self.prototype_size)
        num_topics = max(1, self.num_labels // self.labels_per_topic)
        owners = np.where(of_topic, self.num_labels + label_ids % num_topics, label_ids)
        keys = _mixed(_mixed(owners.astype(np.uint64) + np.uint64(_mixed_seed(self.seed))) + slots.astype(np.uint64))
        return self._skewed((keys >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mixed_seed(seed: int) -> int:
    return (seed * _GOLDEN) % 2**64


def _mixed(keys: np.ndarray) -> np.ndarray:
    """Numbers that look random, one for each key: the finaliser of splitmix64 (Steele, Lea & Flood, OOPSLA 2014)."""
    keys = keys + np.uint64(_GOLDEN)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def _first_distinct(drawn_CM: np.ndarray, most_C: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each row the first `most` different numbers, sorted.

    Returns:
        Offsets `(C + 1,)`, the numbers of all rows, the order `(C, M)` that sorts each row, and which entries of the sorted rows
        were kept, `(C, M)`.
    """
    order_CM = np.argsort(drawn_CM, axis=1, kind="stable")
    sorted_CM = np.take_along_axis(drawn_CM, order_CM, axis=1)
    new_CM = np.ones(drawn_CM.shape, dtype=bool)
    new_CM[:, 1:] = sorted_CM[:, 1:] != sorted_CM[:, :-1]
    # back in the order of drawing, to count the different ones up to each
    drawn_new_CM = np.empty_like(new_CM)
    np.put_along_axis(drawn_new_CM, order_CM, new_CM, axis=1)
    wanted_CM = drawn_new_CM & (np.cumsum(drawn_new_CM, axis=1) <= most_C[:, None])
    kept_CM = np.take_along_axis(wanted_CM, order_CM, axis=1)
    offsets = np.concatenate([[0], np.cumsum(kept_CM.sum(axis=1))])
    return offsets, sorted_CM[kept_CM], order_CM, kept_CM


def _bounds(block: SparseBlock) -> Iterator[tuple[int, int, int, int]]:
    """Of each document where its features and its labels begin and end."""
    offsets, label_offsets = block.offsets.tolist(), block.label_offsets.tolist()
    return zip(offsets, offsets[1:], label_offsets, label_offsets[1:], strict=False)


def _encoded_table(block: SparseBlock, before: int) -> pa.Table:
    def lists(offsets: np.ndarray, values: np.ndarray) -> pa.ListArray:
        return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values))

    lengths = np.diff(block.offsets)
    columns = {
        "id": pa.array([str(number) for number in range(before + 1, before + 1 + len(lengths))]),
        "input_ids": lists(block.offsets, block.indices + np.int32(1)),
        "token_weights": lists(block.offsets, block.values),
        "label_ids": lists(block.label_offsets, block.label_ids),
        "length": pa.array(lengths),
    }
    return pa.table(columns, schema=ENCODED_FEATURES.arrow_schema)
