"""SGM's claim: writing the label set as a sequence is better than binary relevance, label powerset and classifier chains.

It is made as statements, each printed with whether it holds: above the same encoder under the three heads (what the
sequence is worth by itself), with and without the same linear machines beside it; above the three over tf-idf and linear SVMs as
scikit-learn has them, and above the same with everything tuned that ours has tuned; from a pretrained encoder likewise. The arms of
this package are the recipe with the arm's settings on top; `sgm-whole` has all parts of the SGM-MLC paper (which restates Yang and
others' SGM and adds attentions), and each of its ablations lacks one.
"""

from __future__ import annotations

from hf_mlc.comparing.claim import Arm, Bars, Claim, ClaimData, Dates, Statement


END_POINTS = ("subset_accuracy", "f1_micro")
RECIPE = "model_cards/sgm-reuters/recipe.yaml"
PRETRAINED = "from the pretrained encoder of --encoder_path"

# the paper's parts beside the recipe's: self-attention of the encoder, attention to label vectors, label-wise attention
_WHOLE = {"encoder_self_attention": True, "label_attention": "both"}
_WITH_MACHINES = {"linear_readout": True, "readout_folds": 5}
# the tuned linear methods are fitted on validation rows too, once these have chosen; so these are trained
_REFITTED = {**_WITH_MACHINES, "refit": True}
# a pretrained encoder has its own sizes, tokens and vectors, and asks for small rates, the smaller the deeper a layer
_NOT_PRETRAINED = (
    "encoder",
    "embedding_size",
    "hidden_size",
    "tokenizer_kind",
    "word_vectors",
    "word_vectors_std",
    "embedding_std",
)
_FINE_TUNED = {
    "layer_learning_rate_decay": 0.7,
    "warmup_steps": 0.1,
    "num_train_epochs": 5,
    "max_length": 128,
    "bf16": True,
}
# of the head. The baseline chooses, and all others take its choice over
_FINE_TUNED_BY = "sgm-pretrained-br"
_FINE_TUNING_RATES = ({"learning_rate": 5.0e-4}, {"learning_rate": 1.0e-3})

