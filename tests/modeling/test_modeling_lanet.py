"""LANET: the common tests, and what is its own: folding, both forms, prefixes, popular tokens, attention, losses."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from hf_mlc.modeling.event_time import log_buckets
from hf_mlc.modeling.modeling_lanet import LanetForMultiLabelClassification
from tests.common.lanet_tester import LanetModelTester

from .model_tester import MultiLabelModelTesterMixin, as_padded_ids, build, some_targets


TESTERS = (
    LanetModelTester(num_amount_bins=3, num_users=3),
    LanetModelTester(time_encoding="log_bucket", num_popular_tokens=2, num_amount_bins=3, uses_target_time=True),
    LanetModelTester(causal=True, look_back=None, time_encoding="sinusoid", label_bias=False),
    LanetModelTester(causal=True, num_popular_tokens=2, num_users=3, uses_target_time=True, num_amount_bins=3),
    LanetModelTester(attention_keys="history", num_users=3, num_amount_bins=3),
    LanetModelTester(attention_keys="history", causal=True, num_popular_tokens=2, look_back=None),
    LanetModelTester(label_attention=False, time_encoding="none", num_users=3, uses_target_time=True),
    LanetModelTester(norm_first=True, label_units=True),
    LanetModelTester(norm_first=True, label_units=True, num_popular_tokens=2, causal=True),
)


class TestLanet(MultiLabelModelTesterMixin):
    testers = TESTERS

    def test_hidden_states_are_the_tokens_and_each_layers_outputs(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        with torch.no_grad():
            output = model(**batch, output_hidden_states=True)
            assert model(**batch).hidden_states is None
        config = model.config
        assert len(output.hidden_states) == 3
        num_tokens = config.num_context_tokens + (output.token_ids.shape[1] if config.has_popular_tokens else 5)
        assert {state.shape for state in output.hidden_states} == {(4, num_tokens, config.token_dim)}
        if not config.has_popular_tokens:
            states = output.hidden_states[-1][:, config.num_context_tokens :]
            logits = model.head(states).squeeze(-1)
            if config.label_units:
                logits = logits + (states * model.label_units).sum(dim=-1)
            bias = 0 if model.label_bias is None else model.label_bias
            torch.testing.assert_close(logits + bias, output.logits)


# -- the equations, one label, one event at a time ---------------------------------------------------------------------


def small(tester=TESTERS[0], *, rows: int = 4, seed: int = 0, **settings):
    """A model in evaluation mode, and its batch."""
    return build(tester, seed=seed, **settings), tester.collate(tester.documents(rows), extra=1)


def folded(model, batch, row: int, events: list[int]) -> torch.Tensor:
    """The token of every label, from these events of a row, last one last: the paper's sums as loops."""
    config, tokens = model.config, []
    from_last = config.time_reference == "last"
    for label in range(config.num_labels):
        time, amount = torch.zeros(config.embed_dim), torch.zeros(config.embed_dim)
        for number, event in enumerate(events):
            held = batch["event_ids"][row, event].tolist()
            if label not in held:
                continue
            if config.time_encoding == "gap_embedding":
                time += model.tokens.time.gaps.weight[batch["event_gap_ids"][row, event]]
            elif config.time_encoding == "log_bucket":
                gap = batch["event_gaps"][row, event].item()
                if from_last:
                    gap = sum(batch["event_gaps"][row, later].item() for later in events[number + 1 :])
                time += model.tokens.time.gaps.weight[0 if gap == 0 else math.floor(math.log2(gap)) + 8]
            elif config.time_encoding == "sinusoid":
                for place in range(config.embed_dim):
                    moment = batch["event_times"][row, event].item()
                    moment = batch["event_times"][row, events[-1]].item() - moment if from_last else moment
                    angle = moment / 10_000 ** (place // 2 * 2 / config.embed_dim)
                    time[place] += math.cos(angle) if place % 2 else math.sin(angle)
            if config.has_positions:
                time += model.tokens.time.positions.weight[len(events) - 1 - number]
            if config.num_amount_bins:
                amount_bin = batch["event_amount_bins"][row, event, held.index(label)].item()
                if amount_bin >= 0:
                    amount += model.tokens.amounts.weight[amount_bin]
        if config.folding == "sum_and_share":
            for part in (time, amount):
                part[: config.embed_dim // 2] /= len(events)
        parts = [model.tokens.labels.weight[label], time]
        tokens.append(torch.cat([*parts, amount] if config.num_amount_bins else parts))
    return torch.stack(tokens)


def scored(model, tokens_SD: torch.Tensor, context: list[torch.Tensor], labels=slice(None)) -> torch.Tensor:
    """Scores of the tokens of `labels`, `(S,)`, layer by layer as Vaswani et al. write them, with the parts of `model`."""
    heads, width, first = model.config.num_heads, tokens_SD.shape[1], model.config.norm_first
    states = torch.cat([*(vector[None] for vector in context), tokens_SD])
    for layer in model.encoder.layers:
        given = layer.attention_norm(states) if first else states
        query, key, value = layer.attention.query_key_value(given).chunk(3, dim=1)
        read = []
        for head in range(heads):
            part = slice(head * width // heads, (head + 1) * width // heads)
            weights = (query[:, part] @ key[:, part].T / math.sqrt(width / heads)).softmax(dim=1)
            read.append(weights @ value[:, part])
        states = states + layer.attention.output(torch.cat(read, dim=1))
        if first:
            states = states + layer.outer(layer.inner(layer.norm(states)).relu())
        else:
            states = layer.attention_norm(states)
            states = layer.norm(states + layer.outer(layer.inner(states).relu()))
    states = (model.encoder.norm(states) if first else states)[len(context) :]
    scores = model.head(states).squeeze(1)
    return scores if model.label_units is None else scores + (model.label_units[labels] * states).sum(dim=1)


def changed_by_own_frequency(model, batch, row: int, events: list[int]) -> torch.Tensor:
    """What the history's own frequencies change in each label's log-odds, `(L,)`, label by label."""
    own, changes = model.own_frequency, []
    decay, prior = own.log_decay.exp(), own.log_prior.exp()
    for label, bias in enumerate(model.label_bias):
        count, total, rate = 0.0, 0.0, 1 / (1 + torch.exp(-bias))
        for number, event in enumerate(events):
            weight = torch.exp(-decay * (len(events) - 1 - number))
            total = total + weight
            count = count + weight * (label in batch["event_ids"][row, event].tolist())
        share = (count + prior * rate) / (total + prior)
        changes.append(own.gain * (torch.log(share / (1 - share)) - torch.log(rate / (1 - rate))))
    return torch.stack(changes)


def same_gradients(model, one: torch.Tensor, other: torch.Tensor) -> None:
    weights = list(model.parameters())
    for a, b in zip(torch.autograd.grad(one, weights), torch.autograd.grad(other, weights), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def last_events(batch, row: int, look_back: int | None) -> list[int]:
    places = batch["event_mask"][row].nonzero().flatten().tolist()
    return places if look_back is None else places[-look_back:]


@pytest.mark.parametrize(
    "settings",
    [
        {"num_amount_bins": 3, "num_users": 3},
        {"time_encoding": "log_bucket", "uses_target_time": True, "look_back": 2},
        {"time_encoding": "sinusoid", "position_embedding": False, "label_bias": False},
        {"time_encoding": "none", "look_back": 2},
        {"causal": True, "look_back": None, "num_amount_bins": 3},
        {"time_encoding": "log_bucket", "time_reference": "last", "folding": "sum_and_share", "num_amount_bins": 3},
        {"time_encoding": "sinusoid", "time_reference": "last", "look_back": 2},
        {"own_frequency": True, "look_back": 2},
        {"own_frequency": True, "causal": True, "look_back": None},
        {"causal": True, "look_back": None, "folding": "sum_and_share", "num_amount_bins": 3},
        {"norm_first": True, "label_units": True, "num_users": 3},
    ],
    ids=str,
)
def test_logits_and_gradients_are_those_of_the_equations(settings):
    model, batch = small(LanetModelTester(**settings))
    if model.label_units is not None:  # they start where they do nothing
        torch.nn.init.normal_(model.label_units, std=0.1)
    found, expected = model(**batch).logits, []
    for row in range(4):
        context = []
        if model.config.num_users:
            context.append(model.users.weight[batch["user_ids"][row]])
        if model.config.uses_target_time:
            context.append(model.target_times(log_buckets(batch["target_gaps"][row], 32)))
        tokens_LD = folded(model, batch, row, last_events(batch, row, model.config.look_back))
        bias = 0 if model.label_bias is None else model.label_bias
        expected.append(scored(model, tokens_LD, context) + bias)
        if model.own_frequency is not None:
            events = last_events(batch, row, model.config.look_back)
            expected[-1] = expected[-1] + changed_by_own_frequency(model, batch, row, events)
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=1e-5)
    same_gradients(model, found.square().sum(), torch.stack(expected).square().sum())


@pytest.mark.parametrize("popular", [None, 2])
@pytest.mark.parametrize("padding", ["right", "left", "middle"])
@pytest.mark.parametrize(
    "ours",
    [{}, {"folding": "sum_and_share", "own_frequency": True}, {"attention_keys": "history"}],
    ids=["paper", "ours", "history"],
)
def test_the_causal_loss_is_that_of_every_prefix_by_itself(popular, padding, ours):
    tester = LanetModelTester(
        **ours, causal=True, num_popular_tokens=popular, num_users=3, uses_target_time=True, num_amount_bins=3
    )
    model, documents, targets = build(tester), tester.documents(6), some_targets(tester, 6)
    documents[3] = tester.empty_document
    # each prefix as a history of its own, read whole; and its target
    expected, logits = 0.0, []
    for row, (user, target_gap, events) in enumerate(documents):
        losses = []
        for length in range(min(1, len(events)), len(events) + 1):
            gap, target = target_gap, targets[row]
            if length < len(events):
                gap, held = events[length]
                target = F.one_hot(torch.tensor(list(held)), 5).sum(dim=0).float()
            output = model(**tester.collate([(user, gap, events[:length])]), labels=target[None])
            losses.append(output.loss)
        logits.append(output.logits)
        expected += sum(losses) / len(losses) / 6
    batch = tester.collate(documents, padding=padding, extra=2)
    model.train()
    found = model(**batch, labels=targets)
    torch.testing.assert_close(found.loss, expected)
    torch.testing.assert_close(found.logits, torch.cat(logits), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model(**batch, label_ids=as_padded_ids(targets)).loss, found.loss)
    same_gradients(model, expected, found.loss)
    # not in training: the whole history alone, unless the prefixes are asked for
    model.eval()
    torch.testing.assert_close(model(**batch, labels=targets, with_prefixes=True).loss, found.loss)
    whole = F.binary_cross_entropy_with_logits(found.logits, targets)
    torch.testing.assert_close(model(**batch, labels=targets).loss, whole)


@pytest.mark.parametrize("popular", [None, 1])
@pytest.mark.parametrize("keys", ["all", "history"])
@torch.no_grad()
def test_what_comes_later_in_a_row_moves_no_score_before_it(popular, keys, monkeypatch):
    tester = LanetModelTester(causal=True, num_popular_tokens=popular, attention_keys=keys, num_amount_bins=3)
    model, seen = build(tester), []
    loss_of = model.compute_loss
    monkeypatch.setattr(model, "compute_loss", lambda logits, **given: seen.append(logits) or loss_of(logits, **given))
    rows = [
        (0, 1.0, ((0, {0: 1}), (2, {1: 0, 2: 2}), (4, {3: 1}))),
        (0, 1.0, ((0, {0: 1}), (2, {1: 0, 2: 2}), (7, {4: 0, 2: 2}))),
    ]
    model(**tester.collate(rows), labels=torch.zeros(2, 5), with_prefixes=True)
    (logits_PL,) = seen
    torch.testing.assert_close(logits_PL[0:2], logits_PL[3:5], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(logits_PL[2], logits_PL[5])


@torch.no_grad()
def test_events_beyond_the_window_are_not_read():
    model, batch = small(look_back=2)
    other = {**batch, "event_ids": batch["event_ids"].clone(), "event_amount_bins": batch["event_amount_bins"].clone()}
    row = int(batch["event_mask"].sum(dim=1).argmax())  # of four events
    other["event_ids"][row, :2, 0], other["event_amount_bins"][row, :2, 0] = 4, 2
    assert torch.equal(model(**other).logits, model(**batch).logits)
    model.config.look_back = 3
    assert not torch.equal(model(**other).logits, model(**batch).logits)


@torch.no_grad()
def test_an_event_at_time_0_is_an_event():
    tester = LanetModelTester(causal=True, time_encoding="sinusoid")
    model = build(tester)
    first = tester.collate([(0, 1.0, ((0, {2: 0}),)), tester.empty_document])
    assert first["event_times"][0, 0] == 0
    logits = model(**first).logits
    assert not torch.allclose(logits[0], logits[1], atol=1e-3)
    # without a mask, events are those that hold labels
    ids = first["event_ids"].masked_fill(~first["event_mask"][..., None], -100)
    assert torch.equal(model(**{**first, "event_ids": ids, "event_mask": None}).logits, logits)


# -- only some labels as tokens -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_units", [False, True])
@torch.no_grad()
def test_labels_that_are_no_tokens_are_scored_against_the_mean_of_those_that_are(own_units):
    tester = LanetModelTester(num_popular_tokens=2, num_amount_bins=3, num_users=3, label_units=own_units)
    model, batch = small(tester)
    if own_units:
        torch.nn.init.normal_(model.label_units)
    model.set_training_statistics(torch.tensor([1, 5, 9, 5, 2]), 10)
    assert model.by_frequency.tolist() == [2, 1, 3, 4, 0]
    output = model(**batch, output_attentions=True)
    for row in range(4):
        events = last_events(batch, row, 3)
        held = {label for event in events for label in batch["event_ids"][row, event].tolist()} - {-100}
        chosen = sorted(held | {1, 2})
        assert [label for label in output.token_ids[row].tolist() if label >= 0] == chosen
        outputs = []
        hook = model.head.register_forward_pre_hook(lambda _, inputs, outputs=outputs: outputs.append(inputs[0]))
        tokens_SD = folded(model, batch, row, events)[chosen]
        expected = torch.full((5,), math.nan)
        expected[chosen] = scored(model, tokens_SD, [model.users.weight[batch["user_ids"][row]]], chosen)
        hook.remove()
        others = [label for label in range(5) if label not in chosen]
        view = model.others(outputs[0].mean(dim=0))
        expected[others] = model.tokens.labels.weight[others] @ view / math.sqrt(12)
        torch.testing.assert_close(output.logits[row], expected + model.label_bias, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_row_that_holds_every_label_has_the_scores_of_a_model_of_all_tokens():
    some = build(LanetModelTester(num_popular_tokens=1))
    tester = LanetModelTester()
    every = build(tester)
    every.load_state_dict({name: some.state_dict()[name] for name in every.state_dict()})
    batch = tester.collate([(0, 1.0, ((0, {0: 0, 1: 0, 3: 1}), (3, {2: 1, 4: 1})))])
    torch.testing.assert_close(some(**batch).logits, every(**batch).logits, atol=1e-6, rtol=1e-6)


def test_the_popular_labels_are_saved_and_are_those_of_another_label_space_no_more(tmp_path):
    model = build(LanetModelTester(num_popular_tokens=2))
    model.set_training_statistics(torch.tensor([1, 5, 9, 5, 2]), 10)
    model.save_pretrained(tmp_path)
    loaded = LanetForMultiLabelClassification.from_pretrained(tmp_path)
    assert loaded.by_frequency.tolist() == [2, 1, 3, 4, 0]
    fewer = LanetForMultiLabelClassification.from_pretrained(tmp_path, num_labels=3, ignore_mismatched_sizes=True)
    assert fewer.by_frequency.tolist() == [0, 1, 2]


@torch.no_grad()
def test_many_labels_cost_as_many_tokens_as_a_row_needs():
    tester = LanetModelTester(num_popular_tokens=4)
    model = build(tester, num_labels=3000)
    output = model(**tester.collate(tester.documents()), output_attentions=True)
    assert output.logits.shape == (4, 3000)
    assert output.token_ids.shape[1] <= 4 + 3 * 3
    assert output.attentions[0].shape[-1] == output.token_ids.shape[1]


# -- attention, users, losses ----------------------------------------------------------------------------------------------


@torch.no_grad()
def test_attention_is_returned_for_each_layer_and_reads_no_padding():
    model, batch = small(LanetModelTester(num_popular_tokens=2, num_users=3, uses_target_time=True))
    output = model(**batch, output_attentions=True)
    assert model(**batch).attentions is None
    torch.testing.assert_close(output.logits, model(**batch).logits, atol=1e-6, rtol=1e-6)
    num_tokens = model.config.num_context_tokens + output.token_ids.shape[1]
    assert [weights.shape for weights in output.attentions] == [(4, 2, num_tokens, num_tokens)] * 2
    padded = F.pad(output.token_ids < 0, (model.config.num_context_tokens, 0))
    assert padded.any()
    for weights in output.attentions:
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(4, 2, num_tokens))
        assert (weights.transpose(1, 3)[padded] == 0).all()
        assert (weights.transpose(1, 3)[~padded] > 0).all()


@torch.no_grad()
def test_without_label_attention_a_label_hears_nothing_of_others():
    for label_attention in (True, False):
        tester = LanetModelTester(label_attention=label_attention)
        model = build(tester)
        one = model(**tester.collate([(0, 1.0, ((0, {0: 1, 1: 0}), (3, {1: 1})))])).logits[0]
        other = model(**tester.collate([(0, 1.0, ((0, {0: 1, 2: 0}), (3, {3: 1})))])).logits[0]
        assert torch.allclose(one[[0, 4]], other[[0, 4]], atol=1e-6) is not label_attention
        assert not torch.allclose(one[1], other[1], atol=1e-4)


def test_training_takes_some_users_for_unknown_ones():
    tester = LanetModelTester(num_users=3)
    model = build(tester, user_dropout=0.5)
    batch = tester.collate([tester.documents()[1]] * 200)  # user 1
    known = model(**batch).logits
    unknown = model(**{**batch, "user_ids": torch.zeros(200, dtype=torch.long)}).logits
    torch.testing.assert_close(model(**{**batch, "user_ids": None}).logits, unknown)
    drawn = model.train()(**batch).logits
    is_known = torch.isclose(drawn, known, atol=1e-5).all(dim=1)
    assert torch.allclose(drawn[~is_known], unknown[~is_known], atol=1e-5)
    assert 60 < is_known.sum() < 140


def test_a_softmax_lets_labels_compete():
    model, batch = small(label_loss="softmax")
    targets = some_targets(TESTERS[0], 4)
    output = model(**batch, labels=targets)
    torch.testing.assert_close(output.loss, -(targets * output.logits.log_softmax(dim=1)).sum() / 4 / 5)
    assert torch.equal(model(**batch, label_ids=as_padded_ids(targets)).loss, output.loss)
    # two documents of two labels: softmax 1/4, 3/4 | 1/4, 3/4;  -log 1/4 - log 3/4 | -log 3/4 = 1.961659
    logits = torch.tensor([[0.0, math.log(3.0)], [-math.log(3.0), 0.0]])
    two = build(TESTERS[0], label_loss="softmax", loss_reduction="sum", num_labels=2)
    assert two.compute_loss(logits, labels=torch.tensor([[1, 1], [0, 1]])).item() == pytest.approx(0.980829, abs=1e-6)
    assert two.compute_loss(
        logits, labels=torch.tensor([[1, 1], [0, 1]]), num_items_in_batch=8
    ).item() == pytest.approx(0.245207, abs=1e-6)


def test_what_is_unknown_has_no_part_in_the_softmax():
    model, batch = small(label_loss="softmax")
    targets = some_targets(TESTERS[0], 4)
    targets[0, 1] = -100
    targets[3] = -100
    output = model(**batch, labels=targets)
    expected = 0.0
    for row in range(3):
        known = targets[row] >= 0
        expected -= (targets[row, known] * output.logits[row, known].log_softmax(dim=0)).sum() / 4 / 5
    torch.testing.assert_close(output.loss, expected)
    output.loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_the_causal_loss_may_be_a_softmax():
    tester = LanetModelTester(causal=True)
    model = build(tester, label_loss="softmax").train()
    history = (0, 1.0, ((0, {0: 0}), (3, {1: 0, 4: 0})))
    targets = torch.tensor([[0.0, 1, 0, 0, 0]])
    first = model.eval()(**tester.collate([(0, 3.0, history[2][:1])])).logits[0].log_softmax(dim=0)
    whole = model(**tester.collate([history])).logits[0].log_softmax(dim=0)
    loss = model.train()(**tester.collate([history]), labels=targets).loss
    torch.testing.assert_close(loss, -(first[1] + first[4] + whole[1]) / 2 / 5)


def test_one_bias_for_all_labels_starts_at_their_base_rate():
    model = build(LanetModelTester(label_bias=False))
    model.set_training_statistics(torch.tensor([1, 2, 3, 4, 5]), 10)
    assert model.head.bias.item() == pytest.approx(math.log(15.5 / 35.5))
    assert model.output_bias() is None


# -- the ends of the range -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"causal": True}, {"num_popular_tokens": 1}], ids=str)
def test_one_label_and_rows_without_events(settings):
    tester = LanetModelTester(**settings)
    model = build(tester, num_labels=1).train()
    batch = tester.collate([(0, 1.0, ((0, {0: 0}),)), tester.empty_document])
    output = model(**batch, labels=torch.ones(2, 1))
    output.loss.backward()
    assert output.logits.shape == (2, 1)
    assert output.loss.isfinite()
    # no event at all in the batch, and no place for one
    none = {name: tensor[:, :0] for name, tensor in batch.items() if tensor.ndim > 1}
    assert model.eval()(**{**batch, **none}).logits.isfinite().all()
    with torch.no_grad():
        torch.testing.assert_close(model(**{**batch, **none}).logits[1], model(**batch).logits[1])


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({}, "event_gap_ids"),
        ({"time_encoding": "sinusoid"}, "event_times"),
        ({"time_encoding": "log_bucket"}, "event_gaps"),
        ({"num_amount_bins": 3}, "event_amount_bins"),
        ({"uses_target_time": True}, "target_gaps"),
    ],
)
def test_an_input_that_is_missing_is_named(settings, missing):
    model, batch = small(LanetModelTester(**settings))
    del batch[missing]
    with pytest.raises(ValueError, match=f"`{missing}` is needed by .*, found none"):
        model(**batch)


def test_targets_of_another_shape_are_refused_in_training_too():
    model, batch = small(LanetModelTester(causal=True))
    with pytest.raises(ValueError, match=r"multi-hot of shape \(batch, 5\), found \(4, 3\)"):
        model.train()(**batch, labels=torch.zeros(4, 3))


def test_a_model_of_events_has_no_word_vectors():
    with pytest.raises(NotImplementedError, match="`event_ids` has no word vectors"):
        small()[0].get_input_embeddings()
