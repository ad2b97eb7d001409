"""SGM: the common tests, and what is its own: losses, scores, generate, ablations, saving."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import AutoModel, BertConfig, GenerationConfig, set_seed

from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.label_constraints import LabelConstraints
from hf_mlc.modeling.label_sequences import BOS, EOS, LABEL_OFFSET, PAD, sets_of_sequences
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification
from hf_mlc.modeling.text_encoder import load_pretrained_encoder
from tests.common.sgm_tester import SgmModelTester

from .model_tester import MultiLabelModelTesterMixin, as_padded_ids, build, some_targets


TESTERS = (
    SgmModelTester(encoder="lstm"),
    SgmModelTester(
        encoder="gru",
        decoder_cell="gru",
        decoder_layers=2,
        label_attention="both",
        encoder_self_attention=True,
        auxiliary_weight=0.1,
        scores="rescored",
    ),
    SgmModelTester(encoder="transformer", scores="hazard", label_context_attention=True),
    SgmModelTester(encoder="lstm", bidirectional=False, sequence_loss="alignment", auxiliary_weight=1.0, scores="auxiliary"),
)  # fmt: skip


def sequence_cost(model, batch, sequences) -> torch.Tensor:
    """`-log p` of each document's sequence, from the steps' distributions one by one."""
    memory, costs = model.encode(**batch), []
    for row, sequence in enumerate(sequences):
        one = memory.select(torch.tensor([row]))
        state, last, cost = model.decoder.initial_state(one), BOS, torch.zeros(())
        for token in sequence:
            log_probs, state = model.decoder.step(torch.tensor([last]), state, one)
            cost, last = cost - log_probs[0, token], token
        costs.append(cost)
    return torch.stack(costs)


class TestSgm(MultiLabelModelTesterMixin):
    testers = TESTERS

    # -- what the mixin says of binary cross-entropy, said of sequences ---------------------------------------------

    def test_both_forms_of_targets_and_every_dtype_give_the_same_loss(self, tester):
        model, batch, targets = build(tester), tester.collate(tester.documents()), some_targets(tester, 4)
        ids = as_padded_ids(targets)
        with torch.no_grad():
            loss = model(**batch, labels=targets).loss
            for dtype in (torch.int64, torch.int32, torch.bool, torch.float16, torch.float64):
                assert torch.equal(model(**batch, labels=targets.to(dtype)).loss, loss), dtype
            assert torch.equal(model(**batch, label_ids=ids).loss, loss)
            # a label that the data name twice, and in another order
            assert torch.equal(model(**batch, label_ids=torch.cat([ids, ids], dim=1).flip(1)).loss, loss)

    def test_unknown_cells_cost_nothing(self, tester):
        model, batch, targets = build(tester), tester.collate(tester.documents()), some_targets(tester, 4)
        unknown, emptied = targets.clone(), targets.clone()
        unknown[:, 3], emptied[:, 3] = -100, 0.0
        with torch.no_grad():
            known, other = model(**batch, labels=unknown), model(**batch, labels=emptied)
            # nothing is counted against what may be true: no probability is lost on it
            assert known.loss < other.loss
            model.decoder.output.bias[LABEL_OFFSET + 3] = 30.0  # as if the decoder insisted on it
            if model.auxiliary is not None:
                model.auxiliary.bias[3] = 30.0
            again = model(**batch, labels=unknown)
            assert again.loss.isfinite()
            # by way of the global embedding and the summary nothing of the unknown label's vector reaches the others but
            # through the label-wise encoder, whose weights it shares
            if model.config.has_label_wise_encoder:
                assert again.loss < model(**batch, labels=emptied).loss - 10
            else:
                torch.testing.assert_close(again.loss, known.loss)
            assert torch.equal(model(**batch, labels=unknown.long()).loss, again.loss)

    def test_bfloat16_forward_is_finite(self, tester):
        batch = tester.collate(tester.documents())
        batch["labels"] = some_targets(tester, 4)
        with torch.no_grad():
            plain = build(tester)(**batch)
            output = build(tester).to(torch.bfloat16)(**batch)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                autocast = build(tester)(**batch)
        for found in (output, autocast):
            assert found.logits.isfinite().all()
            assert found.loss.dtype == torch.float32
            # which sequences a search finds may hang on the last bit; what given ones cost doesn't
            torch.testing.assert_close(found.loss, plain.loss, atol=0.05, rtol=0.05)

    # -- its own ------------------------------------------------------------------------------------------------------

    def test_without_a_mask_the_padding_token_is_the_mask(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        batch["input_ids"] = batch["input_ids"] * batch["attention_mask"]  # padding is token 0
        with torch.no_grad():
            torch.testing.assert_close(model(batch["input_ids"]).logits, model(**batch).logits)

    def test_word_vectors_in_place_of_ids_give_the_same_logits(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        vectors = model.get_input_embeddings()(batch["input_ids"])
        with torch.no_grad():
            found = model(inputs_embeds=vectors, attention_mask=batch["attention_mask"]).logits
            torch.testing.assert_close(found, model(**batch).logits)
        with pytest.raises(ValueError, match="exactly one of `input_ids` and `inputs_embeds`"):
            model(**batch, inputs_embeds=vectors)

    def test_hidden_states_are_the_embeddings_and_each_layer(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        with torch.no_grad():
            output = model(**batch, output_hidden_states=True)
        assert len(output.hidden_states) == tester.expected_num_hidden_layers
        assert {state.shape for state in output.hidden_states} == {(4, 9, tester.hidden_size)}
        assert model(**batch).hidden_states is None

    def test_sequences_on_demand_are_those_of_the_search(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        with torch.no_grad():
            assert model(**batch).sequences is None
            output = model(**batch, output_sequences=True)
        found = model.find_sequences(batch)
        assert torch.equal(output.sequences, found.sequences_BKT)
        assert torch.equal(output.sequence_scores, found.scores_BK)
        assert (output.auxiliary_logits is not None) == model.config.has_auxiliary_head
        for row, labels in enumerate(model.label_sequences(batch)):
            ids = [label + LABEL_OFFSET for label in labels] + [EOS]
            assert any(ids == [t for t in sequence if t != PAD] for sequence in output.sequences[row].tolist())

    def test_generate_finds_what_the_own_search_finds(self, tester):
        model, documents = build(tester), tester.documents()
        batch = tester.collate(documents, extra=2)
        found = model.find_sequences(batch, num_beams=4)
        generated = model.generate(
            **batch, num_beams=4, num_return_sequences=4, return_dict_in_generate=True, output_scores=True
        )
        torch.testing.assert_close(generated.sequences_scores.view(4, 4), found.scores_BK)
        own = sets_of_sequences(found.sequences_BKT.flatten(0, 1), 5)
        assert torch.equal(sets_of_sequences(generated.sequences[:, 1:], 5), own)
        for ids, expected in zip(
            generated.sequences[:, 1:].tolist(), found.sequences_BKT.flatten(0, 1).tolist(), strict=True
        ):
            assert ids[: ids.index(EOS)] == expected[: expected.index(EOS)]

    def test_scores_of_generated_sequences_are_their_log_probabilities(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        found = model.find_sequences(batch)
        for beam in range(3):
            scores = model.sequence_log_probs(batch, found.sequences_BKT[:, beam])
            torch.testing.assert_close(scores, found.scores_BK[:, beam])

    def test_no_sequence_repeats_a_label_whatever_the_search(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        with torch.no_grad():  # as if the decoder always wanted the same two labels, and never the end
            model.decoder.output.bias[[LABEL_OFFSET, LABEL_OFFSET + 1]] += 8.0
            model.decoder.output.bias[EOS] -= 4.0
        set_seed(0)
        ways = (
            model.generate(**batch, num_beams=1),
            model.generate(**batch, num_beams=4, num_return_sequences=4),
            model.generate(**batch, do_sample=True, top_k=0, num_return_sequences=8),
            model.generate(**batch, do_sample=True, num_beams=3, num_return_sequences=3),
            model.generate(**batch, num_beams=1, use_cache=False),
            model.find_sequences(batch, num_beams=6).sequences_BKT.flatten(0, 1),
        )
        for sequences in ways:
            for ids in sequences.tolist():
                labels = [token for token in ids if token >= LABEL_OFFSET]
                assert len(labels) == len(set(labels)) > 1

    def test_token_weights_sum_to_one_over_the_tokens_and_are_zero_on_padding(self, tester):
        model = build(tester)
        batch = tester.collate([*tester.documents(), ()], padding="middle")
        if not model.has_token_weights:
            with pytest.raises(NotImplementedError, match="without label-wise attention"):
                model.token_weights(torch.tensor([4, 0]), **batch)
            return
        weights = model.token_weights(torch.tensor([4, 0]), **batch)
        assert weights.shape == (5, 2, 9)
        torch.testing.assert_close(weights[:4].sum(dim=-1), torch.ones(4, 2))
        assert (weights[(batch["attention_mask"] == 0)[:, None].expand_as(weights)] == 0).all()
        assert (weights[4] == 0).all()  # nothing to weigh

    def test_logits_of_chosen_labels_have_gradients_down_to_the_words(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        vectors = model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_()
        logits = model.label_logits(
            torch.tensor([2, 0]), inputs_embeds=vectors, attention_mask=batch["attention_mask"]
        )
        logits.sum().backward()
        assert logits.shape == (4, 2)
        text = batch["attention_mask"].bool()
        assert (vectors.grad[text].abs().sum(dim=-1) > 0).all()
        assert (vectors.grad[~text] == 0).all()

    @pytest.mark.filterwarnings("ignore:.gradient_checkpointing_enable. is deprecated")  # the name before 5.2x
    def test_activation_checkpointing_changes_no_gradient(self, tester):
        batch, targets = tester.collate(tester.documents()), some_targets(tester, 4)
        plain, recomputed = build(tester).train(), build(tester).train()
        recomputed.gradient_checkpointing_enable()
        for model in (plain, recomputed):
            model(**batch, labels=targets).loss.backward()
        for (name, one), other in zip(plain.named_parameters(), recomputed.parameters(), strict=True):
            torch.testing.assert_close(other.grad, one.grad, msg=lambda m, n=name: f"{n}: {m}")


# -- losses -----------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_sequences_negative_log_probability_in_the_order_of_the_ranks():
    tester = SgmModelTester()
    batch = tester.collate(tester.documents())
    targets = torch.tensor([[1, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [1, 0, 1, 1, 0]])
    # rank of labels 0 ... 4; so the order is 3, 0, 4, 2, 1
    model = build(tester, label_ranks=[1, 4, 3, 0, 2], label_order="given")
    by_hand = [[3, 7, 4, EOS], [EOS], [6, EOS], [6, 3, 5, EOS]]  # label l is l + 3
    with torch.no_grad():
        expected = sequence_cost(model, batch, by_hand)
        torch.testing.assert_close(model(**batch, labels=targets).loss, expected.mean())
        found = model(**batch, labels=targets, num_items_in_batch=16).loss
        torch.testing.assert_close(found, expected.sum() / 16)


def test_ranks_that_were_not_given_are_the_labels_numbers_and_random_ones_change_in_training_only():
    tester = SgmModelTester()
    batch, targets = tester.collate(tester.documents()), torch.ones(4, 5)
    model = build(tester, label_order="random")
    with torch.no_grad():
        evaluated = model(**batch, labels=targets).loss
        torch.testing.assert_close(evaluated, sequence_cost(model, batch, [[3, 4, 5, 6, 7, EOS]] * 4).mean())
        model.train()
        losses = {round(model(**batch, labels=targets).loss.item(), 6) for _ in range(8)}
    assert len(losses) > 1


@pytest.mark.parametrize("order", ["frequency", "random"])
@pytest.mark.parametrize("loss", ["sequence_ce", "ocd", "alignment", "set_bce"])
def test_an_id_that_is_no_label_is_refused_in_the_same_words_by_every_loss(loss, order):
    tester = SgmModelTester(sequence_loss=loss, label_order=order)
    batch, model = tester.collate(tester.documents()), build(tester).train()
    with pytest.raises(ValueError, match=r"`label_ids` must lie in 0 ... 4 \(negative: none\), found 5"):
        model(**batch, label_ids=torch.tensor([[0], [-100], [5], [4]]))


def test_the_order_is_made_a_tensor_once_and_again_when_it_changes():
    tester = SgmModelTester()
    batch, targets = tester.collate(tester.documents()), torch.ones(4, 5)
    model = build(tester, label_ranks=[0, 1, 2, 3, 4])
    names = set(model.state_dict())
    with torch.no_grad():
        model(**batch, labels=targets)
        kept = model._kept_ranks[1]
        model(**batch, labels=targets)
        assert model._kept_ranks[1] is kept and set(model.state_dict()) == names
        model.config.label_ranks.reverse()  # in place
        found = model(**batch, labels=targets).loss
        torch.testing.assert_close(found, sequence_cost(model, batch, [[7, 6, 5, 4, 3, EOS]] * 4).mean())


def test_the_auxiliary_heads_loss_is_added_as_a_sum_over_labels():
    tester = SgmModelTester()
    batch, targets = tester.collate(tester.documents()), some_targets(tester, 4)
    plain, joint = build(tester, auxiliary_weight=1e-9), build(tester, auxiliary_weight=0.25)
    with torch.no_grad():
        logits = joint(**batch, output_sequences=True).auxiliary_logits
        cells = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        expected = plain(**batch, labels=targets).loss + 0.25 * cells.sum(dim=1).mean()
        torch.testing.assert_close(joint(**batch, labels=targets).loss, expected)
        for reduction in ("mean", "sum"):
            joint.config.loss_reduction = reduction
            torch.testing.assert_close(joint(**batch, labels=targets).loss, expected)


LOSSES = (
    {"sequence_loss": "sequence_ce"},
    {"sequence_loss": "ocd"},
    {"sequence_loss": "alignment", "label_order": "dynamic"},
    {"sequence_loss": "alignment", "alignment": "minimal"},
    {"sequence_loss": "set_bce"},
    {"sequence_loss": "sequence_ce", "set_bce_weight": 0.5, "auxiliary_weight": 0.1},
    {"sequence_loss": "ocd", "set_bce_weight": 0.5},
    {"sequence_loss": "sequence_ce", "repeat_mask": False},
)


@pytest.mark.parametrize("settings", LOSSES, ids=lambda settings: "-".join(map(str, settings.values())))
def test_every_loss_teaches_the_sets_of_a_toy_problem(settings):
    tester = SgmModelTester(num_hidden_layers=1, **settings)
    model, batch = build(tester).train(), tester.collate(tester.documents())
    targets = torch.tensor([[1, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [1, 0, 1, 1, 0]])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
    losses = []
    for _ in range(40):
        loss = model(**batch, labels=targets).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])  # the order-free target can't fall below its own entropy
    written = [sorted(set(labels)) for labels in model.label_sequences(batch)]
    assert written == [[0, 1, 4], [], [3], [0, 2, 3]]
    with torch.no_grad():
        assert torch.equal(model(**batch).logits > 0, targets.bool())


def test_the_order_free_targets_of_evaluation_are_not_random():
    tester = SgmModelTester(sequence_loss="ocd", ocd_sample_rate=1.0)
    model, batch, targets = build(tester), tester.collate(tester.documents()), some_targets(tester, 4)
    with torch.no_grad():
        assert len({model(**batch, labels=targets).loss.item() for _ in range(4)}) == 1
        model.train()
        assert len({model(**batch, labels=targets).loss.item() for _ in range(4)}) > 1


def test_training_makes_no_search_and_its_logits_are_of_the_teachers_sequence():
    tester = SgmModelTester()
    model, batch = build(tester).train(), tester.collate(tester.documents())
    output = model(**batch, labels=torch.eye(5)[:4], output_sequences=False)
    assert output.sequences is None
    assert output.logits.shape == (4, 5)
    assert not output.logits.requires_grad
    assert model(**batch).logits.shape == (4, 5)  # without targets there is no teacher


# -- scores -------------------------------------------------------------------------------------------------------------


def test_beam_scores_are_the_shares_of_the_found_probability():
    tester = SgmModelTester()
    model, batch = build(tester, num_beams=4), tester.collate(tester.documents())
    with torch.no_grad():
        output = model(**batch, output_sequences=True)
    weights = output.sequence_scores.softmax(dim=1)
    for row in range(4):
        in_any = set()
        for label in range(5):
            holds = (output.sequences[row] == label + LABEL_OFFSET).any(dim=1)
            expected = weights[row][holds].sum().item()
            found = output.logits[row, label].sigmoid().item()
            if holds.any():
                in_any.add(label)
                assert found == pytest.approx(min(expected, 1 - 1e-6), abs=1e-5)
        others = [output.logits[row, label].item() for label in set(range(5)) - in_any]
        if in_any and others:
            assert max(others) < min(output.logits[row, label].item() for label in in_any)


@pytest.mark.parametrize("scores", ["beam", "hazard", "auxiliary"])
def test_the_sequences_shown_are_those_of_the_sets_that_are_answered(scores):
    tester, differs = SgmModelTester(auxiliary_weight=0.1, min_labels=1, max_labels=3, embedding_std=2.0), 0
    batch = tester.collate(tester.documents(8))
    for seed in range(8):
        set_seed(seed)
        model = SgmForMultiLabelClassification(tester.get_config(scores=scores, num_beams=12)).eval()
        answers = {}
        for decision in ("sequence", "expected_f1"):
            model.config.decision = decision
            with torch.no_grad():
                chosen = model(**batch).chosen
            answers[decision] = [row.nonzero().flatten().tolist() for row in chosen]
            assert [sorted(labels) for labels in model.label_sequences(batch)] == answers[decision]
            assert model.sequence_trace(**batch).label_lists() == model.label_sequences(batch)
        differs += answers["sequence"] != answers["expected_f1"]
        model.config.decision = "thresholds"
        assert [sorted(labels) for labels in model.label_sequences(batch)] == answers["sequence"]
    assert differs


def test_hazard_scores_are_the_chance_of_being_written_along_the_greedy_sequence():
    tester = SgmModelTester(scores="hazard")
    model, batch = build(tester), tester.collate(tester.documents(1))
    greedy = model.label_sequences(batch, num_beams=1)[0]
    with torch.no_grad():
        logits = model(**batch).logits
        memory = model.encode(**batch)
        state, alive, missed = model.decoder.initial_state(memory), 1.0, torch.ones(5)
        for last in [BOS, *(label + LABEL_OFFSET for label in greedy)]:
            log_probs, state = model.decoder.step(torch.tensor([last]), state, memory)
            missed = missed * (1 - alive * log_probs[0, LABEL_OFFSET:].exp())
            alive = alive * (1 - log_probs[0, EOS].exp())
    torch.testing.assert_close(logits[0].sigmoid(), 1 - missed, atol=1e-5, rtol=1e-4)


def test_auxiliary_scores_are_the_heads_and_rescoring_follows_it_with_its_weight():
    tester = SgmModelTester(auxiliary_weight=0.1, num_beams=16)
    batch = tester.collate(tester.documents())
    auxiliary, beam = build(tester, scores="auxiliary"), build(tester, scores="beam")
    rescored, unweighted = build(tester, scores="rescored"), build(tester, scores="rescored", rescoring_weight=0)
    with torch.no_grad():
        head = auxiliary(**batch, output_sequences=True)
        assert torch.equal(head.logits, head.auxiliary_logits)
        torch.testing.assert_close(unweighted(**batch).logits, beam(**batch).logits)
        rescored.auxiliary.bias[2] = 50.0  # the head is sure of label 2
        assert (rescored(**batch).logits[:, 2] > 10).all()


# -- search, its rules and its bias -------------------------------------------------------------------------------------


def test_the_rules_of_the_configuration_hold_in_both_searches():
    tester = SgmModelTester(
        min_labels=2, max_labels=3, label_parents=[[], [0], [], [1], []], label_exclusions=[[2, 4]]
    )
    model, batch = build(tester), tester.collate(tester.documents())
    rules = LabelConstraints.from_config(model.config)
    found = model.find_sequences(batch, num_beams=6).sequences_BKT.flatten(0, 1)
    generated = model.generate(**batch, num_beams=6, num_return_sequences=6)[:, 1:]
    set_seed(0)
    sampled = model.generate(**batch, do_sample=True, top_k=0, num_return_sequences=20)[:, 1:]
    for sequences in (found, generated, sampled):
        assert rules.keeps(sets_of_sequences(sequences, 5)).all()
        for ids in sequences.tolist():
            labels = [token - LABEL_OFFSET for token in ids[: ids.index(EOS)]]
            assert 2 <= len(labels) <= 3
            assert 1 not in labels or labels.index(0) < labels.index(1)
            assert 3 not in labels or labels.index(1) < labels.index(3)
    scores = model.find_sequences(batch, num_beams=6).scores_BK
    other = model.generate(
        **batch, num_beams=6, num_return_sequences=6, return_dict_in_generate=True, output_scores=True
    )
    torch.testing.assert_close(other.sequences_scores.view(4, 6), scores)


def test_rules_of_one_call_are_kept_too():
    tester = SgmModelTester()
    model, batch = build(tester), tester.collate(tester.documents())
    sequences = model.generate(**batch, constraints=LabelConstraints(5, min_labels=4, max_labels=4))
    assert (sets_of_sequences(sequences[:, 1:], 5).sum(dim=1) == 4).all()


def test_a_generation_config_gives_the_answers_of_the_same_words_given_one_by_one():
    tester = SgmModelTester()
    batch = tester.collate(tester.documents())
    model = build(tester, num_labels=30, end_bias=1.0)  # longer than the 20 steps of transformers
    settings = {"num_return_sequences": 4, "return_dict_in_generate": True, "output_scores": True}
    expected = model.generate(**batch, num_beams=4, **settings)
    assert expected.sequences.shape[1] > 22
    for given in ({}, {"max_length": 20, "length_penalty": 1.0}):
        config = GenerationConfig(num_beams=4, **settings, **given)
        before = config.to_dict()
        found = model.generate(**batch, generation_config=config)
        assert torch.equal(found.sequences, expected.sequences)
        torch.testing.assert_close(found.sequences_scores, expected.sequences_scores)
        assert config.to_dict() == before
    short = GenerationConfig(num_beams=4, max_new_tokens=2, num_return_sequences=4)
    assert model.generate(**batch, generation_config=short).shape == (16, 3)
    rules = LabelConstraints(30, max_labels=2)
    config = GenerationConfig(num_beams=4)
    found = model.generate(**batch, generation_config=config, constraints=rules)
    assert torch.equal(found, model.generate(**batch, num_beams=4, constraints=rules))


def test_an_end_bias_makes_sets_larger_in_both_searches_alike():
    tester = SgmModelTester()
    model, batch = build(tester), tester.collate(tester.documents())
    sizes = []
    for bias in (-20.0, 0.0, 20.0):
        model.config.end_bias = bias
        sizes.append([len(labels) for labels in model.label_sequences(batch, num_beams=1)])
        generated = model.generate(**batch, num_beams=1)[:, 1:]
        assert sets_of_sequences(generated, 5).sum(dim=1).tolist() == sizes[-1]
    assert sizes[0] == [0] * 4
    assert sizes[2] == [5] * 4


# -- switches -------------------------------------------------------------------------------------------------------------


def names_of(**settings) -> set[str]:
    return set(build(SgmModelTester(), **settings).state_dict())


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"encoder_self_attention": True}, "encoder.self_attention."),
        ({"label_context_attention": True}, "decoder.label_context."),
        ({"label_attention": "decoder"}, "decoder.label_context."),
        ({"label_attention": "encoder"}, "auxiliary."),
        ({"auxiliary_weight": 0.1}, "auxiliary."),
        ({"decoder_layers": 2}, "decoder.cells.1."),
    ],
)
def test_a_switch_adds_the_parameters_of_its_part_and_no_others(settings, part):
    added = names_of(**settings) - names_of()
    assert added
    assert all(name.startswith(part) for name in added)
    assert not names_of() - names_of(**settings)


def test_switches_that_take_parameters_away():
    plain = names_of()
    assert plain - names_of(global_embedding=False) == {
        f"decoder.global_embedding.{name}" for name in ("hard.weight", "hard.bias", "soft.weight")
    }
    assert plain - names_of(global_embedding_scale=0.5) == plain - names_of(global_embedding=False)
    assert all(".behind." in name for name in plain - names_of(bidirectional=False))
    assert plain == names_of(repeat_mask=False)
    lstm, gru = build(SgmModelTester()), build(SgmModelTester(), decoder_cell="gru")
    assert lstm.decoder.cells[0].weight_hh.shape == (4 * 32, 32)
    assert gru.decoder.cells[0].weight_hh.shape == (3 * 32, 32)


def test_sizes_of_their_own_for_every_part():
    model = build(
        SgmModelTester(),
        decoder_size=24,
        label_embedding_size=20,
        attention_size=12,
        embedding_size=10,
        label_attention="both",
    )
    assert model.decoder.label_embeddings.weight.shape == (8, 20)
    assert model.decoder.cells[0].weight_ih.shape == (4 * 24, 20 + 32)
    assert model.decoder.attention.query.weight.shape == (12, 24)
    assert model.get_input_embeddings().weight.shape == (40, 10)
    tester = SgmModelTester()
    assert model(**tester.collate(tester.documents())).logits.shape == (4, 5)


def test_training_statistics_start_the_read_out_at_the_shares_of_what_is_written():
    model = build(SgmModelTester())
    model.set_training_statistics(torch.tensor([0, 1, 2, 5, 10]), 10)
    # half a document more a label, so that no share is zero: 20.5 labels and 10 ends are written in all
    shares = model.decoder.output.bias[EOS:].exp().tolist()
    assert shares == pytest.approx([10 / 30.5, 0.5 / 30.5, 1.5 / 30.5, 2.5 / 30.5, 5.5 / 30.5, 10.5 / 30.5])


def test_a_pretrained_backbone_gives_its_weights_to_the_encoder(tmp_path):
    from transformers import BertModel

    set_seed(1)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 37}
    bert = BertModel(BertConfig(vocab_size=40, max_position_embeddings=64, **sizes)).eval()
    bert.save_pretrained(tmp_path)
    tester = SgmModelTester(encoder="transformer")
    model = build(tester, text_config=BertConfig.from_pretrained(tmp_path))
    load_pretrained_encoder(model.encoder, str(tmp_path))
    batch = tester.collate(tester.documents())
    with torch.no_grad():
        expected = bert(**batch).last_hidden_state
        found = model(**batch, output_hidden_states=True).hidden_states[-1]
    text = batch["attention_mask"].bool()
    torch.testing.assert_close(found[text], expected[text])


def test_eager_and_fused_attention_of_the_backbone_agree():
    tester = SgmModelTester(encoder="transformer")
    model, batch = build(tester), tester.collate([*tester.documents(), ()])
    with torch.no_grad():
        model.set_attn_implementation("eager")
        eager = model(**batch, output_attentions=True)
        model.set_attn_implementation("sdpa")
        assert model.encoder.backbone.config._attn_implementation == "sdpa"
        fused = model(**batch)
    torch.testing.assert_close(fused.logits, eager.logits, atol=1e-4, rtol=1e-4)
    assert [tuple(weights.shape) for weights in eager.attentions] == [(5, 2, 9, 9)] * 2


# -- images ---------------------------------------------------------------------------------------------------------------

VIT = {
    "model_type": "vit",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 37,
}
VISION = (
    {},
    {"vision_config": {**VIT, "image_size": 16, "patch_size": 8}},
    {"vision_config": {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}},
    {"backbone_config": {**VIT, "model_type": "vitdet", "image_size": 16, "patch_size": 8, "out_features": ["stage1"]}},
    {"backbone_config": {"model_type": "convnext", "hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "out_features": ["stage2"]}},
)  # fmt: skip


@pytest.mark.parametrize("settings", VISION, ids=["default", "vit", "resnet", "vitdet", "convnext"])
def test_images_are_read_by_any_backbone_or_vision_model(settings, tmp_path):
    tester = SgmModelTester(encoder="image")
    model = build(tester, **settings)
    pixels = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0]])
    with torch.no_grad():
        logits = model(pixel_values=pixels).logits
        alone = torch.cat([model(pixel_values=pixels[row : row + 1]).logits for row in range(3)])
    torch.testing.assert_close(logits, alone, atol=1e-4, rtol=1e-4)
    assert model.generate(pixel_values=pixels).shape[0] == 3
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded(pixel_values=pixels).logits, logits)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = model(pixel_values=pixels, labels=targets).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    with pytest.raises(ValueError, match="give `pixel_values`"):
        model(input_ids=torch.ones(1, 2, dtype=torch.long))


# -- saving ---------------------------------------------------------------------------------------------------------------


def test_the_label_vocabulary_of_generate_is_saved_and_the_texts_stays(tmp_path):
    model = build(SgmModelTester(), pad_token_id=7)
    model.save_pretrained(tmp_path)
    loaded = SgmForMultiLabelClassification.from_pretrained(tmp_path)
    assert loaded.config.pad_token_id == 7
    assert loaded.config.vocab_size == 40
    assert loaded.config.get_text_config(decoder=True).vocab_size == 8
    ids = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
    assert [getattr(loaded.generation_config, name) for name in ids] == [0, 1, 2, 1]
    tester = SgmModelTester()
    batch = tester.collate(tester.documents())
    assert torch.equal(loaded.generate(**batch), model.generate(**batch))


def test_another_number_of_labels_forgets_their_order(tmp_path):
    build(SgmModelTester(), label_ranks=[4, 3, 2, 1, 0], label_exclusions=[[0, 1]]).save_pretrained(tmp_path)
    config = SgmConfig.from_pretrained(tmp_path, num_labels=7)
    assert (config.label_ranks, config.label_exclusions, config.num_labels) == (None, None, 7)


def test_more_probable_sequences_come_first_and_probabilities_sum_to_one():
    # all 326 sequences of five labels: the sum over k of 5! / (5 - k)!
    model = build(SgmModelTester())
    tester = SgmModelTester()
    batch = tester.collate(tester.documents(2))
    scores = model.find_sequences(batch, num_beams=326).scores_BK
    assert scores.isfinite().sum(dim=1).tolist() == [326, 326]
    assert (scores.diff(dim=1) <= 0).all()
    torch.testing.assert_close(scores.exp().sum(dim=1), torch.ones(2))
    assert math.isclose(sum(math.perm(5, k) for k in range(6)), 326)


@pytest.mark.filterwarnings("ignore:The tensor attributes")  # of torch's recurrent networks, in every export
def test_the_auxiliary_head_can_be_exported_and_a_search_can_not():
    tester = SgmModelTester(encoder="transformer", auxiliary_weight=0.1)
    batch = tester.collate(tester.documents())
    model = build(tester, scores="auxiliary", decision="thresholds")
    exported = torch.export.export(model, (), kwargs=batch, strict=False).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(**batch).logits, model(**batch).logits)
    with pytest.raises(ValueError, match=r"can't be exported: .* found 'beam' and 'sequence'"):
        torch.export.export(build(tester), (), kwargs=batch, strict=False)
