"""Sparse rows in which a label's features tell it, and a model small enough to be trained in a second."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from hf_mlc.cycles.trainer import LightDxmlTrainer
from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor
from hf_mlc.sparse.collating import SparseCollator
from hf_mlc.training.arguments import MultiLabelTrainingArguments


NUM_FEATURES, NUM_LABELS = 40, 12


def rows_of(num_rows: int, seed: int, *, num_labels: int = NUM_LABELS) -> datasets.Dataset:
    """Rows of one to three labels; label l has the features 3 l and 3 l + 1, and every row some of anybody's."""
    rng = np.random.default_rng(seed)
    rows = {"input_ids": [], "token_weights": [], "label_ids": []}
    for _ in range(num_rows):
        labels = np.sort(rng.choice(num_labels, rng.integers(1, 4), replace=False))
        features = np.unique(np.concatenate([3 * labels, 3 * labels + 1, rng.integers(NUM_FEATURES, size=2)]))
        weights = rng.uniform(0.5, 1.5, len(features))
        rows["input_ids"].append((features + 1).tolist())  # 0 is padding
        rows["token_weights"].append((weights / np.linalg.norm(weights)).astype(np.float32).tolist())
        rows["label_ids"].append(labels.tolist())
    rows["length"] = [len(ids) for ids in rows["input_ids"]]
    return datasets.Dataset.from_dict(rows)


def features_of(labels: list[int], weights: tuple[float, float] = (0.8, 0.6)) -> datasets.Dataset:
    """What labels say of themselves: of each a row of the two features that tell it."""
    rows = {
        "input_ids": [[3 * label + 1, 3 * label + 2] for label in labels],
        "token_weights": [list(weights)] * len(labels),
        "label_ids": [[label] for label in labels],
        "length": [2] * len(labels),
    }
    return datasets.Dataset.from_dict(rows)


def space_of(rows: datasets.Dataset) -> LabelSpace:
    """Twelve labels with their counts in these rows."""
    counts = np.bincount([label for labels in rows["label_ids"] for label in labels], minlength=NUM_LABELS)
    names = [f"label-{number}" for number in range(NUM_LABELS)]
    return LabelSpace.from_names(names, counts=counts.tolist(), num_documents=len(rows))


def model_of(space: LabelSpace, **fields) -> LightDxmlForMultiLabelClassification:
    """A model of 8 numbers a document, always with the same initial weights."""
    settings = {"embed_dim": 8, "shortlist_size": 5, "cycle_epochs": 2, "proxy_epochs": 2, "proxy_batch_size": 16}
    config = LightDxmlConfig(
        encoder="features", vocab_size=NUM_FEATURES + 1, num_labels=len(space), **(settings | fields)
    )
    store_label_space(config, space)
    torch.manual_seed(0)
    model = LightDxmlForMultiLabelClassification(config)
    model.set_training_statistics(torch.from_numpy(space.counts), space.num_documents)
    return model


def trainer_of(
    folder: Path, *, fields: dict | None = None, rows=None, label_features=None, **arguments
) -> LightDxmlTrainer:
    """A trainer of 40 rows in batches of 8, 4 epochs, its checkpoints at their ends; dropout on."""
    train, validation = rows or (rows_of(40, seed=1), rows_of(16, seed=2))
    space = space_of(train)
    settings = {
        "num_train_epochs": 4,
        "learning_rate": 0.02,
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 8,
        "cycle_batch_size": 16,
        "save_total_limit": None,
    }
    args = MultiLabelTrainingArguments(
        output_dir=str(folder), use_cpu=True, report_to="none", disable_tqdm=True, **(settings | arguments)
    )
    torch.manual_seed(args.seed)
    return LightDxmlTrainer(
        model_of(space, **(fields or {})),
        args,
        label_space=space,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=SparseCollator(SparseFeatureExtractor(num_features=NUM_FEATURES), NUM_LABELS),
        label_features=label_features,
    )


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> LightDxmlTrainer:
    """A whole training, with its files kept."""
    trainer = trainer_of(tmp_path_factory.mktemp("cycles"), keep_cycle_files=True)
    trainer.train()
    return trainer
