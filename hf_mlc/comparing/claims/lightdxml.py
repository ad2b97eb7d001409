"""LightDXML's claim: as accurate as label trees or better, most of all on rare labels, at their cost, without a re-ranker.

The trees are other people's, on word features or on the rows as they are. An ablation of ours takes over all settings and
differs in what its own name. What decides the claim stands in `ALL_AT_ONCE`: every bar passed by one model in one run.
"""

from __future__ import annotations

from hf_mlc.comparing.all_at_once import AllAtOnce, Cost
from hf_mlc.comparing.claim import Arm, Claim, ClaimData, Statement
from hf_mlc.comparing.generated import Generated


END_POINTS = ("p@1", "p@3", "p@5", "psp@1", "psp@3", "psp@5")
BUCKETS = ("1-5", "6-20", "21-50", ">50")
SHOWN = (
    "ndcg@1", "ndcg@3", "ndcg@5", "f1_micro",
    *(f"ndcg@5@{bucket}" for bucket in BUCKETS),
    *(f"p@5@{bucket}" for bucket in BUCKETS),
    *(f"psp@5@{bucket}" for bucket in BUCKETS),
)  # fmt: skip
TREES = ("xr-linear", "napkinxc")

OURS = (
    Arm("lightdxml", "cycles of centroids, shortlists and classifier, all labels scored; beta by validation rows"),
    Arm(
        "lightdxml-proxy",
        "the paper's proxy trained on the centroids",
        settings={"proxy": "affine"},
    ),
    Arm(
        "lightdxml-two-layer",
        "the proxy as two layers, the authors' form",
        settings={"proxy": "two_layer"},
    ),
    Arm("lightdxml-one-cycle", "shortlists made once, before training", settings={"cycle_epochs": 1000}),
    Arm("lightdxml-random-negatives", "random labels in the shortlists' place", settings={"negatives": "random"}),
    Arm("lightdxml-all-negatives", "all labels in the shortlists' place, no cycle", settings={"negatives": "all"}),
    Arm("lightdxml-s200", "shortlists of 200 labels", settings={"shortlist_size": 200}),
    Arm("lightdxml-s400", "shortlists of 400 labels", settings={"shortlist_size": 400}),
    Arm("lightdxml-shortlists", "only a shortlist of each document is scored", settings={"scoring": "shortlist"}),
    Arm("lightdxml-document-lists", "a list for each document, not one a batch", settings={"shared_shortlist": False}),
    Arm("lightdxml-random-start", "token vectors drawn at random", settings={"token_start": "random"}),
    Arm(
        "lightdxml-untrained",
        "no step is trained: all as it starts, and the index of that",
        settings={"num_train_epochs": 0},
    ),
    Arm("lightdxml-relu", "the authors' ReLU on the sum of token vectors", settings={"embedding_activation": "relu"}),
    Arm("lightdxml-int8", "tables of labels in int8", settings={"table_dtype": "int8"}),
)
OUTSIDE = (
    Arm("xr-linear", "libpecos XR-Linear: PIFA, 16-way tree, beam 20", runner="xr-linear"),
    Arm("napkinxc", "napkinXC, probabilistic label tree", runner="napkinxc"),
    # squared hinge, C 1, three trees of leaves of 100 labels, weights below .1 dropped: Parabel's own settings
    Arm("parabel", "Parabel-like: napkinXC, three trees of linear SVMs", runner="napkinxc", settings={"loss": "l2", "liblinear_c": 1, "ensemble": 3}),
    Arm("omikuji", "Omikuji, three Parabel-like trees", runner="omikuji"),
    # three layers of trees collapsed are a tree of up to 8 branches a node
    Arm("omikuji-bonsai", "Omikuji, shallow Bonsai-like trees", runner="omikuji", settings={"cluster_k": 100, "cluster_balanced": False, "max_depth": 3}, by_default=False),
)  # fmt: skip

