"""A random forest over the known label sets, whose votes join what the label chain says of each of them.

On small tables a random forest whose classes are the label sets of the training rows is hard to beat in exact sets. Both it and a chain
of labels give every known set a probability, so they can be multiplied (a product of experts, Hinton, 2002; a forest as one of them
is ours):

    log P(S|x) = log P_chain(S|x) + w log(v_S(x) + 1 / (3 T)) + const,    v_S the share of the T trees' votes that is for S

The addend, a third of one tree's vote, leaves a set that no tree votes for possible. The forest is grown on the training rows
before the network is trained, and nothing of it is trained; it is saved with the weights.

Trees are walked side by side, all documents at once, so that a step of the walk is a few gathers.

Shape legend: B documents, P columns, T trees, N nodes of all trees, E entries of all leaves, S known sets.
"""

import torch
from torch import nn
from transformers import initialization as init

from .msdn_chain import row_blocks


_BYTES_A_PATH = 60  # of a document and a tree while it is walked, and of each entry of its leaf


class SetForest(nn.Module):
    """The trees as buffers, all of whole numbers: a cast of the model to half precision must not move a threshold.

    Args:
        num_trees, num_nodes, num_entries (`int`): T, N, E; from the configuration, so that a saved model finds its buffers' sizes.

    Buffers:
        roots (`torch.IntTensor` of shape `(T,)`): each tree's first node.
        branches (`torch.IntTensor` of shape `(N, 2)`):
            where a document goes whose value is at most the threshold, and where others go: to a later node; -1 of a leaf.
        columns (`torch.IntTensor` of shape `(N,)`): of `input_features`, that a node looks at.
        threshold_bits (`torch.IntTensor` of shape `(N,)`): the thresholds, the bits of float32.
        starts (`torch.IntTensor` of shape `(N + 1,)`): where each node's entries begin; of inner nodes there are none.
        sets, counts (`torch.IntTensor` of shape `(E,)`): a known set, and how many rows that the tree drew in this leaf have it.
    """

    def __init__(self, num_trees: int, num_nodes: int, num_entries: int):
        super().__init__()
        sizes = {
            "roots": (num_trees,), "branches": (num_nodes, 2), "columns": (num_nodes,), "threshold_bits": (num_nodes,),
            "starts": (num_nodes + 1,), "sets": (num_entries,), "counts": (num_entries,),
        }  # fmt: skip
        for name, shape in sizes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.int32))
        self.reset_parameters()

    def __len__(self) -> int:
        return len(self.roots)

    @property
    def is_grown(self) -> bool:
        """Whether there are trees, and not only room for them."""
        return bool(len(self)) and bool((self.counts[:1] > 0).all())

    def reset_parameters(self) -> None:
        """Leaves without entries, which vote for nothing: trees are grown or loaded."""
        for name, buffer in self.named_buffers():
            init.constant_(buffer, -1 if name == "branches" else 0)

    @torch.no_grad()
    def fill(self, **tensors: torch.Tensor) -> None:
        """Takes other trees in.

        Args:
            tensors: the buffers by name, `thresholds` (`(N,)`, float32) in place of their bits.

        Raises:
            `ValueError`: a buffer is missing, or of a shape that doesn't fit the module's sizes.
        """
        if "thresholds" in tensors:
            tensors["threshold_bits"] = tensors.pop("thresholds").float().view(torch.int32)
        for name, buffer in self.named_buffers():
            found = tuple(tensors[name].shape) if name in tensors else None
            if found != tuple(buffer.shape):
                raise ValueError(f"`{name}` must be of shape {tuple(buffer.shape)}, found {found}")
            buffer.copy_(tensors[name])

    @torch.no_grad()
    def forward(self, features_BP: torch.Tensor, num_sets: int) -> torch.FloatTensor:
        """The share of the votes that each known set has, `(B, S)`, float32.

        A tree's vote is divided among the sets of the leaf as its training rows are.

        Args:
            features_BP (`torch.Tensor` of shape `(B, P)`): rows of the table as the encoder reads them.
            num_sets (`int`): S.
        """
        features_BP = features_BP.float()
        votes_BS = torch.zeros(len(features_BP), num_sets, device=features_BP.device)
        for rows in row_blocks(len(features_BP), _BYTES_A_PATH * len(self)):
            leaves_BT = self._leaves(features_BP[rows])
            numbers_BT = self.starts[leaves_BT + 1] - self.starts[leaves_BT]
            part_BS = votes_BS[rows]
            # of large leaves a document has many entries
            most = max(numbers_BT.sum(dim=1).tolist(), default=0)
            for block in row_blocks(len(leaves_BT), _BYTES_A_PATH * most):
                part_BS[block] = self._shares(leaves_BT[block], numbers_BT[block], num_sets)
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
            is_low_BT = values_BT <= thresholds_N[node_BT]
            next_BT = torch.where(is_low_BT, branches_BT2[..., 0], branches_BT2[..., 1])
            node_BT = torch.where(is_inner_BT, next_BT, node_BT)

    def _shares(self, leaves_BT: torch.LongTensor, numbers_BT: torch.Tensor, num_sets: int) -> torch.FloatTensor:
        """Sums over the trees, `(B, S)`. In float64 and one after another, so that they are the same in any batch."""
        leaves, numbers = leaves_BT.flatten(), numbers_BT.flatten().long()
        paths = torch.arange(len(leaves), device=leaves.device).repeat_interleave(numbers)
        within = torch.arange(len(paths), device=leaves.device) - (numbers.cumsum(0) - numbers)[paths]
        entries = self.starts[leaves[paths]].long() + within
        counts = self.counts[entries].long()
        totals = torch.zeros_like(leaves).index_add(0, paths, counts)
        cells = paths // leaves_BT.shape[1] * num_sets + self.sets[entries].long()
        sums = torch.zeros(len(leaves_BT) * num_sets, dtype=torch.float64, device=cells.device)
        # not `bincount`, which on a GPU adds up in any order and has no other way
        sums = sums.index_add(0, cells, counts.double() / totals[paths])
        return sums.view(len(leaves_BT), num_sets).float()


__all__ = ["SetForest"]
