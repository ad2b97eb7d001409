"""Plants the read-out with linear support vector machines, and keeps for training what answers each document from the others.

Shape legend: N documents, V vocabulary, L labels, K tokens kept of a label, F folds.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from scipy import sparse

from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.modeling.planted_readout import SCALE, HeldOutReadouts, LinearReadout, PlantedReadout
from hf_mlc.modeling.tfidf_path import tfidf_vectors
from hf_mlc.planting.arguments import PlantingArguments
from hf_mlc.planting.cache import cache_file, digest, unreadable
from hf_mlc.planting.linear_models import CrossFitted, LinearModels, cross_fit
from hf_mlc.run_facts import Stopwatch
from hf_mlc.word_vectors.idf import inverse_document_frequencies


PLANTING_FOLDER = "planting"  # in the output folder, until the run has ended


def plant_linear_readout(
    model: MultiLabelPreTrainedModel,
    documents_input_ids: Sequence[Sequence[int]],
    labels_NL: sparse.csr_array,
    args: PlantingArguments,
    *,
    progress: bool = True,
) -> tuple[dict[str, Any], dict[str, float] | None]:
    """Fits the machines on the training documents and puts them into the model's `linear_readout`, and where that has no bias, into
    its output bias.

    The read-out's idf must have been filled in (`fill_idf`). What it says of a label is the log-odds of its machine, in PLANT
    `config.planted_readout` times.

    Args:
        model (`MultiLabelPreTrainedModel`): new, its configuration's `has_linear_readout` true; its read-out gets `held_out` as well.
        documents_input_ids (sequence of N sequences of `int`): the tokenised TRAINING rows.
        labels_NL (`scipy.sparse.csr_array` of shape `(N, L)`): 1 where a document has the label.
        args (`PlantingArguments`): cost, folds, cache.
        progress (`bool`, *optional*, defaults to `True`): whether to show progress bars.

    Returns:
        `dict` of facts for results.json: folds, slope, intercept, kept weights, seconds; and the seconds that the cache spared,
        `None` where it had nothing.

    Raises:
        `UserError`: fewer documents than folds, no scikit-learn.
    """
    readout, stopwatch = model.linear_readout, Stopwatch()
    counts_NV = count_occurrences(documents_input_ids, readout.vocab_size)
    features_NV = tfidf_rows(counts_NV, readout.idf)
    folds_N = folds_of(counts_NV, args.readout_folds)
    if len(np.unique(folds_N)) < args.readout_folds:
        raise UserError(
            f"{features_NV.shape[0]} training documents, and a fold without one",
            field="readout_folds",
            accepted="fewer folds, 2 or more, or more documents",
        )
    fitted, spared = _fitted(features_NV, labels_NL, folds_N, readout.tokens.shape[1], args, progress)
    put_linear_readout(model, fitted)
    facts = {
        "folds": args.readout_folds,
        "slope": fitted.slope,
        "intercept": fitted.intercept,
        "weights": int((fitted.whole.token_ids >= 0).sum()),
    }
    return facts | {"seconds": stopwatch.read()["seconds"]}, spared


def count_occurrences(documents_input_ids: Iterable[Sequence[int]], vocab_size: int) -> sparse.csr_array:
    """How often each token stands in each document, int32 `(N, V)`."""
    ids, numbers, ends = [], [], [0]
    for row in documents_input_ids:
        found, counts = np.unique(np.asarray(row, dtype=np.int64), return_counts=True)
        ids.append(found.astype(np.int32))
        numbers.append(counts.astype(np.int32))
        ends.append(ends[-1] + len(found))
    parts = (np.concatenate(numbers or [np.zeros(0, np.int32)]), np.concatenate(ids or [np.zeros(0, np.int32)]))
    return sparse.csr_array((*parts, np.array(ends)), shape=(len(ends) - 1, vocab_size))


def tfidf_rows(counts_NV: sparse.csr_array, idf_V: torch.Tensor) -> sparse.csr_array:
    """`tfidf_vectors` of many documents, float32 `(N, V)` without zeros."""
    blocks = []
    for start in range(0, counts_NV.shape[0], 256):
        dense = torch.from_numpy(counts_NV[start : start + 256].toarray())
        blocks.append(sparse.csr_array(tfidf_vectors(dense, idf_V.cpu()).numpy()))
    return sparse.vstack(blocks, format="csr") if blocks else sparse.csr_array(counts_NV.shape, dtype=np.float32)


def folds_of(counts_NV: sparse.csr_array, num_folds: int) -> np.ndarray:
    """`fold_of` of many documents, `(N,)`."""
    return (counts_NV.astype(np.int64) @ np.arange(counts_NV.shape[1])) % num_folds


@torch.no_grad()
def fill_idf(readout: PlantedReadout, token_counts: np.ndarray, num_documents: int) -> None:
    """Writes what each token weighs.

    Args:
        readout ([`PlantedReadout`]): of a new model.
        token_counts (`np.ndarray` of shape `(V,)`): in how many of the training documents each token is.
        num_documents (`int`): training documents.
    """
    idf = inverse_document_frequencies(token_counts, num_documents)
    # what no document was counted with has no say: a text of unknown words isn't longer for them
    readout.idf.copy_(torch.from_numpy(np.where(token_counts > 0, idf, 0.0)))


@torch.no_grad()
def put_linear_readout(model: MultiLabelPreTrainedModel, fitted: CrossFitted) -> None:
    """Writes fitted machines and their biases into the model, and what is held out beside them."""
    readout, factor = model.linear_readout, float(getattr(model.config, "planted_readout", 1))  # PLANT's has one
    tokens_LK, weight_LK = _tensors(fitted.whole, factor)
    readout.tokens.copy_(tokens_LK)
    readout.weight.copy_(weight_LK)
    bias_L = torch.from_numpy(fitted.whole.bias) * factor
    (readout.bias if isinstance(readout, LinearReadout) else model.output_bias()).copy_(bias_L)
    held_out = [_tensors(models, factor) for models in fitted.held_out]
    biases = [torch.from_numpy(models.bias) * factor - bias_L for models in fitted.held_out]
    readout.held_out = HeldOutReadouts(
        torch.stack([tokens for tokens, _ in held_out]),
        torch.stack([weight for _, weight in held_out]),
        torch.stack(biases),
    ).to(readout.weight.device)


def held_out_file(output: str | Path, fingerprint: dict[str, Any]) -> Path:
    """Where a run keeps what is held out and all that was planted beside it, for its other processes and for going on from a
    checkpoint: by the rows that it is of, because a refit has others."""
    return Path(output) / PLANTING_FOLDER / f"held_out-{fingerprint['rows'].split(':')[-1][:16]}.safetensors"


def write_planted_buffers(model: MultiLabelPreTrainedModel, file: Path) -> None:
    """Writes a planted model's buffers, what is held out among them; the file appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file, binary=True) as stream:
        stream.write(save({name: buffer.cpu().numpy() for name, buffer in model.named_buffers()}))


