"""The card of a model with shortlists: what these hold, what the phases took, how beta was chosen, how large the tables are."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from hf_mlc.cards import write_card
from hf_mlc.cards.cycles import cycles_section, scored_labels
from hf_mlc.cards.facts import read_facts
from hf_mlc.data import train_tokenizer
from hf_mlc.errors import UserError
from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification
from hf_mlc.run_facts import num_parameters
from tests.cards.conftest import COUNTS, LABELS, RESULTS, TEXTS


CYCLES = [
    {
        "cycle": 0,
        "encode": {"seconds": 1.5, "cpu_seconds": 1.0, "documents": 100},
        "labels": {"seconds": 2.0, "cpu_seconds": 2.5, "proxy_loss": [0.9, 0.8]},
        "shortlists": {"seconds": 0.5, "cpu_seconds": 0.25, "recall@4": 0.91},
        "validation": {"recall@4": 0.9, "seconds": 0.1, "cpu_seconds": 0.1},
        "classifier": {"epochs": 3, "seconds": 30.0, "cpu_seconds": 40.0},
    },
    {
        "cycle": "last",
        "encode": {"seconds": 1.25, "cpu_seconds": 1.0, "documents": 100},
        "labels": {"seconds": 2.0, "cpu_seconds": 2.0, "proxy_loss": [0.7, 0.6]},
        "validation": {"recall@4": 0.9484, "seconds": 0.1, "cpu_seconds": 0.1},
    },
]
BETA = {
    "beta": 0.3,
    "metric": "p@5",
    "value": 0.66,
    "num_documents": 20,
    "tried": [
        {"beta": 0.3, "p@1": 0.8956, "r@1": 0.2, "ndcg@1": 0.8956, "psp@1": 0.5212},
        {"beta": 1.0, "p@1": 0.8967, "r@1": 0.2, "ndcg@1": 0.8967, "psp@1": 0.4879},
    ],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of random weights beside what a training of one cycle would have left to say."""
    folder = tmp_path_factory.mktemp("cycles") / "tiny-news"
    tokenizer = train_tokenizer(TEXTS, min_frequency=1, max_length=64)
    config = LightDxmlConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        unk_token_id=tokenizer.unk_token_id,
        num_labels=len(LABELS),
        embed_dim=8,
        shortlist_size=4,
        beta=0.3,
    )
    store_label_space(config, LabelSpace(LABELS, COUNTS, 100))
    model = LightDxmlForMultiLabelClassification(config)
    model.set_index(torch.randn(len(LABELS), 8))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    results = {**RESULTS, "model_type": "lightdxml", "cycles": CYCLES, "beta": BETA}
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


@pytest.fixture
def copied(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "tiny-news")


def with_results(folder, **changed):
    """The folder, its results.json changed; `None` takes a key away."""
    file = folder / "results.json"
    results = {**json.loads(file.read_text(encoding="utf-8")), **changed}
    file.write_text(json.dumps({k: v for k, v in results.items() if v is not None}), encoding="utf-8")
    return folder


def test_the_card_has_recall_costs_beta_and_sizes(copied):
    card = write_card(copied, run_snippet=False).read_text(encoding="utf-8")
    assert "[Light-weight Deep Extreme Multilabel Classification](https://arxiv.org/abs/2304.11045)" in card
    assert "with the scores of the labels that `candidate_ids` of its output names." in card
    section = card[card.index("### Shortlists") : card.index("## Labels")]
    # of the last cycle, which made the index that is saved
    assert (
        "scored against the 4 labels nearest to it" in section and "hold 94.8% of the labels of validation" in section
    )
    assert "| 1 | 3 | 0.910 | 0.900 | 1.5 | 2.0 | 0.5 | 30.0 |" in section
    assert "| after the last epoch | – | – | 0.948 | 1.2 | 2.0 | – | – |" in section
    # 1.0 + 1.0, 2.5 + 2.0, 0.25, 40.0
    assert "documents encoded 2.0 s, label embeddings 4.5 s, shortlists 0.2 s, classifier 40.0 s" in section
    assert "Of a label's score 0.3 is the classifier's (`beta`)" in section
    assert "chosen for `p@5` on 20 validation documents" in section
    # the measures of the literature, and not recall@1
    assert "| beta | `p@1` | `psp@1` | `ndcg@1` |" in section and "| 0.3 | 0.896 | 0.521 | 0.896 |" in section


