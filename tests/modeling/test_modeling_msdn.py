"""MSDN: the common tests, and its own of inputs, precision and the ends of the range."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from tests.common.msdn_tester import MsdnModelTester

from .model_tester import MultiLabelModelTesterMixin, as_padded_ids, build, some_targets
from .msdn_rows import mean_cross_entropy, small


TESTERS = (
    MsdnModelTester(encoder="mlp"),
    MsdnModelTester(encoder="convolution", num_orders=3, text_pooling="mean", scores="decoded"),
    MsdnModelTester(encoder="bag_of_words", num_orders=2, document_relations=True),
    MsdnModelTester(encoder="gru", kernel_sizes=[2], dilations=[2], num_orders=2, num_samples=20),
    MsdnModelTester(encoder="transformer", variant="parallel", label_mask_rate=0.25),
)


class TestMsdn(MultiLabelModelTesterMixin):
    testers = TESTERS

    # -- what the mixin says of one binary cross-entropy, said of the logits that the loss is of ---------------------

    def test_both_forms_of_targets_and_every_dtype_give_the_same_loss(self, tester):
        model, batch, targets = build(tester), tester.collate(tester.documents()), some_targets(tester, 4)
        with torch.no_grad():
            output = model(**batch, labels=targets)
            torch.testing.assert_close(output.loss, mean_cross_entropy(model, batch, targets, targets))
            for dtype in (torch.int64, torch.int32, torch.bool, torch.float16, torch.float64):
                assert torch.equal(model(**batch, labels=targets.to(dtype)).loss, output.loss), dtype
            assert torch.equal(model(**batch, label_ids=as_padded_ids(targets)).loss, output.loss)

    def test_unknown_cells_cost_nothing(self, tester):
        model, batch, targets = build(tester), tester.collate(tester.documents()), some_targets(tester, 4)
        unknown = targets.clone()
        unknown[0, 1] = unknown[2, 3] = -100
        with torch.no_grad():
            output = model(**batch, labels=unknown)
            # as history of other labels the model's own guess stands for the answer that nobody knows
            history = torch.where(unknown == -100, (output.base_logits > 0).float(), targets)
            torch.testing.assert_close(output.loss, mean_cross_entropy(model, batch, history, unknown))
            assert torch.equal(model(**batch, labels=unknown.long()).loss, output.loss)

    @pytest.mark.parametrize("targets", ["labels", "label_ids"])
    def test_gradient_accumulation_changes_nothing(self, tester, targets, tmp_path):
        if tester.settings.get("label_mask_rate", 1) < 1:
            pytest.skip("which labels training shows is drawn batch by batch")
        super().test_gradient_accumulation_changes_nothing(tester, targets, tmp_path)

    # -- its own ------------------------------------------------------------------------------------------------------

    def test_training_starts_at_binary_relevance(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        model = tester.model_class(tester.get_config()).eval()  # without what `prepare` puts in
        batch["labels"] = some_targets(tester, 4)
        with torch.no_grad():
            output = model(**batch)
        torch.testing.assert_close(output.logits, output.base_logits, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            output.loss, F.binary_cross_entropy_with_logits(output.base_logits, batch["labels"])
        )
        assert torch.equal(output.chosen, output.base_logits > 0)

    def test_hidden_states_are_the_embeddings_and_each_layer(self, tester):
        if tester.encoder == "mlp":
            pytest.skip("rows have no tokens")
        model, batch = build(tester), tester.collate(tester.documents())
        with torch.no_grad():
            output = model(**batch, output_hidden_states=True)
        assert len(output.hidden_states) == tester.expected_num_hidden_layers
        assert {state.shape for state in output.hidden_states} == {(4, 9, tester.hidden_size)}
        assert model(**batch).hidden_states is None

    def test_token_weights_sum_to_one_over_the_tokens_and_are_zero_on_padding(self, tester):
        model = build(tester)
        if tester.encoder == "mlp":
            assert not model.has_token_weights
            with pytest.raises(NotImplementedError):
                model.token_weights(torch.tensor([0]), **tester.collate(tester.documents()))
            return
        batch = tester.collate([*tester.documents(), ()], padding="middle")
        weights = model.token_weights(torch.tensor([4, 0]), **batch)
        assert weights.shape == (5, 2, 9)
        torch.testing.assert_close(weights[:4].sum(dim=-1), torch.ones(4, 2))
        assert (weights[(batch["attention_mask"] == 0)[:, None].expand_as(weights)] == 0).all()
        assert (weights[4] == 0).all()  # nothing to weigh

    def test_label_logits_have_gradients_and_are_those_of_the_scores(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        chosen = torch.tensor([3, 0])
        with torch.no_grad():
            expected = model(**batch).logits[:, chosen]
            fixed = model.path_inputs(**batch)
        found = model.label_logits(chosen, **fixed, **batch)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert torch.autograd.grad(found.sum(), model.head.weight)[0].abs().sum() > 0
        torch.testing.assert_close(model.label_logits(chosen, **batch), found)

    def test_inputs_of_the_other_kind_are_refused(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        other = (
            {"input_ids": torch.ones(4, 3).long()} if tester.encoder == "mlp" else {"input_features": torch.ones(4, 6)}
        )
        with pytest.raises(ValueError, match=f"'{tester.encoder}' doesn't read `{next(iter(other))}`"):
            model(**batch, **other)
        with pytest.raises(ValueError, match="give"):
            model()

    def test_a_smaller_set_than_allowed_is_filled_up_with_the_best_scores(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        with torch.no_grad():
            model.head.bias -= 20.0
            assert not model(**batch).chosen.any()
            model.config.min_labels = 2
            output = model(**batch)
            best = output.logits.topk(2, dim=1).indices
            assert torch.equal(output.chosen, torch.zeros(4, 5).scatter(1, best, 1.0).bool())
            model.head.bias += 40.0
            assert model(**batch).chosen.all()

    def test_thresholds_choose_no_sets(self, tester):
        model, batch = build(tester, decision="thresholds"), tester.collate(tester.documents())
        with torch.no_grad():
            output = model(**batch)
        assert output.chosen is None
        assert torch.equal(model.decide_output(output), output.logits.sigmoid() >= 0.5)


@pytest.mark.parametrize("variant", ["causal", "parallel"])
def test_scores_are_float32_in_a_model_of_half_precision(variant):
    model, batch = small(variant=variant)
    model = model.to(torch.bfloat16)
    with torch.no_grad():
        output = model(input_features=batch["input_features"].bfloat16())
    assert output.logits.dtype == torch.float32


def test_a_linear_layer_may_have_no_bias():
    model, _ = small()
    layer = torch.nn.Linear(3, 4, bias=False)
    model._init_weights(layer)
    assert layer.weight.abs().max() <= 3**-0.5


def test_a_model_of_tables_has_no_word_vectors():
    model, _ = small()
    with pytest.raises(NotImplementedError, match="`input_features` has no word vectors"):
        model.get_input_embeddings()


# -- the ends of the range --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["causal", "parallel"])
@pytest.mark.parametrize("num_labels", [1, 2])
def test_one_label_and_two(variant, num_labels):
    shown = {"label_mask_rate": 0.5} if variant == "parallel" else {}
    model, batch = small(num_labels=num_labels, variant=variant, **shown)
    targets = torch.ones(6, num_labels)
    model.train()(**batch, labels=targets).loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    output = model.eval()(**batch)
    assert output.logits.shape == output.chosen.shape == (6, num_labels)


@pytest.mark.parametrize("variant", ["causal", "parallel"])
def test_labels_that_no_training_row_has(variant):
    model, batch = small(variant=variant, num_orders=2)
    model.set_training_statistics(torch.tensor([0, 0, 6, 3, 0]), 6)
    targets = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0]).expand(6, 5)
    optimizer = torch.optim.Adam(model.train().parameters(), lr=1e-2)
    for _ in range(5):
        optimizer.zero_grad()
        model(**batch, labels=targets).loss.backward()
        optimizer.step()
    output = model.eval()(**batch)
    assert output.logits.isfinite().all()
    assert not output.chosen[:, [0, 1, 4]].any()


def test_many_labels_with_a_reach_beyond_tables():
    model, batch = small(num_labels=40, kernel_sizes=[2, 12], num_samples=8)
    assert not model.config.is_exact
    costs = {}
    with torch.no_grad():
        for decoding in ("greedy", "viterbi"):  # which is by beams here
            model.config.decoding = decoding
            output = model(**batch)
            logits = model.logits_given(output.base_logits, output.chosen)[:, 0]
            costs[decoding] = F.binary_cross_entropy_with_logits(logits, output.chosen.float())
    assert output.logits.shape == (6, 40)
    assert costs["viterbi"] < costs["greedy"]


def test_a_model_of_tables_needs_to_know_their_width():
    with pytest.raises(ValueError, match="`input_size` is needed by the encoder 'mlp'"):
        MsdnForMultiLabelClassification(MsdnConfig(num_labels=3))


def test_parameters_are_told_apart():
    model, _ = small()
    split = model.parameter_split()
    assert split["head"] == 33 * 5
    assert sum(split.values()) == sum(parameter.numel() for parameter in model.parameters())
