from __future__ import annotations

import builtins
import math

import pytest

from hf_mlc.errors import UserError
from hf_mlc.explaining import explain, explain_labels
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from tests.explaining.conftest import planted_model


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def weights(explanation) -> dict[str, float]:
    return dict(zip(explanation.tokens, explanation.weights, strict=True))


def test_attention_is_the_labels_own(planted):
    # softmax over (ln 3, 0)
    found = explain(planted, "Fever, cough", "A")
    assert weights(found) == {
        "fever": pytest.approx(3 / 5),
        "[UNK]": pytest.approx(1 / 5),
        "cough": pytest.approx(1 / 5),
    }
    assert found.offsets == [(0, 5), (5, 6), (7, 12)]
    assert [word["text"] for word in found.words(1)] == ["Fever"]


def test_shares_of_the_logit_sum_to_it(planted):
    # 3/4 * 4 and 1/4 * -4; the logit is 3 - 1 - 1 = 1
    found = explain(planted, "fever cough", "A", method="direct_logit_attribution")
    assert weights(found) == {"fever": pytest.approx(3.0), "cough": pytest.approx(-1.0)}
    assert found.score == pytest.approx(sigmoid(1.0))
    assert found.score == pytest.approx(sigmoid(sum(found.weights) - 1.0))


@pytest.mark.parametrize("steps", [1, 50])
def test_integrated_gradients_of_a_linear_logit_are_its_terms(planted, steps):
    # label B: the mean of 4 h_2, against unknown words, which say 0
    found = explain(planted, "fever cough well fever", "B", method="integrated_gradients", steps=steps)
    assert found.weights == pytest.approx([1.0, -1.0, 0.0, 1.0], abs=1e-5)
    assert found.convergence_delta == pytest.approx(0.0, abs=1e-5)
    assert found.baseline_token == "[UNK]"


def test_integrated_gradients_share_out_what_attention_does(planted):
    # On the path both vectors are scaled by s: the logit is 4 s tanh(s ln(3) / 2), from 0 to 4 (3/4 - 1/4) = 2.
    # Cough's attention score is 0 all along, so its weight is the integral of -4 times its attention
    # 1 / (1 + 3^s): -4 (1 - ln(2) / ln(3)) = -1.4763; fever has the rest.
    found = explain(planted, "fever cough", "A", method="integrated_gradients")
    assert found.weights[1] == pytest.approx(-4 * (1 - math.log(2) / math.log(3)), abs=1e-4)
    assert sum(found.weights) == pytest.approx(2.0, abs=1e-4)


def test_an_unknown_word_is_the_baseline_and_weighs_nothing(planted):
    found = explain(planted, "fever malaise", "B", method="integrated_gradients")
    assert weights(found)["[UNK]"] == 0.0


def test_without_a_label_every_predicted_one_is_explained_best_first(planted):
    # "fever": A has the logit 4 - 1, B 4
    found = explain(planted, "fever")
    assert [(row.label, row.predicted) for row in found] == [("B", True), ("A", True)]
    assert [row.threshold for row in found] == [0.25, 0.5]
    # "cough": -5 and -4, nothing is predicted
    for method in ("attention", "direct_logit_attribution", "integrated_gradients"):
        assert explain(planted, "cough", method=method) == []
    assert not explain(planted, "cough", "A").predicted


def test_labels_go_by_name_and_by_id_in_the_order_given(planted):
    found = explain_labels(planted, "fever", [1, "A", "B"])
    assert [row.label for row in found] == ["B", "A", "B"]
    assert found[0].description is None and found[1].description == "<a> & co"


def test_an_empty_text_has_no_words(planted):
    for method in ("attention", "direct_logit_attribution", "integrated_gradients"):
        found = explain(planted, "", "A", method=method)
        assert found.words() == [] and found.score == pytest.approx(sigmoid(-1.0))


def test_what_was_cut_off_is_said():
    found = explain(planted_model(max_length=2), "fever well cough  ", "A")
    assert found.read_to == len("fever well") and len(found.tokens) == 2
    assert explain(planted_model(max_length=3), "fever well cough", "A").read_to == len("fever well cough")
    assert explain(planted_model(max_length=4), "fever well cough  ", "A").read_to == len("fever well cough  ")


def test_what_was_cut_off_on_the_left_is_said():
    loaded = planted_model(max_length=2)
    loaded.tokenizer.truncation_side = "left"
    text = " fever well cough  "
    found = explain(loaded, text, "A")
    assert (found.read_from, found.read_to) == (text.index("well"), len(text))
    assert [text[start:end] for start, end in found.offsets] == ["well", "cough"]
    whole = explain(loaded, "fever", "A")
    assert (whole.read_from, whole.read_to) == (0, len("fever"))


def test_what_the_user_got_wrong_is_said_in_one_line(planted):
    with pytest.raises(UserError, match="accepted: one of 2 labels"):
        explain(planted, "fever", "a")
    with pytest.raises(UserError, match="found 2; accepted: 0 to 1"):
        explain(planted, "fever", 2)
    with pytest.raises(UserError, match=r"'method'.*found 'lime'.*integrated_gradients"):
        explain(planted, "fever", "A", method="lime")
    with pytest.raises(UserError, match="found 0; accepted: 1 or more"):
        explain(planted, "fever", "A", method="integrated_gradients", steps=0)
    with pytest.raises(UserError, match=r"'baseline'.*found 'zero'.*unk, pad, mask"):
        explain(planted, "fever", "A", method="integrated_gradients", baseline="zero")
    planted.tokenizer.mask_token = None
    with pytest.raises(UserError, match="no mask token; accepted: unk, pad"):
        explain(planted, "fever", "A", method="integrated_gradients", baseline="mask")


@pytest.mark.parametrize("method", ["attention", "direct_logit_attribution"])
def test_an_architecture_without_attention_over_tokens_has_gradients(planted, monkeypatch, method):
    own = type(planted.model)
    for name in ("token_weights", "token_contributions"):
        monkeypatch.setattr(own, name, getattr(MultiLabelPreTrainedModel, name))
    with pytest.raises(UserError, match="accepted: integrated_gradients"):
        explain(planted, "fever", "A", method=method)
    assert explain(planted, "fever", "A", method="integrated_gradients").weights != []


def test_without_captum_the_extra_is_named(planted, monkeypatch):
    def without_captum(name, *args, _import=builtins.__import__, **kwargs):
        if name.partition(".")[0] == "captum":
            raise ModuleNotFoundError("No module named 'captum'")
        return _import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_captum)
    with pytest.raises(UserError, match=r"captum is not installed; accepted: pip install hf_mlc\[explain\]"):
        explain(planted, "fever", "A", method="integrated_gradients")
    assert explain(planted, "fever", "A").weights != []
