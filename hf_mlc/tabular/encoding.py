"""Rows of a table made ready for training: features become the columns that the model reads, labels become ids.

Shape legend: B rows of a block, P columns of `input_features`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import datasets
import numpy as np

from hf_mlc.data.checking import DataReport
from hf_mlc.data.encoding import encoded_block, encoded_splits, state_of
from hf_mlc.errors import named_row
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.processing_table import TableFeatureExtractor, TableRowError
from hf_mlc.tabular.fitting import CELLS, of_user


# part of the cache key: raise it when the same rows come out differently
_ROWS_VERSION = 3


def is_mostly_zeros(extractor: TableFeatureExtractor) -> bool:
    """Whether rows are better kept as positions and values: of a sparse table, or where categories make most columns."""
    uncentred = not any(extractor.means)
    return (uncentred and extractor.numeric_size > 100) or extractor.input_size > 3 * len(extractor.feature_names)


def encode_tables(
    dataset: datasets.DatasetDict,
    extractor: TableFeatureExtractor,
    label_space: LabelSpace,
    *,
    strict: bool = False,
    report: DataReport | None = None,
) -> datasets.DatasetDict:
    """Encodes every split once, in blocks, cached by `datasets`.

    Args:
        dataset (`datasets.DatasetDict`): with the columns `id`, `features`, `labels`, as `load_splits` gives them.
        extractor ([`~hf_mlc.modeling.processing_table.TableFeatureExtractor`]): fitted on training rows.
        label_space ([`~hf_mlc.labels.LabelSpace`]): turns labels into ids.
        strict (`bool`, *optional*, defaults to `False`): whether a label that is not in the label space is an error in
            validation and test too, instead of being counted and skipped. In training it always is.
        report ([`~hf_mlc.data.checking.DataReport`], *optional*): gets the numbers of unknown labels and of values that
            training didn't have.

    Returns:
        `datasets.DatasetDict`: with `id`, `label_ids` (sorted, each once), `length`, 1 for all, and `input_features`: P numbers,
        or, where most are zero, `{"indices", "values"}`; the collator makes one of the other.

    Raises:
        `UserError`: a row that the extractor refuses, by its file and its id, which is its number there unless the data name
            it; a label that is not in the label space, by split and row.
    """
    sparse = is_mostly_zeros(extractor)
    number = datasets.Value("float32")
    stored = datasets.List(number)
    if sparse:
        stored = {"indices": datasets.List(datasets.Value("int32")), "values": datasets.List(number)}
    return encoded_splits(
        dataset,
        _encoded_block,
        label_space=label_space,
        features=datasets.Features(
            {
                "id": datasets.Value("string"),
                "input_features": stored,
                "label_ids": datasets.List(datasets.Value("int64")),
                "length": datasets.Value("int64"),
            }
        ),
        batch_size=max(1, min(1000, CELLS // max(1, extractor.input_size))),
        state=(state_of(extractor), _ROWS_VERSION),
        unseen="values that training didn't have (categories, features)",
        strict=strict,
        report=report,
        extractor=extractor,
        sparse=sparse,
    )


def _encoded_block(
    block: dict[str, list[Any]],
    indices: list[int],
    *,
    extractor: TableFeatureExtractor,
    label_space: LabelSpace,
    split: str,
    file: str,
    strict: bool,
    sparse: bool,
) -> dict[str, Any]:
    encode = partial(extractor.encode, block["features"])
    try:
        features_BP, columns = encoded_block(
            extractor, encode, block, indices, label_space=label_space, split=split, strict=strict
        )
    except TableRowError as error:
        raise named_row(of_user(error, file), block["id"], file) from None
    return {
        "input_features": [_sparse(features_P) for features_P in features_BP] if sparse else list(features_BP),
        "length": [1] * len(features_BP),
        **columns,
    }


def _sparse(features_P: np.ndarray) -> dict[str, np.ndarray]:
    indices = np.flatnonzero(features_P)
    return {"indices": indices.astype(np.int32), "values": features_P[indices]}
