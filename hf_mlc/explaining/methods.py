"""From a text and a label to the words that the label was given for.

Shape legend: T tokens, S chosen labels, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, overload

import torch

from hf_mlc.errors import UserError
from hf_mlc.explaining.explanation import Explanation
from hf_mlc.explaining.gradients import STEPS, integrated_gradients
from hf_mlc.inference import LoadedModel, encode_texts, score_texts, scored_batches


METHODS = ("attention", "direct_logit_attribution", "integrated_gradients")
BASELINES = ("unk", "pad", "mask")


@overload
def explain(loaded: LoadedModel, text: str, label: str | int, **settings) -> Explanation: ...
@overload
def explain(loaded: LoadedModel, text: str, label: None = None, **settings) -> list[Explanation]: ...
def explain(loaded, text, label=None, *, method="attention", steps=STEPS, baseline="unk"):
    """Weighs the tokens of a text for a label, or for every label that is predicted.

    Args:
        loaded (`LoadedModel`): from `hf_mlc.load_model`.
        text (`str`): the text.
        label (`str` or `int`, *optional*): a label's name or id; without it every predicted label, best first.
        method (`str`, *optional*, defaults to `"attention"`):
            `"attention"`: the label's attention over the tokens (Mullenbach et al., 2018).
            `"direct_logit_attribution"`: each token's share of the logit, exact where labels attend to tokens and read
            out linearly (Elhage et al., 2021).
            `"integrated_gradients"`: of the logit with respect to the word vectors (Sundararajan et al., 2017); for
            any architecture; needs captum.
        steps (`int`, *optional*, defaults to 50): points of the quadrature of integrated gradients.
        baseline (`str`, *optional*, defaults to `"unk"`): what integrated gradients compare each token with: `"unk"`,
            `"pad"` or `"mask"`.

    Returns:
        [`Explanation`], or a list of them without `label`.

    Raises:
        `UserError`: a label that the model doesn't know; a method that the architecture has no answer to; a tokenizer
            without offsets, or without the baseline's token; captum is not installed.
    """
    settings = {"method": method, "steps": steps, "baseline": baseline}
    if label is None:
        return explain_labels(loaded, text, **settings)
    return explain_labels(loaded, text, [label], **settings)[0]


def explain_labels(
    loaded: LoadedModel,
    text: str,
    labels: Sequence[str | int] | None = None,
    *,
    method: str = "attention",
    steps: int = STEPS,
    baseline: str = "unk",
) -> list[Explanation]:
    """As [`explain`], for several labels at once, in the order given; without `labels` those predicted, best first."""
    if method not in METHODS:
        raise UserError(f"found '{method}'", field="method", accepted=", ".join(METHODS))
    if steps < 1:
        raise UserError(f"found {steps}", field="steps", accepted="1 or more")
    space, config = loaded.label_space, loaded.model.config
    scores_L = score_texts(loaded, [text])[0]
    if loaded.model.decides_on_sets:
        predicted_L = next(scored_batches(loaded, [text])).chosen_BS[0]
    else:
        predicted_L = loaded.model.decide(scores_L[None])[0]
    if labels is None:
        ids = predicted_L.nonzero().squeeze(1)
        ids = ids[scores_L[ids].argsort(descending=True, stable=True)].tolist()
    else:
        ids = [_label_id(loaded, label) for label in labels]
    encoded = encode(loaded, text)
    weights_ST, deltas_S = _weights(loaded, encoded, ids, method, steps, baseline)
    thresholds = config.thresholds
    return [
        Explanation(
            text=text,
            label=space.names[number],
            label_id=number,
            description=space.descriptions[number] if space.descriptions is not None else None,
            method=method,
            score=scores_L[number].item(),
            threshold=thresholds[number] if isinstance(thresholds, list) else float(thresholds),
            predicted=bool(predicted_L[number]),
            tokens=encoded.tokens,
            offsets=encoded.offsets,
            weights=weights_T,
            read_to=encoded.read_to,
            read_from=encoded.read_from,
            baseline_token=getattr(loaded.tokenizer, f"{baseline}_token") if deltas_S is not None else None,
            convergence_delta=deltas_S[row] if deltas_S is not None else None,
        )
        for row, (number, weights_T) in enumerate(zip(ids, weights_ST, strict=True))
    ]


class EncodedText(NamedTuple):
    """One text as the model reads it: `inputs` (a batch of one), `tokens`, `offsets` (empty for special tokens), and
    `read_from` and `read_to`, the characters where it was cut, on the left or on the right."""

    inputs: dict[str, torch.Tensor]
    tokens: list[str]
    offsets: list[tuple[int, int]]
    read_from: int
    read_to: int


def encode(loaded: LoadedModel, text: str) -> EncodedText:
    """Tokens with their places in the text, cut as for prediction; an empty text is one padding token.

    Raises:
        `UserError`: a tokenizer that doesn't know where its tokens stand.
    """
    try:
        inputs = encode_texts(loaded, [text], with_offsets=True)
    except ValueError as error:  # a slow tokenizer
        raise UserError(str(error), field="tokenizer", accepted="a tokenizer.json") from None
    offsets = [(start, end) for start, end in inputs.pop("offset_mapping")[0].tolist()]
    read_from, read_to = 0, len(text)
    if len(offsets) >= loaded.tokenizer.model_max_length:
        if loaded.tokenizer.truncation_side == "left":
            read_from = min((start for start, end in offsets if start < end), default=len(text))
        else:
            read_to = max(end for _, end in offsets)
    tokens = loaded.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist())
    return EncodedText(inputs, tokens, offsets, read_from, read_to)


def _weights(
    loaded: LoadedModel, encoded: EncodedText, ids: list[int], method: str, steps: int, baseline: str
) -> tuple[list[list[float]], list[float] | None]:
    """Weights (S, T), and convergence deltas where the method has them."""
    model = loaded.model
    chosen_ids_S = torch.tensor(ids, dtype=torch.long, device=model.device)
    if method == "integrated_gradients":
        input_ids_1T = encoded.inputs["input_ids"]
        is_special_1T = torch.tensor([[start == end for start, end in encoded.offsets]], device=model.device)
        baseline_ids_1T = input_ids_1T.where(is_special_1T, _baseline_id(loaded, baseline))
        if not ids:
            return [], []
        found = integrated_gradients(
            model, input_ids_1T, encoded.inputs["attention_mask"], chosen_ids_S, baseline_ids_1T, steps=steps
        )
        return found.weights_ST.tolist(), found.deltas_S.tolist()
    weigh = model.token_weights if method == "attention" else model.token_contributions
    try:
        return weigh(chosen_ids_S, **encoded.inputs)[0].tolist(), None
    except NotImplementedError as error:
        raise UserError(str(error), field="method", accepted="integrated_gradients") from None


def _label_id(loaded: LoadedModel, label: str | int) -> int:
    """A name's id, or the id itself; the label space refuses what it doesn't know and names what is near."""
    if isinstance(label, int) and not isinstance(label, bool):
        if 0 <= label < len(loaded.label_space):
            return label
        raise UserError(f"found {label}", field="label", accepted=f"0 to {len(loaded.label_space) - 1}")
    return int(loaded.label_space.encode([label])[0])


def _baseline_id(loaded: LoadedModel, baseline: str) -> int:
    if baseline not in BASELINES:
        raise UserError(f"found '{baseline}'", field="baseline", accepted=", ".join(BASELINES))
    number = getattr(loaded.tokenizer, f"{baseline}_token_id")
    if number is None:
        there = [name for name in BASELINES if getattr(loaded.tokenizer, f"{name}_token_id") is not None]
        raise UserError(f"the tokenizer has no {baseline} token", field="baseline", accepted=", ".join(there))
    return number
