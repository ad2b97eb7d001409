"""The networks over events that LANET is compared with, shown to `train`: same rows, trainer, loss and validation
rule as LANET.

They live in a comparison's process only: `fit` shows them to `train` and `load_model` as an architecture of their own
and takes them back.

Shape legend: B histories, n events, M labels of an event, H width of a history's vector, L labels.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init

from hf_mlc.comparing.arms import Fitted, Job, ours
from hf_mlc.comparing.arms.event_encoders import GAP_SIZE, NETWORKS, PAD, Events
from hf_mlc.modeling.configuration_checks import check_positive
from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.losses import softmax_cross_entropy
from hf_mlc.modeling.modeling_lanet import users_of
from hf_mlc.modeling.multi_label import MultiLabelOutput, MultiLabelPreTrainedModel
from hf_mlc.modeling.own_frequency import OwnFrequency


MODEL_TYPE = "lanet-event-network"
# of the authors' transformer also the spread of its gap and user vectors, torch's own
SETTINGS = {
    "vanilla-transformer": {"network": "vanilla", "embedding_std": 1.0},
    "event-transformer": {"network": "transformer"},
    "event-gru": {"network": "gru"},
}

# of LANET's tokens and layers: a recipe of LANET may say any of it, and it may be what no network here could have
OF_LANET = frozenset(
    {
        "attention_dropout", "attention_keys", "embed_dim", "ffn_ratio", "folding", "label_attention", "label_bias", "num_popular_tokens",
        "label_units", "norm_first", "num_time_buckets", "position_embedding", "time_encoding", "time_reference",
    }
)  # fmt: skip


def fit(job: Job, folder: Path) -> Fitted:
    """As `ours.fit`, the job's runner naming the network. Settings: those of `train` and of [`EventNetworkConfig`];
    what is LANET's own, `OF_LANET`, is left out."""
    settings = {**SETTINGS[job.runner], **job.settings, "model_type": MODEL_TYPE}
    settings = {name: value for name, value in settings.items() if name not in OF_LANET}
    with ours.shown(EventNetworkModel, like="lanet"):
        return ours.fit(replace(job, settings=settings), folder)


