from __future__ import annotations

import copy
import itertools
import json

import datasets
import numpy as np
import pytest
import torch
from tokenizers import normalizers
from transformers import AutoConfig, BertConfig, BertModel, pipeline, set_seed
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.pipelines.pt_utils import KeyDataset

import hf_mlc
from hf_mlc.inference import LoadedModel, predict_texts
from hf_mlc.label_storage import read_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.modeling.multi_label import MultiLabelOutput, MultiLabelPreTrainedModel
from hf_mlc.modeling.pipeline_multi_label import TASK, MultiLabelClassificationPipeline
from tests.common.plant_tester import PlantModelTester

from .conftest import word_tokenizer


NAMES = ["earn", "grain", "wheat", "corn", "trade"]
LONG = " ".join(f"w{2 + number % 30}" for number in range(40))  # the tokenizer stops at 16 words
TEXTS = ["w3 w4 w5", "w9", "", "w30 w31 w32 w33 w34 w35 w36", "no known word", LONG, " \n "]


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    """A tiny model with random weights large enough to tell labels and words apart, and a threshold a label."""
    set_seed(0)
    tester = PlantModelTester(encoder="convolution")
    config = tester.get_config(thresholds=[0.6, 0.55, 0.5, 0.5, 0.45], min_labels=1)
    config.id2label, config.label2id = dict(enumerate(NAMES)), {name: number for number, name in enumerate(NAMES)}
    model = PlantForMultiLabelClassification(config).eval()
    with torch.no_grad():
        model.decoder.query.mul_(20)
        model.decoder.weight.mul_(100)
        model.decoder.bias.copy_(torch.tensor([0.1, -0.2, 0.3, 0.0, -0.1]))
    return LoadedModel(model, word_tokenizer(tester.vocab_size), read_label_space(config))


@pytest.fixture(scope="module")
def pipe(loaded) -> MultiLabelClassificationPipeline:
    return pipeline(TASK, model=loaded.model, tokenizer=loaded.tokenizer, device="cpu")


@pytest.fixture(scope="module")
def folder(loaded, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved")
    loaded.model.save_pretrained(path)
    loaded.tokenizer.save_pretrained(path)
    return path


def labels(answer) -> list[str]:
    return [entry["label"] for entry in answer]


# -- what is answered -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize(
    "how", [{}, {"top_k": 2}, {"threshold": 0.5}, {"threshold": 0.4, "top_k": 3}, {"threshold": 1.0}, {"top_k": 99}]
)
def test_the_answers_are_those_of_predict(loaded, pipe, how, batch_size):
    expected = list(predict_texts(loaded, TEXTS, **how, explain=3))
    found = pipe(TEXTS, **how, explain=3, batch_size=batch_size)
    assert len({tuple(labels(answer)) for answer in expected}) > 1 or "threshold" in how
    for ours, theirs in zip(found, expected, strict=True):
        assert labels(ours) == labels(theirs)
        for entry, other in zip(ours, theirs, strict=True):
            assert entry["score"] == pytest.approx(other["score"], abs=2e-6)
            weights = [word.pop("weight") for word in entry["evidence"]]
            assert weights == pytest.approx([word.pop("weight") for word in other["evidence"]], abs=2e-6)
            assert entry["evidence"] == other["evidence"]


def test_without_arguments_the_tuned_thresholds_and_the_smallest_set_decide(loaded, pipe):
    scores = {entry["label"]: entry["score"] for entry in pipe("w3 w4 w5", return_all_scores=True)}
    assert set(scores) == set(NAMES)
    chosen = {
        name for name, threshold in zip(NAMES, [0.6, 0.55, 0.5, 0.5, 0.45], strict=True) if scores[name] >= threshold
    }
    assert chosen and chosen != set(NAMES)
    answer = pipe("w3 w4 w5")
    assert set(labels(answer)) == chosen
    assert [entry["score"] for entry in answer] == sorted((scores[name] for name in chosen), reverse=True)
    assert all(type(entry["score"]) is float for entry in answer)
    loaded.model.config.thresholds, before = 1.0, loaded.model.config.thresholds
    try:
        assert labels(pipe("w3 w4 w5")) == [max(scores, key=scores.get)]  # min_labels is 1
        assert pipe("w3 w4 w5", threshold=1.0) == []  # a threshold of one's own may leave nothing
    finally:
        loaded.model.config.thresholds = before


