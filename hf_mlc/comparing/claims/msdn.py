"""MSDN's claim: convolutions over the label axis are as good as a recurrent memory, or better, with fewer parameters and faster.

Eight of Mulan's tables, with its own training and test rows. All networks have the same encoder, optimiser and validation rule, and
every arm that is tuned tries equally many settings on validation rows, its `trials`, of which a large table takes the first ones
alone. An ablation of ours takes over what `msdn` chose and differs from it in what its settings name.
"""

from __future__ import annotations

from typing import Any

from hf_mlc.comparing.claim import Arm, Claim, ClaimData
from hf_mlc.comparing.set_statements import AboveOnEach, BestRank, Faster, NonInferior, OverSets


END_POINTS = ("subset_accuracy", "hamming_loss", "f1_micro")
SHOWN = ("f1_macro", "f1_samples")
# settings that an arm tries, and of the larger tables the first of them
TRIALS, FEW_TRIALS = 6, 3

# The paper note's pilot, but for two things that folds of training rows decided (emotions, birds). A rate that falls to 0 and no
# choice of an epoch: of some fifty validation rows the best epoch is luck (subset accuracy on the fold left out .269 for the epoch
# with most exact sets, .282 for the whole plan). And a second training with the validation rows, which the methods that are no
# networks have as well (.305)
TABLE = {
    "model_type": "msdn",
    "encoder": "mlp",
    "hidden_size": 256,
    "num_hidden_layers": 1,
    "hidden_dropout": 0.5,
    "per_device_train_batch_size": 64,
    "per_device_eval_batch_size": 256,
    "learning_rate": 1.0e-3,
    "lr_scheduler_type": "linear",
    "weight_decay": 1.0e-5,
    "num_train_epochs": 80,
    "eval_strategy": "no",
    "save_strategy": "no",
    "load_best_model_at_end": False,
    "threshold_kind": "global",
    "threshold_metric": "f1_micro+subset_accuracy",
    "min_labels": 0,  # chosen on validation rows, 0 or 1
    "refit": True,
}

_FAST = {"learning_rate": 3.0e-3}
_SLOW = {"learning_rate": 3.0e-4}
_WIDE = {"hidden_size": 512, "hidden_dropout": 0.7}
# what a scale may have: with 8 channels the paper note's pilot; by folds of training rows more of them help on yeast and emotions, and
# relations that read the document on tmc2007-500
_READING = {"document_relations": True}


def _ours(factor: int = 1, reading: dict = _READING) -> tuple[dict, ...]:
    """What MSDN tries: so many times the channels a scale, and `reading`, the settings by which relations read the document."""
    few, more, many = ({"channels": factor * channels} for channels in (8, 16, 32))
    return (
        many,
        {**few, **_WIDE},
        {**more, **reading},
        few,
        {**more, **reading, **_WIDE},
        {**few, **_FAST},
    )


def _chain(size: int, cell: str = "gru", **others: float) -> dict:
    return {"recurrent_size": size, "recurrent_cell": cell, **others}


# options that the paper note names as worth trying, together; on tables without numbers their embeddings change nothing
_PIECEWISE, _PERIODIC = {"numeric_embedding": "piecewise_linear"}, {"numeric_embedding": "periodic"}
_FAVOUR, _RESTRICT = {"known_sets": "favour", "known_set_weight": 0.2}, {"known_sets": "restrict"}
_BEST = (
    {"num_orders": 5, **_RESTRICT},
    {"num_orders": 5, **_RESTRICT, **_WIDE},
    {"num_orders": 5, **_FAVOUR, **_WIDE, **_READING},
    {"num_orders": 5, **_RESTRICT, **_PIECEWISE},
    {"num_orders": 5, **_FAVOUR, **_PIECEWISE, **_WIDE, **_READING},
    {"num_orders": 5, **_RESTRICT, **_PERIODIC},
    # for tables without numbers, on which three of those above are one
    {"num_orders": 5, **_FAVOUR},
    {"num_orders": 5, **_RESTRICT, **_FAST},
    {"num_orders": 5, **_RESTRICT, **_SLOW},
)

# what the chain says of a known set times what a forest says, which counts more or less
_BESIDE_FOREST = (
    {"forest_weight": 2.0},
    {"forest_weight": 1.0, **_WIDE},
    {"forest_weight": 4.0, **_WIDE},
    {"forest_weight": 1.0},
    {"forest_weight": 4.0},
    {"forest_weight": 2.0, **_WIDE},
)

