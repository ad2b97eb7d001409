"""What the sequence decoder carries from step to step, and what it reads in every one of them.

Everything a beam owns is in `SgmState` and moves with the beam: a search that reorders hidden states but neither the used
labels nor the last distribution gives beams each other's masks (the release of Yang and others, 2018, did).

Shape legend: B documents, R rows (documents, or documents times beams), m tokens or patches, D width of the encoder,
d width of the decoder, A width of the comparison, E width of the label vectors, L labels, V = L + 3 label ids.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch


class SgmMemory(NamedTuple):
    """What one pass over the documents leaves for all steps.

    Args:
        hidden_BmD (`torch.Tensor` of shape `(B, m, D)`): the encoder's states.
        mask_Bm (`torch.BoolTensor` of shape `(B, m)`): which of them are no padding.
        keys_BmA (`torch.Tensor` of shape `(B, m, A)`): the states as attention compares them.
        mean_BD (`torch.Tensor` of shape `(B, D)`): their mean; the context before the first step.
        summary_BD (`torch.Tensor` of shape `(B, D)`, *optional*):
            with label-wise attention, what the labels read, weighed by how much each speaks for itself.
        auxiliary_logits_BL (`torch.Tensor` of shape `(B, L)`, *optional*): of the auxiliary head.
        tfidf_BF (`torch.Tensor` of shape `(B, F)`, *optional*): of the tf-idf path.
        log_odds_BL (`torch.Tensor` of shape `(B, L)`, *optional*): of the linear machines.
    """

    hidden_BmD: torch.Tensor
    mask_Bm: torch.BoolTensor
    keys_BmA: torch.Tensor
    mean_BD: torch.Tensor
    summary_BD: torch.Tensor | None = None
    auxiliary_logits_BL: torch.Tensor | None = None
    tfidf_BF: torch.Tensor | None = None
    log_odds_BL: torch.Tensor | None = None

    def select(self, rows: torch.LongTensor) -> SgmMemory:
        """The memory of some documents, in the order of `rows`."""
        return SgmMemory(*(None if part is None else part[rows] for part in self))


@dataclasses.dataclass
class SgmState:
    """The decoder after some steps; what `generate` passes around as `past_key_values`.

    Args:
        hidden_SRd (`torch.Tensor` of shape `(layers, R, d)`): what the cells show.
        cell_SRd (`torch.Tensor` of shape `(layers, R, d)`, *optional*): what an LSTM's cells remember.
        context_RD (`torch.Tensor` of shape `(R, D)`): what the last step read.
        distribution_RV (`torch.Tensor` of shape `(R, V)`): the last step's probabilities, for the global embedding.
        used_RV (`torch.BoolTensor` of shape `(R, V)`): the labels given so far.
        attention_Rm (`torch.Tensor` of shape `(R, m)`): where the last step looked; 0 on padding.
        step (`int`): steps done.
        forbidden_RV (`torch.BoolTensor` of shape `(R, V)`, *optional*):
            what can't be given at all: in training, labels of which nobody knows whether they are true.
        memory (`SgmMemory`, *optional*): carried along for `generate`, whose beams are rows of the memory too.
    """

    hidden_SRd: torch.Tensor
    cell_SRd: torch.Tensor | None
    context_RD: torch.Tensor
    distribution_RV: torch.Tensor
    used_RV: torch.BoolTensor
    attention_Rm: torch.Tensor
    step: int = 0
    forbidden_RV: torch.BoolTensor | None = None
    memory: SgmMemory | None = None

    is_compileable = False  # `generate` asks

    def select(self, rows: torch.LongTensor) -> SgmState:
        """A state of some rows, in the order of `rows`, which may name one more than once."""
        chosen = {}
        for name in ("hidden_SRd", "cell_SRd"):
            value = getattr(self, name)
            chosen[name] = None if value is None else value[:, rows]
        for name in ("context_RD", "distribution_RV", "used_RV", "attention_Rm", "forbidden_RV"):
            value = getattr(self, name)
            chosen[name] = None if value is None else value[rows]
        memory = None if self.memory is None else self.memory.select(rows)
        return SgmState(**chosen, step=self.step, memory=memory)

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Takes, for each row, what the row `beam_idx` had; beams of one document change places.

        All of it, used labels and distribution too. The memory stays: beams of one document share it.
        """
        memory, self.memory = self.memory, None
        chosen = self.select(beam_idx)
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(chosen, field.name))
        self.memory = memory

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Steps done, which `generate` reads as tokens seen."""
        return self.step


__all__ = ["SgmMemory", "SgmState"]
