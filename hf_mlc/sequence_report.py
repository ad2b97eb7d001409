"""What is measured of a model that writes label sequences, beyond the metrics of label sets: `evaluate` prints it.

Order, cardinality and unseen sets come from [`hf_mlc.metrics.sequences`]; faithfulness from [`hf_mlc.explaining`].
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch

from hf_mlc.explaining.faithfulness import deletion_drops
from hf_mlc.explaining.methods import explain_labels
from hf_mlc.inference import LoadedModel, encoded_batches
from hf_mlc.inputs import TEXTS
from hf_mlc.metrics.sequences import SequenceMetrics


DELETED_WORDS = (1, 5)
RANDOM_DRAWS = 3  # of words to delete, a label


def writes_sequences(model: Any) -> bool:
    """Whether the model's answers come from label sequences: of type sgm, and not decided by the auxiliary head alone."""
    return hasattr(model, "sequence_trace") and (model.decides_on_sets or model.config.scores != "auxiliary")


def reference_order(config: Any) -> tuple[list[int] | None, str]:
    """The order that generated sequences are compared with, and a sentence about what the comparison means."""
    order, ranks = config.label_order, config.label_ranks
    if order in ("random", "dynamic"):
        return None, f"the model was trained without a fixed order ({order})"
    if ranks is None:
        ranks = list(range(config.num_labels))
        order = "label ids"
    if config.sequence_loss != "sequence_ce":
        return ranks, f"{order}; the model was not trained towards it ({config.sequence_loss})"
    if order in ("alphabetical", "label ids"):
        return ranks, f"{order}; an order without meaning: this tells how well it was memorised"
    return ranks, order


def measure_sequences(
    loaded: LoadedModel,
    texts: Sequence[str],
    true_ids: Sequence[Sequence[int]],
    *,
    training_sets: Collection[frozenset[int]] | None = None,
    batch_size: int = 32,
    deletion_documents: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """The metrics of the sequences that a model writes for these texts.

    Args:
        loaded (`LoadedModel`): a model that [`writes_sequences`].
        texts (`Sequence[str]`): the texts.
        true_ids (`Sequence[Sequence[int]]`): their true labels.
        training_sets (collection of `frozenset[int]`, *optional*): label sets of the training documents.
        batch_size (`int`, *optional*, defaults to 32): texts a forward pass.
        deletion_documents (`int`, *optional*, defaults to 0):
            of so many texts, the first ones, the words that the generated labels' steps looked at most are deleted.
        seed (`int`, *optional*, defaults to 0): of the random words that this is compared with.

    Returns:
        `dict`: `metrics` by name ([`SequenceMetrics.compute`], and `deletion_drop@k` beside `random_drop@k`, means over the
        generated labels of those texts), `facts`: over how many documents and labels they are, the `reference`.
    """
    ranks, reference = reference_order(loaded.model.config)
    metrics = SequenceMetrics(ranks, training_sets=training_sets)
    sequences: list[list[int]] = [[] for _ in texts]
    for places, batch in encoded_batches(loaded, texts, batch_size):
        with torch.inference_mode():
            found = loaded.model.sequence_trace(**batch)
        predicted = found.label_lists()
        for place, sequence in zip(places, predicted, strict=True):
            sequences[place] = sequence
        metrics.update(
            predicted,
            [true_ids[place] for place in places],
            attention_BTM=found.attention_BTm.cpu().numpy(),
            num_tokens_B=_num_tokens(batch, found.attention_BTm),
        )
    # only texts have words to delete, and a head without attention doesn't say which words it read
    if loaded.kind is not TEXTS or not loaded.model.has_token_weights:
        deletion_documents = 0
    drops = _deletion(loaded, texts[:deletion_documents], sequences, seed)
    return {
        "metrics": metrics.compute() | drops.pop("metrics"),
        "facts": metrics.facts() | {"reference_order": reference} | drops,
    }


def _num_tokens(batch: dict[str, torch.Tensor], attention_BTm: torch.Tensor) -> list[int]:
    """Tokens of each document; of a picture, its patches."""
    if "attention_mask" in batch:
        return batch["attention_mask"].sum(dim=1).tolist()
    return [attention_BTm.shape[2]] * len(attention_BTm)


def _deletion(loaded: LoadedModel, texts: Sequence[str], sequences: list[list[int]], seed: int) -> dict[str, Any]:
    rng, found = np.random.default_rng(seed), []
    for text, sequence in zip(texts, sequences, strict=False):
        for explanation in explain_labels(loaded, text, list(dict.fromkeys(sequence))) if sequence else ():
            if explanation.words():
                settings = {"ks": DELETED_WORDS, "random_draws": RANDOM_DRAWS}
                found.append(deletion_drops(loaded, explanation, rng, **settings))
    if not found:
        return {"metrics": {}}
    means_2F = np.mean(found, axis=0)
    names = [(f"{name}@{k}", row, place) for row, name in enumerate(("deletion_drop", "random_drop"))
             for place, k in enumerate(DELETED_WORDS)]  # fmt: skip
    return {
        "metrics": {name: float(means_2F[row, place]) for name, row, place in names},
        "deletion_documents": len(texts),
        "deletion_labels": len(found),
    }
