from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest

from hf_mlc.errors import UserError
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.thresholds import METRICS, ThresholdTuner, tune_thresholds


NUM_DOCUMENTS, NUM_LABELS = 30, 6


def _make(seed, *, levels=None, num_documents=NUM_DOCUMENTS, shift=0.0):
    generator = np.random.default_rng(seed)
    truth = (generator.random((num_documents, NUM_LABELS)) < 0.15).astype(np.int64)
    logits = generator.normal(-1.5, 1, truth.shape) + 2.5 * truth + shift * np.arange(NUM_LABELS)
    scores = 1 / (1 + np.exp(-logits))
    if levels:
        scores = np.round(scores * levels) / levels
    return scores.astype(np.float32), truth


def _value(scores, truth, thresholds, min_labels, metric):
    metrics = MultiLabelMetrics(truth.shape[1], thresholds=thresholds, min_labels=min_labels, score_budget_mb=0)
    metrics.update(scores, truth)
    result = metrics.compute()
    names = ("f1_micro", "f1_macro", "subset_accuracy") if metric == "balanced" else metric.split("+")
    return np.mean([result[name] for name in names])


def _brute_force(scores, truth, min_labels, metric):
    """The best value over every threshold that could matter: each score, and 1."""
    cuts = [*np.unique(scores).tolist(), 1.0]
    return max(_value(scores, truth, cut, min_labels, metric) for cut in cuts)


@pytest.mark.parametrize("levels", [None, 12])
@pytest.mark.parametrize("metric", METRICS)
def test_global_threshold_is_the_best_there_is(metric, levels):
    for seed in range(3):
        scores, truth = _make(seed, levels=levels)
        if seed == 2:
            truth[np.random.default_rng(0).random(truth.shape) < 0.1] = -100
        choice = tune_thresholds(scores, truth, metric=metric)
        best = {m: _brute_force(scores, truth, m, metric) for m in (0, 1)}
        assert choice.value == pytest.approx(max(best.values()))
        assert best[choice.min_labels] == pytest.approx(max(best.values()))
        assert _value(scores, truth, choice.thresholds, choice.min_labels, metric) == pytest.approx(choice.value)
        without = tune_thresholds(scores, truth, metric=metric, choose_min_labels=False)
        assert without.min_labels == 0 and without.value == pytest.approx(best[0])


def test_global_threshold_lies_halfway_between_neighbouring_scores():
    # from the top: .9 right, .6 right, .5 wrong: best below .6, halfway to .5
    scores, truth = np.array([[0.9, 0.1], [0.5, 0.6]]), np.array([[1, 0], [0, 1]])
    choice = tune_thresholds(scores, truth)
    assert choice.thresholds == pytest.approx(0.55) and choice.value == 1.0 and choice.kind == "global"
    assert choice.num_documents == 2 and choice.metric == "f1_micro"


def test_min_labels_is_chosen_where_it_helps():
    # the right label is always first, but at very different heights
    scores = np.array([[0.9, 0.5], [0.2, 0.3], [0.04, 0.01]])
    truth = np.array([[1, 0], [0, 1], [1, 0]])
    choice = tune_thresholds(scores, truth, metric="subset_accuracy")
    assert choice.min_labels == 1 and choice.value == 1.0 and choice.thresholds > 0.5
    # a document without labels and with low scores: none is better
    choice = tune_thresholds(np.array([[0.9, 0.5], [0.1, 0.2]]), np.array([[1, 1], [0, 0]]))
    assert choice.min_labels == 0 and choice.value == 1.0


def test_per_label_thresholds_follow_the_shrinkage_formula():
    # label 0: one positive at .8, next .4, own threshold .6; label 1: positives at .3 and .2, next .1, own .15;
    # label 2: no positive
    scores = np.array([[0.8, 0.3, 0.05], [0.4, 0.2, 0.06], [0.3, 0.1, 0.07]])
    truth = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
    # together: .8 right 2/(1+3), .4 wrong, .3 right and wrong 4/(4+3), .2 right 6/(5+3): common threshold .15
    choice = tune_thresholds(scores, truth, kind="per_label", shrinkage=2.0, choose_min_labels=False)
    weight = 1 / (1 + 2)  # label 0
    logit = weight * np.log(0.6 / 0.4) + (1 - weight) * np.log(0.15 / 0.85)
    assert choice.kind == "per_label" and choice.shrinkage == 2.0
    assert choice.thresholds == pytest.approx([1 / (1 + np.exp(-logit)), 0.15, 0.15], rel=1e-5)
    free = tune_thresholds(scores, truth, kind="per_label", shrinkage=0, choose_min_labels=False)
    assert free.thresholds == pytest.approx([0.6, 0.15, 0.15], rel=1e-5)


