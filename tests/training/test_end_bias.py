"""The bias of the end: chosen on validation rows by what it is worth there, each candidate searched once, tests never seen."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.data import MultiLabelCollator
from hf_mlc.errors import UserError
from hf_mlc.label_storage import store_label_space
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.label_sequences import EOS
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification
from hf_mlc.thresholds import ThresholdTuner
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.end_bias import tune_search
from hf_mlc.training.trainer import MultiLabelTrainer
from tests.common.tiny_rows import tokenised


WORDS = {"corn": "grain", "oil": "crude", "profit": "earn", "gold": "metal"}
TEXTS = [" ".join(words) for words in (
    ["corn"], ["oil"], ["profit"], ["gold"], ["corn", "oil"], ["oil", "profit"], ["gold", "corn"], ["profit", "gold"],
    ["corn", "oil", "profit"], ["oil", "gold", "corn"],
)]  # fmt: skip
LABELS = [[WORDS[word] for word in text.split()] for text in TEXTS]
GRID = (-4.0, 0.0, 4.0, 8.0)


@pytest.fixture(scope="module")
def data():
    return tokenised(TEXTS, LABELS)


def trainer_of(data, folder, **fields) -> MultiLabelTrainer:
    space, tokenizer, rows = data
    torch.manual_seed(0)
    quiet = dict.fromkeys(("word_dropout", "embedding_dropout", "hidden_dropout", "decoder_dropout"), 0.0)
    config = SgmConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_labels=len(space), num_beams=3, **quiet, **fields
    )
    store_label_space(config, space)
    return MultiLabelTrainer(
        SgmForMultiLabelClassification(config),
        MultiLabelTrainingArguments(
            output_dir=str(folder),
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
            max_steps=60,
            learning_rate=0.02,
            per_device_train_batch_size=10,
            per_device_eval_batch_size=4,
            eval_strategy="no",
            save_strategy="no",
            load_best_model_at_end=False,
        ),
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=MultiLabelCollator(tokenizer, len(space)),
        processing_class=tokenizer,
    )


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> MultiLabelTrainer:
    """Knows the labels, and is then made to end too early: by 8 nats at the end's logit."""
    trainer = trainer_of(data, tmp_path_factory.mktemp("end-bias"), auxiliary_weight=0.1)
    trainer.train()
    with torch.no_grad():
        trainer.model.decoder.output.bias[EOS] += 8.0
    return trainer


@pytest.fixture(autouse=True)
def as_it_was(request):
    """Each test finds the trained model with the configuration that it was trained with."""
    if "trained" not in request.fixturenames:
        yield
        return
    trainer = request.getfixturevalue("trained")
    config, args = dict(vars(trainer.model.config)), dict(vars(trainer.args))
    yield
    vars(trainer.model.config).update(config)
    vars(trainer.args).update(args)


@pytest.mark.parametrize("metric", ("f1_micro", "subset_accuracy", "balanced"))
def test_the_bias_that_is_best_on_validation_is_chosen_and_its_value_is_that_of_an_evaluation(trained, metric):
    config, trained.args.threshold_metric = trained.model.config, metric
    choice = tune_search(trained, end_biases=GRID)
    assert config.end_bias == choice.end_bias > 0
    assert choice.num_documents == len(TEXTS) and choice.decision == "sequence" and choice.rescoring_weight is None
    assert [(one["min_labels"], one["end_bias"]) for one in choice.tried] == [
        (n, bias) for n in (0, 1) for bias in GRID
    ]
    assert config.min_labels == choice.min_labels
    for one in choice.tried:
        config.end_bias, config.min_labels = one["end_bias"], one["min_labels"]
        assert trained.evaluate()[f"eval_tuned_{metric}"] == pytest.approx(one["value"])
    assert choice.value == max(one["value"] for one in choice.tried) > choice.tried[1]["value"]


def test_each_candidate_is_searched_once_whatever_the_weights_of_rescoring(trained, monkeypatch):
    config = trained.model.config
    config.scores, config.rescoring_weight = "rescored", 7.0
    searched, search = [], trained.model._search
    monkeypatch.setattr(
        trained.model, "_search", lambda memory, *rest: searched.append(len(memory.mask_Bm)) or search(memory, *rest)
    )
    choice = tune_search(trained, end_biases=GRID, rescoring_weights=(0.0, 0.5))
    assert sum(searched) == 2 * len(GRID) * len(TEXTS)  # with and without empty sets
    assert len(choice.tried) == 2 * 3 * len(GRID) and config.rescoring_weight == choice.rescoring_weight
    assert {one["rescoring_weight"] for one in choice.tried} == {0.0, 0.5, 7.0}  # the configuration's own too
    for one in (*choice.tried[3:8], choice.tried[-2]):
        config.end_bias, config.rescoring_weight = one["end_bias"], one["rescoring_weight"]
        config.min_labels = one["min_labels"]
        assert trained.evaluate()["eval_f1_micro"] == pytest.approx(one["value"])


def test_with_thresholds_the_value_is_that_of_the_best_one(trained):
    config = trained.model.config
    config.decision, trained.args.threshold_kind = "thresholds", "global"
    choice = tune_search(trained, end_biases=(0.0, 4.0))
    assert trained.tune_thresholds().value == pytest.approx(choice.value)
    assert trained.evaluate()["eval_f1_micro"] == pytest.approx(choice.value)


def test_of_equals_the_plainest_search_is_chosen(trained, monkeypatch):
    monkeypatch.setattr("hf_mlc.training.end_bias.value_of", lambda metrics, name: 0.5)
    trained.model.config.scores = "rescored"
    choice = tune_search(trained, end_biases=(-1.0, 0.5, 0.0), rescoring_weights=(1.0, 0.25))
    assert (choice.min_labels, choice.end_bias, choice.rescoring_weight) == (0, 0.0, 0.25)


