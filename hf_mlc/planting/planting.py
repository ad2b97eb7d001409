"""Plants a new model: statistics of the training rows and what a ranker learned from them become PLANT's attention, linear machines
a read-out, PLANT's or another's."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from scipy import sparse
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.planting.arguments import PlantingArguments, check_control, planting_of
from hf_mlc.planting.cache import cache_file, digest, read_cache, write_cache
from hf_mlc.planting.linear_readout import fill_idf, plant_linear_readout
from hf_mlc.planting.presence import count_labels, count_tokens
from hf_mlc.planting.pretrain import pretrain_attention
from hf_mlc.planting.ranking import TokenLabelRanker, train_ranker
from hf_mlc.planting.statistics import TokenLabelStore, token_label_store
from hf_mlc.planting.training_rows import check_training_rows
from hf_mlc.run_facts import Stopwatch, sum_of_costs


logger = logging.get_logger(__name__)
# arguments that say what becomes of the statistics, or what is made of them later
NOT_OF_THE_SEEDS = (
    "planting_cache",
    "planting_freeze",
    "pretrain_epochs",
    "pretrain_learning_rate",
    "pretrain_labels",
    "readout_cost",
    "readout_folds",
)


def wants_planting(config: MultiLabelConfig) -> bool:
    """Whether something is made of the training rows for a new model of this configuration: statistics, or linear machines."""
    return planting_of(config) != "none" or config.has_linear_readout


def plant(
    model: MultiLabelPreTrainedModel,
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

    `config.planting` says what: `"attention"` fills the lists of mutual information, the ranked attention and the read-out,
    `"pretrain"` trains encoder and queries to rank the documents' tokens. Parts that the configuration has switched off
    are not made. Other architectures with `config.has_linear_readout` get their machines. The random state of torch is left as it was.

    Args:
        model (`MultiLabelPreTrainedModel`): new, before its training.
        rows (`datasets.Dataset`): tokenised TRAINING rows, `input_ids` and `label_ids`.
        tokenizer (`PreTrainedTokenizerBase`): what made them; its special tokens are not counted.
        args (`PlantingArguments`, *optional*): how; the defaults if not given.
        fingerprint (`dict`, *optional*): of the rows ([`~hf_mlc.planting.planting_fingerprint`]); goes into the configuration.
        seed (`int`, *optional*, defaults to 0): of the ranker and of the controls.
        device (*optional*, defaults to `"cpu"`): where the ranker, and the ranking stage, are trained.
        batch_size (`int`, *optional*, defaults to 16): documents at a time in the ranking stage.
        progress (`bool`, *optional*, defaults to `True`): whether to show progress bars.

    Returns:
        `dict` of facts for results.json, or `None` where nothing is asked for.

    Raises:
        `UserError`: rows that are no training rows, or without documents; a control of a part that isn't there.
    """
    config, args = model.config, args if args is not None else PlantingArguments()
    if not wants_planting(config):
        return None
    check_control(config, args)
    check_training_rows(rows)
    stopwatch = Stopwatch()
    rows = rows.with_format(None)
    generator_state = torch.get_rng_state()
    try:
        presence = count_tokens(rows["input_ids"], config.vocab_size, tokenizer.all_special_ids)
        labels = count_labels(rows["label_ids"], config.num_labels)
        if args.planting_control == "permuted_labels":
            # every label gets the statistics of another one: the same numbers, and none of their meaning
            labels = labels[:, _another_label(config.num_labels, seed)]
        facts, spared = {"control": args.planting_control, "documents": presence.shape[0]}, None
        if planting_of(config) != "none":
            store, ranker, ranker_facts, spared = _seeds(config, presence, labels, args, seed, device, progress)
            facts |= {
                "kind": args.planting_kind,
                "stored_pairs": int((store.token_ids >= 0).sum()),
                "labels_without_tokens": int((store.token_ids[:, 0] < 0).sum()),
            }
        if planting_of(config) == "pretrain":
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
        elif planting_of(config) == "attention":
            facts["ranker"] = ranker_facts
            put_store(model, store, presence.sum(axis=0))
            if ranker is not None:
                put_ranker(model, ranker)
        if config.has_linear_readout:
            fill_idf(model.linear_readout, presence.sum(axis=0), presence.shape[0])
            facts["readout"], spared_too = plant_linear_readout(
                model, rows["input_ids"], labels, args, progress=progress
            )
            spared = sum_of_costs(spared, spared_too)
    finally:
        torch.set_rng_state(generator_state)
    config.planting_fingerprint = fingerprint
    if spared is not None:
        facts["from_cache"] = spared  # what making it cost the run that did
    return {**facts, "seconds": stopwatch.read()["seconds"]}


