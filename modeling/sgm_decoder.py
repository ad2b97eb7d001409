"""The decoder of SGM: a recurrent network that writes a document's labels one after another, then the end.

Yang and others, "SGM: Sequence Generation Model for Multi-Label Classification" (COLING 2018), section 2. In step t

    g_t     = (1 - H) e + H ē,  H = sigmoid(W1 e + W2 ē)     e: the last label's vector, ē: the mean of all label vectors
                                                             under the last distribution ("global embedding")
    s_t     = LSTM(s_{t-1}, [g_t ; c_{t-1}])                 c: what the last step read ("input feeding")
    α_t     = softmax_i( v . tanh(W_a s_t + U_a h_i) )       over the document's tokens, not its padding
    c_t     = Σ_i α_ti h_i
    o_t     = W_o tanh(W_d s_t + V_d c_t + ...)
    y_t     = softmax(o_t + I_t),  I_t = -inf for padding, begin and every label that was given

The paper writes H without the sigmoid; both releases of its code have it. In place of "..." may stand what the step read
in the label vectors ("label context"), the label-wise encoder's summary and the tf-idf path, each projected. To `o_t` may come
the labels' log-odds by linear machines (planted_readout.py), in every step the same: odds of the label against the end.

Shape legend: B documents, R rows (documents, or documents times beams K), m tokens or patches, D width of the encoder,
d width of the decoder, A width of the comparison, E width of the label vectors, L labels, V = L + 3 label ids, T steps.
"""

from __future__ import annotations

import torch
from torch import nn

from .label_constraints import LabelConstraints
from .label_sequences import BOS, EOS, LABEL_OFFSET, PAD, decoder_inputs
from .sgm_state import SgmMemory, SgmState


class AdditiveAttention(nn.Module):
    """`softmax_i( v . tanh(W query + keys_i) )` (Bahdanau and others, 2015), in float32, without padding.

    The keys come projected: they are the same in every step.
    """

    def __init__(self, query_size: int, attention_size: int):
        super().__init__()
        self.query = nn.Linear(query_size, attention_size)
        self.score = nn.Linear(attention_size, 1, bias=False)

    def forward(self, query_RQ: torch.Tensor, keys_BmA: torch.Tensor, mask: torch.BoolTensor) -> torch.Tensor:
        """Weights `(R, m)`, R a multiple of B: the rows of one document stand together. All 0 where all is masked."""
        query_BK1A = self.query(query_RQ).unflatten(0, (keys_BmA.shape[0], -1)).unsqueeze(2)
        scores_BKm = self.score(torch.tanh(query_BK1A + keys_BmA.unsqueeze(1))).squeeze(3).float()
        mask_BKm = (
            mask.unsqueeze(1) if mask.shape[0] == scores_BKm.shape[0] else mask.unflatten(0, scores_BKm.shape[:2])
        )
        # not -inf: a document without a token would have no softmax
        scores_BKm = scores_BKm.masked_fill(~mask_BKm, torch.finfo(scores_BKm.dtype).min)
        return (scores_BKm.softmax(dim=2) * mask_BKm).flatten(0, 1)


class GlobalEmbedding(nn.Module):
    """What a step is fed: the last label's vector, mixed with the mean of all under the last distribution."""

    def __init__(self, config):
        super().__init__()
        self.scale = config.global_embedding_scale
        if self.scale is None:
            self.hard = nn.Linear(config.label_width, config.label_width)
            self.soft = nn.Linear(config.label_width, config.label_width, bias=False)

    def forward(self, label_RE: torch.Tensor, distribution_RV: torch.Tensor, vectors_VE: torch.Tensor) -> torch.Tensor:
        mean_RE = distribution_RV.to(vectors_VE.dtype) @ vectors_VE
        if self.scale is not None:
            return (1 - self.scale) * label_RE + self.scale * mean_RE
        gate_RE = torch.sigmoid(self.hard(label_RE) + self.soft(mean_RE))
        return (1 - gate_RE) * label_RE + gate_RE * mean_RE


class LabelContext(nn.Module):
    """Attention over the vectors of the labels not given yet; the query is the state with what it read of the document.

    Costs B x L x A numbers a step: for some thousands of labels, not for a million.
    """

    def __init__(self, config):
        super().__init__()
        size = config.attention_size or config.decoder_width
        self.keys = nn.Linear(config.label_width, size, bias=False)
        self.attention = AdditiveAttention(config.decoder_width + config.hidden_size, size)

    def forward(self, query_RQ: torch.Tensor, vectors_LE: torch.Tensor, open_RL: torch.BoolTensor) -> torch.Tensor:
        keys_1LA = self.keys(vectors_LE)[None]
        weights_RL = self.attention(query_RQ, keys_1LA, open_RL)
        return weights_RL.to(vectors_LE.dtype) @ vectors_LE


