"""The label sets that training rows have, for a model that answers with known sets or favours them.

Shape legend: N training rows, L labels, S different sets, P labels of a set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers.utils import logging

from hf_mlc.errors import UserError
from hf_mlc.modeling.msdn_known_sets import KnownSets
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel


logger = logging.get_logger(__name__)

MOST_BYTES = 64 * 2**20  # of the packed sets, saved with the weights
_ROWS_AT_ONCE = 10_000


def known_sets_for_training(model: MultiLabelPreTrainedModel, encoded: Dataset) -> dict[str, Any] | None:
    """Fills the known sets of a model that is to use them, from rows that are ready for the collator; before it is trained.

    Label sets of training rows are saved with the weights and published with them, so they are kept only where `known_sets`
    asks for them, and taken out of a model that goes on without. A checkpoint's buffers have the size of its own run's sets, so a run
    that goes on from one needs this as well.

    Args:
        model (`MultiLabelPreTrainedModel`): one that has no place for such sets, as the parallel variant, is left alone.
        encoded (`datasets.Dataset`): TRAINING rows with `label_ids`; of a second training, validation rows too.

    Returns:
        Facts for results.json, `None` where nothing was filled in.

    Raises:
        `UserError`: no other set may be answered, and none has the `min_labels` labels that the configuration asks for.
    """
    known = getattr(model, "known_sets", None)
    if not isinstance(known, KnownSets) or getattr(model.config, "variant", "causal") != "causal":
        return None
    if model.config.known_sets == "off":
        known.fill(known.packed[:0], known.counts[:0])
        model.config.num_known_sets = 0
        return None
    lists = encoded["label_ids"]
    batches = (lists[start : start + _ROWS_AT_ONCE] for start in range(0, len(encoded), _ROWS_AT_ONCE))
    facts = fill_known_sets(model, (ids for batch in batches for ids in batch))
    _check_smallest_set(model)
    return facts


def _check_smallest_set(model: MultiLabelPreTrainedModel) -> None:
    config = model.config
    if config.known_sets != "restrict" or config.decision == "thresholds" or not config.min_labels:
        return
    largest = int(model.known_sets.sets_SL.sum(dim=1).max())
    if config.min_labels > largest:
        found = f"found {config.min_labels}, and no label set of the training rows has more than {largest}"
        accepted = f"0 to {largest} with known_sets 'restrict', or known_sets 'favour'"
        raise UserError(found, field="min_labels", accepted=accepted)


def fill_known_sets(
    model: MultiLabelPreTrainedModel, label_ids: Iterable[Iterable[int]], *, most_bytes: int = MOST_BYTES
) -> dict[str, Any]:
    """Counts the label sets of training rows and keeps them in the model, the most frequent first.

    Sets of the same count go by size, the smaller ones first, then by label ids: of equally probable known sets the first one
    is answered. A row without labels has a set too, the empty one.

    Args:
        model (`MultiLabelPreTrainedModel`): with a `known_sets` module and `num_known_sets` in its configuration.
        label_ids (iterable of lists): the labels of each row.
        most_bytes (`int`, *optional*, defaults to 64 MiB): of the packed sets; of more, the rarest are left out, with a warning.

    Returns:
        `dict`: `rows`, `sets` (different ones), `kept`, and `seen_once`, the share of rows whose set no other row has.
    """
    counts = Counter(tuple(sorted(set(map(int, ids)))) for ids in label_ids)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], len(item[0]), item[0]))
    width = (model.config.num_labels + 7) // 8
    kept = ranked[: max(1, most_bytes // width)]
    if len(kept) < len(ranked):
        logger.warning(
            f"{len(ranked):,} different label sets in training: the model keeps the {len(kept):,} most frequent ones."
        )
    model.known_sets.fill(_packed([ids for ids, _ in kept], width), torch.tensor([count for _, count in kept]))
    model.config.num_known_sets = len(kept)
    rows = sum(counts.values())
    once = sum(count for count in counts.values() if count == 1)
    return {"rows": rows, "sets": len(ranked), "kept": len(kept), "seen_once": once / rows if rows else 0.0}


def known_set_numbers(known: KnownSets, label_ids: Iterable[Iterable[int]]) -> np.ndarray:
    """The number of each row's label set among the known ones, `(N,)`; -1 where it isn't one.

    Args:
        known ([`~hf_mlc.modeling.msdn_known_sets.KnownSets`]): filled.
        label_ids (iterable of lists): the labels of each row.
    """
    number_of = {row_W.tobytes(): number for number, row_W in enumerate(known.packed.cpu().numpy())}
    packed_NW = _packed([tuple(ids) for ids in label_ids], known.packed.shape[1]).numpy()
    return np.array([number_of.get(row_W.tobytes(), -1) for row_W in packed_NW], dtype=np.int64)


def _packed(sets: list[tuple[int, ...]], width: int) -> torch.Tensor:
    """As `modeling.msdn_known_sets.pack_sets`, from ids: the sets' 0 and 1 would need eight times the room."""
    packed_SW = np.zeros((len(sets), width), dtype=np.uint8)
    numbers_P = np.repeat(np.arange(len(sets)), [len(ids) for ids in sets])
    ids_P = np.fromiter((label for ids in sets for label in ids), dtype=np.int64, count=len(numbers_P))
    np.bitwise_or.at(packed_SW, (numbers_P, ids_P // 8), (1 << (ids_P % 8)).astype(np.uint8))
    return torch.from_numpy(packed_SW)
