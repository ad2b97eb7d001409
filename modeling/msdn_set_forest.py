"""A random forest over the known label sets, whose votes join what the label chain says of each of them.

On small tables a random forest whose classes are the label sets of the training rows is hard to beat in exact sets, and it errs
elsewhere than a chain of labels. Both give every known set a probability, so they can be multiplied (a product of experts,
Hinton, 2002; a forest as one of them is ours):

    log P(S|x) = log P_chain(S|x) + w log(v_S(x) + 1 / (3 T)) + const,    v_S the share of the T trees' votes that is for S

The addend, a third of one tree's vote, leaves a set that no tree votes for possible. The forest is grown on the training rows
before the network is trained, and nothing of it is trained; it is saved with the weights.

Trees are walked side by side, all documents at once, so that a step of the walk is a few gathers.

Shape legend: B documents, P columns, T trees, N nodes of all trees, E entries of all leaves, S known sets.
"""

import torch
from torch import nn
from transformers import initialization as init


_PATHS_AT_ONCE = 2**22  # documents x trees that are walked at once, with about 40 bytes each


class SetForest(nn.Module):
    """The trees as buffers, all of whole numbers: a cast of the model to half precision must not move a threshold.

    Args:
        num_trees, num_nodes, num_entries (`int`): T, N, E; from the configuration, so that a saved model finds its buffers' sizes.

    Buffers:
        roots (`torch.IntTensor` of shape `(T,)`): each tree's first node.
        branches (`torch.IntTensor` of shape `(N, 2)`): where a document goes whose value is at most the threshold, and where others
            go; -1 of a leaf.
        columns (`torch.IntTensor` of shape `(N,)`): of `input_features`, that a node looks at.
        threshold_bits (`torch.IntTensor` of shape `(N,)`): the thresholds, the bits of float32.
        starts (`torch.IntTensor` of shape `(N + 1,)`): where each node's entries begin; of inner nodes there are none.
        sets, counts (`torch.IntTensor` of shape `(E,)`): a known set, and how many training rows of the leaf have it.
    """

    def __init__(self, num_trees: int, num_nodes: int, num_entries: int):
        super().__init__()
        sizes = {
            "roots": (num_trees,), "branches": (num_nodes, 2), "columns": (num_nodes,), "threshold_bits": (num_nodes,),
            "starts": (num_nodes + 1,), "sets": (num_entries,), "counts": (num_entries,),
        }  # fmt: skip
        for name, shape in sizes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.int32))

    def __len__(self) -> int:
        return len(self.roots)

    def reset_parameters(self) -> None:
        """Zeros, which are no tree: it is grown or loaded."""
        for buffer in self.buffers():
            init.zeros_(buffer)

    @torch.no_grad()
    def fill(self, **tensors: torch.Tensor) -> None:
        """Takes other trees in; the caller writes their sizes into the configuration.

        Args:
            tensors: the buffers by name, `thresholds` (`(N,)`, float32) in place of their bits.

        Raises:
            `ValueError`: a buffer is missing, or of a shape that doesn't fit the others.
        """
        tensors["threshold_bits"] = tensors.pop("thresholds").float().view(torch.int32)
        num_nodes, num_entries = len(tensors["columns"]), len(tensors["sets"])
        expected = SetForest(len(tensors["roots"]), num_nodes, num_entries)
        for name, buffer in expected.named_buffers():
            if name not in tensors or tensors[name].shape != buffer.shape:
                found = tuple(tensors[name].shape) if name in tensors else None
                raise ValueError(
                    f"`{name}` of {num_nodes} nodes and {num_entries} entries must be {tuple(buffer.shape)}, found {found}"
                )
            setattr(self, name, tensors[name].to(self.roots.device, torch.int32))

    @torch.no_grad()
    def forward(self, features_BP: torch.Tensor, num_sets: int) -> torch.FloatTensor:
        """The share of the votes that each known set has, `(B, S)`, float32; without a tree 0.

        A tree's vote is divided among the sets of the leaf as its training rows are.

        Args:
            features_BP (`torch.Tensor` of shape `(B, P)`): rows of the table as the encoder reads them.
            num_sets (`int`): S.
        """
        features_BP = features_BP.float()
        votes_BS = torch.zeros(len(features_BP), num_sets, device=features_BP.device)
        if not len(self):
            return votes_BS
        step = max(1, _PATHS_AT_ONCE // len(self))
        totals_N = self._totals()
        for start in range(0, len(features_BP), step):
            leaves_BT = self._leaves(features_BP[start : start + step])
            self._add(votes_BS[start : start + step], leaves_BT, totals_N)
        return votes_BS / len(self)

    def log_votes(self, features_BP: torch.Tensor, num_sets: int) -> torch.FloatTensor:
        """`log(v_S + 1 / (3 T))`, `(B, S)`; arguments as those of a call."""
        return (self(features_BP, num_sets) + 1 / (3 * len(self))).log()

    def _leaves(self, features_BP: torch.Tensor) -> torch.LongTensor:
        thresholds_N = self.threshold_bits.view(torch.float32)
        node_BT = self.roots.long().expand(len(features_BP), -1)
        while True:
            branches_BT2 = self.branches[node_BT].long()
            is_inner_BT = branches_BT2[..., 0] >= 0
            if not is_inner_BT.any():
                return node_BT
            values_BT = features_BP.gather(1, self.columns[node_BT].long())
            goes_right_BT = ~(values_BT <= thresholds_N[node_BT])
            next_BT = torch.where(goes_right_BT, branches_BT2[..., 1], branches_BT2[..., 0])
            node_BT = torch.where(is_inner_BT, next_BT, node_BT)

    def _totals(self) -> torch.FloatTensor:
        """Training rows of each node that has entries, `(N,)`."""
        sums = torch.cat([self.counts.new_zeros(1, dtype=torch.long), self.counts.long().cumsum(0)])
        return (sums[self.starts[1:].long()] - sums[self.starts[:-1].long()]).clamp(min=1).float()

    def _add(self, votes_BS: torch.Tensor, leaves_BT: torch.LongTensor, totals_N: torch.Tensor) -> None:
        starts = self.starts.long()
        leaves = leaves_BT.flatten()
        lengths = starts[leaves + 1] - starts[leaves]
        paths = torch.arange(len(leaves), device=leaves.device).repeat_interleave(lengths)
        within = torch.arange(len(paths), device=leaves.device) - (lengths.cumsum(0) - lengths)[paths]
        entries = starts[leaves[paths]] + within
        shares = self.counts[entries].float() / totals_N[leaves[paths]]
        rows = paths // leaves_BT.shape[1]
        votes_BS.index_put_((rows, self.sets[entries].long()), shares, accumulate=True)


__all__ = ["SetForest"]