def test_a_bias_that_was_asked_for_is_tried_too(trained, monkeypatch):
    trained.model.config.end_bias = 0.75
    monkeypatch.setattr(
        "hf_mlc.training.end_bias.value_of", lambda metrics, name: float(trained.model.config.end_bias == 0.75)
    )
    assert tune_search(trained, end_biases=(0.0, 4.0)).end_bias == trained.model.config.end_bias == 0.75


def test_a_failure_leaves_the_configuration_as_it_was(trained, monkeypatch):
    config, calls = trained.model.config, []
    config.end_bias = 0.25
    monkeypatch.setattr(
        "hf_mlc.training.end_bias.value_of",
        lambda metrics, name: calls.append(config.min_labels) or 1 / (1 - calls[-1]),
    )
    with pytest.raises(ZeroDivisionError):
        tune_search(trained, end_biases=GRID)
    assert calls[-1] == 1 and (config.end_bias, config.min_labels) == (0.25, 0)


@pytest.mark.parametrize("decision", ["sequence", "thresholds"])
def test_no_document_is_left_without_labels_where_that_is_better_on_validation(trained, decision):
    """All rows here have labels, and the end comes too early: with no other bias to choose from the smallest set is what helps."""
    config = trained.model.config
    config.decision, trained.args.threshold_metric, trained.args.threshold_kind = decision, "subset_accuracy", "global"
    choice = tune_search(trained, end_biases=(0.0,))
    values = {one["min_labels"]: one["value"] for one in choice.tried}
    assert choice.min_labels == config.min_labels == 1 and values[1] > values[0]
    assert trained.tune_thresholds().min_labels == 1
    assert trained.evaluate()["eval_subset_accuracy"] == pytest.approx(values[1])


def test_a_smallest_set_that_was_asked_for_is_kept(trained):
    trained.model.config.min_labels = 2
    assert {one["min_labels"] for one in tune_search(trained, end_biases=GRID).tried} == {2}


def test_a_run_that_tunes_no_rule_may_go_on_leaving_documents_without_labels(trained):
    trained.args.threshold_kind = "none"
    assert {one["min_labels"] for one in tune_search(trained, end_biases=(0.0, 8.0)).tried} == {0}
    assert trained.model.config.min_labels == 0


def test_thresholds_leave_the_rules_of_the_search_alone(trained):
    trained.model.config.min_labels = 1
    assert trained.tune_thresholds().min_labels == trained.model.config.min_labels == 1


def test_thresholds_on_scores_without_a_search_choose_the_smallest_set(trained):
    config = trained.model.config
    config.decision, config.scores, config.min_labels = "thresholds", "auxiliary", 0
    trained.args.threshold_kind = "global"
    tried = []
    original = ThresholdTuner.tune

    def tune(tuner):
        tried.append(tuner.min_label_choices)
        return original(tuner)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ThresholdTuner, "tune", tune)
        trained.tune_thresholds()
        config.scores = "beam"
        trained.tune_thresholds()
    assert tried == [(0, 1), (0,)]


def test_what_can_not_be_tuned_is_left_alone(trained, data, tmp_path):
    trained.args.end_biases = []
    assert trained.tune_search() is None
    config = trained.model.config
    config.decision, config.scores = "thresholds", "auxiliary"  # no search has a say in these answers
    assert tune_search(trained) is None and config.end_bias == 0
    with pytest.raises(UserError, match="end_biases"):
        config.decision = "sequence"
        tune_search(trained, end_biases=())
    space, tokenizer, rows = data
    plant = PlantConfig(vocab_size=len(tokenizer), hidden_size=8, encoder="bag_of_words", num_labels=len(space))
    store_label_space(plant, space)
    other = MultiLabelTrainer(
        PlantForMultiLabelClassification(plant),
        MultiLabelTrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none"),
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=MultiLabelCollator(tokenizer, len(space)),
    )
    assert other.tune_search() is None


def test_a_bias_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(UserError, match="end_biases"):
        MultiLabelTrainingArguments(output_dir=str(tmp_path), use_cpu=True, end_biases=[0.0, float("nan")])


def test_smoothing_of_one_class_a_row_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"field 'label_smoothing_factor': found 0\.1; accepted: label_smoothing"):
        MultiLabelTrainingArguments(output_dir=str(tmp_path), use_cpu=True, label_smoothing_factor=0.1)


def test_the_metrics_of_an_evaluation_are_of_the_sets_and_not_of_thresholds(trained, data):
    space, _, rows = data
    config = trained.model.config
    config.end_bias, config.thresholds = 8.0, 1.0  # no score reaches it
    batch = trained.data_collator([dict(row) for row in rows])
    with torch.no_grad():
        output = trained.model.eval()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    assert output.chosen.any(dim=1).all()
    metrics = MultiLabelMetrics(len(space))
    metrics.update(output.logits.sigmoid(), batch["labels"], chosen=output.chosen)
    expected, found = metrics.compute(), trained.evaluate()
    for name in ("f1_micro", "f1_samples", "subset_accuracy", "precision_micro"):
        assert found[f"eval_{name}"] == pytest.approx(expected[name])
    assert expected["f1_micro"] > 0 and "eval_tuned_threshold" not in found
    predicted = trained.predict(rows)  # in another order of the rows
    chosen, truth = predicted.predictions[1], predicted.label_ids == 1
    assert chosen.dtype == bool and chosen.sum() == output.chosen.sum()
    assert (chosen & truth).sum() / truth.sum() == pytest.approx(expected["recall_micro"])
    with pytest.raises(UserError, match="chosen"):
        metrics.update(output.logits.sigmoid(), batch["labels"], chosen=output.chosen[:, :2])
