"""Several trained models as one: their scores are averaged.

Models of other seeds, label orders or sizes make other mistakes; the mean of their probabilities makes fewer (Lakshminarayanan
and others, "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles", 2017). Members have the same labels
and read the same tokens, and need not be of one architecture:

    p(l) = sum_k w_k sigmoid(z_k(l)),    p(S) = sum_k w_k p_k(S)

p_k is a per-label head's probability, or the marginal of a model that writes label sequences or relates labels. Of the latter two
whole sets S can be averaged too: a sequence model's as far as its search found them, chains' as msdn_voting.py has it.

Shape legend: B documents, T tokens, L labels, S chosen labels, E width of all members' word vectors, K found sets, P ids.
"""

import torch
from torch import nn

from .configuration_ensemble import EnsembleConfig
from .label_sequences import EOS, LABEL_OFFSET, NO_LABEL
from .modeling_msdn import MsdnForMultiLabelClassification
from .modeling_plant import PlantForMultiLabelClassification
from .modeling_sgm import SgmForMultiLabelClassification
from .msdn_voting import voted_sets
from .multi_label import MultiLabelOutput
from .set_scores import LabelSets, answered_set, merge_sets, rescore, with_fewest
from .text_model import TextPreTrainedModel


_MODELS = (PlantForMultiLabelClassification, SgmForMultiLabelClassification, MsdnForMultiLabelClassification)
MEMBER_MODELS = {model.config_class.model_type: model for model in _MODELS}


class JoinedEmbeddings(nn.Module):
    """The word vectors of all members side by side, `(B, T, E)`."""

    def __init__(self, parts: list[nn.Module]):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, input_ids_BT: torch.LongTensor) -> torch.Tensor:
        return torch.cat([part(input_ids_BT) for part in self.parts], dim=-1)


