from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from hf_mlc.errors import UserError
from hf_mlc.metrics import MultiLabelMetrics


NUM_DOCUMENTS, NUM_LABELS = 120, 14


@pytest.fixture
def data():
    """Scores with many ties and truth; label 3 is never true, documents 0-4 have no label."""
    generator = np.random.default_rng(0)
    truth = (generator.random((NUM_DOCUMENTS, NUM_LABELS)) < 0.2).astype(np.int64)
    truth[:, 3], truth[:5] = 0, 0
    scores = ((generator.integers(0, 12, truth.shape) + 4 * truth) / 16).astype(np.float32)
    return scores, truth


def _measure(scores, truth, *, batch_size=1000, **options):
    metrics = MultiLabelMetrics(truth.shape[1], **options)
    for start in range(0, len(scores), batch_size):
        metrics.update(scores[start : start + batch_size], truth[start : start + batch_size])
    return metrics


def _padded(rows):
    ids = np.full((len(rows), max(1, *map(len, rows))), -100)
    for row, values in enumerate(rows):
        ids[row, : len(values)] = values
    return ids


def test_everything_agrees_with_scikit_learn(data):
    scores, truth = data
    result = _measure(scores, truth, batch_size=17, thresholds=0.5).compute()
    predicted, present = scores >= 0.5, truth.any(axis=0)
    expected = {
        "f1_micro": sk.f1_score(truth, predicted, average="micro"),
        "f1_macro": sk.f1_score(truth, predicted, average="macro", zero_division=0),
        "f1_macro_present": sk.f1_score(truth[:, present], predicted[:, present], average="macro"),
        "f1_samples": sk.f1_score(truth, predicted, average="samples", zero_division=1),
        "precision_micro": sk.precision_score(truth, predicted, average="micro"),
        "recall_micro": sk.recall_score(truth, predicted, average="micro"),
        "subset_accuracy": sk.accuracy_score(truth, predicted),
        "hamming_loss": sk.hamming_loss(truth, predicted),
        "auc_micro": sk.roc_auc_score(truth, scores, average="micro"),
        "auc_macro": sk.roc_auc_score(truth[:, present], scores[:, present], average="macro"),
        "auc_weighted": sk.roc_auc_score(truth[:, present], scores[:, present], average="weighted"),
        "ap_micro": sk.average_precision_score(truth, scores, average="micro"),
        "ap_macro": sk.average_precision_score(truth[:, present], scores[:, present], average="macro"),
    }
    assert {name: result[name] for name in expected} == pytest.approx(expected)


def test_two_batches_equal_one_batch_and_merging_equals_both(data):
    scores, truth = data
    options = {
        "train_counts": np.arange(NUM_LABELS) * 5,
        "num_train_documents": 300,
        "thresholds": np.linspace(0.3, 0.7, NUM_LABELS),
        "min_labels": 1,
    }
    whole = _measure(scores, truth, **options)
    split = _measure(scores, truth, batch_size=7, **options)
    merged = _measure(scores[:50], truth[:50], **options).merge(_measure(scores[50:], truth[50:], **options))
    assert whole.compute() == pytest.approx(split.compute(), rel=1e-12)
    assert whole.compute() == pytest.approx(merged.compute(), rel=1e-12)
    assert whole.facts() == split.facts() == merged.facts()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_torch_and_numpy_scores_of_any_float_type_are_equal(data, dtype):
    scores, truth = data  # sixteenths: exact in every type
    expected = _measure(scores, truth).compute()
    assert _measure(torch.from_numpy(scores).to(dtype), torch.from_numpy(truth).float()).compute() == expected


def test_label_ids_equal_multi_hot_targets(data):
    scores, truth = data
    rows = [np.flatnonzero(row) for row in truth]
    rows[7] = np.concatenate([rows[7], rows[7]])  # a label given twice counts once
    metrics = MultiLabelMetrics(NUM_LABELS)
    metrics.update(scores, label_ids=_padded(rows))
    assert metrics.compute() == _measure(scores, truth).compute()


