"""Label-wise attention: every label reads the document with its own softmax over the tokens.

    scores[b, l, t]  = scale * <query[l], keys[b, t]>
    context[b, l, :] = sum over t of softmax_t(scores[b, l, :])[t] * values[b, t, :]

Label-wise attention goes back to CAML (Mullenbach et al., 2018, eq. 4-5). Written plainly it holds several tensors of
shape [B, L, T]: 0.4 GB each for 4 documents of 2,880 tokens and 8,922 labels. Here the scores exist for a block at a
time, and the backward pass computes them again from the saved log-sum-exp of each row, as FlashAttention does
(Dao et al., 2022, algorithm 4):

    P = exp(scores - lse)      dV = P^T dO      dS = P * (dO V^T - rowsum(dO * O))      dQ = dS K      dK = dS^T Q

Two forms do this: torch's fused kernel ("sdpa"), and our own ("blocks"), which takes values of another width than the
keys, leaves padding out, and has a place where further score terms can be added.

The file needs nothing but torch, because it is published beside the weights.

Shapes: B documents, L labels, S chosen labels, T tokens, D width of queries and keys, E width of values,
l labels of one block, t the tokens of one document that are not padding.
"""

from __future__ import annotations

import contextlib
import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


IMPLEMENTATIONS = ("auto", "eager", "blocks", "sdpa")

# Scores in one block: 16 MB in float32; the backward pass holds two such buffers. A quarter of it is some percent
# faster on an idle machine, but each block enters about 15 parallel regions, which are dear where cores are shared.
BLOCK_SCORES = 2**22
# Below this many labels a block's matrix products become too thin to be fast, however long the document is.
MIN_BLOCK_LABELS = 64
# Up to this many scores (B * L * T) the plain form is as fast as the blocks.
EAGER_SCORES = 2**20

# Labels of one head under autocast on a CPU: four of the kernel's blocks. A quarter of it took twice the time.
HALF_PRECISION_LABELS = 1024

# torch 2.6 cannot tell an export from a compilation; there both take the plain form.
_is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)


def exporting() -> bool:
    """Whether a graph is made that will be run elsewhere, for any sizes of batch and document."""
    return _is_exporting() or torch.onnx.is_in_onnx_export()


def label_attention(
    query_LD: Tensor,
    keys_BTD: Tensor,
    values_BTE: Tensor,
    mask_BT: Tensor | None = None,
    *,
    scale: float = 1.0,
    implementation: str = "auto",
    block_size: int | None = None,
) -> Tensor:
    """Attends from every label to the tokens of every document, without ever holding all the scores.

    The scores, their softmax and all sums are computed in float32 (float64 where an input is float64), whatever the
    dtype of the inputs; only `"sdpa"` multiplies in half precision, that of autocast and, on an accelerator, that of its
    inputs, with sums and softmax in float32 inside torch's kernel.

    Args:
        query_LD (`torch.Tensor` of shape `(num_labels, width)`):
            One query a label.
        keys_BTD (`torch.Tensor` of shape `(batch_size, num_tokens, width)`):
            What the queries are compared with.
        values_BTE (`torch.Tensor` of shape `(batch_size, num_tokens, value_width)`):
            What is averaged. Passing the very tensor given as `keys_BTD` saves a copy and a gradient.
        mask_BT (`torch.Tensor` of shape `(batch_size, num_tokens)`, *optional*):
            Boolean or integer; zero marks padding, at any position. A document that is all padding gets a zero
            context and sends back zero gradients.
        scale (`float`, *optional*, defaults to 1.0):
            Factor of the scores.
        implementation (`str`, *optional*, defaults to `"auto"`):
            `"eager"`: the plain form; holds tensors of shape `(batch_size, num_labels, num_tokens)`.
            `"blocks"`: our blocks of labels and documents; first derivatives only; not for `torch.compile`.
            `"sdpa"`: `torch.nn.functional.scaled_dot_product_attention`; first derivatives only. On a CPU, values
            of another width than the keys make torch fall back to a form that holds all the scores.
            `"auto"`: `"eager"` for export; `"sdpa"` otherwise, except that values of another width than the keys on
            a CPU take `"blocks"`, or `"eager"` where the input is small or inside `torch.compile`.
        block_size (`int`, *optional*):
            Labels in one block of `"blocks"`; by default as many as make about 16 MB of scores. It changes the
            results only by rounding.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_labels, value_width)`, in the dtype of `values_BTE`.

    Raises:
        ValueError: if `implementation` is not one of the above, or `block_size` is less than 1.
    """
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"label attention implementation {implementation!r}; accepted: {', '.join(IMPLEMENTATIONS)}")
    if block_size is not None and block_size < 1:
        raise ValueError(f"label attention block_size {block_size}; accepted: 1 or more labels, or None")
    if mask_BT is not None:
        mask_BT = mask_BT.to(torch.bool)
    if implementation == "auto":
        implementation = _choose_implementation(query_LD, keys_BTD, values_BTE)

    if implementation == "sdpa":
        return _sdpa_attention(query_LD, keys_BTD, values_BTE, mask_BT, scale)
    if implementation == "eager":
        return _eager_attention(query_LD, keys_BTD, values_BTE, mask_BT, scale)
    # A second input that is the first one again would cost a second copy and a second gradient of that size.
    values = None if values_BTE is keys_BTD else values_BTE
    return _BlockAttention.apply(query_LD, keys_BTD, values, mask_BT, scale, block_size)


