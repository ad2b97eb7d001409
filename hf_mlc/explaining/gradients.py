"""Integrated gradients of a label's logit with respect to the word vectors, by captum.

    weight_t = sum over d of (x_td - x'_td) * integral over a from 0 to 1 of d logit / d x_td at x' + a (x - x')

(Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017, eq. 1). The weights sum to the logit less
the logit of the baseline x' ("completeness"); what quadrature leaves of a difference is the convergence delta.

The baseline stands for a text of the same length that says nothing. It is made of the unknown token: word dropout has
taught the model what that means, some word or other, and so the path runs where the model has been. The padding token's
vector is never trained (all zeros), and a model has never seen it unmasked. A word outside the vocabulary is the
baseline's own token and weighs nothing, which is right: the model can't tell it from any other such word.
Special tokens such as [CLS] stay what they are on both ends of the path, and weigh nothing.

Shape legend: T tokens, S chosen labels, E embedding width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from hf_mlc.errors import UserError
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel


STEPS = 50  # captum's default; the quadrature is Gauss-Legendre
# Tokens of all steps that are computed at once: bounds the memory of long documents
TOKENS_AT_ONCE = 2**14


class Gradients(NamedTuple):
    """`weights_ST` (S, T) and `deltas_S` (S,), the convergence delta of each label."""

    weights_ST: torch.Tensor
    deltas_S: torch.Tensor


def integrated_gradients(
    model: MultiLabelPreTrainedModel,
    input_ids_1T: torch.LongTensor,
    attention_mask_1T: torch.Tensor,
    chosen_ids_S: torch.LongTensor,
    baseline_ids_1T: torch.LongTensor,
    *,
    steps: int = STEPS,
) -> Gradients:
    """Integrated gradients of each chosen label's logit.

    The path is one of word vectors. What is looked up by token ids, as planted attention is, stays what it is on the text,
    and so do choices on the way to the scores, as a label sequence is (`path_inputs`).

    Args:
        model (`MultiLabelPreTrainedModel`): in evaluation mode; `forward` must take `inputs_embeds`.
        input_ids_1T, attention_mask_1T (`torch.Tensor` of shape `(1, T)`): one text.
        chosen_ids_S (`torch.LongTensor` of shape `(S,)`): the labels.
        baseline_ids_1T (`torch.LongTensor` of shape `(1, T)`): what the path starts from.
        steps (`int`, *optional*, defaults to 50): points of the quadrature; the convergence delta shrinks with more.

    Raises:
        `UserError`: captum is not installed.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        raise UserError("captum is not installed", accepted="pip install hf_mlc[explain]") from None
    embed = model.get_input_embeddings()
    embedded_1TE = embed(input_ids_1T).detach()
    baseline_1TE = embed(baseline_ids_1T).detach()

    chosen = model.path_inputs(input_ids=input_ids_1T, attention_mask=attention_mask_1T)

    def logit(embedded_BTE: torch.Tensor, mask_BT: torch.Tensor, chosen_id: int) -> torch.Tensor:
        chosen_ids_1 = torch.tensor([chosen_id], device=embedded_BTE.device)
        inputs = {"inputs_embeds": embedded_BTE, "attention_mask": mask_BT}
        inputs |= {name: value.expand(len(embedded_BTE), -1) for name, value in chosen.items()}
        if model.reads_token_ids:
            inputs["input_ids"] = input_ids_1T.expand(len(embedded_BTE), -1)
        return model.label_logits(chosen_ids_1, **inputs)[:, 0].float()

    attribution = IntegratedGradients(logit)
    weights, deltas = [], []
    # cuDNN differentiates recurrent networks in training mode only
    with torch.backends.cudnn.flags(enabled=False):
        for chosen_id in chosen_ids_S.tolist():
            found_1TE, delta_1 = attribution.attribute(
                embedded_1TE,
                baseline_1TE,
                additional_forward_args=(attention_mask_1T, chosen_id),
                n_steps=steps,
                internal_batch_size=max(1, TOKENS_AT_ONCE // input_ids_1T.shape[1]),
                return_convergence_delta=True,
            )
            weights.append(found_1TE[0].sum(dim=-1))
            deltas.append(delta_1[0])
    return Gradients(torch.stack(weights).float(), torch.stack(deltas).float())