def test_thresholds_may_be_one_a_label_in_order_or_by_name(pipe):
    scores = {entry["label"]: entry["score"] for entry in pipe("w3 w4 w5", return_all_scores=True)}
    only_corn = [0.0 if name == "corn" else 1.0 for name in NAMES]
    for thresholds in (only_corn, tuple(only_corn), np.array(only_corn), torch.tensor(only_corn)):
        assert labels(pipe("w3 w4 w5", threshold=thresholds)) == ["corn"]
    # the others keep theirs
    tuned = labels(pipe("w3 w4 w5"))
    in_it, out_of_it = tuned[0], next(name for name in NAMES if name not in tuned)
    assert set(labels(pipe("w3 w4 w5", threshold={out_of_it: 0.0}))) == {*tuned, out_of_it}
    assert set(labels(pipe("w3 w4 w5", threshold={in_it: 1.0}))) == {*tuned} - {in_it}
    assert labels(pipe("w3 w4 w5", threshold={name: scores[name] for name in NAMES}, top_k=1)) == [
        max(scores, key=scores.get)
    ]


def test_a_call_overrides_what_the_pipeline_was_made_with(loaded):
    pipe = pipeline(
        TASK, model=loaded.model, tokenizer=loaded.tokenizer, device="cpu", top_k=2, explain=1, batch_size=2
    )
    assert len(pipe("w3 w4")) == 2 and "evidence" in pipe("w3 w4")[0]
    assert len(pipe("w3 w4", top_k=3)) == 3
    assert "evidence" not in pipe("w3 w4", explain=False)[0]
    assert len(pipe("w3 w4", return_all_scores=True)) == 5
    tuned = pipeline(TASK, model=loaded.model, tokenizer=loaded.tokenizer, device="cpu")("w3 w4")
    assert pipe("w3 w4", top_k=None, explain=False) == tuned
    everything = pipeline(TASK, model=loaded.model, tokenizer=loaded.tokenizer, device="cpu", return_all_scores=True)
    assert len(everything("w3 w4")) == 5
    assert len(everything("w3 w4", top_k=2)) == 2
    assert everything("w3 w4", threshold=1.0) == []
    assert everything("w3 w4", return_all_scores=False) == tuned
    assert len(everything("w3 w4", threshold=None, top_k=None)) == 5
    assert len(pipe("w3 w4", return_all_scores=False)) == 2


def test_long_texts_are_cut_where_the_tokenizer_says(pipe):
    head = " ".join(LONG.split()[:16])
    assert pipe(LONG, return_all_scores=True) == pipe(head, return_all_scores=True)
    words = pipe(LONG, top_k=1, explain=99)[0]["evidence"]
    assert len(words) == 16
    assert max(word["end"] for word in words) == len(head)


def test_an_empty_text_is_answered_with_the_base_rates(loaded, pipe):
    base_rates = loaded.model.output_bias().detach().sigmoid()
    expected = {name: pytest.approx(rate, abs=1e-6) for name, rate in zip(NAMES, base_rates.tolist(), strict=True)}
    for answer in (pipe(""), *pipe(["", " "], batch_size=2)):
        assert labels(answer) == ["wheat", "corn", "trade"]  # 0.574 >= 0.5, 0.5 >= 0.5, 0.475 >= 0.45
    for answer in pipe(["", "w3"], return_all_scores=True, explain=True, batch_size=2)[:1]:
        assert {entry["label"]: entry["score"] for entry in answer} == expected
        assert [entry["evidence"] for entry in answer] == [[]] * 5


def test_a_model_fresh_from_training_answers_without_dropout(loaded):
    config = PlantModelTester(encoder="convolution").get_config(hidden_dropout=0.5, word_dropout=0.5)
    model = PlantForMultiLabelClassification(config).train()
    pipe = pipeline(TASK, model=model, tokenizer=loaded.tokenizer, device="cpu", return_all_scores=True)
    assert pipe("w3 w4 w5") == pipe("w3 w4 w5")


