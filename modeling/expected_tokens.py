"""The token that a language model expects next at each place of a text, which PLANT's ranker may score instead of the read one.

The authors' code scores `argmax_v (w_v . h_t + b_v)`, with W the softmax of the language model that the encoder began as. Here
W is the word vectors, as in that language model, and goes on changing with them; b is the language model's.

Shape legend: B documents, T tokens, N tokens of a block, V vocabulary, D width.
"""

import torch
from torch import nn
from torch.nn import functional as F


BLOCK_CELLS = 2**24  # scores N x V that exist at one time: 64 MB in float32


class ExpectedTokens(nn.Module):
    """Next-token prediction by the word vectors; nothing is learned through it, an argmax has no gradient.

    Buffers:
        bias (`torch.FloatTensor` of shape `(V,)`): of the language model's softmax; 0 where there was none.
    """

    def __init__(self, config):
        super().__init__()
        self.register_buffer("bias", torch.zeros(config.vocab_size))

    @torch.no_grad()
    def forward(self, hidden_BTD: torch.Tensor, weight_VD: torch.Tensor) -> torch.LongTensor:
        """The expected tokens `(B, T)`; at padding, any."""
        if torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
            return F.linear(hidden_BTD, weight_VD, self.bias).argmax(dim=2)
        step = max(1, BLOCK_CELLS // len(weight_VD))
        blocks = [
            F.linear(block_ND, weight_VD, self.bias).argmax(dim=1) for block_ND in hidden_BTD.flatten(0, 1).split(step)
        ]
        return torch.cat(blocks).view(hidden_BTD.shape[:2])
