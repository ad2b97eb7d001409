"""What every kind of input promises, run for each of the table; and that those around the models ask the kind alone."""

from __future__ import annotations

import ast
import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import datasets
import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import AutoConfig, AutoProcessor

from hf_mlc.commands.column_arguments import ColumnArguments
from hf_mlc.commands.train_arguments import DataArguments
from hf_mlc.commands.train_inputs import InputStep
from hf_mlc.commands.train_steps import STEPS, asked_kind, step_of_run
from hf_mlc.data import check_splits, fingerprint, load_splits
from hf_mlc.data.contents import CONTENTS
from hf_mlc.ensembles import make_ensemble
from hf_mlc.errors import UserError
from hf_mlc.inference import LoadedModel, predict_images, score_texts, scored_batches
from hf_mlc.inputs import INPUT_KINDS, InputKind, input_kind_of, items_in
from hf_mlc.inputs.text import TextInput
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_ensemble import EnsembleConfig
from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.configuration_multi_label import ENCODER_INPUTS, MultiLabelConfig
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification
from hf_mlc.training.collating import usual_collator
from tests.common.small_sgm import TEXTS, small_sgm


LABELS = [["b", "a"], [], ["c"], ["a", "a"]]
SPACE = LabelSpace(["a", "b", "c"])
TARGETS = torch.tensor([[1.0, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]])
BACKBONE = {
    "model_type": "resnet",
    "embedding_size": 4,
    "hidden_sizes": [4],
    "depths": [1],
    "out_features": ["stage1"],
}


def texts(folder: Path) -> list[Any]:
    return ["wheat and corn", "wheat", "crude oil and gas, and gas", "wheat and corn"]


def pictures(folder: Path) -> list[Any]:
    from PIL import Image

    for name, colour in (("red", "red"), ("blue", "blue"), ("green", "green")):
        Image.new("RGB", (9, 7), colour).save(folder / f"{name}.png")
    return ["red.png", "blue.png", "green.png", "red.png"]


def rows_of_a_table(folder: Path) -> list[Any]:
    return [{"age": 1.5, "city": "x"}, {"age": -2, "city": "y"}, {"age": 7, "city": "x"}, {"age": 1.5, "city": "x"}]


def sparse_rows(folder: Path) -> list[Any]:
    return [{"0": 1.5, "7": 2}, {"indices": [3], "values": [-2]}, {"3": 1, "5": 0.5}, {"7": 2, "0": 1.5}]


def histories(folder: Path) -> list[Any]:
    def of(*times: int) -> dict[str, Any]:
        return {"user": "u", "events": [{"time": time, "labels": ["a", "b", "c"][: 1 + time % 3]} for time in times]}

    return [of(0, 4, 5), of(7), of(2, 3), of(0, 4, 5)]


class Sample(NamedTuple):
    """Items of a kind, the last like the first, and the arguments of `train` with which a processor is made of them."""

    items: Any
    arguments: dict[str, Any] = {}
    others: dict[str, Any] = {}


# a new kind adds its own here
SAMPLES = {
    "text": Sample(
        texts, {"tokenizer_min_frequency": 1}, {"tokenizer_min_frequency": 1, "tokenizer_lowercase": False}
    ),
    "image": Sample(pictures, {"image_size": 8}, {"image_size": 16}),
    "table": Sample(rows_of_a_table, {}, {"category_columns": ["age"]}),
    "event": Sample(histories, {}, {"user_tokens": True}),
    "features": Sample(sparse_rows, {}, {"scale_rows": False}),
}


class Given(NamedTuple):
    kind: InputKind
    step: InputStep
    splits: datasets.DatasetDict
    processor: Any

    @property
    def items(self) -> list[Any]:
        return self.splits["train"][self.kind.content.column][:]


def step_with(name: str, arguments: dict[str, Any], file: str | Path) -> InputStep:
    step = STEPS[name]
    return step(step.arguments(**arguments), ColumnArguments(), DataArguments(train_file=str(file)))


