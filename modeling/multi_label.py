"""What the five architectures share: their output, their loss, the decision rule, saving with both Auto classes.

Shape legend: B documents, T tokens, L labels, S scored columns (L, or a shortlist), P label ids a document, K top labels.
"""

import copy
import os
import re
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .configuration_multi_label import MultiLabelConfig
from .decision import apply_thresholds
from .losses import (
    UNKNOWN,
    asymmetric,
    binary_cross_entropy,
    focal,
    reduce_cells,
    targets_from_ids,
    targets_of_candidates,
)
from .pipeline_multi_label import CUSTOM_PIPELINES  # the import also makes transformers send the file along
from .pipeline_multi_label_events import EVENT_CUSTOM_PIPELINES
from .pipeline_multi_label_images import IMAGE_CUSTOM_PIPELINES
from .pipeline_multi_label_sparse import SPARSE_CUSTOM_PIPELINES
from .pipeline_multi_label_tables import TABLE_CUSTOM_PIPELINES


# of the arguments of `from_pretrained`, what says how to get at a repository's files; never kept, a token is one of them
ACCESS = ("token", "local_files_only", "proxies", "force_download")
# of a saved model, by what it reads
PIPELINES = {
    "text": CUSTOM_PIPELINES,
    "image": IMAGE_CUSTOM_PIPELINES,
    "table": TABLE_CUSTOM_PIPELINES,
    "event": EVENT_CUSTOM_PIPELINES,
    "features": SPARSE_CUSTOM_PIPELINES,
}


