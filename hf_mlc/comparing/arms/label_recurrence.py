"""Recurrent relatives of MSDN: what a convolution over the label axis is to take the place of.

Three heads stand on a document's vector. Binary relevance is a sigmoid a label. `LabelChain` walks over all labels, a step a
label, each step reading the answer before it (Nam and others, "Maximizing Subset Accuracy with Recurrent Neural Networks in
Multi-label Classification", NeurIPS 2017: the RNN in place of a classifier chain). `Rethinking` walks over guesses of the whole
label vector (Yang and others, "Deep Learning with a Rethinking Structure for Multi-label Classification", arXiv 1802.01697).

They are made to be strong. A chain is trained with teacher forcing in one call of the recurrence over all labels; it decodes
with the inputs' share of the gates looked up, since a step's input is one of two vectors; its state starts from the document, and
so does every step's read-out. Each label has read-out weights of its own, and a bias that starts at the label's log-odds.

Shape legend: B documents, H width of a document's vector, L labels, q recurrent units, G gates x q, e width of a label's vector,
I = 2e + 2 inputs of a step, K beams, N = B x K rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init

from hf_mlc.modeling.losses import UNKNOWN


RECURRENCES = {"gru": nn.GRU, "lstm": nn.LSTM}
GATES = {"gru": 3, "lstm": 4}
LEAST = 1e-6  # what a mean of probabilities is kept away from 0 and 1 by, so that its logit is finite


class Answer(NamedTuple):
    """What a head says of documents.

    Args:
        logits_BL (`torch.Tensor` of shape `(B, L)`): in the user's label order.
        chosen_BL (`torch.BoolTensor` of shape `(B, L)`): the label sets.
    """

    logits_BL: torch.Tensor
    chosen_BL: torch.BoolTensor


class Head(nn.Module):
    """What stands on a document's vector and gives logits of all labels."""

    def loss(
        self, model: nn.Module, document_BH: torch.Tensor, targets_BL: torch.Tensor, num_items_in_batch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The configured loss of `model` (`compute_loss`), a mean over what `forward` gives, and the last logits of that."""
        guesses = self(document_BH, targets_BL)
        count = {"labels": targets_BL, "num_items_in_batch": num_items_in_batch}
        return torch.stack([model.compute_loss(guess_BL, **count) for guess_BL in guesses]).mean(), guesses[-1]


class PerLabel(Head):
    """Binary relevance: a sigmoid a label."""

    relation_names: tuple[str, ...] = ()

    def __init__(self, *, num_labels: int, document_size: int):
        super().__init__()
        self.output = nn.Linear(document_size, num_labels)

    @property
    def bias_L(self) -> nn.Parameter:
        return self.output.bias

    def reset(self) -> None:
        """The layers are transformers' to initialise; none is of its own here."""

    def forward(self, document_BH: torch.Tensor, targets_BL: torch.Tensor) -> list[torch.Tensor]:
        """Logits that the loss is of, `(B, L)` each: it is their mean."""
        return [self.output(document_BH)]

    def answer(self, document_BH: torch.Tensor) -> Answer:
        logits_BL = self.output(document_BH)
        return Answer(logits_BL, logits_BL >= 0)


class LabelChain(Head):
    """A recurrence over the labels; each reads the labels before it: the true ones in training, its own answers after.

    The input of label j's step is what MSDN's convolution reads of the label before, `[2 y - 1; 1; y E]`, and label j's own
    vector. Of an unknown target (-100) the first entry is 0, between no and yes.

    Args:
        num_labels, document_size (`int`): L and H.
        order (`Sequence[int]`): the labels in the order in which the chain walks.
        size (`int`): recurrent units q.
        cell (`str`): `"gru"` or `"lstm"`.
        label_size (`int`): e.
        dropout (`float`): of the states before they are read out.
        reads_document (`bool`): the state starts from the document's vector, and every read-out adds it.
        on_per_label (`bool`):
            The chain adds to binary relevance, and starts at 0: the recurrent counterpart of MSDN. Otherwise a label's logit
            is read off the state alone.
        num_beams (`int`): 1 for greedy decoding.
    """

    def __init__(
        self, *, num_labels: int, document_size: int, order: Sequence[int], size: int, cell: str = "gru",
        label_size: int = 32, dropout: float = 0.5, reads_document: bool = True, on_per_label: bool = False,
        num_beams: int = 1,
    ):  # fmt: skip
        super().__init__()
        self.cell, self.size, self.num_beams, self.order_list = cell, size, num_beams, list(order)
        self.per_label = nn.Linear(document_size, num_labels) if on_per_label else None
        self.label_vectors_Le = nn.Parameter(torch.empty(num_labels, label_size))
        self.recurrence = RECURRENCES[cell](2 * label_size + 2, size, batch_first=True)
        self.start = nn.Linear(document_size, size) if reads_document else None
        self.document = nn.Linear(document_size, size) if reads_document else None
        self.dropout = nn.Dropout(dropout)
        self.output_Lq = nn.Parameter(torch.empty(num_labels, size))
        self.output_bias_L = None if on_per_label else nn.Parameter(torch.empty(num_labels))
        self.register_buffer("order_L", torch.empty(num_labels, dtype=torch.int64))
        self.reset()

    @property
    def relation_names(self) -> tuple[str, ...]:
        """How the names of the parameters begin that tell a label of others; of a chain without binary relevance the
        read-outs are its head, and not among them."""
        names = ("label_vectors_Le", "recurrence.", "start.", "document.")
        return names if self.per_label is None else (*names, "output_Lq")

    @property
    def bias_L(self) -> nn.Parameter:
        return self.output_bias_L if self.per_label is None else self.per_label.bias

    @torch.no_grad()
    def reset(self) -> None:
        """Initialises what is no layer of torch, and the recurrence: matrices that keep lengths from step to step (Saxe and
        others, 2014), and of an LSTM forget gates that start open (Gers and others, 2000)."""
        init.copy_(self.order_L, torch.tensor(self.order_list))
        init.normal_(self.label_vectors_Le, std=self.label_vectors_Le.shape[1] ** -0.5)
        reset_recurrence(self.recurrence)
        for layer in (self.start, self.document):
            if layer is not None:
                init.xavier_uniform_(layer.weight)
        if self.per_label is not None:
            init.zeros_(self.output_Lq)  # as MSDN: training starts at binary relevance, and can only add
        else:
            init.normal_(self.output_Lq, std=self.size**-0.5)
            init.zeros_(self.output_bias_L)

    def forward(self, document_BH: torch.Tensor, targets_BL: torch.Tensor) -> list[torch.Tensor]:
        """Teacher-forced logits, as [`PerLabel`]'s."""
        values_BL = targets_BL[:, self.order_L]
        states_BLq, _ = self.recurrence(self._inputs(values_BL), self._first_state(document_BH))
        logits_BL = self._read(states_BLq, document_BH)
        return [torch.empty_like(logits_BL).index_copy(1, self.order_L, logits_BL)]

    def answer(self, document_BH: torch.Tensor) -> Answer:
        """The best set that the search found, and of each label's probability, given the labels before it, the mean over the
        beams, weighed by the beams' probabilities; of one beam that is the probability along its way."""
        num_documents, num_labels = len(document_BH), len(self.order_L)
        if self.num_beams == 1:
            values_NL, logits_NL, _ = self._walk(document_BH, 1)
            logits_BL, chosen_BL = logits_NL, values_NL
        else:
            num_beams = min(self.num_beams, 2 ** min(num_labels, 30))
            values_NL, logits_NL, sums_BK = self._walk(document_BH, num_beams)
            probabilities_BKL = logits_NL.float().sigmoid().view(num_documents, num_beams, num_labels)
            mean_BL = (sums_BK.softmax(dim=1)[..., None] * probabilities_BKL).sum(dim=1)
            logits_BL = mean_BL.clamp(LEAST, 1 - LEAST).logit()
            best_B = sums_BK.argmax(dim=1)
            chosen_BL = values_NL.view(num_documents, num_beams, num_labels)[
                torch.arange(num_documents, device=best_B.device), best_B
            ]
        logits_BL = torch.empty_like(logits_BL).index_copy(1, self.order_L, logits_BL)
        return Answer(logits_BL, torch.empty_like(chosen_BL).index_copy(1, self.order_L, chosen_BL))

    def _inputs(self, values_BL: torch.Tensor) -> torch.Tensor:
        """Inputs of all steps `(B, L, I)` from targets in the chain's order."""
        vectors_Le = self.label_vectors_Le[self.order_L]
        num_documents = len(values_BL)
        known_BL = (values_BL != UNKNOWN).to(vectors_Le)
        values_BL1 = (values_BL.to(vectors_Le) * known_BL)[..., None]
        signs_BL1 = (2 * values_BL1 - 1) * known_BL[..., None]
        before_BLi = torch.cat([signs_BL1, torch.ones_like(signs_BL1), values_BL1 * vectors_Le], dim=2)
        before_BLi = F.pad(before_BLi[:, :-1], (0, 0, 1, 0))  # nothing stands before the first label
        return torch.cat([before_BLi, vectors_Le.expand(num_documents, -1, -1)], dim=2)

    def _first_state(self, document_BH: torch.Tensor):
        """As torch's recurrences take it, `(1, B, q)`."""
        if self.start is None:
            state_BqS = document_BH.new_zeros(1, len(document_BH), self.size)
            return state_BqS if self.cell == "gru" else (state_BqS, state_BqS)
        memory_1Bq = self.start(document_BH)[None]
        return memory_1Bq.tanh() if self.cell == "gru" else (memory_1Bq.tanh(), memory_1Bq)

    def _read(self, states_BLq: torch.Tensor, document_BH: torch.Tensor) -> torch.Tensor:
        """Logits of all labels in the chain's order, `(B, L)`."""
        if self.document is not None:
            states_BLq = states_BLq + self.document(document_BH)[:, None]
        relation_BL = (self.dropout(states_BLq) * self.output_Lq[self.order_L]).sum(dim=2)
        return relation_BL + self._alone(document_BH)

    def _alone(self, document_BH: torch.Tensor) -> torch.Tensor:
        """What a label's logit has without the recurrence, in the chain's order: `(B, L)`, or `(L,)`."""
        if self.per_label is None:
            return self.output_bias_L[self.order_L]
        return self.per_label(document_BH)[:, self.order_L]

    def _walk(self, document_BH: torch.Tensor, num_beams: int):
        """Beam search, a step a label. Returns answers `(N, L)`, the logits that they were chosen by `(N, L)`, both in the
        chain's order, and the beams' log-probabilities `(B, K)`, minus infinity where there are fewer ways than beams."""
        num_documents, num_labels = len(document_BH), len(self.order_L)
        rows_BK = torch.arange(num_documents, device=document_BH.device)[:, None] * num_beams
        sums_BK = document_BH.new_full((num_documents, num_beams), -torch.inf)
        sums_BK[:, 0] = 0  # the beams begin as one
        rnn = self.recurrence
        gates_L2G = self._gates_of_inputs()
        hidden_w_qG, hidden_b_G = rnn.weight_hh_l0.t(), rnn.bias_hh_l0
        if self.cell == "gru":
            state_Nq, memory_Nq = self._first_state(document_BH)[0].repeat_interleave(num_beams, dim=0), None
        else:
            state_Nq, memory_Nq = (
                part[0].repeat_interleave(num_beams, dim=0) for part in self._first_state(document_BH)
            )
        output_Lq = self.output_Lq[self.order_L]
        alone_BL = self._alone(document_BH).expand(num_documents, -1)
        if self.document is not None:  # the read-out is linear: the document's share is the same at every beam
            alone_BL = alone_BL + self.document(document_BH) @ output_Lq.t()
        alone_NL = alone_BL.repeat_interleave(num_beams, dim=0)
        values_NL = torch.zeros(num_documents * num_beams, num_labels, dtype=torch.bool, device=document_BH.device)
        logits_NL = document_BH.new_zeros(values_NL.shape)
        last_N = values_NL[:, 0].long()
        for step in range(num_labels):
            inputs_NG = gates_L2G[step][last_N]
            hidden_NG = torch.addmm(hidden_b_G, state_Nq, hidden_w_qG)
            state_Nq, memory_Nq = _cell(self.cell, inputs_NG, hidden_NG, state_Nq, memory_Nq)
            logits_N = state_Nq @ output_Lq[step] + alone_NL[:, step]
            if num_beams == 1:
                values_N = logits_N >= 0
            else:
                logits_BK = logits_N.float().view(num_documents, num_beams)
                ways_BKt = torch.stack([F.logsigmoid(-logits_BK), F.logsigmoid(logits_BK)], dim=2) + sums_BK[..., None]
                sums_BK, ways_BK = ways_BKt.flatten(1).topk(num_beams, dim=1)
                parents_N, values_N = (rows_BK + ways_BK // 2).flatten(), (ways_BK % 2).bool().flatten()
                state_Nq, logits_N = state_Nq[parents_N], logits_N[parents_N]
                memory_Nq = None if memory_Nq is None else memory_Nq[parents_N]
                values_NL, logits_NL = values_NL[parents_N], logits_NL[parents_N]
            values_NL[:, step], logits_NL[:, step] = values_N, logits_N
            last_N = values_N.long()
        return values_NL, logits_NL, sums_BK

    def _gates_of_inputs(self) -> torch.Tensor:
        """What a step's input adds to the gates, `(L, 2, G)`, where the label before is 0 or 1."""
        rnn, num_labels = self.recurrence, len(self.order_L)
        both_2L = torch.arange(2, device=self.order_L.device)[:, None].expand(2, num_labels)
        return F.linear(self._inputs(both_2L), rnn.weight_ih_l0, rnn.bias_ih_l0).transpose(0, 1)


class Rethinking(Head):
    """The document's vector is read several times by a recurrence whose memory holds the guesses so far; each time it gives a
    guess of all labels, each is trained, and the last is the answer.

    Sizes and the recurrent dropout (one mask for all steps) are the reference implementation's: LSTM of 128 units, 3 steps, .25.

    Args:
        num_labels, document_size (`int`): L and H.
        size (`int`): recurrent units q.
        cell (`str`): `"gru"` or `"lstm"`.
        steps (`int`): how many guesses.
        recurrent_dropout (`float`): of the state on its way to the next step.
        dropout (`float`): of the states before they are read out.
    """

    relation_names = ("recurrence.",)

    def __init__(
        self, *, num_labels: int, document_size: int, size: int = 128, cell: str = "lstm", steps: int = 3,
        recurrent_dropout: float = 0.25, dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.cell, self.size, self.steps, self.recurrent_dropout = cell, size, steps, recurrent_dropout
        self.recurrence = RECURRENCES[cell](document_size, size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(size, num_labels)

    @property
    def bias_L(self) -> nn.Parameter:
        return self.output.bias

    @torch.no_grad()
    def reset(self) -> None:
        """As [`LabelChain.reset`]."""
        reset_recurrence(self.recurrence)

    def forward(self, document_BH: torch.Tensor, targets_BL: torch.Tensor) -> list[torch.Tensor]:
        """The guesses, first to last."""
        rnn = self.recurrence
        # the input is the same at every step, and so is its share of the gates
        inputs_BG = F.linear(document_BH, rnn.weight_ih_l0, rnn.bias_ih_l0)
        state_Bq = document_BH.new_zeros(len(document_BH), self.size)
        memory_Bq = None if self.cell == "gru" else state_Bq
        kept_Bq = F.dropout(torch.ones_like(state_Bq), self.recurrent_dropout, self.training)
        guesses = []
        for _ in range(self.steps):
            hidden_BG = F.linear(state_Bq * kept_Bq, rnn.weight_hh_l0, rnn.bias_hh_l0)
            state_Bq, memory_Bq = _cell(self.cell, inputs_BG, hidden_BG, state_Bq, memory_Bq)
            guesses.append(self.output(self.dropout(state_Bq)))
        return guesses

    def answer(self, document_BH: torch.Tensor) -> Answer:
        logits_BL = self(document_BH, None)[-1]
        return Answer(logits_BL, logits_BL >= 0)


def _cell(kind: str, inputs_NG, hidden_NG, state_Nq, memory_Nq) -> tuple[torch.Tensor, torch.Tensor | None]:
    """One step of torch's `GRU` or `LSTM` from what input and state add to the gates: the new state and memory."""
    if kind == "gru":
        size = state_Nq.shape[1]
        both = inputs_NG[:, : 2 * size] + hidden_NG[:, : 2 * size]
        reset_Nq, update_Nq = both.sigmoid().chunk(2, dim=1)
        new_Nq = torch.addcmul(inputs_NG[:, 2 * size :], reset_Nq, hidden_NG[:, 2 * size :]).tanh()
        return torch.lerp(new_Nq, state_Nq, update_Nq), None
    enter_Nq, forget_Nq, new_Nq, leave_Nq = (inputs_NG + hidden_NG).chunk(4, dim=1)
    memory_Nq = torch.addcmul(enter_Nq.sigmoid() * new_Nq.tanh(), forget_Nq.sigmoid(), memory_Nq)
    return leave_Nq.sigmoid() * memory_Nq.tanh(), memory_Nq


@torch.no_grad()
def reset_recurrence(recurrence: nn.RNNBase) -> None:
    """Orthogonal hidden matrices a gate, Glorot input matrices, biases 0; of an LSTM the forget gate's is 1."""
    size = recurrence.hidden_size
    inputs_GI, states_Gq = torch.empty_like(recurrence.weight_ih_l0), torch.empty_like(recurrence.weight_hh_l0)
    for gate_Iq, gate_qq in zip(inputs_GI.split(size), states_Gq.split(size), strict=True):
        nn.init.xavier_uniform_(gate_Iq)
        nn.init.orthogonal_(gate_qq)
    bias_G = torch.zeros_like(recurrence.bias_ih_l0)
    if isinstance(recurrence, nn.LSTM):
        bias_G[size : 2 * size] = 1
    init.copy_(recurrence.weight_ih_l0, inputs_GI)
    init.copy_(recurrence.weight_hh_l0, states_Gq)
    init.copy_(recurrence.bias_ih_l0, bias_G)
    init.zeros_(recurrence.bias_hh_l0)


def relation_size(kernel_sizes: Sequence[int], channels: int, label_size: int, num_labels: int) -> int:
    """Parameters of MSDN's relation part: convolutions with biases, read-out vectors, label vectors."""
    convolutions = sum((label_size + 2) * kernel * channels + channels for kernel in kernel_sizes)
    return convolutions + num_labels * (len(kernel_sizes) * channels + label_size)


def chain_relation_size(size: int, cell: str, label_size: int, num_labels: int) -> int:
    """Parameters of a [`LabelChain`] on binary relevance that reads no document: recurrence, read-out vectors, label vectors."""
    return GATES[cell] * size * (2 * label_size + 2 + size + 2) + num_labels * (size + label_size)


def matched_size(parameters: int, cell: str, label_size: int, num_labels: int) -> int:
    """The fewest recurrent units with which such a chain has at least so many parameters."""
    size = 1
    while chain_relation_size(size, cell, label_size, num_labels) < parameters:
        size += 1
    return size
