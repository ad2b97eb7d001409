"""What a label sequence may go on with: few enough and many enough labels, parents first, one of a group.

One more mask at the place where labels already given are forbidden (section 4.4 of the paper notes), so that greedy
search, beams and samples all keep to it. A search never gets stuck:

- where the rules leave no label, the sequence may end, whatever `min_labels` says; so one token at least is always allowed;
- a label given is not allowed again while the end is forbidden, so from every prefix the end is allowed after at most
  `min(min_labels, L)` more labels.

Shape legend: B prefixes (documents, or documents times beams), T tokens, L labels, V = L + 3 tokens of the label
vocabulary, E pairs of a child and a parent, M pairs of a label and a group, G groups.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

from .label_sequences import EOS, LABEL_OFFSET


_RECENT: list[tuple[int, dict, LabelConstraints]] = []
_MOST_RECENT = 8  # an ensemble's members may differ


class LabelConstraints:
    """The rules of one configuration, ready to be asked for every step of a search.

    Args:
        num_labels (`int`): L.
        min_labels (`int`, *optional*, defaults to 0):
            The end is forbidden until so many labels were given, or until the other rules leave none to give.
        max_labels (`int`, *optional*): only the end is allowed after so many.
        label_parents (`list[list[int]]`, *optional*):
            For each label its parents: the label is forbidden until all of them were given.
        label_exclusions (`list[list[int]]`, *optional*): groups of labels of which one at most is given.
        repeat_mask (`bool`, *optional*, defaults to `True`):
            A label given is never allowed again. With `False`, an ablation, again only where the end is allowed too.

    Raises:
        `ValueError`: numbers that contradict each other, ids that are no labels, parents in a circle, a label that its
            own parents exclude: it could never be given.
    """

    def __init__(
        self,
        num_labels: int,
        *,
        min_labels: int = 0,
        max_labels: int | None = None,
        label_parents: Sequence[Sequence[int]] | None = None,
        label_exclusions: Sequence[Sequence[int]] | None = None,
        repeat_mask: bool = True,
    ):
        if min_labels < 0:
            raise ValueError(f"`min_labels` must not be negative, found {min_labels}")
        if max_labels is not None and max_labels < max(min_labels, 1):
            raise ValueError(f"`max_labels` must be at least 1 and `min_labels` ({min_labels}), found {max_labels}")
        parents, groups = label_parents or [], [sorted(set(group)) for group in label_exclusions or []]
        if parents and len(parents) != num_labels:
            raise ValueError(
                f"`label_parents` must hold a list for each of the {num_labels} labels, found {len(parents)}"
            )
        _check_ids("label_parents", parents, num_labels)
        _check_ids("label_exclusions", groups, num_labels)
        _check_reachable(parents, groups)
        self.num_labels, self.min_labels, self.max_labels = num_labels, min_labels, max_labels
        self.repeat_mask, self.num_groups = repeat_mask, len(groups)
        edges = sorted({(label, parent) for label, listed in enumerate(parents) for parent in listed})
        members = [(label, number) for number, group in enumerate(groups) for label in group]
        # long and thin, not (L, L): a hierarchy of ten thousand labels has about as many edges. On the CPU whatever device a model is
        # made on: these are kept, and asked by other models too
        as_pairs = {"dtype": torch.long, "device": "cpu"}
        self._child_E, self._parent_E = torch.tensor(edges, **as_pairs).reshape(-1, 2).unbind(1)
        self._label_M, self._group_M = torch.tensor(members, **as_pairs).reshape(-1, 2).unbind(1)

    @classmethod
    def from_config(cls, config) -> LabelConstraints:
        """The rules of an `SgmConfig`: its `min_labels`, `max_labels`, `label_parents`, `label_exclusions` and
        `repeat_mask`; a field that a configuration doesn't have restricts nothing.

        A search asks for them anew each time, since a configuration may have been changed; those of the last few are kept,
        for of a hierarchy of thousands of labels they take a while to make.

        Raises:
            `ValueError`: see the class.
        """
        fields = {name: getattr(config, name, None) for name in ("max_labels", "label_parents", "label_exclusions")}
        fields |= {"min_labels": config.min_labels, "repeat_mask": getattr(config, "repeat_mask", True)}
        for num_labels, known, constraints in _RECENT:
            if num_labels == config.num_labels and known == fields:
                return constraints
        constraints = cls(config.num_labels, **fields)
        # a copy: the configuration's own lists may be changed in place
        _RECENT.insert(0, (config.num_labels, copy.deepcopy(fields), constraints))
        del _RECENT[_MOST_RECENT:]
        return constraints

    @property
    def restricts(self) -> bool:
        """Whether there is any rule beyond "no label twice"; without one, asking for masks is a waste."""
        return bool(self.min_labels or self.max_labels is not None or len(self._child_E) or self.num_groups)

    @property
    def most_steps(self) -> int:
        """Decoder steps after which every sequence has ended, the end's own step counted."""
        return (self.num_labels if self.max_labels is None else min(self.max_labels, self.num_labels)) + 1

    def mask(self, used_BV: torch.Tensor, step: int | torch.Tensor | None = None) -> torch.BoolTensor:
        """What may come next after each prefix.

        Args:
            used_BV (`torch.BoolTensor` of shape `(B, V)`): the labels given so far; its first three columns (padding,
                start, end) are not read.
            step (`int` or `torch.LongTensor` of shape `(B,)`, *optional*): tokens given so far, the start not counted;
                if not given, the number of labels used. It differs from that only where labels may repeat.

        Returns:
            `torch.BoolTensor` of shape `(B, V)`: `True` where allowed, in every row somewhere. Padding and start never
            are.
        """
        used_BL = used_BV[:, LABEL_OFFSET:].bool()
        open_BL = ~used_BL & ~self._blocked(used_BL)
        count_B = used_BL.sum(dim=1)
        length_B = count_B if step is None else torch.maximum(count_B, torch.as_tensor(step, device=used_BL.device))
        if self.max_labels is not None:
            open_BL = open_BL & (length_B < self.max_labels)[:, None]
        may_end_B = (count_B >= self.min_labels) | ~open_BL.any(dim=1)
        if not self.repeat_mask:
            again_B = may_end_B if self.max_labels is None else may_end_B & (length_B < self.max_labels)
            open_BL = open_BL | (used_BL & again_B[:, None])
        allowed_BV = torch.zeros_like(used_BV, dtype=torch.bool)
        allowed_BV[:, LABEL_OFFSET:] = open_BL
        allowed_BV[:, EOS] = may_end_B
        return allowed_BV

    def keeps(self, sets_BL: torch.Tensor) -> torch.BoolTensor:
        """Whether each set of labels, multi-hot `(B, L)`, can come of a search: `(B,)`.

        A set smaller than `min_labels` can, where no label could be added to it.
        """
        sets_BL = sets_BL.bool()
        fine_B = ~(sets_BL & self._missing_parent(sets_BL)).any(dim=1)
        if self.num_groups:
            fine_B = fine_B & (self._group_counts(sets_BL) <= 1).all(dim=1)
        if self.max_labels is not None:
            fine_B = fine_B & (sets_BL.sum(dim=1) <= self.max_labels)
        if self.min_labels:
            more_B = (~sets_BL & ~self._blocked(sets_BL)).any(dim=1)
            fine_B = fine_B & ((sets_BL.sum(dim=1) >= self.min_labels) | ~more_B)
        return fine_B

    def _blocked(self, used_BL: torch.Tensor) -> torch.Tensor:
        """Labels that a parent not given, or a label given that excludes them, forbids (or that were given themselves)."""
        blocked_BL = self._missing_parent(used_BL)
        if self.num_groups:
            taken_BG = self._group_counts(used_BL) > 0
            label_M, group_M = self._label_M.to(used_BL.device), self._group_M.to(used_BL.device)
            counts_BL = used_BL.new_zeros(used_BL.shape, dtype=torch.int32)
            blocked_BL = blocked_BL | (counts_BL.index_add_(1, label_M, taken_BG[:, group_M].int()) > 0)
        return blocked_BL

    def _missing_parent(self, used_BL: torch.Tensor) -> torch.Tensor:
        counts_BL = used_BL.new_zeros(used_BL.shape, dtype=torch.int32)
        if len(self._child_E):
            child_E, parent_E = self._child_E.to(used_BL.device), self._parent_E.to(used_BL.device)
            counts_BL.index_add_(1, child_E, (~used_BL[:, parent_E]).int())
        return counts_BL > 0

    def _group_counts(self, used_BL: torch.Tensor) -> torch.Tensor:
        label_M, group_M = self._label_M.to(used_BL.device), self._group_M.to(used_BL.device)
        counts_BG = used_BL.new_zeros(len(used_BL), self.num_groups, dtype=torch.int32)
        return counts_BG.index_add_(1, group_M, used_BL[:, label_M].int())


