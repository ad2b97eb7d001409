"""A label's planted tokens, read directly: the linear path beside what else scores the labels.

What the statistics know of a label is a list of words with numbers, and attention alone can't use it before the encoder has
learned what those words mean. Here the list is a sparse linear model, its weights planted with the mutual information
and trained from there with everything else ("wide and deep", Cheng et al., 2016; not in the PLANT paper):

    logit_l += 10 * sum_j w_lj x_{t_lj},    x the document's tf-idf vector of length 1, t_lj the j-th token of l's list

The factor lets an optimizer whose steps are alike for all parameters move these logits as far as the others.

Or, with `readout_source="linear_svm"`, its tokens and weights are those of a linear support vector machine a label, fitted on all
the training documents before anything else is trained; they stay as they are. A document that such a machine was fitted on
gets a far better answer from it than a new one, and what learns beside it would see nothing left to do. So in training each
document is read by machines that were fitted without it ("stacking" on held-out answers, Wolpert, 1992); `HeldOutReadouts` are those.

PLANT adds this to its attentions' logits. A decoder of label sequences adds the log-odds of such machines in each of its steps
(`LinearReadout`).

Shape legend: B documents, T tokens, L labels, V vocabulary, K tokens of a label's list, S chosen labels, F folds.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .label_attention import exporting
from .tfidf_path import tfidf_vectors


SCALE = 10.0


def fold_of(counts_BV: torch.Tensor, num_folds: int) -> torch.LongTensor:
    """Which fold a document is in, `(B,)`: the sum of its token ids, modulo the folds.

    Of nothing but the document, so that training finds the fold of a row without being told; equal documents are in one fold.
    """
    ids_V = torch.arange(counts_BV.shape[1], device=counts_BV.device)
    return (counts_BV.long() * ids_V).sum(dim=1) % num_folds


class HeldOutReadouts(nn.Module):
    """The read-outs that training documents get: of fold f, what was fitted on all documents but its own.

    Not saved with the model; a model that is loaded has none.

    Buffers:
        tokens, weight (`(F, L, K)`): as those of `PlantedReadout`.
        bias (`torch.FloatTensor` of shape `(F, L)`): what a fold's machines have more than those of all rows.
    """

    def __init__(self, tokens_FLK: torch.IntTensor, weight_FLK: torch.Tensor, bias_FL: torch.Tensor):
        super().__init__()
        self.register_buffer("tokens", tokens_FLK, persistent=False)
        self.register_buffer("weight", weight_FLK, persistent=False)
        self.register_buffer("bias", bias_FL, persistent=False)


class PlantedReadout(nn.Module):
    """What each label's own tokens add to its logit.

    Args:
        vocab_size, num_labels, num_tokens (`int`): V, L, K.
        learns (`bool`): whether the weights are trained; those of machines are not, because in training others speak in their place.

    Parameters (a buffer, where it doesn't learn):
        weight (`(L, K)`): of each label's tokens; a factor times their mutual information, or times their weight in the label's machine,
            when planted.

    Buffers:
        tokens (`torch.IntTensor` of shape `(L, K)`): each label's tokens, best first; -1 where there are fewer.
        idf (`torch.FloatTensor` of shape `(V,)`): `1 + log((1 + N) / (1 + n_t))`, of N training documents n_t with token t; 0
            where there is none.
    """

    def __init__(self, vocab_size: int, num_labels: int, num_tokens: int, *, learns: bool):
        super().__init__()
        self.vocab_size, shape_LK = vocab_size, (num_labels, num_tokens)
        if learns:
            self.weight = nn.Parameter(torch.empty(shape_LK))
        else:
            self.register_buffer("weight", torch.empty(shape_LK))
        self.register_buffer("tokens", torch.full(shape_LK, -1, dtype=torch.int32))
        self.register_buffer("idf", torch.ones(vocab_size))
        self.held_out: HeldOutReadouts | None = None

    def forward(self, counts_BV: torch.Tensor, rows: slice | torch.LongTensor = slice(None)) -> torch.FloatTensor:
        """What is added to the logits of the labels in `rows`, `(B, L)`, float32; in training with `held_out`, by those.

        Args:
            counts_BV (`torch.Tensor` of shape `(B, V)`): how often each token stands in each document.
            rows (`slice` or `torch.LongTensor`, *optional*): labels; all of them if not given.
        """
        table_VB = self._features(counts_BV).T
        held_out = self.held_out
        if not self.training or held_out is None:
            return self._logits(table_VB, self.tokens[rows], self.weight[rows])
        folds_B = fold_of(counts_BV, len(held_out.tokens))
        logits_BL = table_VB.new_zeros(table_VB.shape[1], len(self.tokens[rows]))
        for fold in folds_B.unique().tolist():
            of_fold = (folds_B == fold).nonzero().squeeze(1)
            found_bL = self._logits(table_VB[:, of_fold], held_out.tokens[fold, rows], held_out.weight[fold, rows])
            logits_BL[of_fold] = found_bL + held_out.bias[fold, rows]
        return logits_BL

    def _logits(self, table_VB: torch.Tensor, tokens_LK: torch.Tensor, weight_LK: torch.Tensor) -> torch.FloatTensor:
        tokens_LK = torch.where(tokens_LK < 0, self.vocab_size, tokens_LK).long()
        weight_LK = weight_LK.float()
        if exporting():  # ONNX has no weighted bags
            return SCALE * (table_VB[tokens_LK] * weight_LK[..., None]).sum(dim=1).T
        if not len(tokens_LK):
            return table_VB.new_zeros(table_VB.shape[1], 0)
        return SCALE * F.embedding_bag(tokens_LK, table_VB, per_sample_weights=weight_LK, mode="sum").T

    def contributions(
        self,
        counts_BV: torch.Tensor,
        chosen_ids_S: torch.LongTensor,
        input_ids_BT: torch.Tensor,
        mask_BT: torch.BoolTensor,
    ) -> torch.FloatTensor:
        """What each place of the documents adds to the chosen labels' logits, `(B, S, T)`.

        A token that stands in several places gives each the same share.
        """
        tokens_SK = self.tokens[chosen_ids_S]
        tokens_SK = torch.where(tokens_SK < 0, self.vocab_size, tokens_SK).long()
        table_SV = self.weight.new_zeros(len(tokens_SK), self.vocab_size + 1).float()
        table_SV = table_SV.scatter_add(1, tokens_SK, self.weight[chosen_ids_S].float())
        ids_BT = torch.where(mask_BT, input_ids_BT, self.vocab_size)
        times_BT = F.pad(counts_BV, (0, 1)).gather(1, ids_BT)
        shares_BT = self._features(counts_BV).gather(1, ids_BT) / times_BT.clamp(min=1)
        return SCALE * table_SV[:, ids_BT].transpose(0, 1) * shares_BT[:, None]

    @torch.no_grad()
    def _features(self, counts_BV: torch.Tensor) -> torch.FloatTensor:
        """The documents' tf-idf vectors, `(B, V + 1)`, of length 1; the last column, no token, is 0."""
        return F.pad(tfidf_vectors(counts_BV, self.idf), (0, 1))


class LinearReadout(PlantedReadout):
    """The log-odds of one machine a label, its bias included: nothing of it is trained, where PLANT's output bias is.

    Buffers:
        bias (`torch.FloatTensor` of shape `(L,)`): of the machines.
        The others are those of `PlantedReadout`.
    """

    def __init__(self, vocab_size: int, num_labels: int, num_tokens: int):
        super().__init__(vocab_size, num_labels, num_tokens, learns=False)
        self.register_buffer("bias", torch.zeros(num_labels))

    def forward(self, counts_BV: torch.Tensor, rows: slice | torch.LongTensor = slice(None)) -> torch.FloatTensor:
        """Log-odds of the labels in `rows`, `(B, L)`, float32; as `PlantedReadout.forward`."""
        return super().forward(counts_BV, rows) + self.bias[rows]