class SgmDecoder(nn.Module):
    """One step at a time (`step`), or along given sequences (`forward`)."""

    def __init__(self, config):
        super().__init__()
        width, label_width, size = config.decoder_width, config.label_width, config.hidden_size
        attention_size = config.attention_size or width
        self.num_layers, self.width, self.repeat_mask = config.decoder_layers, width, config.repeat_mask
        self.vocab_size = config.decoder_vocab_size
        self.label_embeddings = nn.Embedding(self.vocab_size, label_width)
        self.global_embedding = GlobalEmbedding(config) if config.global_embedding else None
        self.has_cell = config.decoder_cell == "lstm"
        extra = config.tfidf_size if config.tfidf_path else 0
        self.start = nn.Linear(size + extra, self.num_layers * width * (2 if self.has_cell else 1))
        cell = nn.LSTMCell if self.has_cell else nn.GRUCell
        self.cells = nn.ModuleList(
            cell(label_width + size if number == 0 else width, width) for number in range(self.num_layers)
        )
        self.keys = nn.Linear(size, attention_size, bias=False)
        self.attention = AdditiveAttention(width, attention_size)
        self.label_context = LabelContext(config) if config.has_label_context else None
        parts = width + size + extra
        parts += label_width if self.label_context is not None else 0
        parts += size if config.has_label_wise_encoder else 0
        # W_d s + V_d c + ... is one matrix over all of them side by side
        self.read_out = nn.Linear(parts, width)
        self.output = nn.Linear(width, self.vocab_size)
        self.dropout = nn.Dropout(config.decoder_dropout)

    # -- before the first step --------------------------------------------------------------------------------------

    def memory(self, hidden_BmD: torch.Tensor, mask_Bm: torch.BoolTensor, **parts) -> SgmMemory:
        """What all steps read: the encoder's states, their keys and their mean; `parts` are `SgmMemory`'s others."""
        mask_Bm1 = mask_Bm[..., None]
        mean_BD = (hidden_BmD * mask_Bm1).sum(dim=1, dtype=torch.float32) / mask_Bm1.sum(dim=1).clamp(min=1)
        return SgmMemory(hidden_BmD, mask_Bm, self.keys(hidden_BmD), mean_BD.to(hidden_BmD.dtype), **parts)

    def initial_state(self, memory: SgmMemory, forbidden_BV: torch.BoolTensor | None = None) -> SgmState:
        """The state before the first step: made of the states' mean, and nothing given."""
        known_BF = memory.mean_BD
        if memory.tfidf_BF is not None:
            known_BF = torch.cat([known_BF, memory.tfidf_BF], dim=1)
        rows = len(known_BF)
        parts_SRd = torch.tanh(self.start(known_BF)).unflatten(1, (-1, self.width)).transpose(0, 1)
        distribution_RV = torch.zeros(rows, self.vocab_size, device=known_BF.device)
        distribution_RV[:, BOS] = 1.0
        return SgmState(
            hidden_SRd=parts_SRd[: self.num_layers],
            cell_SRd=parts_SRd[self.num_layers :] if self.has_cell else None,
            context_RD=memory.mean_BD,
            distribution_RV=distribution_RV,
            used_RV=torch.zeros_like(distribution_RV, dtype=torch.bool),
            attention_Rm=torch.zeros_like(memory.mask_Bm, dtype=torch.float32),
            forbidden_RV=forbidden_BV,
        )

    # -- a step -----------------------------------------------------------------------------------------------------

    def step(
        self,
        previous_ids_R: torch.LongTensor,
        state: SgmState,
        memory: SgmMemory,
        *,
        constraints: LabelConstraints | None = None,
        end_bias: float = 0.0,
    ) -> tuple[torch.Tensor, SgmState]:
        """What may come after `previous_ids_R`.

        Args:
            previous_ids_R (`torch.LongTensor` of shape `(R,)`): the ids given last; `BOS` in the first step.
            state (`SgmState`): of R rows, R a multiple of the memory's documents; those of one document stand together.
            memory (`SgmMemory`): of B documents.
            constraints (`LabelConstraints`, *optional*): of a search, further rules on what may come next.
            end_bias (`float`, *optional*, defaults to 0.0): of a search, subtracted from the end's logit.

        Returns:
            `(log_probs, state)`: `(R, V)` in float32, normalised over what may come; `-inf` elsewhere; and the next state.
        """
        is_label_R1 = (previous_ids_R >= LABEL_OFFSET)[:, None]
        place_R1 = previous_ids_R[:, None]
        used_RV = state.used_RV.scatter(1, place_R1, state.used_RV.gather(1, place_R1) | is_label_R1)
        allowed_RV = self._allowed(used_RV, state, constraints)

        # the state of the recurrent layers
        fed_RE = self.label_embeddings(previous_ids_R)
        if self.global_embedding is not None:
            fed_RE = self.global_embedding(fed_RE, state.distribution_RV, self.label_embeddings.weight)
        inputs = self.dropout(torch.cat([fed_RE, state.context_RD], dim=1))
        hidden, cells = [], []
        for number, layer in enumerate(self.cells):
            if number:
                inputs = self.dropout(inputs)
            if self.has_cell:
                inputs, remembered = layer(inputs, (state.hidden_SRd[number], state.cell_SRd[number]))
                cells.append(remembered)
            else:
                inputs = layer(inputs, state.hidden_SRd[number])
            hidden.append(inputs)

        # what it reads, in the document and among the labels
        weights_Rm = self.attention(inputs, memory.keys_BmA, memory.mask_Bm)
        weights_BKm = weights_Rm.to(memory.hidden_BmD.dtype).unflatten(0, (len(memory.mask_Bm), -1))
        context_RD = (weights_BKm @ memory.hidden_BmD).flatten(0, 1)
        parts = [inputs, context_RD]
        if self.label_context is not None:
            open_RL = allowed_RV[:, LABEL_OFFSET:]
            parts.append(self.label_context(torch.cat(parts, 1), self.label_embeddings.weight[LABEL_OFFSET:], open_RL))
        beams = len(inputs) // len(memory.mask_Bm)
        for part_BF in (memory.summary_BD, memory.tfidf_BF):
            if part_BF is not None:
                parts.append(part_BF.repeat_interleave(beams, dim=0))
        read_Rd = self.dropout(torch.tanh(self.read_out(torch.cat(parts, dim=1))))
        logits_RV = self.output(read_Rd).float()
        if memory.log_odds_BL is not None:
            odds_RL = memory.log_odds_BL.repeat_interleave(beams, dim=0)
            logits_RV = logits_RV + nn.functional.pad(odds_RL, (LABEL_OFFSET, 0))
        if end_bias:
            logits_RV = torch.cat(
                [logits_RV[:, :EOS], logits_RV[:, EOS : EOS + 1] - end_bias, logits_RV[:, EOS + 1 :]], 1
            )
        log_probs_RV = logits_RV.masked_fill(~allowed_RV, float("-inf")).log_softmax(dim=1)
        return log_probs_RV, SgmState(
            hidden_SRd=torch.stack(hidden),
            cell_SRd=torch.stack(cells) if self.has_cell else None,
            context_RD=context_RD,
            distribution_RV=log_probs_RV.exp(),
            used_RV=used_RV,
            attention_Rm=weights_Rm,
            step=state.step + 1,
            forbidden_RV=state.forbidden_RV,
            memory=state.memory,
        )

    def _allowed(self, used_RV, state: SgmState, constraints: LabelConstraints | None) -> torch.BoolTensor:
        """What may come next: never padding or begin; no label twice; always the end, unless a search's rules forbid it."""
        allowed_RV = ~used_RV if self.repeat_mask else torch.ones_like(used_RV)
        if state.forbidden_RV is not None:
            allowed_RV = allowed_RV & ~state.forbidden_RV
        if constraints is not None:
            allowed_RV = allowed_RV & constraints.mask(used_RV, state.step)
        is_special_V = torch.arange(self.vocab_size, device=used_RV.device)
        return allowed_RV & ((is_special_V != PAD) & (is_special_V != BOS))

    # -- along given sequences --------------------------------------------------------------------------------------

    def forward(
        self,
        sequences_BT: torch.LongTensor,
        memory: SgmMemory,
        forbidden_BV: torch.BoolTensor | None = None,
        **settings,
    ) -> torch.Tensor:
        """Log-probabilities `(B, T, V)` of each step when `sequences_BT` is what was given before it ("teacher forcing").

        `settings` are those that `step` takes by name, for sequences of a search.
        """
        state, log_probs = self.initial_state(memory, forbidden_BV), []
        for previous_ids_B in decoder_inputs(sequences_BT).unbind(dim=1):
            log_probs_BV, state = self.step(previous_ids_B, state, memory, **settings)
            log_probs.append(log_probs_BV)
        return torch.stack(log_probs, dim=1)


__all__ = ["AdditiveAttention", "GlobalEmbedding", "LabelContext", "SgmDecoder"]