def read_planted_buffers(model: MultiLabelPreTrainedModel, file: Path) -> None:
    """What `write_planted_buffers` wrote, into a model of the same configuration; `UserError` where it isn't there or isn't whole.

    Idf, machines and lists of words are buffers, and with `ddp_broadcast_buffers` off, as it is for them, torch gives a run's other
    processes none, at the start neither.
    """
    readout, buffers = model.linear_readout, dict(model.named_buffers())
    prefix = next(name for name, module in model.named_modules() if module is readout) + ".held_out."
    try:
        with safe_open(file, framework="pt") as content:
            parts = [content.get_tensor(prefix + name) for name in ("tokens", "weight", "bias")]
            for name in content.keys():  # noqa: SIM118
                if name in buffers and not name.startswith(prefix):
                    buffers[name].copy_(content.get_tensor(name))
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"what was planted can't be read ({error})",
            file=file,
            accepted="to be deleted: they are made anew",
        ) from error
    readout.held_out = HeldOutReadouts(*parts).to(readout.weight.device)


def _tensors(models: LinearModels, factor: float) -> tuple[torch.IntTensor, torch.FloatTensor]:
    return torch.from_numpy(models.token_ids), torch.from_numpy(models.weights) * (factor / SCALE)


def _fitted(
    features_NV: sparse.csr_array,
    labels_NL: sparse.csr_array,
    folds_N: np.ndarray,
    num_tokens: int,
    args: PlantingArguments,
    progress: bool,
) -> tuple[CrossFitted, dict[str, float] | None]:
    """The machines, and where they come from the cache the seconds that fitting them once cost."""
    settings = {"num_folds": args.readout_folds, "num_tokens": num_tokens, "cost": args.readout_cost}
    file, stopwatch = None, Stopwatch()
    if args.planting_cache is not None:
        # the folds too: they go by all tokens, the features by those that weigh something
        tables = [digest(features_NV, values=True), digest(labels_NL), hashlib.sha256(folds_N.tobytes()).hexdigest()]
        file = cache_file(args.planting_cache, {"tables": tables, "format": 2, **settings}, kind="linear")
        if file.exists():
            return _read_cache(file)
    fitted = cross_fit(features_NV, labels_NL, folds_N, processes=_cores(), progress=progress, **settings)
    if file is not None:
        _write_cache(file, fitted, stopwatch.read())
    return fitted, None


def _cores() -> int:
    """Cores that this process may use; launchers of several processes set torch's threads to 1, and the others wait meanwhile."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write_cache(file: Path, fitted: CrossFitted, cost: dict[str, float]) -> None:
    arrays = {}
    for number, models in enumerate((fitted.whole, *fitted.held_out)):
        arrays |= {f"{number}.{name}": getattr(models, name) for name in ("token_ids", "weights", "bias")}
    about = {"slope": fitted.slope, "intercept": fitted.intercept, "cost": cost, "folds": len(fitted.held_out)}
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file, binary=True) as stream:
        stream.write(save(arrays, metadata={"about": json.dumps(about)}))


def _read_cache(file: Path) -> tuple[CrossFitted, dict[str, float]]:
    try:
        with safe_open(file, framework="numpy") as content:
            about = json.loads(content.metadata()["about"])
            models = [
                LinearModels(*(content.get_tensor(f"{number}.{name}") for name in ("token_ids", "weights", "bias")))
                for number in range(about["folds"] + 1)
            ]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise unreadable(file, error) from None
    return CrossFitted(models[0], tuple(models[1:]), about["slope"], about["intercept"]), about["cost"]
