"""A trained model as its user meets it: load a folder or a Hub id, score texts, name the labels.

Shape legend: N texts, B texts of one batch, L labels, S scored columns (L, or a shortlist's length), K top labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from hf_mlc.auto import architecture_of
from hf_mlc.errors import UserError
from hf_mlc.label_storage import read_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel


# Scores that are in memory at one time (128 MiB of float32): with very many labels batches get smaller
MAX_CELLS = 2**25


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
            cut short or of other shapes, a file of label names that is missing or doesn't fit, no tokenizer.
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
    label_space = _label_space_of(config, name_or_path, revision)
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
    tokenizer = load_tokenizer(name_or_path, revision=revision, field="model")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return LoadedModel(model.to(device).eval(), tokenizer, label_space)


def load_tokenizer(
    name_or_path: str | Path, *, revision: str | None = None, field: str = "tokenizer_name"
) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or a Hub repository.

    Args:
        name_or_path (`str` or `Path`): a folder or a Hub id.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
        field (`str`, *optional*, defaults to `"tokenizer_name"`): the argument that named it, for the error message.

    Raises:
        `UserError`: there is none, or it can't be read.
    """
    try:
        return AutoTokenizer.from_pretrained(name_or_path, revision=revision)
    except (
        Exception
    ) as error:  # the tokenizers library raises bare `Exception`s for a tokenizer.json that is cut short
        if not isinstance(error, (OSError, ValueError, KeyError)) and type(error) is not Exception:
            raise
        raise UserError(
            f"no tokenizer ({_first_line(error)})",
            file=name_or_path,
            field=field,
            accepted="a Hub id or a folder, with a whole tokenizer.json",
        ) from None


def _label_space_of(config: MultiLabelConfig, name_or_path: str, revision: str | None) -> LabelSpace:
    config.remember_source(name_or_path, {"revision": revision})  # AutoConfig does not
    try:
        return read_label_space(config)
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(
            f"no names of its labels ({_first_line(error)})",
            file=name_or_path,
            field="model",
            accepted=f"a whole {config.label_space_file} beside config.json",
        ) from None


class ScoredBatch(NamedTuple):
    """Scores of some of the texts.

    Args:
        places (`list[int]`): which texts, as positions in the list that was given.
        scores_BS (`torch.Tensor` of shape `(B, S)`): probabilities, float32, on CPU.
        candidate_ids_BS (`torch.LongTensor` of shape `(B, S)`, *optional*):
            the columns' labels, negative for padding; `None` where the columns are all labels.
    """

    places: list[int]
    scores_BS: torch.Tensor
    candidate_ids_BS: torch.Tensor | None


def scored_batches(loaded: LoadedModel, texts: Sequence[str], *, batch_size: int = 32) -> Iterator[ScoredBatch]:
    """Scores of the texts, a batch at a time, in the order of their lengths; of N x L no more than a batch is held.

    Args:
        loaded (`LoadedModel`): from `load_model`.
        texts (`Sequence[str]`): the texts; those of like length share a batch.
        batch_size (`int`, *optional*, defaults to 32): texts a forward pass; fewer where L is very large.
    """
    for places, batch in _batches(loaded, texts, batch_size):
        with torch.inference_mode():
            output = loaded.model(**batch)
            candidate_ids_BS = None if output.candidate_ids is None else output.candidate_ids.cpu()
            scores_BS = output.logits.float().sigmoid().cpu()
        yield ScoredBatch(places, scores_BS, candidate_ids_BS)


def score_texts(loaded: LoadedModel, texts: Sequence[str], *, batch_size: int = 32) -> torch.Tensor:
    """Probabilities `(N, L)` of every label for each text, in the order given; 0 where a shortlist left a label out.

    For many texts and labels `scored_batches` gives the same without holding all of it.
    """
    num_labels = loaded.model.config.num_labels
    scores_NL = torch.zeros(len(texts), num_labels)
    for places, scores_BS, candidate_ids_BS in scored_batches(loaded, texts, batch_size=batch_size):
        if candidate_ids_BS is None:
            scores_NL[places] = scores_BS
        else:
            rows, columns = (candidate_ids_BS >= 0).nonzero(as_tuple=True)
            texts_of_rows = torch.tensor(places)[rows]
            scores_NL[texts_of_rows, candidate_ids_BS[rows, columns]] = scores_BS[rows, columns]
    return scores_NL


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
    """For each text its labels, best first: `[{"label", "score"}, ...]`, in the order given.

    Args:
        loaded (`LoadedModel`): from `load_model`.
        texts (`Sequence[str]`): the texts.
        top_k (`int`, *optional*): the k best, whatever their scores.
        threshold (`float`, *optional*): every label from this score on; without either argument, the tuned decision
            rule of the model; with both, at most `top_k` labels that reach the threshold.
        batch_size (`int`, *optional*, defaults to 32): texts a forward pass; fewer where L is very large.
    """
    answers: list[list[dict[str, str | float]]] = [[] for _ in texts]
    if top_k is not None and threshold is None:
        for places, batch in _batches(loaded, texts, batch_size):
            ids_BK, scores_BK = loaded.model.predict_topk(batch, k=top_k)
            for place, ids_K, scores_K in zip(places, ids_BK.tolist(), scores_BK.tolist(), strict=True):
                answers[place] = _answer(loaded, ids_K, scores_K)
    else:
        rule = {} if threshold is None else {"thresholds": threshold, "min_labels": 0}
        for places, scores_BS, candidate_ids_BS in scored_batches(loaded, texts, batch_size=batch_size):
            chosen_BS = loaded.model.decide(scores_BS, candidate_ids=candidate_ids_BS, **rule)
            for row, place in enumerate(places):
                columns = chosen_BS[row].nonzero().squeeze(1)
                columns = columns[scores_BS[row, columns].sort(descending=True, stable=True).indices[:top_k]]
                ids = columns if candidate_ids_BS is None else candidate_ids_BS[row, columns]
                answers[place] = _answer(loaded, ids.tolist(), scores_BS[row, columns].tolist())
    yield from answers


def _batches(
    loaded: LoadedModel, texts: Sequence[str], batch_size: int
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Positions and tokens of texts of like length, so many that their scores stay within `MAX_CELLS`."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    batch_size = max(1, min(batch_size, MAX_CELLS // loaded.model.config.num_labels))
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        yield places, encode_texts(loaded, [texts[place] for place in places])


def _answer(loaded: LoadedModel, ids: list[int], scores: list[float]) -> list[dict[str, str | float]]:
    # a shortlist that is shorter than top_k is padded with negative ids
    kept = [(number, score) for number, score in zip(ids, scores, strict=True) if number >= 0]
    names = loaded.label_space.decode(number for number, _ in kept)
    return [{"label": name, "score": round(score, 6)} for name, (_, score) in zip(names, kept, strict=True)]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