def test_a_label_without_training_documents_takes_the_common_threshold():
    scores, truth = _make(0, shift=0.5)
    options = {"kind": "per_label", "shrinkage": 0, "choose_min_labels": False}
    common = tune_thresholds(scores, truth, choose_min_labels=False).thresholds
    own = tune_thresholds(scores, truth, **options).thresholds
    counts = [0, *[5] * (NUM_LABELS - 1)]
    limited = tune_thresholds(scores, truth, train_counts=counts, **options).thresholds
    assert limited[0] == pytest.approx(common) and limited[1:] == own[1:] and own[0] != pytest.approx(common)


def test_a_label_that_cannot_be_told_apart_takes_the_common_threshold():
    # label 0 is found; label 1 has one positive, ranked last of 30: best F1 2/31; label 2 has constant scores of 0
    truth = np.zeros((30, 3), int)
    truth[:3, 0], truth[29, 1], truth[:10, 2] = 1, 1, 1
    scores = np.zeros((30, 3), np.float32)
    scores[:, 0], scores[:, 1] = np.where(truth[:, 0], 0.8, 0.2), np.linspace(0.4, 0.01, 30)
    choice = tune_thresholds(scores, truth, kind="per_label", shrinkage=0, metric="f1_macro", choose_min_labels=False)
    common = tune_thresholds(scores, truth, metric="f1_macro", choose_min_labels=False).thresholds
    assert choice.thresholds == pytest.approx([0.5, common, common])


def test_per_label_thresholds_win_where_labels_live_at_different_heights_and_lose_where_they_do_not():
    shifted = _make(1, num_documents=400, shift=0.6)
    choice = tune_thresholds(*shifted, kind="auto", metric="f1_macro")
    assert choice.kind == "per_label"
    new_scores, new_truth = _make(2, num_documents=400, shift=0.6)
    common = tune_thresholds(*shifted, metric="f1_macro")
    gain = _value(new_scores, new_truth, choice.thresholds, choice.min_labels, "f1_macro") - _value(
        new_scores, new_truth, common.thresholds, common.min_labels, "f1_macro"
    )
    assert gain > 0.02
    level = tune_thresholds(*_make(4, num_documents=40), kind="auto", metric="f1_micro")
    assert level.kind == "global" or level.shrinkage >= 10


def test_the_cross_validated_value_is_not_the_optimistic_one():
    scores, truth = _make(7, num_documents=40)
    choice = tune_thresholds(scores, truth, kind="per_label", shrinkage=0, metric="f1_macro")
    seen = _value(scores, truth, choice.thresholds, choice.min_labels, "f1_macro")
    assert choice.value < seen


def test_the_choice_depends_on_the_seed_alone():
    scores, truth = _make(3)
    first, again = (tune_thresholds(scores, truth, kind="auto", metric="balanced") for _ in range(2))
    assert first == again


def test_a_single_document_gets_the_common_threshold():
    choice = tune_thresholds(np.array([[0.9, 0.2]]), np.array([[1, 0]]), kind="per_label")
    assert choice.kind == "global" and choice.value == 1.0


def test_no_positive_at_all_predicts_nothing():
    choice = tune_thresholds(np.array([[0.9, 0.2]]), np.array([[0, 0]]), metric="f1_samples")
    assert choice.thresholds > 0.9 and choice.min_labels == 0 and choice.value == 1.0


def test_negative_zero_scores_are_zeros():
    scores, truth = np.array([[-0.0, 0.4], [0.0, 0.6]], np.float32), np.array([[0, 0], [0, 1]])
    choice = tune_thresholds(scores, truth, metric="f1_samples")
    assert choice.thresholds == pytest.approx(0.5) and choice.value == 1.0


def test_a_choice_is_ready_for_json():
    choice = tune_thresholds(*_make(0), kind="per_label")
    assert json.loads(json.dumps(choice.to_dict())) == choice.to_dict()
    assert len(choice.to_dict()["thresholds"]) == NUM_LABELS


@pytest.mark.parametrize("kind", ["global", "per_label", "auto"])
def test_the_tuner_equals_one_call_however_the_rows_are_split(kind):
    scores, truth = _make(5)
    tuner = ThresholdTuner(NUM_LABELS, kind=kind, metric="f1_macro")
    for start in range(0, NUM_DOCUMENTS, 13):
        tuner.update(scores[start : start + 13], truth[start : start + 13])
    assert tuner.tune() == tune_thresholds(scores, truth, kind=kind, metric="f1_macro")


