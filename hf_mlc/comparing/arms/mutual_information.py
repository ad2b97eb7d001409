"""Ranking by what is planted, nothing trained: a label's score is the sum of its best tokens that the document has."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import scipy.sparse
import torch

from hf_mlc.comparing.arms import Fitted, Job, Scored
from hf_mlc.comparing.tuning import chosen_rule
from hf_mlc.data import train_tokenizer
from hf_mlc.planting.presence import count_labels, count_tokens
from hf_mlc.planting.statistics import TokenLabelStore, token_label_store


BEST = 6  # tokens of a document that count for a label
TEXTS_AT_ONCE = 500


def fit(job: Job, folder: Path) -> Fitted:
    """Counts the training rows. Settings: those of `token_label_store`, and `best`, how many tokens count, and `refit`, as of
    `train`: once thresholds are chosen, the validation rows are counted as well; `threshold_kind`, `threshold_metric`."""
    settings = dict(job.settings)
    best, refit = settings.pop("best", BEST), settings.pop("refit", False)
    kind, metric = settings.pop("threshold_kind", "auto"), settings.pop("threshold_metric", "f1_micro")
    space, train, validation = job.rows.label_space(), job.rows.read("train"), job.rows.read("validation")
    tokenizer = train_tokenizer(train["text"][:])

    def counted(rows: datasets.Dataset) -> TokenLabelStore:
        labels = count_labels((space.encode_known(labels)[0] for labels in rows["labels"]), len(space))
        return token_label_store(_presence(tokenizer, rows["text"][:]), labels, progress=False, **settings)

    store = counted(train)
    largest = max(float(store.values[:, :best].sum(axis=1).max()), 1e-9)

    def scores(texts) -> np.ndarray:
        # one divisor for all labels: it changes no order, and thresholds are looked for between 0 and 1
        return np.minimum(planted_sums(store, _presence(tokenizer, texts), best) / largest, 1)

    true_ids = [space.encode_known(labels)[0] for labels in validation["labels"]]
    rule = chosen_rule(scores(validation["text"][:]), true_ids, space, kind=kind, metric=metric, seed=job.seed)
    if refit:
        store = counted(datasets.concatenate_datasets([train, validation]))

    def score(texts) -> Scored:
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[start : start + TEXTS_AT_ONCE]
            yield list(range(start, start + len(part))), torch.from_numpy(scores(part)), None

    stored = int((store.token_ids >= 0).sum())
    vocabulary = sum(len(token.encode()) + 4 for token in tokenizer.get_vocab())
    return Fitted(
        score=score,
        thresholds=rule.thresholds,
        min_labels=rule.min_labels,
        parameters=stored,
        model_bytes=8 * stored + vocabulary,
        facts={"best": best, "stored_pairs": stored},
    )


def planted_sums(store: TokenLabelStore, presence: scipy.sparse.csr_array, best: int) -> np.ndarray:
    """For each document and label the sum of the label's `best` largest values among the document's tokens, float32 `(N, L)`.

    Args:
        store ([`TokenLabelStore`]): each label's tokens, best first.
        presence (`scipy.sparse.csr_array` of shape `(N, V)`): which tokens each document has.
        best (`int`): how many count.
    """
    columns = scipy.sparse.csc_array(presence)
    sums_NL = np.zeros((presence.shape[0], store.num_labels), np.float32)
    for label in range(store.num_labels):
        kept = store.token_ids[label] >= 0
        if kept.any():
            there_NK = columns[:, store.token_ids[label, kept]].toarray() > 0
            there_NK &= there_NK.cumsum(axis=1) <= best
            sums_NL[:, label] = there_NK @ store.values[label, kept]
    return sums_NL


def _presence(tokenizer, texts) -> scipy.sparse.csr_array:
    ids = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
    return count_tokens(ids, len(tokenizer), tokenizer.all_special_ids)
