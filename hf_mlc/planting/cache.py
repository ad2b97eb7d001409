"""Planted statistics and rankers kept between runs: those of MIMIC take minutes, and every seed or ablation wants them again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from scipy import sparse

from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.planting.ranker import TokenLabelRanker
from hf_mlc.planting.statistics import TokenLabelStore


def cache_file(folder: str | Path, settings: dict[str, Any], *, kind: str = "planting") -> Path:
    """Where what was made with `settings` is kept: they must hold all that it depends on, the counted tables too."""
    name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode("utf-8")).hexdigest()
    return Path(folder) / f"{kind}-{name[:24]}.safetensors"


def digest(table: sparse.csr_array, *, values: bool = False) -> str:
    """What tells a table of 0 and 1 from others, its shape and where the ones are; with `values` any table."""
    found = hashlib.sha256(repr(table.shape).encode("ascii"))
    for part in (table.indptr, table.indices):
        found.update(np.ascontiguousarray(part, dtype=np.int64).data)
    if values:
        found.update(np.ascontiguousarray(table.data, dtype=np.float64).data)
    return found.hexdigest()


def unreadable(file: Path, error: Exception) -> UserError:
    """What is said of a file of the cache that isn't whole."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(
        f"can't be read ({reason})", file=file, field="planting_cache", accepted="to be deleted: it is made anew"
    )


def write_cache(
    file: Path,
    store: TokenLabelStore,
    ranker: TokenLabelRanker | None,
    facts: dict[str, Any] | None,
    cost: dict[str, float],
) -> None:
    """Writes a store and, where there is one, a ranker with its facts, and the seconds that making them cost; the file
    appears whole or not at all."""
    arrays = {"token_ids": store.token_ids, "values": store.values}
    if ranker is not None:
        arrays |= {f"ranker.{name}": tensor.detach().numpy() for name, tensor in ranker.named_parameters()}
    about = {"num_documents": store.num_documents, "vocab_size": store.vocab_size, "kind": store.kind}
    about |= {"ranker": facts, "cost": cost}
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file, binary=True) as stream:
        stream.write(save(arrays, metadata={"about": json.dumps(about)}))


def read_cache(
    file: Path,
) -> tuple[TokenLabelStore, TokenLabelRanker | None, dict[str, Any] | None, dict[str, float]]:
    """What `write_cache` wrote; `UserError` for a file that isn't whole."""
    try:
        with safe_open(file, framework="numpy") as content:
            about = json.loads(content.metadata()["about"])
            arrays: dict[str, np.ndarray] = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
        raise unreadable(file, error) from None
    store = TokenLabelStore(
        arrays["token_ids"], arrays["values"], about["num_documents"], about["vocab_size"], about["kind"]
    )
    if "ranker.token_factors" not in arrays:
        return store, None, None, about["cost"]
    (vocab_size, rank), num_labels = arrays["ranker.token_factors"].shape, store.num_labels
    ranker = TokenLabelRanker(vocab_size, num_labels, rank)
    parameters = {name: torch.from_numpy(arrays[f"ranker.{name}"]) for name, _ in ranker.named_parameters()}
    ranker.load_state_dict(parameters)
    return store, ranker, about["ranker"], about["cost"]
