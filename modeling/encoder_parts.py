"""What the encoders of text are made of: their output, word vectors, which positions are text and in which order read.

Shape legend: B documents, T tokens, D width, E embedding width.
"""

from typing import NamedTuple

import torch
from torch import nn


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
        if self.training and self.word_dropout > 0 and self.unk_token_id is not None:
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


def text_mask(
    input_ids_BT: torch.LongTensor | None,
    attention_mask_BT: torch.Tensor | None,
    inputs_embeds_BTE: torch.Tensor | None,
    pad_token_id: int | None,
) -> torch.BoolTensor:
    """Which positions are text, `(B, T)`: the given mask, else everything that isn't the padding token."""
    if attention_mask_BT is not None:
        return attention_mask_BT.bool()
    if input_ids_BT is not None and pad_token_id is not None:
        return input_ids_BT != pad_token_id
    given = input_ids_BT if input_ids_BT is not None else inputs_embeds_BTE
    return torch.ones(given.shape[:2], dtype=torch.bool, device=given.device)


def tokens_first(mask_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The places `(B, T)` to read from, so that tokens come first and padding, wherever it stood, behind; and back."""
    tokens_BT, padding_BT = mask_BT.cumsum(dim=1), (~mask_BT).cumsum(dim=1)
    back_BT = torch.where(mask_BT, tokens_BT, tokens_BT[:, -1:] + padding_BT) - 1
    place_BT = torch.arange(mask_BT.shape[1], device=mask_BT.device)[None].expand_as(back_BT)
    return torch.empty_like(back_BT).scatter_(1, back_BT, place_BT), back_BT


def take_tokens(values_BTD: torch.Tensor, places_BT: torch.Tensor) -> torch.Tensor:
    return values_BTD.gather(1, places_BT[..., None].expand(-1, -1, values_BTD.shape[-1]))
