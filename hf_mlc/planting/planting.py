"""Plants a PLANT model: statistics of the training rows and what a ranker learned from them become its attention."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from scipy import sparse
from transformers import PreTrainedTokenizerBase

from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.planting.arguments import PlantingArguments
from hf_mlc.planting.presence import count_labels, count_tokens
from hf_mlc.planting.pretrain import pretrain_attention
from hf_mlc.planting.ranking import TokenLabelRanker, train_ranker
from hf_mlc.planting.statistics import TokenLabelStore, token_label_store
from hf_mlc.planting.training_rows import check_training_rows
from hf_mlc.run_facts import Stopwatch


logger = logging.getLogger(__name__)


def plant(
    model: PlantForMultiLabelClassification,
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    args: PlantingArguments | None = None,
    *,
    fingerprint: dict[str, Any] | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    batch_size: int = 16,
    progress: bool = True,
) -> dict[str, Any] | None:
    """Counts the training rows, trains what is to be planted on the counts, and puts it into the model.

    `config.planting` says what: `"attention"` fills the lists of mutual information and the ranked attention,
    `"pretrain"` trains encoder and queries to rank the documents' tokens. Parts that the configuration has switched off
    are not made. The random state of torch is left as it was.

    Args:
        model (`PlantForMultiLabelClassification`): new, before its training.
        rows (`datasets.Dataset`): tokenised TRAINING rows, `input_ids` and `label_ids`.
        tokenizer (`PreTrainedTokenizerBase`): what made them; its special tokens are not counted.
        args (`PlantingArguments`, *optional*): how; the defaults if not given.
        fingerprint (`dict`, *optional*): of the rows ([`~hf_mlc.planting.planting_fingerprint`]); goes into the configuration.
        seed (`int`, *optional*, defaults to 0): of the ranker and of the controls.
        device (*optional*, defaults to `"cpu"`): where the ranker, and the ranking stage, are trained.
        batch_size (`int`, *optional*, defaults to 16): documents at a time in the ranking stage.
        progress (`bool`, *optional*, defaults to `True`): whether to show progress bars.

    Returns:
        `dict` of facts for results.json, or `None` where `config.planting` is `"none"`.

    Raises:
        `UserError`: rows that are no training rows, or without documents.
    """
    config, args = model.config, args if args is not None else PlantingArguments()
    if config.planting == "none":
        return None
    check_training_rows(rows)
    stopwatch = Stopwatch()
    rows = rows.with_format(None)
    presence = count_tokens(rows["input_ids"], config.vocab_size, tokenizer.all_special_ids)
    labels = count_labels(rows["label_ids"], config.num_labels)
    if args.planting_control == "permuted_labels":
        # every label gets the statistics of another one: the same numbers, and none of their meaning
        labels = labels[:, _another_label(config.num_labels, seed)]
    store = token_label_store(
        presence,
        labels,
        kind=args.planting_kind,
        num_tokens=config.stored_tokens,
        positive_only=args.planting_positive_only,
        min_document_frequency=args.planting_min_document_frequency,
        smoothing=args.planting_smoothing,
        progress=progress,
    )
    facts = {
        "kind": args.planting_kind,
        "control": args.planting_control,
        "documents": store.num_documents,
        "tokens": int((presence.sum(axis=0) > 0).sum()),
        "stored_pairs": int((store.token_ids >= 0).sum()),
        "labels_without_tokens": int((store.token_ids[:, 0] < 0).sum()),
    }
    generator_state = torch.get_rng_state()
    try:
        if config.planting == "pretrain":
            facts["ranking"] = pretrain_attention(
                model,
                rows["input_ids"],
                rows["label_ids"],
                store,
                epochs=args.pretrain_epochs,
                learning_rate=args.pretrain_learning_rate,
                batch_size=batch_size,
                labels_per_document=args.pretrain_labels,
                seed=seed,
                device=device,
                progress=progress,
            )
        else:
            facts["ranker"] = _plant_attention(model, store, presence, labels, args, seed, device, progress)
    finally:
        torch.set_rng_state(generator_state)
    config.planting_fingerprint = fingerprint
    return {**facts, "seconds": stopwatch.read()["seconds"]}


def _another_label(num_labels: int, seed: int) -> np.ndarray:
    """For each label a random other one, all of them in one ring: no label keeps its own."""
    ring, others = np.random.default_rng(seed).permutation(num_labels), np.empty(num_labels, np.int64)
    others[ring] = np.roll(ring, 1)
    return others


def freeze_planted(model: PlantForMultiLabelClassification) -> None:
    """Keeps the planted ranker as it is: its parameters get no gradients."""
    if model.decoder.ranked is not None:
        model.decoder.ranked.requires_grad_(False)


@torch.no_grad()
def put_store(model: PlantForMultiLabelClassification, store: TokenLabelStore) -> None:
    """Writes the lists of mutual information into the model."""
    part = model.decoder.mutual_information
    part.tokens.copy_(torch.from_numpy(store.token_ids))
    part.values.copy_(torch.from_numpy(store.values))


@torch.no_grad()
def put_ranker(model: PlantForMultiLabelClassification, ranker: TokenLabelRanker) -> None:
    """Writes a ranker's factors into the ranked attention."""
    for name in ("token_factors", "token_bias", "label_factors"):
        getattr(model.decoder.ranked, name).copy_(getattr(ranker, name))


def _plant_attention(model, store, presence, labels, args, seed, device, progress) -> dict[str, Any] | None:
    if model.decoder.mutual_information is not None and args.planting_control != "idf":
        put_store(model, store)
    if model.decoder.ranked is None or args.planting_control == "random_ranker":
        return None
    if args.planting_control == "idf":
        _put_idf(model, presence)
        return None
    ranker, facts = train_ranker(
        store,
        presence,
        labels,
        rank=model.config.rank_size,
        loss=args.ranker_loss,
        epochs=args.ranker_epochs,
        learning_rate=args.ranker_learning_rate,
        seed=seed,
        device=device,
        progress=progress,
    )
    put_ranker(model, ranker)
    return facts


@torch.no_grad()
def _put_idf(model: PlantForMultiLabelClassification, presence: sparse.csr_array) -> None:
    """Scores that know no label: the logarithm of how rare a token is; 0 for tokens never seen."""
    part, counts = model.decoder.ranked, presence.sum(axis=0)
    idf = np.where(counts > 0, np.log(presence.shape[0] / np.maximum(counts, 1)), 0.0)
    part.token_bias.copy_(torch.from_numpy(idf))
    part.label_factors.zero_()