@pytest.fixture(scope="module")
def given(name, tmp_path_factory) -> Given:
    """Rows of a kind in a file, read, and the processor that `train` makes of them."""
    folder = tmp_path_factory.mktemp(name)
    kind, sample, file = INPUT_KINDS[name], SAMPLES[name], folder / "train.jsonl"
    rows = [
        {kind.content.column: item, "labels": some} for item, some in zip(sample.items(folder), LABELS, strict=True)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    step = step_with(name, sample.arguments, file)
    splits = load_splits(train_file=file, validation_file=file, columns=step.columns(), cache_dir=folder / "cache")
    return Given(kind, step, splits, step.new_processor(splits["train"]))


@pytest.fixture(params=list(INPUT_KINDS), scope="module")
def name(request) -> str:
    if request.param == "image" and importlib.util.find_spec("PIL") is None:
        pytest.skip('Pillow is not installed (pip install "hf_mlc[images]")')
    return request.param


def test_the_tables_know_the_same_kinds():
    assert list(SAMPLES) == list(INPUT_KINDS) == list(STEPS)
    assert set(ENCODER_INPUTS.values()) | {"text", LanetConfig().input_kind} == set(INPUT_KINDS)
    for name, kind in INPUT_KINDS.items():
        assert kind.name == name and STEPS[name].kind is kind and CONTENTS[kind.content.column] is kind.content
    for what in ("processor_noun", "pipeline_task"):
        assert len({getattr(kind, what) for kind in INPUT_KINDS.values()}) == len(INPUT_KINDS)
    # tables and sparse rows are stored alike, in a column of one name
    assert {kind.name for kind in INPUT_KINDS.values() if kind.content is CONTENTS["features"]} == {
        "table",
        "features",
    }
    owned = [argument for step in STEPS.values() for argument in step.own_arguments()]
    assert {argument for argument in owned if owned.count(argument) > 1} == {"features_column"}


def test_a_batch_of_training_is_what_inference_makes_of_the_items(given):
    kind, processor = given.kind, given.processor
    encoded = given.step.encoded(given.splits, processor, SPACE, check_splits(given.splits, SPACE))["train"]
    assert {"id", "label_ids", "length"} < set(encoded.column_names)
    batch = given.step.collator(processor, 3)([encoded[place] for place in range(4)])
    assert torch.equal(batch.pop("labels"), TARGETS)
    alone = kind.batch(processor, given.items)
    assert batch.keys() == alone.keys()
    for key, values in alone.items():
        assert torch.equal(values, batch[key]) and len(values) == 4
        assert torch.equal(values[0], values[3]) and not torch.equal(values[0], values[2])
    ids = kind.collator(processor, 3, targets="label_ids")([encoded[place] for place in range(4)])["label_ids"]
    assert ids.tolist() == [[0, 1], [-100, -100], [2, -100], [0, -100]]


def test_a_trainer_takes_the_kinds_own_collator_where_none_is_given(given):
    config = SimpleNamespace(input_kind=given.kind.name, num_labels=3)
    for targets in ("labels", "label_ids"):
        found = usual_collator(config, given.processor, targets=targets)
        assert found == given.kind.collator(given.processor, 3, targets=targets)
    with pytest.raises(UserError, match=f"found a object, .*accepted: its {given.kind.processor_noun}"):
        usual_collator(config, object(), targets="labels")


def test_items_share_batches_in_an_order_of_all_of_them(given):
    order = given.kind.order(given.items)
    assert sorted(order) == [0, 1, 2, 3]
    if given.kind.name == "text":
        assert order == [1, 0, 3, 2]  # by length


def test_a_saved_processor_is_the_same_and_another_is_not(given, tmp_path):
    kind = given.kind
    given.processor.save_pretrained(tmp_path / "saved")
    loaded = kind.load_processor(tmp_path / "saved")
    assert kind.processor_state(loaded) == kind.processor_state(given.processor)
    for key, values in kind.batch(given.processor, given.items).items():
        assert torch.equal(values, kind.batch(loaded, given.items)[key])
    assert kind.processor_state(
        given.step.processor(given.splits["train"], tmp_path / "saved")
    ) == kind.processor_state(loaded)
    other = step_with(kind.name, SAMPLES[kind.name].others, given.step.data_args.train_file).new_processor(
        given.splits["train"]
    )
    assert kind.processor_state(other) != kind.processor_state(loaded)


CONFIGS = {
    "text": {"model_type": "msdn", "encoder": "gru"},
    "image": {"model_type": "sgm", "backbone_config": BACKBONE},
    "table": {"model_type": "msdn", "encoder": "mlp"},
    "event": {"model_type": "lanet"},
    "features": {"model_type": "lightdxml", "encoder": "features"},
}


def test_auto_processor_opens_it_and_asks_for_no_code(given, tmp_path, monkeypatch):
    asked = []  # "Do you wish to run the custom code?"; an error would only make it try the next Auto class
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "n")
    given.processor.save_pretrained(tmp_path)
    config = CONFIGS[given.kind.name]
    AutoConfig.for_model(**config).save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).input_kind == given.kind.name
    opened = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(opened, type(given.kind.load_processor(tmp_path)))
    assert asked == []


