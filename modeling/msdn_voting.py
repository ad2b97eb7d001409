"""The label set that several models of label relations find most probable together.

    P(S) = sum_k w_k P_k(S)

P_k(S) is the probability that model k's chain gives the whole set, under the model's own settings (`ChainDecoder.set_log_probs`). Each
model names the sets that it finds likely, all of them are scored by all models, and the best one wins: a set that is second for
everybody can win against the firsts of each, which no two agree on. That is the best of all sets only if somebody named it.

Shape legend: B documents, L labels, K models, C sets that were named.
"""

from collections.abc import Sequence

import torch

from .msdn_chain import row_blocks
from .msdn_decoding import ChainDecoder


_BYTES_A_CELL = 32  # of a document, a named set and a label, while one model scores it


def voted_sets(
    decoders: Sequence[ChainDecoder],
    logits_KBL: Sequence[torch.Tensor],
    weights: Sequence[float],
    *,
    min_labels: int = 0,
    block_bytes: int | None = None,
) -> torch.BoolTensor:
    """The set of each document, `(B, L)`.

    Args:
        decoders (`Sequence[ChainDecoder]`): K, over the same labels.
        logits_KBL (`Sequence[torch.Tensor]` of shape `(B, L)`): each model's base logits.
        weights (`Sequence[float]`): w_k; those of weight 0 have no say.
        min_labels (`int`, *optional*, defaults to 0): a smaller set is answered only where no other was named.
        block_bytes (`int`, *optional*): memory of a block of documents; 32 MiB.

    Returns:
        `torch.BoolTensor` of shape `(B, L)`; of equally probable sets the one that was named first.
    """
    voters = [
        (decoder, logits_BL.detach().float(), weight)
        for decoder, logits_BL, weight in zip(decoders, logits_KBL, weights, strict=True)
        if weight > 0
    ]
    num_rows, num_labels = voters[0][1].shape
    named = sum(decoder.num_named for decoder, _, _ in voters)
    blocks = row_blocks(num_rows, _BYTES_A_CELL * named * num_labels, block_bytes)
    with torch.no_grad():
        answers = [_voted([(one, logits_BL[rows], w) for one, logits_BL, w in voters], min_labels) for rows in blocks]
        return torch.cat(answers)


def _voted(voters: list[tuple[ChainDecoder, torch.Tensor, float]], min_labels: int) -> torch.BoolTensor:
    named = [decoder.found_sets(logits_BL, min_labels=min_labels) for decoder, logits_BL, _ in voters]
    sets_BCL = torch.cat(named, dim=1)
    log_weights = torch.tensor([weight for _, _, weight in voters], device=sets_BCL.device).log()
    of_models_KBC = torch.stack([decoder.set_log_probs(logits_BL, sets_BCL) for decoder, logits_BL, _ in voters])
    scores_BC = (of_models_KBC + log_weights[:, None, None]).logsumexp(dim=0)
    is_small_BC = sets_BCL.sum(dim=2) < min_labels
    scores_BC = scores_BC.masked_fill(is_small_BC & ~is_small_BC.all(dim=1, keepdim=True), float("-inf"))
    best_B = scores_BC.argmax(dim=1)
    return sets_BCL[torch.arange(len(best_B), device=best_B.device), best_B]


__all__ = ["voted_sets"]
