"""What a metric's name says: which metric of the Hub it is a form of, averaged how, at which k, over which labels."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hf_mlc.metrics import LOWER_IS_BETTER


_NAME = re.compile(r"(?P<base>[a-z0-9_]+?)(?:@(?P<k>\d+))?(?:@(?P<bucket>0|1-5|6-20|21-50|>50))?")
_TYPES = {
    "f1": "f1",
    "precision": "precision",
    "recall": "recall",
    "auc": "roc_auc",
    "ap": "average_precision",
    "subset_accuracy": "accuracy",
    "hamming_loss": "hamming_loss",
    "p": "precision_at_k",
    "r": "recall_at_k",
    "ndcg": "ndcg_at_k",
    "psp": "propensity_scored_precision_at_k",
}
# families of https://huggingface.co/metrics, for the card's `metrics:` key
HUB_METRICS = ("f1", "precision", "recall", "accuracy", "roc_auc")
MEANINGS = {
    "f1_micro": "all decisions pooled",
    "f1_macro": "mean over all labels",
    "f1_macro_present": "mean over labels with a document in this split",
    "f1_macro_caml": "harmonic mean of macro precision and macro recall",
    "f1_samples": "mean over documents",
    "precision_micro": "right among the predicted",
    "recall_micro": "found among the true",
    "subset_accuracy": "documents with exactly the right set",
    "hamming_loss": "wrong decisions; lower is better",
    "auc_micro": "all decisions as one ranking",
    "auc_macro": "mean over labels",
    "auc_weighted": "mean over labels, each weighing as its true documents",
    "ap_micro": "area under the precision-recall curve, all decisions",
    "ap_macro": "the same, mean over labels",
    "p@": "right among the first {k}",
    "r@": "true labels among the first {k}",
    "ndcg@": "order of the first {k}",
    "psp@": "right among the first {k}, rare labels weighing more",
}


@dataclass(frozen=True)
class MetricName:
    """A metric's name in parts.

    Args:
        name (`str`): as the files have it: `f1_macro@1-5`, `p@5`, `r@5@>50`.
        type (`str`): the family: `f1`, `precision_at_k`, ...
        average (`str`, *optional*): `micro`, `macro`, ...
        k (`int`, *optional*): the cut-off of a ranking metric.
        bucket (`str`, *optional*): training documents of the labels it is limited to.
    """

    name: str
    type: str
    average: str | None = None
    k: int | None = None
    bucket: str | None = None
    lower_is_better: bool = field(default=False)

    @property
    def needs_threshold(self) -> bool:
        """Whether it measures label sets, and so depends on the decision rule; rankings and areas don't."""
        return self.k is None and self.type not in ("roc_auc", "average_precision")

    @property
    def depends_on_counts(self) -> bool:
        """Whether the labels' training counts say what is measured."""
        return self.bucket is not None or self.depends_on_propensity

    @property
    def depends_on_propensity(self) -> bool:
        """Whether a label weighs by its propensity, whose constants A and B then say what is measured."""
        return self.type == _TYPES["psp"]

    @property
    def meaning(self) -> str:
        """A few words for a reader; empty where the name says it all."""
        if self.k is not None:
            return MEANINGS.get(self.name.partition("@")[0] + "@", "").format(k=self.k)
        return MEANINGS.get(self.name.partition("@")[0], "")

    def digits(self) -> int:
        """Decimals that are shown."""
        return 4 if self.lower_is_better else 3


def metric_name(name: str) -> MetricName:
    """Reads a name; one of a form we don't know is its own type."""
    found = _NAME.fullmatch(name)
    if found is None:
        return MetricName(name, name)
    base, k, bucket = found["base"], found["k"], found["bucket"]
    if k == "0" or (k is not None and bucket is None and base not in _TYPES):  # `f1_macro@0` is a bucket
        k, bucket = None, k
    family, _, average = (base, "", "") if base in _TYPES else base.partition("_")
    return MetricName(
        name,
        _TYPES.get(family, base),
        average or None,
        int(k) if k else None,
        bucket,
        lower_is_better=base in LOWER_IS_BETTER,
    )
