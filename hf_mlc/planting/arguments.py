"""What `train` may be told about planting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hf_mlc.errors import UserError
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.planting.ranking import LOSSES
from hf_mlc.planting.statistics import KINDS


CONTROLS = ("none", "permuted_labels", "idf", "random_ranker")
OF_THE_RANKER = ("idf", "random_ranker")  # the controls that put something in its place
# arguments of the command and of the configuration, by what reads them
_STATISTICS = {"planting_kind", "planting_smoothing", "planting_positive_only", "planting_min_document_frequency"}
_STATISTICS |= {"planting_control", "stored_tokens"}
_RANKING_STAGE = {"pretrain_epochs", "pretrain_learning_rate", "pretrain_labels"}
_SWITCHES = {"learned_attention", "mutual_information_attention", "ranked_attention", "attention_mix"}
_SWITCHES |= {"planted_readout", "readout_source", "shortlist_size"}
_LINEAR = {"readout_cost", "readout_folds", "readout_tokens"}
_MUTUAL_INFORMATION = {"mutual_information_topk", "mutual_information_scale"}
_RANKED = {"ranker_loss", "ranker_epochs", "ranker_learning_rate", "rank_size", "ranked_topk", "ranked_tokens"}
_TRAINED = {"planting_freeze", "planted_learning_rate_scale"}


@dataclass
class PlantingArguments:
    """How the statistics of `--planting attention` and `--planting pretrain` and the linear machines of a read-out are made, and the
    controls that test them."""

    planting_kind: str = field(
        default="jaccard", metadata={"help": "Mutual information of tokens and labels: jaccard (in [0, 1]) or raw."}
    )
    planting_smoothing: float = field(
        default=2.0, metadata={"help": "Documents that a pair's evidence has to stand up against; 0: none."}
    )
    planting_positive_only: bool = field(
        default=True, metadata={"help": "Leave out tokens whose absence goes with the label."}
    )
    planting_min_document_frequency: int = field(
        default=1, metadata={"help": "Training documents a token must be in to be planted."}
    )
    planting_freeze: bool = field(
        default=False,
        metadata={"help": "The planted ranker and read-out stay as they are planted while the rest is trained."},
    )
    planting_cache: str | None = field(
        default=None,
        metadata={
            "help": "A folder that keeps statistics, rankers and linear machines, for other runs on the same rows."
        },
    )
    planting_control: str = field(
        default="none",
        metadata={
            "help": "What is planted in the statistics' place, to measure their worth: permuted_labels (each label gets"
            " another one's), idf (in the ranker's place, for every label alike), random_ranker (a ranker that learned nothing)."
        },
    )
    readout_cost: float = field(
        default=1.0,
        metadata={"help": "C of the linear machines of a read-out: more fits the training texts closer."},
    )
    readout_folds: int = field(
        default=3,
        metadata={"help": "Parts of the training rows that each are answered by machines fitted without them."},
    )
    ranker_loss: str = field(default="lambda_rank", metadata={"help": "Of the ranker: lambda_rank or approx_ndcg."})
    ranker_epochs: int = field(default=40, metadata={"help": "Passes of the ranker over the labels' lists, at most."})
    ranker_learning_rate: float = field(default=0.03, metadata={"help": "Of the ranker's training."})
    pretrain_epochs: int = field(
        default=10, metadata={"help": "Epochs of ranking tokens first (--planting pretrain)."}
    )
    pretrain_learning_rate: float = field(default=1e-3, metadata={"help": "Of the ranking stage."})
    pretrain_labels: int = field(
        default=32, metadata={"help": "Labels that each document's tokens are ranked for, its own among them."}
    )

    def __post_init__(self):
        for name, accepted in (
            ("planting_kind", KINDS),
            ("planting_control", CONTROLS),
            ("ranker_loss", LOSSES),
        ):
            if getattr(self, name) not in accepted:
                raise UserError(f"found '{getattr(self, name)}'", field=name, accepted=", ".join(accepted))
        for name in ("planting_smoothing", "planting_min_document_frequency"):
            if getattr(self, name) < 0:
                raise UserError(f"found {getattr(self, name)}", field=name, accepted="0 or more")
        if not 0 < self.readout_cost < float("inf"):
            raise UserError(f"found {self.readout_cost}", field="readout_cost", accepted="above 0")
        if self.readout_folds < 2:
            raise UserError(f"found {self.readout_folds}", field="readout_folds", accepted="2 or more")
        for name in ("ranker_epochs", "pretrain_epochs", "pretrain_labels"):
            if getattr(self, name) < 1:
                raise UserError(f"found {getattr(self, name)}", field=name, accepted="1 or more")


def planting_of(config: MultiLabelConfig | None) -> str:
    """`config.planting`; "none" of an architecture that has no such field."""
    return getattr(config, "planting", "none")


def without_effect(
    given: Iterable[str], config: MultiLabelConfig | None, *, has_planted_parameters: bool = False
) -> list[str]:
    """Which of the given arguments are about planting, and are read by nothing in a model of this configuration.

    Args:
        given (iterable of `str`): names of arguments of `train`.
        config (`MultiLabelConfig`, *optional*): the model's; `None` for one that is not planted anew.
        has_planted_parameters (`bool`, *optional*, defaults to `False`):
            whether some of the model learn at a rate of their own, planted now, before, or with a tf-idf path.
    """
    planting = planting_of(config)
    is_linear = config is not None and config.has_linear_readout
    used = {"planted_learning_rate_scale"} if has_planted_parameters else set()
    if planting == "pretrain":
        used |= _STATISTICS | _RANKING_STAGE
    elif planting == "attention":
        used |= _STATISTICS | _SWITCHES
        used |= _MUTUAL_INFORMATION if config.mutual_information_attention else set()
        used |= _RANKED if config.ranked_attention else set()
        learns = config.ranked_attention or (config.planted_readout is not None and not is_linear)
        used |= _TRAINED if learns else set()
    used |= _LINEAR | {"planting_control"} if is_linear else set()
    known = _LINEAR | _STATISTICS | _RANKING_STAGE | _SWITCHES | _MUTUAL_INFORMATION | _RANKED | _TRAINED
    return sorted(set(given) & (known - used))


def check_control(config: MultiLabelConfig, args: PlantingArguments) -> None:
    """`UserError` for a control that has nothing to stand in for: the model would be another than its name says."""
    has_ranker = planting_of(config) == "attention" and config.ranked_attention
    if args.planting_control in OF_THE_RANKER and not has_ranker:
        raise UserError(
            f"found {args.planting_control}, and no ranked attention",
            field="planting_control",
            accepted="none, permuted_labels"
            + (", or --planting attention with ranked_attention" if hasattr(config, "planting") else ""),
        )
    if args.planting_control == "idf" and (config.mutual_information_attention or config.planted_readout is not None):
        # their lists are a label's own: of tokens that are the same for all, the rarest, a document has none
        raise UserError(
            "found idf, which stands in the ranker's place alone",
            field="planting_control",
            accepted="idf with --mutual_information_attention false and without planted_readout",
        )
