"""The other recurrent relative of MSDN: a recurrence that writes the document's labels, one a step, and then an end.

It is short where label sets are small, since the labels that a document has not are no steps (the RNN over positive labels of Nam
and others, 2017). SGM without attention, over one vector a document; its search, its merging of a set's orders and its marginals
are SGM's.

Shape legend: B documents, H width of a document's vector, L labels, V = L + 3 ids (padding, begin, end, labels), T steps, q recurrent
units, R rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from transformers import initialization as init

from hf_mlc.comparing.arms.label_recurrence import RECURRENCES, Answer, reset_recurrence
from hf_mlc.modeling.label_sampling import ids_of_labels
from hf_mlc.modeling.label_sequences import BOS, EOS, LABEL_OFFSET, PAD, decoder_inputs, ordered_sequences
from hf_mlc.modeling.sequence_losses import alive_and_scores, sequence_cross_entropy
from hf_mlc.modeling.set_scores import beam_marginals, best_set, merge_sets, score_logits
from hf_mlc.modeling.sgm_search import beam_search


class Documents(NamedTuple):
    """Documents as [`~hf_mlc.modeling.sgm_search.beam_search`] asks for them: of one position each."""

    hidden_BmD: torch.Tensor
    mask_Bm: torch.BoolTensor

    def select(self, rows: torch.LongTensor) -> Documents:
        return Documents(self.hidden_BmD[rows], self.mask_Bm[rows])


class Written(NamedTuple):
    """What the recurrence remembers: its state, `(1, R, q)`, of an LSTM its memory too; and the labels written, `(R, V)`."""

    state_1Rq: torch.Tensor
    memory_1Rq: torch.Tensor | None
    used_RV: torch.BoolTensor

    def select(self, rows: torch.LongTensor) -> Written:
        memory_1Rq = None if self.memory_1Rq is None else self.memory_1Rq[:, rows]
        return Written(self.state_1Rq[:, rows], memory_1Rq, self.used_RV[rows])


class LabelWriter(nn.Module):
    """The head.

    Args:
        num_labels, document_size (`int`): L and H.
        ranks (`Sequence[int]`): each label's place in the order of writing.
        size (`int`): recurrent units q.
        cell (`str`): `"gru"` or `"lstm"`.
        label_size (`int`): width of the vectors of what was written last.
        dropout (`float`): of the states before they are read out.
        num_beams (`int`): sequences that the search keeps.
    """

    relation_names = ("vectors.", "recurrence.", "start.", "document.")
    bias_L = None  # its outputs are a softmax over labels and the end

    def __init__(
        self, *, num_labels: int, document_size: int, ranks: Sequence[int], size: int = 256, cell: str = "gru",
        label_size: int = 32, dropout: float = 0.5, num_beams: int = 5,
    ):  # fmt: skip
        super().__init__()
        self.num_labels, self.num_beams, self.ranks_list = num_labels, num_beams, list(ranks)
        self.vectors = nn.Embedding(num_labels + LABEL_OFFSET, label_size)
        self.recurrence = RECURRENCES[cell](label_size, size, batch_first=True)
        self.start = nn.Linear(document_size, size)
        self.document = nn.Linear(document_size, size)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(size, num_labels + LABEL_OFFSET)
        self.register_buffer("ranks_L", torch.empty(num_labels, dtype=torch.int64))
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """As [`~hf_mlc.comparing.arms.label_recurrence.LabelChain.reset`]."""
        init.copy_(self.ranks_L, torch.tensor(self.ranks_list))
        init.normal_(self.vectors.weight, std=self.vectors.embedding_dim**-0.5)
        reset_recurrence(self.recurrence)
        for layer in (self.start, self.document):
            init.xavier_uniform_(layer.weight)

    def loss(
        self, model: nn.Module, document_BH: torch.Tensor, targets_BL: torch.Tensor, num_items_in_batch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Negative log-probability of the labels in their order (an unknown one is not written), and the logits of each
        label's probability of being written on the way."""
        sequences_BT = ordered_sequences(ids_of_labels(targets_BL > 0.5), self.ranks_L)
        log_probs_BTV = self(document_BH, sequences_BT)
        loss = sequence_cross_entropy(log_probs_BTV, sequences_BT, num_items_in_batch=num_items_in_batch)
        with torch.no_grad():
            logits_BL = score_logits(alive_and_scores(log_probs_BTV.exp(), sequences_BT != PAD))
        return loss, logits_BL

    def forward(self, document_BH: torch.Tensor, sequences_BT: torch.LongTensor) -> torch.Tensor:
        """Log-probabilities `(B, T, V)` of each step of writing a sequence."""
        read_BT = decoder_inputs(sequences_BT)
        states_BTq, _ = self.recurrence(self.vectors(read_BT), self._state(document_BH))
        used_BTV = nn.functional.one_hot(read_BT, self.num_labels + LABEL_OFFSET).cumsum(dim=1) > 0
        return self._log_probs(states_BTq, document_BH[:, None], used_BTV)

    def answer(self, document_BH: torch.Tensor) -> Answer:
        """The most probable set that the beams found, all its orders counted, and the labels' marginals over what they found."""
        memory = Documents(document_BH[:, None], document_BH.new_ones(len(document_BH), 1, dtype=torch.bool))
        found = beam_search(self, memory, num_beams=self.num_beams, max_steps=self.num_labels + 1)
        sets = merge_sets(found.sequences_BKT, found.scores_BK)
        first_BL = found.first_log_probs_BV[:, LABEL_OFFSET:].exp()
        return Answer(score_logits(beam_marginals(sets, self.num_labels, first_BL)), best_set(sets, self.num_labels))

    def initial_state(self, memory: Documents) -> Written:
        """Before the first step of a search."""
        state = self._state(memory.hidden_BmD[:, 0])
        state_1Bq, memory_1Bq = state if isinstance(state, tuple) else (state, None)
        shape = (len(memory.mask_Bm), self.num_labels + LABEL_OFFSET)
        return Written(state_1Bq, memory_1Bq, torch.zeros(shape, dtype=torch.bool, device=state_1Bq.device))

    def step(self, last_R: torch.LongTensor, state: Written, memory: Documents, **_) -> tuple[torch.Tensor, Written]:
        """Log-probabilities `(R, V)` of what comes after `last_R`, and the state then; of one document follow several rows."""
        remembered = state.state_1Rq if state.memory_1Rq is None else (state.state_1Rq, state.memory_1Rq)
        states_R1q, after = self.recurrence(self.vectors(last_R)[:, None], remembered)
        used_RV = state.used_RV | nn.functional.one_hot(last_R, state.used_RV.shape[1]).bool()
        document_RH = memory.hidden_BmD[:, 0].repeat_interleave(len(last_R) // len(memory.mask_Bm), dim=0)
        log_probs_RV = self._log_probs(states_R1q.squeeze(1), document_RH, used_RV)
        state_1Rq, memory_1Rq = after if isinstance(after, tuple) else (after, None)
        return log_probs_RV, Written(state_1Rq, memory_1Rq, used_RV)

    def _state(self, document_BH: torch.Tensor):
        memory_1Bq = self.start(document_BH)[None]
        return memory_1Bq.tanh() if isinstance(self.recurrence, nn.GRU) else (memory_1Bq.tanh(), memory_1Bq)

    def _log_probs(self, states_Xq, document_XH, used_XV) -> torch.Tensor:
        """No label twice, and neither padding nor a beginning."""
        never_V = torch.zeros(used_XV.shape[-1], dtype=torch.bool, device=used_XV.device)
        never_V[[PAD, BOS]] = True
        used_XV = (used_XV | never_V).clone()
        used_XV[..., EOS] = False
        logits_XV = self.output(self.dropout(states_Xq + self.document(document_XH)))
        return logits_XV.float().masked_fill(used_XV, -torch.inf).log_softmax(dim=-1)
