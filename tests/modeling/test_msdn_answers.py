"""What an MSDN answers with, by the sum over all label vectors: sets, scores, searches, what is explained of them."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.msdn_known_sets import pack_sets

from .model_tester import some_targets
from .msdn_rows import RANKS, ROWS, joint, small


@pytest.mark.parametrize("ranks", [None, RANKS])
def test_a_chain_is_a_distribution_and_answers_are_its_mode_and_its_marginals(ranks):
    model, batch = small(label_ranks=ranks)
    vectors, log_probs = joint(model, batch)
    torch.testing.assert_close(log_probs.exp().sum(dim=2), torch.ones(6, 1))
    with torch.no_grad():
        output = model(**batch)
    assert torch.equal(output.chosen.float(), vectors[log_probs[:, 0].argmax(dim=1)])
    torch.testing.assert_close(output.logits.sigmoid(), log_probs[:, 0].exp() @ vectors, atol=1e-5, rtol=1e-5)
    # the relations are no ornament
    assert not torch.allclose(output.logits, output.base_logits, atol=0.1)


def test_several_orders_vote_and_average_their_marginals():
    model, batch = small(num_orders=3, label_ranks=[RANKS, [0, 1, 2, 3, 4], [4, 3, 2, 1, 0]], kernel_sizes=[3])
    vectors, log_probs = joint(model, batch)
    with torch.no_grad():
        output = model(**batch)
    torch.testing.assert_close(output.logits.sigmoid(), log_probs.exp().mean(dim=1) @ vectors, atol=1e-5, rtol=1e-5)
    # the candidates are the modes of the orders; the one of the best mean log-probability is answered
    modes, mean = log_probs.argmax(dim=2), log_probs.mean(dim=1)
    best = modes.gather(1, mean.gather(1, modes).argmax(dim=1, keepdim=True)).squeeze(1)
    assert torch.equal(output.chosen.float(), vectors[best])


def test_an_order_is_nothing_but_an_order():
    """Labels named otherwise: the same chain over permuted labels gives permuted answers."""
    model, batch = small(label_ranks=RANKS)
    order = model.config.label_orders[0]
    assert [RANKS[label] for label in order] == [0, 1, 2, 3, 4]
    other = small()[0]
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        for parameter in (other.head.weight, other.head.bias):
            parameter.copy_(parameter[order])
        expected, found = model(**batch), other(**batch)
        targets = some_targets(ROWS, 6)
        torch.testing.assert_close(found.logits, expected.logits[:, order])
        assert torch.equal(found.chosen, expected.chosen[:, order])
        torch.testing.assert_close(model(**batch, labels=targets).loss, other(**batch, labels=targets[:, order]).loss)


@pytest.mark.parametrize(
    "settings",
    [
        {"decoding": "greedy"},
        {"decoding": "beam", "num_beams": 32},
        {"decoding": "sample", "num_samples": 400},
        {"decoding": "viterbi", "kernel_sizes": [4], "dilations": [1], "num_beams": 32},
    ],
    ids=str,
)
def test_other_searches_answer_too_and_find_the_mode_where_they_are_wide_enough(settings):
    model, batch = small(**settings)
    vectors, log_probs = joint(model, batch)
    with torch.no_grad():
        output = model(**batch)
        assert torch.equal(output.chosen, model(**batch).chosen)
    number = (output.chosen.long() << torch.arange(5)).sum(dim=1)
    found = log_probs[:, 0].gather(1, number[:, None]).squeeze(1)
    best = log_probs[:, 0].max(dim=1).values
    assert (found <= best + 1e-5).all()
    if settings["decoding"] != "greedy":
        torch.testing.assert_close(found, best)
    exact = log_probs[:, 0].exp() @ vectors
    torch.testing.assert_close(output.logits.sigmoid(), exact, atol=0.1 if not model.config.is_exact or settings["decoding"] == "sample" else 1e-5, rtol=0)  # fmt: skip


def test_scores_may_be_those_along_the_answered_set():
    model, batch = small(scores="decoded", label_ranks=RANKS)
    with torch.no_grad():
        output = model(**batch)
        expected = model.logits_given(output.base_logits, output.chosen)[:, 0]
    torch.testing.assert_close(output.logits, expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"known_sets": "restrict"},
        {"known_sets": "favour", "num_orders": 2},
        {"known_sets": "favour", "kernel_sizes": [4], "dilations": [1]},
        {"known_sets": "restrict", "scores": "decoded"},
        {"decoding": "sample"},
        {"decoding": "sample", "num_orders": 2},
        {"num_orders": 3},
        {"document_relations": True, "num_orders": 2},
        {"document_relations": True, "decoding": "sample"},
        {"document_relations": True, "known_sets": "favour"},
        {"document_relations": True, "scores": "decoded"},
        {"document_relations": True, "kernel_sizes": [4], "dilations": [1]},
        {"variant": "parallel", "label_mask_rate": 0.25, "scores": "decoded"},
        {"variant": "parallel", "label_mask_rate": 0.25},
    ],
    ids=str,
)
def test_what_is_explained_is_the_score_that_is_shown(settings):
    model, batch = small(num_samples=20, **settings)
    if "known_sets" in settings:
        model.known_sets.fill(pack_sets(torch.eye(5)[[0, 1, 3]]), torch.tensor([3, 2, 1]))
    chosen = torch.tensor([3, 0])
    with torch.inference_mode():  # what is kept from here must not be of this mode
        expected = model(**batch).logits[:, chosen].clone()
    fixed = model.path_inputs(**batch)
    assert all(value.ndim == 2 for value in fixed.values())
    for more in ({}, fixed):
        found = model.label_logits(chosen, **more, **batch)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        read_by = [model.head] + ([model.relations.projection] if model.config.document_relations else [])
        for gradient in torch.autograd.grad(found.sum(), [layer.weight for layer in read_by]):
            assert gradient.abs().sum() > 0


def test_the_search_is_not_kept_from_autocast_or_training():
    for settings in ({}, {"kernel_sizes": [4], "dilations": [1], "relation_dropout": 0.5, "num_samples": 5}):
        model, batch = small(known_sets="restrict", **settings)
        model.known_sets.fill(pack_sets(torch.eye(5)[[0, 1, 3]]), torch.tensor([3, 2, 1]))
        with torch.no_grad():
            expected = model(**batch).logits
            model._kept_decoder = None
            with torch.autocast("cpu", dtype=torch.bfloat16):
                model.train()(**batch)
            assert model.relations.dropout.training
            decoder = model.chain_decoder()
            torch.testing.assert_close(model.eval()(**batch).logits, expected)
            assert model.chain_decoder() is decoder


def test_the_search_is_made_anew_for_other_weights_settings_and_known_sets_only():
    model, batch = small()
    with torch.no_grad():
        before, decoder = model(**batch), model.chain_decoder()
        assert model.chain_decoder() is decoder
        model.relations.output.data.mul_(-1.0)  # a way round every counter of versions
        after = model(**batch)
        assert not torch.equal(before.logits, after.logits)
        model.relations.output.data.mul_(-1.0)
        torch.testing.assert_close(model(**batch).logits, before.logits)
        decoder = model.chain_decoder()
        model.config.decoding = "greedy"
        assert model.chain_decoder() is not decoder
        decoder = model.chain_decoder()
        model.config.label_ranks = RANKS
        assert model.chain_decoder() is not decoder
        decoder = model.chain_decoder()
        model.known_sets.fill(pack_sets(torch.eye(5)), torch.ones(5))
        assert model.chain_decoder() is decoder  # which has no use for them
        model.config.known_sets = "favour"
        decoder = model.chain_decoder()
        assert model.chain_decoder() is decoder
        model.known_sets.counts.mul_(2)
        assert model.chain_decoder() is not decoder
        decoder = model.chain_decoder()
        model.known_sets.fill(pack_sets(torch.eye(5)), torch.ones(5))
        assert model.chain_decoder() is not decoder


def test_known_sets_are_saved_with_the_model_and_restrict_the_answers(tmp_path):
    model, batch = small(known_sets="restrict")
    with pytest.raises(
        ValueError, match="`known_sets` 'restrict' needs the label sets of the training rows, found none"
    ):
        model(**batch)
    known = torch.tensor([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
    model.known_sets.fill(pack_sets(known), torch.tensor([3, 2, 1]))
    model.config.num_known_sets = 3
    log_probs = joint(model, batch)[1]
    places = (known << torch.arange(5)).sum(dim=1)
    model.save_pretrained(tmp_path)
    loaded = MsdnForMultiLabelClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        for some in (model, loaded):
            assert torch.equal(some(**batch).chosen, known[log_probs[:, 0, places].argmax(dim=1)].bool())


def test_restricted_answers_of_at_least_some_labels_are_known_sets():
    model, batch = small(known_sets="restrict", min_labels=2)
    known = torch.tensor([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 0, 0, 1]])
    model.known_sets.fill(pack_sets(known), torch.tensor([3, 2, 2, 1]))
    with torch.no_grad():
        chosen = model(**batch).chosen
    assert all(row in known[[0, 3]].tolist() for row in chosen.long().tolist())


def test_the_parallel_variant_settles_the_surest_label_first():
    model, batch = small(variant="parallel", label_mask_rate=0.25, unmasking_rounds=5, scores="decoded")
    with torch.no_grad():
        output = model(**batch)
        documents, shown = model.encoder(**batch), torch.full((6, 5), -1.0)
        settled = torch.zeros(6, 5)
        for _ in range(5):
            logits = model._refined(output.base_logits, documents, shown)[-1][:, 0]
            best = logits.abs().masked_fill(shown >= 0, -1).argmax(dim=1, keepdim=True)
            settled.scatter_(1, best, logits.gather(1, best))
            shown.scatter_(1, best, (logits.gather(1, best) > 0).float())
        torch.testing.assert_close(output.logits, settled)
        assert torch.equal(output.chosen, shown.bool())
        model.config.scores = "marginals"  # with nothing shown
        torch.testing.assert_close(model(**batch).logits, model._refined(output.base_logits, documents)[-1][:, 0])