@pytest.mark.parametrize("metric", METRICS)
def test_rows_beyond_the_budget_are_kept_as_pairs_with_the_same_choice(metric):
    scores, truth = _make(6)
    # room for 20 rows: 20 x 6 x 5 bytes
    tuner = ThresholdTuner(NUM_LABELS, metric=metric, row_budget_mb=600 / 2**20)
    for start in range(0, NUM_DOCUMENTS, 8):
        tuner.update(scores[start : start + 8], truth[start : start + 8])
    assert tuner.kept_columns is not None
    expected = tune_thresholds(scores, truth, metric=metric)
    choice = tuner.tune()
    assert choice.thresholds == expected.thresholds and choice.min_labels == expected.min_labels
    assert choice.value == pytest.approx(expected.value) and choice.num_documents == NUM_DOCUMENTS


@pytest.mark.parametrize("kind", ["global", "per_label", "auto"])
@pytest.mark.parametrize("metric", ["f1_samples", "f1_micro+subset_accuracy", "balanced"])
def test_the_same_rows_in_any_order_and_batches_give_exactly_the_same_choice(kind, metric):
    scores, truth = _make(11, num_documents=97, shift=0.4)
    scores[50:60], truth[50:60] = scores[40:50], truth[40:50]  # some rows twice
    expected = tune_thresholds(scores, truth, kind=kind, metric=metric)
    for seed in range(4):
        generator = np.random.default_rng(seed)
        order = generator.permutation(len(scores))
        tuner = ThresholdTuner(NUM_LABELS, kind=kind, metric=metric)
        for part in np.array_split(order, generator.integers(1, 40)):
            tuner.update(scores[part], truth[part])
        assert tuner.tune() == expected


def test_the_folds_depend_on_the_seed():
    scores, truth = _make(11, num_documents=97, shift=0.4)
    values = {
        tune_thresholds(scores, truth, kind="per_label", shrinkage=1, metric="balanced", seed=seed).value
        for seed in range(4)
    }
    assert len(values) > 1


@pytest.mark.parametrize("kind", ["global", "per_label", "auto"])
@pytest.mark.parametrize("metric", METRICS)
def test_no_threshold_exceeds_one_and_the_value_is_what_the_rule_gives(kind, metric):
    # the false 1 of label 1 cannot be shut out
    cases = [
        (np.array([[1.0, 1.0, 0.2], [0.9, 0.1, 0.1]], np.float32), np.array([[1, 0, 0], [0, 0, 0]])),
        (np.array([[1.0, 1.0, 0.2], [0.9, 0.1, 0.1]], np.float32), np.zeros((2, 3), int)),
        (np.ones((4, 3), np.float32), np.eye(4, 3, dtype=int)),
        (np.full((4, 3), np.nextafter(np.float32(1), np.float32(0))), np.zeros((4, 3), int)),
    ]
    for scores, truth in cases:
        choice = tune_thresholds(scores, truth, kind=kind, metric=metric)
        thresholds = np.atleast_1d(choice.thresholds)
        assert (thresholds <= 1).all() and (thresholds >= 0).all()
        MultiLabelConfig(num_labels=3, thresholds=choice.thresholds, min_labels=choice.min_labels)
        if not choice.value_is_cross_validated:
            value = _value(scores, truth, choice.thresholds, choice.min_labels, metric)
            assert choice.value == pytest.approx(value)
            assert choice.value == pytest.approx(max(_brute_force(scores, truth, m, metric) for m in (0, 1)))


def test_a_labels_own_threshold_of_one_stays_one():
    # label 0 is right only at exactly 1; the next float below is wrong
    below = np.nextafter(np.float32(1), np.float32(0))
    scores = np.array([[1.0, 0.1], [1.0, 0.1], [below, 0.1], [below, 0.6]], np.float32)
    truth = np.array([[1, 0], [1, 0], [0, 0], [0, 1]])
    choice = tune_thresholds(scores, truth, kind="per_label", shrinkage=0, choose_min_labels=False)
    assert choice.thresholds[0] == 1.0