def freeze_planted(model: PlantForMultiLabelClassification) -> None:
    """Keeps a PLANT's planted ranker and read-out as they are: their parameters get no gradients."""
    for part in (model.decoder.ranked, model.decoder.readout):
        if part is not None:
            part.requires_grad_(False)


@torch.no_grad()
def put_store(model: PlantForMultiLabelClassification, store: TokenLabelStore, token_counts: np.ndarray) -> None:
    """Writes the lists of mutual information into the parts of the model that read them.

    Args:
        store ([`TokenLabelStore`]): the lists.
        token_counts (`np.ndarray` of shape `(V,)`): in how many of the counted documents each token is.
    """
    tokens, values = torch.from_numpy(store.token_ids), torch.from_numpy(store.values)
    if (part := model.decoder.mutual_information) is not None:
        part.tokens.copy_(tokens)
        part.values.copy_(values)
    if (part := model.decoder.readout) is not None and not model.config.has_linear_readout:
        fill_idf(part, token_counts, store.num_documents)
        part.tokens.copy_(tokens)
        part.weight.copy_(model.config.planted_readout * values)


@torch.no_grad()
def put_ranker(model: PlantForMultiLabelClassification, ranker: TokenLabelRanker) -> None:
    """Writes a ranker's factors into the ranked attention."""
    for name in ("token_factors", "token_bias", "label_factors"):
        getattr(model.decoder.ranked, name).copy_(getattr(ranker, name))


def _seeds(
    config, presence, labels, args, seed, device, progress
) -> tuple[TokenLabelStore, TokenLabelRanker | None, dict[str, Any] | None, dict[str, float] | None]:
    """The statistics, and the ranker where one is planted with its facts: of the counts, or from the cache with the seconds
    that making them once cost."""
    ranks = config.planting == "attention" and config.ranked_attention and args.planting_control != "random_ranker"
    file, stopwatch = None, Stopwatch()
    if args.planting_cache is not None:
        names = ("vocab_size", "num_labels", "stored_tokens", "rank_size")
        made_with = {name: value for name, value in asdict(args).items() if name not in NOT_OF_THE_SEEDS}
        # of the tables themselves: rows and vocabulary may be the same, and texts cut at another length
        made_with |= {"counted": [digest(presence), digest(labels)], "seed": seed, "ranks": ranks, "format": 3}
        file = cache_file(args.planting_cache, made_with | {name: getattr(config, name) for name in names})
        if file.exists():
            logger.info("planting from %s", file)
            return read_cache(file)
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
    ranker, facts = None, None
    if ranks and args.planting_control == "idf":
        ranker = _idf_ranker(config, presence)
    elif ranks:
        ranker, facts = train_ranker(
            store,
            presence,
            labels,
            rank=config.rank_size,
            loss=args.ranker_loss,
            epochs=args.ranker_epochs,
            learning_rate=args.ranker_learning_rate,
            seed=seed,
            device=device,
            progress=progress,
        )
    if file is not None:
        write_cache(file, store, ranker, facts, stopwatch.read())
    return store, ranker, facts, None


def _another_label(num_labels: int, seed: int) -> np.ndarray:
    """For each label a random other one, all of them in one ring: no label keeps its own."""
    ring, others = np.random.default_rng(seed).permutation(num_labels), np.empty(num_labels, np.int64)
    others[ring] = np.roll(ring, 1)
    return others


@torch.no_grad()
def _idf_ranker(config, presence: sparse.csr_array) -> TokenLabelRanker:
    """Scores that know no label: the logarithm of how rare a token is; 0 for tokens never seen."""
    ranker, counts = TokenLabelRanker(config.vocab_size, config.num_labels, config.rank_size), presence.sum(axis=0)
    idf = np.where(counts > 0, np.log(presence.shape[0] / np.maximum(counts, 1)), 0.0)
    ranker.reset_parameters(torch.Generator().manual_seed(0))
    ranker.label_factors.zero_()
    ranker.token_bias.copy_(torch.from_numpy(idf))
    return ranker
