"""The Space's page as its visitor meets it, in a real browser; no network beyond this machine."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from tests.spaces.small_model import LIMITS, NOTE, TRICKY


@pytest.fixture
def page(app, chromium):
    """The page freshly opened; afterwards, nothing had gone wrong in it and nobody else had been asked for anything."""
    expect = pytest.importorskip("playwright.sync_api").expect
    expect.set_options(timeout=30_000)
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(30_000)
    hosts, problems = set(), []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on("response", lambda answer: problems.append(answer.url) if answer.status >= 400 else None)
    page.goto(app.url)
    expect(page.locator("#labels .empty")).to_be_visible()
    yield page
    context.close()
    assert hosts == {"127.0.0.1"}
    assert problems == []
    assert not app.calls.exists(), app.calls.read_text()


def expect(locator):
    from playwright.sync_api import expect

    return expect(locator)


def find(page, text: str = NOTE) -> None:
    page.locator("#text textarea").fill(text)
    page.locator("#submit").click()
    expect(page.locator("#labels .row").first).to_be_visible()


def predicted(page):
    return page.locator("#labels .predicted .name")


def move_threshold(page, value: str) -> None:
    page.locator("#threshold input[type=range]").fill(value)


def test_a_note_is_given_its_codes_by_the_models_own_thresholds(page):
    find(page)
    # scores 0.9, 0.6 and 0.4 against own thresholds of 0.5, 0.7 and 0.3
    expect(predicted(page)).to_have_text(["J18.9", "I10"])
    expect(page.locator("#labels .predicted .score")).to_have_text(["0.90", "0.40"])
    expect(page.locator("#labels .below .name").first).to_have_text("R05")
    expect(page.locator("#labels .about").first).to_have_text("Pneumonia, cause not stated")
    expect(page.locator("#own")).to_contain_text("one per label, 0.30 to 0.70")


def test_moving_the_slider_changes_the_list_without_another_run_of_the_model(page, app):
    find(page)
    expect(predicted(page)).to_have_text(["J18.9", "I10"])
    runs = app.num_runs()
    move_threshold(page, "0.55")
    expect(predicted(page)).to_have_text(["J18.9", "R05"])
    expect(page.locator("#own input")).not_to_be_checked()
    move_threshold(page, "0.95")
    expect(page.locator("#labels")).to_contain_text("No label reaches the threshold")
    expect(predicted(page)).to_have_count(0)
    page.locator("#own input").check()
    expect(predicted(page)).to_have_text(["J18.9", "I10"])
    expect(page.locator("#threshold input[type=range]")).to_have_value("0.5")  # the median of the own ones
    assert app.num_runs() == runs


def test_the_number_of_labels_shown_can_be_chosen(page):
    find(page)
    page.locator("#count input[type=range]").fill("1")
    expect(predicted(page)).to_have_text(["J18.9"])
    expect(page.locator("#labels")).to_contain_text("2 labels, the best 1 shown")


def test_an_example_of_the_card_is_labelled_by_one_click(page):
    examples = page.locator("#examples button")
    expect(examples).to_have_text(["Fever", "A trick of the light"])
    examples.first.click()
    expect(page.locator("#text textarea")).to_have_value(NOTE)
    expect(predicted(page)).to_have_text(["J18.9", "I10"])


def test_an_opened_label_shows_its_evidence_and_stays_open_when_the_slider_moves(page, app):
    find(page)
    shown = page.locator("#labels details[open]")
    expect(shown.locator(".name")).to_have_text(["J18.9"])  # the best one
    runs = app.num_runs()
    page.locator("#labels summary", has_text="I10").click()
    expect(shown.locator(".name")).to_have_text(["I10"])
    strongest = page.locator('#labels details[open] mark[style="--strength:1.00"]')
    expect(strongest).to_have_text(["hypertension"])
    expect(shown.locator(".text")).to_have_text(re.compile(r"Pneumonia with cough\.\s+Known hypertension\."))
    move_threshold(page, "0.35")
    expect(predicted(page)).to_have_text(["J18.9", "R05", "I10"])
    expect(shown.locator(".name")).to_have_text(["I10"])
    assert app.num_runs() == runs


def test_labels_and_texts_are_shown_as_they_are_written(page):
    text = "<script>window.boom=2</script> a trick ${1+1} {{value}} & 'x'"
    find(page, text)
    expect(predicted(page)).to_have_text([TRICKY])
    expect(page.locator("#labels details[open] .text")).to_have_text(text)
    expect(page.locator("#labels details[open] .about")).to_have_text("Marks & <i>signs</i>")
    assert page.evaluate("window.boom") is None


def test_an_empty_text_is_one_friendly_line(page, app):
    runs = app.num_runs()
    page.locator("#text textarea").fill("  \n ")
    page.locator("#submit").click()
    expect(page.locator("#labels .problem")).to_have_text(
        "There is no text yet. Type or paste one first, or choose an example."
    )
    assert app.num_runs() == runs


def test_a_text_beyond_the_models_reach_is_said_to_be_cut(page):
    find(page, "pneumonia " + "x " * 29)
    # 30 words, of which 24 are read
    expect(page.locator("#labels .empty")).to_have_text("The text is long: the model read the first 24 of 30 tokens.")


def test_clear_takes_everything_back(page):
    find(page)
    page.locator("#clear").click()
    expect(page.locator("#labels .empty")).to_be_visible()
    expect(page.locator("#labels .row")).to_have_count(0)
    expect(page.locator("#text textarea")).to_have_value("")


def test_the_cards_limits_stand_on_the_page(page):
    expect(page.locator("#limits")).to_contain_text(LIMITS)


def test_where_the_answer_is_in_sight_the_page_stays_where_it_is(page):
    find(page)
    expect(predicted(page)).to_have_count(2)
    page.wait_for_timeout(500)  # a scroll would have begun by then
    assert page.evaluate("window.scrollY") == 0


def test_a_phone_needs_no_sideways_scrolling_and_sees_the_answer(page):
    page.set_viewport_size({"width": 360, "height": 780})
    find(page)
    expect(page.locator("#labels .row").first).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