def test_a_folder_without_a_processor_is_one_line(name, tmp_path):
    kind = INPUT_KINDS[name]
    with pytest.raises(UserError, match=f"my model, field 'model': no {kind.processor_noun} "):
        kind.load_processor(tmp_path, field="model", shown_as="my model")


def test_rows_alike_are_counted_and_fingerprints_tell_rows_apart(given):
    train, items = given.splits["train"], given.items
    same = [given.kind.content.sameness(item) for item in items]
    assert None not in same and same[0] == same[3] and len(set(same)) == 3
    report = check_splits(given.splits, SPACE)
    assert report.splits["validation"].also_in_train == 4 and report.splits["train"].also_in_train == 0
    assert f"{given.kind.content.noun} also in train" in str(report)
    assert fingerprint(train) == fingerprint(given.splits["validation"])
    content = given.kind.content.column
    swapped = train.select([2, 1, 0, 3]).remove_columns("id").add_column("id", train["id"][:])
    swapped = swapped.remove_columns("labels").add_column(
        "labels", train["labels"][:], feature=train.features["labels"]
    )
    assert swapped[content][:] != train[content][:] and fingerprint(swapped) != fingerprint(train)


def test_an_unknown_label_is_an_error_in_training_and_counted_elsewhere(given):
    few = LabelSpace(["a", "b"])
    report = check_splits(given.splits)
    with pytest.raises(UserError, match="train, row 3"):
        given.kind.encode(given.splits, given.processor, few)
    others = datasets.DatasetDict(validation=given.splits["validation"])
    encoded = given.kind.encode(others, given.processor, few, report=report)
    assert report.splits["validation"].unknown_labels == 1
    assert encoded["validation"]["label_ids"][:] == [[0, 1], [], [], [0]]
    with pytest.raises(UserError, match="validation, row 3"):
        given.kind.encode(others, given.processor, few, strict=True)


def test_a_row_without_its_content_is_one_line(given, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"labels": ["a"]}\n', encoding="utf-8")
    with pytest.raises(UserError, match=f"bad.jsonl, row 1, field '{given.kind.content.column}': no such column"):
        load_splits(train_file=tmp_path / "bad.jsonl", columns=given.step.columns(), cache_dir=tmp_path / "c")


def test_the_cards_code_is_python_and_loads_the_pipeline(name):
    kind = INPUT_KINDS[name]
    code = kind.usage_code(model_id='"me/my"', config=MultiLabelConfig(num_labels=2), example='a "text" \\ of\n' * 40)
    ast.parse(code)
    assert f'pipeline("{kind.pipeline_task}", model="me/my")' in code


