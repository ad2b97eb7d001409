"""SGM: the common tests, and its own of switches, sizes and saving."""

from __future__ import annotations

import logging

import pytest
import torch
from transformers import set_seed

from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.label_sequences import EOS, LABEL_OFFSET, PAD, sets_of_sequences
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


# -- saving ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"loss": "focal"}, "loss will change nothing"),
        ({"use_pos_weight": True, "label_smoothing": 0.1}, "use_pos_weight and label_smoothing will change nothing"),
        ({"loss": "focal", "auxiliary_weight": 0.1}, None),
        ({"sequence_loss": "set_bce", "set_bce_weight": 0.5}, "set_bce_weight will change nothing"),
        ({"set_bce_weight": 0.5}, None),
        (
            {"decision": "thresholds", "max_labels": 2},
            "max_labels: kept by every sequence that scores come from, but not",
        ),
        ({"max_labels": 2}, None),
        ({}, None),
    ],
)
def test_settings_that_change_nothing_or_less_than_one_would_think_are_told(settings, said, caplog):
    model = build(SgmModelTester(), **settings)
    with caplog.at_level(logging.WARNING):
        model.set_training_statistics(torch.ones(5), 3)
    assert said in caplog.text if said else caplog.text == ""


def test_another_number_of_labels_forgets_their_order(tmp_path):
    build(SgmModelTester(), label_ranks=[4, 3, 2, 1, 0], label_exclusions=[[0, 1]]).save_pretrained(tmp_path)
    config = SgmConfig.from_pretrained(tmp_path, num_labels=7)
    assert (config.label_ranks, config.label_exclusions, config.num_labels) == (None, None, 7)
