"""Encoders of text: a vector a token, from a bag of word vectors up to any encoder of the Hub.

`build_text_encoder(config)` returns a module that maps token ids and their mask to an `EncoderOutput`. Every one of
them gives the same vectors whatever else is in the batch: padding is never read, wherever it stands.

Shape legend: B documents, T tokens, D width, E embedding width.
"""

import inspect
from typing import NamedTuple

import torch
from torch import nn
from transformers import AutoModel
from transformers.modeling_layers import GradientCheckpointingLayer


class EncoderOutput(NamedTuple):
    """What an encoder returns: `last_hidden_state` (B, T, D); with the layers' states and attentions where asked."""

    last_hidden_state: torch.Tensor
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


class WordEmbedding(nn.Module):
    """Token vectors, with whole tokens replaced by the unknown one at random in training ("word dropout").

    Word dropout teaches the unknown token what unseen words stand for, and keeps rare words from being memorised.
    """

    def __init__(self, config, width: int):
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.dropout = nn.Dropout(config.embedding_dropout)
        self.word_dropout = config.word_dropout
        self.unk_token_id = config.unk_token_id

    def forward(self, input_ids_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        if self.training and self.word_dropout > 0:
            dropped_BT = torch.rand(input_ids_BT.shape, device=input_ids_BT.device) < self.word_dropout
            input_ids_BT = torch.where(dropped_BT & mask_BT, self.unk_token_id, input_ids_BT)
        return self.dropout(self.word_embeddings(input_ids_BT))


class BagOfWordsEncoder(nn.Module):
    """Each token is its own vector: no context, linear cost, and a strong start on small corpora."""

    def __init__(self, config):
        super().__init__()
        self.embeddings = WordEmbedding(config, config.hidden_size)

    def forward(
        self,
        input_ids: torch.Tensor | None,
        mask_BT: torch.Tensor,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs,
    ) -> EncoderOutput:
        embedded_BTE = self.embeddings(input_ids, mask_BT) if inputs_embeds is None else inputs_embeds
        states = self.encode(embedded_BTE, mask_BT)
        return EncoderOutput(states[-1], tuple(states))

    def encode(self, embedded_BTE: torch.Tensor, mask_BT: torch.Tensor) -> list[torch.Tensor]:
        """The embeddings and the output of each layer, last one the result."""
        return [embedded_BTE]


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
        order_BT, back_BT = _tokens_first(mask_BT)
        mask_BT = mask_BT.gather(1, order_BT)
        states = [embedded_BTE]
        hidden_BTD = _take(embedded_BTE, order_BT)
        for layer in self.layers:
            hidden_BTD = layer(hidden_BTD, mask_BT)
            states.append(_take(hidden_BTD, back_BT))
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
        behind_BTD = _take(self.behind(_take(hidden_BTD, reverse_BT))[0], reverse_BT)
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
        order_BT, back_BT = _tokens_first(mask_BT)
        place_BT = torch.arange(mask_BT.shape[1], device=mask_BT.device)[None].expand_as(order_BT)
        reverse_BT = torch.where(place_BT < length_B1, length_B1 - 1 - place_BT, place_BT)

        states = [embedded_BTE]
        hidden_BTD = _take(embedded_BTE, order_BT)
        for number, layer in enumerate(self.layers):
            hidden_BTD = layer(self.dropout(hidden_BTD) if number else hidden_BTD, reverse_BT)
            states.append(_take(hidden_BTD, back_BT))
        return states


def _tokens_first(mask_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The places `(B, T)` to read from, so that tokens come first and padding, wherever it stood, behind; and back."""
    tokens_BT, padding_BT = mask_BT.cumsum(dim=1), (~mask_BT).cumsum(dim=1)
    back_BT = torch.where(mask_BT, tokens_BT, tokens_BT[:, -1:] + padding_BT) - 1
    place_BT = torch.arange(mask_BT.shape[1], device=mask_BT.device)[None].expand_as(back_BT)
    return torch.empty_like(back_BT).scatter_(1, back_BT, place_BT), back_BT


def _take(values_BTD: torch.Tensor, places_BT: torch.Tensor) -> torch.Tensor:
    return values_BTD.gather(1, places_BT[..., None].expand(-1, -1, values_BTD.shape[-1]))


class TransformerEncoder(nn.Module):
    """Any text encoder of transformers, built with random weights from `config.text_config`.

    Pretrained weights are loaded by `load_pretrained_encoder`, outside `__init__`: there, models are built on the meta
    device and `from_pretrained` raises.
    """

    def __init__(self, config):
        super().__init__()
        # a backbone saved in half precision would else be trained in it, beside a float32 head
        self.backbone = AutoModel.from_config(config.text_config, dtype=torch.get_default_dtype())
        if getattr(self.backbone, "pooler", None) is not None:
            # labels attend to tokens: a pooled vector would be parameters without a gradient, on which DDP stumbles
            self.backbone.pooler = None
        # RoBERTa and its kin count positions by themselves, from an offset: they know the padding token
        self.takes_positions = "position_ids" in inspect.signature(self.backbone.forward).parameters and not hasattr(
            getattr(self.backbone, "embeddings", None), "padding_idx"
        )

    def forward(
        self,
        input_ids: torch.Tensor | None,
        mask_BT: torch.Tensor,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs,
    ) -> EncoderOutput:
        # a document without a token would have softmax over nothing; its first padding token stands in, unread later
        readable_BT = mask_BT.clone()
        readable_BT[:, 0] |= ~mask_BT.any(dim=1)
        if self.takes_positions:
            # the document's own tokens are counted, so that padding before or among them shifts nothing
            kwargs["position_ids"] = (readable_BT.cumsum(dim=1) - 1).clamp(min=0)
        output = self.backbone(
            input_ids=input_ids, inputs_embeds=inputs_embeds, attention_mask=readable_BT.long(), **kwargs
        )
        return EncoderOutput(
            output.last_hidden_state, getattr(output, "hidden_states", None), getattr(output, "attentions", None)
        )


ENCODERS = {
    "bag_of_words": BagOfWordsEncoder,
    "convolution": ConvolutionEncoder,
    "gru": RecurrentEncoder,
    "lstm": RecurrentEncoder,
    "transformer": TransformerEncoder,
}


def build_text_encoder(config) -> nn.Module:
    """The encoder that `config.encoder` names, randomly initialised."""
    return ENCODERS[config.encoder](config)


def load_pretrained_encoder(encoder: TransformerEncoder, name_or_path: str, *, revision: str | None = None) -> None:
    """Copies the weights of a pretrained encoder into `encoder`, whose `text_config` must have its shapes.

    The one place where pretrained weights enter a model of this package; only safetensors is read.

    Args:
        encoder (`TransformerEncoder`): what `build_text_encoder` gave.
        name_or_path (`str`): a Hub id or a folder.
        revision (`str`, *optional*): branch, tag or commit on the Hub.

    Raises:
        `RuntimeError`: where a weight is missing or of another shape; what the encoder has no place for (a pooler, a
            language model's head) is left out.
    """
    pretrained = type(encoder.backbone).from_pretrained(name_or_path, revision=revision, use_safetensors=True)
    missing = encoder.backbone.load_state_dict(pretrained.state_dict(), strict=False).missing_keys
    if missing:
        raise RuntimeError(f"{name_or_path} has no weights for {', '.join(missing)}")