def test_a_shortlist_of_all_labels_in_any_order_equals_dense_scores_without_areas(data):
    scores, truth = data
    generator = np.random.default_rng(3)
    candidates = generator.permuted(np.tile(np.arange(NUM_LABELS), (NUM_DOCUMENTS, 1)), axis=1)
    shuffled = np.take_along_axis(scores, candidates, axis=1)
    # two columns of padding, whose scores must not matter
    candidates = np.concatenate([candidates, np.full((NUM_DOCUMENTS, 2), -1)], axis=1)
    shuffled = np.concatenate([shuffled, np.full((NUM_DOCUMENTS, 2), 0.99, np.float32)], axis=1)
    options = {"train_counts": np.arange(NUM_LABELS), "num_train_documents": 99, "min_labels": 1}
    metrics = MultiLabelMetrics(NUM_LABELS, **options)
    metrics.update(shuffled[:60], truth[:60], candidate_ids=candidates[:60])
    rows = [np.flatnonzero(row) for row in truth[60:]]
    metrics.update(shuffled[60:], label_ids=_padded(rows), candidate_ids=candidates[60:])
    dense = _measure(scores, truth, **options).compute()
    expected = {name: value for name, value in dense.items() if not name.startswith(("auc", "ap"))}
    assert metrics.compute() == pytest.approx(expected, rel=1e-12)
    assert metrics.facts()["curves"] == "left out: a shortlist was scored, not every label"


def test_true_labels_outside_the_shortlist_count_as_missed():
    metrics = MultiLabelMetrics(100, ks=(2,))
    metrics.update(np.array([[0.9, 0.8]]), candidate_ids=np.array([[7, 9]]), label_ids=np.array([[9, 50, 60]]))
    result = metrics.compute()
    # predicted {7, 9}, true {9, 50, 60}: one hit; precision 1/2, recall 1/3, F1 2/5, 3 wrong cells of 100
    assert result["precision_micro"] == 1 / 2 and result["recall_micro"] == pytest.approx(1 / 3)
    assert result["f1_micro"] == pytest.approx(2 / 5) and result["hamming_loss"] == pytest.approx(0.03)
    assert result["p@2"] == 1 / 2 and result["r@2"] == pytest.approx(1 / 3)


def test_documents_without_labels_follow_the_stated_conventions():
    scores = np.array([[0.9, 0.1], [0.2, 0.1], [0.8, 0.1]])
    truth = np.array([[0, 0], [0, 0], [1, 0]])
    metrics = _measure(scores, truth, ks=(1,))
    result = metrics.compute()
    assert result["p@1"] == pytest.approx(1 / 3)  # misses in the first two, a hit in the third
    assert result["r@1"] == result["ndcg@1"] == 1.0  # the third alone
    assert result["f1_samples"] == pytest.approx(2 / 3)  # 0 (predicted, none true), 1 (neither), 1 (right)
    assert result["subset_accuracy"] == pytest.approx(2 / 3)
    assert metrics.facts()["num_documents_without_labels"] == 2


def test_a_cutoff_above_the_number_of_labels_counts_the_missing_ranks_as_misses():
    result = _measure(np.array([[0.9, 0.1]]), np.array([[1, 0]]), ks=(5,)).compute()
    assert result["p@5"] == 1 / 5 and result["r@5"] == 1.0 and result["ndcg@5"] == 1.0


def test_unknown_cells_enter_no_count_and_no_ranking():
    scores = np.array([[0.9, 0.8, 0.1], [0.2, 0.7, 0.6]])
    truth = np.array([[-100, 1, 0], [1, 0, -100]])
    metrics = _measure(scores, truth, ks=(1,))
    result = metrics.compute()
    # known: (0.8, 1) (0.1, 0) (0.2, 1) (0.7, 0): predicted 0.8 and 0.7, one right, one true one missed
    assert result["precision_micro"] == result["recall_micro"] == 1 / 2
    assert result["hamming_loss"] == 2 / 4 and result["subset_accuracy"] == 1 / 2
    assert result["p@1"] == 1 / 2  # the 0.9 is not ranked, so 0.8 is a hit; 0.7 is a miss
    assert result["auc_micro"] == pytest.approx(3 / 4)  # (.8,.1) (.8,.7) (.2,.1) right, (.2,.7) wrong
    assert metrics.facts()["num_unknown_cells"] == 2


