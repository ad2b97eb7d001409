"""What the card says of a PLANT model's planting: which parts, of which rows, and whether it is a control."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_mlc.cards import write_card
from hf_mlc.cards.planting import CONTROLS
from tests.cards.conftest import RESULTS, read, write


FINGERPRINT = {"num_documents": 100, "rows": "sha256:11", "vocabulary": "sha256:33"}
NOT_HELD = "does **not** hold the paper's own idea"


def planted_text(folder: Path, facts: dict | None = None, recipe: dict | None = None, **fields) -> str:
    """The card of a model with such a configuration, whose training wrote such facts."""
    config = {**read(folder / "config.json"), "planting": "attention", "planting_fingerprint": FINGERPRINT, **fields}
    results = {**RESULTS, "planting": facts, "recipe": {**RESULTS["recipe"], **(recipe or {})}}
    results["model_type"] = config["model_type"]
    write(folder, **{"config.json": config, "results.json": results})
    return write_card(folder, run_snippet=False).read_text(encoding="utf-8")


def test_the_card_of_a_model_that_was_not_planted_says_so(model_folder):
    text = write_card(model_folder, run_snippet=False).read_text(encoding="utf-8")
    assert NOT_HELD in text and "no inattention and no stateful decoder. Results of the paper" in text


def test_the_card_of_a_planted_model_says_with_what_and_of_which_rows(model_folder):
    text = planted_text(model_folder, {"control": "none"}, window=2880, stateful=True, ranked_topk=6)
    assert NOT_HELD not in text and "is a control" not in text
    assert "Beside a learned attention it has a planted one: the 5 best places" in text
    assert "the 6 best of a ranker over the tokens of the document, learned offline and trained on." in text
    assert (
        "Its statistics are of the 100 documents that it was trained on and of no others (fingerprint `sha256:11`)."
        in text
    )
    assert "Labels read the last 2,880 tokens, and the decoder hands on a state" in text
    assert "planting_fingerprint" not in text  # nobody asked for it: it is no argument


@pytest.mark.parametrize("control", ["permuted_labels", "idf", "random_ranker"])
@pytest.mark.parametrize("known_from", ["planting", "recipe", "weights"])
def test_the_card_of_a_control_says_that_it_is_one(model_folder, control, known_from):
    known = {
        "planting": {"facts": {"control": control}},
        "recipe": {"recipe": {"planting_control": control}},
        # of an earlier training: this one went on from it
        "weights": {"planting_fingerprint": {**FINGERPRINT, "control": control}},
    }[known_from]
    text = planted_text(model_folder, **known)
    assert (
        f"**This model is a control, made to measure what planting is worth: {CONTROLS[control]} (`{control}`).**"
        in text
    )


def test_the_card_of_weights_planted_before_says_that_this_training_had_other_rows(model_folder):
    text = planted_text(model_folder, recipe={"model_name_or_path": "somebody/planted"})
    assert "of the 100 documents that it was planted with, before this training, and of no others" in text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"ranked_attention": False}, "most mutual information with the label."),
        ({"learned_attention": False}, "Its attention is planted: "),
        (
            {"mutual_information_attention": False, "ranked_attention": False},
            "both planted attentions are switched off",
        ),
        ({"compat": "xcube"}, 'that of the authors\' code (`compat="xcube"`)'),
        ({"encoder": "awd_lstm", "ranked_tokens": "expected"}, "over the tokens that an AWD-LSTM expects next"),
        (
            {"planted_readout": 3},
            "reads the tf-idf weights of its 256 tokens directly, a linear model planted with their mutual",
        ),
        (
            {"planted_readout": 1, "readout_source": "linear_svm", "readout_tokens": 1024},
            "a linear support vector machine over tf-idf weights, of 1,024 tokens at most",
        ),
        ({"planted_readout": 3, "shortlist_size": 64}, "Only the 64 labels that it puts first attend to a document."),
        ({"planting_fingerprint": None}, "<!-- rows that the planted statistics are of: unknown -->"),
    ],
)
def test_the_card_of_a_part_of_planting_says_which(model_folder, fields, said):
    text = planted_text(model_folder, {"control": "none"}, **fields)
    assert said in text and NOT_HELD not in text


def test_the_card_of_a_frozen_ranker_says_so(model_folder):
    text = planted_text(model_folder, {"control": "none"}, recipe={"planting_freeze": True})
    assert "learned offline and not trained on." in text


def test_the_card_of_the_two_stage_form_says_how_the_first_went(model_folder):
    ranking = {"ndcg@15_before": 0.1934, "ndcg@15_after": 0.5391}
    text = planted_text(model_folder, {"control": "none", "ranking": ranking}, planting="pretrain")
    assert "two-stage form" in text and "nDCG@15 went from 0.193 to 0.539" in text and NOT_HELD not in text


def test_the_card_of_a_decoder_with_machines_says_so_and_of_which_rows(model_folder):
    fields = {"model_type": "sgm", "planting": None, "encoder": "lstm", "linear_readout": True, "readout_tokens": 512}
    text = planted_text(
        model_folder, {"control": "permuted_labels"}, architectures=["SgmForMultiLabelClassification"], **fields
    )
    assert (
        "the log-odds of every label by a linear support vector machine over tf-idf weights, of 512 tokens at most"
        in text
    )
    assert "Its machines are of the 100 documents that it was trained on and of no others" in text
    assert "**This model is a control" in text and NOT_HELD not in text
