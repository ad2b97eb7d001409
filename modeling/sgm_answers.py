"""What an SGM answers with: the sequences that its search finds, and of them a score a label, a set, an order.

Shape legend: B documents, L labels, V = L + 3 ids of the decoder, T steps, K beams.
"""

from typing import Any

import torch

from .label_attention import exporting
from .label_constraints import LabelConstraints
from .label_sequences import LABEL_OFFSET, PAD
from .set_scores import (
    LabelSets,
    answered_places,
    answered_set,
    beam_marginals,
    labels_of_sequences,
    merge_sets,
    rescore,
    score_logits,
    step_hazard,
)
from .sgm_search import FoundSequences, beam_search, greedy_search
from .sgm_state import SgmMemory


class SgmAnswers:
    """The part of an SGM that searches; to be mixed into a `MultiLabelPreTrainedModel` with `encode` and a `decoder`."""

    def constraints(self) -> LabelConstraints | None:
        """What the configuration asks of a label set beyond "no label twice"; `None` where nothing."""
        constraints = LabelConstraints.from_config(self.config)
        return constraints if constraints.restricts else None

    def _search_settings(self) -> dict[str, Any]:
        constraints = LabelConstraints.from_config(self.config)
        return {
            "max_steps": constraints.most_steps,
            "constraints": constraints if constraints.restricts else None,
            "end_bias": self.config.end_bias,
        }

    @torch.compiler.disable
    def _scores(
        self, memory: SgmMemory, *, wants_sequences: bool
    ) -> tuple[torch.Tensor, torch.BoolTensor | None, FoundSequences | None]:
        """Logits of the scores that `config.scores` names, the sets that `config.decision` chooses, and the search where one
        was made for any of it."""
        config = self.config
        found, chosen_BL = None, None
        if exporting() and (config.scores != "auxiliary" or self.decides_on_sets):
            raise ValueError(
                "a search over label sequences can't be exported: only `scores='auxiliary'` with `decision='thresholds'` can, "
                f"found '{config.scores}' and '{config.decision}'"
            )
        if wants_sequences or self._answers_by_search:
            found = self._search(memory)
            sets = self._sets(found, memory)
            if self.decides_on_sets:  # of the found sets: another might break the rules of the search
                chosen_BL = answered_set(sets, config.num_labels, config.decision)
        if config.scores == "auxiliary":
            return memory.auxiliary_logits_BL.float(), chosen_BL, found
        if config.scores == "hazard":
            sequences_BT, log_probs_BTV = greedy_search(self.decoder, memory, **self._search_settings())
            return score_logits(step_hazard(log_probs_BTV, sequences_BT)), chosen_BL, found
        first_BL = found.first_log_probs_BV[:, LABEL_OFFSET:].exp()
        return score_logits(beam_marginals(sets, config.num_labels, first_BL)), chosen_BL, found

    @property
    def _answers_by_search(self) -> bool:
        """Whether the labels or the scores of an answer come of the sets that the search finds."""
        return self.decides_on_sets or self.config.scores in ("beam", "rescored")

    def _search(self, memory: SgmMemory, num_beams: int | None = None) -> FoundSequences:
        num_beams = self.config.num_beams if num_beams is None else num_beams
        return beam_search(self.decoder, memory, num_beams=num_beams, **self._search_settings())

    def _sets(self, found: FoundSequences, memory: SgmMemory) -> LabelSets:
        """The sets among the found sequences, rescored where `config.scores` says so."""
        sets = merge_sets(found.sequences_BKT, found.scores_BK)
        if self.config.scores == "rescored":
            sets = rescore(sets, memory.auxiliary_logits_BL, self.config.rescoring_weight)
        return sets

    @torch.no_grad()
    def find_sequences(self, batch: dict[str, torch.Tensor], num_beams: int | None = None) -> FoundSequences:
        """The search's sequences and their log-probabilities.

        Args:
            batch (`dict[str, torch.Tensor]`): what `forward` takes; targets in it are ignored.
            num_beams (`int`, *optional*): in place of the configuration's.
        """
        return self._search(self.encode(**batch), num_beams)

    @torch.no_grad()
    def label_sequences(self, batch: dict[str, torch.Tensor], num_beams: int | None = None) -> list[list[int]]:
        """Each document's labels in the order in which they were written.

        Of the set that the model answers with: with `decision="sequence"` the most probable one, all its orders that were
        found together; with `"expected_f1"` the one of the highest expected F1. Thresholds choose labels, not a found set:
        with `"thresholds"` it is the most probable one. In the most probable one of its orders.

        Args:
            batch (`dict[str, torch.Tensor]`): what `forward` takes; targets in it are ignored.
            num_beams (`int`, *optional*): in place of the configuration's; 1 is greedy.
        """
        labels_BT = labels_of_sequences(self._best_sequences(self.encode(**batch), num_beams))
        return [[label for label in row if label >= 0] for row in labels_BT.tolist()]

    def _best_sequences(self, memory: SgmMemory, num_beams: int | None = None) -> torch.LongTensor:
        """The most probable order `(B, T)` of the set that each document is answered with; see `label_sequences`."""
        found = self._search(memory, num_beams)
        sets = self._sets(found, memory)
        rows_B = torch.arange(len(sets.sequences), device=sets.sequences.device)
        best_B = sets.sequences[rows_B, answered_places(sets, self.config.num_labels, self.config.decision)]
        return found.sequences_BKT[rows_B, best_B]

    @torch.no_grad()
    def sequence_log_probs(self, batch: dict[str, torch.Tensor], sequences_BT: torch.LongTensor) -> torch.FloatTensor:
        """The log-probability `(B,)` of given sequences, without rules or bias of a search.

        Args:
            batch (`dict[str, torch.Tensor]`): what `forward` takes; targets in it are ignored.
            sequences_BT (`torch.LongTensor` of shape `(B, T)`):
                ids of the decoder's vocabulary without the begin, the end 2 last, padded with 0.
        """
        log_probs_BTV = self.decoder(sequences_BT, self.encode(**batch))
        log_probs_BT = log_probs_BTV.gather(2, sequences_BT[..., None]).squeeze(2)
        return log_probs_BT.masked_fill(sequences_BT == PAD, 0.0).sum(dim=1)


__all__ = ["SgmAnswers"]