def test_buckets_follow_training_counts_and_leave_out_empty_ones():
    # labels 0 and 1 have 3 training documents, label 2 has 100
    scores = np.array([[0.9, 0.2, 0.8], [0.1, 0.6, 0.7]])
    truth = np.array([[1, 1, 0], [0, 0, 1]])
    result = _measure(scores, truth, train_counts=[3, 3, 100], ks=(1,)).compute()
    # bucket 1-5: label 0 is right (F1 1), label 1 is predicted once and true once, no hit (F1 0)
    assert result["f1_macro@1-5"] == 1 / 2 and result["f1_micro@1-5"] == pytest.approx(2 * 1 / (2 + 2))
    assert result["recall_micro@1-5"] == 1 / 2 and result["precision_micro@1-5"] == 1 / 2
    # label 2: tp 1, predicted 2, true 1: 2/3
    assert result["f1_macro@>50"] == pytest.approx(2 / 3)
    # first ranks: label 0 and label 2; of the bucket's two true pairs one is found
    assert result["r@1@1-5"] == 1 / 2 and result["r@1@>50"] == 1.0
    # label 0 ranks its document first: 1; label 1 ranks .6 (false) above .2 (true): AP 1/2
    assert result["ap_macro@1-5"] == pytest.approx(3 / 4) and result["auc_macro@1-5"] == pytest.approx(1 / 2)
    assert not [name for name in result if name.endswith(("@0", "@6-20", "@21-50"))]


def test_buckets_of_rankings_by_hand():
    # labels 0 and 1 have 3 training documents, 2 and 3 have 100; ranked 2, 0, 1, 3 and 1, 3, 0, 2
    scores = np.array([[0.8, 0.4, 0.9, 0.1], [0.3, 0.9, 0.1, 0.5]])
    truth = np.array([[1, 1, 1, 0], [0, 0, 1, 1]])
    found = _measure(scores, truth, train_counts=[3, 3, 100, 100], num_train_documents=200, ks=(1, 3)).compute()
    second, third, best_of_two = 1 / np.log2(3), 1 / np.log2(4), 1 + 1 / np.log2(3)
    # only the first document has labels of 1-5: hits at ranks 2 and 3 of all labels
    assert found["ndcg@3@1-5"] == pytest.approx((second + third) / best_of_two) and found["ndcg@1@1-5"] == 0.0
    # the first document's only label of >50 is first; of the second's two, one is second
    assert found["ndcg@3@>50"] == pytest.approx((1 + second / best_of_two) / 2) and found["ndcg@1@>50"] == 1 / 2
    assert found["p@3@1-5"] == pytest.approx(2 / 6) and found["p@3@>50"] == pytest.approx(2 / 6)


@pytest.mark.parametrize("name", ["p@1", "p@3", "psp@1", "psp@5"])
def test_what_buckets_contribute_adds_up(name, data):
    counts = np.array([0, 2, 9, 30, 80, 4, 0, 11, 5, 6, 20, 21, 50, 51])
    found = _measure(*data, train_counts=counts, num_train_documents=100).compute()
    parts = [found[f"{name}@{bucket}"] for bucket in ("0", "1-5", "6-20", "21-50", ">50")]
    assert sum(parts) == pytest.approx(found[name]) and all(part > 0 for part in parts)


def test_psp_is_the_ratio_of_sums():
    from hf_mlc.metrics.ranking import inverse_propensities

    counts = np.array([50, 1, 10])
    w = inverse_propensities(counts, 100)
    scores, truth = np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.9]]), np.array([[1, 1, 0], [0, 0, 1]])
    result = _measure(scores, truth, train_counts=counts, num_train_documents=100, ks=(1,)).compute()
    # found: label 0, label 2; best: the rarer label 1, label 2
    assert result["psp@1"] == pytest.approx((w[0] + w[2]) / (w[1] + w[2]))