def label_attention_weights(
    query_SD: Tensor, keys_BTD: Tensor, mask_BT: Tensor | None = None, *, scale: float = 1.0
) -> Tensor:
    """Attention weights of a few chosen labels, to explain their predictions.

    Args:
        query_SD (`torch.Tensor` of shape `(num_chosen_labels, width)`):
            The queries of the chosen labels. The result is dense, so choose few.
        keys_BTD (`torch.Tensor` of shape `(batch_size, num_tokens, width)`):
            The keys given to [`label_attention`].
        mask_BT (`torch.Tensor` of shape `(batch_size, num_tokens)`, *optional*):
            Boolean or integer; zero marks padding.
        scale (`float`, *optional*, defaults to 1.0):
            The scale given to [`label_attention`].

    Returns:
        `torch.Tensor` of shape `(batch_size, num_chosen_labels, num_tokens)`, float32 (float64 where an input is):
        each row sums to 1 over the document's tokens and is 0 on padding; all rows of an empty document are 0.
    """
    if mask_BT is not None:
        mask_BT = mask_BT.to(torch.bool)
    with _full_precision(keys_BTD):
        weights_BST = _softmax_scores(query_SD, keys_BTD, mask_BT, scale)
    return weights_BST if mask_BT is None else weights_BST.masked_fill(~mask_BT[:, None], 0.0)


def _choose_implementation(query_LD: Tensor, keys_BTD: Tensor, values_BTE: Tensor) -> str:
    if exporting() or torch.jit.is_tracing():
        return "eager"
    if keys_BTD.device.type != "cpu" or keys_BTD.shape[2] == values_BTE.shape[2]:
        return "sdpa"
    # The blocks choose tokens by the mask's content, which a compiled graph cannot do.
    if torch.compiler.is_compiling() or keys_BTD.shape[:2].numel() * query_LD.shape[0] <= EAGER_SCORES:
        return "eager"
    return "blocks"


def _compute_dtype(*tensors: Tensor) -> torch.dtype:
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32


def _full_precision(tensor: Tensor):
    """Keeps autocast from turning float32 products into half precision."""
    return torch.autocast(tensor.device.type, enabled=False)


def _attendable(mask_BT: Tensor) -> Tensor:
    """The mask with empty documents opened, so that no softmax is taken over nothing (which would be NaN)."""
    return mask_BT | ~mask_BT.any(dim=1, keepdim=True)


def _clear_empty_documents(context_BLE: Tensor, mask_BT: Tensor | None) -> Tensor:
    """Zeroes the contexts of documents without tokens, and with them every gradient that passes through."""
    return context_BLE if mask_BT is None else context_BLE.masked_fill(~mask_BT.any(dim=1)[:, None, None], 0.0)


