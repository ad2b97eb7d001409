"""AWD-LSTM: a unidirectional LSTM with dropout everywhere but inside its cells, the encoder of ULMFiT.

Word vectors of width E go through layers E -> H, H -> H, ..., H -> D (Merity and others, "Regularizing and Optimizing
LSTM Language Models", arXiv:1708.02182; Howard and Ruder, "Universal Language Model Fine-tuning", arXiv:1801.06146).
What is dropped, in training only:

- whole words: the vector of a word is zero wherever it stands in the batch (`embedding_dropout`);
- dimensions of the first layer's inputs (`input_dropout`) and of what layers hand on (`hidden_dropout`), the same ones
  at all tokens of a document, since a mask that changes from token to token would disturb what the state remembers;
- weights from state to state, the same ones at all tokens (`weight_dropout`).

`dropout_scale` multiplies all four, fastai's `drop_mult`. As the last layer is as wide as the word vectors, these can
serve as the softmax weights of a language model: that is how the encoder is best trained first.

Shape legend: B documents, T tokens, D width, E embedding width, H width inside.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers.modeling_layers import GradientCheckpointingLayer

from .encoder_parts import BagOfWordsEncoder, WordEmbedding, take_tokens, tokens_first


LstmState = tuple[torch.Tensor, torch.Tensor]  # (1, B, H) each: what is shown, what is remembered


class LockedDropout(nn.Module):
    """Drops the same dimensions at all tokens of a document, others in each document."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, hidden_BTD: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return hidden_BTD
        return hidden_BTD * F.dropout(torch.ones_like(hidden_BTD[:, :1]), self.p)


class AwdLstmEmbedding(WordEmbedding):
    """Word vectors with whole words dropped: the mask is drawn over the vocabulary, and each token looks its word's up."""

    def __init__(self, config, width: int):
        super().__init__(config, width)
        self.dropout = nn.Identity()  # the words are dropped below, not single numbers of a vector
        self.row_dropout = config.embedding_dropout * config.dropout_scale

    def forward(self, input_ids_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        embedded_BTE = super().forward(input_ids_BT, mask_BT)
        if not self.training or self.row_dropout == 0:
            return embedded_BTE
        kept_V1 = F.dropout(embedded_BTE.new_ones(self.word_embeddings.num_embeddings, 1), self.row_dropout)
        return embedded_BTE * F.embedding(input_ids_BT, kept_V1)


class AwdLstmLayer(GradientCheckpointingLayer):
    """One LSTM whose weights from state to state are dropped in training.

    The weights stay parameters of `nn.LSTM`, under their own names and saved once; in training the operator behind it
    is called with the dropped ones in their place.
    """

    def __init__(self, config, input_size: int, output_size: int):
        super().__init__()
        self.network = nn.LSTM(input_size, output_size, batch_first=True)
        self.weight_dropout = config.weight_dropout * config.dropout_scale

    def dropped_weight(self) -> torch.Tensor | None:
        """The weights from state to state as a whole text is to see them; `None` where none are dropped."""
        if not self.training or self.weight_dropout == 0:
            return None
        return F.dropout(self.network.weight_hh_l0, self.weight_dropout)

    def forward(
        self, hidden_BTD: torch.Tensor, weight: torch.Tensor | None = None, state: LstmState | None = None
    ) -> tuple[torch.Tensor, LstmState]:
        network = self.network
        if weight is None:
            return network(hidden_BTD) if state is None else network(hidden_BTD, state)
        if state is None:
            zeros_1BH = hidden_BTD.new_zeros(1, hidden_BTD.shape[0], network.hidden_size)
            state = (zeros_1BH, zeros_1BH)
        weights = [network.weight_ih_l0, weight, network.bias_ih_l0, network.bias_hh_l0]
        # has biases, layers, dropout between layers, training, bidirectional, batch first
        output_BTD, shown, remembered = torch.lstm(hidden_BTD, state, weights, True, 1, 0.0, True, False, True)
        return output_BTD, (shown, remembered)


class AwdLstmEncoder(BagOfWordsEncoder):
    """Reads each document from its first token to its last; `hidden_size` is the width of the last layer.

    With `bptt_length`, training reads in chunks of so many tokens: the state is carried over, the gradient through it is
    cut ("truncated back-propagation through time"). What comes out is the same. Together with gradient checkpointing,
    of a layer only what goes in and comes out is kept, and the inside of one chunk at a time.
    """

    def __init__(self, config):
        nn.Module.__init__(self)
        embedding_size = config.embedding_size or config.hidden_size
        self.embeddings = AwdLstmEmbedding(config, embedding_size)
        inside = [config.recurrent_size] * (config.num_hidden_layers - 1)
        self.layers = nn.ModuleList(
            AwdLstmLayer(config, *sizes)
            for sizes in zip([embedding_size, *inside], [*inside, config.hidden_size], strict=True)
        )
        self.input_dropout = LockedDropout(config.input_dropout * config.dropout_scale)
        self.dropout = LockedDropout(config.hidden_dropout * config.dropout_scale)
        self.bptt_length = config.bptt_length

    def encode(self, embedded_BTE: torch.Tensor, mask_BT: torch.Tensor) -> list[torch.Tensor]:
        order_BT, back_BT = tokens_first(mask_BT)
        outputs, _ = self._read(take_tokens(embedded_BTE, order_BT), None)
        return [embedded_BTE, *(take_tokens(hidden_BTD, back_BT) for hidden_BTD in outputs)]

    def advance(
        self, input_ids_BT: torch.Tensor, states: list[LstmState] | None = None
    ) -> tuple[torch.Tensor, list[LstmState]]:
        """Reads on in texts without padding, from the states (a layer each) in which the tokens before left off.

        What a language model is trained with: it reads one endless text, a stretch at a time.
        """
        mask_BT = torch.ones_like(input_ids_BT, dtype=torch.bool)
        outputs, states = self._read(self.embeddings(input_ids_BT, mask_BT), states)
        return outputs[-1], states

    def _read(
        self, hidden_BTD: torch.Tensor, states: list[LstmState] | None
    ) -> tuple[list[torch.Tensor], list[LstmState]]:
        """The output of each layer, and the states at the end."""
        hidden_BTD = self.input_dropout(hidden_BTD)
        outputs, ends = [], []
        for number, layer in enumerate(self.layers):
            hidden_BTD, end = self._through(layer, hidden_BTD, states[number] if states else None)
            outputs.append(hidden_BTD)
            ends.append(end)
            hidden_BTD = self.dropout(hidden_BTD)
        return outputs, ends

    def _through(
        self, layer: AwdLstmLayer, hidden_BTD: torch.Tensor, state: LstmState | None
    ) -> tuple[torch.Tensor, LstmState]:
        weight = layer.dropped_weight()
        if not self.training or self.bptt_length is None:
            return layer(hidden_BTD, weight, state)
        pieces = []
        for piece_BTD in hidden_BTD.split(self.bptt_length, dim=1):
            output_BTD, state = layer(piece_BTD, weight, state)
            pieces.append(output_BTD)
            state = (state[0].detach(), state[1].detach())
        return torch.cat(pieces, dim=1), state
