"""The second training: which checkpoints it goes on from, and what it leaves of the first."""

from __future__ import annotations

import weakref
from types import SimpleNamespace

import pytest
from datasets import Dataset

from hf_mlc import LabelSpace, MultiLabelCollator, MultiLabelTrainer, MultiLabelTrainingArguments
from hf_mlc.data import train_tokenizer
from hf_mlc.label_storage import store_label_space
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.training.refitting import REFIT_FOLDER, _share_of_plan, refit


TEXTS = ["wheat rose", "wheat fell", "oil rose", "oil fell"] * 4
SPACE = LabelSpace(["oil", "wheat"], counts=[8, 8], num_documents=16)


@pytest.fixture
def rows() -> Dataset:
    tokenizer = train_tokenizer(TEXTS, min_frequency=1)
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    return Dataset.from_dict({"input_ids": ids, "label_ids": [[int("wheat" in text)] for text in TEXTS]})


def new_model() -> PlantForMultiLabelClassification:
    config = PlantConfig(vocab_size=12, num_labels=2, hidden_size=8, encoder="bag_of_words")
    store_label_space(config, SPACE)
    return PlantForMultiLabelClassification(config)


def trainer_of(rows: Dataset, folder, **arguments) -> MultiLabelTrainer:
    """A trainer of four epochs of two steps."""
    tokenizer = train_tokenizer(TEXTS, min_frequency=1)
    args = MultiLabelTrainingArguments(
        str(folder), num_train_epochs=4, per_device_train_batch_size=8, report_to="none", use_cpu=True, disable_tqdm=True,
        train_sampling_strategy="random", threshold_kind="none", **arguments,
    )  # fmt: skip
    return MultiLabelTrainer(
        new_model(),
        args,
        label_space=SPACE,
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=MultiLabelCollator(tokenizer, 2),
        processing_class=tokenizer,
    )


def test_without_a_best_checkpoint_to_load_it_takes_as_long_as_the_first(rows, tmp_path):
    trainer = trainer_of(rows, tmp_path, load_best_model_at_end=False, metric_for_best_model="loss", max_steps=6)
    trainer.train()
    again, facts = refit(trainer, new_model(), SPACE, [rows, rows])
    assert facts["steps"] == 6 and facts["rows"] == 32
    assert again.args.output_dir == trainer.args.output_dir


def test_it_stops_at_the_share_of_the_plan_that_was_best(rows, tmp_path):
    trainer = trainer_of(rows, tmp_path)
    trainer.train()
    trainer.state.best_global_step = 2  # of 8
    again, facts = refit(trainer, new_model(), SPACE, [rows, rows])
    assert (facts["steps"], facts["epochs"]) == (4, 1.0)  # of 16
    assert again.lr_scheduler.get_last_lr()[0] == pytest.approx(trainer.args.learning_rate * 12 / 16)


def test_checkpoints_on_the_way_to_another_share_are_not_gone_on_from(rows, tmp_path):
    trainer = trainer_of(rows, tmp_path)
    trainer.train()
    trainer.state.best_global_step = 8
    assert not refit(trainer, new_model(), SPACE, [rows, rows])[1]["resumed"]
    assert refit(trainer, new_model(), SPACE, [rows, rows])[1]["resumed"]  # from the third epoch
    trainer.state.best_global_step = 4
    facts = refit(trainer, new_model(), SPACE, [rows, rows])[1]
    assert facts["steps"] == 8 and not facts["resumed"]
    assert sorted(path.name for path in (tmp_path / REFIT_FOLDER).iterdir()) == ["checkpoint-4", "share.json"]


def test_the_first_optimizer_makes_room_for_the_second(rows, tmp_path):
    trainer = trainer_of(rows, tmp_path, load_best_model_at_end=False, save_strategy="no")
    trainer.train()
    moment = weakref.ref(next(iter(trainer.optimizer.state.values()))["exp_avg"])
    refit(trainer, new_model(), SPACE, [rows])
    assert moment() is None
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_of_a_plan_without_steps_all_was_done():
    state = SimpleNamespace(best_global_step=None, global_step=0, max_steps=0)
    assert _share_of_plan(SimpleNamespace(state=state, args=SimpleNamespace(load_best_model_at_end=True))) == 1.0