def test_half_precision_answers_in_plain_numbers(loaded, folder, pipe):
    half = pipeline(TASK, model=str(folder), dtype=torch.bfloat16, device="cpu")
    assert half.model.dtype == torch.bfloat16
    exact = {entry["label"]: entry["score"] for entry in pipe("w3 w4 w5", return_all_scores=True)}
    for entry in half("w3 w4 w5", return_all_scores=True, explain=2):
        assert entry["score"] == pytest.approx(exact[entry["label"]], abs=0.05)
        json.dumps(entry)


# -- explanations ---------------------------------------------------------------------------------------------------


def test_evidence_is_the_attention_of_the_label_on_the_words(loaded, pipe):
    text = "w3 w4 w5 w6"
    for entry in pipe(text, top_k=5, explain=4):
        number = torch.tensor([NAMES.index(entry["label"])])
        weights = loaded.model.token_weights(number, input_ids=torch.tensor([[3, 4, 5, 6]]))[0, 0].tolist()
        assert {word["text"]: word["weight"] for word in entry["evidence"]} == pytest.approx(
            dict(zip(text.split(), weights, strict=True)), abs=1e-6
        )
        assert [word["weight"] for word in entry["evidence"]] == pytest.approx(sorted(weights, reverse=True), abs=1e-6)


def test_five_words_unless_another_number_is_given(pipe):
    text = "w3 w4 w5 w6 w7 w8 w9"
    assert [len(entry["evidence"]) for entry in pipe(text, top_k=2, explain=True)] == [5, 5]
    assert [len(entry["evidence"]) for entry in pipe(text, top_k=2, explain=2)] == [2, 2]
    assert "evidence" not in pipe(text, top_k=2)[0]


@pytest.mark.parametrize("side", ["left", "right"])
def test_evidence_is_the_same_wherever_the_padding_stands(loaded, pipe, side):
    tokenizer = word_tokenizer(40)
    tokenizer.padding_side = side
    other = pipeline(TASK, model=loaded.model, tokenizer=tokenizer, device="cpu", explain=3, threshold=0.5)
    for together, alone in zip(
        other(TEXTS, batch_size=7), (pipe(t, explain=3, threshold=0.5) for t in TEXTS), strict=True
    ):
        assert labels(together) == labels(alone)
        for entry, expected in zip(together, alone, strict=True):
            assert [word["start"] for word in entry["evidence"]] == [word["start"] for word in expected["evidence"]]


def test_evidence_has_places_in_the_text_as_it_was_given(loaded):
    tokenizer = word_tokenizer(40)
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    pipe = pipeline(TASK, model=loaded.model, tokenizer=tokenizer, device="cpu", top_k=1, explain=9)
    text = "W3  e\u0301te\u0301\tW4"
    evidence = pipe(text)[0]["evidence"]
    assert sorted(word["text"] for word in evidence) == sorted(["W3", "e\u0301te\u0301", "W4"])
    assert all(text[word["start"] : word["end"]] == word["text"] for word in evidence)


class Counting(MultiLabelPreTrainedModel):
    """Scores two labels of six: with n words, label n (logit 2) and label 0 (logit -2); one word: label 1 alone."""

    config: MultiLabelConfig
    main_input_name = "input_ids"

    def __init__(self, config):
        super().__init__(config)
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.post_init()

    def forward(self, input_ids, attention_mask):
        words_B = attention_mask.sum(dim=1)
        other_B = torch.where(words_B == 1, -1, 0)
        logits_BS = torch.tensor([[-2.0, 2.0]]).expand(len(words_B), 2)
        return MultiLabelOutput(logits=logits_BS, candidate_ids=torch.stack([other_B, words_B], dim=1))