OURS = (
    Arm("msdn", "scales 2, 4 and 8; the most frequent label first; Viterbi", trials=_ours()),
    Arm("msdn-best", "the options below together, which of them chosen on validation rows", trials=_BEST),
    Arm("msdn-ensemble", "five seeds of that, which vote on sets", runner="seed-ensemble", chosen_as="msdn-best"),
    Arm(
        "msdn-forest",
        "five orders and a random forest, which vote on the sets seen in training",
        settings={"num_orders": 5, **_RESTRICT},
        trials=_BESIDE_FOREST,
    ),
    # as many channels in all
    Arm("msdn-single-2", "scale 2 alone, as many channels", settings={"kernel_sizes": [2]}, trials=_ours(3)),
    Arm("msdn-single-8", "scale 8 alone, as many channels", settings={"kernel_sizes": [8]}, trials=_ours(3)),
    # which read the document anyway
    Arm("msdn-parallel", "guesses refined together", settings={"variant": "parallel"}, trials=_ours(reading={})),
)
NUMERIC = (
    Arm("msdn-piecewise", "numbers by their place among quantiles", settings=_PIECEWISE, chosen_as="msdn"),
    Arm("msdn-periodic", "numbers as sines and cosines", settings=_PERIODIC, chosen_as="msdn"),
)
ABLATIONS = (
    Arm("msdn-greedy", "label by label instead of Viterbi", settings={"decoding": "greedy"}, chosen_as="msdn"),
    Arm("msdn-orders", "five orders side by side", settings={"num_orders": 5}, chosen_as="msdn"),
    Arm("msdn-known-sets", "only sets seen in training", settings=_RESTRICT, chosen_as="msdn"),
    Arm("msdn-known-sets-favour", "sets seen in training preferred", settings=_FAVOUR, chosen_as="msdn"),
    *NUMERIC,
    Arm("msdn-seriation", "labels together that occur together", settings={"label_order": "seriation"}, chosen_as="msdn"),
    *(
        Arm(
            f"msdn-random-order-{number}",
            "an order drawn once for all seeds",
            settings={"label_order": "random", "label_order_seed": number},
            chosen_as="msdn",
        )
        for number in range(1, 6)
    ),
)  # fmt: skip
SAME_ENCODER = (
    Arm(
        "msdn-encoder-br", "same encoder, a sigmoid a label", runner="msdn-encoder-br",
        trials=({}, _WIDE, _FAST, _SLOW, {"hidden_dropout": 0.2}, {"weight_decay": 1.0e-3}),
    ),
    Arm(
        "rnn-chain", "same encoder, a recurrent chain over the labels", runner="rnn-chain",
        trials=(
            _chain(256), _chain(256, **_WIDE), _chain(64, **_FAST), _chain(256, **_SLOW), _chain(256, "lstm"),
            _chain(16, **_FAST),
        ),
    ),
    Arm(
        "rnn-labels", "same encoder, a recurrence that writes the labels a row has", runner="rnn-labels",
        trials=(
            _chain(256), _chain(256, **_WIDE), _chain(64, **_FAST), _chain(256, **_SLOW), _chain(256, "lstm"),
            _chain(16, **_FAST),
        ),
    ),
    Arm(
        "rnn-chain-small", "the same on binary relevance, as many parameters as msdn's relation with 8 channels", runner="rnn-chain-small",
        trials=(
            {}, _WIDE, _FAST, {"recurrent_cell": "lstm"}, _SLOW, {"read_out_dropout": 0.2},
        ),
    ),
    Arm(
        "rethink-rnn", "same encoder, a recurrence over guesses of all labels", runner="rethink-rnn",
        trials=(
            _chain(128, "lstm"), _chain(128, "lstm", **_WIDE), _chain(128, "lstm", **_FAST), _chain(128),
            _chain(128, "lstm", **_SLOW), _chain(256, "lstm"),
        ),
    ),
)  # fmt: skip
# the chain as it is often decoded, for the time that takes
GREEDY_CHAIN = Arm(
    "rnn-chain-greedy", "rnn-chain label by label, without a search", runner="rnn-chain", settings={"chain_beams": 1},
    chosen_as="rnn-chain",
)  # fmt: skip
# scikit-learn's and LightGBM's own defaults are among the first three
_CS = tuple({"C": c} for c in (0.1, 0.3, 1.0, 0.03, 3.0, 0.01))
_BOOSTED = (
    {}, {"num_leaves": 7}, {"num_leaves": 31}, {"num_leaves": 7, "min_child_samples": 5},
    {"n_estimators": 300, "learning_rate": 0.03, "min_child_samples": 5}, {"n_estimators": 300, "learning_rate": 0.03},
)  # fmt: skip
_FOREST = (
    {}, {"max_features": 0.2}, {"min_samples_leaf": 2}, {"max_features": 0.2, "min_samples_leaf": 2},
    {"max_features": 0.1}, {"min_samples_leaf": 3},
)  # fmt: skip
OTHERS = tuple(
    Arm(method, about, runner="table-method", settings={"method": method}, trials=trials)
    for method, about, trials in (
        ("logistic-br", "a logistic regression a label", _CS),
        ("logistic-chain", "a chain of them, the most frequent label first", _CS),
        ("logistic-chain-ensemble", "ten chains of random orders, their mean", _CS),
        ("lightgbm-br", "boosted trees a label", _BOOSTED),
        ("forest-powerset", "a random forest over the label sets of the training rows", _FOREST),
    )
)