def test_histograms_stay_within_their_stated_error_and_are_split_invariant():
    generator = np.random.default_rng(5)
    truth = (generator.random((3000, 6)) < 0.1).astype(np.int64)
    truth[generator.random(truth.shape) < 0.05] = -100
    logits = generator.normal(-4, 2, truth.shape) + 3 * (truth == 1)
    scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
    exact = _measure(scores, truth).compute()
    # 90 kB of scores do not fit 50 kB, six histograms of 256 bins do
    options = {"score_budget_mb": 0.05, "num_bins": 256}
    streamed = _measure(scores, truth, batch_size=171, **options)
    measured, facts = streamed.compute(), streamed.facts()
    assert facts["curves"] == "histograms"
    for name in ("auc_micro", "auc_macro", "auc_weighted", "ap_micro", "ap_macro"):
        error = facts["curve_errors"][name]
        assert abs(measured[name] - exact[name]) <= error + 1e-9
        assert 0 < error < (0.001 if "micro" in name else 0.05)
    assert _measure(scores, truth, **options).compute() == pytest.approx(measured, rel=1e-12)
    halves = [
        _measure(part_s, part_t, **options)
        for part_s, part_t in zip(np.split(scores, 2), np.split(truth, 2), strict=True)
    ]
    assert halves[0].merge(halves[1]).compute() == pytest.approx(measured, rel=1e-12)


def test_merging_exact_halves_that_no_longer_fit_gives_histograms():
    generator = np.random.default_rng(6)
    scores, truth = generator.random((200, 5)), (generator.random((200, 5)) < 0.3).astype(int)
    options = {"score_budget_mb": 4000 / 2**20, "num_bins": 32}  # 200 x 5 x 5 bytes = 5,000
    halves = [_measure(scores[i::2], truth[i::2], **options) for i in (0, 1)]
    assert halves[0].facts()["curves"] == "exact"
    merged = halves[0].merge(halves[1])
    assert merged.facts() == _measure(scores, truth, **options).facts()
    assert merged.facts()["curves"] == "histograms"
    assert merged.compute() == pytest.approx(_measure(scores, truth, **options).compute())


@pytest.mark.parametrize("density", [0.005, 0.5])
def test_exact_areas_take_no_more_than_twice_what_the_scores_take(density):
    generator = np.random.default_rng(0)
    scores = generator.random((2000, 800), np.float32)
    truth = (generator.random(scores.shape) < density).astype(np.int8)
    tracemalloc.start()
    try:
        metrics = _measure(scores, truth, batch_size=64)
        metrics.compute()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert metrics.facts()["curves"] == "exact" and peak < 2 * scores.size * 5


def test_where_no_histogram_a_label_fits_only_the_micro_areas_are_left(data):
    scores, truth = data
    metrics = _measure(scores, truth, score_budget_mb=0.001)
    result = metrics.compute()
    assert "auc_micro" in result and "ap_micro" in result
    assert "auc_macro" not in result and "ap_macro" not in result
    assert "score_budget_mb" in metrics.facts()["curves_macro"]


def test_a_budget_of_zero_leaves_the_areas_out(data):
    metrics = _measure(*data, score_budget_mb=0)
    assert not [name for name in metrics.compute() if name.startswith(("auc", "ap"))]
    assert metrics.facts()["curves"] == "left out: score_budget_mb is 0"


def test_undefined_metrics_are_left_out_rather_than_nan():
    result = _measure(np.array([[0.2, 0.9]]), np.array([[0, 0]]), train_counts=[0, 1], num_train_documents=9).compute()
    assert all(np.isfinite(value) for value in result.values())
    undefined = {"auc_micro", "auc_macro", "auc_weighted", "ap_micro", "ap_macro", "f1_macro_present"}
    undefined |= {"r@1", "ndcg@1", "psp@1"}
    assert not undefined & set(result) and result["f1_macro"] == 0.0 and "f1_macro@0" in result


def test_per_label_table_has_supports_and_scikit_learns_scores(data):
    scores, truth = data
    table = _measure(scores, truth, thresholds=[0.5] * NUM_LABELS, train_counts=range(NUM_LABELS)).per_label()
    precision, recall, f1, support = sk.precision_recall_fscore_support(truth, scores >= 0.5, zero_division=0)
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1), ("support", support)):
        np.testing.assert_allclose(table[name], expected)
    assert table["predicted"].tolist() == (scores >= 0.5).sum(axis=0).tolist()
    assert table["train_count"].tolist() == list(range(NUM_LABELS))
    assert table["threshold"].shape == (NUM_LABELS,) and np.isnan(table["ap"][3])