@strict
class EventNetworkConfig(LanetConfig):
    r"""
    Configuration of [`EventNetworkModel`]: of [`LanetConfig`] what concerns the input, the loss, dropout,
    `num_layers` and `num_heads`.

    Args:
        network (`str`, *optional*, defaults to `"transformer"`):
            `"transformer"`, `"gru"`, or `"vanilla"`, the authors' own transformer, whose sizes are fixed but for
            `num_layers` and `num_heads`.
        hidden_size (`int`, *optional*, defaults to 128): width of an event.
        intermediate_size (`int`, *optional*, defaults to 512): of the transformer's feed-forward layers.
        event_pooling (`str`, *optional*, defaults to `"last"`): whose outputs are read, `"last"` or their `"mean"`.
        positions (`bool`, *optional*, defaults to `True`): whether an event's place from the last one has a
            vector, and how long before it the event was another.
        embedding_std (`float`, *optional*, defaults to 0.1): standard deviation of the initial vectors.
    """

    model_type = MODEL_TYPE
    _auto_class = None  # no code is saved beside the weights

    network: Literal["vanilla", "transformer", "gru"] = "transformer"
    hidden_size: int = 128
    intermediate_size: int = 512
    event_pooling: Literal["last", "mean"] = "last"
    positions: bool = True
    embedding_std: float | int = 0.1

    def validate_sizes(self):
        """Sizes that the network can be built with; those of LANET's tokens are not asked."""
        check_positive(self, ("hidden_size", "intermediate_size", "num_layers", "num_heads", "look_back", "num_gaps"))
        for name in ("num_users", "num_amount_bins"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, found {getattr(self, name)}")

    def validate_network(self):
        """What goes together."""
        if self.network == "transformer" and self.hidden_size % self.num_heads:
            raise ValueError(f"`num_heads` must divide `hidden_size` = {self.hidden_size}, found {self.num_heads}")
        if self.network == "vanilla" and GAP_SIZE % self.num_heads:  # its other parts are of this size, or twice it
            raise ValueError(
                f"`num_heads` must divide the width of an event's parts, {GAP_SIZE}, found {self.num_heads}"
            )
        if self.causal:
            raise ValueError(
                "`causal` is LANET's own: these networks predict the set after the last event, found True"
            )


class EventNetworkModel(MultiLabelPreTrainedModel):
    """A network over events, and a linear layer with a bias that starts at the labels' base rates."""

    config: EventNetworkConfig
    config_class = EventNetworkConfig
    auto_classes = ("AutoModel",)
    main_input_name, input_modalities = "event_ids", ("event",)
    _auto_class = None

    def __init__(self, config: EventNetworkConfig):
        super().__init__(config)
        self.network = NETWORKS[config.network](config)
        self.dropout = nn.Dropout(config.head_dropout)
        self.head = nn.Linear(self.network.size, config.num_labels)
        self.own_frequency = OwnFrequency() if config.own_frequency else None
        self.post_init()

    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            init.uniform_(module.weight, -bound, bound)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=self.config.embedding_std)
        elif isinstance(module, OwnFrequency):
            module.reset()
        elif isinstance(module, nn.GRU):
            for parameter in module.parameters():
                init.uniform_(parameter, -(module.hidden_size**-0.5), module.hidden_size**-0.5)

    def output_bias(self) -> nn.Parameter:
        return self.head.bias

    def forward(
        self,
        event_ids: torch.LongTensor,
        event_mask: torch.BoolTensor,
        event_gaps: torch.Tensor,
        event_gap_ids: torch.LongTensor,
        event_times: torch.Tensor | None = None,
        event_amount_bins: torch.LongTensor | None = None,
        user_ids: torch.LongTensor | None = None,
        target_gaps: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        label_ids: torch.LongTensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> MultiLabelOutput:
        """As LANET's: what the processor makes of histories, and targets; `logits` `(B, L)` are of the next set.
        `event_times` is taken, since a batch holds it, and not read: times are told by `event_gaps`."""
        users = self._users(user_ids, event_ids)
        events = _never_empty(
            Events(event_ids, event_mask.bool(), event_gaps, event_gap_ids, event_amount_bins, users, target_gaps)
        )
        logits_BL = self.head(self.dropout(self.network(events)))
        if self.own_frequency is not None:
            logits_BL = logits_BL + self.own_frequency(event_ids, event_mask.bool(), self.head.bias)
        loss = self.compute_loss(logits_BL, labels=labels, label_ids=label_ids, num_items_in_batch=num_items_in_batch)
        return MultiLabelOutput(loss=loss, logits=logits_BL)

    def _users(self, user_ids_B: torch.LongTensor | None, event_ids: torch.LongTensor) -> torch.LongTensor:
        """Whose histories they are, some made unknown in training, as LANET does; 0 where nobody is known."""
        return users_of(user_ids_B, event_ids, self.config.user_dropout * self.training)

    def _loss_cells(self, logits_BL, targets_BL, known_BL, candidate_ids) -> torch.Tensor:
        if self.config.label_loss == "softmax":
            return softmax_cross_entropy(logits_BL, targets_BL, known_BL)
        return super()._loss_cells(logits_BL, targets_BL, known_BL, candidate_ids)


def _never_empty(events: Events) -> Events:
    """The same batch, in which a history without events has one without labels: every network then has something to
    read."""
    ids_BnM, mask_Bn, gaps_Bn, gap_ids_Bn, bins_BnM, users_B, target_gaps_B = events
    if mask_Bn.shape[1] == 0:
        ids_BnM, bins_BnM = (
            None if ids is None else F.pad(ids, (0, 0, 0, 1), value=PAD) for ids in (ids_BnM, bins_BnM)
        )
        mask_Bn, gaps_Bn, gap_ids_Bn = (F.pad(tensor, (0, 1)) for tensor in (mask_Bn, gaps_Bn, gap_ids_Bn))
    if ids_BnM.shape[2] == 0:
        ids_BnM, bins_BnM = (None if ids is None else F.pad(ids, (0, 1), value=PAD) for ids in (ids_BnM, bins_BnM))
    first_Bn = torch.zeros_like(mask_Bn)
    first_Bn[:, 0] = ~mask_Bn.any(dim=1)
    return Events(ids_BnM, mask_Bn | first_Bn, gaps_Bn, gap_ids_Bn, bins_BnM, users_B, target_gaps_B)
