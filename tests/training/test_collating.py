"""A trainer that is given no collator takes the one that goes with what its model reads."""

from __future__ import annotations

import datasets
import pytest
import torch

from hf_mlc.building import build_model
from hf_mlc.cycles.trainer import LightDxmlTrainer
from hf_mlc.data import MultiLabelCollator, load_splits, tokenize_splits, train_tokenizer
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor
from hf_mlc.sparse.collating import SparseCollator
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.collating import PlainCollator
from hf_mlc.training.trainer import MultiLabelTrainer


TEXTS = ["corn", "wheat corn", "oil", "oil wheat", "profit", "corn oil gas"]
LABELS = [["grain"], ["grain"], ["crude"], ["crude", "grain"], [], ["crude", "grain", "earn"]]


def trainer_of(config, folder, rows, space, kind=MultiLabelTrainer, **arguments):
    names = {"label_names": arguments.pop("label_names", None)}
    args = MultiLabelTrainingArguments(
        output_dir=str(folder), use_cpu=True, report_to="none", disable_tqdm=True, num_train_epochs=1, **names
    )
    model = build_model(config, space)
    return kind(model, args, label_space=space, train_dataset=rows, eval_dataset=rows, **arguments)


@pytest.fixture
def texts():
    """Rows as `tokenize_splits` gives them, of unlike lengths and numbers of labels; tokenizer, label space, configuration."""
    splits = load_splits(datasets.Dataset.from_dict({"text": TEXTS, "labels": LABELS}))
    space, tokenizer = LabelSpace.from_label_lists(LABELS), train_tokenizer(TEXTS, min_frequency=1)
    rows = tokenize_splits(splits, tokenizer, space, max_length=8)["train"]
    return rows, tokenizer, space, PlantConfig(vocab_size=len(tokenizer), hidden_size=8, encoder="bag_of_words")


def test_tokenised_rows_are_trained_on_through_the_tokenizer_alone(texts, tmp_path):
    rows, tokenizer, space, config = texts
    trainer = trainer_of(config, tmp_path, rows, space, processing_class=tokenizer)
    assert isinstance(trainer.data_collator, MultiLabelCollator) and trainer.target_name == "labels"
    trainer.train()
    found = trainer.evaluate()
    with torch.no_grad():
        batch = MultiLabelCollator(tokenizer, 3)(
            [dict(row) for row in rows.select_columns(["input_ids", "label_ids"])]
        )
        assert batch["labels"].sum() == 8  # 1 + 1 + 1 + 2 + 0 + 3
        expected = trainer.model.eval()(**batch).loss.item()
    assert found["eval_loss"] == pytest.approx(expected, rel=1e-5)


def test_label_names_say_the_form_of_the_targets(texts, tmp_path):
    rows, tokenizer, space, config = texts
    trainer = trainer_of(config, tmp_path, rows, space, processing_class=tokenizer, label_names=["label_ids"])
    assert trainer.data_collator.targets == trainer.target_name == "label_ids"
    assert next(iter(trainer.get_eval_dataloader()))["label_ids"].shape == (6, 3)


def test_the_form_is_the_architectures_own_if_nobody_says_it(tmp_path):
    rows = datasets.Dataset.from_dict(
        {"input_ids": [[0], [1, 2]], "token_weights": [[1.0], [0.6, 0.8]], "label_ids": [[0], [0, 1]]}
    )
    config = LightDxmlConfig(encoder="features", vocab_size=4, embed_dim=4, shortlist_size=2)
    space = LabelSpace.from_label_lists([["a"], ["a", "b"]])
    extractor = SparseFeatureExtractor(num_features=3)
    trainer = trainer_of(config, tmp_path, rows, space, LightDxmlTrainer, processing_class=extractor)
    assert isinstance(trainer.data_collator, SparseCollator)
    assert trainer.data_collator.targets == trainer.target_name == "label_ids"


def test_a_collator_that_is_given_is_the_one_that_is_used(texts, tmp_path):
    rows, tokenizer, space, config = texts
    given = MultiLabelCollator(tokenizer, 3, targets="label_ids", pad_to_multiple_of=8)
    trainer = trainer_of(config, tmp_path, rows, space, processing_class=tokenizer, data_collator=given)
    assert trainer.data_collator is given and trainer.target_name == "label_ids"


def test_a_processor_of_another_kind_is_one_line(texts, tmp_path):
    rows, _, space, config = texts
    with pytest.raises(UserError) as caught:
        trainer_of(config, tmp_path, rows, space, processing_class=SparseFeatureExtractor(num_features=3))
    assert str(caught.value) == (
        "field 'processing_class': found a SparseFeatureExtractor, and the model reads texts; "
        "accepted: its tokenizer, or a data_collator"
    )


def test_without_a_processor_rows_of_one_shape_are_stacked(texts, tmp_path):
    rows, _, space, config = texts
    padded = [ids + [0] * (3 - len(ids)) for ids in rows["input_ids"]]
    rows = rows.remove_columns("input_ids").add_column("input_ids", padded)
    trainer = trainer_of(config, tmp_path, rows, space)
    assert isinstance(trainer.data_collator, PlainCollator)
    batch = trainer.data_collator([dict(row) for row in rows.select_columns(["input_ids", "label_ids"])])
    assert batch.keys() == {"input_ids", "labels"} and batch["input_ids"].tolist() == padded
    # names in order: crude, earn, grain
    assert batch["labels"].tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 0], [1, 0, 1], [0, 0, 0], [1, 1, 1]]
    trainer.train()


def test_without_a_processor_rows_of_unlike_lengths_are_one_line(texts, tmp_path):
    rows, _, space, config = texts
    with pytest.raises(
        UserError, match=r"^field 'input_ids': rows that can't be stacked; accepted: .*processing_class"
    ):
        trainer_of(config, tmp_path, rows, space).train()
