"""The arms of SGM's claim, each on a handful of generated notes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from hf_mlc.auto import ARCHITECTURES
from hf_mlc.commands.config_arguments import config_names
from hf_mlc.commands.recipes import read_recipe
from hf_mlc.comparing.arms import Job, fit, ours, problem_transformations, same_encoder, seed_ensemble
from hf_mlc.comparing.arms.problem_transformations import METHODS, PLANE, powerset_scores
from hf_mlc.comparing.arms.same_encoder import SameEncoderConfig
from hf_mlc.comparing.claim import ClaimData, find_claim
from hf_mlc.comparing.claims.sgm import RECIPE
from hf_mlc.comparing.data import Rows, prepare_rows
from hf_mlc.comparing.runs import Plan
from hf_mlc.data import train_tokenizer
from hf_mlc.folder_files import RESULTS_FILE
from hf_mlc.inference import load_model
from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.training.end_bias import can_be_tuned


CLAIM = find_claim("sgm")
TINY = {
    "model_type": "sgm", "embedding_size": 8, "hidden_size": 16, "decoder_size": 12, "self_attention_heads": 2,
    "num_beams": 2, "max_labels": 4, "max_length": 32, "learning_rate": 0.01, "num_train_epochs": 1,
    "per_device_train_batch_size": 32, "threshold_kind": "global", "use_cpu": True,
}  # fmt: skip
OURS = [arm for arm in CLAIM.arms if arm.name.startswith("sgm") and not arm.with_encoder]
OTHERS = [arm for arm in CLAIM.arms if not arm.name.startswith("sgm")]


@pytest.fixture(scope="module")
def rows(notes, tmp_path_factory) -> Rows:
    data = ClaimData(name="notes", folder="", end_points=("f1_micro",))
    return prepare_rows(data, notes, tmp_path_factory.mktemp("rows"), train_size=60, seed=0)


def scored(score, texts, num_labels: int) -> np.ndarray:
    """Scores of every text, each given once."""
    scores_NL, seen_N = np.full((len(texts), num_labels), np.nan), np.zeros(len(texts), int)
    for places, scores_BL, *_ in score(texts):
        scores_NL[places] = scores_BL
        seen_N[places] += 1
    assert (seen_N == 1).all()
    return scores_NL


BATCH = {
    "input_ids": torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]]),
    "attention_mask": torch.tensor([[1] * 4, [1, 1, 0, 0]]),
}
TARGETS = torch.tensor([[1, 0, 1, 0], [0, 0, 1, 0]])
ONE_OF_EACH = [
    next(arm for arm in OURS if arm.runner == runner) for runner in dict.fromkeys(arm.runner for arm in OURS)
]


WITH_MACHINES = [arm for arm in OURS if arm.settings.get("linear_readout")]


@pytest.mark.parametrize("arm", [*ONE_OF_EACH, *WITH_MACHINES, *OTHERS], ids=lambda arm: arm.name)
def test_every_kind_of_arm_fits_without_a_look_at_the_measured_rows(arm, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(seed_ensemble, "MEMBERS", 2)
    monkeypatch.setattr(problem_transformations, "CHAINS", 2)
    if arm in OTHERS or arm in WITH_MACHINES:
        pytest.importorskip("sklearn")
    settings = {**TINY, **arm.settings} if arm in OURS else {"Cs": (1.0,), **arm.settings}
    blind = dataclasses.replace(rows, measured="/no/such/folder")
    fitted = fit(Job(arm.runner, settings, blind, 0, "/nowhere"), tmp_path / "model")
    scores_NL = scored(fitted.score, rows.read_measured()["text"][:], len(rows.label_space()))
    assert scores_NL.min() >= 0 and scores_NL.max() <= 1 and scores_NL.std() > 0
    assert fitted.parameters > 0 and fitted.model_bytes > 0 and fitted.min_labels in (0, 1)
    if arm in WITH_MACHINES:
        trained = [folder / RESULTS_FILE for folder in (tmp_path / "model-members").glob("[0-9]*") if folder.is_dir()]
        found = [json.loads(file.read_text("utf-8")) for file in trained or [tmp_path / "model" / RESULTS_FILE]]
        assert len(found) == (2 if arm.runner == "seed-ensemble" else 1)
        assert all(results["planting"]["readout"]["folds"] == 5 for results in found)
    assert "sgm-same-encoder" not in ARCHITECTURES  # it was shown to this one run


def test_the_same_encoder_may_choose_the_smallest_set_as_other_methods_may():
    config = SameEncoderConfig(vocab_size=20, num_labels=4)
    assert not can_be_tuned(config) and can_be_tuned(SgmConfig(vocab_size=20, num_labels=4))


@pytest.mark.parametrize("arm", [arm for arm in OURS if arm.runner == "train"], ids=lambda arm: arm.name)
def test_every_variant_is_a_model_that_learns_and_answers(arm):
    names = set(config_names(SgmConfig))
    settings = {name: value for name, value in {**TINY, **arm.settings}.items() if name in names}
    torch.manual_seed(0)
    model = ARCHITECTURES["sgm"].model(SgmConfig(vocab_size=20, num_labels=4, **settings))
    loss = model(**BATCH, labels=TARGETS).loss
    loss.backward()
    assert torch.isfinite(loss)
    # everything is reached by the loss, but what the arm does not train
    silent = {name.split(".")[0] for name, one in model.named_parameters() if one.grad is None}
    assert silent <= {"auxiliary"}
    answer = model.eval()(**BATCH)
    assert answer.logits.shape == (2, 4) and torch.isfinite(answer.logits).all()
    # an arm is no second name of the recipe
    recipe = read_recipe(Path(__file__).parents[2] / RECIPE)
    for name in set(arm.settings) & names:
        assert getattr(model.config, name) == arm.settings[name] != recipe.get(name, getattr(SgmConfig(), name))


@pytest.mark.parametrize("settings", [{}, {"tuned": True, "Cs": (1.0,)}, {"tuned": True, "Cs": (1.0,), "folds": 0}])
def test_a_method_that_is_measured_on_validation_rows_has_not_learned_them(rows, tmp_path, settings):
    pytest.importorskip("sklearn")
    settings = {"method": "binary-relevance", **settings}
    counts = []
    for refit in ({}, {"refit": False}):
        fitted = fit(Job("problem-transformation", {**settings, **refit}, rows, 0, ""), tmp_path / "model")
        counts.append(fitted.facts["rows"])
    num_train, num_validation = (len(rows.read(split)) for split in ("train", "validation"))
    assert counts == [num_train + num_validation, num_train]


def test_an_untuned_method_answers_as_scikit_learn_does(rows, tmp_path):
    sklearn = pytest.importorskip("sklearn")
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    space, both = rows.label_space(), [*rows.read("train"), *rows.read("validation")]
    truth_NL = np.stack([np.isin(np.arange(len(space)), space.encode(row["labels"])) for row in both]).astype(int)
    learned = truth_NL.any(axis=0) & ~truth_NL.all(axis=0)
    assert not learned.all()  # there are labels that the draw missed
    vectorizer, texts = TfidfVectorizer(sublinear_tf=True), rows.read_measured()["text"][:]
    features = vectorizer.fit_transform([row["text"] for row in both])
    svm = OneVsRestClassifier(LinearSVC(random_state=0)).fit(features, truth_NL[:, learned])
    expected = svm.predict(vectorizer.transform(texts))

    fitted = fit(Job("problem-transformation", {"method": "binary-relevance"}, rows, 0, ""), tmp_path)
    assert (fitted.thresholds, fitted.min_labels, fitted.versions) == (PLANE, 0, {"scikit-learn": sklearn.__version__})
    scores_NL = scored(fitted.score, texts, len(space))
    assert expected.any() and ((scores_NL[:, learned] >= PLANE) == expected).all()
    # a label without a training document is ranked last, not in the middle as a decision function of 0 would be
    never = ~truth_NL.any(axis=0)
    assert never.any() and (scores_NL[:, never] == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_each_method_tells_apart_what_two_words_tell(method):
    texts = ["wheat corn"] * 4 + ["wheat rye"] * 4 + ["oil rye"] * 4
    labels = [np.array([0, 1])] * 4 + [np.array([0])] * 4 + [np.array([2])] * 4
    vectorizer, features = problem_transformations._features(texts)
    model = METHODS[method](4.0, None, 0, soft=False).fit(features, labels, 5)
    answers = model.scores(vectorizer.transform(["corn wheat", "rye wheat", "rye oil"])) >= PLANE
    assert answers.tolist() == [
        [True, True, False, False, False],
        [True, False, False, False, False],
        [False, False, True, False, False],
    ]


def test_a_tuned_method_falls_back_to_its_best_label(rows, tmp_path):
    pytest.importorskip("sklearn")
    answers = {}
    for tuned in (False, True):
        settings = {"method": "binary-relevance", "tuned": tuned, "Cs": (0.3,), "threshold_kind": "none"}
        fitted = fit(Job("problem-transformation", settings, rows, 0, ""), tmp_path)
        answers[tuned] = fitted.min_labels
        assert fitted.facts["rows"] == 60
    # so small a C predicts next to nothing on held-out notes, all of which have labels
    assert answers == {False: 0, True: 1}
    assert fitted.facts["rule"] == "plane" and fitted.facts["chosen_on"] == 60


def test_the_powerset_s_best_set_is_what_lies_above_one_half():
    sets_SL = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1]])
    scores_NL = powerset_scores(torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.35, 0.45]], dtype=torch.float64), sets_SL)
    # marginals .5, .75, .25 with the first two in the best set; .2, .55, .45 with the last alone
    assert scores_NL.tolist() == [
        [0.75, 0.875, 0.125],
        [pytest.approx(0.1), pytest.approx(0.275), pytest.approx(0.725)],
    ]


def test_members_that_know_the_validation_rows_bring_their_thresholds_along(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(seed_ensemble, "MEMBERS", 2)
    fitted = fit(Job("seed-ensemble", {**TINY, "refit": True}, rows, 0, ""), tmp_path / "model")
    members = sorted(tmp_path.glob("model-members/*/config.json"))
    of_members = [json.loads(file.read_text())["thresholds"] for file in members]
    assert len(members) == 2 and fitted.thresholds == pytest.approx(sum(of_members) / 2)


def test_seeds_of_a_head_are_averaged_as_those_of_a_model_of_ours_are(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(seed_ensemble, "MEMBERS", 2)
    whole = fit(Job("seed-ensemble-per-label", {**TINY, "decision": "thresholds"}, rows, 0, ""), tmp_path / "model")
    texts = rows.read_measured()["text"][:]
    with ours.shown(same_encoder.SameEncoderModel, like="sgm"):
        members = [load_model(str(tmp_path / "model-members" / seed)) for seed in ("1000", "1001")]
        of_members = [scored(ours.scoring(member, TINY), texts, len(rows.label_space())) for member in members]
    assert np.abs(of_members[0] - of_members[1]).max() > 1e-3  # two seeds
    assert scored(whole.score, texts, len(rows.label_space())) == pytest.approx(sum(of_members) / 2, abs=1e-5)


def head_of(name: str, **settings):
    config = same_encoder.SameEncoderConfig(
        head=name, vocab_size=20, embedding_size=8, hidden_size=8, decoder_size=6, num_labels=4, **settings
    )
    return same_encoder.SameEncoderModel(config)


SETS = [[2], [0, 2], [3]]


@pytest.mark.parametrize("name", ["per_label", "label_wise", "powerset", "chain"])
def test_a_head_reads_no_padding_and_no_target(name):
    model = head_of(name, label_sets=SETS if name == "powerset" else None).eval()
    whole = model(**BATCH, labels=TARGETS)
    alone = model(input_ids=torch.tensor([[7, 8]]), attention_mask=torch.ones(1, 2))
    assert torch.allclose(whole.logits[1], alone.logits[0], atol=1e-5)
    assert torch.equal(whole.logits, model(**BATCH).logits)  # with and without targets the same answer
    assert torch.isfinite(whole.loss) and whole.loss > 0
    ids = torch.tensor([[0, 2], [2, -100]])
    assert torch.equal(model(**BATCH, label_ids=ids).loss, whole.loss)


def test_a_powerset_learns_its_sets_and_no_other():
    model = head_of("powerset", label_sets=SETS).eval()
    trained_BS = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    targets_BL = torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 0]])  # the second set is none of the three
    expected = -trained_BS.log_softmax(dim=1)[0, 1] / 2
    assert torch.allclose(model.head.loss(model, trained_BS, targets_BL, None), expected)
    answers_BL = model.head.answer(trained_BS).sigmoid() >= 0.5
    assert answers_BL.tolist() == [[True, False, True, False], [False, False, True, False]]


def test_a_chain_reads_the_labels_before_it_and_not_those_after():
    model = head_of("chain", label_ranks=[1, 0, 3, 2]).eval()  # 1, 0, 3, 2
    head, hidden_BmD, mask_Bm = model.head, torch.randn(1, 3, 8), torch.ones(1, 3, dtype=torch.bool)
    with torch.no_grad():
        head.links_LL.fill_(100.0)
        head.output.weight.zero_()
        head.output.bias.copy_(torch.tensor([-50.0, 1.0, -150.0, -150.0]))
        free_BL = head(hidden_BmD, mask_Bm, None)
        # 1 is true by itself, which makes 0 true (-50 + 100), both make 3 true (-150 + 200), all three 2 (-150 + 300)
        assert free_BL.tolist() == [[50.0, 1.0, 150.0, 50.0]]
        given_BL = head(hidden_BmD, mask_Bm, torch.tensor([[0.0, 0, 1, 1]]))
        assert given_BL.tolist() == [[-50.0, 1.0, -50.0, -150.0]]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> str:
    """A folder as `--encoder_path` names one: a small BERT and its tokenizer."""
    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = train_tokenizer(["the patient was seen with a cough and fever today"] * 3)
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    "name", ["sgm-pretrained", "sgm-pretrained-br", "sgm-pretrained-svm", "sgm-pretrained-svm-br"]
)
def test_an_arm_starts_from_the_pretrained_encoder(name, pretrained, rows, tmp_path):
    """With all that the recipe says, less what is about its own encoder; and with machines over its tokens where it has some."""
    data, arm = CLAIM.datasets[0], CLAIM.arm(name)
    plan = Plan(
        CLAIM, data, CLAIM.arms, [0], [None], "test", Path(), Path(), data.train_settings(), Path(), encoder=pretrained
    )
    [trial, *_] = CLAIM.arm(arm.chosen_as or name).trials
    settings = {**plan.settings_of(arm, trial), "num_train_epochs": 1, "learning_rate": 1e-9, "use_cpu": True}
    fit(Job(arm.runner, settings, rows, 0, ""), tmp_path / "model")
    expected = load_file(Path(pretrained) / "model.safetensors")["embeddings.word_embeddings.weight"]
    found = load_file(tmp_path / "model" / "model.safetensors")
    [embeddings] = [one for key, one in found.items() if key.endswith("embeddings.word_embeddings.weight")]
    assert torch.allclose(embeddings, expected, atol=1e-6)
    machines = [value for key, value in found.items() if key.endswith("readout.weight")]
    assert len(machines) == bool(arm.settings.get("linear_readout")) and all(
        value.abs().sum() > 0 for value in machines
    )