VARIANTS = (
    Arm(
        "sgm",
        "the recipe: most frequent label first, global embedding, repeat mask, five beams, labels by a threshold on their marginals",
    ),
    Arm("sgm-greedy", "one beam", settings={"num_beams": 1}),
    Arm(
        "sgm-ocd-sequence",
        "order-free targets; the most probable set",
        settings={"sequence_loss": "ocd", "decision": "sequence"},
        by_default=False,
    ),
    Arm("sgm-alphabetical", "labels by the alphabet, as the paper has them", settings={"label_order": "alphabetical"}),
    Arm("sgm-rare-first", "the rarest label first", settings={"label_order": "rare_first"}),
    Arm("sgm-random", "another order each time", settings={"label_order": "random"}),
    Arm("sgm-ocd", "order-free targets on its own choices", settings={"sequence_loss": "ocd"}),
    Arm(
        "sgm-alignment",
        "targets where the decoder would write them",
        settings={"sequence_loss": "alignment", "label_order": "dynamic"},
    ),
    Arm("sgm-set-bce", "binary cross-entropy of the emitted set", settings={"sequence_loss": "set_bce"}),
    Arm("sgm-auxiliary", "with a per-label head of weight .05", settings={"auxiliary_weight": 0.05}),
    Arm(
        "sgm-ocd-rescored",
        "order-free, a per-label head of weight .05 weighs the sets too",
        settings={"sequence_loss": "ocd", "auxiliary_weight": 0.05, "scores": "rescored"},
    ),
    Arm("sgm-tfidf", "with the tf-idf path", settings={"tfidf_path": True}),
    Arm("sgm-svm", "to each step the log-odds of linear machines, fitted before", settings=_WITH_MACHINES),
    Arm(
        "sgm-svm-ocd",
        "the same machines, order-free targets",
        settings={**_WITH_MACHINES, "sequence_loss": "ocd"},
    ),
    Arm("sgm-svm-refit", "the same machines, all of it once more with validation rows", settings=_REFITTED),
    Arm("sgm-sequence", "the most probable set of the search", settings={"decision": "sequence"}),
    Arm("sgm-ensemble", "five seeds, averaged", runner="seed-ensemble"),
    Arm(
        "sgm-svm-ensemble",
        "five seeds with the same machines, averaged",
        runner="seed-ensemble",
        settings=_WITH_MACHINES,
    ),
    Arm(
        "sgm-small-vectors",
        "words' vectors as they come of the corpus, labels' as small as the configuration's default",
        settings={"embedding_std": 0.1},
        without=("word_vectors_std",),
    ),
)
ABLATIONS = (
    Arm("sgm-whole", "with all of the paper's attentions", settings=_WHOLE),
    Arm("sgm-seed", "as the paper has it: all of that, alphabetical, greedy", settings={**_WHOLE, "label_order": "alphabetical", "num_beams": 1, "decision": "sequence"}),
    Arm("sgm-whole-no-self-attention", "less the encoder's self-attention", settings={"label_attention": "both"}),
    Arm("sgm-whole-unidirectional", "the encoder reads ahead only, as wide", settings={**_WHOLE, "bidirectional": False}),
    Arm("sgm-whole-no-label-attention", "less attention to and by labels", settings={"encoder_self_attention": True}),
    Arm("sgm-whole-no-global-embedding", "less the global embedding", settings={**_WHOLE, "global_embedding": False}),
    Arm("sgm-whole-no-repeat-mask", "labels may come twice", settings={**_WHOLE, "repeat_mask": False}),
    Arm("sgm-whole-random-order", "another order each time", settings={**_WHOLE, "label_order": "random"}),
)  # fmt: skip
# whose thresholds choose the smallest set too, as those of linear models do
_NO_SEARCH = {"decision": "thresholds"}
SAME_ENCODER = (
    Arm("sgm-encoder-br", "same encoder, a sigmoid a label", runner="same-encoder-per-label", settings=_NO_SEARCH),
    Arm(
        "sgm-encoder-br-label-wise",
        "same encoder, each label with its attention",
        runner="same-encoder-label-wise",
        settings=_NO_SEARCH,
    ),
    Arm(
        "sgm-encoder-lp",
        "same encoder, a softmax over label sets",
        runner="same-encoder-powerset",
        settings=_NO_SEARCH,
    ),
    Arm("sgm-encoder-cc", "same encoder, a chain of sigmoids", runner="same-encoder-chain", settings=_NO_SEARCH),
)
ENSEMBLE_OF_HEADS = Arm(
    "sgm-encoder-br-ensemble",
    "five seeds of the same encoder under sigmoids, averaged",
    runner="seed-ensemble-per-label",
    settings=_NO_SEARCH,
)


def _heads_beside_machines(ours: str, also: str, settings: dict) -> tuple[Arm, ...]:
    """The three heads over the encoder and the machines of our arm of that name."""
    return tuple(
        Arm(
            f"{ours}-encoder-{name}",
            f"same encoder and machines, {about}{also}",
            runner=f"same-encoder-{head}",
            settings=_NO_SEARCH | settings,
        )
        for name, about, head in (
            ("br", "a sigmoid a label", "per-label"),
            ("lp", "a softmax over label sets", "powerset"),
            ("cc", "a chain of sigmoids", "chain"),
        )
    )


SAME_ENCODER_AND_MACHINES = _heads_beside_machines("sgm-svm", "", _WITH_MACHINES)
SAME_ENCODER_REFITTED = _heads_beside_machines("sgm-svm-refit", ", with validation rows too", _REFITTED)
UNTUNED = tuple(
    Arm(method, f"tf-idf, linear SVM: {about}", runner="problem-transformation", settings={"method": method})
    for method, about in (
        ("binary-relevance", "one a label"),
        ("label-powerset", "one over the distinct label sets"),
        ("classifier-chain", "a chain, the frequent label first"),
        ("chain-ensemble", "ten chains of random orders, their majority"),
    )
)


def _tuned(name: str, about: str, **settings) -> Arm:
    method = name.split("-tuned")[0]
    settings = {"method": method, "tuned": True, "threshold_kind": "auto", **settings}
    return Arm(name, f"tf-idf, linear SVM: {about}", runner="problem-transformation", settings=settings)


