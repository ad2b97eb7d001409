"""Whole documents to one vector each: any encoder of text with its tokens drawn together, or the encoder of table rows.

Shape legend: B documents, T tokens, D = H width, E embedding width, A width of the attention.
"""

import torch
from torch import nn
from transformers import initialization as init

from .encoder_parts import EncoderOutput, text_mask
from .table_encoder import SELF_INITIALISED as OF_TABLES
from .table_encoder import EncodedDocument, TableEncoder
from .text_encoder import build_text_encoder


class MeanPooling(nn.Module):
    """The mean of the tokens' vectors; of a document without a token 0."""

    def __init__(self, config):
        super().__init__()

    def weights(self, hidden_BTD: torch.Tensor, mask_BT: torch.BoolTensor) -> torch.Tensor:
        """Each token's share, float32 `(B, T)`: sums to 1, 0 on padding."""
        return mask_BT.float() / mask_BT.sum(dim=1, keepdim=True).clamp(min=1)

    def forward(self, hidden_BTD: torch.Tensor, mask_BT: torch.BoolTensor) -> torch.Tensor:
        weights_BT = self.weights(hidden_BTD, mask_BT)
        # padding may hold anything, and 0 x NaN is no 0
        return (weights_BT.to(hidden_BTD.dtype)[:, None] @ hidden_BTD.masked_fill(~mask_BT[..., None], 0)).squeeze(1)


class AttentionPooling(MeanPooling):
    """A mean in which each token weighs as much as it asks for: softmax of `v . tanh(W h + b)` over the document's tokens.

    The additive attention of Bahdanau and others (2015), with one learned question in the place of a decoder's state, as Yang and
    others (2016) read documents with it. `v` starts at 0: at first it is the mean.
    """

    def __init__(self, config):
        super().__init__(config)
        self.projection = nn.Linear(config.hidden_size, config.hidden_size)
        self.question = nn.Parameter(torch.empty(config.hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.zeros_(self.question)

    def weights(self, hidden_BTD: torch.Tensor, mask_BT: torch.BoolTensor) -> torch.Tensor:
        scores_BT = (torch.tanh(self.projection(hidden_BTD)) @ self.question).float()
        # a softmax over nothing is no number: a document without a token gets shares of 0
        scores_BT = scores_BT.masked_fill(~mask_BT, torch.finfo(scores_BT.dtype).min)
        return scores_BT.softmax(dim=1) * mask_BT


POOLINGS = {"mean": MeanPooling, "attention": AttentionPooling}
# modules that know how they start; a model's `_init_weights` calls their `reset_parameters`
SELF_INITIALISED = (*OF_TABLES, AttentionPooling)


class PooledTextEncoder(nn.Module):
    """Any encoder of `text_encoder.py`, its tokens drawn together by `config.text_pooling` ("mean" or "attention")."""

    def __init__(self, config):
        super().__init__()
        self.reader = build_text_encoder(config)
        self.pooling = POOLINGS[config.text_pooling](config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.pad_token_id, self.takes_token_types = config.pad_token_id, config.encoder == "transformer"

    @property
    def backbone(self) -> nn.Module:
        """The pretrained part, of a transformer; what `load_pretrained_encoder` fills."""
        return self.reader.backbone

    @property
    def embeddings(self) -> nn.Module:
        """The word vectors' module, of an encoder that has its own."""
        return self.reader.embeddings

    def encode(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **asked: bool,
    ) -> EncodedDocument:
        """Texts to vectors.

        Args:
            input_ids (`torch.LongTensor` of shape `(B, T)`, *optional*): token ids; this or `inputs_embeds`.
            attention_mask (`torch.Tensor` of shape `(B, T)`, *optional*):
                1 for text, 0 for padding, in any places; if not given, everything but the padding token is text.
            token_type_ids (`torch.LongTensor` of shape `(B, T)`, *optional*): for backbones that take them.
            inputs_embeds (`torch.Tensor` of shape `(B, T, E)`, *optional*): word vectors in place of ids.
            asked: `output_hidden_states`, `output_attentions`, as the encoder takes them; what isn't true is left out.

        Raises:
            `ValueError`: neither or both of `input_ids` and `inputs_embeds`.
        """
        hidden_BTD, mask_BT, encoded = self._read(input_ids, attention_mask, token_type_ids, inputs_embeds, **asked)
        return EncodedDocument(
            self.dropout(self.pooling(hidden_BTD, mask_BT)),
            encoded.hidden_states if asked.get("output_hidden_states") else None,
            encoded.attentions if asked.get("output_attentions") else None,
        )

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """As `encode`; the vectors `(B, H)` alone."""
        return self.encode(input_ids, attention_mask, token_type_ids, inputs_embeds).vector

    def token_weights(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Each token's share in its document's vector, float32 `(B, T)`: sums to 1, 0 on padding."""
        hidden_BTD, mask_BT, _ = self._read(**inputs)
        return self.pooling.weights(hidden_BTD, mask_BT)

    def _read(
        self, input_ids=None, attention_mask=None, token_type_ids=None, inputs_embeds=None, **asked
    ) -> tuple[torch.Tensor, torch.BoolTensor, EncoderOutput]:
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of `input_ids` and `inputs_embeds`")
        mask_BT = text_mask(input_ids, attention_mask, inputs_embeds, self.pad_token_id)
        asked = {name: value for name, value in asked.items() if value}
        if self.takes_token_types and token_type_ids is not None:
            asked["token_type_ids"] = token_type_ids
        encoded = self.reader(input_ids, mask_BT, inputs_embeds, **asked)
        return encoded.last_hidden_state, mask_BT, encoded


def build_document_encoder(config) -> nn.Module:
    """The encoder that `config.encoder` names, randomly initialised: of table rows for `"mlp"`, else of texts.

    Either takes its inputs by the names that `forward` of a model has and returns `(B, H)`; `encode` returns an `EncodedDocument`.
    """
    return TableEncoder(config) if config.encoder == "mlp" else PooledTextEncoder(config)


__all__ = [
    "POOLINGS",
    "SELF_INITIALISED",
    "AttentionPooling",
    "MeanPooling",
    "PooledTextEncoder",
    "build_document_encoder",
]