@pytest.fixture
def counting() -> MultiLabelClassificationPipeline:
    config = MultiLabelConfig(num_labels=6, thresholds=[0.1, 0.5, 0.9, 0.5, 0.5, 0.5])
    config.id2label = dict(enumerate("abcdef"))
    config.label2id = {name: number for number, name in enumerate("abcdef")}
    return pipeline(TASK, model=Counting(config), tokenizer=word_tokenizer(40), device="cpu")


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_model_that_scores_a_shortlist(counting, batch_size):
    high, low = pytest.approx(0.880797, abs=1e-6), pytest.approx(0.119203, abs=1e-6)  # sigmoid(2), sigmoid(-2)

    def answers(**how):
        found = counting(["w2 w2 w2", "w2", "w2 w2"], batch_size=batch_size, **how)
        return [[(entry["label"], entry["score"]) for entry in answer] for answer in found]

    # label c needs 0.9, label a only 0.1
    assert answers() == [[("d", high), ("a", low)], [("b", high)], [("a", low)]]
    assert answers(threshold=0.5) == [[("d", high)], [("b", high)], [("c", high)]]
    assert answers(top_k=2) == [[("d", high), ("a", low)], [("b", high)], [("c", high), ("a", low)]]
    assert answers(top_k=1, threshold=0.1) == [[("d", high)], [("b", high)], [("c", high)]]
    assert answers(return_all_scores=True) == [[("d", high), ("a", low)], [("b", high)], [("c", high), ("a", low)]]
    assert answers(threshold={"d": 0.9}) == [[("a", low)], [("b", high)], [("a", low)]]
    loaded = LoadedModel(counting.model, counting.tokenizer, LabelSpace.from_names(list("abcdef")))
    for how in ({}, {"threshold": 0.5}, {"top_k": 2}):
        predicted = predict_texts(loaded, ["w2 w2 w2", "w2", "w2 w2"], **how)
        assert [labels(answer) for answer in predicted] == [[label for label, _ in a] for a in answers(**how)]


def test_a_model_that_does_not_tell_what_it_reads_says_so(counting):
    with pytest.raises(ValueError, match="Counting doesn't tell from which tokens it reads a label"):
        counting("w2", explain=True)
    with pytest.raises(NotImplementedError, match="Counting doesn't tell"):
        counting.model.token_weights(torch.tensor([0]))
    loaded = LoadedModel(counting.model, counting.tokenizer, LabelSpace.from_names(list("abcdef")))
    with pytest.raises(hf_mlc.UserError, match="field 'explain'"):
        next(predict_texts(loaded, ["w2"], explain=2))


def test_the_best_labels_of_many_are_asked_of_the_model_itself(loaded, pipe, monkeypatch):
    refused = lambda *args, **kwargs: pytest.fail("scored all labels")  # noqa: E731
    monkeypatch.setattr(PlantForMultiLabelClassification, "forward", refused)
    monkeypatch.setattr(PlantForMultiLabelClassification, "decide", refused)
    assert len(pipe("w3 w4 w5", top_k=2, explain=1)) == 2


# -- what goes in ---------------------------------------------------------------------------------------------------


def test_one_text_gives_one_answer_and_a_list_a_list(pipe):
    one = pipe("w3 w4 w5", top_k=1)
    assert list(one[0]) == ["label", "score"]
    assert pipe(["w3 w4 w5"], top_k=1) == [one]
    assert pipe(("w3 w4 w5",), top_k=1) == [one]
    assert pipe({"text": "w3 w4 w5", "labels": ["earn"]}, top_k=1) == one
    assert pipe([{"text": "w3 w4 w5"}, "w3 w4 w5"], top_k=1) == [one, one]
    assert pipe([]) == []
    assert list(pipe(text for text in ())) == []


def test_data_sets_of_every_kind_are_read(pipe):
    texts = ["w3 w4 w5", "w9", ""]
    expected = pipe(texts, top_k=2)
    rows = datasets.Dataset.from_dict({"text": texts, "id": [1, 2, 3]})
    for source in (rows, rows["text"], rows.to_iterable_dataset(), np.array(texts), KeyDataset(rows, "text")):
        assert list(pipe(source, top_k=2)) == expected, type(source)
        in_batches = list(pipe(source, top_k=2, batch_size=2))
        assert [labels(answer) for answer in in_batches] == [labels(answer) for answer in expected]