def test_auto_reports_a_cross_validated_value_whichever_kind_wins():
    scores, truth = _make(3, num_documents=24)
    own = tune_thresholds(scores, truth, kind="auto", metric="f1_macro")
    common = tune_thresholds(scores, truth, metric="f1_macro")
    assert own.value_is_cross_validated and not common.value_is_cross_validated
    # too few documents for thresholds of single labels: the common one wins, reported at its cross-validated worth
    scores, truth = _make(7, num_documents=24)
    chosen = tune_thresholds(scores, truth, kind="auto", metric="f1_micro", shrinkage=0)
    assert chosen.kind == "global" and chosen.value_is_cross_validated
    seen = _value(scores, truth, chosen.thresholds, chosen.min_labels, "f1_micro")
    assert chosen.value < seen
    alone = tune_thresholds(scores, truth, kind="per_label", metric="f1_micro", shrinkage=0)
    assert chosen.value >= alone.value


@pytest.mark.parametrize("informed", [True, False])
@pytest.mark.parametrize(("kind", "metric"), [*(("global", metric) for metric in METRICS), ("per_label", "f1_macro")])
def test_tuning_takes_no_more_than_twice_what_the_rows_take(metric, kind, informed):
    num_documents, num_labels = 1500, 800
    generator = np.random.default_rng(0)
    truth = (generator.random((num_documents, num_labels)) < 0.005).astype(np.int8)
    logits = generator.standard_normal(truth.shape).astype(np.float32) - 5 + 5 * truth * informed
    scores = 1 / (1 + np.exp(-logits))
    tracemalloc.start()
    try:
        tuner = ThresholdTuner(num_labels, kind=kind, metric=metric, shrinkage=3.0, num_folds=2)
        for start in range(0, num_documents, 64):
            tuner.update(scores[start : start + 64], truth[start : start + 64])
        tuner.tune()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * num_documents * num_labels * 5


def test_pairs_stay_within_the_budget_by_keeping_fewer_columns():
    generator = np.random.default_rng(0)
    scores, truth = generator.random((400, 300)), (generator.random((400, 300)) < 0.01).astype(np.int8)
    budget = 400 * 40 * 9  # 64 columns a row exceed it, 32 do not
    tuner = ThresholdTuner(300, row_budget_mb=budget / 2**20)
    for start in range(0, 400, 16):
        tuner.update(scores[start : start + 16], truth[start : start + 16])
        assert tuner.store.num_bytes <= budget
    assert tuner.kept_columns == 32 and tuner.tune().num_documents == 400


@pytest.mark.parametrize("metric", METRICS)
def test_a_shortlist_gives_the_best_threshold_over_its_candidates(metric):
    scores, truth = _make(8)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :4]
    shortlist = np.take_along_axis(scores, order, axis=1)
    order[0, 3] = -1  # padding
    tuner = ThresholdTuner(NUM_LABELS, metric=metric, kind="auto")
    ids = np.where(truth == 1, np.arange(NUM_LABELS), -100)
    for start in range(0, NUM_DOCUMENTS, 25):
        part = slice(start, start + 25)
        tuner.update(shortlist[part], candidate_ids=order[part], label_ids=ids[part])
    choice = tuner.tune()

    def value(threshold, min_labels):
        metrics = MultiLabelMetrics(NUM_LABELS, thresholds=threshold, min_labels=min_labels)
        metrics.update(shortlist, candidate_ids=order, label_ids=ids)
        result = metrics.compute()
        names = ("f1_micro", "f1_macro", "subset_accuracy") if metric == "balanced" else metric.split("+")
        return np.mean([result[name] for name in names])

    best = max(value(cut, m) for cut in [*np.unique(shortlist).tolist(), 1.0] for m in (0, 1))
    assert choice.kind == "global" and choice.value == pytest.approx(best)
    assert value(choice.thresholds, choice.min_labels) == pytest.approx(best)


def test_one_threshold_a_label_is_refused_for_a_shortlist():
    tuner = ThresholdTuner(NUM_LABELS, kind="per_label")
    with pytest.raises(UserError, match="shortlist"):
        tuner.update(np.array([[0.5]]), candidate_ids=np.array([[3]]), label_ids=np.array([[3]]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "local"}, "global, per_label, auto"),
        ({"metric": "accuracy"}, "f1_micro, f1_macro"),
        ({"shrinkage": -1.0}, "number from 0"),
        ({"shrinkage": "much"}, "number from 0"),
        ({"num_folds": 1}, "2 or more"),
    ],
)
def test_wrong_options_are_refused_by_both(options, message):
    with pytest.raises(UserError, match=message):
        tune_thresholds(*_make(0), **options)
    with pytest.raises(UserError, match=message):
        ThresholdTuner(NUM_LABELS, **options)


def test_no_document_is_an_error():
    with pytest.raises(UserError, match="no validation document"):
        tune_thresholds(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(UserError, match="no validation document"):
        ThresholdTuner(3).tune()