class LabelConstraintsProcessor(LogitsProcessor):
    """The same rules for `generate`, where a model's own step doesn't keep them: what is forbidden gets minus infinity.

    Beam search takes its log-softmax before any processor: also give `renormalize_logits=True`, or scores of sequences
    are not probabilities over the allowed ones.

    Args:
        constraints (`LabelConstraints`): the rules.
    """

    def __init__(self, constraints: LabelConstraints):
        self.constraints = constraints

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Masks `scores` `(B, V)` after the prefixes `input_ids` `(B, T)`, which begin with the start token.

        Rows that have ended are left as they are: `generate` itself fills them up. Where the model's own rules have left nothing of
        what is allowed here, the sequence ends.
        """
        used_BV = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, input_ids, True)
        has_ended_B = used_BV[:, EOS]
        allowed_BV = self.constraints.mask(used_BV, step=input_ids.shape[1] - 1)
        scores = scores.masked_fill(~allowed_BV & ~has_ended_B[:, None], float("-inf"))
        is_stuck_B = (scores == float("-inf")).all(dim=1)
        scores[:, EOS] = scores[:, EOS].masked_fill(is_stuck_B, 0.0)
        return scores


def _check_ids(name: str, lists: Sequence[Sequence[int]], num_labels: int) -> None:
    for number, ids in enumerate(lists):
        for label in ids:
            if not 0 <= label < num_labels:
                raise ValueError(f"`{name}[{number}]` must hold label ids from 0 to {num_labels - 1}, found {label}")


def _check_reachable(parents: Sequence[Sequence[int]], groups: Sequence[Sequence[int]]) -> None:
    """`ValueError` where a label can never be given: its ancestors hold itself, or two labels that exclude each other."""
    groups_of: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        for label in group:
            groups_of.setdefault(label, []).append(number)
    waiting = [len(set(listed)) for listed in parents]
    children: dict[int, set[int]] = {}
    for label, listed in enumerate(parents):
        for parent in listed:
            children.setdefault(parent, set()).add(label)
    ready = [label for label, count in enumerate(waiting) if count == 0]
    # for each label, which member of which group its ancestors and it itself hold
    held: dict[int, dict[int, int]] = {}
    placed = 0
    while ready:
        label = ready.pop()
        placed += 1
        mine: dict[int, int] = dict.fromkeys(groups_of.get(label, ()), label)
        for parent in parents[label]:
            for number, member in held[parent].items():
                if mine.setdefault(number, member) != member:
                    raise ValueError(
                        f"`label_exclusions[{number}]` forbids label {label}: its parents ask for label {member}, and "
                        f"label {mine[number]} is of the same group"
                    )
        held[label] = mine
        for child in children.get(label, ()):
            waiting[child] -= 1
            if waiting[child] == 0:
                ready.append(child)
    if placed < len(parents):
        label = next(label for label, count in enumerate(waiting) if count)
        raise ValueError(f"`label_parents` must hold no circle, found one at or above label {label}")


__all__ = ["LabelConstraints", "LabelConstraintsProcessor"]