def test_facts_are_ready_for_json(data):
    options = {"train_counts": range(NUM_LABELS), "num_train_documents": 50}
    for budget in (512, 0.01, 0.0001):
        facts = _measure(*data, score_budget_mb=budget, **options).facts()
        assert json.loads(json.dumps(facts)) == facts
    assert facts["propensity"] == {"A": 0.55, "B": 1.5}
    assert facts["labels_by_bucket"] == {"0": 1, "1-5": 5, "6-20": 8, "21-50": 0, ">50": 0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": [[2.0, 0.1]], "labels": [[1, 0]]}, "sigmoid"),
        ({"scores": [[float("nan"), 0.1]], "labels": [[1, 0]]}, "between 0 and 1"),
        ({"scores": [[0.5, 0.1]], "labels": [[3, 0]]}, "0, 1, or -100"),
        ({"scores": [[0.5, 0.1]], "labels": [[0.9, 0]]}, "0, 1, or -100"),
        ({"scores": [[0.5, 0.1]], "labels": [[1, 0, 0]]}, "labels of shape"),
        ({"scores": [[0.5, 0.1, 0.2]], "labels": [[1, 0]]}, "3 columns for 2 labels"),
        ({"scores": [[0.5, 0.1]], "label_ids": [[2]]}, "label id 2"),
        ({"scores": [[0.5, 0.1]], "label_ids": [[-1]]}, "label id -1"),
        ({"scores": [[0.5]], "label_ids": [[1]], "candidate_ids": [[2]]}, "candidate id 2"),
        ({"scores": [[0.5]], "label_ids": [[1]], "candidate_ids": [[0, 1]]}, "candidate_ids of shape"),
        ({"scores": [[0.5, 0.1]]}, "no targets"),
        ({"scores": [[0.5, 0.1]], "labels": [[1, 0]], "label_ids": [[0]]}, "both"),
        ({"scores": [0.5, 0.1], "labels": [1, 0]}, "two dimensions"),
    ],
)
def test_a_wrong_batch_is_refused_in_one_line(arguments, message):
    with pytest.raises(UserError, match=message) as error:
        MultiLabelMetrics(2).update(**{name: np.array(value) for name, value in arguments.items()})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ks": (0, 1)}, "ks"),
        ({"ks": ()}, "ks"),
        ({"thresholds": [0.5]}, "thresholds"),
        ({"train_counts": [1, 2, 3]}, "train_counts"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        MultiLabelMetrics(2, **options)


def test_no_document_is_an_error():
    metrics = MultiLabelMetrics(2)
    metrics.update(np.zeros((0, 2)), np.zeros((0, 2)))
    with pytest.raises(UserError, match="no document"):
        metrics.compute()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_scores_on_a_cuda_device_give_the_same_numbers(data):
    scores, truth = (torch.from_numpy(part) for part in data)
    assert _measure(scores.cuda(), truth).compute() == pytest.approx(_measure(scores, truth).compute(), rel=1e-12)


def test_the_curve_is_the_same_from_exact_scores_and_from_histograms():
    generator = np.random.default_rng(0)
    scores, truth = generator.random((300, 7)).astype(np.float32), (generator.random((300, 7)) < 0.2).astype(np.int8)
    truth[:, 0] = -100  # unknown: in no count
    found = []
    for budget in (512, 0.005):
        metrics = MultiLabelMetrics(7, score_budget_mb=budget)
        for start in range(0, 300, 64):
            metrics.update(scores[start : start + 64], truth[start : start + 64])
        found.append((metrics.facts()["curves"], metrics.curve(40)))
    assert [kind for kind, _ in found] == ["exact", "histograms"]
    assert found[0][1] == found[1][1]
    curve = found[0][1]
    assert list(curve) == ["threshold", "precision", "recall"] and len(curve["recall"]) <= 40
    # the last point takes every known cell
    known = truth[:, 1:]
    assert curve["recall"][-1] == 1 and curve["precision"][-1] == pytest.approx(known.mean(), rel=1e-5)


def test_there_is_no_curve_where_not_every_label_was_scored_or_none_is_true():
    shortlist = MultiLabelMetrics(3)
    shortlist.update(np.array([[0.5]]), label_ids=np.array([[1]]), candidate_ids=np.array([[1]]))
    nothing_true = MultiLabelMetrics(3)
    nothing_true.update(np.array([[0.5, 0.1, 0.2]]), np.zeros((1, 3)))
    assert shortlist.curve() is None and nothing_true.curve() is None and MultiLabelMetrics(3).curve() is None