_PER_LABEL = {"class_weights": (None, "balanced"), "threshold_kind": "per_label"}
TUNED = (
    _tuned("binary-relevance-tuned", "C, the rule and its fallback for both end points"),
    _tuned("binary-relevance-tuned-micro", "C, class weights, per-label thresholds for micro-F1", select_by="f1_micro", **_PER_LABEL),
    _tuned("binary-relevance-tuned-macro", "the same for macro-F1", select_by="f1_macro", **_PER_LABEL),
    # of hundreds of sets the shares of one label have no scale that thresholds could go over from one fit to another
    _tuned("label-powerset-tuned", "C", threshold_kind="none"),
    _tuned("classifier-chain-tuned", "C, the rule and its fallback"),
    # thirty chains a choice: on the validation rows alone
    _tuned("chain-ensemble-tuned", "C, the rule and its fallback", folds=0),
)  # fmt: skip
# machines count words, and gain by all of a text; an encoder's cost grows with its length
_MACHINES_ON_IT = {**_WITH_MACHINES, "max_length": 256}
FROM_PRETRAINED = tuple(
    Arm(
        name, about, runner=runner, settings={**_FINE_TUNED, **settings}, without=_NOT_PRETRAINED, group=PRETRAINED, with_encoder=True,
        **({"trials": _FINE_TUNING_RATES} if name == _FINE_TUNED_BY else {"chosen_as": _FINE_TUNED_BY}),
    )
    for name, about, runner, settings in (
        ("sgm-pretrained", "the decoder on it", "train", {}),
        ("sgm-pretrained-ocd", "order-free targets", "train", {"sequence_loss": "ocd"}),
        (_FINE_TUNED_BY, "a sigmoid a label", "same-encoder-per-label", _NO_SEARCH),
        ("sgm-pretrained-br-label-wise", "each label with its attention", "same-encoder-label-wise", _NO_SEARCH),
        ("sgm-pretrained-lp", "a softmax over label sets", "same-encoder-powerset", _NO_SEARCH),
        ("sgm-pretrained-cc", "a chain of sigmoids", "same-encoder-chain", _NO_SEARCH),
        ("sgm-pretrained-svm", "the decoder on it, linear machines beside; twice the text", "train", _MACHINES_ON_IT),
        ("sgm-pretrained-svm-br", "the same, a sigmoid a label", "same-encoder-per-label", _NO_SEARCH | _MACHINES_ON_IT),
        ("sgm-pretrained-svm-lp", "the same, a softmax over label sets", "same-encoder-powerset", _NO_SEARCH | _MACHINES_ON_IT),
        ("sgm-pretrained-svm-cc", "the same, a chain of sigmoids", "same-encoder-chain", _NO_SEARCH | _MACHINES_ON_IT),
    )
)  # fmt: skip

SINGLE, PRETRAINED_SINGLE = ("sgm", "sgm-ocd"), ("sgm-pretrained", "sgm-pretrained-ocd")
PRETRAINED_WITH_MACHINES = "sgm-pretrained-svm"
PRETRAINED_OURS = (*PRETRAINED_SINGLE, PRETRAINED_WITH_MACHINES)
WITH_MACHINES = ("sgm-svm", "sgm-svm-ocd")
REFITTED = "sgm-svm-refit"
OURS = (*SINGLE, *WITH_MACHINES, REFITTED, "sgm-ensemble", "sgm-svm-ensemble")


def _names(arms: tuple[Arm, ...]) -> tuple[str, ...]:
    return tuple(arm.name for arm in arms)