def test_a_file_that_is_an_item_says_of_which_kind(tmp_path):
    pytest.importorskip("PIL")
    pictures(tmp_path)
    kind, files = items_in(tmp_path / "red.png")
    assert kind is INPUT_KINDS["image"] and files == [tmp_path / "red.png"]
    assert [file.name for file in items_in(tmp_path)[1]] == ["blue.png", "green.png", "red.png"]
    (tmp_path / "rows.jsonl").write_text("{}\n", encoding="utf-8")
    assert items_in(tmp_path / "rows.jsonl") is None
    (tmp_path / "cut.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=r"cut\.png"):
        kind.item_of_file(tmp_path / "cut.png")


def test_what_a_configuration_reads_follows_from_its_encoder_and_is_not_saved():
    image = SgmConfig(backbone_config=BACKBONE, num_labels=3)
    lstm, gru = (SgmConfig(encoder=encoder, num_labels=3) for encoder in ("lstm", "gru"))
    assert (image.input_kind, lstm.input_kind, PlantConfig().input_kind) == ("image", "text", "text")
    assert input_kind_of(image) is INPUT_KINDS["image"] and "input_kind" not in image.to_dict()
    assert EnsembleConfig.of([image, image]).input_kind == "image"
    assert EnsembleConfig.of([lstm, gru]).input_kind == "text"
    with pytest.raises(StrictDataclassClassValidationError, match="same kind of input, found image, text"):
        EnsembleConfig.of([image, lstm])


@pytest.mark.parametrize(
    ("model_type", "arguments", "kind"),
    [
        ("plant", {}, "text"),
        ("sgm", {"encoder": "gru"}, "text"),
        ("sgm", {"encoder": "image"}, "image"),
        ("sgm", {"backbone_config": BACKBONE}, "image"),
        ("sgm", {"image_encoder": "some/model", "backbone_config": None}, "image"),
        ("msdn", {}, "table"),
        ("msdn", {"encoder": "gru"}, "text"),
        ("lanet", {}, "event"),
        ("msdn", {"text_encoder": "some/model"}, "text"),
        ("no such type", {}, "text"),
    ],
)
def test_the_kind_that_a_new_model_reads(model_type, arguments, kind):
    assert asked_kind(model_type, arguments) == kind


def test_an_encoder_beside_an_argument_of_another_is_one_line():
    with pytest.raises(UserError, match="field 'encoder': found 'gru' beside image_encoder; accepted: image, or no"):
        asked_kind("sgm", {"encoder": "gru", "image_encoder": "some/model"})


@pytest.mark.parametrize(
    ("model_type", "arguments", "problem"),
    [
        ("sgm", {"image_size": 4}, "'image_size': is of pictures, and the model reads texts; accepted: --encoder image"),
        ("sgm", {"encoder": "image", "max_length": 4}, "'max_length': is of texts, and the model reads pictures; accepted: none"),
        ("sgm", {"encoder": "image", "text_column": ["t"]}, "'text_column': is of texts"),
        ("plant", {"image_column": "photo"}, "'image_column': is of pictures"),
        ("msdn", {"image_folder": "x", "encoder": "gru"}, "'image_folder': is of pictures"),
    ],
)  # fmt: skip
def test_an_argument_of_another_kind_is_one_line(model_type, arguments, problem):
    own = {name: step.arguments() for name, step in STEPS.items()}
    with pytest.raises(UserError, match=problem):
        step_of_run(own, ColumnArguments(), DataArguments(), model_type=model_type, given=arguments, base=None)


def test_a_trained_model_decides_what_is_read_and_keeps_its_tokenizer():
    base = small_sgm()
    own = {name: step.arguments() for name, step in STEPS.items()}
    step = step_of_run(own, ColumnArguments(), DataArguments(), model_type="sgm", given={}, base=base)
    assert step.kind is INPUT_KINDS["text"] and step.processor(None, None) is base.processor
    assert base.processor.model_max_length == own["text"].max_length
    with pytest.raises(UserError, match="the model reads texts, not pictures"):
        list(predict_images(base, ["a.png"]))


def test_models_of_different_kinds_make_no_ensemble():
    first = small_sgm()
    model = SgmForMultiLabelClassification(SgmConfig(backbone_config=BACKBONE, hidden_size=8, num_labels=4))
    with pytest.raises(UserError, match="b, field 'models': reads pictures, and a reads texts"):
        make_ensemble([first, LoadedModel(model, None, first.label_space)], names=["a", "b"])


class Spelled(TextInput):
    """Texts as lists of words: a kind that the package doesn't know."""

    name = "spelled"

    def order(self, items):
        return list(range(len(items)))[::-1]

    def batch(self, processor, items):
        return super().batch(processor, [" ".join(words) for words in items])


def test_a_kind_that_is_added_is_scored_without_another_line(monkeypatch):
    loaded = small_sgm()
    expected = score_texts(loaded, TEXTS)
    monkeypatch.setitem(INPUT_KINDS, "spelled", Spelled())
    monkeypatch.setattr(SgmConfig, "input_kind", "spelled")
    assert loaded.kind.name == "spelled" and loaded.tokenizer is None and loaded.processor is not None
    (batch,) = scored_batches(loaded, [text.split() for text in TEXTS])
    assert batch.places == [3, 2, 1, 0]
    for place, row in zip(batch.places, batch.scores_BS, strict=True):
        assert torch.allclose(row, expected[place], atol=1e-6)
