"""Rules between labels by their names."""

from __future__ import annotations

import json

import pytest

from hf_mlc.errors import UserError
from hf_mlc.label_rules import read_label_rules
from hf_mlc.labels import LabelSpace


NAMES = ["corn", "crude", "grain", "wheat"]


@pytest.fixture
def rules_of(tmp_path):
    def read(content, **of_space):
        file = tmp_path / "rules.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return read_label_rules(file, LabelSpace(NAMES, **of_space))

    return read


def test_names_become_ids(rules_of):
    found = rules_of({"parents": {"wheat": ["grain", "crude"], "corn": "grain"}, "exclusions": [["corn", "wheat"]]})
    assert found == {"label_parents": [[2], [], [], [2, 1]], "label_exclusions": [[0, 3]]}


def test_what_is_not_named_is_left_as_it_is(rules_of):
    assert rules_of({"exclusions": [["corn", "wheat"]]}) == {"label_exclusions": [[0, 3]]}


def test_the_parents_may_be_those_of_the_label_file(rules_of):
    found = rules_of({"parents": "label_file"}, parents={"wheat": "grain", "corn": "grain"})
    assert found == {"label_parents": [[2], [], [], [2]]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "field 'label_rules': can't be read (not JSON"),
        ([], "field 'label_rules': no JSON object"),
        ({}, "field 'label_rules': the keys of nothing"),
        ({"parent": {}}, "field 'label_rules': the keys parent"),
        ({"parents": "labels"}, "field 'parents': found 'labels'"),
        ({"parents": "label_file"}, "field 'parents': the labels have no parents"),
        ({"parents": {"rye": ["grain"]}}, "field 'parents': found 'rye'; accepted: names of the 4 labels"),
        ({"parents": {"wheat": [2]}}, "field 'parents': found 2"),
        ({"parents": {"wheat": {"grain": 1}}}, "field 'parents': found {'grain': 1}"),
        ({"exclusions": {"corn": "wheat"}}, "field 'exclusions': found {'corn': 'wheat'}"),
        ({"exclusions": ["corn", "wheat"]}, "field 'exclusions': found 'corn'; accepted: a list of labels' names"),
        ({"exclusions": [["corn", "rye"]]}, "field 'exclusions': found 'rye'"),
    ],
)
def test_bad_rules_are_one_line_with_the_file_and_the_field(rules_of, content, message):
    with pytest.raises(UserError) as found:
        rules_of(content)
    assert "rules.json" in str(found.value) and message in str(found.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"field 'label_rules': can't be read .No such file"):
        read_label_rules(tmp_path / "none.json", LabelSpace(NAMES))