STATEMENTS = (
    Statement(
        "is above the same encoder under the heads of binary relevance, label powerset and a classifier chain",
        SINGLE, _names(SAME_ENCODER), END_POINTS,
    ),
    Statement(
        "is above as many seeds of the same encoder under sigmoids",
        ("sgm-ensemble",), (ENSEMBLE_OF_HEADS.name,), END_POINTS,
    ),
    Statement(
        "is above the same encoder with the same linear machines under the heads of binary relevance, label powerset and a classifier chain",
        WITH_MACHINES, _names(SAME_ENCODER_AND_MACHINES), END_POINTS,
    ),
    Statement(
        "is above the same encoder with the same linear machines under the three heads, all trained on validation rows too",
        (REFITTED,), _names(SAME_ENCODER_REFITTED), END_POINTS,
    ),
    Statement(
        "is above UNTUNED binary relevance, label powerset and classifier chains over tf-idf",
        OURS, _names(UNTUNED), END_POINTS,
    ),
    Statement(
        "is above TUNED binary relevance, label powerset and classifier chains over tf-idf",
        OURS, _names(TUNED), (*END_POINTS, "f1_macro"),
    ),
    Statement(
        "is above the same pretrained encoder under the heads of binary relevance, label powerset and a classifier chain",
        PRETRAINED_SINGLE,
        tuple(f"sgm-pretrained-{head}" for head in ("br", "br-label-wise", "lp", "cc")), END_POINTS,
    ),
    Statement(
        "is above the same pretrained encoder with the same linear machines under the three heads",
        (PRETRAINED_WITH_MACHINES,), tuple(f"{PRETRAINED_WITH_MACHINES}-{head}" for head in ("br", "lp", "cc")), END_POINTS,
    ),
    Statement(
        "is above UNTUNED binary relevance, label powerset and classifier chains over tf-idf",
        PRETRAINED_OURS, _names(UNTUNED), END_POINTS,
    ),
    Statement(
        "is above TUNED binary relevance, label powerset and classifier chains over tf-idf",
        PRETRAINED_OURS, _names(TUNED), (*END_POINTS, "f1_macro"),
    ),
)  # fmt: skip
# no single tuned baseline holds all three at once
MOONSHOT = Bars(
    "the bars of the best tuned baselines, all at once",
    OURS,
    {"f1_micro": 0.890, "f1_macro": 0.61, "subset_accuracy": 0.855},
    "reuters",
)
PUBLISHED = Bars("BERT-large is published at .907", PRETRAINED_OURS, {"f1_micro": 0.905}, "reuters")

DIFFERENCES = tuple(
    dict.fromkeys(
        [
            *(("sgm", other.name) for other in VARIANTS[1:]),
            *(("sgm-whole", other.name) for other in ABLATIONS[1:]),
            ("sgm-whole", "sgm"),
            ("sgm-pretrained", "sgm"),
            *(pair for statement in STATEMENTS for pair in statement.pairs),
        ]
    )
)

_SHOWN = ("f1_samples", "hamming_loss", "p@1")
REUTERS = ClaimData(
    name="reuters",
    folder="reuters21578",
    end_points=(*END_POINTS, "f1_macro"),
    shown=_SHOWN,
    text_column=("title", "text"),
    recipe=RECIPE,
)
# the ModApte split is one by date: its training rows end on 7 April 1987. Here two months lie between
REUTERS_LATER = ClaimData(
    name="reuters-later",
    folder="reuters21578",
    end_points=(*END_POINTS, "f1_macro"),
    shown=_SHOWN,
    text_column=("title", "text"),
    recipe=RECIPE,
    dates=Dates("date", train_until="1987-03-31", measured_from="1987-06-01"),
    arms=("sgm", "sgm-ocd", *_names(SAME_ENCODER), *_names(UNTUNED), *_names(TUNED)),
)

CLAIM = Claim(
    name="sgm",
    datasets=(REUTERS, REUTERS_LATER),
    arms=(
        *VARIANTS,
        *ABLATIONS,
        *SAME_ENCODER,
        ENSEMBLE_OF_HEADS,
        *SAME_ENCODER_AND_MACHINES,
        *SAME_ENCODER_REFITTED,
        *UNTUNED,
        *TUNED,
        *FROM_PRETRAINED,
    ),
    differences=DIFFERENCES,
    statements=STATEMENTS,
    bars=(MOONSHOT, PUBLISHED),
    own_data=ClaimData(name="", folder="", end_points=(*END_POINTS, "f1_macro"), shown=_SHOWN, recipe=RECIPE),
)
