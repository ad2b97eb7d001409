"""LANET: which labels come next, from self-attention between labels.

A history of events, each a set of labels with a time and perhaps amounts, is folded into one token a label (label_tokens.py);
the labels look at each other (label_encoder.py), and one unit, the same for all, reads each label's score off its output; with
`label_units` also one of the label's own. (Kovtun,
Boeva, Zabolotnyi, Burnaev, Spindler, Zaytsev and others, "Label Attention Network for Temporal Sets Prediction",
arXiv:2303.00280; written from the equations.) Tokens are labels, not events: the cost doesn't grow with the history.

Two published forms are one model here. The windowed form folds the last `look_back` events and predicts the set after them. The
causal form is trained to predict the set after each event of a history, from those up to it; nothing that it is scored on is in
what it has read.

Shape legend: B histories, n events of one, M labels of an event at most, L labels, S label tokens, C context tokens (user, time to
the next event), D width of a token, P sets that a batch is trained to predict, R scored rows (B or P), H heads.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init

from .configuration_lanet import LanetConfig
from .event_time import log_buckets, places_from_last
from .label_encoder import LabelEncoder, places_of
from .label_tokens import Events, LabelTokens, row_tokens
from .losses import UNKNOWN, softmax_cross_entropy, targets_from_ids
from .multi_label import MultiLabelOutput, MultiLabelPreTrainedModel
from .next_labels import NextLabels
from .own_frequency import OwnFrequency


@dataclass
class LanetOutput(MultiLabelOutput):
    r"""
    Output of [`LanetForMultiLabelClassification`], what [`MultiLabelOutput`] holds and:

    Args:
        hidden_states (`tuple(torch.FloatTensor)`, *optional*, returned with `output_hidden_states=True`):
            the tokens, and what each layer makes of them, `(R, C + S, D)` each; the C context tokens stand first.
        attentions (`tuple(torch.FloatTensor)`, *optional*, returned with `output_attentions=True`):
            how much each label (row) reads from each other (column), `(R, H, C + S, C + S)` a layer.
        token_ids (`torch.LongTensor` of shape `(R, S)`, *optional*, returned with either where only some labels are tokens):
            the label of each label token, -1 for padding.
    """

    token_ids: torch.LongTensor | None = None


class LanetPreTrainedModel(MultiLabelPreTrainedModel):
    """Initialisation and what transformers wants to know about the architecture."""

    config: LanetConfig
    base_model_prefix = "model"
    main_input_name = "event_ids"
    input_modalities = ("event",)
    auto_classes = ("AutoModel",)
    _supports_sdpa = True

    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=self.config.embedding_std)
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, OwnFrequency):
            module.reset()
        elif isinstance(module, LanetForMultiLabelClassification):
            for weight in (module.label_bias, module.label_units):
                if weight is not None:
                    init.zeros_(weight)
            if module.config.has_popular_tokens:
                init.copy_(module.by_frequency, torch.arange(module.config.num_labels))


class LanetForMultiLabelClassification(NextLabels, LanetPreTrainedModel):
    """Label tokens, attention between them, a score each; what `AutoModel` returns for `model_type` "lanet".

    Buffers:
        by_frequency (`torch.LongTensor` of shape `(L,)`, with `num_popular_tokens`):
            the labels, those with most training events first; the first ones are always tokens. Until training statistics are
            set, the labels in their order.
    """

    def __init__(self, config: LanetConfig):
        super().__init__(config)
        width = config.token_dim
        self.tokens = LabelTokens(config)
        self.users = nn.Embedding(config.num_users + 1, width) if config.num_users else None
        self.target_times = nn.Embedding(config.num_time_buckets, width) if config.uses_target_time else None
        self.encoder = LabelEncoder(config)
        self.dropout = nn.Dropout(config.head_dropout)
        # a number added to all logits is nothing to a softmax
        self.head = nn.Linear(width, 1, bias=not config.label_bias and config.label_loss == "bce")
        # what a label's own unit adds to the shared one's weights: nothing before training
        self.label_units = nn.Parameter(torch.zeros(config.num_labels, width)) if config.label_units else None
        self.label_bias = nn.Parameter(torch.zeros(config.num_labels)) if config.label_bias else None
        self.own_frequency = OwnFrequency() if config.own_frequency else None
        self.others = None
        if config.has_popular_tokens:
            self.others = nn.Linear(width, config.embed_dim)
            # of all labels, so that another number of labels is another shape; saved, since it is known to training alone
            self.register_buffer("by_frequency", torch.arange(config.num_labels))
        self.post_init()

    # -- parts that others ask for -----------------------------------------------------------------------------------

    def output_bias(self) -> nn.Parameter | None:
        return self.label_bias

    @torch.no_grad()
    def set_training_statistics(self, counts_L: torch.Tensor, num_documents: int) -> None:
        """As [`MultiLabelPreTrainedModel.set_training_statistics`]; also which labels are the popular tokens."""
        super().set_training_statistics(counts_L, num_documents)
        if self.head.bias is not None:
            seen = counts_L.double().sum()
            self.head.bias.fill_(torch.log((seen + 0.5) / (num_documents * len(counts_L) - seen + 0.5)))
        if self.config.has_popular_tokens:
            self.by_frequency.copy_(counts_L.sort(descending=True, stable=True).indices)

    def get_input_embeddings(self):
        raise NotImplementedError(f"a model that reads `{self.main_input_name}` has no word vectors")

    @property
    def _reads_history_alone(self) -> bool:
        return self.config.label_attention and self.config.attention_keys == "history"

    # -- forward -----------------------------------------------------------------------------------------------------

    def forward(
        self,
        event_ids: torch.LongTensor,
        event_mask: torch.Tensor | None = None,
        event_gaps: torch.Tensor | None = None,
        event_times: torch.Tensor | None = None,
        event_gap_ids: torch.LongTensor | None = None,
        event_amount_bins: torch.LongTensor | None = None,
        user_ids: torch.LongTensor | None = None,
        target_gaps: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        label_ids: torch.LongTensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        with_prefixes: bool | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> LanetOutput | tuple:
        r"""
        `logits` are of the set after each history's last event. A history without events is answered from the labels' own vectors.

        Args:
            event_ids (`torch.LongTensor` of shape `(B, n, M)`): label ids of each event, each once, padded with -100.
            event_mask (`torch.BoolTensor` of shape `(B, n)`, *optional*):
                which events are there, in the order of time, padding anywhere; if not given, those that hold labels.
            event_gaps (`torch.FloatTensor` of shape `(B, n)`, *optional*):
                time since the user's event before, 0 for the first; for `"log_bucket"`, and for `uses_target_time` of prefixes.
            event_times (`torch.FloatTensor` of shape `(B, n)`, *optional*): time since the first event; for `"sinusoid"`.
            event_gap_ids (`torch.LongTensor` of shape `(B, n)`, *optional*): 1 to `num_gaps`; for `"gap_embedding"`.
            event_amount_bins (`torch.LongTensor` of shape `(B, n, M)`, *optional*): of each label, negative
                where nobody gave an amount; with `num_amount_bins`.
            user_ids (`torch.LongTensor` of shape `(B,)`, *optional*):
                from 1 to `num_users`, 0 for an unknown one; if not given, nobody is known.
            target_gaps (`torch.FloatTensor` of shape `(B,)`, *optional*):
                time from the last event to the set that is asked for; with `uses_target_time`.
            labels (`torch.Tensor` of shape `(B, L)`, *optional*):
                the next sets, multi-hot, any dtype; -100 is unknown and costs nothing.
            label_ids (`torch.LongTensor` of shape `(B, P)`, *optional*): the same as ids, padded with -100.
            num_items_in_batch (`int` or `torch.Tensor`, *optional*): histories in the whole optimiser step.
            with_prefixes (`bool`, *optional*):
                Whether the loss of the causal form is the mean over all prefixes of a history, or of the whole history alone; if
                not given, in training. Then hidden states and attentions are those of the prefixes, row by row.
            output_hidden_states (`bool`, *optional*): return the tokens and the layers' outputs as well.
            output_attentions (`bool`, *optional*): return the attention between labels as well; memory grows with K x K then.
            return_dict (`bool`, *optional*): a [`LanetOutput`] (the default) or a tuple of what isn't `None`.
        """
        config = self.config
        if output_hidden_states is None:
            output_hidden_states = config.output_hidden_states
        output_attentions = config.output_attentions if output_attentions is None else output_attentions
        return_dict = config.return_dict if return_dict is None else return_dict
        with_prefixes = self.training if with_prefixes is None else with_prefixes
        events = self._events(event_ids, event_mask, event_gaps, event_times, event_gap_ids, event_amount_bins)
        user_ids_B = self._users(user_ids, events)
        if config.uses_target_time and target_gaps is None:
            raise ValueError("`target_gaps` is needed by a model that knows the time of its target, found none")
        token_ids_BS = None
        if config.has_popular_tokens:
            popular_N = self.by_frequency[: config.num_popular_tokens]
            token_ids_BS = row_tokens(events.ids_BnM, popular_N, config.num_labels)

        if config.causal and with_prefixes and (labels is not None or label_ids is not None):
            if labels is None:
                labels = targets_from_ids(label_ids, config.num_labels)
            scored, loss = self._prefix_loss(
                events, token_ids_BS, user_ids_B, target_gaps, labels, num_items_in_batch, output_attentions
            )
        else:
            context_BCD = self._context(user_ids_B, target_gaps)
            mask_BS = None if token_ids_BS is None else token_ids_BS < config.num_labels
            tokens_BSD = self.tokens(events, token_ids_BS)
            held_BS = self.tokens.held(events, token_ids_BS) if self._reads_history_alone else None
            scored = self._score(tokens_BSD, context_BCD, token_ids_BS, mask_BS, output_attentions, held_BS)
            if self.own_frequency is not None:
                scored.logits = scored.logits + self.own_frequency(events.ids_BnM, events.mask_Bn, self.label_bias)
            loss = self.compute_loss(
                scored.logits, labels=labels, label_ids=label_ids, num_items_in_batch=num_items_in_batch
            )
        output = LanetOutput(
            loss=loss,
            logits=scored.logits,
            hidden_states=scored.hidden_states if output_hidden_states else None,
            attentions=scored.attentions if output_attentions else None,
            token_ids=scored.token_ids if output_hidden_states or output_attentions else None,
        )
        return output if return_dict else output.to_tuple()

    def _events(self, ids_BnM, mask_Bn, gaps_Bn, times_Bn, gap_ids_Bn, bins_BnM) -> Events:
        """The events that are read; what stands in padding is made harmless."""
        mask_Bn = (ids_BnM >= 0).any(dim=2) if mask_Bn is None else mask_Bn.bool()
        if not self.config.causal and self.config.look_back is not None:
            mask_Bn = mask_Bn & (places_from_last(mask_Bn) < self.config.look_back)
        gaps_Bn, times_Bn, gap_ids_Bn = (
            None if tensor is None else tensor.masked_fill(~mask_Bn, 0) for tensor in (gaps_Bn, times_Bn, gap_ids_Bn)
        )
        ids_BnM = ids_BnM.masked_fill(~mask_Bn[..., None], UNKNOWN)
        return Events(ids_BnM, mask_Bn, gaps_Bn, times_Bn, gap_ids_Bn, bins_BnM)

    def _users(self, user_ids_B: torch.LongTensor | None, events: Events) -> torch.LongTensor | None:
        """Whose histories they are; `None` where the model knows nobody."""
        if self.users is None:
            return None
        return users_of(user_ids_B, events.ids_BnM, self.config.user_dropout * self.training)

    def _context(self, user_ids_R: torch.LongTensor | None, target_gaps_R: torch.Tensor | None) -> torch.Tensor | None:
        """What is known beside the history, `(R, C, D)`."""
        context = []
        if self.users is not None:
            context.append(self.users(user_ids_R))
        if self.target_times is not None:
            context.append(self.target_times(log_buckets(target_gaps_R, self.config.num_time_buckets)))
        return torch.stack(context, dim=1) if context else None

    def _score(
        self,
        tokens_RSD: torch.Tensor,
        context_RCD: torch.Tensor | None,
        token_ids_RS: torch.LongTensor | None,
        mask_RS: torch.BoolTensor | None,
        with_weights: bool,
        held_RS: torch.BoolTensor | None,
    ) -> LanetOutput:
        """Logits `(R, L)` of folded histories, the states on the way to them, and the attention if asked for.

        Args:
            tokens_RSD (`torch.Tensor` of shape `(R, S, D)`): from `LabelTokens`.
            context_RCD (`torch.Tensor` of shape `(R, C, D)`, *optional*): from `_context`.
            token_ids_RS (`torch.LongTensor` of shape `(R, S)`, *optional*): where only some labels are tokens, which.
            mask_RS (`torch.BoolTensor` of shape `(R, S)`, *optional*): and which of them are there.
            with_weights (`bool`): return the attention.
            held_RS (`torch.BoolTensor` of shape `(R, S)`, *optional*): where labels read those of the history alone, which these are.
        """
        num_context = 0
        if context_RCD is not None and self.config.label_attention:
            num_context = context_RCD.shape[1]
            tokens_RSD = torch.cat([context_RCD, tokens_RSD], dim=1)
        elif context_RCD is not None:  # nothing else would carry it to the labels
            tokens_RSD = tokens_RSD + context_RCD.sum(dim=1, keepdim=True)
        readable = None if mask_RS is None else F.pad(mask_RS, (num_context, 0), value=True)
        places_RP = None if held_RS is None else places_of(F.pad(held_RS, (num_context, 0), value=True))
        states, weights = self.encoder(tokens_RSD, readable, with_weights=with_weights, places_BP=places_RP)
        states_RSD = self.dropout(states[-1][:, num_context:])
        logits_RL = self.head(states_RSD).squeeze(-1)
        if self.label_units is not None:
            units = self.label_units if token_ids_RS is None else self.label_units[token_ids_RS * mask_RS]
            logits_RL = logits_RL + (states_RSD * units).sum(dim=-1)
        if token_ids_RS is not None:
            logits_RL = self._with_others(logits_RL, states_RSD, token_ids_RS, mask_RS)
        if self.label_bias is not None:
            logits_RL = logits_RL + self.label_bias
        token_ids_RS = None if token_ids_RS is None else token_ids_RS.masked_fill(~mask_RS, -1)
        return LanetOutput(logits=logits_RL, hidden_states=states, attentions=weights, token_ids=token_ids_RS)

    def _with_others(self, logits_RS, states_RSD, token_ids_RS, mask_RS) -> torch.Tensor:
        """Logits of all labels, `(R, L)`: the tokens' own, and for the others how their vectors fit the mean of the tokens."""
        share_RS1 = (mask_RS / mask_RS.sum(dim=1, keepdim=True))[..., None].to(states_RSD.dtype)
        pooled_RD = (states_RSD * share_RS1).sum(dim=1)
        vectors_Ld = self.tokens.labels.weight
        logits_RL = self.others(pooled_RD) @ vectors_Ld.T * vectors_Ld.shape[1] ** -0.5
        if self.head.bias is not None:
            logits_RL = logits_RL + self.head.bias
        # the tokens that aren't there go to an extra last column that is cut off again
        columns_RS = token_ids_RS.masked_fill(~mask_RS, self.config.num_labels)
        return F.pad(logits_RL, (0, 1)).scatter(1, columns_RS, logits_RS.to(logits_RL.dtype))[:, :-1]

    # -- losses ------------------------------------------------------------------------------------------------------

    def _prefix_loss(
        self, events, token_ids_BS, user_ids_B, target_gaps_B, targets_BL, num_items_in_batch, with_weights
    ) -> tuple[LanetOutput, torch.Tensor]:
        """The loss of the causal form: after each event the next one's set, after the last one the target. A mean over a row's
        prefixes, and over rows. The logits are those after the last event."""
        num_labels = self.config.num_labels
        self._check_targets(targets_BL)
        events = _events_first(events)
        mask_Bn, (B, n) = events.mask_Bn, events.mask_Bn.shape
        last_B1 = (mask_Bn.sum(dim=1, keepdim=True) - 1).clamp(min=0)
        is_last_Bn = torch.arange(n, device=mask_Bn.device) == last_B1
        is_prefix_Bn = mask_Bn | is_last_Bn  # a history without events has one prefix too, of none
        rows_P, is_last_P = is_prefix_Bn.nonzero()[:, 0], is_last_Bn[is_prefix_Bn]

        context_PCD = None
        if self.users is not None or self.target_times is not None:
            users_P = None if user_ids_B is None else user_ids_B[rows_P]
            gaps_P = None
            if self.target_times is not None:
                if events.gaps_Bn is None:
                    raise ValueError("`event_gaps` is needed to know the time to the set after each event, found none")
                next_gaps_Bn = torch.where(is_last_Bn, target_gaps_B[:, None], F.pad(events.gaps_Bn, (-1, 1)))
                gaps_P = next_gaps_Bn[is_prefix_Bn]
            context_PCD = self._context(users_P, gaps_P)

        tokens_PSD = self.tokens.prefixes(events, token_ids_BS, is_prefix_Bn)
        token_ids_PS, mask_PS, seen_PS = None, None, None
        if token_ids_BS is not None or self._reads_history_alone:
            seen_PS = self.tokens.seen(events, token_ids_BS, is_prefix_Bn)
        if token_ids_BS is not None:
            # a label that is a token only since it comes later in the row isn't there yet: it would tell the answer
            popular_N = self.by_frequency[: self.config.num_popular_tokens]
            token_ids_PS = token_ids_BS[rows_P]
            mask_PS = (seen_PS | torch.isin(token_ids_PS, popular_N)) & (token_ids_PS < num_labels)
        held_PS = seen_PS if self._reads_history_alone else None
        scored = self._score(tokens_PSD, context_PCD, token_ids_PS, mask_PS, with_weights, held_PS)
        if self.own_frequency is not None:
            scored.logits = scored.logits + self.own_frequency.prefixes(
                events.ids_BnM, mask_Bn, self.label_bias, is_prefix_Bn
            )

        next_ids_BnM = F.pad(events.ids_BnM, (0, 0, -1, 1), value=UNKNOWN)
        targets_PL = targets_from_ids(next_ids_BnM[is_prefix_Bn], num_labels)
        targets_PL = torch.where(is_last_P[:, None], targets_BL[rows_P].float(), targets_PL)
        loss = self.compute_loss(
            scored.logits,
            labels=targets_PL,
            row_weights=1 / is_prefix_Bn.sum(dim=1)[rows_P],
            num_items_in_batch=B if num_items_in_batch is None else num_items_in_batch,
        )
        scored.logits = scored.logits[is_last_P]
        return scored, loss

    def _loss_cells(self, logits_RL, targets_RL, known_RL, candidate_ids) -> torch.Tensor:
        if self.config.label_loss == "softmax":
            return softmax_cross_entropy(logits_RL, targets_RL, known_RL)
        return super()._loss_cells(logits_RL, targets_RL, known_RL, candidate_ids)


