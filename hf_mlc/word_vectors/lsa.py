"""Fills a model's tf-idf path: the idf of its tokens and the directions in which the training documents differ most.

Shape legend: N documents, V vocabulary, F width of the path.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from scipy import sparse

from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.modeling.tfidf_path import TfidfPath
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.word_vectors.factoring import truncated_svd
from hf_mlc.word_vectors.idf import inverse_document_frequencies


def path_of(model: MultiLabelPreTrainedModel) -> TfidfPath | None:
    """The model's tf-idf path, where it has one."""
    return next((module for module in model.modules() if isinstance(module, TfidfPath)), None)


def fill_for_training(
    model: MultiLabelPreTrainedModel, train_ids: Iterable[list[list[int]]], args: MultiLabelTrainingArguments
) -> dict[str, Any] | None:
    """Fills the path of a new model before its first step; one process does it, the others get its weights.

    Args:
        model (`MultiLabelPreTrainedModel`): new; one without such a path is left alone.
        train_ids (iterable of `list[list[int]]`): the training rows' token ids as the model reads them, in batches.
        args (`MultiLabelTrainingArguments`): seed and processes.

    Returns:
        Facts for results.json, `None` where nothing was filled in.
    """
    path = path_of(model)
    if path is None or args.process_index != 0:
        return None
    return fill_tfidf_path(path, (ids for batch in train_ids for ids in batch), seed=args.seed)


@torch.no_grad()
def fill_tfidf_path(path: TfidfPath, documents: Iterable[list[int]], *, seed: int = 0) -> dict[str, Any]:
    """Idf and projection from the token ids of TRAINING documents, of which no label is looked at.

    The projection is the right singular vectors of the documents' tf-idf vectors, times one number that makes the mean square
    of what comes out 1; what is beyond the rank of the documents is 0.

    Args:
        path (`TfidfPath`): filled in place.
        documents (iterable of `list[int]`): token ids.
        seed (`int`, *optional*, defaults to 0): of the factoring.

    Returns:
        `dict`: `documents`, `width`, and `explained`, the share of the vectors' squared lengths within the path.
    """
    features_NV, idf_V = tfidf_table(documents, path.vocab_size)
    width = path.projection.shape[1]
    projection_VF = np.zeros((path.vocab_size, width))
    explained = 0.0
    if features_NV.nnz:
        _, values_K, right_VK = truncated_svd(features_NV, width, seed=seed)
        explained = float((values_K**2).sum() / features_NV.power(2).sum())
        mean_square = (values_K**2).sum() / (features_NV.shape[0] * width)
        projection_VF[:, : len(values_K)] = right_VK / np.sqrt(mean_square)
    path.idf.copy_(torch.from_numpy(idf_V))
    path.projection.copy_(torch.from_numpy(projection_VF))
    return {"documents": features_NV.shape[0], "width": width, "explained": round(explained, 6)}


def tfidf_table(documents: Iterable[list[int]], vocab_size: int) -> tuple[sparse.csr_array, np.ndarray]:
    """The tf-idf vectors of the documents, `(N, V)`, as `tfidf_vectors` computes them, and the idf `(V,)`."""
    rows, columns, counts, number = [], [], [], 0
    for ids in documents:
        found, times = np.unique(np.asarray(ids, np.int64), return_counts=True)
        rows.append(np.full(len(found), number))
        columns.append(found)
        counts.append(times)
        number += 1
    row_C, column_C, count_C = (
        np.concatenate(part) if part else np.zeros(0, np.int64) for part in (rows, columns, counts)
    )
    idf_V = inverse_document_frequencies(np.bincount(column_C, minlength=vocab_size), number)
    weight_C = (1 + np.log(count_C)) * idf_V[column_C]
    square_N = np.bincount(row_C, weights=weight_C**2, minlength=number)
    weight_C = weight_C / np.sqrt(square_N[row_C])
    return sparse.csr_array(sparse.coo_array((weight_C, (row_C, column_C)), shape=(number, vocab_size))), idf_V