def test_a_data_frame_is_its_rows_and_a_column_or_an_array_is_a_list(pipe):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"number": [1, 2], "text": ["w3 w4", "w9"]}, index=[7, 5])
    expected = pipe(["w3 w4", "w9"], top_k=2)
    assert pipe(frame, top_k=2) == pipe(frame["text"], top_k=2) == pipe(frame["text"].to_numpy(), top_k=2) == expected
    with pytest.raises(ValueError, match="a row needs its text under \"text\", found 'number'"):
        pipe(frame[["number"]])


def test_a_generator_without_an_end_is_read_as_it_goes(pipe):
    taken = []

    def texts():
        for number in itertools.count():
            taken.append(number)
            yield f"w{2 + number % 30}"

    answers = list(itertools.islice(pipe(texts(), top_k=1, batch_size=2), 5))
    assert len(answers) == 5
    assert len(taken) < 10


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (3, "a text must be a string, found int: '3'"),
        (None, "a text must be a string, found NoneType"),
        ("w3 \ud800", "a text must be valid Unicode, found half a surrogate pair at character 3"),
        (b"w3", "a text must be a string, found bytes"),
        (["w3", None], "a text must be a string, found NoneType"),
        ([["w3", "w4"]], "a text must be a string, found list"),
        ({"body": "w3"}, "a row needs its text under \"text\", found 'body'"),
        ({"text": "w3", "text_pair": "w4"}, '"text_pair" is not supported'),
    ],
)
def test_an_input_that_is_no_text_is_refused(pipe, inputs, message):
    with pytest.raises(ValueError, match=message):
        pipe(inputs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"treshold": 0.5}, "unknown argument `treshold`; this pipeline takes top_k, threshold, return_all_scores"),
        ({"truncation": True}, "unknown argument `truncation`"),
        ({"top_k": 0}, "`top_k` must be a whole number from 1 on, found 0"),
        ({"top_k": True}, "`top_k` must be a whole number"),
        ({"top_k": 2.5}, "`top_k` must be a whole number from 1 on, found 2.5"),
        ({"top_k": "3"}, "`top_k` must be a whole number from 1 on, found '3'"),
        ({"threshold": 1.5}, "`threshold` must be a number from 0 to 1, found 1.5"),
        ({"threshold": float("nan")}, "`threshold` must be a number from 0 to 1, found nan"),
        ({"threshold": "0.5"}, "`threshold` must be a number from 0 to 1, found '0.5'"),
        ({"threshold": True}, "`threshold` must be a number from 0 to 1, found True"),
        ({"threshold": [0.5, 0.5]}, "`threshold` has 2 entries for 5 labels"),
        ({"threshold": [0.5, 0.5, 0.5, 0.5, None]}, "`threshold` must be a number from 0 to 1, found None"),
        ({"threshold": {"gold": 0.5}}, "`threshold` names the label 'gold', which the model doesn't have"),
        ({"threshold": {"corn": 2}}, "`threshold` must be a number from 0 to 1, found 2"),
        ({"return_all_scores": "yes"}, "`return_all_scores` must be True or False, found 'yes'"),
        ({"return_all_scores": True, "top_k": 2}, "`return_all_scores` and `top_k` ask for different answers"),
        ({"return_all_scores": True, "threshold": 0.5}, "`return_all_scores` and `threshold` ask for different"),
        ({"explain": 0}, "`explain` must be a whole number from 1 on, found 0"),
        ({"explain": "yes"}, "`explain` must be a whole number from 1 on, found 'yes'"),
        ({"batch_size": 0}, "`batch_size` must be a whole number from 1 on, found 0"),
    ],
)
def test_a_mistake_in_an_argument_is_named(loaded, pipe, arguments, message):
    for call in (
        lambda: pipe("w3", **arguments),
        lambda: pipe([], **arguments),
        lambda: pipeline(TASK, model=loaded.model, tokenizer=loaded.tokenizer, device="cpu", **arguments),
    ):
        with pytest.raises(ValueError) as raised:
            call()
        assert message in str(raised.value)


def test_models_and_tokenizers_it_cannot_use_are_refused(loaded):
    bert = BertModel(BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1))
    with pytest.raises(ValueError, match=r'models of hf_mlc, found BertModel; .*"text-classification"'):
        pipeline(TASK, model=bert, tokenizer=loaded.tokenizer, device="cpu")
    with pytest.raises(ValueError, match="needs the model's tokenizer"):
        MultiLabelClassificationPipeline(model=loaded.model, device="cpu")


