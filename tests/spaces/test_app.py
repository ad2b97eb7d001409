"""Parts of the app that are easier looked at one by one than through a browser."""

from __future__ import annotations

import importlib
import logging
import re

import pytest


@pytest.fixture(scope="module")
def app():
    pytest.importorskip("gradio", reason="gradio is not installed (pip install hf_mlc[space])")
    return importlib.import_module("hf_mlc.spaces.app")


def found(*scores: float, more: bool = False, evidence: list | None = None) -> dict:
    """An answer of labels A, B, ...; the model's own threshold is 0.5."""
    labels = [
        {
            "label": chr(65 + n),
            "about": "",
            "score": score,
            "threshold": 0.5,
            "tuned": score >= 0.5,
            "evidence": evidence,
        }
        for n, score in enumerate(scores)
    ]
    return {"text": "some text", "tokens": 2, "read": 2, "part": "first", "more": more, "labels": labels}


def names(html: str, kind: str) -> list[str]:
    return re.findall(f'class="row {kind}" name="label" data-label="(.)"', html)


def heading(html: str) -> str:
    return re.search("<b>(.*?)</b>", html)[1]


def test_a_score_on_the_threshold_passes_it_and_three_labels_follow_below(app):
    html = app.label_list(found(0.9, 0.3, 0.2, 0.1, 0.05, 0.001), 0.3, False, 10, "")
    assert names(html, "predicted") == ["A", "B"]
    assert names(html, "below") == ["C", "D", "E"]
    assert heading(html) == "2 labels."
    assert "&lt;0.01" not in html
    assert "&lt;0.01" in app.label_list(found(0.9, 0.001), 0.3, False, 10, "")  # 0.00 would read as never


@pytest.mark.parametrize(
    ("more", "expected"), [(False, "2 labels, the best 1 shown."), (True, "2 labels or more, the best 1 shown.")]
)
def test_where_labels_were_left_out_the_count_says_so(app, more, expected):
    assert heading(app.label_list(found(0.9, 0.8, more=more), 0.5, False, 1, "")) == expected


def test_which_part_of_a_long_text_was_read_is_said(app):
    for part in ("first", "last"):
        html = app.label_list(found(0.9) | {"tokens": 30, "read": 24, "part": part}, 0.5, True, 10, "")
        assert f"The text is long: the model read the {part} 24 of 30 tokens." in html


def test_one_label_is_one_label(app):
    assert heading(app.label_list(found(0.9, 0.1), 0.5, True, 10, "")) == "1 label."


def test_evidence_is_marked_by_weight_and_what_is_far_from_it_is_cut(app):
    text = f"first {'filler ' * 100}middle {'filler ' * 100}last"
    spans = [
        {"start": text.index(word), "end": text.index(word) + len(word), "text": word, "weight": weight}
        for word, weight in (("middle", 2.0), ("first", 1.0), ("last", 0.0))
    ]
    html = app.evidence_view(text, spans)
    # strength 0.25 + 0.75 * weight / 2; a weight of 0 is no evidence
    assert re.findall(r'strength:(.*?)" title="weight .*?">(\w+)<', html) == [("0.62", "first"), ("1.00", "middle")]
    assert html.count("[…]") == 2
    assert len(html) < 800
    plain = re.sub("<.*?>", "", html)
    assert set(plain.split()) == {"first", "filler", "[…]", "middle"}  # no word is cut in two


def test_long_white_space_beside_evidence_is_cut_too(app):
    text = "fever" + "\n" * 400 + "x" + " " * 400 + "cough"
    spans = [{"start": 0, "end": 5, "weight": 1.0}, {"start": len(text) - 5, "end": len(text), "weight": 1.0}]
    plain = re.sub("<.*?>", "", app.evidence_view(text, spans))
    assert plain.split() == ["fever", "[…]", "cough"]
    assert app.shortened("\n" * 400) == '<span class="muted"> […] </span>'


def test_a_model_that_cannot_explain_says_so(app):
    assert "does not tell from which words" in app.evidence_view("text", None)
    assert "No words stand out" in app.evidence_view("text", [])


def test_a_model_that_cannot_be_loaded_is_one_friendly_line_and_is_tried_again(app, tmp_path, caplog):
    settings = {"model": str(tmp_path / "gone"), "revision": None}
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            state, opened, html = app.answer(settings, "a text", 0.5, True, 10)
            assert (state, opened) == (None, "")
            assert html == app.message(app.NOT_LOADED, "problem")
    assert len([line for line in caplog.records if "could not be loaded" in line.message]) == 2


def test_a_text_that_the_model_fails_on_is_one_friendly_line(app, monkeypatch, caplog):
    monkeypatch.setattr(app, "load", lambda model, revision: None)  # None is no pipeline
    with caplog.at_level(logging.ERROR):
        html = app.answer({"model": "org/model", "revision": None}, "a secret note", 0.5, True, 10)[2]
    assert html == app.message(app.FAILED, "problem")
    assert "secret" not in caplog.text  # what a visitor typed stays out of the log


def test_an_answer_that_cannot_be_shown_is_one_friendly_line(app, monkeypatch, caplog):
    broken = found(0.9, evidence=[{"start": 0}])  # without a weight
    monkeypatch.setattr(app, "load", lambda model, revision: None)
    monkeypatch.setattr(app, "score", lambda pipe, text: broken)
    with caplog.at_level(logging.ERROR):
        answer = app.answer({"model": "org/model", "revision": None}, "a secret note", 0.5, True, 10)
        assert app.drawn_anew(broken, 0.5, True, 10, "") == app.message(app.FAILED, "problem")
    assert answer == (None, "", app.message(app.FAILED, "problem"))
    assert len(caplog.records) == 2 and "secret" not in caplog.text
    assert app.drawn_anew(found(0.9), 0.5, True, 10, "") == app.label_list(found(0.9), 0.5, True, 10, "")


@pytest.mark.parametrize("num_labels", [1, 5, 12, 100_000])
def test_with_few_labels_and_with_many_the_sliders_start_at_a_value_that_they_can_have(app, num_labels):
    settings = {"model": "org/model", "revision": None, "on_hub": True, "title": "a", "num_labels": num_labels}
    settings |= {"thresholds": {"lowest": 0.5, "median": 0.5, "highest": 0.5}, "examples": [], "limits": ""}
    blocks = app.build(settings).blocks.values()
    sliders = {block.label: block for block in blocks if isinstance(block, app.gr.Slider)}
    assert set(sliders) == {"Threshold", "Labels shown"}
    for slider in sliders.values():
        assert slider.preprocess(slider.value) == slider.value  # what each press of "Find labels" begins with


def test_one_threshold_for_all_labels_is_named_by_its_value(app):
    one = {"thresholds": {"lowest": 0.384, "median": 0.384, "highest": 0.384}}
    assert app.own_thresholds(one) == (0.38, "Use the model's own threshold (0.38)")
