"""How an SGM is trained: targets to sequences, and the loss that `config.sequence_loss` names (sequence_losses.py).

Shape legend: B documents, L labels, P label ids a document, V = L + 3 ids of the decoder, T steps.
"""

import torch
from torch import nn

from .label_sampling import ids_of_labels
from .label_sequences import LABEL_OFFSET, PAD, ordered_sequences, random_sequences
from .losses import UNKNOWN, targets_from_ids
from .sequence_losses import (
    align_minimal,
    align_predicted,
    alive_and_scores,
    ocd_roll_out,
    prediction_roll_out,
    sequence_cross_entropy,
    set_bce,
    soft_cross_entropy,
)
from .set_scores import score_logits
from .sgm_state import SgmMemory


class SgmLosses:
    """The part of an SGM that compares with targets; to be mixed into a `MultiLabelPreTrainedModel` with a `decoder`."""

    def _begin_losses(self) -> None:
        """To be called where the model is made."""
        self._kept_ranks: tuple[list[int] | None, torch.LongTensor | None] = (None, None)

    @torch.compiler.disable  # a loop of as many steps as the batch needs: what is compiled is the encoder
    def _loss(self, memory: SgmMemory, labels, label_ids, num_items_in_batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and logits of the labels' probabilities along the sequences that it was measured on."""
        config, count = self.config, {"num_items_in_batch": num_items_in_batch}
        targets_BL, forbidden_BV, ids_BP = self._targets(labels, label_ids)
        if config.sequence_loss == "ocd":
            rate = config.ocd_sample_rate if self.training else 0.0
            state = self.decoder.initial_state(memory, forbidden_BV)
            out = ocd_roll_out(self._step(memory), state, targets_BL > 0.5, sample_rate=rate)
            log_probs_BTV, mask_BT = out.log_probs_BTV, out.mask_BT
            loss = soft_cross_entropy(log_probs_BTV, out.targets_BTV, mask_BT, **count)
        elif config.sequence_loss == "alignment":
            state = self.decoder.initial_state(memory, forbidden_BV)
            out = prediction_roll_out(self._step(memory), state, (targets_BL > 0.5).sum(dim=1))
            align = align_predicted if config.alignment == "predicted" else align_minimal
            log_probs_BTV, mask_BT = out.log_probs_BTV, out.mask_BT
            loss = sequence_cross_entropy(log_probs_BTV, align(log_probs_BTV, ids_BP), **count)
        else:
            if config.label_order == "random" and self.training:
                sequences_BT = random_sequences(ids_BP)
            else:
                sequences_BT = ordered_sequences(ids_BP, self._ranks(ids_BP.device))
            log_probs_BTV, mask_BT = self.decoder(sequences_BT, memory, forbidden_BV), sequences_BT != PAD
            if config.sequence_loss == "set_bce":
                loss = set_bce(log_probs_BTV.exp(), targets_BL, mask_BT, **count)
            else:
                loss = sequence_cross_entropy(log_probs_BTV, sequences_BT, **count)
        if config.set_bce_weight and config.sequence_loss != "set_bce":
            loss = loss + config.set_bce_weight * set_bce(log_probs_BTV.exp(), targets_BL, mask_BT, **count)
        if config.auxiliary_weight:
            # summed over the labels, as the sequence's loss is over steps
            scale = config.num_labels if config.loss_reduction == "mean" else 1
            auxiliary = self.compute_loss(memory.auxiliary_logits_BL, labels=targets_BL, **count)
            loss = loss + config.auxiliary_weight * scale * auxiliary
        with torch.no_grad():
            logits_BL = score_logits(alive_and_scores(log_probs_BTV.exp(), mask_BT))
        return loss, logits_BL

    def _targets(self, labels, label_ids) -> tuple[torch.Tensor, torch.BoolTensor | None, torch.LongTensor]:
        """Targets `(B, L)` with -100 for what is unknown, what therefore mustn't be written `(B, V)`, and true ids `(B, P)`."""
        num_labels = self.config.num_labels
        if labels is None:
            if label_ids.numel() and int(label_ids.max()) >= num_labels:
                raise ValueError(
                    f"`label_ids` must lie in 0 ... {num_labels - 1} (negative: none), found {int(label_ids.max())}"
                )
            return targets_from_ids(label_ids, num_labels), None, label_ids
        if labels.ndim != 2 or labels.shape[1] != num_labels:
            raise ValueError(
                f"`labels` must be multi-hot of shape (batch, {num_labels}), found {tuple(labels.shape)}; "
                "give lists of ids as `label_ids`, padded with -100"
            )
        targets_BL = labels.float()
        unknown_BL = targets_BL == UNKNOWN
        forbidden_BV = None
        if bool(unknown_BL.any()):
            forbidden_BV = nn.functional.pad(unknown_BL, (LABEL_OFFSET, 0), value=False)
        return targets_BL, forbidden_BV, ids_of_labels(targets_BL > 0.5)

    def _ranks(self, device: torch.device) -> torch.LongTensor:
        """The labels' places `(L,)` in the order of training; kept on the device until the configuration has others."""
        ranks = self.config.label_ranks
        if ranks is None:
            return torch.arange(self.config.num_labels, device=device)
        known, ranks_L = self._kept_ranks
        if known != ranks or ranks_L.device != device:
            ranks_L = torch.tensor(ranks, device=device)
            self._kept_ranks = list(ranks), ranks_L
        return ranks_L

    def _step(self, memory: SgmMemory):
        """A step of the decoder, as roll-outs ask for it."""
        return lambda last_B, state: self.decoder.step(last_B, state, memory)


__all__ = ["SgmLosses"]
