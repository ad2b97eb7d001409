"""Part of `MultiLabelModelTesterMixin`: a saved model of texts opens by `pipeline`, with our package or without.

Like `FreshProcessTesterMixin` it reads what fresh processes reported (probe.py). `saved_models` holds, beside each
model, what must come out (`expected.json`); a tester's documents become texts by `text_of`.
"""

from __future__ import annotations

import json

import pytest


class PipelineTesterMixin:
    """`pipeline("multi-label-classification")`, `pipeline()` without a task, and transformers' own for text."""

    @pytest.fixture(params=["with_package", "without_package"])
    def answered(self, request, tester):
        """What a process of each kind answered, `"pipelines"` of its report."""
        if tester.get_config().input_kind != "text":
            pytest.skip("reads no text")
        return request.getfixturevalue(request.param)[str(tester)]["pipelines"]

    @pytest.fixture
    def expected(self, tester, saved_models):
        return json.loads((saved_models / str(tester) / "expected.json").read_text(encoding="utf-8"))

    def test_pipeline_answers_with_the_labels_that_the_tuned_rule_chooses(self, answered, expected):
        assert any(expected["chosen"])
        for way in ("named", "with trust", "saved again"):
            for answer, chosen, scores in zip(answered[way], expected["chosen"], expected["scores"], strict=True):
                assert [entry["label"] for entry in answer] == chosen, way
                for entry in answer:
                    assert entry["score"] == pytest.approx(scores[entry["label"]], abs=1e-6)

    def test_explained_labels_name_words_of_the_text(self, tester, answered, expected):
        if "explained" not in answered:
            pytest.skip("the architecture doesn't tell from which tokens it reads")
        assert len(answered["explained"]) == 2
        for entry in answered["explained"]:
            (word,) = entry["evidence"]
            assert expected["texts"][0][word["start"] : word["end"]] == word["text"]
            assert word["text"] in expected["texts"][0].split()
            assert 0 < word["weight"] <= 1

    def test_transformers_own_pipeline_gives_the_sigmoid_of_every_logit(self, answered, expected):
        for answer, scores in zip(answered["stock"], expected["scores"], strict=True):
            assert {entry["label"] for entry in answer} == scores.keys()
            for entry in answer:
                assert entry["score"] == pytest.approx(scores[entry["label"]], abs=1e-6)

    def test_with_the_package_pipeline_takes_our_class_and_never_runs_the_copy(self, with_package, tester):
        if tester.get_config().input_kind != "text":
            pytest.skip("reads no text")
        found = with_package[str(tester)]["pipelines"]
        assert found["class"] == "hf_mlc.modeling.pipeline_multi_label.MultiLabelClassificationPipeline"
        assert found["plain"] == "opened"
        assert with_package["remote modules"] == []

    def test_without_the_package_pipeline_runs_the_copy_when_trusted_only(self, without_package, tester):
        if tester.get_config().input_kind != "text":
            pytest.skip("reads no text")
        found = without_package[str(tester)]["pipelines"]
        assert found["class"].startswith("transformers_modules.")
        assert found["plain"].startswith("ValueError")
        assert "trust_remote_code=True" in found["plain"]
