"""Sparse rows made ready for training: positions and weights stay as short as they are, labels become ids."""

from __future__ import annotations

from functools import partial
from typing import Any

import datasets
import numpy as np

from hf_mlc.data.checking import DataReport
from hf_mlc.data.encoding import encoded_block, encoded_splits, state_of
from hf_mlc.errors import named_row
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor
from hf_mlc.modeling.processing_table import TableRowError
from hf_mlc.tabular.fitting import of_user


# part of the cache key: raise it when the same rows come out differently
_ROWS_VERSION = 1
ENCODED_FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "input_ids": datasets.List(datasets.Value("int32")),
        "token_weights": datasets.List(datasets.Value("float32")),
        "label_ids": datasets.List(datasets.Value("int64")),
        "length": datasets.Value("int64"),
    }
)


def encode_sparse(
    dataset: datasets.DatasetDict,
    extractor: SparseFeatureExtractor,
    label_space: LabelSpace,
    *,
    strict: bool = False,
    report: DataReport | None = None,
) -> datasets.DatasetDict:
    """Encodes every split once, in blocks, cached by `datasets`.

    Args:
        dataset (`datasets.DatasetDict`): with the columns `id`, `features`, `labels`, as `load_splits` gives them.
        extractor ([`~hf_mlc.modeling.processing_sparse.SparseFeatureExtractor`]): the model's.
        label_space ([`~hf_mlc.labels.LabelSpace`]): turns labels into ids.
        strict (`bool`, *optional*, defaults to `False`): whether a label that is not in the label space is an error in
            validation and test too, instead of being counted and skipped. In training it always is, and so is a feature that
            the extractor doesn't know; in other splits such a feature is left out and counted.
        report ([`~hf_mlc.data.checking.DataReport`], *optional*): gets the numbers of unknown labels and features.

    Returns:
        `datasets.DatasetDict`: with `id`, `input_ids` (positions from 1 on, sorted), `token_weights`, `label_ids` (sorted, each
        once), `length` (features of the row).

    Raises:
        `UserError`: a row that the extractor refuses, by its file and its id, which is its number there unless the data name
            it; a label that is not in the label space, by split and row.
    """
    return encoded_splits(
        dataset,
        _encoded_block,
        label_space=label_space,
        features=ENCODED_FEATURES,
        batch_size=1000,
        state=(state_of(extractor), _ROWS_VERSION),
        unseen="features that training didn't have",
        strict=strict,
        report=report,
        extractor=extractor,
    )


def _encoded_block(
    block: dict[str, list[Any]],
    indices: list[int],
    *,
    extractor: SparseFeatureExtractor,
    label_space: LabelSpace,
    split: str,
    file: str,
    strict: bool,
) -> dict[str, Any]:
    encode = partial(extractor.encode, block["features"], unknown="error" if split == "train" else "skip")
    try:
        encoded, columns = encoded_block(
            extractor, encode, block, indices, label_space=label_space, split=split, strict=strict
        )
    except TableRowError as error:
        raise named_row(of_user(error, file), block["id"], file) from None
    inner = encoded.offsets[1:-1]
    return {
        "input_ids": np.split(encoded.input_ids, inner),
        "token_weights": np.split(encoded.token_weights, inner),
        "length": np.diff(encoded.offsets).tolist(),
        **columns,
    }