class EnsembleForMultiLabelClassification(TextPreTrainedModel):
    """The mean of several models; what `AutoModel` returns for `model_type` "ensemble"."""

    config: EnsembleConfig
    # a member's edges of bins are read as exactly here as alone
    _keep_in_fp32_modules_strict = MsdnForMultiLabelClassification._keep_in_fp32_modules_strict

    def __init__(self, config: EnsembleConfig):
        super().__init__(config)
        if not config.members:
            raise ValueError("`members` must name the configuration of one model or more, found none")
        self.members = nn.ModuleList(MEMBER_MODELS[part.model_type](part) for part in config.member_configs())
        first = self.members[0]
        self.main_input_name, self.input_modalities = first.main_input_name, first.input_modalities
        self.supports_gradient_checkpointing = all(member.supports_gradient_checkpointing for member in self.members)
        self.post_init()

    @property
    def weights(self) -> list[float]:
        """What each member counts; they sum to 1."""
        given = self.config.member_weights or [1.0] * len(self.members)
        return [weight / sum(given) for weight in given]

    @property
    def reads_token_ids(self) -> bool:
        return any(member.reads_token_ids for member in self.members)

    def get_input_embeddings(self) -> JoinedEmbeddings:
        return JoinedEmbeddings([member.get_input_embeddings() for member in self.members])

    def set_input_embeddings(self, value):
        raise NotImplementedError("each member of an ensemble has word vectors of its own")

    # -- forward ------------------------------------------------------------------------------------------------------

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        pixel_values: torch.FloatTensor | None = None,
        input_features: torch.FloatTensor | None = None,
        labels: torch.Tensor | None = None,
        label_ids: torch.LongTensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        return_dict: bool | None = None,
    ) -> MultiLabelOutput | tuple:
        r"""
        In evaluation mode the loss is the configured one of the averaged scores. In training mode it is the mean of the members'
        own losses, so that each learns as it would alone, and `logits` are `None` where a member scores a sample of labels.

        Args:
            input_ids (`torch.LongTensor` of shape `(B, T)`, *optional*): token ids; this, `inputs_embeds`, `pixel_values` or
                `input_features`.
            attention_mask (`torch.Tensor` of shape `(B, T)`, *optional*): 1 for text, 0 for padding, in any places.
            token_type_ids (`torch.LongTensor` of shape `(B, T)`, *optional*): for backbones that take them.
            inputs_embeds (`torch.Tensor` of shape `(B, T, E)`, *optional*):
                the word vectors of all members side by side (`get_input_embeddings`), in place of ids.
            pixel_values (`torch.FloatTensor` of shape `(B, C, H, W)`, *optional*): of members that read images.
            input_features (`torch.FloatTensor` of shape `(B, P)`, *optional*): rows of a table, of members that read these.
            labels (`torch.Tensor` of shape `(B, L)`, *optional*): multi-hot targets, any dtype; -100 is unknown.
            label_ids (`torch.LongTensor` of shape `(B, P)`, *optional*): the same as ids, padded with -100.
            num_items_in_batch (`int` or `torch.Tensor`, *optional*): documents in the whole optimiser step.
            return_dict (`bool`, *optional*): a [`MultiLabelOutput`] (the default) or a tuple of what isn't `None`.

        Returns:
            [`MultiLabelOutput`]: with `chosen` where `config.decision` is about sets.
        """
        inputs = {
            "input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids,
            "pixel_values": pixel_values, "input_features": input_features,
        }  # fmt: skip
        targets = {"labels": labels, "label_ids": label_ids, "num_items_in_batch": num_items_in_batch}
        has_targets = labels is not None or label_ids is not None
        wants_sets = self.decides_on_sets and not self.training
        outputs = []
        for member, own in zip(self.members, self._inputs_of_members(inputs, inputs_embeds), strict=True):
            own |= targets if self.training else {}
            own |= {"output_sequences": True} if wants_sets and self.config.decision != "sets" else {}
            outputs.append(member(**own, return_dict=True))
        logits_BL = None
        if all(output.logits is not None and output.candidate_ids is None for output in outputs):
            logits_BL = self._averaged([output.logits for output in outputs])
        loss = None
        if has_targets and self.training:
            loss = sum(weight * output.loss for weight, output in zip(self.weights, outputs, strict=True))
        elif has_targets:
            loss = self.compute_loss(logits_BL, **targets)
        chosen_BL = None
        if wants_sets:
            chosen_BL = self._voted(outputs, logits_BL) if self.config.decision == "sets" else self._chosen(outputs)
        output = MultiLabelOutput(loss=loss, logits=logits_BL, chosen=chosen_BL)
        return output if (self.config.return_dict if return_dict is None else return_dict) else output.to_tuple()

    def _inputs_of_members(self, inputs: dict, inputs_embeds: torch.Tensor | None) -> list[dict[str, torch.Tensor]]:
        """What each member's `forward` is given of a batch."""
        given = {name: value for name, value in inputs.items() if value is not None}
        if inputs_embeds is None:
            return [dict(given) for _ in self.members]
        if "input_ids" in given and not self.reads_token_ids:
            raise ValueError("give exactly one of `input_ids` and `inputs_embeds`")
        widths = [member.get_input_embeddings().weight.shape[1] for member in self.members]
        if sum(widths) != inputs_embeds.shape[-1]:
            raise ValueError(
                f"`inputs_embeds` must hold the members' vectors side by side, {' + '.join(map(str, widths))} numbers, "
                f"found {inputs_embeds.shape[-1]}"
            )
        ids = given.pop("input_ids", None)
        return [
            {**given, "inputs_embeds": part_BTE, **({"input_ids": ids} if member.reads_token_ids else {})}
            for member, part_BTE in zip(self.members, inputs_embeds.split(widths, dim=-1), strict=True)
        ]

    def _averaged(self, logits: list[torch.Tensor]) -> torch.FloatTensor:
        """The logit of the mean of the members' probabilities, in float32.

        As log p - log(1 - p), each a logarithm of a sum: probabilities that float32 rounds to 0 or 1 keep their order.
        """
        weights = torch.tensor(self.weights, dtype=torch.float32, device=logits[0].device)
        # a member of weight 0 would be a logarithm of 0, and its infinity no number in the difference's gradient
        counted = [number for number, weight in enumerate(self.weights) if weight > 0]
        logits_KBL = torch.stack([logits[number].float() for number in counted])
        log_weights_K11 = weights[counted].log()[:, None, None]
        positive_BL = (nn.functional.logsigmoid(logits_KBL) + log_weights_K11).logsumexp(dim=0)
        negative_BL = (nn.functional.logsigmoid(-logits_KBL) + log_weights_K11).logsumexp(dim=0)
        return positive_BL - negative_BL

    # -- sets -----------------------------------------------------------------------------------------------------------

    def _chosen(self, outputs: list) -> torch.BoolTensor:
        """The set of each document that the members together find best, multi-hot `(B, L)`."""
        parts = []
        for member, output in zip(self.members, outputs, strict=True):
            sets = merge_sets(output.sequences, output.sequence_scores)
            if member.config.scores == "rescored":
                sets = rescore(sets, output.auxiliary_logits, member.config.rescoring_weight)
            parts.append(sets)
        return answered_set(join_sets(parts, self.weights), self.config.num_labels, self.config.decision)

    @torch.compiler.disable  # loops over the labels
    def _voted(self, outputs: list, logits_BL: torch.Tensor) -> torch.BoolTensor:
        """The same of models of label relations; those of weight 0 have no say."""
        parts = [part for part in zip(self.members, outputs, self.weights, strict=True) if part[2] > 0]
        with torch.autocast(logits_BL.device.type, enabled=False):  # sums over many labels and sets
            chosen_BL = voted_sets(
                [member.chain_decoder() for member, _, _ in parts],
                [output.base_logits for _, output, _ in parts],
                [weight for _, _, weight in parts],
                added_KBMD=[output.relation_inputs for _, output, _ in parts],
                set_bonus_KBS=[output.set_bonus for _, output, _ in parts],
                min_labels=self.config.min_labels,
            )
        return with_fewest(chosen_BL, logits_BL, self.config.min_labels)

    # -- explanations ---------------------------------------------------------------------------------------------------

    @property
    def has_token_weights(self) -> bool:
        return all(member.has_token_weights for member in self.members)

    def token_weights(self, chosen_ids_S: torch.LongTensor, **inputs: torch.Tensor) -> torch.FloatTensor:
        """The mean of the members' token weights, `(B, S, T)`; as `MultiLabelPreTrainedModel.token_weights`."""
        members = zip(self.weights, self.members, strict=True)
        return sum(weight * member.token_weights(chosen_ids_S, **inputs) for weight, member in members)

    def path_inputs(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """What each member's scores hang on, by "member.name"."""
        shared = self._inputs_of_members(inputs, inputs.pop("inputs_embeds", None))
        return {
            f"{number}.{name}": value
            for number, (member, own) in enumerate(zip(self.members, shared, strict=True))
            for name, value in member.path_inputs(**own).items()
        }

    def label_logits(self, chosen_ids_S: torch.LongTensor, **inputs) -> torch.FloatTensor:
        """As `MultiLabelPreTrainedModel.label_logits`; each member leaves other labels out where it can, and is given what
        `path_inputs` found of it."""
        found = [{} for _ in self.members]
        for key in [key for key in inputs if "." in key]:
            number, _, name = key.partition(".")
            found[int(number)][name] = inputs.pop(key)
        shared = self._inputs_of_members(inputs, inputs.pop("inputs_embeds", None))
        parts = zip(self.members, shared, found, strict=True)
        return self._averaged([member.label_logits(chosen_ids_S, **own, **given) for member, own, given in parts])


def join_sets(parts: list[LabelSets], weights: list[float]) -> LabelSets:
    """The sets that several models found, with the mean of the shares that each gives them; 0 where it didn't find one.

    Args:
        parts (`list[LabelSets]`): of each model, for the same documents.
        weights (`list[float]`): of the models; they sum to 1.
    """
    most = max(part.label_ids.shape[2] for part in parts)
    sequences, scores = [], []
    for part, weight in zip(parts, weights, strict=True):
        # written down as sequences again, their labels ascending, which `merge_sets` can join
        ids_BKP = nn.functional.pad(part.label_ids, (0, most + 1 - part.label_ids.shape[2]), value=NO_LABEL)
        sequences.append(torch.where(ids_BKP == NO_LABEL, EOS, ids_BKP + LABEL_OFFSET))
        scores.append((part.weights * weight).log())
    return merge_sets(torch.cat(sequences, dim=1), torch.cat(scores, dim=1))


__all__ = ["EnsembleForMultiLabelClassification", "JoinedEmbeddings", "join_sets"]
