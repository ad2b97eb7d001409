from __future__ import annotations

import numpy as np
import pytest

from hf_mlc.cards.metric_names import metric_name
from hf_mlc.metrics import MultiLabelMetrics


@pytest.mark.parametrize(
    ("name", "type", "average", "k", "bucket"),
    [
        ("f1_micro", "f1", "micro", None, None),
        ("f1_macro_caml", "f1", "macro_caml", None, None),
        ("f1_macro@1-5", "f1", "macro", None, "1-5"),
        ("f1_macro@0", "f1", "macro", None, "0"),
        ("precision_micro@>50", "precision", "micro", None, ">50"),
        ("auc_macro", "roc_auc", "macro", None, None),
        ("auc_weighted", "roc_auc", "weighted", None, None),
        ("ap_micro", "average_precision", "micro", None, None),
        ("subset_accuracy", "accuracy", None, None, None),
        ("hamming_loss", "hamming_loss", None, None, None),
        ("p@1", "precision_at_k", None, 1, None),
        ("r@5@>50", "recall_at_k", None, 5, ">50"),
        ("r@5@0", "recall_at_k", None, 5, "0"),
        ("psp@15", "propensity_scored_precision_at_k", None, 15, None),
        ("Something Else", "Something Else", None, None, None),
    ],
)
def test_a_name_is_read_in_its_parts(name, type, average, k, bucket):
    found = metric_name(name)
    assert (found.type, found.average, found.k, found.bucket) == (type, average, k, bucket)


def test_sets_need_a_threshold_and_rankings_do_not():
    needing = [
        name
        for name in ("f1_micro", "hamming_loss", "auc_micro", "ap_macro", "p@5")
        if metric_name(name).needs_threshold
    ]
    assert needing == ["f1_micro", "hamming_loss"]


def test_every_metric_that_the_package_computes_has_a_meaning():
    metrics = MultiLabelMetrics(2, train_counts=[3, 60], num_train_documents=70)
    metrics.update(np.array([[0.9, 0.2], [0.1, 0.8]]), np.array([[1, 0], [0, 1]]))
    for name in metrics.compute():
        found = metric_name(name)
        assert found.meaning, name
        assert found.type == "hamming_loss" or found.type != name.partition("@")[0], name
