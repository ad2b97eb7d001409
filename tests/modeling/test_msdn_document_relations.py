"""Relations that read the document: the equation, tables of each document, known sets scored by them, what is refused."""

from __future__ import annotations

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
from hf_mlc.modeling.msdn_relations import CausalRelations
from hf_mlc.modeling.msdn_search import beam_search, sample

from .msdn_rows import ROWS, small


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


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(StrictDataclassClassValidationError, match="`document_relations` is of the causal variant"):
        MsdnConfig(input_size=5, variant="parallel", document_relations=True)
    for far in ({"dilations": [1]}, {"kernel_sizes": [11]}):
        with pytest.raises(StrictDataclassClassValidationError, match="reach 10 labels back at most"):
            MsdnConfig(input_size=5, num_labels=20, document_relations=True, known_sets="favour", **far)