def users_of(user_ids_B: torch.LongTensor | None, event_ids: torch.LongTensor, dropout: float) -> torch.LongTensor:
    """Whose histories they are, `(B,)`: 0, the unknown one, where nobody says, and for a share of them by chance.

    Args:
        user_ids_B (`torch.LongTensor` of shape `(B,)`, *optional*): the users.
        event_ids (`torch.LongTensor` of shape `(B, n, M)`): the histories.
        dropout (`float`): the share that is made unknown; 0 outside training.
    """
    if user_ids_B is None:
        return event_ids.new_zeros(len(event_ids))
    if dropout:
        is_kept_B = torch.rand(user_ids_B.shape, device=user_ids_B.device) >= dropout
        user_ids_B = user_ids_B * is_kept_B
    return user_ids_B


def _events_first(events: Events) -> Events:
    """The same histories with all padding behind the events."""
    order_Bn = events.mask_Bn.sort(dim=1, descending=True, stable=True).indices
    arranged = []
    for tensor in events:
        if tensor is not None:
            order = order_Bn if tensor.ndim == 2 else order_Bn[..., None].expand_as(tensor)
            tensor = tensor.gather(1, order)
        arranged.append(tensor)
    return Events(*arranged)


__all__ = ["LanetForMultiLabelClassification", "LanetOutput", "LanetPreTrainedModel", "users_of"]
