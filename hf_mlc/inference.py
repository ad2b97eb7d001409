"""A trained model as its user meets it: load a folder or a Hub id, score texts or what else it reads, name the labels.

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
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerBase
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from hf_mlc.auto import ARCHITECTURES
from hf_mlc.errors import UserError, first_line
from hf_mlc.hub_reading import download_model, local_folder
from hf_mlc.inputs import IMAGES, TEXTS, InputKind, input_kind_of
from hf_mlc.label_storage import read_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.answers import choose_labels, written_answer
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.event_rows import EventRowError
from hf_mlc.modeling.evidence import weights_of_labels
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel


# Scores that are in memory at one time (128 MiB of float32): with very many labels batches get smaller
MAX_CELLS = 2**25


@dataclass
class LoadedModel:
    """A model with what belongs to it: `model`, `label_space`, and the `processor` that is saved with it (a tokenizer, an
    image processor: [`hf_mlc.inputs`])."""

    model: MultiLabelPreTrainedModel
    processor: Any
    label_space: LabelSpace

    @property
    def kind(self) -> InputKind:
        """What it reads."""
        return input_kind_of(self.model.config)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The processor of a model of texts."""
        return self.processor if self.kind is TEXTS else None


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
            missing or doesn't fit, no tokenizer (or what else its input is read through).
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
    processor = input_kind_of(config).load_processor(folder, shown_as=name_or_path, field="model")
    return LoadedModel(model.to(device).eval(), processor, label_space)


def check_reads_texts(loaded: LoadedModel, what: str) -> None:
    """`UserError` for a model of anything else where `what` is of texts only."""
    if loaded.kind is not TEXTS:
        raise UserError(
            f"the model reads {loaded.kind.noun}, and {what} is of texts", field="model", accepted="a model of texts"
        )


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
        reason = first_line(error) if file.exists() else "there is none"
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
            f"no names of its labels ({first_line(error)})",
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
        reason = "they have other shapes than config.json says" if shapes else first_line(error)
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
        texts (`Sequence[str]`): the texts, those of like length sharing a batch; or what else the model reads
            ([`hf_mlc.inputs`]), of a model of pictures files.
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
    return _on_device(loaded, TEXTS.batch(loaded.processor, texts, with_offsets=with_offsets))


def _on_device(loaded: LoadedModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
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
        `UserError`: one string instead of several; `explain` with a model or a tokenizer that can't tell.
    """
    if isinstance(texts, str):  # each of its letters would be a text
        raise UserError("found one string", field="texts", accepted="a list of texts")
    if explain is not None:
        check_reads_texts(loaded, "the evidence of words")
        _check_explainable(loaded)
    answers: list[list[dict[str, Any]]] = [[] for _ in texts]
    settings = {} if explain is None else {"with_offsets": True}
    for places, batch in encoded_batches(loaded, texts, batch_size, **settings):
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
    if loaded.kind is not IMAGES:
        raise UserError(
            f"the model reads {loaded.kind.noun}, not pictures", field="model", accepted="a model of pictures"
        )
    yield from predict_texts(loaded, images, top_k=top_k, threshold=threshold, batch_size=batch_size)


def predict_steps(
    loaded: LoadedModel,
    histories: Sequence[Any],
    steps: int,
    *,
    top_k: int | None = None,
    threshold: float | None = None,
    batch_size: int = 32,
) -> list[list[list[dict[str, Any]]]]:
    """For each history the labels of so many events to come, `[{"label", "score"}, ...]` a step, in the order given.

    What is decided of one step is taken for true by the next ([`~hf_mlc.modeling.next_labels.NextLabels.predict_next`]).

    Args:
        loaded (`LoadedModel`): from `load_model`; a model of events.
        histories (`list`): as the processor takes them.
        steps (`int`): how many.
        top_k, threshold, batch_size: see [`predict_texts`].

    Raises:
        `UserError`: the model reads no events; a history that the processor refuses, by its number.
    """
    check_predicts_next(loaded)
    try:
        answers = loaded.model.predict_next(
            histories, loaded.processor, top_k=top_k, steps=steps, thresholds=threshold, batch_size=batch_size
        )
    except EventRowError as error:
        raise UserError(error.problem, row=error.row, field=error.field, accepted=error.accepted) from None
    return [[_rounded(answer) for answer in of_history] for of_history in answers]


def check_predicts_next(loaded: LoadedModel) -> None:
    """`UserError` for a model that doesn't predict what comes next."""
    if not hasattr(loaded.model, "predict_next"):
        raise UserError(
            f"a model of the kind '{loaded.model.config.model_type}' doesn't predict events",
            field="steps",
            accepted="a model of the kind 'lanet'",
        )


def sequences_of_texts(loaded: LoadedModel, texts: Sequence[str], *, batch_size: int = 32) -> list[list[str]]:
    """The labels of each text in the order in which the model wrote them, in the order of the texts.

    They are the answered label set of those that the search found (the most probable one, all its orders counted; by
    `decision="expected_f1"` that of the highest expected F1), in the most probable of its orders:
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
    loaded: LoadedModel, items: Sequence[Any], batch_size: int, **settings: Any
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Positions of items that share a batch, and their tensors; so many that scores stay within `MAX_CELLS`.

    Args:
        loaded (`LoadedModel`): from `load_model`.
        items (`list`): texts, or what else the model reads.
        batch_size (`int`): items a forward pass, at most.
        settings: of the kind of input's `batch`; of texts `with_offsets`.
    """
    if getattr(loaded.model, "reads_token_counts", False):
        settings.setdefault("counted", True)
    order = loaded.kind.order(items)
    columns = getattr(
        loaded.model, "scored_columns", loaded.model.config.num_labels
    )  # fewer, of one that scores shortlists
    batch_size = max(1, min(batch_size, MAX_CELLS // columns))
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        try:
            batch = loaded.kind.batch(loaded.processor, [items[place] for place in places], **settings)
        except UserError as error:  # its row is one of the batch
            raise error if error.row is None else error.at(row=places[error.row - 1] + 1) from None
        yield places, _on_device(loaded, batch)


def _rounded(answer: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Six digits of scores and weights: what is beyond depends on the machine, and lines get long."""
    for entry in answer:
        entry["score"] = round(entry["score"], 6)
        for span in entry.get("evidence", ()):
            span["weight"] = round(span["weight"], 6)
    return answer
