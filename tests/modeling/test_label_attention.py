"""Label-wise attention: every implementation gives the same numbers, whatever the padding, the blocks and the dtype."""

from __future__ import annotations

import math

import pytest
import torch

from hf_mlc.modeling import label_attention as module
from hf_mlc.modeling.label_attention import label_attention, label_attention_weights


IMPLEMENTATIONS = ("eager", "blocks", "sdpa")
# Full; holes in the middle; empty; right padding; left padding.
MASK = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1]])
EMPTY = 2


def make_inputs(dtype=torch.float64, num_labels=7, width=3, value_width=3, requires_grad=True):
    generator = torch.Generator().manual_seed(0)
    shapes = ((num_labels, width), (*MASK.shape, width), (*MASK.shape, value_width))
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_(requires_grad)
        for shape in shapes
    ]


def reference(query, keys, values, mask, scale):
    """The formula, document by document, on the tokens that are not padding."""
    contexts = []
    for b in range(len(keys)):
        real = mask[b].bool()
        if real.any():
            contexts.append(torch.softmax(scale * query @ keys[b, real].T, dim=-1) @ values[b, real])
        else:
            contexts.append(torch.zeros(len(query), values.shape[-1], dtype=values.dtype))
    return torch.stack(contexts)


def gradients(context, inputs):
    generator = torch.Generator().manual_seed(1)
    # Rounded, so that it is the same number in every dtype.
    upstream = torch.randn(context.shape, generator=generator, dtype=torch.float64).bfloat16().to(context.dtype)
    return torch.autograd.grad(context, inputs, upstream)


def assert_all_close(ours, theirs, **tolerance):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **tolerance)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_two_tokens_give_the_average_computed_by_hand(implementation):
    # Scores 2 * (0, ln 3) / 2 = (0, ln 3), so the weights are (1/4, 3/4) and the context 1/4 * 8 + 3/4 * 4 = 5.
    keys = torch.tensor([[[0.0], [math.log(3)], [9.0]]])
    values = torch.tensor([[[8.0], [4.0], [100.0]]])
    mask = torch.tensor([[True, True, False]])
    context = label_attention(torch.tensor([[2.0]]), keys, values, mask, scale=0.5, implementation=implementation)
    torch.testing.assert_close(context, torch.tensor([[[5.0]]]))


@pytest.mark.parametrize("value_width", (3, 2))
@pytest.mark.parametrize("implementation", ("auto", *IMPLEMENTATIONS))
def test_values_and_gradients_follow_the_formula(implementation, value_width):
    inputs = make_inputs(value_width=value_width)
    expected = reference(*inputs, MASK, 0.7)
    context = label_attention(*inputs, MASK, scale=0.7, implementation=implementation)
    torch.testing.assert_close(context, expected)
    assert_all_close(gradients(context, inputs), gradients(expected, inputs))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_keys_that_are_also_values_add_up_both_gradients(implementation):
    query, keys, _ = make_inputs()
    expected = reference(query, keys, keys, MASK, 1.0)
    context = label_attention(query, keys, keys, MASK, implementation=implementation)
    assert_all_close(gradients(context, (query, keys)), gradients(expected, (query, keys)))


def test_gradcheck_of_the_blocks():
    inputs = make_inputs(num_labels=4, value_width=2)
    assert torch.autograd.gradcheck(
        lambda *tensors: label_attention(*tensors, MASK, scale=0.7, implementation="blocks", block_size=3), inputs
    )
    assert torch.autograd.gradcheck(
        lambda query, keys: label_attention(query, keys, keys, MASK, implementation="blocks", block_size=3), inputs[:2]
    )


@pytest.mark.parametrize("block_scores", (1, 40, 2**20))
@pytest.mark.parametrize("block_size", (None, 1, 3, 7, 100))
def test_block_size_changes_only_rounding(monkeypatch, block_size, block_scores):
    monkeypatch.setattr(module, "BLOCK_SCORES", block_scores)
    monkeypatch.setattr(module, "MIN_BLOCK_LABELS", 2)
    inputs = make_inputs()
    expected = reference(*inputs, MASK, 1.0)
    context = label_attention(*inputs, MASK, implementation="blocks", block_size=block_size)
    torch.testing.assert_close(context, expected)
    assert_all_close(gradients(context, inputs), gradients(expected, inputs))


