"""What the card says of a model that decides on label sets as a whole."""

from __future__ import annotations

from types import SimpleNamespace

from hf_mlc.cards.metadata import threshold_rule
from hf_mlc.cards.sentences import curve_caption, rule_sentence


SEARCH = {"end_bias": 0.5, "metric": "f1_micro", "num_documents": 777}


def facts(decision="sequence", *, used=None, results=None, min_labels=1) -> SimpleNamespace:
    config = SimpleNamespace(decision=decision, thresholds=0.4, min_labels=min_labels)
    evaluation = {"split": "test", "curve": {"threshold": [0.1, 0.2]}, **({"decision": used} if used else {})}
    return SimpleNamespace(config=config, evaluation=evaluation, results=results or {}, baseline_metrics=None)


def test_the_rule_is_that_of_sets_and_names_no_threshold():
    made = facts(results={"search": SEARCH, "thresholds": {"metric": "f1_micro", "num_documents": 777}})
    assert threshold_rule(made) == {
        "decision": "sequence", "min_labels": 1, "search_tuned_on": "validation", "search_tuned_for": "f1_micro",
    }  # fmt: skip
    sentence = rule_sentence(made)
    assert "most probable" in sentence and "at least 1 label;" in sentence and "0.5 is taken off" in sentence
    assert "777" in sentence and "threshold" not in sentence
    assert "sets as a whole" in curve_caption(made) and "tuned decision rule" not in curve_caption(made)


def test_a_search_s_smallest_set_was_chosen_where_more_than_one_was_tried():
    tried = [{"end_bias": 0.5, "min_labels": size, "value": 0.5 + 0.1 * size} for size in (0, 1)]
    for results, said in (({**SEARCH, "min_labels": 1, "tried": tried}, "the set must not be empty, chosen for"),
                          ({**SEARCH, "min_labels": 1, "tried": tried[1:]}, "of at least 1 label;")):  # fmt: skip
        assert said in rule_sentence(facts(results={"search": results}))
    given_since = {**SEARCH, "min_labels": 0, "tried": tried}
    assert "of at least 1 label;" in rule_sentence(facts(results={"search": given_since}))


def test_what_decided_in_the_evaluation_counts_not_what_the_configuration_says():
    by_hand = {"sets": "thresholds", "thresholds": 0.25, "min_labels": 0, "tuned": False}
    assert rule_sentence(facts(used=by_hand)).startswith("A label is predicted where its score reaches 0.250")
    sets = {"sets": "expected_f1", "thresholds": 0.5, "min_labels": 0, "tuned": True}
    sentence = rule_sentence(
        facts("thresholds", used=sets, results={"search": SEARCH, "refit": {"rows": 9}}, min_labels=0)
    )
    assert "expected F1" in sentence and "first model" in sentence and "at least" not in sentence


def test_whether_a_set_may_be_empty_was_chosen():
    chosen = {"min_labels": 1, "metric": "f1_micro", "num_documents": 777}
    made = facts(results={"smallest_set": chosen})
    assert "must not be empty, chosen for `f1_micro` on 777 validation documents." in rule_sentence(made)
    made = facts(results={"smallest_set": chosen | {"min_labels": 0}, "refit": {"rows": 9}}, min_labels=0)
    assert "may be empty, chosen for" in rule_sentence(made) and "first model" in rule_sentence(made)
    # another number was given by hand since
    made = facts(results={"smallest_set": chosen, "refit": {"rows": 9}}, min_labels=2)
    assert "of at least 2 labels" in rule_sentence(made) and "777" not in rule_sentence(made)
    assert "first model" not in rule_sentence(made)


def test_an_ensemble_of_chains_votes():
    assert "all members together find most probable" in rule_sentence(facts("sets"))


def test_other_models_have_their_thresholds_as_before():
    plain = facts("thresholds", min_labels=0)
    assert threshold_rule(plain) == {"threshold": 0.4, "min_labels": 0}
    del plain.config.decision
    assert rule_sentence(plain) == "A label is predicted where its score reaches 0.400."