@dataclass
class MultiLabelOutput(ModelOutput):
    r"""
    Output of every architecture.

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`, *optional*, returned when targets are given).
        logits (`torch.FloatTensor` of shape `(B, L)`, or `(B, S)` where only a shortlist was scored):
            scores before the sigmoid.
        candidate_ids (`torch.LongTensor` of shape `(B, S)`, or in training `(S,)`, *optional*):
            the label of each column of a shortlist, of each document or of the whole batch.
        chosen (`torch.BoolTensor`, shaped as `logits`, *optional*):
            the label sets themselves, of an architecture that decides on sets as a whole; thresholds give others.
        hidden_states (`tuple(torch.FloatTensor)`, *optional*, returned with `output_hidden_states=True`):
            the encoder's input embeddings and the output of each of its layers, `(B, T, D)` each.
        attentions (`tuple(torch.FloatTensor)`, *optional*, returned with `output_attentions=True`):
            self-attention weights of the encoder's layers, where it has any.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    candidate_ids: torch.LongTensor | None = None
    chosen: torch.BoolTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


class MultiLabelPreTrainedModel(PreTrainedModel):
    """Base class: targets to loss, scores to label sets, statistics of the label space, Auto classes."""

    config: MultiLabelConfig
    # transformers' own Trainer would hand over the number of target CELLS (FACTS: transformers#47688); ours hands over
    # the number of documents and says so by setting `model_accepts_loss_kwargs` itself.
    accepts_loss_kwargs = False
    auto_classes: tuple[str, ...] = ("AutoModel", "AutoModelForSequenceClassification")
    # the copies that `nn.DataParallel` makes have no parameters, only what these were: not for a model that keeps things made of them
    has_data_parallel = True

    def __init__(self, config: MultiLabelConfig):
        super().__init__(config)
        if config.use_pos_weight:
            # persistent: buffers that are not saved come back as uninitialised memory (transformers#48892)
            self.register_buffer("pos_weight", torch.ones(config.num_labels))

    def _init_weights(self, module):
        super()._init_weights(module)
        if module is self and self.config.use_pos_weight:
            init.ones_(self.pos_weight)

    # -- targets and loss -------------------------------------------------------------------------------------------

    def compute_loss(
        self,
        logits_BS: torch.Tensor,
        *,
        labels: torch.Tensor | None = None,
        label_ids: torch.Tensor | None = None,
        candidate_ids: torch.Tensor | None = None,
        column_weights: torch.Tensor | None = None,
        row_weights: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor | None:
        """The configured loss, or `None` without targets.

        Args:
            logits_BS (`torch.Tensor` of shape `(B, S)`): any float dtype; the loss is computed in float32.
            labels (`torch.Tensor` of shape `(B, L)`, *optional*):
                multi-hot targets of any dtype; -100 marks a cell whose answer is unknown.
            label_ids (`torch.LongTensor` of shape `(B, P)`, *optional*): the same as ids, padded with -100.
            candidate_ids (`torch.LongTensor` of shape `(B, S)` or `(S,)`, *optional*):
                the columns' labels, for a shortlist of each document or one of the whole batch; negative ones are padding.
            column_weights (`torch.Tensor` of shape `(S,)`, *optional*): how many labels each column stands for; 1.
            row_weights (`torch.Tensor` of shape `(B,)`, *optional*): what each row's loss is multiplied by; 1.
            num_items_in_batch (`int` or `torch.Tensor`, *optional*): documents in the whole optimiser step.

        Raises:
            `ValueError`: where `labels` doesn't have one column a label.
        """
        if labels is None and label_ids is None:
            return None
        config, logits_BS = self.config, logits_BS.float()
        if labels is not None:
            self._check_targets(labels)
            targets_BS = labels.float()
            if candidate_ids is not None:
                columns = candidate_ids.clamp(min=0)
                targets_BS = targets_BS[:, columns] if columns.ndim == 1 else targets_BS.gather(1, columns)
        elif candidate_ids is not None:
            targets_BS = targets_of_candidates(label_ids, candidate_ids)
        else:
            targets_BS = targets_from_ids(label_ids, config.num_labels)
        known_BS = targets_BS != UNKNOWN
        if candidate_ids is not None:
            known_BS = known_BS & (candidate_ids >= 0)
        targets_BS = targets_BS.masked_fill(~known_BS, 0.0)

        cells_BS = self._loss_cells(logits_BS, targets_BS, known_BS, candidate_ids)
        for weights in (column_weights, None if row_weights is None else row_weights[:, None]):
            cells_BS = cells_BS if weights is None else cells_BS * weights
        return reduce_cells(
            cells_BS,
            known_BS,
            num_labels=config.num_labels if config.loss_reduction == "mean" else None,
            num_items_in_batch=num_items_in_batch,
        )

    def _check_targets(self, labels: torch.Tensor) -> None:
        """`ValueError` for multi-hot targets without one column a label."""
        if labels.ndim != 2 or labels.shape[1] != self.config.num_labels:
            raise ValueError(
                f"`labels` must be multi-hot of shape (batch, {self.config.num_labels}), found {tuple(labels.shape)}; "
                "give lists of ids as `label_ids`, padded with -100"
            )

    def _loss_cells(
        self,
        logits_BS: torch.Tensor,
        targets_BS: torch.Tensor,
        known_BS: torch.BoolTensor,
        candidate_ids: torch.Tensor | None,
    ) -> torch.Tensor:
        """The configured loss of each cell, `(B, S)`; those of unknown cells, whose targets are 0, mean nothing."""
        config = self.config
        if config.loss == "focal":
            return focal(logits_BS, targets_BS, gamma=config.focal_gamma)
        if config.loss == "asymmetric":
            return asymmetric(
                logits_BS,
                targets_BS,
                gamma_positive=config.asymmetric_gamma_positive,
                gamma_negative=config.asymmetric_gamma_negative,
                clip=config.asymmetric_clip,
            )
        pos_weight_S = self.pos_weight if config.use_pos_weight else None
        if pos_weight_S is not None and candidate_ids is not None:
            pos_weight_S = pos_weight_S[candidate_ids.clamp(min=0)]
        return binary_cross_entropy(
            logits_BS, targets_BS, pos_weight_S=pos_weight_S, label_smoothing=config.label_smoothing
        )

    @torch.no_grad()
    def set_training_statistics(self, counts_L: torch.Tensor, num_documents: int) -> None:
        """Fills what the model starts from: positive weights, and the output bias at the labels' log-odds in training.

        Starting at the base rates spares the first epochs, in which a model of many rare labels learns nothing else.

        Args:
            counts_L (`torch.Tensor` of shape `(L,)`): training documents of each label.
            num_documents (`int`): training documents.
        """
        counts_L = counts_L.to(torch.float64)
        if self.config.use_pos_weight:
            weights_L = (num_documents - counts_L) / counts_L.clamp(min=1)
            self.pos_weight.copy_(weights_L.clamp(min=0.0, max=float(self.config.pos_weight_max)))
        bias = self.output_bias()
        if bias is not None:
            # half a document is added on each side, so that labels never or always seen stay finite
            bias.copy_(torch.log((counts_L + 0.5) / (num_documents - counts_L + 0.5)))

    def output_bias(self) -> torch.nn.Parameter | None:
        """The parameter of shape `(L,)` added to the logits, where the architecture has one."""
        return None

    @property
    def linear_readout(self) -> torch.nn.Module | None:
        """What linear machines are put into before training, where `config.has_linear_readout`."""
        return None

    # -- from scores to answers -------------------------------------------------------------------------------------

    def decide(
        self,
        scores_BS: torch.Tensor,
        *,
        thresholds: float | list[float] | torch.Tensor | None = None,
        min_labels: int | None = None,
        candidate_ids: torch.Tensor | None = None,
    ) -> torch.BoolTensor:
        """Which columns are predicted, by the configured thresholds unless others are given (`apply_thresholds`)."""
        return apply_thresholds(
            scores_BS,
            self.config.thresholds if thresholds is None else thresholds,
            min_labels=self.config.min_labels if min_labels is None else min_labels,
            candidate_ids_BS=candidate_ids,
        )

    @property
    def decides_on_sets(self) -> bool:
        """Whether the model chooses label sets as a whole (`MultiLabelOutput.chosen`) where nobody gives thresholds."""
        return getattr(self.config, "decision", "thresholds") != "thresholds"

    def decide_output(
        self,
        output: MultiLabelOutput,
        *,
        thresholds: float | list[float] | torch.Tensor | None = None,
        min_labels: int | None = None,
    ) -> torch.BoolTensor:
        """Which columns of an output are predicted: the sets that the model chose itself, or else by thresholds (`decide`).

        Args:
            output (`MultiLabelOutput`): of `forward`.
            thresholds (`float`, `list[float]` or `torch.Tensor`, *optional*): given, they decide.
            min_labels (`int`, *optional*): the smallest set beside thresholds; the configuration's if not given.
        """
        if output.chosen is not None and thresholds is None:
            return output.chosen
        return self.decide(
            output.logits.float().sigmoid(),
            thresholds=thresholds,
            min_labels=min_labels,
            candidate_ids=output.candidate_ids,
        )

    @torch.no_grad()
    def predict_topk(self, batch: dict[str, torch.Tensor], k: int = 5) -> tuple[torch.LongTensor, torch.FloatTensor]:
        """The `k` best labels of each document.

        Args:
            batch (`dict[str, torch.Tensor]`): what `forward` takes; targets in it are ignored.
            k (`int`, *optional*, defaults to 5): at most the number of labels.

        Returns:
            `(ids, scores)` of shape `(B, K)` each, scores in [0, 1], best first.
        """
        inputs = {name: value for name, value in batch.items() if name not in ("labels", "label_ids")}
        output = self(**inputs)
        logits_BS = output.logits.float()
        if output.candidate_ids is not None:
            logits_BS = logits_BS.masked_fill(output.candidate_ids < 0, float("-inf"))
        values_BK, places_BK = logits_BS.topk(min(k, logits_BS.shape[1]), dim=1)
        ids_BK = places_BK if output.candidate_ids is None else output.candidate_ids.gather(1, places_BK)
        return ids_BK, values_BK.sigmoid()

    # -- explanations -----------------------------------------------------------------------------------------------

    def token_weights(self, chosen_ids_S: torch.LongTensor, **inputs: torch.Tensor) -> torch.FloatTensor:
        """How much each token weighs for each of the chosen labels; an architecture that knows defines this.

        Args:
            chosen_ids_S (`torch.LongTensor` of shape `(S,)`): labels.
            inputs (`torch.Tensor`): what `forward` takes, without targets.

        Returns:
            `torch.FloatTensor` of shape `(B, S, T)`: not negative, 0 on padding.

        Raises:
            `NotImplementedError`: the architecture doesn't know.
        """
        raise NotImplementedError(f"{type(self).__name__} doesn't tell from which tokens it reads a label")

    def token_contributions(self, chosen_ids_S: torch.LongTensor, **inputs: torch.Tensor) -> torch.FloatTensor:
        """Each token's share of the chosen labels' logits; an architecture whose read-out is linear defines this.

        Args:
            chosen_ids_S (`torch.LongTensor` of shape `(S,)`): labels.
            inputs (`torch.Tensor`): what `forward` takes, without targets.

        Returns:
            `torch.FloatTensor` of shape `(B, S, T)`: sums to the logit less the label's bias; 0 on padding.

        Raises:
            `NotImplementedError`: the architecture has no such shares.
        """
        raise NotImplementedError(f"{type(self).__name__} has no read-out that is a sum over tokens")

    def label_logits(self, chosen_ids_S: torch.LongTensor, **inputs) -> torch.FloatTensor:
        """Logits of a few chosen labels, `(B, S)`, with gradients: what explanations ask for many times over.

        An architecture whose labels can be scored apart from each other overrides it and computes no others.

        Args:
            chosen_ids_S (`torch.LongTensor` of shape `(S,)`): the labels.
            inputs: what `forward` takes, without targets.
        """
        return self(**inputs).logits[:, chosen_ids_S]

    def path_inputs(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """What `label_logits` is to be given besides, so that it is smooth on the way from one text to another; an
        architecture that makes choices on the way to its scores defines this.

        Args:
            inputs (`torch.Tensor`): what `forward` takes, without targets; one text.

        Returns:
            `dict[str, torch.Tensor]`: of one row each; nothing here.
        """
        return {}

    @property
    def reads_token_ids(self) -> bool:
        """Whether `input_ids` are needed even where word vectors are given, as `inputs_embeds`."""
        return False

    @property
    def has_token_weights(self) -> bool:
        """Whether `token_weights` is defined."""
        return type(self).token_weights is not MultiLabelPreTrainedModel.token_weights

    # -- loading and saving -----------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs):
        """As `PreTrainedModel.from_pretrained`, with the names of many labels read from their file.

        Weights come from safetensors files only; where there are none, `OSError`.
        """
        if kwargs.get("use_safetensors") is None:  # transformers' own default, which tries pickles as well
            kwargs["use_safetensors"] = True
        if kwargs["use_safetensors"] is not True:
            raise ValueError(f"use_safetensors={kwargs['use_safetensors']}: pickled weights are never opened")
        source = dict(kwargs)
        try:
            loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        except OSError as error:
            if not re.search(r"file named model\S*\.safetensors", str(error)):
                raise
            # transformers' own message goes on to say that use_safetensors=True had better not be set
            raise OSError(
                f"{pretrained_model_name_or_path} has no model.safetensors; pickled weights as in pytorch_model.bin could "
                "run any code and are never opened"
            ) from None
        if pretrained_model_name_or_path is not None:  # else the weights came as a `state_dict`
            config = (loaded[0] if isinstance(loaded, tuple) else loaded).config
            config.remember_source(pretrained_model_name_or_path, source)
            config.read_label_file(**{name: source[name] for name in ACCESS if name in source})
        return loaded

    # `hf_mlc` sets it: what publishes a model whole, with tokenizer and card. The copy beside the weights does without.
    publisher = None

    def push_to_hub(self, repo_id: str, **kwargs):
        """As `PreTrainedModel.push_to_hub`; with `hf_mlc`, what `hf_mlc.publishing.pushing.push_model` publishes."""
        if self.publisher is None:
            return super().push_to_hub(repo_id, **kwargs)
        return self.publisher(repo_id, **kwargs)

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        is_main_process: bool = True,
        state_dict: dict[str, torch.Tensor] | None = None,
        push_to_hub: bool = False,
        **kwargs,
    ):
        """As `PreTrainedModel.save_pretrained`, with every Auto class in `auto_map` and the pipeline of what it reads.

        A class carries one `_auto_class` and transformers would write that one key only; the model's folder, with the
        code beside the weights, must open by `AutoModel`, by the task's class and by `pipeline` alike.
        """
        if self._auto_class is not None:
            reference = f"{type(self).__module__.split('.')[-1]}.{type(self).__name__}"
            config_class = type(self.config)
            self.config.auto_map = {
                "AutoConfig": f"{config_class.__module__.split('.')[-1]}.{config_class.__name__}",
                **dict.fromkeys(self.auto_classes, reference),
            }
            for kind in PIPELINES.keys() & set(self.input_modalities):
                self.config.custom_pipelines = copy.deepcopy(PIPELINES[kind])
        commit = ("commit_message", "commit_description", "revision", "create_pr")
        hub_arguments = ("repo_id", *commit, "private", "token", "tags")
        given = {name: kwargs.pop(name) for name in hub_arguments if push_to_hub and name in kwargs}
        if "max_shard_size" in kwargs:  # of what is saved here, too
            given["max_shard_size"] = kwargs["max_shard_size"]
        super().save_pretrained(save_directory, is_main_process, state_dict, **kwargs)
        if push_to_hub and is_main_process:
            self.push_to_hub(given.pop("repo_id", os.path.basename(os.fspath(save_directory))), **given)


__all__ = ["MultiLabelOutput", "MultiLabelPreTrainedModel"]
