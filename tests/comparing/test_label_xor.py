"""The synthetic control: its generator, and how much the labels of a table depend on each other."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from hf_mlc.comparing.label_dependence import label_dependence
from hf_mlc.comparing.label_xor import LabelXor
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification


def test_later_labels_are_the_exclusive_or_of_two_before_them():
    control = LabelXor(num_features=6, num_labels=9, num_roots=4, offsets=(1, 3), flip_rate=0.0)
    features_NF, labels_NL = control.draw(200, seed=0)
    assert ((features_NF[:, :4] > 0) == labels_NL[:, :4]).all()
    for label in range(4, 9):
        assert (labels_NL[:, label] == (labels_NL[:, label - 1] != labels_NL[:, label - 3])).all()
    assert control.best_subset_accuracy == 1.0
    again = control.draw(200, seed=0)
    assert (again[0] == features_NF).all() and (again[1] == labels_NL).all()


def test_the_bayes_rate_is_how_often_nothing_was_turned_over():
    control = LabelXor(flip_rate=0.1, num_labels=11)
    _, labels_NL = control.draw(20_000, seed=1)
    rule_NL = labels_NL.copy()
    for label in range(8, 11):  # who knows the true labels before it answers by the rule
        rule_NL[:, label] = labels_NL[:, label - 1] ^ labels_NL[:, label - 6]
    right = (rule_NL == labels_NL).all(axis=1).mean()
    assert control.best_subset_accuracy == pytest.approx(0.9**3) and right == pytest.approx(0.9**3, abs=0.01)
    # no later label can be told from another one alone, though all of them follow
    assert abs(np.corrcoef(labels_NL, rowvar=False)[10, :10]).max() < 0.03


@pytest.mark.parametrize("wrong", [{"num_roots": 5}, {"num_roots": 17}, {"offsets": (0, 6)}, {"flip_rate": 0.5}])
def test_a_control_that_cannot_be_drawn_is_refused(wrong):
    with pytest.raises(ValueError, match="accepted"):
        LabelXor(**wrong)


def test_dependence_counts_the_other_labels_that_a_label_depends_on():
    draws_NL = np.random.default_rng(0).random((500, 4)) < 0.4
    draws_NL[:, 1] = draws_NL[:, 0]  # two of four depend on one other each
    ids = [np.flatnonzero(row) for row in draws_NL]
    assert label_dependence(ids, 4) == pytest.approx(0.5)
    assert label_dependence(ids, 6) == pytest.approx(0.5)  # labels that no row has are left out
    assert label_dependence([np.array([0]), np.array([], int)], 3) == 0.0


SCRIPT = Path(__file__).parents[2] / "benchmarks" / "label_relations.py"
SMALL = LabelXor(num_features=8, num_labels=14, num_roots=6)


@pytest.fixture(scope="module")
def accuracy_of():
    """The subset accuracy of a model of MSDN's family on the small control."""
    specification = importlib.util.spec_from_file_location("label_relations", SCRIPT)
    benchmark = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(benchmark)
    train, test = SMALL.draw(1200, seed=0), SMALL.draw(500, seed=1)
    sizes = {
        "num_labels": 14, "input_size": 8, "numeric_size": 8, "hidden_size": 64, "label_order": "given", "hidden_dropout": 0.0,
        "relation_dropout": 0.1,
    }  # fmt: skip

    def measure(config_class, model_class, **settings) -> float:
        torch.manual_seed(0)
        model = model_class(config_class(**sizes, **settings))
        benchmark.train_on_rows(model, *train, epochs=20, learning_rate=1e-2)
        return benchmark.metrics_on(model, *test)["subset_accuracy"]

    return measure


def test_several_scales_learn_the_control_and_a_short_kernel_and_binary_relevance_cannot(accuracy_of):
    from hf_mlc.comparing.arms.msdn_encoder import SameEncoderConfig, SameEncoderModel

    ours = (MsdnConfig, MsdnForMultiLabelClassification)
    assert accuracy_of(*ours, kernel_sizes=[2, 4, 8]) > 0.75 * SMALL.best_subset_accuracy
    # the roots alone, and one later label in two: of eight, .004
    assert accuracy_of(*ours, kernel_sizes=[2], channels=24) < 0.05
    assert accuracy_of(SameEncoderConfig, SameEncoderModel, head="per_label") < 0.05
