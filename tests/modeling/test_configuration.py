"""Configurations: what they refuse, and where the names of many labels lie."""

from __future__ import annotations

import copy
import json

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, BertConfig, DistilBertConfig

from hf_mlc.label_storage import read_label_space, store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_multi_label import MAX_LABELS_IN_CONFIG
from hf_mlc.modeling.configuration_plant import PlantConfig
from tests.common.plant_tester import PlantModelTester


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "hinge"}, "loss"),
        ({"encoder": "cnn"}, "encoder"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"attention_implementation": "flash"}, "attention_implementation"),
        ({"label_smoothing": 1.0}, r"`label_smoothing` must be in \[0, 1\), found 1.0"),
        ({"focal_gamma": -1.0}, "`focal_gamma` must not be negative"),
        ({"asymmetric_gamma_negative": -1}, "`asymmetric_gamma_negative` must not be negative"),
        ({"asymmetric_clip": 1.5}, r"`asymmetric_clip` must be in \[0, 1\)"),
        ({"pos_weight_max": 0.0}, "`pos_weight_max` must be positive"),
        ({"loss": "focal", "use_pos_weight": True}, 'belong to `loss="bce"`, found "focal"'),
        ({"loss": "asymmetric", "label_smoothing": 0.1}, 'belong to `loss="bce"`, found "asymmetric"'),
        ({"thresholds": [0.5, 0.5, 0.5]}, "`thresholds` has 3 entries for 2 labels"),
        ({"thresholds": 1.5}, r"`thresholds` must lie in \[0, 1\]"),
        ({"thresholds": [0.1, -0.1]}, r"`thresholds` must lie in \[0, 1\]"),
        ({"min_labels": -1}, "`min_labels` must not be negative"),
        ({"encoder": "gru", "hidden_size": 33}, "`hidden_size` must be even"),
        ({"encoder": "convolution", "conv_kernel_size": 4}, "`conv_kernel_size` must be odd"),
        ({"text_config": {"model_type": "bertt"}}, "unknown model_type 'bertt'"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_is_refused_by_name(settings, message):
    with pytest.raises((StrictDataclassError, ValueError), match=message):
        PlantConfig(**settings)


def test_a_setting_spoilt_later_is_refused_when_it_would_be_saved(tmp_path):
    config = PlantConfig(num_labels=3)
    config.thresholds = [0.5]
    with pytest.raises((StrictDataclassError, ValueError), match="1 entries for 3 labels"):
        config.save_pretrained(tmp_path)


# -- the backbone's configuration inside ----------------------------------------------------------------------------


def test_sizes_are_those_of_the_backbone():
    backbone = DistilBertConfig(vocab_size=50, dim=24, n_layers=3, n_heads=2, pad_token_id=7)
    config = PlantConfig(text_config=backbone, hidden_size=999)
    assert (config.encoder, config.hidden_size, config.vocab_size) == ("transformer", 24, 50)
    assert (config.num_hidden_layers, config.num_attention_heads, config.pad_token_id) == (3, 2, 7)
    assert config.get_text_config() is config.text_config


def test_the_backbones_configuration_survives_saving(tmp_path):
    config = PlantConfig(text_config=BertConfig(hidden_size=24, num_attention_heads=2, num_hidden_layers=3))
    config.save_pretrained(tmp_path)
    loaded = PlantConfig.from_pretrained(tmp_path)
    assert isinstance(loaded.text_config, BertConfig)
    assert loaded.text_config.to_dict() == config.text_config.to_dict()
    assert loaded.to_dict() == config.to_dict()


def test_a_transformer_without_a_named_backbone_is_a_small_bert():
    config = PlantConfig(encoder="transformer", hidden_size=32, num_attention_heads=2, hidden_dropout=0.25)
    assert config.text_config.model_type == "bert"
    assert (config.text_config.hidden_size, config.text_config.hidden_dropout_prob) == (32, 0.25)


# -- labels ---------------------------------------------------------------------------------------------------------


def data_files(folder) -> list[str]:
    """What a folder holds beside the code of a registered configuration."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".py")


def test_names_and_counts_of_few_labels_lie_in_config_json(tmp_path):
    config = PlantConfig(num_labels=2)
    store_label_space(config, LabelSpace(["earn", "grain"], counts=[7, 3], num_documents=9))
    config.save_pretrained(tmp_path)
    assert data_files(tmp_path) == ["config.json"]
    loaded = PlantConfig.from_pretrained(tmp_path)
    assert loaded.id2label == {0: "earn", 1: "grain"}
    space = read_label_space(loaded)
    assert (space.names, space.counts.tolist(), space.num_documents) == (["earn", "grain"], [7, 3], 9)


def test_another_number_of_labels_forgets_thresholds_and_counts_of_the_old_ones(tmp_path):
    config = PlantConfig(num_labels=2, thresholds=[0.2, 0.3])
    store_label_space(config, LabelSpace(["earn", "grain"], counts=[7, 3], num_documents=9))
    config.num_labels = 2
    assert (config.thresholds, config.id2label[0]) == ([0.2, 0.3], "earn")
    config.num_labels = 4
    assert (config.thresholds, config.label_space) == (0.5, None)
    assert config.id2label[3] == "LABEL_3"
    config.save_pretrained(tmp_path)


def named(names) -> dict:
    return {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}


def test_another_number_of_names_forgets_them_too(tmp_path):
    config = PlantConfig(num_labels=2, thresholds=[0.2, 0.3])
    store_label_space(config, LabelSpace(["earn", "grain"], counts=[7, 3], num_documents=9))
    config.save_pretrained(tmp_path)
    config.id2label = named("abc")["id2label"]
    assert (config.thresholds, config.label_space, config.num_labels) == (0.5, None, 3)
    config.save_pretrained(tmp_path / "assigned")

    loaded = PlantConfig.from_pretrained(tmp_path, **named("abc"))
    assert (loaded.thresholds, loaded.label_space, loaded.id2label) == (0.5, None, {0: "a", 1: "b", 2: "c"})
    # new thresholds beside the new names, in either order
    for given in ({"thresholds": [0.1, 0.6, 0.7], **named("abc")}, {**named("abc"), "thresholds": [0.1, 0.6, 0.7]}):
        loaded = PlantConfig.from_pretrained(tmp_path, **given)
        assert (loaded.thresholds, loaded.label_space) == ([0.1, 0.6, 0.7], None)
        loaded.save_pretrained(tmp_path / "given")
    loaded = PlantConfig.from_pretrained(tmp_path / "given")
    assert (loaded.thresholds, loaded.num_labels) == ([0.1, 0.6, 0.7], 3)


def test_new_names_of_the_same_labels_keep_their_thresholds_and_counts(tmp_path):
    config = PlantConfig(num_labels=2, thresholds=[0.2, 0.3])
    store_label_space(config, LabelSpace(["earn", "grain"], counts=[7, 3], num_documents=9))
    config.save_pretrained(tmp_path)
    loaded = PlantConfig.from_pretrained(tmp_path, **named(["profit", "cereals"]))
    space = read_label_space(loaded)
    assert (loaded.thresholds, space.names, space.counts.tolist()) == ([0.2, 0.3], ["profit", "cereals"], [7, 3])


def test_the_second_place_of_save_pretrained_is_push_to_hub_as_in_transformers(tmp_path):
    PlantConfig(num_labels=2).save_pretrained(tmp_path, False)
    assert data_files(tmp_path) == ["config.json"]


@pytest.fixture(scope="module")
def many():
    """More labels than config.json holds."""
    number = 30_000
    assert number > MAX_LABELS_IN_CONFIG
    return LabelSpace([f"Q{i}é" for i in range(number)], counts=[i % 7 for i in range(number)], num_documents=50)


@pytest.fixture
def saved(many, tmp_path):
    config = PlantModelTester().get_config(num_labels=len(many))
    store_label_space(config, many)
    config.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def assert_same_labels(config, many):
    space = read_label_space(config)
    assert space.names == many.names
    assert space.counts.tolist() == many.counts.tolist()
    assert space.num_documents == many.num_documents


def test_names_of_many_labels_lie_beside_config_json_and_come_back(saved, many):
    assert data_files(saved) == ["config.json", "labels.json"]
    content = json.loads((saved / "config.json").read_text(encoding="utf-8"))
    assert content["label_count"] == 30_000
    assert not {"id2label", "label2id", "label_space"} & set(content)
    assert (saved / "config.json").stat().st_size < 5_000

    loaded = AutoConfig.from_pretrained(saved)
    assert loaded.num_labels == 30_000
    assert_same_labels(loaded, many)
    assert loaded.id2label[29_999] == "Q29999é"
    assert loaded.label2id["Q29999é"] == 29_999


@pytest.mark.parametrize("read_first", [False, True])
def test_saving_after_loading_keeps_the_names(saved, many, tmp_path, read_first):
    loaded = PlantConfig.from_pretrained(saved)
    if read_first:
        loaded.read_label_file()
    loaded.save_pretrained(saved)  # over itself
    loaded.save_pretrained(tmp_path / "copy")
    for folder in (saved, tmp_path / "copy"):
        assert_same_labels(PlantConfig.from_pretrained(folder), many)


def test_a_model_of_many_labels_keeps_their_names_through_two_rounds(many, tmp_path):
    tester = PlantModelTester(encoder="bag_of_words")
    config = tester.get_config(num_labels=len(many), hidden_size=4)
    store_label_space(config, many)
    tester.model_class(config).save_pretrained(tmp_path / "first")
    tester.model_class.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")
    model = tester.model_class.from_pretrained(tmp_path / "second")
    assert model.decoder.bias.shape == (30_000,)
    assert_same_labels(model.config, many)


def test_names_are_found_in_a_subfolder(many, tmp_path):
    tester = PlantModelTester(encoder="bag_of_words")
    config = tester.get_config(num_labels=len(many), hidden_size=4)
    store_label_space(config, many)
    tester.model_class(config).save_pretrained(tmp_path / "inner")
    assert_same_labels(PlantConfig.from_pretrained(tmp_path, subfolder="inner"), many)
    model = tester.model_class.from_pretrained(tmp_path, subfolder="inner")
    assert "_loaded_from" not in model.config.to_json_string()
    assert_same_labels(model.config, many)


def test_a_copy_in_memory_keeps_the_names(saved, many):
    loaded = PlantConfig.from_pretrained(saved)
    assert_same_labels(copy.deepcopy(loaded), many)
    loaded.read_label_file()
    assert_same_labels(copy.deepcopy(loaded), many)


def test_relabelling_leaves_the_file_of_names_behind(saved, tmp_path):
    loaded = PlantConfig.from_pretrained(saved, num_labels=3)
    assert (loaded.num_labels, loaded.label_space_file, loaded.label_count) == (3, None, None)
    loaded.save_pretrained(tmp_path / "relabelled")
    assert data_files(tmp_path / "relabelled") == ["config.json"]
    assert read_label_space(PlantConfig.from_pretrained(tmp_path / "relabelled")).names == [
        "LABEL_0",
        "LABEL_1",
        "LABEL_2",
    ]


@pytest.mark.parametrize("number", [3, 30_000])
def test_names_that_are_given_take_the_place_of_those_in_the_file(saved, tmp_path, number):
    given = named([f"n{place}" for place in range(number)])
    loaded = PlantConfig.from_pretrained(saved, **given)
    loaded.read_label_file()
    assert loaded.id2label == given["id2label"]
    assert loaded.label_space_file == (None if number == 3 else "labels.json")
    loaded.save_pretrained(tmp_path / "given")
    assert read_label_space(PlantConfig.from_pretrained(tmp_path / "given")).names == list(given["label2id"])


def test_a_file_of_names_of_another_length_is_refused(saved):
    (saved / "labels.json").write_text('{"names": ["a", "b"]}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"labels.json names 2 labels, config.json says 30000"):
        PlantConfig.from_pretrained(saved).read_label_file()


def test_a_file_of_names_cut_short_is_named(saved):
    (saved / "labels.json").write_bytes((saved / "labels.json").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"labels\.json is no whole JSON file"):
        PlantConfig.from_pretrained(saved).read_label_file()


def test_a_missing_file_of_names_is_named(saved):
    (saved / "labels.json").unlink()
    with pytest.raises(OSError, match=r"labels\.json"):
        PlantConfig.from_pretrained(saved).read_label_file()