@pytest.mark.parametrize("batch_size", (1, 2, 3, 5))
@pytest.mark.parametrize("threads", (1, 2, 3, 8))
def test_heads_of_the_fused_kernel_change_only_rounding(monkeypatch, threads, batch_size):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    query, keys, values = make_inputs()
    keys, values, mask = keys[:batch_size], values[:batch_size], MASK[:batch_size]
    expected = reference(query, keys, values, mask, 1.0)
    context = label_attention(query, keys, values, mask, implementation="sdpa")
    torch.testing.assert_close(context, expected)
    assert_all_close(gradients(context, (query, keys)), gradients(expected, (query, keys)))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_padding_and_batch_mates_do_not_matter(implementation):
    query, keys, values = make_inputs(requires_grad=False)
    batched = label_attention(query, keys, values, MASK, implementation=implementation)
    longer = [torch.cat([tensor, torch.full_like(tensor, 50.0)], dim=1) for tensor in (keys, values)]
    longer_mask = torch.cat([MASK, torch.zeros_like(MASK)], dim=1)
    torch.testing.assert_close(
        label_attention(query, *longer, longer_mask, implementation=implementation), batched, rtol=1e-12, atol=1e-12
    )
    for b in range(len(MASK)):
        real = MASK[b].bool()
        if b != EMPTY:
            alone = label_attention(
                query, keys[b : b + 1, real], values[b : b + 1, real], implementation=implementation
            )
            torch.testing.assert_close(batched[b : b + 1], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shared", (False, True))
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_empty_document_gets_zeros_and_sends_back_zeros(implementation, shared):
    query, keys, values = make_inputs(torch.float32)
    values = keys if shared else values
    context = label_attention(query, keys, values, MASK, implementation=implementation)
    assert (context[EMPTY] == 0).all() and context.isfinite().all()
    for gradient in gradients(context, (keys, values)):
        assert (gradient[EMPTY] == 0).all() and gradient.isfinite().all()
    only_empty = label_attention(
        query, keys[EMPTY:3], values[EMPTY:3], torch.zeros(1, 5, dtype=torch.bool), implementation=implementation
    )
    assert (gradients(only_empty, query)[0] == 0).all()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_large_scores_stay_finite(implementation):
    query, keys, values = make_inputs(torch.float32, requires_grad=False)
    query, keys = (1000 * query).requires_grad_(), keys.requires_grad_()
    context = label_attention(query, keys, values, MASK, implementation=implementation)
    torch.testing.assert_close(context, reference(query, keys, values, MASK, 1.0), rtol=1e-3, atol=1e-3)
    assert all(gradient.isfinite().all() for gradient in gradients(context, (query, keys)))


@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16))
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_half_precision_inputs_are_computed_in_float32(implementation, dtype):
    inputs = make_inputs(dtype)
    exact = [tensor.detach().float().requires_grad_() for tensor in inputs]
    expected = reference(*exact, MASK, 20.0)
    context = label_attention(*inputs, MASK, scale=20.0, implementation=implementation)
    assert context.dtype == dtype
    # One rounding, at the end: scores of about 50, rounded to bfloat16, would be wrong by 0.1 and the weights by 10 %.
    torch.testing.assert_close(context.float(), expected, rtol=2**-8, atol=1e-5)
    for ours, theirs in zip(gradients(context, inputs), gradients(expected, exact), strict=True):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.float(), theirs, rtol=2**-8, atol=1e-3)


@pytest.mark.parametrize("implementation", ("eager", "blocks"))
def test_autocast_changes_nothing_for_float32_inputs(implementation):
    inputs = make_inputs(torch.float32)
    expected = label_attention(*inputs, MASK, implementation=implementation)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        context = label_attention(*inputs, MASK, implementation=implementation)
        weights = label_attention_weights(*inputs[:2], MASK)
        assert_all_close(gradients(context, inputs), gradients(expected, inputs))
    torch.testing.assert_close(context, expected, rtol=0, atol=0)
    torch.testing.assert_close(weights, label_attention_weights(*inputs[:2], MASK), rtol=0, atol=0)


@pytest.mark.parametrize("num_labels", (3, 2 * module.HALF_PRECISION_LABELS + 1))
def test_autocast_multiplies_in_its_dtype_and_adds_up_in_float32(num_labels):
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(num_labels, 16, generator=generator), torch.randn(3, 40, 16, generator=generator)]
    # numbers that bfloat16 holds exactly: what is left are the roundings of the weights and of the result
    query, keys = (tensor.bfloat16().float().requires_grad_() for tensor in inputs)
    mask = torch.arange(40) < torch.tensor([[40], [7], [0]])
    expected = label_attention(query, keys, keys, mask, implementation="sdpa")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        context = label_attention(query, keys, keys, mask, implementation="sdpa")
        halves = gradients(context, (query, keys))
    assert context.dtype == torch.float32 and not torch.equal(context, expected)
    for half, exact in zip((context, *halves), (expected, *gradients(expected, (query, keys))), strict=True):
        assert (half - exact).norm() <= 2**-6 * exact.norm()
    assert not context[2].any() and not halves[1][2].any()  # the empty document


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_inputs_of_different_dtypes_give_the_dtype_of_the_values(implementation):
    query, keys, values = make_inputs(torch.float32)
    values = values.detach().to(torch.bfloat16).requires_grad_()
    context = label_attention(query, keys, values, MASK, implementation=implementation)
    assert context.dtype == torch.bfloat16
    assert [g.dtype for g in gradients(context, (query, keys, values))] == [
        torch.float32,
        torch.float32,
        torch.bfloat16,
    ]