def test_transformers_own_pipeline_is_offered_for_scores_of_all_labels_alone(copied):
    card = write_card(copied, run_snippet=False).read_text(encoding="utf-8")
    assert "pipeline_tag" not in card
    assert '`pipeline("text-classification")` is not for it' in card
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    (copied / "config.json").write_text(json.dumps({**config, "scoring": "all"}), encoding="utf-8")
    card = write_card(copied, run_snippet=False).read_text(encoding="utf-8")
    assert "pipeline_tag: text-classification" in card and "is not for it" not in card


def test_sizes_are_those_of_the_weights_file(trained):
    sizes = cycles_section(read_facts(trained))["sizes"]
    tensors = load_file(trained / "model.safetensors")
    whole = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    assert f"| all | {whole:,} |" in sizes
    # 6 labels x 8 numbers and a bias x 4 bytes; the index has a truth value more for each
    assert "| classifier: a row for each label | 216 |" in sizes
    assert "| index: a vector for each label | 198 |" in sizes
    encoder = [tensor for name, tensor in tensors.items() if name.startswith(("encoder.", "residual."))]
    assert f"| encoder | {sum(tensor.numel() * tensor.element_size() for tensor in encoder):,} |" in sizes


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_sizes_are_those_of_a_compressed_model_too(trained, copied, dtype):
    whole = LightDxmlForMultiLabelClassification.from_pretrained(trained)
    smaller = whole.compress(dtype)
    smaller.save_pretrained(copied)
    sizes, stated = cycles_section(read_facts(copied))["sizes"], smaller.table_bytes()
    assert f"| encoder | {stated['encoder']:,} |" in sizes and f"| all | {sum(stated.values()):,} |" in sizes
    # the tables count, though they are no parameters of torch's
    assert num_parameters(smaller) == num_parameters(whole) > 6 * 8


def test_the_recall_is_that_of_the_lists(copied):
    other = {"validation": {"recall@1": 0.1, "recall@4": 0.75, "seconds": 1.0, "cpu_seconds": 1.0}}
    cycles = [{**CYCLES[-1], **other}]
    assert "hold 75.0% of" in cycles_section(read_facts(with_results(copied, cycles=cycles)))["recall"]
    # no list is longer than there are labels with training rows
    trained = sum(count > 0 for count in COUNTS)
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    (copied / "config.json").write_text(json.dumps({**config, "shortlist_size": 200}), encoding="utf-8")
    cycles = [
        {**CYCLES[-1], "validation": {"recall@4": 0.5, f"recall@{trained}": 1.0, "seconds": 1.0, "cpu_seconds": 1.0}}
    ]
    recall = cycles_section(read_facts(with_results(copied, cycles=cycles)))["recall"]
    assert f"against the {trained} labels nearest" in recall and "hold 100.0% of" in recall
    # or with features of their own
    cycles[0]["labels"] = {**CYCLES[-1]["labels"], "unseen_labels": 1}
    cycles[0]["validation"] |= {f"recall@{trained + 1}": 0.25}
    recall = cycles_section(read_facts(with_results(copied, cycles=cycles)))["recall"]
    assert f"against the {trained + 1} labels nearest" in recall and "hold 25.0% of" in recall


def test_a_model_that_was_trained_twice_says_of_which_training_its_cycles_are(copied):
    with_results(copied, refit={"rows": 120, "epochs": 3, "seconds": 9})
    section = cycles_section(read_facts(copied))
    assert "of the first training" in section["recall"] and "of the first training" in section["processor_time"]


def test_what_is_unknown_is_left_out(copied):
    section = cycles_section(read_facts(with_results(copied, cycles=None, beta=None)))
    assert "recall of the shortlists: unknown" in section["recall"] and "not tuned" in section["beta"]
    assert section["costs"] is section["processor_time"] is section["betas"] is None
    card = write_card(copied, run_snippet=False).read_text(encoding="utf-8")
    assert "### Shortlists" in card and "| cycle |" not in card


def test_a_model_without_shortlists_has_no_such_section(saved_model):
    facts = read_facts(saved_model)
    assert cycles_section(facts) is None and scored_labels(facts.config) == "all labels"


def test_cycles_that_are_no_list_are_refused(copied):
    with pytest.raises(UserError, match="cycles"):
        read_facts(with_results(copied, cycles={"cycle": 0}))
