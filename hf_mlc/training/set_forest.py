"""The forest over known label sets that a model of tables may have beside its label chain: grown on training rows.

Shape legend: R rows, P columns, S known sets, L labels, T trees, N nodes of all trees, E entries of all leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from scipy import sparse

from hf_mlc.errors import UserError
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.run_facts import Stopwatch
from hf_mlc.tabular.powerset_forest import PowersetForest, Tree
from hf_mlc.training.known_sets import known_set_numbers


MOST_BYTES = 4 * 2**30  # of a tree that grows
ROWS_AT_ONCE = 1024
_SPARSE = 0.1  # of a table with fewer numbers that aren't 0 trees are grown faster from these alone


def set_forest_for_training(
    model: MultiLabelPreTrainedModel,
    encoded: Dataset,
    collator: Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]],
    *,
    seed: int,
) -> dict[str, Any] | None:
    """Grows the forest of a model that is to have one, and takes it out of one that is to go on without; before it is trained.

    As known sets do, whose numbers it speaks of (`known_sets_for_training` comes first), it belongs to the rows that are trained
    on now: a run that goes on from a checkpoint grows the same trees again, for its buffers' sizes.

    Args:
        model (`MultiLabelPreTrainedModel`): left alone if it has no place for a forest.
        encoded (`datasets.Dataset`): TRAINING rows, ready for the collator; of a second training, validation rows too.
        collator (callable): what makes batches of them, for training too.
        seed (`int`): of the rows and columns that are drawn; the same in every process of a run.

    Returns:
        Facts for results.json, `None` where no forest was grown.

    Raises:
        `UserError`: scikit-learn is missing, or a tree would take more than 4 GiB while it grows.
    """
    if not hasattr(model, "set_forest"):
        return None
    config = model.config
    if not config.has_forest:
        model.set_forest = None
        config.forget_forest()
        return None
    stopwatch, num_sets = Stopwatch(), len(model.known_sets)
    set_of_R = known_set_numbers(model.known_sets, encoded["label_ids"])
    kept_R = np.flatnonzero(set_of_R >= 0)  # a model of very many sets has not all of them
    _check_size(config, len(kept_R), num_sets)
    forest = PowersetForest(
        n_estimators=config.forest_trees,
        max_features="sqrt" if config.forest_max_features is None else float(config.forest_max_features),
        min_samples_leaf=config.forest_min_rows,
        seed=seed,
    ).fit_sets(_features(encoded.select(kept_R), collator), set_of_R[kept_R], num_sets)
    _put(model, forest.trees)
    facts = {"trees": config.num_forest_trees, "rows": len(kept_R), "nodes": config.num_forest_nodes}
    return facts | {"seconds": stopwatch.read()["seconds"]}


def _check_size(config: MsdnConfig, num_rows: int, num_sets: int) -> None:
    """scikit-learn holds a number for each node and class of the tree that it grows."""
    nodes = 2 * num_rows // config.forest_min_rows + 1
    size = 8 * nodes * num_sets
    if size > MOST_BYTES or nodes * config.forest_trees >= 2**31:
        raise UserError(
            f"a tree of {num_rows:,} rows and {num_sets:,} label sets may take {size / 2**30:,.0f} GiB while it grows",
            field="forest_weight",
            accepted=f"0, no forest; or a forest_min_rows above {config.forest_min_rows}, at most {MOST_BYTES // 2**30} GiB a tree",
        )


def _put(model: MsdnForMultiLabelClassification, trees: list[Tree]) -> None:
    buffers, config = buffers_of(trees), model.config
    names = {"num_forest_trees": "roots", "num_forest_nodes": "columns", "num_forest_entries": "sets"}
    for name, buffer in names.items():
        setattr(config, name, len(buffers[buffer]))
    model.make_room_for_forest()
    model.set_forest.fill(**buffers)


def buffers_of(trees: list[Tree]) -> dict[str, torch.Tensor]:
    """What `SetForest.fill` takes, of trees that number their sets as the model does."""
    roots_T = np.cumsum([0, *(len(tree.left) for tree in trees)])[:-1]
    branches = [
        np.stack([np.where(side >= 0, side + root, -1) for side in (tree.left, tree.right)], axis=1)
        for tree, root in zip(trees, roots_T, strict=True)
    ]
    counts = sparse.vstack([tree.counts for tree in trees], format="csr")
    arrays = {
        "roots": roots_T,
        "branches": np.concatenate(branches),
        "columns": np.concatenate([np.maximum(tree.column, 0) for tree in trees]),
        "starts": counts.indptr,
        "sets": counts.indices,
        "counts": counts.data,
    }
    thresholds_N = _float32_below(np.concatenate([tree.threshold for tree in trees]))
    tensors = {name: torch.from_numpy(np.asarray(array, np.int32)) for name, array in arrays.items()}
    return tensors | {"thresholds": torch.from_numpy(thresholds_N)}


def _float32_below(thresholds_N: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above each threshold: a float32 is at most the one if it is at most the other."""
    rounded_N = thresholds_N.astype(np.float32)
    return np.where(rounded_N > thresholds_N, np.nextafter(rounded_N, np.float32(-np.inf)), rounded_N)


def _features(encoded: Dataset, collator: Callable) -> np.ndarray | sparse.csr_matrix:
    """The rows as the encoder reads them, float32 `(R, P)`."""
    blocks = []
    for start in range(0, len(encoded), ROWS_AT_ONCE):
        batch = collator([encoded[place] for place in range(start, min(start + ROWS_AT_ONCE, len(encoded)))])
        blocks.append(sparse.csr_matrix(batch["input_features"].float().numpy()))
    features_RP = sparse.vstack(blocks, format="csr")
    share = features_RP.nnz / max(1, np.prod(features_RP.shape))
    return features_RP if share < _SPARSE else features_RP.toarray()
