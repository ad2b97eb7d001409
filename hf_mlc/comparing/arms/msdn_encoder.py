"""MSDN's encoder under the heads that its convolution is compared with: the same network, sizes, training and validation rule.

What differs from MSDN is how labels know of each other, so that a difference is the relation's and not the encoder's or the
training's. The heads are those of `label_recurrence`: binary relevance, a recurrent chain over the labels by itself or, small,
on top of binary relevance, a recurrence over whole guesses; and `label_writer`'s, a recurrence that writes a document's labels.

These models live in a comparison's process only: `fit` shows them to `train` and `load_model` as an architecture of their own and
takes them back.

Shape legend: B documents, H width of a document's vector, L labels.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from huggingface_hub.dataclasses import strict
from torch import nn

from hf_mlc.comparing.arms import Fitted, Job, ours
from hf_mlc.comparing.arms.label_recurrence import LabelChain, PerLabel, Rethinking, matched_size, relation_size
from hf_mlc.comparing.arms.label_writer import LabelWriter
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.losses import targets_from_ids
from hf_mlc.modeling.modeling_msdn import MsdnPreTrainedModel
from hf_mlc.modeling.multi_label import MultiLabelOutput
from hf_mlc.modeling.set_scores import with_fewest
from hf_mlc.modeling.text_pooling import build_document_encoder


MODEL_TYPE = "msdn-same-encoder"
HEADS = {
    "msdn-encoder-br": {"head": "per_label"},
    "rnn-chain": {"head": "chain"},
    "rnn-chain-small": {"head": "chain", "on_per_label": True, "reads_document": False},
    "rethink-rnn": {"head": "rethink"},
    "rnn-labels": {"head": "writer"},
}


def fit(job: Job, folder: Path) -> Fitted:
    """As `ours.fit`, the job's runner naming the head. Settings: those of `train` and of [`SameEncoderConfig`]; MSDN's own
    (`kernel_sizes`, `decoding`, ...) change nothing, but that the small chain is matched to them."""
    with ours.shown(SameEncoderModel, like="msdn"):
        return ours.fit(replace(job, settings={**HEADS[job.runner], **job.settings, "model_type": MODEL_TYPE}), folder)


@strict
class SameEncoderConfig(MsdnConfig):
    r"""
    Configuration of [`SameEncoderModel`]: of [`MsdnConfig`] what concerns the encoder, and the (first) label order.

    Args:
        head (`str`, *optional*, defaults to `"per_label"`): `"per_label"`, `"chain"`, `"rethink"` or `"writer"`.
        recurrent_cell (`str`, *optional*): `"gru"` or `"lstm"`; if not given, of rethinking an LSTM, otherwise a GRU.
        recurrent_size (`int`, *optional*):
            Recurrent units. If not given, 256 of a chain by itself and of a writer, 128 of rethinking; of a chain on binary relevance the fewest
            with which it has at least as many parameters as MSDN's convolutions of this configuration's `kernel_sizes`,
            `channels` and `label_embedding_size`.
        recurrent_label_size (`int`, *optional*):
            width of a chain's or a writer's label vectors; 32 if not given, on binary relevance MSDN's `label_embedding_size`.
        read_out_dropout (`float`, *optional*): of the recurrent states before they are read out; 0 of rethinking, otherwise .5.
        state_dropout (`float`, *optional*, defaults to 0.25): of rethinking, of the state on its way to the next guess.
        rethink_steps (`int`, *optional*, defaults to 3): guesses.
        reads_document (`bool`, *optional*, defaults to `True`): whether a chain's states start from the document.
        on_per_label (`bool`, *optional*, defaults to `False`): whether a chain adds to binary relevance.
        chain_beams (`int`, *optional*, defaults to 5): label sets that the search of a chain or a writer keeps; 1 is greedy.
    """

    model_type = MODEL_TYPE
    _auto_class = None  # no code is saved beside the weights

    head: Literal["per_label", "chain", "rethink", "writer"] = "per_label"
    recurrent_cell: Literal["gru", "lstm"] | None = None
    recurrent_size: int | None = None
    recurrent_label_size: int | None = None
    read_out_dropout: float | int | None = None
    state_dropout: float | int = 0.25
    rethink_steps: int = 3
    reads_document: bool = True
    on_per_label: bool = False
    chain_beams: int = 5

    def validate_recurrence(self):
        """Whole numbers from 1, and probabilities below 1."""
        for name in ("recurrent_size", "recurrent_label_size", "rethink_steps", "chain_beams"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be 1 or more, found {getattr(self, name)}")
        for name in ("read_out_dropout", "state_dropout"):
            if getattr(self, name) is not None and not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be in [0, 1), found {getattr(self, name)}")


def build_head(config: SameEncoderConfig) -> nn.Module:
    """The head that the configuration names, with what it leaves open filled in."""
    sizes = {"num_labels": config.num_labels, "document_size": config.hidden_size}
    if config.head == "per_label":
        return PerLabel(**sizes)
    dropout = {} if config.read_out_dropout is None else {"dropout": config.read_out_dropout}
    if config.head == "rethink":
        return Rethinking(
            **sizes,
            **dropout,
            size=config.recurrent_size or 128,
            cell=config.recurrent_cell or "lstm",
            steps=config.rethink_steps,
            recurrent_dropout=config.state_dropout,
        )
    cell, own = config.recurrent_cell or "gru", 32
    size = config.recurrent_size or 256
    if config.head == "writer":
        order = config.label_orders[0]
        return LabelWriter(
            **sizes,
            **dropout,
            ranks=sorted(range(len(order)), key=order.__getitem__),
            size=size,
            cell=cell,
            label_size=config.recurrent_label_size or own,
            num_beams=config.chain_beams,
        )
    if config.on_per_label:
        own = config.label_embedding_size
        label_size = config.recurrent_label_size or own
        parameters = relation_size(config.effective_kernel_sizes, config.channels, own, config.num_labels)
        size = config.recurrent_size or matched_size(parameters, cell, label_size, config.num_labels)
    return LabelChain(
        **sizes,
        **dropout,
        order=config.label_orders[0],
        size=size,
        cell=cell,
        label_size=config.recurrent_label_size or own,
        reads_document=config.reads_document,
        on_per_label=config.on_per_label,
        num_beams=config.chain_beams,
    )


class SameEncoderModel(MsdnPreTrainedModel):
    """MSDN's encoder with another head."""

    config: SameEncoderConfig
    config_class = SameEncoderConfig
    _auto_class = None

    def __init__(self, config: SameEncoderConfig):
        super().__init__(config)
        if config.encoder == "mlp":
            self.main_input_name, self.input_modalities = "input_features", ("table",)
        self.encoder = build_document_encoder(config)
        self.head = build_head(config)
        self.post_init()

    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, (LabelChain, LabelWriter, Rethinking)):
            module.reset()

    def output_bias(self) -> nn.Parameter | None:
        return self.head.bias_L

    def parameter_split(self) -> dict[str, int]:
        """As MSDN's: of the encoder, of what reads single labels, and of what one label knows of another by."""
        of_relation = tuple(self.head.relation_names)
        parts = {"encoder": sum(p.numel() for p in self.encoder.parameters()), "head": 0, "relation": 0}
        for name, parameter in self.head.named_parameters():
            parts["relation" if of_relation and name.startswith(of_relation) else "head"] += parameter.numel()
        return parts

    def forward(
        self,
        input_features: torch.Tensor | None = None,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        labels: torch.Tensor | None = None,
        label_ids: torch.LongTensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> MultiLabelOutput:
        """As every architecture's; in training with targets `logits` are those that the loss is of."""
        if self.config.encoder == "mlp":
            document_BH = self.encoder(input_features)
        else:
            document_BH = self.encoder(input_ids, attention_mask, token_type_ids)
        targets_BL = None if labels is None else labels.float()
        if label_ids is not None:
            targets_BL = targets_from_ids(label_ids, self.config.num_labels)
        loss, logits_BL, chosen_BL = None, None, None
        if targets_BL is not None:
            loss, logits_BL = self.head.loss(self, document_BH, targets_BL, num_items_in_batch)
        if targets_BL is None or not self.training:
            logits_BL, chosen_BL = self.head.answer(document_BH)
            chosen_BL = with_fewest(chosen_BL, logits_BL, self.config.min_labels)
        return MultiLabelOutput(loss=loss, logits=logits_BL, chosen=chosen_BL if self.decides_on_sets else None)
