"""Where the vectors of tokens begin: at random, or at the factors of the table that says which tokens the labels' documents hold.

A token's vector is read by the few documents that hold it, so that it takes many passes to become more than noise. The table of tokens
and labels, the sum of each label's tf-idf rows, says at once which tokens tell the same labels apart; its largest singular vectors are
a start from which a few passes do (as labels' own documents do for trees of labels, PIFA: Chang and others, KDD 2020).

Shape legend: N rows, V tokens or features, L labels, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import numpy as np
import torch
from scipy import sparse

from hf_mlc.cycles.rows import NumberedRows, label_table
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.modeling.tfidf_bag import TfidfBag
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.word_vectors.factoring import truncated_svd


# standard deviation of the numbers that training starts from
STANDARD_DEVIATION = 0.1
# a label of n documents counts as one of n to this power: of frequent labels alone the rare ones would learn nothing
DOCUMENTS_POWER = -0.5
# of encoded rows, what the model's bag reads
INPUTS = ("input_ids", "attention_mask", "token_counts", "token_weights")
ITERATIONS = 2  # of the factoring; a start needn't be exact

Collator = Callable[[Sequence[dict[str, Any]]], dict[str, torch.Tensor]]


def start_for_training(
    model: MultiLabelPreTrainedModel,
    encoded: datasets.Dataset,
    collator: Collator,
    args: MultiLabelTrainingArguments,
) -> dict[str, Any] | None:
    """Fills the token vectors of a new model as `args.token_start` says; one process does it, the others get its weights.

    Args:
        model (`MultiLabelPreTrainedModel`): new, its idf filled in; one that reads no bags is left alone.
        encoded (`datasets.Dataset`): the encoded training rows, with `label_ids`.
        collator (callable): makes batches of them.
        args ([`~hf_mlc.training.arguments.MultiLabelTrainingArguments`]): start, seed, processes.

    Returns:
        Facts for results.json; `None` where nothing was filled in.
    """
    bag = getattr(model, "encoder", None)
    if args.token_start != "label_factors" or not isinstance(bag, TfidfBag) or args.process_index != 0:
        return None
    table_NV = bag_table(bag, encoded, collator, batch_size=args.cycle_batch_size)
    labels_NL = label_table(encoded, model.config.num_labels)
    width = fill_with_label_factors(model.get_input_embeddings().weight, table_NV, labels_NL, seed=args.seed)
    return {"token_start": args.token_start, "documents": table_NV.shape[0], "width": width}


@torch.no_grad()
def bag_table(
    bag: TfidfBag, encoded: datasets.Dataset, collator: Collator, *, batch_size: int = 512
) -> sparse.csr_array:
    """The rows as the model reads them: what each token adds to its document, float32 `(N, V)`."""
    rows = NumberedRows(encoded, INPUTS)
    ids, weights, sizes = [], [], []
    for start in range(0, len(rows), batch_size):
        batch = collator(rows.__getitems__(range(start, min(start + batch_size, len(rows)))))
        shares_BF = bag.shares(**{name: batch[name] for name in INPUTS if name in batch})
        is_read_BF = shares_BF != 0
        ids.append(batch["input_ids"][is_read_BF].to(torch.int32).numpy())
        weights.append(shares_BF[is_read_BF].numpy())
        sizes.append(is_read_BF.sum(dim=1).numpy())
    starts_N = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    shape = len(rows), bag.embeddings.word_embeddings.weight.shape[0]
    return sparse.csr_array((np.concatenate(weights), np.concatenate(ids), starts_N), shape=shape)


class ProductTable:
    """`left @ right` of sparse tables, to be multiplied with and never made: of words and labels it would hold a number for each pair
    that any document has.

    Args:
        left, right (`scipy.sparse.csr_array` of shapes `(V, N)` and `(N, L)`): float32.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, left: sparse.csr_array, right: sparse.csr_array):
        self.left, self.right, self.shape = left, right, (left.shape[0], right.shape[1])

    def __matmul__(self, other_LK: np.ndarray) -> np.ndarray:
        return self.left @ (self.right @ other_LK)

    @property
    def T(self) -> ProductTable:  # as numpy's
        return ProductTable(self.right.T, self.left.T)


@torch.no_grad()
def fill_with_label_factors(
    weight_VD: torch.Tensor, table_NV: sparse.csr_array, labels_NL: sparse.csr_array, *, seed: int = 0
) -> int:
    """Fills token vectors with the largest left singular vectors of the table of tokens and labels, by the roots of their values.

    They are turned by a random rotation, so that no number of a vector means more than another, and scaled to a standard deviation of
    0.1. Where the table has fewer directions than a vector has numbers, the rotation fills all of them.

    Memory: beside the documents, a few float32 tables of D + 16 columns, of a row each a token, a document or a label.

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
    product_VL = ProductTable(table_NV.T, scaled_NL)
    factors_VK, values_K, _ = truncated_svd(product_VL, weight_VD.shape[1], seed=seed, iterations=ITERATIONS)
    vectors_VK = torch.from_numpy(factors_VK * np.sqrt(values_K)).float()
    drawn_DD = torch.randn((weight_VD.shape[1],) * 2, generator=torch.Generator().manual_seed(seed))
    vectors_VD = vectors_VK @ torch.linalg.qr(drawn_DD)[0][: vectors_VK.shape[1]]
    spread = vectors_VD.std()
    if spread > 0:
        weight_VD.copy_(vectors_VD * (STANDARD_DEVIATION / spread))
    return int((values_K > 0).sum())
