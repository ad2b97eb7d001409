"""Where the vectors of tokens begin: at random, or at the factors of the table that says which tokens the labels' documents hold.

A token's vector is read by the few documents that hold it, so that it takes many passes to become more than noise. The table of tokens
and labels, the sum of each label's tf-idf rows, says at once which tokens tell the same labels apart; its largest singular vectors are
a start from which a few passes do (as labels' own documents do for trees of labels, PIFA: Chang and others, KDD 2020).

Shape legend: N rows, V tokens or features, L labels, D width.
"""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import torch
from scipy import sparse

from hf_mlc.cycles.rows import RaggedColumn, label_table
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.modeling.tfidf_bag import TfidfBag
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.word_vectors.factoring import truncated_svd


# standard deviation of the numbers that training starts from
STANDARD_DEVIATION = 0.1
# a label of n documents counts as one of n to this power: of frequent labels alone the rare ones would learn nothing
DOCUMENTS_POWER = -0.5
ITERATIONS = 2  # of the factoring; a start needn't be exact


def start_for_training(
    model: MultiLabelPreTrainedModel, encoded: datasets.Dataset, args: MultiLabelTrainingArguments
) -> dict[str, Any] | None:
    """Fills the token vectors of a new model as `args.token_start` says; one process does it, the others get its weights.

    Args:
        model (`MultiLabelPreTrainedModel`): new, its idf filled in; one that reads no bags is left alone.
        encoded (`datasets.Dataset`): the encoded training rows, with `label_ids`.
        args ([`~hf_mlc.training.arguments.MultiLabelTrainingArguments`]): start, seed, processes.

    Returns:
        Facts for results.json; `None` where nothing was filled in.
    """
    bag = getattr(model, "encoder", None)
    if args.token_start != "label_factors" or not isinstance(bag, TfidfBag) or args.process_index != 0:
        return None
    table_NV = bag_table(bag, encoded, batch_size=args.cycle_batch_size)
    labels_NL = label_table(encoded, model.config.num_labels)
    width = fill_with_label_factors(model.get_input_embeddings().weight, table_NV, labels_NL, seed=args.seed)
    return {"token_start": args.token_start, "documents": table_NV.shape[0], "width": width}


@torch.no_grad()
def bag_table(bag: TfidfBag, encoded: datasets.Dataset, *, batch_size: int = 512) -> sparse.csr_array:
    """The rows as the model reads them: what each token adds to its document, float32 `(N, V)`."""
    columns = {
        name: RaggedColumn(encoded, name)
        for name in ("input_ids", "token_counts", "token_weights")
        if name in encoded.column_names
    }
    ids_n, lengths_N = columns["input_ids"].flat()
    weights_n = np.empty(len(ids_n), np.float32)
    starts_N = np.concatenate([[0], np.cumsum(lengths_N)])
    for start in range(0, len(encoded), batch_size):
        rows = np.arange(start, min(start + batch_size, len(encoded)))
        lengths_B = torch.from_numpy(lengths_N[rows])
        mask_BF = torch.arange(max(1, int(lengths_B.max())))[None] < lengths_B[:, None]
        inputs = {}
        for name, column in columns.items():
            values = torch.from_numpy(np.concatenate([*column.lists(rows), np.zeros(0)]))
            kind = torch.int64 if name == "input_ids" else torch.float32
            inputs[name] = torch.zeros(mask_BF.shape, dtype=kind).masked_scatter(mask_BF, values.to(kind))
        shares_BF = bag.shares(attention_mask=mask_BF.long(), **inputs)
        weights_n[starts_N[start] : starts_N[rows[-1] + 1]] = shares_BF[mask_BF].numpy()
    shape = len(encoded), bag.embeddings.word_embeddings.weight.shape[0]
    return sparse.csr_array((weights_n, ids_n.astype(np.int64), starts_N), shape=shape)


@torch.no_grad()
def fill_with_label_factors(
    weight_VD: torch.Tensor, table_NV: sparse.csr_array, labels_NL: sparse.csr_array, *, seed: int = 0
) -> int:
    """Fills token vectors with the largest left singular vectors of the table of tokens and labels, by the roots of their values.

    They are turned by a random rotation, so that no number of a vector means more than another, and scaled to a standard deviation of
    0.1. Where the table has fewer directions than a vector has numbers, the rotation fills all of them.

    Args:
        weight_VD (`torch.Tensor` of shape `(V, D)`): changed in place.
        table_NV (`scipy.sparse.csr_array` of shape `(N, V)`): the documents.
        labels_NL (`scipy.sparse.csr_array` of shape `(N, L)`): their labels.
        seed (`int`, *optional*, defaults to 0): of the factoring and the rotation.

    Returns:
        `int`: how many directions there are.
    """
    documents_L = np.asarray(labels_NL.sum(axis=0)).ravel()
    scaled_NL = labels_NL.astype(np.float32) @ sparse.diags_array(
        np.maximum(documents_L, 1.0).astype(np.float32) ** np.float32(DOCUMENTS_POWER)
    )
    factors_VK, values_K, _ = truncated_svd(
        sparse.csr_array(table_NV.T @ scaled_NL), weight_VD.shape[1], seed=seed, iterations=ITERATIONS
    )
    vectors_VK = torch.from_numpy(factors_VK * np.sqrt(values_K)).float()
    drawn_DD = torch.randn((weight_VD.shape[1],) * 2, generator=torch.Generator().manual_seed(seed))
    vectors_VD = vectors_VK @ torch.linalg.qr(drawn_DD)[0][: vectors_VK.shape[1]]
    spread = vectors_VD.std()
    if spread > 0:
        weight_VD.copy_(vectors_VD * (STANDARD_DEVIATION / spread))
    return int((values_K > 0).sum())
