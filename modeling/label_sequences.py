"""Label sets as sequences: the vocabulary of the decoder, the order of a document's labels, the way back to a set.

A document's labels become the sequence of their ids in some order, then the end. Which order that is, a list of ranks
says: one number a label, smaller is earlier (Yang et al., "SGM: Sequence Generation Model for Multi-Label
Classification", 2018, take the most frequent label first). A label that stands twice in the data stands once in the
sequence: a decoder that never repeats a label gives the second one probability 0, and its loss would be infinite.

Shape legend: B documents, P padded label ids, L labels, T steps (labels of the largest set, and the end),
V = L + 3 ids.
"""

import random
from collections.abc import Sequence

import torch

from .losses import targets_from_ids


PAD, BOS, EOS = 0, 1, 2
LABEL_OFFSET = 3  # label l has the id l + 3
NO_LABEL = -100  # pads lists of label ids; whatever is negative is no label


def unique_label_ids(label_ids_BP: torch.LongTensor) -> tuple[torch.LongTensor, torch.LongTensor]:
    """Each label of a document once, in ascending order.

    Args:
        label_ids_BP (`torch.LongTensor` of shape `(B, P)`): labels in any order; what is negative is none.

    Returns:
        Ids `(B, P)`, the labels first and -100 behind them, and how many labels each document has, `(B,)`.
    """
    ids_BP = label_ids_BP.sort(dim=1).values
    is_first_BP = ids_BP >= 0
    is_first_BP[:, 1:] &= ids_BP[:, 1:] != ids_BP[:, :-1]
    places_BP = (~is_first_BP).to(torch.int8).argsort(dim=1, stable=True)
    ids_BP = ids_BP.masked_fill(~is_first_BP, NO_LABEL).gather(1, places_BP)
    return ids_BP, is_first_BP.sum(dim=1)


def ordered_sequences(label_ids_BP: torch.LongTensor, ranks: torch.Tensor) -> torch.LongTensor:
    """What the decoder is to write: each document's labels by rank, each once, then the end.

    Args:
        label_ids_BP (`torch.LongTensor` of shape `(B, P)`): labels in any order; what is negative is none.
        ranks (`torch.Tensor` of shape `(L,)`, or `(B, L)` for an order of each document's own):
            smaller is earlier; equal ranks go by label id. Numbers of any kind, not only 0 ... L-1. Each label has one.

    Returns:
        `torch.LongTensor` of shape `(B, T)`: ids of the decoder's vocabulary, padded with `PAD`. T is one more than the
        labels of the largest set, so a document without labels is the end alone.

    Example:
        >>> ordered_sequences(torch.tensor([[0, 2, 2], [-100, -100, -100]]), torch.tensor([1, 2, 0])).tolist()
        [[5, 3, 2], [2, 0, 0]]
    """
    num_labels = ranks.shape[-1]
    ids_BP, counts_B = unique_label_ids(label_ids_BP)
    ranks_BL = ranks.to(ids_BP.device).expand(len(ids_BP), num_labels)
    ranks_BP = ranks_BL.gather(1, ids_BP.clamp(min=0))
    limits = torch.finfo(ranks.dtype) if ranks.is_floating_point() else torch.iinfo(ranks.dtype)
    ids_BP = ids_BP.gather(1, ranks_BP.masked_fill(ids_BP < 0, limits.max).argsort(dim=1, stable=True))
    return ended_sequences(ids_BP, counts_B)


def ended_sequences(ordered_ids_BP: torch.LongTensor, counts_B: torch.LongTensor) -> torch.LongTensor:
    """The sequences `(B, T)` of labels that are in order already: ids of the vocabulary, the end, padding.

    Args:
        ordered_ids_BP (`torch.LongTensor` of shape `(B, P)`): each document's labels first; the rest is not read.
        counts_B (`torch.LongTensor` of shape `(B,)`): how many labels it has.
    """
    num_steps = int(counts_B.max()) + 1 if len(counts_B) else 1
    sequences_BT = ordered_ids_BP.new_full((len(ordered_ids_BP), num_steps), PAD)
    num_copied = min(num_steps, ordered_ids_BP.shape[1])
    sequences_BT[:, :num_copied] = ordered_ids_BP[:, :num_copied] + LABEL_OFFSET
    steps_T = torch.arange(num_steps, device=sequences_BT.device)
    sequences_BT.masked_fill_(steps_T > counts_B[:, None], PAD)
    return sequences_BT.masked_fill_(steps_T == counts_B[:, None], EOS)


def decoder_inputs(sequences_BT: torch.LongTensor) -> torch.LongTensor:
    """What the decoder reads at each step of being taught `sequences_BT`: the beginning, then each id but the last."""
    beginning_B1 = sequences_BT.new_full((len(sequences_BT), 1), BOS)
    return torch.cat([beginning_B1, sequences_BT[:, :-1]], dim=1)


def sets_of_sequences(sequences_BT: torch.LongTensor, num_labels: int) -> torch.BoolTensor:
    """The label sets `(B, L)` of written sequences: what stands before the first end; `BOS` and `PAD` are no labels."""
    has_ended_BT = (sequences_BT == EOS).cumsum(dim=1) > 0
    return label_sets((sequences_BT - LABEL_OFFSET).masked_fill(has_ended_BT, NO_LABEL), num_labels)


def label_sets(label_ids_BP: torch.LongTensor, num_labels: int) -> torch.BoolTensor:
    """Multi-hot sets `(B, L)` of label ids; what is negative is none, twice is once."""
    return targets_from_ids(label_ids_BP, num_labels).bool()


def random_sequences(label_ids_BP: torch.LongTensor) -> torch.LongTensor:
    """As `ordered_sequences`, in a new order for each document, every one as likely as any other.

    A number is drawn for each place of the list, not for each of the L labels. From torch's global generator of the CPU,
    whatever the device: checkpoints keep its state, so that a resumed run sees the orders it would have seen, and a run on
    a GPU those of a run without.

    Args:
        label_ids_BP (`torch.LongTensor` of shape `(B, P)`): labels in any order; what is negative is none.
    """
    ids_BP, counts_B = unique_label_ids(label_ids_BP)
    draws_BP = torch.rand(ids_BP.shape).to(ids_BP.device).masked_fill(ids_BP < 0, 1.0)  # those of labels are below 1
    return ended_sequences(ids_BP.gather(1, draws_BP.argsort(dim=1)), counts_B)


def random_orders(num_labels: int, number: int, seed: int) -> list[list[int]]:
    """Orders of the labels, drawn from a generator of their own; the first ones are the same however many are drawn."""
    generator = random.Random(seed)
    return [generator.sample(range(num_labels), num_labels) for _ in range(number)]


def frequency_ranks(counts: Sequence[int]) -> list[int]:
    """The rank of each label, most training documents first; equally frequent labels by id.

    Args:
        counts (`list[int]`): training documents of each label.
    """
    return ranks_of_order(sorted(range(len(counts)), key=lambda label: -counts[label]))


def ranks_of_order(order: Sequence[int]) -> list[int]:
    """Each label's place in a list of all labels: from "who comes when" to "when does who come"."""
    ranks = [0] * len(order)
    for rank, label in enumerate(order):
        ranks[label] = rank
    return ranks
