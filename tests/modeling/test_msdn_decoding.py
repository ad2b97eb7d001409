"""Decoding over one chain or several: against brute force over all label vectors; and the model that calls it."""

from __future__ import annotations

import math

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.msdn_chain import TableChain, WindowChain
from hf_mlc.modeling.msdn_decoding import ChainDecoder, OrderedChain, expected_f1_choice
from hf_mlc.modeling.msdn_known_sets import KnownSets, pack_sets
from hf_mlc.modeling.msdn_search import FoundLabels, beam_search, sample

from .label_chains import added_by, random_chain
from .ordered_chains import L, Orders


@pytest.mark.parametrize("seed", range(4))
def test_one_order_is_answered_with_its_mode_and_its_marginals_in_the_users_order(seed):
    orders = Orders(1, seed=seed)
    answer = ChainDecoder(orders.chains)(orders.logits_BL)
    assert torch.equal(answer.chosen_BL, orders.best(orders.log_probs_MBV[0]))
    torch.testing.assert_close(answer.log_probs_B.double(), orders.log_probs_MBV[0].amax(dim=1), atol=1e-5, rtol=1e-5)
    expected_BL = orders.log_probs_MBV[0].exp() @ orders.vectors_VL.double()
    torch.testing.assert_close(answer.logits_BL.sigmoid().double(), expected_BL, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_several_orders_with_full_beams_have_the_best_mean_log_probability(seed):
    orders = Orders(3, seed=seed)
    answer = ChainDecoder(orders.chains, decoding="beam", num_beams=2**L)(orders.logits_BL)
    mean_BV = orders.log_probs_MBV.mean(dim=0)
    assert torch.equal(answer.chosen_BL, orders.best(mean_BV))
    torch.testing.assert_close(answer.log_probs_B.double(), mean_BV.amax(dim=1), atol=1e-5, rtol=1e-5)
    expected_BL = orders.log_probs_MBV.exp().mean(dim=0) @ orders.vectors_VL.double()
    torch.testing.assert_close(answer.logits_BL.sigmoid().double(), expected_BL, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("decoding", ["viterbi", "greedy", "beam", "sample"])
def test_of_several_orders_the_candidate_that_all_together_like_best_wins(decoding):
    orders = Orders(3, seed=7)
    answer = ChainDecoder(orders.chains, decoding=decoding, num_beams=2, num_samples=5)(orders.logits_BL)
    mean_BV = orders.log_probs_MBV.mean(dim=0)
    alone = [
        ChainDecoder([chain], decoding=decoding, num_beams=2, num_samples=5, seed=m)(orders.logits_BL).chosen_BL
        for m, chain in enumerate(orders.chains)
    ]
    weights = 2 ** torch.arange(L)
    found_B = mean_BV.gather(1, (answer.chosen_BL * weights).sum(dim=1, keepdim=True)).squeeze(1)
    for one_BL in alone:  # each order's own best is a candidate
        of_one_B = mean_BV.gather(1, (one_BL * weights).sum(dim=1, keepdim=True)).squeeze(1)
        assert (found_B >= of_one_B - 1e-6).all()
    torch.testing.assert_close(answer.log_probs_B.double(), found_B, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_orders", [1, 3])
@pytest.mark.parametrize("settings", [{"known_sets": "restrict"}, {"known_sets": "restrict", "decoding": "sample"}])
def test_restricted_answers_are_the_best_of_the_list(num_orders, settings):
    orders = Orders(num_orders, seed=8, num_documents=20)
    known, numbers_S, _ = orders.known()
    answer = ChainDecoder(orders.chains, known=known, **settings)(orders.logits_BL)
    of_list_MBS = orders.log_probs_MBV[:, :, numbers_S]
    best_B = of_list_MBS.mean(dim=0).argmax(dim=1)
    assert torch.equal(answer.chosen_BL, orders.vectors_VL[numbers_S[best_B]])
    weights_BS = of_list_MBS.exp().mean(dim=0)
    expected_BL = (weights_BS / weights_BS.sum(dim=1, keepdim=True)) @ orders.vectors_VL[numbers_S].double()
    torch.testing.assert_close(answer.logits_BL.sigmoid().double(), expected_BL, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("weight", [0.3, 1.0, 4.0])
def test_favoured_answers_are_the_best_of_all_vectors_with_the_known_ones_raised(weight):
    orders = Orders(1, seed=9, num_documents=40)
    known, numbers_S, counts_S = orders.known()
    answer = ChainDecoder(orders.chains, known=known, known_sets="favour", known_set_weight=weight)(orders.logits_BL)
    raised_BV = orders.log_probs_MBV[0].clone()
    raised_BV[:, numbers_S] += weight * (1 + counts_S.double()).log()
    assert torch.equal(answer.chosen_BL, orders.best(raised_BV))
    expected_BL = raised_BV.softmax(dim=1) @ orders.vectors_VL.double()
    torch.testing.assert_close(answer.logits_BL.sigmoid().double(), expected_BL, atol=1e-5, rtol=1e-4)
    is_known_B = (answer.chosen_BL[:, None] == known.sets_SL).all(dim=2).any(dim=1)
    assert is_known_B.any()
    if weight < 1:
        assert not is_known_B.all()


def test_favouring_by_nothing_is_off():
    orders = Orders(2, seed=10)
    known, *_ = orders.known()
    off = ChainDecoder(orders.chains)(orders.logits_BL)
    favoured = ChainDecoder(orders.chains, known=known, known_sets="favour", known_set_weight=0)(orders.logits_BL)
    assert torch.equal(off.chosen_BL, favoured.chosen_BL) and torch.equal(off.logits_BL, favoured.logits_BL)


def test_decoded_scores_are_the_logits_along_the_answered_set():
    orders = Orders(2, seed=11)
    answer = ChainDecoder(orders.chains, scores="decoded")(orders.logits_BL)
    expected_BL = orders.logits_BL.clone()
    for table, order in zip(orders.tables, orders.orders, strict=True):
        expected_BL[:, order] += added_by(table, answer.chosen_BL[:, order]) / 2
    torch.testing.assert_close(answer.logits_BL, expected_BL)


def test_greedy_answers_agree_with_the_signs_of_their_decoded_scores():
    orders = Orders(1, seed=12)
    answer = ChainDecoder(orders.chains, decoding="greedy", scores="decoded")(orders.logits_BL)
    assert torch.equal(answer.chosen_BL, answer.logits_BL > 0)


SETTINGS = [
    {"decoding": "viterbi"},
    {"decoding": "greedy", "scores": "decoded"},
    {"decoding": "beam", "num_beams": 3},
    {"decoding": "sample", "num_samples": 9},
    {"known_sets": "restrict"},
    {"known_sets": "favour"},
    {"decision": "expected_f1", "num_samples": 20},
    {"decision": "expected_f1", "known_sets": "restrict"},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("num_orders", [1, 2])
def test_a_document_by_itself_and_small_blocks_give_the_same(settings, num_orders):
    orders = Orders(num_orders, seed=13, num_documents=6)
    decoder = ChainDecoder(orders.chains, known=orders.known()[0], **settings)
    whole = decoder(orders.logits_BL)
    for parts in (
        decoder(orders.logits_BL, block_bytes=1),
        [torch.cat(p) for p in zip(*(decoder(row_L[None]) for row_L in orders.logits_BL), strict=True)],
    ):
        for found, expected in zip(parts, whole, strict=True):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS)
def test_marginals_without_sets_are_the_same(settings):
    orders = Orders(2, seed=18)
    decoder = ChainDecoder(orders.chains, known=orders.known()[0], **settings)
    alone, whole = decoder(orders.logits_BL, with_sets=False), decoder(orders.logits_BL)
    assert torch.equal(alone.logits_BL, whole.logits_BL)
    # scores along an answered set need the set
    assert (alone.chosen_BL is None) == (settings.get("scores") != "decoded")


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_document_has_no_answer(settings):
    orders = Orders(2, seed=14)
    decoder = ChainDecoder(orders.chains, known=orders.known()[0], **settings)
    answer = decoder(orders.logits_BL[:0])
    assert answer.chosen_BL.shape == answer.logits_BL.shape == (0, L)


def test_where_there_is_no_table_beams_take_viterbis_place_and_samples_the_marginals(caplog):
    orders = Orders(1, seed=15)
    table_LS, order_L = orders.tables[0], orders.orders[0]
    window = OrderedChain(WindowChain(lambda labels_NL: added_by(table_LS, labels_NL), L), order_L)
    answer = ChainDecoder([window], num_beams=2**L, num_samples=300)(orders.logits_BL)
    exact = ChainDecoder(orders.chains)(orders.logits_BL)
    assert torch.equal(answer.chosen_BL, exact.chosen_BL)
    # 300 samples: five standard errors of at most 1 / (2 sqrt(300))
    assert ((answer.logits_BL.sigmoid() - exact.logits_BL.sigmoid()).abs() < 5 / (2 * 300**0.5)).all()


def test_unknown_settings_and_a_missing_list_are_refused():
    chains = Orders(1).chains
    with pytest.raises(ValueError, match=r"must be one of greedy, viterbi, .* found 'best'"):
        ChainDecoder(chains, decoding="best")
    for known in (None, KnownSets(0, L)):
        with pytest.raises(ValueError, match="train --model_name_or_path OUT --known_sets favour"):
            ChainDecoder(chains, known=known, known_sets="favour")


def test_a_large_weight_of_known_sets_gives_finite_scores():
    orders = Orders(2, seed=20)
    known, *_ = orders.known()
    for decision in ("sets", "expected_f1"):
        settings = {"known_sets": "favour", "decision": decision}
        answer = ChainDecoder(orders.chains, known=known, known_set_weight=500.0, **settings)(orders.logits_BL)
        assert answer.logits_BL.isfinite().all()
        assert all((known.sets_SL == row).all(dim=1).any() for row in answer.chosen_BL)


@pytest.mark.parametrize("decision", ["sets", "expected_f1"])
def test_known_sets_that_are_too_small_are_not_answered(decision):
    orders = Orders(1, seed=21, num_documents=20)
    known, *_ = orders.known()
    settings = {"known": known, "known_sets": "restrict", "decision": decision}
    free, kept = (
        ChainDecoder(orders.chains, min_labels=least, **settings)(orders.logits_BL).chosen_BL for least in (0, 4)
    )
    assert (free.sum(dim=1) < 4).any() and (kept.sum(dim=1) >= 4).all()
    assert all((known.sets_SL == row).all(dim=1).any() for row in kept)
    with pytest.raises(ValueError, match=r"finds no known set of 8 labels \(`min_labels`\) or more"):
        ChainDecoder(orders.chains, min_labels=8, **settings)


# -- what answers which metric ------------------------------------------------------------------------------------------


def test_each_choice_is_the_best_of_all_sets_for_its_metric():
    chain = random_chain(6, 3, seed=16, num_documents=30)
    probs_BV, vectors_VL = chain.log_probs_BV.exp(), chain.vectors_VL.double()
    found = beam_search(chain.logits_BL, chain.table_LS, num_beams=64)
    shared_VV = vectors_VL @ vectors_VL.T
    sizes_V = vectors_VL.sum(dim=1)
    total_VV = sizes_V[:, None] + sizes_V
    f1_VV = torch.where(total_VV > 0, 2 * shared_VV / total_VV.clamp(min=1), 1.0)
    wrong_VV = total_VV - 2 * shared_VV
    numbers = lambda labels_BL: (labels_BL * 2 ** torch.arange(6)).sum(dim=1, keepdim=True)  # noqa: E731

    of_f1_B = (probs_BV @ f1_VV).gather(1, numbers(expected_f1_choice(found))).squeeze(1)
    torch.testing.assert_close(of_f1_B, (probs_BV @ f1_VV).amax(dim=1), atol=1e-5, rtol=1e-5)
    marginal_log_odds_BL = torch.logit(chain.marginals_BL)
    of_hamming_B = (probs_BV @ wrong_VV).gather(1, numbers(marginal_log_odds_BL > 0)).squeeze(1)
    torch.testing.assert_close(of_hamming_B, (probs_BV @ wrong_VV).amin(dim=1))
    # and they are three different answers
    mode_B1, f1_B1, hamming_B1 = (
        numbers(labels_BL)
        for labels_BL in (found.labels_BKL[:, 0], expected_f1_choice(found), marginal_log_odds_BL > 0)
    )
    assert (mode_B1 != hamming_B1).any() and (f1_B1 != hamming_B1).any() and (mode_B1 != f1_B1).any()


def expected_f1s(probs_BV, vectors_VL):
    """Expected F1 of answering each document with each vector, `(B, V)`."""
    vectors_VL = vectors_VL.double()
    total_VV = vectors_VL.sum(dim=1)[:, None] + vectors_VL.sum(dim=1)
    shared_VV = vectors_VL @ vectors_VL.T
    return probs_BV @ torch.where(total_VV > 0, 2 * shared_VV / total_VV.clamp(min=1), 1.0)


@pytest.mark.parametrize("num_orders", [1, 3])
@pytest.mark.parametrize("known_sets", ["off", "favour", "restrict"])
def test_answers_of_the_highest_expected_f1(num_orders, known_sets):
    orders = Orders(num_orders, seed=19, num_documents=25)
    known, numbers_S, counts_S = orders.known()
    decoder = ChainDecoder(
        orders.chains,
        decision="expected_f1",
        num_samples=400,
        known=known,
        known_sets=known_sets,
        known_set_weight=0.5,
    )
    answer = decoder(orders.logits_BL)
    weights_BV = orders.log_probs_MBV.exp().mean(dim=0)
    if known_sets == "favour":
        weights_BV[:, numbers_S] *= (1 + counts_S.double()) ** 0.5
    elif known_sets == "restrict":
        weights_BV[:, [v for v in range(2**L) if v not in numbers_S.tolist()]] = 0
    values_BV = expected_f1s(weights_BV / weights_BV.sum(dim=1, keepdim=True), orders.vectors_VL)
    numbers_B1 = (answer.chosen_BL * 2 ** torch.arange(L)).sum(dim=1, keepdim=True)
    if known_sets == "restrict":  # nothing else may be answered
        values_BV[:, [v for v in range(2**L) if v not in numbers_S.tolist()]] = 0
    misses_B = values_BV.amax(dim=1) - values_BV.gather(1, numbers_B1).squeeze(1)
    # from samples the best set is found but for near ties; a list of 12 sets is looked through whole
    assert misses_B.max() < (1e-6 if known_sets == "restrict" else 0.03)
    mode_B1 = (ChainDecoder(orders.chains)(orders.logits_BL).chosen_BL * 2 ** torch.arange(L)).sum(1, keepdim=True)
    assert (values_BV.amax(dim=1) - values_BV.gather(1, mode_B1).squeeze(1)).mean() > 3 * misses_B.mean()
    log_probs_BV = orders.log_probs_MBV.mean(dim=0)
    torch.testing.assert_close(
        answer.log_probs_B.double(), log_probs_BV.gather(1, numbers_B1).squeeze(1), atol=1e-5, rtol=1e-5
    )
    # how sets are chosen changes no score
    other = ChainDecoder(orders.chains, known=known, known_sets=known_sets, known_set_weight=0.5)(orders.logits_BL)
    assert torch.equal(answer.logits_BL, other.logits_BL)


def test_drawn_sets_count_each_the_same():
    chain = random_chain(5, 2, seed=17)
    drawn = sample(chain.logits_BL, chain.table_LS, num_samples=50)
    for document in range(3):
        vectors, counts = drawn.labels_BNL[document].unique(dim=0, return_counts=True)
        merged = FoundLabels(vectors[None], (counts / 50).log()[None])
        assert torch.equal(expected_f1_choice(merged)[0], expected_f1_choice(drawn)[document])


def test_the_mean_of_orders_is_of_probabilities_not_of_logits():
    # two orders without relations but for one label: P = .9 and .5, mean .7
    logits_BL = torch.tensor([[0.0, 1.0]])
    nine = math.log(9)
    chains = [
        OrderedChain(TableChain(torch.tensor([[nine, torch.nan], [0.0, 0.0]])), [0, 1]),
        OrderedChain(TableChain(torch.tensor([[0.0, torch.nan], [0.0, 0.0]])), [1, 0]),
    ]
    found_BL = ChainDecoder(chains)(logits_BL).logits_BL.sigmoid()
    torch.testing.assert_close(found_BL[0, 0], torch.tensor(0.7))


# -- the model ----------------------------------------------------------------------------------------------------------


def msdn(**settings) -> MsdnForMultiLabelClassification:
    """A model whose relations say something: they start at 0."""
    torch.manual_seed(settings.pop("seed", 0))
    model = MsdnForMultiLabelClassification(
        MsdnConfig(**{"num_labels": L, "input_size": 5, "hidden_size": 12, "kernel_sizes": [1, 3]} | settings)
    ).eval()
    if model.config.variant == "causal":
        torch.nn.init.normal_(model.relations.output, std=0.7)
    torch.nn.init.normal_(model.head.weight, std=0.7)
    return model


def rows(number: int = 9) -> dict[str, torch.Tensor]:
    return {"input_features": torch.randn(number, 5, generator=torch.Generator().manual_seed(1))}


@torch.no_grad()
def all_log_probs(model, batch) -> torch.Tensor:
    """log P of all 2^L vectors under each order, `(M, B, V)`, from the logits that training has."""
    output = model(**batch)
    base_BL, by_vector = output.base_logits, []
    for number in range(2**L):
        answers_BL = (torch.full((len(base_BL), 1), number) >> torch.arange(L) & 1).float()
        signs_B1L = (2 * answers_BL - 1)[:, None]
        logits_BML = model.logits_given(base_BL, answers_BL, output.relation_inputs)
        by_vector.append(torch.nn.functional.logsigmoid(signs_B1L * logits_BML).sum(dim=2))
    return torch.stack(by_vector).permute(2, 1, 0).double()


VECTORS_VL = (torch.arange(2**L)[:, None] >> torch.arange(L) & 1).bool()


@pytest.mark.parametrize("order", [None, [3, 0, 6, 1, 2, 5, 4]])
@pytest.mark.parametrize(
    "settings", [{}, {"kernel_sizes": [2, 7]}, {"kernel_sizes": [40]}, {"document_relations": True}], ids=str
)
def test_the_model_answers_with_the_mode_and_the_marginals_of_its_own_conditionals(order, settings):
    model, batch = msdn(label_ranks=order, **settings), rows()
    output, log_probs_BV = model(**batch), all_log_probs(model, batch)[0]
    torch.testing.assert_close(log_probs_BV.logsumexp(dim=1), torch.zeros(9).double(), atol=1e-4, rtol=0)
    assert torch.equal(output.chosen, VECTORS_VL[log_probs_BV.argmax(dim=1)])
    expected_BL = log_probs_BV.exp() @ VECTORS_VL.double()
    torch.testing.assert_close(output.logits.sigmoid().double(), expected_BL, atol=1e-5, rtol=1e-4)
    assert (output.chosen != (output.base_logits > 0)).any()


@pytest.mark.parametrize("reads", [False, True])
def test_the_model_votes_over_its_orders(reads):
    model, batch = msdn(num_orders=3, decoding="beam", num_beams=2**L, document_relations=reads), rows()
    output, log_probs_MBV = model(**batch), all_log_probs(model, batch)
    assert torch.equal(output.chosen, VECTORS_VL[log_probs_MBV.mean(dim=0).argmax(dim=1)])
    expected_BL = log_probs_MBV.exp().mean(dim=0) @ VECTORS_VL.double()
    torch.testing.assert_close(output.logits.sigmoid().double(), expected_BL, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("reads", [False, True])
def test_dilated_relations_are_searched_by_their_window(reads):
    search = {"decoding": "beam", "num_beams": 2**L, "num_samples": 400}
    model, batch = msdn(kernel_sizes=[2], dilations=[1, 3], document_relations=reads, **search), rows()
    assert model.relations.reach == 6
    output, log_probs_BV = model(**batch), all_log_probs(model, batch)[0]
    assert torch.equal(output.chosen, VECTORS_VL[log_probs_BV.argmax(dim=1)])
    expected_BL = log_probs_BV.exp() @ VECTORS_VL.double()
    assert ((output.logits.sigmoid() - expected_BL).abs() < 5 / (2 * 400**0.5)).all()


@pytest.mark.parametrize("decoding", ["greedy", "viterbi", "beam", "sample"])
@pytest.mark.parametrize("known_sets", ["off", "restrict", "favour"])
@pytest.mark.parametrize("reads", [False, True])
def test_answers_follow_settings_that_are_changed_after_training(decoding, known_sets, reads):
    model, batch = msdn(num_known_sets=6, document_relations=reads), rows(30)
    known, numbers_S, counts_S = Orders(1).known(number=6)
    model.known_sets.fill(known.packed, known.counts)
    model(**batch)  # what is kept from one call to the next must not answer for another setting
    model.config.decoding, model.config.known_sets, model.config.known_set_weight = decoding, known_sets, 0.7
    log_probs_BV = all_log_probs(model, batch)[0]
    chosen_B = (model(**batch).chosen * 2 ** torch.arange(L)).sum(dim=1)
    if known_sets == "restrict":
        assert torch.equal(chosen_B, numbers_S[log_probs_BV[:, numbers_S].argmax(dim=1)])
        return
    raised_BV = log_probs_BV.clone()
    if known_sets == "favour":
        raised_BV[:, numbers_S] += 0.7 * (1 + counts_S.double()).log()
    found_B = raised_BV.gather(1, chosen_B[:, None]).squeeze(1)
    misses_B = raised_BV.amax(dim=1) - found_B
    assert misses_B.mean() < 0.1 if decoding != "greedy" else misses_B.mean() < 0.5
    if decoding == "viterbi":
        assert misses_B.max() < 1e-4
    if known_sets == "favour":
        assert (found_B >= raised_BV[:, numbers_S].amax(dim=1) - 1e-4).all()


def test_a_changed_weight_or_known_set_is_not_answered_from_what_was_kept():
    model, batch = msdn(known_sets="restrict", num_known_sets=2), rows()
    vectors = VECTORS_VL[[5, 90]]
    model.known_sets.fill(pack_sets(vectors), torch.tensor([2, 1]))
    assert set(map(tuple, model(**batch).chosen.tolist())) <= set(map(tuple, vectors.tolist()))
    other = VECTORS_VL[[17, 33]]
    model.known_sets.fill(pack_sets(other), torch.tensor([2, 1]))
    assert set(map(tuple, model(**batch).chosen.tolist())) <= set(map(tuple, other.tolist()))
    model.config.known_sets = "off"
    before = model(**batch).logits
    with torch.no_grad():
        model.relations.output.neg_()
    after = model(**batch)
    assert not torch.allclose(after.logits, before)
    log_probs_BV = all_log_probs(model, batch)[0]
    assert torch.equal(after.chosen, VECTORS_VL[log_probs_BV.argmax(dim=1)])


def test_known_sets_are_saved_with_the_model(tmp_path):
    model, batch = msdn(known_sets="restrict"), rows()
    known, *_ = Orders(1).known(number=9)
    model.known_sets.fill(known.packed, known.counts)
    model.config.num_known_sets = 9
    model.save_pretrained(tmp_path)
    loaded = MsdnForMultiLabelClassification.from_pretrained(tmp_path)
    assert torch.equal(loaded.known_sets.packed, known.packed) and torch.equal(loaded.known_sets.counts, known.counts)
    assert torch.equal(loaded(**batch).chosen, model(**batch).chosen)


def test_the_surest_label_first_is_what_the_parallel_variant_answers():
    model, batch = msdn(variant="parallel", label_mask_rate=0.3, scores="decoded", unmasking_rounds=L), rows(4)
    for parameter in (*model.relations.output.parameters(), model.relations.label_embeddings):
        torch.nn.init.normal_(parameter)
    with torch.no_grad():
        output = model(**batch)
        documents_BH = model.encoder.encode(**batch).vector
        shown_BL, settled_BL = torch.full((4, L), -1.0), torch.zeros(4, L)
        for _ in range(L):
            logits_BL = model._refined(output.base_logits, documents_BH, shown_BL)[-1].mean(dim=1)
            for row in range(4):
                hidden = [label for label in range(L) if shown_BL[row, label] < 0]
                surest = max(hidden, key=lambda label: abs(float(logits_BL[row, label])))
                settled_BL[row, surest] = logits_BL[row, surest]
                shown_BL[row, surest] = float(logits_BL[row, surest] > 0)
    torch.testing.assert_close(output.logits, settled_BL)
    assert torch.equal(output.chosen, settled_BL > 0)


def test_the_model_can_answer_with_the_highest_expected_f1():
    model, batch = msdn(decision="expected_f1", num_samples=400), rows(20)
    output, probs_BV = model(**batch), all_log_probs(model, batch)[0].exp()
    values_BV = expected_f1s(probs_BV, VECTORS_VL)
    found_B = values_BV.gather(1, (output.chosen * 2 ** torch.arange(L)).sum(dim=1, keepdim=True)).squeeze(1)
    assert (values_BV.amax(dim=1) - found_B).max() < 0.03
    model.config.decision = "sets"
    assert torch.equal(model(**batch).logits, output.logits) and not torch.equal(model(**batch).chosen, output.chosen)
    with pytest.raises(StrictDataclassClassValidationError, match="'expected_f1' is of the causal variant"):
        MsdnConfig(input_size=5, variant="parallel", decision="expected_f1")
