"""Relations that read the document: the equation, tables of each document, known sets scored by them, what is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import set_seed

from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.msdn_chain import TableChain, WindowChain, log_probabilities
from hf_mlc.modeling.msdn_decoding import ChainDecoder, OrderedChain
from hf_mlc.modeling.msdn_document_chain import DocumentChain
from hf_mlc.modeling.msdn_exact import forward_marginals, viterbi
from hf_mlc.modeling.msdn_known_sets import KnownSets, SetScorer, pack_sets
from hf_mlc.modeling.msdn_relations import CausalRelations, table_of_states
from hf_mlc.modeling.msdn_search import beam_search, sample

from .msdn_rows import ROWS, joint, small


LABELS, DOCUMENTS = 6, 5
VECTORS_VL = (torch.arange(2**LABELS)[:, None] >> torch.arange(LABELS) & 1).bool()


def relations(**settings) -> tuple[CausalRelations, torch.Tensor]:
    """Relations that say something, and documents `(B, H)`."""
    set_seed(0)
    config = MsdnConfig(
        **{"num_labels": LABELS, "hidden_size": 4, "channels": 3, "kernel_sizes": [1, 3]} | settings,
        document_relations=True,
    )
    found = CausalRelations(config).eval().requires_grad_(False)
    torch.nn.init.normal_(found.output)
    return found, torch.randn(DOCUMENTS, 4) * 3


def test_the_document_is_added_to_each_channel_before_the_relu():
    reading, documents_BH = relations(num_orders=2)
    history_BML = torch.randint(2, (DOCUMENTS, 2, LABELS)).float()
    added_BMD = reading.added_by_documents(documents_BH)
    found_BML = reading(history_BML, added_BMD=added_BMD)
    embeddings_MLe = reading.label_embeddings
    for document in range(DOCUMENTS):
        for order in range(2):
            answers_L = history_BML[document, order]
            signal = [
                torch.cat([torch.tensor([2 * answer - 1, 1.0]), answer * vector])
                for answer, vector in zip(answers_L, embeddings_MLe[order], strict=True)
            ]
            for j in range(LABELS):
                maps = []
                for convolution in reading.convolutions:
                    value_C = convolution.bias[order].clone()
                    for tap in range(convolution.kernel_size):
                        place = j - convolution.kernel_size + tap
                        if place >= 0:
                            value_C = value_C + convolution.weight[order, :, :, tap] @ signal[place]
                    maps.append(value_C)
                rows = slice(order * 6, (order + 1) * 6)  # of two convolutions with 3 channels
                added_D = reading.projection.weight[rows] @ documents_BH[document] + reading.projection.bias[rows]
                expected = reading.output[order, j] @ torch.relu(torch.cat(maps) + added_D)
                torch.testing.assert_close(found_BML[document, order, j], expected)


@pytest.mark.parametrize("settings", [{}, {"kernel_sizes": [2], "dilations": [2]}], ids=str)
def test_the_chain_of_documents_gives_each_its_own_relation(settings):
    reading, documents_BH = relations(**settings)
    added_BD = reading.added_by_documents(documents_BH)[:, 0]
    chain = DocumentChain(reading, 0, has_table=not settings).of_documents(added_BD)
    assert isinstance(chain, WindowChain if settings else TableChain)
    labels_BCL = VECTORS_VL[::5].expand(DOCUMENTS, -1, -1)
    expected_BCL = torch.stack(
        [
            reading(labels_CL[:, None].float(), added_BMD=added_1D.expand(len(labels_CL), 1, -1))[:, 0]
            for labels_CL, added_1D in zip(labels_BCL, added_BD[:, None], strict=True)
        ]
    )
    assert not torch.allclose(expected_BCL[0], expected_BCL[1])
    torch.testing.assert_close(chain.of(labels_BCL.flatten(0, 1)).view(labels_BCL.shape), expected_BCL)
    torch.testing.assert_close(
        chain.of_rows(slice(2, 4)).of(labels_BCL[2:4].flatten(0, 1)), expected_BCL[2:4].flatten(0, 1)
    )
    state = chain.start(DOCUMENTS * labels_BCL.shape[1], documents_BH.device)
    for position in range(LABELS):
        torch.testing.assert_close(chain.logits(position, state), expected_BCL[..., position].flatten())
        state = chain.advance(position, state, labels_BCL[..., position].flatten())
    assert chain.of_rows(slice(0, 0)).logits(0, chain.start(0, documents_BH.device)).shape == (0,)


def test_searches_find_in_blocks_what_each_document_has_alone():
    reading, documents_BH = relations()
    chain = DocumentChain(reading, 0, has_table=True).of_documents(reading.added_by_documents(documents_BH)[:, 0])
    logits_BL, table_BLS = torch.randn(DOCUMENTS, LABELS), chain.table_LS
    log_probs_BV = log_probabilities(logits_BL, chain, VECTORS_VL.expand(DOCUMENTS, -1, -1))
    for block_bytes in (None, 1):
        labels_BL, best_B = viterbi(logits_BL, table_BLS, block_bytes=block_bytes)
        assert torch.equal(labels_BL, VECTORS_VL[log_probs_BV.argmax(dim=1)])
        torch.testing.assert_close(best_B, log_probs_BV.amax(dim=1))
        torch.testing.assert_close(
            forward_marginals(logits_BL, table_BLS, block_bytes=block_bytes).sigmoid(),
            log_probs_BV.exp() @ VECTORS_VL.float(),
        )
        drawn = sample(logits_BL, chain, num_samples=50, block_bytes=block_bytes)
        torch.testing.assert_close(drawn.log_probs_BN, log_probabilities(logits_BL, chain, drawn.labels_BNL))
    beams = beam_search(logits_BL, chain, num_beams=2**LABELS)
    torch.testing.assert_close(beams.log_probs_BK, log_probs_BV.sort(dim=1, descending=True).values)


def test_known_sets_are_scored_by_each_documents_own_table():
    reading, documents_BH = relations()
    maker = DocumentChain(reading, 0, has_table=True)
    chain = maker.of_documents(reading.added_by_documents(documents_BH)[:, 0])
    sets_SL, logits_BL = VECTORS_VL[torch.randperm(2**LABELS)[:30]], torch.randn(DOCUMENTS, LABELS)
    expected_BS = log_probabilities(logits_BL, chain, sets_SL.expand(DOCUMENTS, -1, -1))
    for cells in (2**20, LABELS * 7):
        scorer = SetScorer(maker, sets_SL, cells_a_block=cells)
        torch.testing.assert_close(scorer(logits_BL, chain), expected_BS)


def test_answers_are_the_same_in_small_blocks_of_documents():
    reading, documents_BH = relations(num_orders=2)
    chains = [OrderedChain(DocumentChain(reading, 0, has_table=True), range(LABELS))]
    chains.append(OrderedChain(DocumentChain(reading, 1, has_table=True), torch.randperm(LABELS)))
    known = KnownSets(0, LABELS)
    known.fill(pack_sets(VECTORS_VL[[3, 9, 40]]), torch.tensor([3, 2, 1]))
    logits_BL, added_BMD = torch.randn(DOCUMENTS, LABELS), reading.added_by_documents(documents_BH)
    for known_sets in ("off", "restrict", "favour"):
        decoder = ChainDecoder(chains, known=known, known_sets=known_sets)
        whole, blocks = decoder(logits_BL, added_BMD), decoder(logits_BL, added_BMD, block_bytes=1)
        torch.testing.assert_close(blocks.logits_BL, whole.logits_BL)
        assert torch.equal(blocks.chosen_BL, whole.chosen_BL)
        assert decoder(logits_BL[:0], added_BMD[:0]).chosen_BL.shape == (0, LABELS)


@pytest.mark.parametrize("reads", [False, True])
def test_what_documents_add_is_neither_forgotten_nor_given_for_nothing(reads):
    model, batch = small(document_relations=reads)
    output = model(**batch)
    assert (output.relation_inputs is not None) == reads
    wrong = None if reads else torch.zeros(6, 1, model.relations.output.shape[2])
    with pytest.raises(ValueError, match=r"relations that read the document \(`document_relations`\) need"):
        model.logits_given(output.base_logits, torch.zeros(6, 5), wrong)
    with pytest.raises(ValueError, match="`added_BMD` is of relations that read the document, found"):
        model.chain_decoder()(output.base_logits, wrong)


def test_relations_learn_to_read_the_document():
    # two columns: the first is noise, the second says whether label 1 repeats label 0 or contradicts it
    set_seed(0)
    rows_BP = torch.randn(512, 2).sign()
    first_B = torch.rand(512) < 0.5
    targets_BL = torch.stack([first_B, first_B ^ (rows_BP[:, 1] > 0)], dim=1).float()
    wrong = {}
    for reads in (False, True):
        set_seed(0)
        config = ROWS.get_config(num_labels=2, kernel_sizes=[1], document_relations=reads, hidden_size=16)
        config.input_size = 2
        model = ROWS.model_class(config).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(150):
            optimizer.zero_grad()
            model(input_features=rows_BP, labels=targets_BL).loss.backward()
            optimizer.step()
        with torch.no_grad():
            output = model.eval()(input_features=rows_BP)
            given_BL = model.logits_given(output.base_logits, targets_BL, output.relation_inputs)[:, 0]
        wrong[reads] = ((given_BL[:, 1] > 0) != targets_BL[:, 1].bool()).float().mean().item()
    assert wrong[True] < 0.01 and wrong[False] > 0.3


@pytest.mark.parametrize("settings", [{}, {"kernel_sizes": [2], "dilations": [2]}], ids=str)
def test_half_precision_and_autocast_decode_and_explain(settings):
    model, batch = small(document_relations=True, num_orders=2, scores="decoded", decoding="greedy", **settings)
    chosen = torch.tensor([3, 0])
    with torch.no_grad():
        expected = model(**batch).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(model(**batch).logits, expected, atol=0.1, rtol=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model.label_logits(chosen, **model.path_inputs(**batch), **batch)
    torch.testing.assert_close(found.detach().float(), expected[:, chosen], atol=0.1, rtol=0.1)
    halved = {name: value.to(torch.bfloat16) for name, value in batch.items()}
    model.to(torch.bfloat16)
    torch.testing.assert_close(model(**halved).logits.float(), expected, atol=0.2, rtol=0.1)
    assert model(**halved).chosen.shape == (6, 5)


@torch.enable_grad()
def test_what_is_kept_is_no_view_of_a_weight_that_changes():
    model, batch = small(document_relations=True)
    targets = torch.ones(6, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(**batch)
    model(**batch, labels=targets).loss.backward()
    optimizer.step()
    again = copy.deepcopy(model)
    assert torch.equal(again(**batch).logits, model(**batch).logits)
    # the same numbers written anew: the search is kept, and must still be explained
    model.load_state_dict(again.state_dict())
    chosen = torch.tensor([2])
    found = model.label_logits(chosen, **batch)
    torch.testing.assert_close(found, again(**batch).logits[:, chosen], atol=1e-5, rtol=1e-5)
    assert torch.autograd.grad(found.sum(), model.relations.projection.weight)[0].abs().sum() > 0


def test_gradients_of_tables_made_in_blocks_are_those_of_the_whole(monkeypatch):
    reading, documents_BH = relations()
    maker = DocumentChain(reading, 0, has_table=True)
    added_BD = reading.added_by_documents(documents_BH)[:, 0].requires_grad_()
    weights_BLS = torch.randn(DOCUMENTS, LABELS, 8)
    whole_BD = torch.autograd.grad(
        (table_of_states(maker.sums, maker.output_LD, added_BD) * weights_BLS).sum(), added_BD
    )[0]
    monkeypatch.setattr("hf_mlc.modeling.msdn_chain.BLOCK_BYTES", 1)
    table_BLS = maker.of_documents(added_BD).table_LS
    torch.testing.assert_close(torch.autograd.grad((table_BLS * weights_BLS).sum(), added_BD)[0], whole_BD)


def test_the_highest_expected_f1_is_found_over_each_documents_own_relation():
    model, batch = small(document_relations=True, decision="expected_f1", num_samples=300)
    vectors_VL, log_probs_BMV = joint(model, batch)
    probs_BV = log_probs_BMV[:, 0].exp()
    both_VV = vectors_VL @ vectors_VL.T
    sizes_V = vectors_VL.sum(dim=1)
    f1_VV = torch.where((sizes_V[:, None] + sizes_V) > 0, 2 * both_VV / (sizes_V[:, None] + sizes_V).clamp(min=1), 1.0)
    expected_BV = probs_BV @ f1_VV
    numbers_B = (model(**batch).chosen * 2 ** torch.arange(5)).sum(dim=1, keepdim=True)
    assert (expected_BV.amax(dim=1) - expected_BV.gather(1, numbers_B).squeeze(1)).max() < 0.05


def test_known_sets_asked_for_later_need_tables_too():
    model, batch = small(document_relations=True, kernel_sizes=[2], dilations=[1], num_known_sets=1)
    model.known_sets.fill(pack_sets(torch.eye(5)[:1]), torch.tensor([3]))
    model.config.known_sets = "favour"
    with pytest.raises(
        ValueError, match=r"`known_sets` 'favour' with relations that read the document .* needs tables"
    ):
        model(**batch)


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(StrictDataclassClassValidationError, match="`document_relations` is of the causal variant"):
        MsdnConfig(input_size=5, variant="parallel", document_relations=True)
    for far in ({"dilations": [1]}, {"kernel_sizes": [11]}):
        with pytest.raises(StrictDataclassClassValidationError, match="reach 10 labels back at most"):
            MsdnConfig(input_size=5, num_labels=20, document_relations=True, known_sets="favour", **far)
