"""Planted statistics and rankers kept between runs: those of MIMIC take minutes, and every seed or ablation wants them again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save

from hf_mlc.files import written_whole
from hf_mlc.planting.ranker import TokenLabelRanker
from hf_mlc.planting.statistics import TokenLabelStore


def cache_file(folder: str | Path, settings: dict[str, Any]) -> Path:
    """Where what was made with `settings` is kept: they must hold all that it depends on, rows and vocabulary too."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode("utf-8")).hexdigest()
    return Path(folder) / f"planting-{digest[:24]}.safetensors"


def write_cache(
    file: Path, store: TokenLabelStore, ranker: TokenLabelRanker | None, facts: dict[str, Any] | None
) -> None:
    """Writes a store and, where there is one, a ranker with its facts; the file appears whole or not at all."""
    arrays = {"token_ids": store.token_ids, "values": store.values}
    if ranker is not None:
        arrays |= {f"ranker.{name}": tensor.detach().numpy() for name, tensor in ranker.named_parameters()}
    about = {"num_documents": store.num_documents, "vocab_size": store.vocab_size, "kind": store.kind, "ranker": facts}
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file, binary=True) as stream:
        stream.write(save(arrays, metadata={"about": json.dumps(about)}))


def read_cache(file: Path) -> tuple[TokenLabelStore, TokenLabelRanker | None, dict[str, Any] | None]:
    """What `write_cache` wrote."""
    with safe_open(file, framework="numpy") as content:
        about = json.loads(content.metadata()["about"])
        arrays: dict[str, np.ndarray] = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    store = TokenLabelStore(
        arrays["token_ids"], arrays["values"], about["num_documents"], about["vocab_size"], about["kind"]
    )
    if "ranker.token_factors" not in arrays:
        return store, None, None
    (vocab_size, rank), num_labels = arrays["ranker.token_factors"].shape, store.num_labels
    ranker = TokenLabelRanker(vocab_size, num_labels, rank)
    parameters = {name: torch.from_numpy(arrays[f"ranker.{name}"]) for name, _ in ranker.named_parameters()}
    ranker.load_state_dict(parameters)
    return store, ranker, about["ranker"]
