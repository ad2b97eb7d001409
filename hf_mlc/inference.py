"""A trained model as its user meets it: load a folder or a Hub id, score texts or pictures, name the labels.

Shape legend: N texts, B texts of one batch, L labels, S scored columns (L, or a shortlist's length), K top labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoTokenizer, BaseImageProcessor, PreTrainedTokenizerBase
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from hf_mlc.auto import ARCHITECTURES
from hf_mlc.errors import UserError
from hf_mlc.hub_reading import download_model, hub_problem, local_folder
from hf_mlc.images.processing import load_image_processor, pixels_of, reads_images
from hf_mlc.label_storage import read_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.answers import choose_labels, written_answer
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.evidence import weights_of_labels
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.modeling.text_batch import encode_texts as encoded


# Scores that are in memory at one time (128 MiB of float32): with very many labels batches get smaller
MAX_CELLS = 2**25


@dataclass
class LoadedModel:
    """A model with what belongs to it: `model`, `label_space`, and the `tokenizer`, or of pictures the `image_processor`."""

    model: MultiLabelPreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    label_space: LabelSpace
    image_processor: BaseImageProcessor | None = None

    @property
    def reads_images(self) -> bool:
        """Whether it labels pictures and not texts."""
        return self.image_processor is not None

    @property
    def processor(self) -> PreTrainedTokenizerBase | BaseImageProcessor:
        """What is saved with the model."""
        return self.tokenizer if self.image_processor is None else self.image_processor


def load_model(
    name_or_path: str, *, revision: str | None = None, device: str | None = None, allow_onnx: bool = False
) -> LoadedModel:
    """Loads a model of ours from a folder or the Hub, ready to predict.

    Code beside the weights is not run and pickles are not opened: neither is even downloaded.

    Args:
        name_or_path (`str`): a folder or a Hub id.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
        device (`str`, *optional*): where to put it; a GPU where there is one.
        allow_onnx (`bool`, *optional*, defaults to `False`): open a folder that `export` wrote in onnxruntime, for
            callers that only want scores.

    Raises:
        `UserError`: no such folder, repository or revision, a revision of a folder, no right to read it, no connection, a model that isn't one
            of ours, no weights in safetensors, weights cut short or of other shapes, a file of label names that is
            missing or doesn't fit, no tokenizer, of pictures no image processor.
    """
    folder = local_folder(name_or_path, revision=revision) or download_model(name_or_path, revision=revision)
    if not _has_weights(folder) and (folder / "model.onnx").exists():
        if not allow_onnx:
            raise UserError(
                "is an export to ONNX", file=name_or_path, field="model", accepted="the model that it was made from"
            )
        from hf_mlc.exporting.running import load_onnx  # it stands on this module

        return load_onnx(folder)
    config = config_of(folder, name_or_path)
    label_space = label_space_of(config, folder, name_or_path)
    model = _model_of(config, folder, name_or_path)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if reads_images(config):
        image_processor = load_image_processor(folder, shown_as=name_or_path, field="model")
        return LoadedModel(model.to(device).eval(), None, label_space, image_processor)
    tokenizer = load_tokenizer(folder, shown_as=name_or_path, field="model")
    return LoadedModel(model.to(device).eval(), tokenizer, label_space)


def check_reads_texts(loaded: LoadedModel, what: str) -> None:
    """`UserError` for a model of pictures where `what` is of texts only."""
    if loaded.reads_images:
        raise UserError(
            f"the model reads pictures, and {what} is of texts", field="model", accepted="a model of texts"
        )


def load_tokenizer(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    field: str = "tokenizer_name",
    shown_as: str | None = None,
) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or a Hub repository; one that needs code from there is refused.

    Args:
        name_or_path (`str` or `Path`): a folder or a Hub id.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
        field (`str`, *optional*, defaults to `"tokenizer_name"`): the argument that named it, for the error message.
        shown_as (`str`, *optional*): what the error message calls it, where that is not its name or path.

    Raises:
        `UserError`: there is none, or it can't be read.
    """
    try:
        return AutoTokenizer.from_pretrained(name_or_path, revision=revision, trust_remote_code=False)
    except (
        Exception
    ) as error:  # the tokenizers library raises bare `Exception`s for a tokenizer.json that is cut short
        problem = hub_problem(error) if not Path(name_or_path).is_dir() else None
        known = isinstance(error, (OSError, ValueError, KeyError)) or type(error) is Exception
        if problem is None and not known:
            raise
        accepted = "a Hub id or a folder, with a whole tokenizer.json"
        if problem is None:
            without = Path(name_or_path).is_dir() and not Path(name_or_path, "tokenizer.json").exists()
            reason = "there is no tokenizer.json" if without else _first_line(error)
        else:
            reason, accepted = problem
        raise UserError(
            f"no tokenizer ({reason})", file=shown_as or name_or_path, field=field, accepted=accepted
        ) from None


