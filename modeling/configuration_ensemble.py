"""Configuration of an ensemble."""

import json
from typing import Any, Literal

from huggingface_hub.dataclasses import strict

from .configuration_msdn import MsdnConfig
from .configuration_multi_label import ENCODER_INPUTS, MultiLabelConfig
from .configuration_plant import PlantConfig
from .configuration_sgm import SgmConfig


MEMBER_CONFIGS = {config.model_type: config for config in (PlantConfig, SgmConfig, MsdnConfig)}
# of a member's configuration: what the ensemble holds for all, or what is of its file and not of the model
_NOT_OF_MEMBERS = (
    "architectures", "auto_map", "custom_pipelines", "dtype", "id2label", "label2id", "label_count", "label_space",
    "label_space_file", "thresholds", "transformers_version", "_name_or_path",
)  # fmt: skip


@strict
class EnsembleConfig(MultiLabelConfig):
    r"""
    Configuration of [`EnsembleForMultiLabelClassification`]. Arguments of the loss, the thresholds and the label space are
    those of [`MultiLabelConfig`], and hold for the averaged scores.

    Args:
        members (`list[dict]`, *optional*):
            The configuration of each member, with its `model_type`; the labels are the ensemble's.
        member_weights (`list[float]`, *optional*): how much each member's scores count; all alike if not given.
        decision (`str`, *optional*, defaults to `"thresholds"`):
            Which labels a document gets where nobody gives thresholds: `"thresholds"`, those whose averaged score reaches
            its threshold; of members that write label sequences also `"sequence"`, the set that all members together find
            most probable, or `"expected_f1"`, the set with the highest expected F1 among what they find; of members that are
            chains of label relations `"sets"`, the most probable by all of the sets that each of them names, at most its
            `num_beams` (and the mode) of each order and as many known ones; its `decoding` plays no part.
    """

    model_type = "ensemble"

    members: list[dict[str, Any]] | None = None
    member_weights: list[float | int] | None = None
    decision: Literal["thresholds", "sequence", "expected_f1", "sets"] = "thresholds"
    vocab_size: int | None = None
    pad_token_id: int | None = None

    def __post_init__(self, **kwargs):
        if self.members:
            # one truth: what others read off this configuration is the members', who all read the same tokens
            self.vocab_size = self.members[0].get("vocab_size")
            self.pad_token_id = self.members[0].get("pad_token_id", 0)
        super().__post_init__(**kwargs)

    @property
    def encoder(self) -> str | None:
        """What all members have; `None` where they have different ones, which then read the same kind of input."""
        kinds = {member.get("encoder") for member in self.members or []}
        return kinds.pop() if len(kinds) == 1 else None

    @classmethod
    def of(cls, configs: list[MultiLabelConfig], **fields) -> "EnsembleConfig":
        """The configuration of an ensemble of models with these configurations; labels and their space are the first one's.

        Args:
            configs (`list[MultiLabelConfig]`): of models with the same labels in the same order.
            fields: of the ensemble's configuration.
        """
        first = configs[0]
        space = {name: getattr(first, name) for name in ("id2label", "label2id", "label_space", "label_space_file")}
        return cls(**{**space, "members": [_settings_of(config) for config in configs], **fields})

    def member_configs(self) -> list[MultiLabelConfig]:
        """A configuration for each member, with as many labels as the ensemble has."""
        return [
            MEMBER_CONFIGS[member["model_type"]](
                num_labels=self.num_labels, **{name: value for name, value in member.items() if name != "model_type"}
            )
            for member in self.members or []
        ]

    def validate_members(self):
        """Every member is of an architecture that can be one; weights and decision fit them."""
        kinds = [member.get("model_type") for member in self.members or []]
        for kind in kinds:
            if kind not in MEMBER_CONFIGS:
                raise ValueError(f"`members` must be of the types {', '.join(MEMBER_CONFIGS)}, found {kind!r}")
        inputs = {ENCODER_INPUTS.get(member.get("encoder"), "text") for member in self.members or []}
        if len(inputs) > 1:
            raise ValueError(f"`members` must all read the same kind of input, found {', '.join(sorted(inputs))}")
        weights = self.member_weights
        if weights is not None:
            if len(weights) != len(kinds):
                raise ValueError(
                    f"`member_weights` must be one a member, found {len(weights)} for {len(kinds)} members"
                )
            if not all(0 <= weight < float("inf") for weight in weights) or not sum(weights):
                raise ValueError(f"`member_weights` must not be negative, and not all 0, found {weights}")
        if self.decision == "sets":
            parallel = [member for member in self.members or [] if member.get("variant", "causal") != "causal"]
            if set(kinds) - {"msdn"} or parallel:
                found = f"{kinds}, {len(parallel)} of them parallel" if parallel else f"{kinds}"
                raise ValueError(
                    f"`decision='sets'` needs members of the type msdn and the variant causal, found {found}"
                )
        elif self.decision != "thresholds" and set(kinds) - {"sgm"}:
            raise ValueError(f"`decision='{self.decision}'` needs members that write label sequences, found {kinds}")


def _settings_of(config: MultiLabelConfig) -> dict[str, Any]:
    written = json.loads(config.to_json_string())  # as it comes out of a file: its keys are strings
    settings = {name: value for name, value in written.items() if name not in _NOT_OF_MEMBERS}
    # said even where they are the default: the ensemble's configuration reads them without building a member's
    named = {name: getattr(config, name, None) for name in ("encoder", "vocab_size", "pad_token_id")}
    if isinstance(config, MsdnConfig):
        named["decision"] = "thresholds"  # of the ensemble's answers; its search would find sets that nobody reads
    return {**settings, **named, "model_type": config.model_type}


__all__ = ["MEMBER_CONFIGS", "EnsembleConfig"]
