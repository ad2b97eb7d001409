"""Which way the metric that decides goes, for all that follow it."""

from __future__ import annotations

import pytest

from hf_mlc.errors import UserError
from hf_mlc.training.arguments import MultiLabelTrainingArguments


def arguments(**given) -> MultiLabelTrainingArguments:
    return MultiLabelTrainingArguments(output_dir="nowhere", use_cpu=True, report_to="none", **given)


@pytest.mark.parametrize("kind", ["reduce_lr_on_plateau", "greedy"])
@pytest.mark.parametrize("metric, mode", [(None, "max"), ("loss", "min"), ("eval_loss", "min"), ("p@5", "max")])
def test_a_rate_that_follows_the_metric_falls_when_that_gets_worse(kind, metric, mode):
    args = arguments(lr_scheduler_type=kind, metric_for_best_model=metric, lr_scheduler_kwargs={"patience": 3})
    assert args.lr_scheduler_kwargs == {"patience": 3, "mode": mode}


def test_another_schedule_is_given_no_direction():
    assert not arguments().lr_scheduler_kwargs


def test_a_metric_chosen_later_turns_what_follows_it():
    args = arguments(lr_scheduler_type="reduce_lr_on_plateau", metric_for_best_model="loss")
    args.metric_for_best_model = "p@5"
    args.follow_metric(anew=True)
    assert args.greater_is_better and args.lr_scheduler_kwargs["mode"] == "max"


def test_early_stopping_has_a_metric_without_the_best_checkpoint_at_the_end():
    args = arguments(load_best_model_at_end=False, early_stopping_patience=2)
    assert (args.metric_for_best_model, args.greater_is_better) == ("tuned_f1_micro", True)


def test_early_stopping_without_evaluations_is_refused():
    with pytest.raises(UserError, match="'eval_strategy': found no"):
        arguments(load_best_model_at_end=False, early_stopping_patience=2, eval_strategy="no")
