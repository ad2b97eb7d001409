"""A trained model as its user meets it: load a folder or a Hub id, score texts, name the labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from hf_mlc.auto import architecture_of
from hf_mlc.errors import UserError
from hf_mlc.label_storage import read_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel


@dataclass
class LoadedModel:
    """A model with what belongs to it: `model`, `tokenizer`, `label_space`."""

    model: MultiLabelPreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    label_space: LabelSpace


def load_model(name_or_path: str, *, revision: str | None = None, device: str | None = None) -> LoadedModel:
    """Loads a model of ours from a folder or the Hub, ready to predict.

    Args:
        name_or_path (`str`): a folder or a Hub id.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
        device (`str`, *optional*): where to put it; a GPU where there is one.

    Raises:
        `UserError`: no such folder or repository, a model that isn't one of ours, no weights in safetensors, weights
            cut short or of other shapes, no tokenizer.
    """
    if not Path(name_or_path).exists() and (name_or_path.count("/") != 1 or name_or_path.startswith((".", "/"))):
        raise UserError(
            "no such folder", file=name_or_path, field="model", accepted="a saved model's folder or a Hub id org/name"
        )
    try:
        config = AutoConfig.from_pretrained(name_or_path, revision=revision)
    except (OSError, ValueError) as error:
        raise UserError(f"no readable config.json ({_first_line(error)})", file=name_or_path, field="model") from None
    architecture_of(config.model_type)
    try:
        model = AutoModel.from_pretrained(name_or_path, revision=revision, config=config, use_safetensors=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        # transformers prints the table of shapes itself and only hints at it here
        shapes = "ignore_mismatched_sizes" in str(error)
        reason = "they have other shapes than config.json says" if shapes else _first_line(error)
        raise UserError(
            f"weights can't be loaded ({reason})",
            file=name_or_path,
            field="model",
            accepted="a complete model.safetensors that fits config.json",
        ) from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, revision=revision)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"no tokenizer ({_first_line(error)})",
            file=name_or_path,
            field="model",
            accepted="the folder as training saved it, with tokenizer.json",
        ) from None
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return LoadedModel(model.to(device).eval(), tokenizer, read_label_space(config))


@torch.inference_mode()
def score_texts(loaded: LoadedModel, texts: Sequence[str], *, batch_size: int = 32) -> torch.Tensor:
    """Probabilities `(N, L)` of every label for each text, in the order given; texts of like length share a batch."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    scores = torch.empty(len(texts), loaded.model.config.num_labels)
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        batch = encode_texts(loaded, [texts[place] for place in places])
        scores[places] = loaded.model(**batch).logits.float().sigmoid().cpu()
    return scores


def encode_texts(loaded: LoadedModel, texts: list[str]) -> dict[str, torch.Tensor]:
    """Token ids and mask of a batch, padded to its longest text, cut at the tokenizer's `model_max_length`."""
    batch = loaded.tokenizer(texts, padding=True, truncation=True, return_tensors="pt", return_token_type_ids=False)
    if batch["input_ids"].shape[1] == 0:  # every text is empty: one column of padding stands for it
        batch["input_ids"] = torch.full((len(texts), 1), loaded.tokenizer.pad_token_id)
        batch["attention_mask"] = torch.zeros(len(texts), 1, dtype=torch.long)
    return {name: values.long().to(loaded.model.device) for name, values in batch.items()}


def predict_texts(
    loaded: LoadedModel,
    texts: Sequence[str],
    *,
    top_k: int | None = None,
    threshold: float | None = None,
    batch_size: int = 32,
) -> Iterator[list[dict[str, str | float]]]:
    """For each text its labels, best first: `[{"label", "score"}, ...]`.

    Args:
        loaded (`LoadedModel`): from `load_model`.
        texts (`Sequence[str]`): the texts.
        top_k (`int`, *optional*): the k best, whatever their scores.
        threshold (`float`, *optional*): every label from this score on; without either argument, the tuned decision
            rule of the model; with both, at most `top_k` labels that reach the threshold.
        batch_size (`int`, *optional*, defaults to 32): texts a forward pass.
    """
    scores_NL = score_texts(loaded, texts, batch_size=batch_size)
    if threshold is not None:
        chosen_NL = loaded.model.decide(scores_NL, thresholds=threshold, min_labels=0)
    elif top_k is not None:
        chosen_NL = torch.ones_like(scores_NL, dtype=torch.bool)
    else:
        chosen_NL = loaded.model.decide(scores_NL)
    for scores_L, chosen_L in zip(scores_NL, chosen_NL, strict=True):
        ids = chosen_L.nonzero().squeeze(1)
        ids = ids[scores_L[ids].sort(descending=True, stable=True).indices[:top_k]]
        names = loaded.label_space.decode(ids.tolist())
        yield [
            {"label": name, "score": round(score, 6)}
            for name, score in zip(names, scores_L[ids].tolist(), strict=True)
        ]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