# rows of sparse numbers: dropout, rates and no residual block by the validation rows of bibtex, seed 0, among eleven settings (there
# P@1/3/5 .662/.415/.308; with the texts' dropout, rates and residual block .621/.378/.292)
_ROWS = {
    "model_type": "lightdxml",
    "encoder": "features",
    "targets": "label_ids",
    "embedding_activation": "none",
    "embedding_dropout": 0.5,
    "residual": False,
    "token_start": "label_factors",
    "token_learning_rate_scale": 3,
    "proxy": "none",
    "scoring": "all",
    "optim": "adamw_torch_fused",
    "adam_beta2": 0.98,
    "learning_rate": 2e-3,
    "lr_scheduler_type": "linear",
    "max_grad_norm": 0.0,
    "train_sampling_strategy": "random",
    "per_device_train_batch_size": 64,
    "per_device_eval_batch_size": 256,
    "num_train_epochs": 20,
    "metric_for_best_model": "p@5",
    "threshold_kind": "global",
    "threshold_metric": "f1_micro",
}
# By the validation rows of powerlaw-100k, seed 0. A generated label is told by words that hardly another has: what tells labels apart is
# how much room their vectors have, and training moves the vectors of words, drawn at random, nearer to each other
_GENERATED = {
    **_ROWS,
    "scoring": "shortlist",
    "token_start": "random",
    "token_learning_rate_scale": 1e-3,
    "learning_rate": 2e-4,
    "per_device_train_batch_size": 512,
    "num_train_epochs": 1,
    "cycle_epochs": 1,
    "negatives": "random",
    "embed_dim": 1024,
    "table_dtype": "int8",
}

EURLEX57K = ClaimData(
    name="eurlex57k",
    folder="eurlex57k",
    end_points=END_POINTS,
    shown=SHOWN,
    text_column=("title", "text"),
    recipe="model_cards/lightdxml-eurlex57k/recipe.yaml",
)
TABLES = tuple(
    ClaimData(
        name=name,
        folder=f"mulan/{name}",
        end_points=END_POINTS,
        shown=SHOWN,
        features_column="features",
        meta_file="meta.json",
        settings=_ROWS,
    )
    for name in ("delicious", "bibtex")
)
POWER_LAW = (
    ClaimData(
        name="powerlaw-100k",
        folder="powerlaw-100k",
        end_points=END_POINTS,
        shown=SHOWN,
        features_column="features",
        generated=Generated(num_labels=100_000, num_train=100_000),
        settings=_GENERATED,
        arms=("lightdxml", "lightdxml-untrained", "lightdxml-proxy", *TREES, "omikuji"),
    ),
    ClaimData(
        name="powerlaw-1m",
        folder="powerlaw-1m",
        end_points=END_POINTS,
        shown=SHOWN,
        features_column="features",
        generated=Generated(num_labels=1_000_000, num_train=1_000_000),
        # for memory's sake half as wide as that of 100,000 labels: Adam's moments, classifier and index are four tables of all labels
        settings={**_GENERATED, "embed_dim": 512},
        arms=("lightdxml", "lightdxml-untrained", *TREES),
    ),
)

ALL_AT_ONCE = AllAtOnce(
    about="all at once: above both trees, trained and answering at their cost, no larger than napkinXC",
    ours=tuple(arm.name for arm in OURS),
    others=TREES,
    metrics=END_POINTS,
    costs=(
        Cost("train CPU s", lambda line: line["train_cpu_seconds"]),
        Cost("ms/doc at 1", lambda line: line["latency"]["1"]["ms"], below=True),
        Cost("ms/doc at 256", lambda line: line["latency"]["256"]["ms"], below=True),
        Cost("MB", lambda line: line["model_bytes"] / 1e6, others=("napkinxc",)),
    ),
    datasets=("eurlex57k", "powerlaw-100k", "powerlaw-1m"),
)

CLAIM = Claim(
    name="lightdxml",
    datasets=(EURLEX57K, *TABLES, *POWER_LAW),
    arms=(*OURS, *OUTSIDE),
    differences=(
        *(("lightdxml", arm.name) for arm in OUTSIDE),
        *(("lightdxml", arm.name) for arm in OURS[1:]),
        ("lightdxml-proxy", "lightdxml"),
    ),
    own_data=ClaimData(
        name="", folder="", end_points=END_POINTS, shown=SHOWN, recipe="model_cards/lightdxml-eurlex57k/recipe.yaml",
        settings={"text_column": ["text"]},
    ),
    must_be_ahead={"lightdxml": TREES},
    statements=(
        Statement("is above centroids: the proxy pays", ("lightdxml-proxy",), ("lightdxml",), END_POINTS),
        Statement("is above one cycle: making shortlists anew pays", ("lightdxml",), ("lightdxml-one-cycle",), END_POINTS),
        Statement("is above random negatives: shortlists pay", ("lightdxml",), ("lightdxml-random-negatives",), END_POINTS),
    ),
    all_at_once=ALL_AT_ONCE,
    trials_by="p@5",
    batch_sizes=(1, 256),
)  # fmt: skip