ARMS = (*OURS, *ABLATIONS, *SAME_ENCODER, GREEDY_CHAIN, *OTHERS)


def _names(arms: tuple[Arm, ...]) -> tuple[str, ...]:
    return tuple(arm.name for arm in arms)


BASELINES = (*_names(SAME_ENCODER), *_names(OTHERS))
RANKED_OURS = ("msdn", "msdn-best", "msdn-ensemble", "msdn-forest")


def _others_of_ours(arm: str) -> tuple[str, ...]:
    return tuple(one for one in RANKED_OURS if one != arm)


OVER_SETS = OverSets(
    reference="msdn",
    ours=RANKED_OURS,
    ranked=(*RANKED_OURS, *BASELINES),
    metrics=(*END_POINTS, *SHOWN),
    statements=(
        *(
            NonInferior(one, "rnn-chain", margin=0.01, variants=_others_of_ours(one))
            for one in ("msdn", "msdn-forest")
        ),
        AboveOnEach("msdn", "msdn-encoder-br"),
        *(BestRank(one, variants=_others_of_ours(one)) for one in RANKED_OURS[1:]),
        Faster("msdn", "rnn-chain", factor=5),
        Faster("msdn", GREEDY_CHAIN.name, factor=5, times=("predict_ms",)),
    ),
)
DIFFERENCES = tuple(
    dict.fromkeys(
        [
            *(("msdn", other) for other in (*_names(OURS[1:]), *_names(ABLATIONS), *BASELINES, GREEDY_CHAIN.name)),
            *(("msdn-best", other) for other in BASELINES),
            ("msdn-ensemble", "msdn-best"),
            *(("msdn-ensemble", other) for other in BASELINES),
            *(("msdn-forest", other) for other in ("msdn-best", *BASELINES)),
        ]
    )
)


def _table(name: str, *, numbers: bool = False, large: bool = False, **settings: Any) -> ClaimData:
    """One of Mulan's tables.

    Args:
        numbers (`bool`, *optional*, defaults to `False`): it has columns of numbers, that embeddings of numbers can change.
        large (`bool`, *optional*, defaults to `False`): it has thousands of rows: fewer trials.
        settings (`dict`, *optional*): on top of those of all tables.
    """
    left_out = () if numbers else _names(NUMERIC)
    return ClaimData(
        name=name,
        folder=f"mulan/{name}",
        end_points=END_POINTS,
        shown=SHOWN,
        features_column="features",
        meta_file="meta.json",
        num_trials=FEW_TRIALS if large else TRIALS,
        validation_fraction=0.125,
        settings={**TABLE, **settings},
        without_effect=() if numbers else ("numeric_embedding",),
        arms=tuple(arm for arm in _names(ARMS) if arm not in left_out),
    )


DATASETS = (
    _table("emotions", numbers=True),
    _table("yeast", numbers=True),
    _table("birds", numbers=True),
    _table("enron"),
    _table("genbase"),
    _table("bibtex", large=True),
    # as many steps as those of bibtex, with four times the rows
    _table("tmc2007-500", large=True, num_train_epochs=20),
    _table("corel5k", large=True),
)

CLAIM = Claim(
    name="msdn",
    datasets=DATASETS,
    arms=ARMS,
    differences=DIFFERENCES,
    own_data=ClaimData(
        name="",
        folder="",
        end_points=END_POINTS,
        shown=SHOWN,
        features_column="features",
        settings=TABLE,
        num_trials=TRIALS,
    ),
    over_sets=OVER_SETS,
    one_process=True,
)
