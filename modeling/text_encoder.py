"""Encoders of text: a vector a token, from a bag of word vectors up to any encoder of the Hub.

`build_text_encoder(config)` returns a module that maps token ids and their mask to an `EncoderOutput`. Every one of
them gives the same vectors whatever else is in the batch: padding is never read, wherever it stands.

Shape legend: B documents, T tokens, D width, E embedding width.
"""

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .awd_lstm import AwdLstmEncoder
from .backbone_encoder import TransformerEncoder, load_pretrained_encoder
from .encoder_parts import BagOfWordsEncoder, EncoderOutput, WordEmbedding, take_tokens, tokens_first


class ConvolutionLayer(GradientCheckpointingLayer):
    """One residual 1-D convolution; the documents' tokens come first, their padding behind."""

    def __init__(self, config):
        super().__init__()
        self.convolution = nn.Conv1d(
            config.hidden_size, config.hidden_size, config.conv_kernel_size, padding=config.conv_kernel_size // 2
        )
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, hidden_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        # a convolution reads its neighbours, padding too: zero there, as beyond the ends of a lone document
        inputs_BDT = (hidden_BTD * mask_BT[..., None]).transpose(1, 2)
        return hidden_BTD + self.dropout(torch.relu(self.convolution(inputs_BDT)).transpose(1, 2))


class ConvolutionEncoder(BagOfWordsEncoder):
    """Residual 1-D convolutions over the word vectors: what stands a few words to either side is added to each token."""

    def __init__(self, config):
        super().__init__(config)
        self.layers = nn.ModuleList(ConvolutionLayer(config) for _ in range(config.num_hidden_layers))

    def encode(self, embedded_BTE: torch.Tensor, mask_BT: torch.Tensor) -> list[torch.Tensor]:
        order_BT, back_BT = tokens_first(mask_BT)
        mask_BT = mask_BT.gather(1, order_BT)
        states = [embedded_BTE]
        hidden_BTD = take_tokens(embedded_BTE, order_BT)
        for layer in self.layers:
            hidden_BTD = layer(hidden_BTD, mask_BT)
            states.append(take_tokens(hidden_BTD, back_BT))
        return states


class RecurrentLayer(GradientCheckpointingLayer):
    """Two separate unidirectional networks; the second one reads each document from its last token to its first."""

    def __init__(self, config, input_size: int):
        super().__init__()
        network = nn.GRU if config.encoder == "gru" else nn.LSTM
        self.ahead = network(input_size, config.hidden_size // 2, batch_first=True)
        self.behind = network(input_size, config.hidden_size // 2, batch_first=True)

    def forward(self, hidden_BTD: torch.Tensor, reverse_BT: torch.Tensor) -> torch.Tensor:
        ahead_BTD = self.ahead(hidden_BTD)[0]
        behind_BTD = take_tokens(self.behind(take_tokens(hidden_BTD, reverse_BT))[0], reverse_BT)
        return torch.cat([ahead_BTD, behind_BTD], dim=-1)


class RecurrentEncoder(BagOfWordsEncoder):
    """Bidirectional GRU or LSTM; `hidden_size` is the width of both directions together.

    The backward direction reads each document reversed within its own length: the result of a packed sequence without
    packing, which is slow on CPU and unfriendly to compilers.
    """

    def __init__(self, config):
        super().__init__(config)
        embedding_size = config.embedding_size or config.hidden_size
        self.embeddings = WordEmbedding(config, embedding_size)
        widths = [embedding_size] + [config.hidden_size] * (config.num_hidden_layers - 1)
        self.layers = nn.ModuleList(RecurrentLayer(config, width) for width in widths)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def encode(self, embedded_BTE: torch.Tensor, mask_BT: torch.Tensor) -> list[torch.Tensor]:
        length_B1 = mask_BT.sum(dim=1, keepdim=True)
        order_BT, back_BT = tokens_first(mask_BT)
        place_BT = torch.arange(mask_BT.shape[1], device=mask_BT.device)[None].expand_as(order_BT)
        reverse_BT = torch.where(place_BT < length_B1, length_B1 - 1 - place_BT, place_BT)

        states = [embedded_BTE]
        hidden_BTD = take_tokens(embedded_BTE, order_BT)
        for number, layer in enumerate(self.layers):
            hidden_BTD = layer(self.dropout(hidden_BTD) if number else hidden_BTD, reverse_BT)
            states.append(take_tokens(hidden_BTD, back_BT))
        return states


ENCODERS = {
    "bag_of_words": BagOfWordsEncoder,
    "convolution": ConvolutionEncoder,
    "gru": RecurrentEncoder,
    "lstm": RecurrentEncoder,
    "awd_lstm": AwdLstmEncoder,
    "transformer": TransformerEncoder,
}


def build_text_encoder(config) -> nn.Module:
    """The encoder that `config.encoder` names, randomly initialised."""
    return ENCODERS[config.encoder](config)


__all__ = [
    "ENCODERS",
    "AwdLstmEncoder",
    "BagOfWordsEncoder",
    "ConvolutionEncoder",
    "EncoderOutput",
    "RecurrentEncoder",
    "TransformerEncoder",
    "build_text_encoder",
    "load_pretrained_encoder",
    "take_tokens",
    "tokens_first",
]