def config_of(folder: Path, name: str) -> MultiLabelConfig:
    """The configuration, if it is one of ours; what it says of code beside it is not followed."""
    file = folder / "config.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        model_type = content.get("model_type") if isinstance(content, dict) else None
        if model_type not in ARCHITECTURES:
            what = "names no architecture" if model_type is None else f"is of another architecture: {model_type!r}"
            accepted = ", ".join(sorted(ARCHITECTURES))
            raise UserError(f"its config.json {what}", file=name, field="model_type", accepted=accepted)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except UserError:
        raise
    except (OSError, ValueError) as error:
        reason = _first_line(error) if file.exists() else "there is none"
        raise UserError(f"no readable config.json ({reason})", file=name, field="model") from None
    config.name_or_path = name  # not the cache's folder
    return config


def label_space_of(config: MultiLabelConfig, folder: Path, name: str) -> LabelSpace:
    """The label space that a configuration holds, or the file beside it."""
    config.remember_source(folder, {})  # AutoConfig does not
    try:
        return read_label_space(config)
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(
            f"no names of its labels ({_first_line(error)})",
            file=name,
            field="model",
            accepted=f"a whole {config.label_space_file} beside config.json",
        ) from None


def _has_weights(folder: Path) -> bool:
    return any((folder / file).exists() for file in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME))


