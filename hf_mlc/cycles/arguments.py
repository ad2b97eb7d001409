"""Arguments of LightDXML's training; what a cycle is made of (its epochs, its lists, its proxy) stands in the configuration."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from hf_mlc.errors import UserError
from hf_mlc.metrics.ranking_names import headline_ranking


# the paper's code sweeps .1 to .9 on its test set; the ends of the scale are the index alone and the classifier alone
BETAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0)
NEGATIVES = ("shortlist", "random", "all")
TOKEN_STARTS = ("random", "label_factors")
VECTOR_DTYPES = ("float32", "float16")


@dataclass
class LightDxmlArguments:
    """What `hf_mlc.cycles` may be told; other architectures have no use for it.

    Args:
        betas (`list[float]`, *optional*):
            what is tried on validation rows as the classifier's share of a score; an empty list (or `--betas` without a number)
            keeps the configuration's.
        beta_metric (`str`, *optional*):
            what that share maximises: a metric of rankings (`p@1`, `psp@5`, ...), or the mean of several (`p@5+psp@5`). `p@5` if not
            given, or p of the largest of `ranking_ks` where 5 isn't among them.
        token_start (`str`, *optional*, defaults to `"random"`):
            where the vectors of tokens, or of features, begin: `"random"`, Xavier-uniform as the authors', or `"label_factors"`, the
            factors of the table of tokens and labels (`hf_mlc.cycles.starting`).
        token_learning_rate_scale (`float`, *optional*, defaults to 1.0):
            these vectors learn at so many times the rate of everything else: each is read by few documents.
        random_negatives (`int`, *optional*, defaults to 0): labels drawn evenly that a step scores beside the shortlists.
        negatives (`str`, *optional*, defaults to `"shortlist"`):
            `"random"` trains on random labels in the shortlists' place, to see what the lists are worth; none are made. `"all"` on all
            labels: no lists either, and the index once, after the last epoch. For a few thousand labels it is the cheapest.
        cycle_batch_size (`int`, *optional*, defaults to 512): documents encoded at once in a cycle, labels sought for at once.
        cycle_dtype (`str`, *optional*, defaults to `"float32"`):
            of the documents' vectors, a file while a cycle is made; `"float16"` takes half the room.
        keep_cycle_files (`bool`, *optional*, defaults to `False`): leave vectors and shortlists in the output folder.
        halving_step (`int`, *optional*):
            the learning rate is halved after so many epochs, and sooner each time (`hf_mlc.cycles.schedule`), in place of
            `lr_scheduler_type`.
        label_features (`str`, *optional*):
            a file of what labels say of themselves, in the documents' own kind (`hf_mlc.cycles.label_features`); encoded as documents
            are, it takes part in the label's centroid.
        label_feature_weight (`float`, *optional*, defaults to 1.0): how many training documents it counts as there, above 0.
    """

    betas: list[float] = field(
        default_factory=lambda: list(BETAS),
        metadata={"help": "LightDXML: what is tried as the classifier's share of a score; none keeps the model's."},
    )
    beta_metric: str | None = field(
        default=None, metadata={"help": "LightDXML: the metric that beta maximises (p@5, psp@5, p@5+psp@5)."}
    )
    token_start: str = field(
        default="random", metadata={"help": "LightDXML: where token vectors begin: random, or label_factors."}
    )
    token_learning_rate_scale: float = field(
        default=1.0, metadata={"help": "LightDXML: token vectors learn at so many times the rate of everything else."}
    )
    random_negatives: int = field(
        default=0, metadata={"help": "LightDXML: random labels that a step scores beside the shortlists."}
    )
    negatives: str = field(
        default="shortlist", metadata={"help": "LightDXML: shortlist, or random or all labels in its place."}
    )
    cycle_batch_size: int = field(default=512, metadata={"help": "LightDXML: documents encoded at once in a cycle."})
    cycle_dtype: str = field(
        default="float32", metadata={"help": "LightDXML: float32 or float16, of the vectors on disk."}
    )
    keep_cycle_files: bool = field(
        default=False, metadata={"help": "LightDXML: leave vectors and shortlists in output_dir."}
    )
    halving_step: int | None = field(
        default=None, metadata={"help": "LightDXML: halve the learning rate after so many epochs, then sooner (14)."}
    )
    label_features: str | None = field(
        default=None,
        metadata={"help": "LightDXML: a file of label features: sparse rows, or JSON Lines of label and text."},
    )
    label_feature_weight: float = field(
        default=1.0, metadata={"help": "LightDXML: how many documents a label's features count as."}
    )

    def check_cycles(self) -> None:
        """`UserError` for a value that there can't be; fills in a default that hangs on `ranking_ks`."""
        self.beta_metric = self.beta_metric or headline_ranking(self.ranking_ks)
        if not all(math.isfinite(beta) and 0 <= beta <= 1 for beta in self.betas):
            raise UserError(f"found {self.betas}", field="betas", accepted="numbers from 0 to 1")
        for name, accepted in (
            ("negatives", NEGATIVES),
            ("cycle_dtype", VECTOR_DTYPES),
            ("token_start", TOKEN_STARTS),
        ):
            if getattr(self, name) not in accepted:
                raise UserError(f"found '{getattr(self, name)}'", field=name, accepted=", ".join(accepted))
        for name in ("token_learning_rate_scale", "label_feature_weight"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"found {getattr(self, name)}", field=name, accepted="above 0")
        for name, least in (("random_negatives", 0), ("cycle_batch_size", 1), ("halving_step", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"found {value}", field=name, accepted=f"a whole number from {least}")


def without_cycles(given: Iterable[str], config: Any, *, is_new: bool) -> list[str]:
    """Which of the given arguments of `train` are about cycles, and are read by nothing in a model of this configuration.

    Args:
        given (iterable of `str`): names of arguments of `train`.
        config (`MultiLabelConfig`): the model's.
        is_new (`bool`): whether the model is: token vectors of a trained one are what they are.
    """
    given, unread = set(given), {one.name for one in fields(LightDxmlArguments)}
    if config.model_type == "lightdxml":
        has_tokens = config.encoder != "transformer"  # in a table of their own
        unread = set() if has_tokens else {"token_start", "token_learning_rate_scale"}
        unread |= set() if is_new else {"token_start"}
        unread |= set() if "label_features" in given else {"label_feature_weight"}
    return sorted(given & unread)
