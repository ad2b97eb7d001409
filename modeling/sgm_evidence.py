"""What speaks for a label in an SGM: where the steps of a sequence looked, and a label's logit alone.

Shape legend: B documents, m tokens or patches, S chosen labels, T steps.
"""

import torch

from .label_sequences import PAD
from .sequence_attention import SequenceTrace, token_weights_of, trace
from .sequence_losses import log_misses, log_scores
from .sgm_search import greedy_search


class SgmEvidence:
    """The part of an SGM that is asked for explanations; to be mixed into a `MultiLabelPreTrainedModel` with `SgmAnswers`."""

    @torch.no_grad()
    def sequence_trace(self, sequences_BT: torch.LongTensor | None = None, **inputs: torch.Tensor) -> SequenceTrace:
        """Where each step of the sequences that the model answers with, or of given ones, looked (`sequence_attention.py`).

        Its own are those of `label_sequences` where the labels or the scores come from a search, so with
        `decision="thresholds"` those of the most probable sets; the greedy ones where nothing does.

        Args:
            sequences_BT (`torch.LongTensor` of shape `(B, T)`, *optional*): ids of the decoder's vocabulary.
            inputs (`torch.Tensor`): what `forward` takes, without targets.
        """
        memory, settings = self.encode(**inputs), self._search_settings()
        max_steps = settings.pop("max_steps")
        if sequences_BT is None and self._answers_by_search:
            sequences_BT = self._best_sequences(memory)
        return trace(
            lambda ids_B, state, memory: self.decoder.step(ids_B, state, memory, **settings),
            lambda state: state.attention_Rm,
            self.decoder.initial_state(memory),
            memory,
            batch_size=len(memory.mask_Bm),
            device=memory.mask_Bm.device,
            sequences_BT=sequences_BT,
            max_steps=max_steps,
        )

    @torch.no_grad()
    def token_weights(self, chosen_ids_S: torch.LongTensor, **inputs: torch.Tensor) -> torch.FloatTensor:
        """How much each token weighs for each of the chosen labels, `(B, S, m)`: rows sum to 1, padding is 0.

        Of a label in the document's sequence (`sequence_trace`), the attention of its step; of another one, that of all steps
        by the chance that each gave it. Where the auxiliary head gives the scores, its label-wise attention. Of a document
        without a token, all 0.

        Raises:
            `NotImplementedError`: the auxiliary head gives the scores and has no attention.
        """
        if self.config.scores == "auxiliary":
            if not self.config.has_label_wise_encoder:
                raise NotImplementedError("an auxiliary head without label-wise attention doesn't tell what it reads")
            memory = self.encode(**inputs)
            return self.auxiliary.attention_weights(
                chosen_ids_S, memory.hidden_BmD, memory.mask_Bm, self.decoder.label_embeddings.weight
            )
        return token_weights_of(self.sequence_trace(**inputs), chosen_ids_S)

    @property
    def has_token_weights(self) -> bool:
        """Whether `token_weights` knows: not of an auxiliary head that has no attention."""
        return self.config.scores != "auxiliary" or self.config.has_label_wise_encoder

    @torch.no_grad()
    def path_inputs(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """The greedy sequence of the text: on the way from one text to another it would change, and the score would jump."""
        if self.config.scores == "auxiliary":
            return {}
        return {"sequences_BT": greedy_search(self.decoder, self.encode(**inputs), **self._search_settings())[0]}

    def label_logits(
        self, chosen_ids_S: torch.LongTensor, sequences_BT: torch.LongTensor | None = None, **inputs
    ) -> torch.FloatTensor:
        """Logits of a few chosen labels, `(B, S)`, with gradients: what explanations ask for many times over.

        Of a label's probability of being written along the greedy sequence (`scores="hazard"`), whose gradient is smooth,
        where scores come from a search; of the auxiliary head where it gives the scores.

        Args:
            chosen_ids_S (`torch.LongTensor` of shape `(S,)`): the labels.
            sequences_BT (`torch.LongTensor` of shape `(B, T)`, *optional*): to be followed in place of the greedy ones.
            inputs: what `forward` takes, without targets.
        """
        memory = self.encode(**inputs)
        if self.config.scores == "auxiliary":
            return memory.auxiliary_logits_BL[:, chosen_ids_S]
        settings = self._search_settings()
        if sequences_BT is None:
            sequences_BT, log_probs_BTV = greedy_search(self.decoder, memory, **settings)
        else:
            del settings["max_steps"]
            log_probs_BTV = self.decoder(sequences_BT, memory, **settings)
        misses_BS = log_misses(log_probs_BTV.exp(), sequences_BT != PAD)[:, chosen_ids_S].clamp(max=-1e-30)
        return log_scores(misses_BS) - misses_BS


__all__ = ["SgmEvidence"]