def _model_of(config: MultiLabelConfig, folder: Path, name: str) -> MultiLabelPreTrainedModel:
    accepted = "a complete model.safetensors that fits config.json"
    if not _has_weights(folder):
        accepted += "; of an export to ONNX, its folder on this machine"
        problem = (
            f"there is no {SAFE_WEIGHTS_NAME}; pickled weights as in pytorch_model.bin could run any code and are"
        )
        raise UserError(
            f"weights can't be loaded ({problem} never opened)", file=name, field="model", accepted=accepted
        )
    try:
        model, report = AutoModel.from_pretrained(
            folder, config=config, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        # transformers prints the table of shapes itself and only hints at it here
        shapes = "ignore_mismatched_sizes" in str(error)
        reason = "they have other shapes than config.json says" if shapes else _first_line(error)
        raise UserError(f"weights can't be loaded ({reason})", file=name, field="model", accepted=accepted) from None
    if report["missing_keys"]:  # transformers would go on with random numbers
        problem = f"weights can't be loaded ({min(report['missing_keys'])} is not among them)"
        raise UserError(problem, file=name, field="model", accepted=accepted)
    model.config.name_or_path = name
    return model


class ScoredBatch(NamedTuple):
    """Scores of some of the texts.

    Args:
        places (`list[int]`): which texts, as positions in the list that was given.
        scores_BS (`torch.Tensor` of shape `(B, S)`): probabilities, float32, on CPU.
        candidate_ids_BS (`torch.LongTensor` of shape `(B, S)`, *optional*):
            the columns' labels, negative for padding; `None` where the columns are all labels.
        chosen_BS (`torch.BoolTensor` of shape `(B, S)`, *optional*):
            the sets of a model that decides on sets as a whole; `None` where thresholds decide.
    """

    places: list[int]
    scores_BS: torch.Tensor
    candidate_ids_BS: torch.Tensor | None
    chosen_BS: torch.Tensor | None = None


def scored_batches(loaded: LoadedModel, texts: Sequence[str], *, batch_size: int = 32) -> Iterator[ScoredBatch]:
    """Scores of the texts, a batch at a time, in the order of their lengths; of N x L no more than a batch is held.

    Args:
        loaded (`LoadedModel`): from `load_model`.
        texts (`Sequence[str]`): the texts, those of like length sharing a batch; of a model of pictures, files, or what else
            [`~hf_mlc.images.opening.open_image`] opens.
        batch_size (`int`, *optional*, defaults to 32): texts a forward pass; fewer where L is very large.
    """
    for places, batch in encoded_batches(loaded, texts, batch_size):
        with torch.inference_mode():
            output = loaded.model(**batch)
            candidate_ids_BS = None if output.candidate_ids is None else output.candidate_ids.cpu()
            scores_BS = output.logits.float().sigmoid().cpu()
            chosen_BS = None if output.chosen is None else output.chosen.cpu()
        yield ScoredBatch(places, scores_BS, candidate_ids_BS, chosen_BS)


def score_texts(loaded: LoadedModel, texts: Sequence[str], *, batch_size: int = 32) -> torch.Tensor:
    """Probabilities `(N, L)` of every label for each text, in the order given; 0 where a shortlist left a label out.

    For many texts and labels `scored_batches` gives the same without holding all of it.
    """
    num_labels = loaded.model.config.num_labels
    scores_NL = torch.zeros(len(texts), num_labels)
    for places, scores_BS, candidate_ids_BS, _ in scored_batches(loaded, texts, batch_size=batch_size):
        if candidate_ids_BS is None:
            scores_NL[places] = scores_BS
        else:
            rows, columns = (candidate_ids_BS >= 0).nonzero(as_tuple=True)
            texts_of_rows = torch.tensor(places)[rows]
            scores_NL[texts_of_rows, candidate_ids_BS[rows, columns]] = scores_BS[rows, columns]
    return scores_NL


def encode_texts(loaded: LoadedModel, texts: list[str], *, with_offsets: bool = False) -> dict[str, torch.Tensor]:
    """As [`~hf_mlc.modeling.text_batch.encode_texts`], on the model's device."""
    batch = encoded(loaded.tokenizer, texts, with_offsets=with_offsets)
    return {name: values.to(loaded.model.device) for name, values in batch.items()}


def predict_texts(
    loaded: LoadedModel,
    texts: Sequence[str],
    *,
    top_k: int | None = None,
    threshold: float | None = None,
    explain: int | None = None,
    batch_size: int = 32,
) -> Iterator[list[dict[str, Any]]]:
    """For each text its labels, best first: `[{"label", "score"}, ...]`, in the order given.

    Args:
        loaded (`LoadedModel`): from `load_model`.
        texts (`Sequence[str]`): the texts.
        top_k (`int`, *optional*): the k best, whatever their scores.
        threshold (`float`, *optional*): every label from this score on; without either argument, the tuned decision
            rule of the model; with both, at most `top_k` labels that reach the threshold.
        explain (`int`, *optional*): give each label so many words that it was read from, best first: `"evidence"`, a
            list of `{"start", "end", "text", "weight"}` (`evidence_spans`).
        batch_size (`int`, *optional*, defaults to 32): texts a forward pass; fewer where L is very large.

    Raises:
        `UserError`: `explain` with a model or a tokenizer that can't tell.
    """
    if explain is not None:
        check_reads_texts(loaded, "the evidence of words")
        _check_explainable(loaded)
    answers: list[list[dict[str, Any]]] = [[] for _ in texts]
    for places, batch in encoded_batches(loaded, texts, batch_size, with_offsets=explain is not None):
        offsets_BT, weights_BKT = batch.pop("offset_mapping", None), None
        with torch.inference_mode():
            ids_BK, scores_BK = choose_labels(loaded.model, batch, top_k=top_k, thresholds=threshold)
            if explain is not None:
                weights_BKT = weights_of_labels(loaded.model, batch, ids_BK)
        for row, place in enumerate(places):
            evidence = {}
            if explain is not None:
                evidence = {"text": texts[place], "offsets_T": offsets_BT[row], "weights_KT": weights_BKT[row]}
            answer = written_answer(
                loaded.label_space.names, ids_BK[row], scores_BK[row], **evidence, num_words=explain
            )
            answers[place] = _rounded(answer)
    yield from answers


def predict_images(
    loaded: LoadedModel,
    images: Sequence[Any],
    *,
    top_k: int | None = None,
    threshold: float | None = None,
    batch_size: int = 32,
) -> Iterator[list[dict[str, Any]]]:
    """As [`predict_texts`], for pictures.

    Args:
        loaded (`LoadedModel`): from `load_model`; a model of pictures.
        images (`list`): files, or what else [`~hf_mlc.images.opening.open_image`] opens.
        top_k, threshold, batch_size: see [`predict_texts`].

    Raises:
        `UserError`: the model reads texts; a picture that can't be opened.
    """
    if not loaded.reads_images:
        raise UserError("the model reads texts, not pictures", field="model", accepted="a model of pictures")
    yield from predict_texts(loaded, images, top_k=top_k, threshold=threshold, batch_size=batch_size)


def sequences_of_texts(loaded: LoadedModel, texts: Sequence[str], *, batch_size: int = 32) -> list[list[str]]:
    """The labels of each text in the order in which the model wrote them, in the order of the texts.

    They are the most probable label set that the search found (all its orders counted), in the most probable of its orders:
    the very labels that `predict_texts` gives without arguments where the model's `decision` is "sequence".

    Args:
        loaded (`LoadedModel`): from `load_model`.
        texts (`Sequence[str]`): the texts.
        batch_size (`int`, *optional*, defaults to 32): texts a forward pass.

    Raises:
        `UserError`: a model that doesn't write label sequences.
    """
    check_writes_sequences(loaded)
    sequences: list[list[str]] = [[] for _ in texts]
    for places, batch in encoded_batches(loaded, texts, batch_size):
        with torch.inference_mode():
            found = loaded.model.label_sequences(batch)
        for place, ids in zip(places, found, strict=True):
            sequences[place] = loaded.label_space.decode(ids)
    return sequences


def check_writes_sequences(loaded: LoadedModel) -> None:
    """`UserError` for a model that doesn't write label sequences."""
    if not hasattr(loaded.model, "label_sequences"):
        raise UserError(
            f"a model of the kind '{loaded.model.config.model_type}' doesn't write its labels one after the other",
            field="sequences",
            accepted="a model of the kind 'sgm'",
        )


def _check_explainable(loaded: LoadedModel) -> None:
    if not loaded.model.has_token_weights:
        raise UserError(
            f"a model of the kind '{loaded.model.config.model_type}' doesn't tell from which tokens it reads a label",
            field="explain",
        )
    if not loaded.tokenizer.is_fast:
        raise UserError("a slow tokenizer, which doesn't tell where its tokens stand", field="explain")


def encoded_batches(
    loaded: LoadedModel, texts: Sequence[str], batch_size: int, *, with_offsets: bool = False
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Positions and tokens of texts of like length, or pixels of pictures, so many that scores stay within `MAX_CELLS`."""
    order = list(range(len(texts)))
    if not loaded.reads_images:
        order.sort(key=lambda place: len(texts[place]))
    batch_size = max(1, min(batch_size, MAX_CELLS // loaded.model.config.num_labels))
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        if loaded.reads_images:
            pixels_BCHW = pixels_of(loaded.image_processor, [texts[place] for place in places])
            yield places, {"pixel_values": pixels_BCHW.to(loaded.model.device)}
            continue
        yield places, encode_texts(loaded, [texts[place] for place in places], with_offsets=with_offsets)


def _rounded(answer: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Six digits of scores and weights: what is beyond depends on the machine, and lines get long."""
    for entry in answer:
        entry["score"] = round(entry["score"], 6)
        for span in entry.get("evidence", ()):
            span["weight"] = round(span["weight"], 6)
    return answer


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