def _softmax_scores(query_LD: Tensor, keys_BTD: Tensor, mask_BT: Tensor | None, scale: float) -> Tensor:
    dtype = _compute_dtype(query_LD, keys_BTD)
    scores_BLT = (query_LD.to(dtype) * scale) @ keys_BTD.to(dtype).transpose(1, 2)
    if mask_BT is not None:
        scores_BLT = scores_BLT.masked_fill(~_attendable(mask_BT)[:, None], float("-inf"))
    return torch.softmax(scores_BLT, dim=-1)


def _eager_attention(
    query_LD: Tensor, keys_BTD: Tensor, values_BTE: Tensor, mask_BT: Tensor | None, scale: float
) -> Tensor:
    with _full_precision(keys_BTD):
        weights_BLT = _softmax_scores(query_LD, keys_BTD, mask_BT, scale)
        context_BLE = (weights_BLT @ values_BTE.to(weights_BLT.dtype)).to(values_BTE.dtype)
    return _clear_empty_documents(context_BLE, mask_BT)


def _sdpa_attention(
    query_LD: Tensor, keys_BTD: Tensor, values_BTE: Tensor, mask_BT: Tensor | None, scale: float
) -> Tensor:
    on_cpu = keys_BTD.device.type == "cpu"
    batch_size, num_labels = keys_BTD.shape[0], query_LD.shape[0]
    is_half = on_cpu and torch.is_autocast_enabled("cpu")
    if is_half:
        dtype = torch.get_autocast_dtype("cpu")
    elif on_cpu:
        dtype = _compute_dtype(query_LD, keys_BTD, values_BTE)
    else:
        dtype = torch.promote_types(torch.promote_types(query_LD.dtype, keys_BTD.dtype), values_BTE.dtype)
    # The labels are dealt out to heads that all read the same keys; every document has the same queries.
    heads = _num_heads(batch_size) if on_cpu else 1
    if is_half:
        # torch's CPU kernel rounds the gradient of the keys after every block of labels: a head shall have few of them
        heads = max(heads, -(-num_labels // HALF_PRECISION_LABELS))
    query_HlD = torch.nn.functional.pad(query_LD.to(dtype), (0, 0, 0, -num_labels % heads)).unflatten(0, (heads, -1))
    with _full_precision(keys_BTD) if on_cpu else contextlib.nullcontext():
        context_BHlE = torch.nn.functional.scaled_dot_product_attention(
            query_HlD.expand(batch_size, -1, -1, -1),
            keys_BTD.to(dtype)[:, None].expand(-1, heads, -1, -1),
            values_BTE.to(dtype)[:, None].expand(-1, heads, -1, -1),
            attn_mask=None if mask_BT is None else _attendable(mask_BT)[:, None, None],
            scale=scale,
        )
    context_BLE = context_BHlE.flatten(1, 2)[:, :num_labels].to(values_BTE.dtype)
    return _clear_empty_documents(context_BLE, mask_BT)


def _num_heads(batch_size: int) -> int:
    """Heads that keep every thread busy: the kernel's backward pass gives each (document, head) to one thread."""
    if torch.compiler.is_compiling():
        return 1  # the batch size may be symbolic
    threads = torch.get_num_threads()
    # Evenly dealt, but, since every head has its own gradient of the keys, not much above four pieces a thread.
    return min(threads // math.gcd(batch_size, threads), -(-4 * threads // max(batch_size, 1)))


class _BlockAttention(torch.autograd.Function):
    """Label attention by blocks of labels and documents. `values_BTE` is None where the values are the keys."""

    @staticmethod
    def forward(ctx, query_LD, keys_BTD, values_BTE, mask_BT, scale, block_size):
        values_or_keys = keys_BTD if values_BTE is None else values_BTE
        dtype = _compute_dtype(query_LD, keys_BTD, values_or_keys)
        num_labels = query_LD.shape[0]
        # Saved in the compute dtype: rounded to half precision it would spoil the small differences of the backward pass.
        context_BLE = keys_BTD.new_empty(keys_BTD.shape[0], num_labels, values_or_keys.shape[2], dtype=dtype)
        log_sum_BL = keys_BTD.new_empty(keys_BTD.shape[0], num_labels, dtype=dtype)
        ctx.label_block, ctx.document_block = _fit_blocks(block_size, query_LD, keys_BTD)
        buffer = _new_buffer(ctx, keys_BTD, dtype)

        with _full_precision(keys_BTD):
            query_LD_scaled = query_LD.to(dtype) * scale
            for documents, tokens_t, hidden_b1t in _document_blocks(mask_BT, keys_BTD, ctx.document_block):
                keys_btD = _take(keys_BTD[documents], tokens_t, dtype)
                values_btE = keys_btD if values_BTE is None else _take(values_BTE[documents], tokens_t, dtype)
                for labels in _slices(num_labels, ctx.label_block):
                    # torch.softmax over long rows was measured at a tenth of the speed of these single passes.
                    scores_blt = _scores(buffer, query_LD_scaled[labels], keys_btD, hidden_b1t)
                    max_bl1 = scores_blt.amax(dim=2, keepdim=True)
                    scores_blt.sub_(max_bl1).exp_()
                    sum_bl1 = scores_blt.sum(dim=2, keepdim=True)
                    torch.div(scores_blt @ values_btE, sum_bl1, out=context_BLE[documents, labels])
                    log_sum_BL[documents, labels] = (max_bl1 + sum_bl1.log()).squeeze(2)

        if mask_BT is not None:
            empty_B = ~mask_BT.any(dim=1)
            context_BLE.masked_fill_(empty_B[:, None, None], 0.0)
            # exp(scores - inf) = 0: in the backward pass an empty document has no weights, hence no gradients.
            log_sum_BL.masked_fill_(empty_B[:, None], float("inf"))
        ctx.save_for_backward(query_LD, keys_BTD, values_BTE, mask_BT, context_BLE, log_sum_BL)
        ctx.scale = scale
        return context_BLE.to(values_or_keys.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_BLE):
        query_LD, keys_BTD, values_BTE, mask_BT, context_BLE, log_sum_BL = ctx.saved_tensors
        needs_query, needs_keys, needs_values = ctx.needs_input_grad[:3]
        shared = values_BTE is None
        dtype = log_sum_BL.dtype

        grad_query_LD = torch.zeros_like(query_LD, dtype=dtype) if needs_query else None
        grad_keys_BTD = torch.zeros_like(keys_BTD) if needs_keys else None
        grad_values_BTE = torch.zeros_like(values_BTE) if needs_values else None
        weights_buffer = _new_buffer(ctx, keys_BTD, dtype)
        scores_buffer = _new_buffer(ctx, keys_BTD, dtype) if needs_query or needs_keys else None
        with _full_precision(keys_BTD):
            query_LD_scaled = query_LD.to(dtype) * ctx.scale
            for documents, tokens_t, hidden_b1t in _document_blocks(mask_BT, keys_BTD, ctx.document_block):
                keys_btD = _take(keys_BTD[documents], tokens_t, dtype)
                values_btE = keys_btD if shared else _take(values_BTE[documents], tokens_t, dtype)
                # Sums in the compute dtype. Keys that are also values collect both gradients in one tensor.
                grad_keys_btD = torch.zeros_like(keys_btD) if needs_keys else None
                grad_values_btE = torch.zeros_like(values_btE) if needs_values else grad_keys_btD if shared else None
                for labels in _slices(query_LD.shape[0], ctx.label_block):
                    query_lD = query_LD_scaled[labels]
                    grad_blE = grad_BLE[documents, labels].to(dtype)
                    log_sum_bl1 = log_sum_BL[documents, labels, None]
                    weights_blt = _scores(weights_buffer, query_lD, keys_btD, hidden_b1t, minus_bl1=log_sum_bl1).exp_()
                    if grad_values_btE is not None:
                        grad_values_btE.baddbmm_(weights_blt.transpose(1, 2), grad_blE)
                    if scores_buffer is None:
                        continue

                    delta_bl1 = (grad_blE * context_BLE[documents, labels]).sum(dim=2, keepdim=True)
                    grad_scores_blt = _view(scores_buffer, weights_blt.shape)
                    torch.baddbmm(delta_bl1, grad_blE, values_btE.transpose(1, 2), beta=-1, out=grad_scores_blt)
                    grad_scores_blt.mul_(weights_blt)
                    if grad_query_LD is not None:
                        grad_query_LD[labels].add_((grad_scores_blt @ keys_btD).sum(dim=0), alpha=ctx.scale)
                    if grad_keys_btD is not None:
                        query_blD = query_lD.expand(len(keys_btD), -1, -1)
                        grad_keys_btD.baddbmm_(grad_scores_blt.transpose(1, 2), query_blD)
                if grad_keys_btD is not None:
                    _put(grad_keys_BTD[documents], tokens_t, grad_keys_btD)
                if grad_values_BTE is not None:
                    _put(grad_values_BTE[documents], tokens_t, grad_values_btE)

        if grad_query_LD is not None:
            grad_query_LD = grad_query_LD.to(query_LD.dtype)
        return grad_query_LD, grad_keys_BTD, grad_values_BTE, None, None, None


def _fit_blocks(block_size: int | None, query_LD: Tensor, keys_BTD: Tensor) -> tuple[int, int]:
    """How many labels, and how many documents, make up one block; several documents only where they are short."""
    num_labels, (batch_size, num_tokens, _) = query_LD.shape[0], keys_BTD.shape
    if block_size is None:
        block_size = max(MIN_BLOCK_LABELS, BLOCK_SCORES // num_tokens)
    label_block = max(1, min(block_size, num_labels))
    return label_block, max(1, min(BLOCK_SCORES // (label_block * num_tokens), batch_size))


def _slices(length: int, step: int):
    return (slice(start, start + step) for start in range(0, length, step))


def _document_blocks(mask_BT: Tensor | None, keys_BTD: Tensor, document_block: int):
    """Yields slices of documents, the tokens any of them has (None: all) and what is padding of these (None: none)."""
    for documents in _slices(keys_BTD.shape[0], document_block):
        if mask_BT is None:
            yield documents, None, None
            continue
        attend_bt = _attendable(mask_BT[documents])
        tokens_t = attend_bt.any(dim=0).nonzero().squeeze(1)
        if len(tokens_t) == attend_bt.shape[1]:
            tokens_t = None
        else:
            attend_bt = attend_bt.index_select(1, tokens_t)
        yield documents, tokens_t, None if attend_bt.all() else ~attend_bt[:, None]


def _take(source_bTD: Tensor, tokens_t: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Leaves out padding: a small copy, which saves all the work on these tokens."""
    return (source_bTD if tokens_t is None else source_bTD.index_select(1, tokens_t)).to(dtype)


def _put(target_bTD: Tensor, tokens_t: Tensor | None, source_btD: Tensor) -> None:
    if tokens_t is None:
        target_bTD.copy_(source_btD)
    else:
        target_bTD.index_copy_(1, tokens_t, source_btD.to(target_bTD.dtype))


def _new_buffer(ctx, keys_BTD: Tensor, dtype: torch.dtype) -> Tensor:
    return keys_BTD.new_empty(ctx.document_block * ctx.label_block * keys_BTD.shape[1], dtype=dtype)


def _view(buffer: Tensor, shape: tuple[int, int, int]) -> Tensor:
    return buffer[: shape[0] * shape[1] * shape[2]].view(shape)


def _scores(
    buffer: Tensor, query_lD: Tensor, keys_btD: Tensor, hidden_b1t: Tensor | None, minus_bl1: Tensor | None = None
) -> Tensor:
    """Scores of one block, written into the buffer: -inf on padding, less a constant a row where one is given."""
    documents, num_tokens, _ = keys_btD.shape
    scores_blt = _view(buffer, (documents, len(query_lD), num_tokens))
    query_blD, keys_bDt = query_lD.expand(documents, -1, -1), keys_btD.transpose(1, 2)
    if minus_bl1 is None:
        torch.bmm(query_blD, keys_bDt, out=scores_blt)
    else:
        torch.baddbmm(minus_bl1, query_blD, keys_bDt, beta=-1, out=scores_blt)
    return scores_blt if hidden_b1t is None else scores_blt.masked_fill_(hidden_b1t, float("-inf"))
