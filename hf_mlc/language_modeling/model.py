"""A language model around a classifier's encoder: the word vectors are the softmax weights too.

Shape legend: B streams, S tokens in a stretch, N = B x S, V vocabulary, D width.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from hf_mlc.errors import UserError
from hf_mlc.modeling.awd_lstm import AwdLstmEncoder, LockedDropout


WEIGHTS_FILE = "language_model.safetensors"
_TIED = "encoder.embeddings.word_embeddings.weight"  # W of `softmax(W h + b)`
_BLOCK = 2048  # tokens whose N x V scores are in memory at one time


class LanguageModel(nn.Module):
    """Next-token prediction, `softmax(W h_t + b)` with W the word vectors (Press and Wolf, arXiv:1608.05859).

    Args:
        encoder (`AwdLstmEncoder`): of the classifier; shared, not copied.
        dropout (`float`): on what the softmax reads, the same dimensions at all tokens of a stretch.

    Raises:
        `UserError`: an encoder that sees the tokens to come, or whose output isn't as wide as its word vectors.
    """

    def __init__(self, encoder: nn.Module, dropout: float = 0.0):
        super().__init__()
        if not isinstance(encoder, AwdLstmEncoder):
            raise UserError(
                "this encoder sees the tokens it would have to predict",
                field="language_model_epochs",
                accepted="awd_lstm",
            )
        vocab_size, width = encoder.embeddings.word_embeddings.weight.shape
        if encoder.layers[-1].network.hidden_size != width:
            raise UserError(
                f"word vectors of width {width} under a last layer of width {encoder.layers[-1].network.hidden_size} can't "
                "be softmax weights",
                field="embedding_size",
                accepted="hidden_size, or none given",
            )
        self.encoder = encoder
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.dropout = LockedDropout(dropout)

    def forward(self, input_ids_BS: torch.Tensor, targets_BS: torch.Tensor, states=None):
        """The mean negative log-likelihood of the targets, and the states to go on from, cut off from the past."""
        hidden_BSD, states = self.encoder.advance(input_ids_BS, states)
        hidden_ND, targets_N = self.dropout(hidden_BSD).flatten(0, 1), targets_BS.flatten()
        total = hidden_ND.new_zeros((), dtype=torch.float32)
        for hidden, targets in zip(hidden_ND.split(_BLOCK), targets_N.split(_BLOCK), strict=True):
            total = total + checkpoint(self._cost, hidden, targets, use_reentrant=False)
        return total / len(targets_N), [(shown.detach(), kept.detach()) for shown, kept in states]

    def _cost(self, hidden_ND: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
        scores_NV = F.linear(hidden_ND, self.encoder.embeddings.word_embeddings.weight, self.bias)
        return F.cross_entropy(scores_NV.float(), targets_N, reduction="sum")


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """What a file of ours in safetensors holds; pickles are never opened."""
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if file.exists() else "there is none"
        raise UserError(
            f"no readable weights ({reason})", file=file, field="language_model", accepted=f"a whole {WEIGHTS_FILE}"
        ) from None


def read_head(folder: str | Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The softmax of a saved language model, W `(V, D)` and b `(V,)`: `(W h + b).argmax()` is the token it expects next."""
    weights = read_weights(Path(folder) / WEIGHTS_FILE)
    return weights[_TIED], weights["bias"]