def test_explaining_needs_offsets_of_the_tokenizer(loaded, monkeypatch):
    tokenizer = word_tokenizer(40)
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    pipe = pipeline(TASK, model=loaded.model, tokenizer=tokenizer, device="cpu")
    assert pipe("w3", top_k=1)
    with pytest.raises(ValueError, match="fast tokenizer"):
        pipe("w3", explain=True)


# -- registered and saved -------------------------------------------------------------------------------------------


def test_importing_the_package_registers_the_task_once(caplog):
    entry = PIPELINE_REGISTRY.supported_tasks[TASK]
    assert entry["impl"] is MultiLabelClassificationPipeline
    assert entry["type"] == "text"
    hf_mlc.register()
    assert "already registered" not in caplog.text


def test_a_saved_model_names_the_pipeline_and_holds_its_files(folder, loaded):
    saved = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert saved["custom_pipelines"] == {
        TASK: {
            "impl": "pipeline_multi_label.MultiLabelClassificationPipeline",
            "pt": ["AutoModel"],
            "type": "text",
        }
    }
    files = {path.name for path in folder.iterdir()}
    assert {"pipeline_multi_label.py", "answers.py", "decision.py", "evidence.py", "text_batch.py"} <= files
    config = AutoConfig.from_pretrained(folder)
    assert config.custom_pipelines == saved["custom_pipelines"]
    assert json.loads(config.to_json_string()) == json.loads(loaded.model.config.to_json_string())
    assert type(config).from_dict(config.to_dict()).to_dict() == config.to_dict()
    assert copy.deepcopy(config).to_dict() == config.to_dict()


def test_what_a_pipeline_saves_is_what_its_model_saves(pipe, folder, tmp_path):
    pipe.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in folder.iterdir()}
    assert (tmp_path / "config.json").read_text() == (folder / "config.json").read_text()


def test_a_model_that_reads_no_text_names_no_pipeline(tmp_path, monkeypatch):
    monkeypatch.setattr(PlantForMultiLabelClassification, "input_modalities", ("tabular",))
    PlantForMultiLabelClassification(PlantModelTester().get_config()).save_pretrained(tmp_path)
    assert "custom_pipelines" not in json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("arguments", [{}, {"trust_remote_code": True}, {"trust_remote_code": False}])
def test_code_beside_the_weights_is_never_run_where_the_package_is(pipe, loaded, tmp_path, arguments):
    loaded.model.save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    for file in tmp_path.glob("*.py"):
        file.write_text("raise AssertionError('code from the folder ran')\n", encoding="utf-8")
    opened = pipeline(TASK, model=str(tmp_path), device="cpu", **arguments)
    assert type(opened) is MultiLabelClassificationPipeline
    assert opened("w3 w4 w5", return_all_scores=True) == pipe("w3 w4 w5", return_all_scores=True)
    if arguments != {"trust_remote_code": False}:  # the task is then not read from the folder
        assert type(pipeline(model=str(tmp_path), device="cpu", **arguments)) is MultiLabelClassificationPipeline
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config["custom_pipelines"] = {"other-task": config["custom_pipelines"][TASK]}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(KeyError, match="Unknown task other-task"):
        pipeline("other-task", model=str(tmp_path), device="cpu", **arguments)


def test_very_many_labels_keep_their_names_in_a_file(tmp_path):
    from hf_mlc.label_storage import store_label_space

    number = 20_001
    config = PlantModelTester().get_config(num_labels=number, hidden_size=8, min_labels=1)
    store_label_space(config, LabelSpace.from_names([f"name {label}" for label in range(number)]))
    PlantForMultiLabelClassification(config).save_pretrained(tmp_path)
    word_tokenizer(40).save_pretrained(tmp_path)
    pipe = pipeline(TASK, model=str(tmp_path), device="cpu")
    answer = pipe("w3 w4", top_k=3, explain=1)
    assert len(answer) == 3 and all(entry["label"].startswith("name ") for entry in answer)
    assert len(pipe("w3 w4", threshold={"name 17": 0.0, "name 18": 0.0}, top_k=1)) == 1
