"""A checkpoint's metric that there isn't is refused before anything is read."""

from types import SimpleNamespace

import numpy as np
import pytest

from hf_mlc.commands.train import main as train
from hf_mlc.errors import UserError
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.training.best_metric import check_best_metric, evaluated_names


def args_of(name=None, **changed):
    usual = {"ranking_ks": [1, 5], "score_budget_mb": 512, "prediction_loss_only": False, "batch_eval_metrics": True}
    return SimpleNamespace(metric_for_best_model=name, **{**usual, **changed})


def test_whatever_real_scores_are_measured_by_may_be_chosen_by():
    rng = np.random.default_rng(0)
    counts = [0, 3, 4, 12, 30, 80]
    metrics = MultiLabelMetrics(6, train_counts=counts, num_train_documents=90, ks=(2, 4))
    metrics.update(rng.random((50, 6)), rng.random((50, 6)) < 0.4)
    measured = metrics.compute()
    assert len(measured) > 80
    assert set(measured) <= set(evaluated_names(args_of(ranking_ks=[2, 4])))
    for name in ("psp@4@6-20", "auc_weighted", "hamming_loss"):
        assert name in measured
        check_best_metric(args_of(f"eval_{name}", ranking_ks=[2, 4]))


@pytest.mark.parametrize("name", [None, "loss", "eval_loss", "tuned_f1_samples", "f1_macro_present@1-5"])
def test_names_of_an_evaluation_are_taken(name):
    check_best_metric(args_of(name))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("f1_mikro", r"'f1_mikro' is no metric of an evaluation, did you mean 'f1_micro'\?"),
        ("eval_tuned_f1", "'eval_tuned_f1' is no metric"),
        ("p@3", "'p@3' is no metric"),
        ("f1_macro@2-5", "'f1_macro@2-5' is no metric"),
        ("", "'' is no metric"),
    ],
)
def test_others_are_refused_with_what_there_is(name, found):
    with pytest.raises(
        UserError, match=rf"{found}.*accepted: loss, tuned_f1_micro, .*, p@5, .*as f1_micro@0 .*1-5, 6-20"
    ):
        check_best_metric(args_of(name))


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("auc_micro", {"score_budget_mb": 0}),
        ("tuned_f1_micro", {"prediction_loss_only": True}),
        ("f1_macro", {"batch_eval_metrics": False}),
    ],
)
def test_what_these_settings_do_not_measure_is_chosen_by_no_more(name, without):
    check_best_metric(args_of(name))
    check_best_metric(args_of("loss", **without))
    with pytest.raises(UserError, match=f"'{name}'.*accepted: loss"):
        check_best_metric(args_of(name, **without))


def test_the_command_line_refuses_it_before_it_looks_for_rows(tmp_path):
    with pytest.raises(UserError, match="did you mean 'f1_macro'"):
        train(
            [
                "--dataset_name",
                str(tmp_path / "none"),
                "--output_dir",
                str(tmp_path / "run"),
                "--metric_for_best_model",
                "f1_marco",
            ]
        )
    assert not (tmp_path / "run").exists()