@pytest.mark.parametrize("wanted", ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2)))
def test_blocks_give_only_the_gradients_that_are_asked_for(wanted):
    inputs = make_inputs(requires_grad=False)
    for i in wanted:
        inputs[i].requires_grad_()
    label_attention(*inputs, MASK, implementation="blocks", block_size=3).sum().backward()
    ours = [tensor.grad for tensor in inputs]
    for tensor in inputs:
        tensor.grad = None
    reference(*inputs, MASK, 1.0).sum().backward()
    for i, tensor in enumerate(inputs):
        if i in wanted:
            torch.testing.assert_close(ours[i], tensor.grad)
        else:
            assert ours[i] is None


@pytest.mark.parametrize("frozen", ("query", "keys"))
def test_blocks_with_shared_values_and_one_side_frozen(frozen):
    query, keys, _ = make_inputs()
    trained = keys if frozen == "query" else query
    (query if frozen == "query" else keys).requires_grad_(False)
    context = label_attention(query, keys, keys, MASK, implementation="blocks")
    expected = reference(query, keys, keys, MASK, 1.0)
    assert_all_close(gradients(context, trained), gradients(expected, trained))


def test_blocks_refuse_a_second_derivative():
    inputs = make_inputs()
    context = label_attention(*inputs, MASK, implementation="blocks")
    (first,) = torch.autograd.grad(context.pow(2).sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_no_labels_and_one_token(implementation):
    query, keys, values = make_inputs()
    assert label_attention(query[:0], keys, values, MASK, implementation=implementation).shape == (5, 0, 3)
    one = label_attention(query, keys[:, :1], values[:, :1], implementation=implementation)
    torch.testing.assert_close(one, values[:, :1].expand(-1, 7, -1))


@pytest.mark.parametrize("dtype", (torch.bool, torch.int64, torch.int32))
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_masks_of_any_kind(implementation, dtype):
    inputs = make_inputs()
    context = label_attention(*inputs, MASK.to(dtype), implementation=implementation)
    torch.testing.assert_close(context, reference(*inputs, MASK, 1.0))
    unmasked = label_attention(*inputs, implementation=implementation)
    torch.testing.assert_close(unmasked, reference(*inputs, torch.ones_like(MASK), 1.0))


@pytest.mark.parametrize("value_width", (3, 2))
@pytest.mark.parametrize("dynamic", (False, True))
def test_compiles_as_one_graph_with_gradients(dynamic, value_width, monkeypatch):
    monkeypatch.setattr(module, "EAGER_SCORES", 0)
    torch._dynamo.reset()
    inputs = make_inputs(torch.float32, value_width=value_width)

    def attend(query, keys, values, mask):
        return label_attention(query, keys, values, mask)

    compiled = torch.compile(attend, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    context, expected = compiled(*inputs, MASK), attend(*inputs, MASK)
    torch.testing.assert_close(context, expected)
    assert_all_close(gradients(context, inputs), gradients(expected, inputs), rtol=1e-5, atol=1e-5)


def test_export_takes_the_plain_form_with_any_batch_size():
    class Attend(torch.nn.Module):
        def forward(self, query, keys, mask):
            return label_attention(query, keys, keys, mask)

    query, keys, _ = make_inputs(torch.float32, requires_grad=False)
    batch, tokens = torch.export.Dim("batch", min=2), torch.export.Dim("tokens", min=2)
    exported = torch.export.export(
        Attend(), (query, keys, MASK), dynamic_shapes=(None, {0: batch, 1: tokens}, {0: batch, 1: tokens})
    )
    assert not any("scaled_dot_product" in str(node.target) for node in exported.graph.nodes)
    torch.testing.assert_close(
        exported.module()(query, keys[:2, :4], MASK[:2, :4]),
        reference(query, keys[:2, :4], keys[:2, :4], MASK[:2, :4], 1.0),
    )


def test_weights_sum_to_one_over_the_tokens_and_give_the_context():
    query, keys, values = make_inputs(torch.float32, requires_grad=False)
    weights = label_attention_weights(query[2:4], keys, MASK, scale=0.7)
    assert weights.shape == (5, 2, 5) and weights.dtype == torch.float32
    assert (weights.masked_select(MASK[:, None] == 0) == 0).all()
    sums = torch.ones(5, 2)
    sums[EMPTY] = 0
    torch.testing.assert_close(weights.sum(-1), sums)
    context = label_attention(query, keys, values, MASK, scale=0.7)
    torch.testing.assert_close(weights @ values, context[:, 2:4])
    half = label_attention_weights(query.bfloat16(), keys.bfloat16())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.sum(-1), torch.ones(5, 7))


def test_auto_takes_the_blocks_where_torch_has_no_fused_kernel(monkeypatch):
    choose = module._choose_implementation
    query, keys, values = make_inputs(value_width=2)
    assert choose(query, keys, keys) == "sdpa"
    assert choose(query, keys, values) == "eager"
    monkeypatch.setattr(module, "EAGER_SCORES", 7 * 5 * 5 - 1)  # one less than L * B * T
    assert choose(query, keys, values) == "blocks"


def test_unknown_implementation_and_block_size_are_named():
    inputs = make_inputs()
    with pytest.raises(ValueError, match="'flash'; accepted: auto, eager, blocks, sdpa"):
        label_attention(*inputs, implementation="flash")
    with pytest.raises(ValueError, match="block_size 0; accepted"):
        label_attention(*inputs, block_size=0)
