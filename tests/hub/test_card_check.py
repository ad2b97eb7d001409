"""What the local Hub takes as a card's metadata, and how it says what it does not."""

from __future__ import annotations

import pytest

from tests.local_hub.card_check import check_card


RESULT = """
- name: a
  results:
  - task: {type: text-classification}
    dataset: {type: org/d, name: D}
    metrics: [{type: f1, value: 0.5}]"""


@pytest.mark.parametrize(
    ("metadata", "repo_type", "complaint"),
    [
        ("license: apache-2.0\nlanguage: en\ntags: [a]\nbase_model: org/b\nmodel-index:" + RESULT, "model", None),
        ("license: [mit, apache-2.0]\nlanguage: [en, de]\ndatasets: [org/d]", "dataset", None),
        ("sdk: gradio\ncolorFrom: blue", "space", None),
        ("license: MIT", "model", '"license" must be one of [afl-3.0,'),
        ("license: mit\nlicense: mit", "model", "duplicated mapping key 'license'"),
        ("license: [mit", "model", "YAML Metadata Error"),
        ("just a sentence", "model", "the metadata must be an object"),
        ("tags: a", "model", '"tags" must be an array'),
        ("tags: [1]", "model", '"tags[0]" must be a string'),
        ("widget: {text: a}", "model", '"widget" must be an array'),
        ("language: EN", "model", '"language[0]" must only contain lowercase characters'),
        ("language: english", "model", '"language[0]" with value "english" is not valid'),
        ("datasets: [/home/me/data]", "model", '"datasets[0]" with value "/home/me/data" is not valid'),
        ("base_model: ./local/path", "model", '"base_model[0]" with value "./local/path" is not valid'),
        ("model-index: {name: a}", "model", '"model-index" must be an array'),
        ("model-index:" + RESULT.replace("name: a", "title: a"), "model", '"model-index[0].name" is required'),
        ("model-index:\n- name: a", "model", '"model-index[0].results" is required'),
        (
            "model-index:" + RESULT.replace("task:", "job:"),
            "model",
            '"model-index[0].results[0].task" is required',
        ),
        (
            "model-index:" + RESULT.replace(", name: D", ""),
            "model",
            '"model-index[0].results[0].dataset.name" is required',
        ),
        (
            "model-index:" + RESULT.replace(", value: 0.5", ""),
            "model",
            '"model-index[0].results[0].metrics[0].value" is required',
        ),
        ("model-index:" + RESULT.replace("0.5", ".nan"), "model", 'metrics[0].value" must be a number'),
        ("title: a", "space", '"sdk" is required'),
        ("sdk: gradio\ncolorTo: octarine", "space", '"colorTo" must be one of [red,'),
        ("sdk: gradio\nshort_description: " + "a" * 61, "space", "less than or equal to 60 characters"),
    ],
)
def test_what_a_card_may_say(metadata, repo_type, complaint):
    errors, warnings = check_card(f"---\n{metadata}\n---\n# title\n", repo_type)
    assert warnings == []
    if complaint is None:
        assert errors == []
    else:
        assert len(errors) == 1 and complaint in errors[0]


def test_a_card_without_metadata_is_taken_with_a_warning():
    assert check_card("# title\n", "model") == ([], ["empty or missing yaml metadata in repo card"])
