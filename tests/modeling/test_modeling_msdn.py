"""MSDN: the common tests, and what is its own: the chain, orders, losses, answers, both variants."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.msdn_known_sets import pack_sets
from tests.common.msdn_tester import MsdnModelTester

from .model_tester import MultiLabelModelTesterMixin, as_padded_ids, build, some_targets


TESTERS = (
    MsdnModelTester(encoder="mlp"),
    MsdnModelTester(encoder="convolution", num_orders=3, text_pooling="mean", scores="decoded"),
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


def mean_cross_entropy(model, batch, history, targets) -> torch.Tensor:
    """The loss in so many words: of all orders, of all steps, over the cells whose target is known."""
    with torch.no_grad():
        output = model(**batch)
        if model.config.variant == "causal":
            steps = [model.logits_given(output.base_logits, history)]
        else:
            refined = model._refined(output.base_logits, model.encoder(**batch))
            steps = [output.base_logits[:, None], *refined]
        cells = [
            F.binary_cross_entropy_with_logits(logits[:, order], targets.clamp(min=0), reduction="none")
            for logits in steps
            for order in range(logits.shape[1])
        ]
        # each step counts the same, however many orders it has
        weights = [1 / logits.shape[1] / len(steps) for logits in steps for _ in range(logits.shape[1])]
        return sum(weight * (cell * (targets >= 0)).mean() for weight, cell in zip(weights, cells, strict=True))


# -- answers, by the sum over all label vectors -----------------------------------------------------------------------

ROWS = MsdnModelTester(encoder="mlp")
RANKS = [3, 0, 4, 1, 2]


def small(**settings) -> tuple[MsdnForMultiLabelClassification, dict[str, torch.Tensor]]:
    """A model of table rows with relations that say something, and rows."""
    return build(ROWS, **settings), ROWS.collate(ROWS.documents(6))


def joint(model, batch) -> tuple[torch.Tensor, torch.Tensor]:
    """All 2^L label vectors `(V, L)` and their log-probabilities `(B, M, V)` in each order, a product of conditionals."""
    num_labels = model.config.num_labels
    vectors = (torch.arange(2**num_labels)[:, None] >> torch.arange(num_labels) & 1).float()
    with torch.no_grad():
        base = model(**batch).base_logits
        parts = []
        for vector in vectors:
            logits = model.logits_given(base, vector.expand_as(base))
            parts.append(
                -F.binary_cross_entropy_with_logits(logits, vector.expand_as(logits), reduction="none").sum(2)
            )
    return vectors, torch.stack(parts, dim=2)


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


@pytest.mark.parametrize("num_orders", [1, 2])
def test_no_logit_of_the_loss_sees_its_own_target_or_those_behind_it(num_orders):
    ranks = [RANKS, [1, 4, 0, 2, 3]][:num_orders]
    model, batch = small(num_orders=num_orders, label_ranks=ranks, dilations=[2])
    base = model(**batch).base_logits[:1].detach()
    sees = torch.zeros(num_orders, 5, 5, dtype=torch.bool)
    for seed in range(4):
        answers = torch.rand(1, 5, generator=torch.Generator().manual_seed(seed))
        jacobian = torch.autograd.functional.jacobian(lambda some: model.logits_given(base, some), answers)
        sees |= jacobian[0, :, :, 0] != 0
    for order, places in enumerate(ranks):
        for label in range(5):
            for other in range(5):
                assert sees[order, label, other] == (places[other] < places[label]), (label, other)


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
        assert torch.autograd.grad(found.sum(), model.head.weight)[0].abs().sum() > 0


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


# -- losses -----------------------------------------------------------------------------------------------------------


def test_smoothing_and_positive_weights_change_the_loss_and_never_the_history():
    for settings in ({"label_smoothing": 0.2}, {"use_pos_weight": True}, {"loss": "focal"}):
        model, batch = small(**settings)
        model.set_training_statistics(torch.tensor([1, 2, 3, 4, 5]), 10)
        targets = some_targets(ROWS, 6)
        with torch.no_grad():
            output = model(**batch, labels=targets)
            logits = model.logits_given(output.base_logits, targets)[:, 0]
            torch.testing.assert_close(output.loss, model.compute_loss(logits, labels=targets))


def test_in_training_the_logits_are_those_of_the_true_history_and_the_gradient_passes_through_them():
    model, batch = small(num_orders=2)
    targets = some_targets(ROWS, 6)
    output = model.train()(**batch, labels=targets)
    assert output.chosen is None
    torch.testing.assert_close(output.logits, model.logits_given(output.base_logits, targets).mean(dim=1))


def test_a_false_history_is_the_models_own_guess_in_training_alone():
    model, batch = small(false_history_rate=1.0)
    targets = some_targets(ROWS, 6)
    output = model.train()(**batch, labels=targets)
    guesses = (output.base_logits > 0).float()
    assert not torch.equal(guesses, targets)
    torch.testing.assert_close(output.logits, model.logits_given(output.base_logits, guesses)[:, 0])
    output = model.eval()(**batch, labels=targets)
    torch.testing.assert_close(output.loss, mean_cross_entropy(model, batch, targets, targets))
    model.config.false_history_rate = 0.5
    losses = {model.train()(**batch, labels=targets).loss.item() for _ in range(5)}
    assert len(losses) > 1


def test_shown_labels_cost_nothing_and_are_shown_in_training_alone():
    model, batch = small(variant="parallel", label_mask_rate=0.25)
    targets = some_targets(ROWS, 6)
    targets[5, 2] = -100
    seen = []
    refined = model._refined
    model._refined = lambda base, documents, shown=None: seen.append(shown) or refined(base, documents, shown)
    for _ in range(40):
        output = model.train()(**batch, labels=targets)
    shown = torch.stack(seen)
    assert ((shown == -1) | (shown == targets)).all()
    assert (shown[:, 5, 2] == -1).all()
    share = (shown == -1).float().mean()
    assert 0.55 < share < 0.7  # the mean of an even draw between 0.25 and 1, a bit more by the unknown cell
    hidden = targets.masked_fill(seen[-1] >= 0, -100)
    steps = refined(output.base_logits, model.encoder(**batch), seen[-1])
    losses = [model.compute_loss(output.base_logits, labels=targets)]
    losses += [model.compute_loss(logits[:, 0], labels=hidden) for logits in steps]
    torch.testing.assert_close(output.loss, torch.stack(losses).mean())
    seen.clear()
    model.eval()(**batch, labels=targets)
    assert seen[0] is None


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
