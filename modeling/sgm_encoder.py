"""The encoders of SGM: a document or an image becomes states that the decoder attends to.

Texts are read by a recurrent network (both directions, or one) or any text encoder of the Hub (`text_encoder.py`), images
by any backbone or vision model of transformers, whose feature map or patches stand in the place of tokens. On top, where
asked for, the states attend to each other once more. `generate` calls an encoder by itself, so this one is whole: token
ids or pixels in, states and their mask out.

Shape legend: B documents or images, m tokens or patches, D width, L labels, C channels, H rows and W columns of a feature map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoBackbone, AutoModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import ModelOutput

from .backbone_config import refusal
from .encoder_parts import text_mask
from .planted_readout import LinearReadout
from .text_encoder import RecurrentEncoder, build_text_encoder
from .tfidf_path import TfidfPath, token_counts


@dataclass
class SgmEncoderOutput(ModelOutput):
    """States and which of them are no padding.

    Args:
        last_hidden_state (`torch.FloatTensor` of shape `(B, m, D)`): what the decoder attends to.
        mask (`torch.BoolTensor` of shape `(B, m)`): false on padding.
        hidden_states (`tuple(torch.FloatTensor)`, *optional*): of the layers, where asked for.
        attentions (`tuple(torch.FloatTensor)`, *optional*): of the layers, where asked for and where there are some.
        tfidf (`torch.FloatTensor` of shape `(B, F)`, *optional*): of the tf-idf path.
        log_odds (`torch.FloatTensor` of shape `(B, L)`, *optional*): of the labels, by the linear machines.
    """

    last_hidden_state: torch.FloatTensor | None = None
    mask: torch.BoolTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    tfidf: torch.FloatTensor | None = None
    log_odds: torch.FloatTensor | None = None


class OneWayLayer(GradientCheckpointingLayer):
    """One network that reads from the first token to the last."""

    def __init__(self, config, input_size: int):
        super().__init__()
        network = nn.GRU if config.encoder == "gru" else nn.LSTM
        self.ahead = network(input_size, config.hidden_size, batch_first=True)

    def forward(self, hidden_BmD: torch.Tensor, reverse_Bm: torch.Tensor) -> torch.Tensor:
        return self.ahead(hidden_BmD)[0]


class OneWayEncoder(RecurrentEncoder):
    """A recurrent encoder of one direction, of the same width as one of two: an ablation."""

    def __init__(self, config):
        super().__init__(config)
        widths = [config.embedding_size or config.hidden_size] + [config.hidden_size] * (config.num_hidden_layers - 1)
        self.layers = nn.ModuleList(OneWayLayer(config, width) for width in widths)


class SelfAttention(nn.Module):
    """`LayerNorm(H + attention(H, H, H))` with several heads; padding is never read."""

    def __init__(self, config):
        super().__init__()
        size, self.num_heads = config.hidden_size, config.self_attention_heads
        self.queries, self.keys = (
            nn.Linear(size, size),
            nn.Linear(size, size, bias=False),
        )  # a key's bias moves no softmax
        self.values, self.output = nn.Linear(size, size), nn.Linear(size, size)
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, hidden_BmD: torch.Tensor, mask_Bm: torch.BoolTensor) -> torch.Tensor:
        def heads(values_BmD: torch.Tensor) -> torch.Tensor:
            return values_BmD.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

        readable_Bm = mask_Bm.clone()
        readable_Bm[:, 0] |= ~mask_Bm.any(dim=1)  # a softmax over nothing is no number
        read = F.scaled_dot_product_attention(
            heads(self.queries(hidden_BmD)),
            heads(self.keys(hidden_BmD)),
            heads(self.values(hidden_BmD)),
            attn_mask=readable_Bm[:, None, None],
        )
        read_BmD = self.output(read.transpose(1, 2).flatten(2))
        return self.norm(hidden_BmD + self.dropout(read_BmD))


class ImageReader(nn.Module):
    """Any backbone or vision model of transformers, built with random weights from its configuration.

    A feature map `(B, C, H, W)` is read row by row as H x W patches. Pretrained weights are loaded outside `__init__`.
    """

    def __init__(self, config):
        super().__init__()
        dtype = torch.get_default_dtype()
        if config.vision_config is not None:
            self.backbone = _built(AutoModel, config.vision_config, field="vision_config", dtype=dtype)
            if self.backbone.main_input_name != "pixel_values":
                raise refusal(
                    f"`vision_config` must be a model that reads pixel_values, found '{config.vision_config.model_type}', "
                    f"which reads {self.backbone.main_input_name}"
                )
            if config.vision_config.model_type == "vit_mae" and config.vision_config.mask_ratio:
                raise refusal(
                    f"`vision_config` must read whole pictures, found 'vit_mae' with a mask_ratio of {config.vision_config.mask_ratio}, "
                    "which hides random patches at every pass"
                )
            channels = _width_of(config.vision_config)
            pooler = getattr(self.backbone, "pooler", None)
            if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
                self.backbone.pooler = None  # patches are read: its parameters would never have a gradient
        else:
            self.backbone = _built(AutoBackbone, config.backbone_config, field="backbone_config", dtype=dtype)
            channels = self.backbone.channels[-1]
        self.projection = nn.Linear(channels, config.hidden_size)

    def forward(self, pixel_values: torch.Tensor, **kwargs) -> tuple[torch.Tensor, tuple | None, tuple | None]:
        output = self.backbone(pixel_values.to(self.projection.weight.dtype), **kwargs)
        maps = getattr(output, "feature_maps", None)
        last = output.last_hidden_state if maps is None else maps[-1]
        if last.ndim == 4:
            last = last.flatten(2).transpose(1, 2)
        return self.projection(last), getattr(output, "hidden_states", None), getattr(output, "attentions", None)


def _built(auto_class, config, *, field: str, dtype: torch.dtype) -> nn.Module:
    """A model with random weights; sizes that only its layers find impossible are refused as wrong settings are."""
    try:
        return auto_class.from_config(config, dtype=dtype)
    except (ValueError, TypeError, ArithmeticError, ImportError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise refusal(f"`{field}` can't be built as '{config.model_type}': {reason}") from error


def _width_of(config) -> int:
    """The width of a vision model's last states."""
    sizes = getattr(config, "hidden_sizes", None)
    if sizes:
        # a neck comes after the stages; that of a model without stages is a head's, and not of the last states
        sizes = getattr(config, "neck_hidden_sizes", None) or sizes
        return sizes[-1]
    if hasattr(config, "hidden_size"):
        return config.hidden_size
    raise refusal(
        f"`vision_config` must tell its `hidden_size` or `hidden_sizes`, found '{config.model_type}' without"
    )


class SgmEncoder(nn.Module):
    """Token ids, word vectors or pixels to states; what `get_encoder` gives."""

    def __init__(self, config):
        super().__init__()
        self.pad_token_id, self.reads_images = config.pad_token_id, config.encoder == "image"
        self.main_input_name = "pixel_values" if self.reads_images else "input_ids"
        if self.reads_images:
            self.reader = ImageReader(config)
        elif config.encoder in ("lstm", "gru") and not config.bidirectional:
            self.reader = OneWayEncoder(config)
        else:
            self.reader = build_text_encoder(config)
        self.takes_token_types = config.encoder == "transformer"
        self.self_attention = SelfAttention(config) if config.encoder_self_attention else None
        self.tfidf = TfidfPath(config) if config.tfidf_path else None
        self.readout = None
        if config.linear_readout:
            self.readout = LinearReadout(config.vocab_size, config.num_labels, config.readout_tokens)

    @property
    def backbone(self) -> nn.Module:
        """The pretrained part, where there is one; what `load_pretrained_encoder` fills."""
        return self.reader.backbone

    @property
    def looks_up_tokens(self) -> bool:
        """Whether a text's token ids are needed, whatever its word vectors are."""
        return self.tfidf is not None or self.readout is not None

    @property
    def embeddings(self) -> nn.Module:
        """The word vectors' module of a recurrent encoder."""
        return self.reader.embeddings

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        pixel_values: torch.FloatTensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> SgmEncoderOutput:
        """See `SgmForMultiLabelClassification.forward`.

        Raises:
            `ValueError`: without the input that this encoder reads, or with two of them.
        """
        asked = {"output_hidden_states": output_hidden_states, "output_attentions": output_attentions}
        asked = {name: value for name, value in asked.items() if value}
        if self.reads_images:
            if pixel_values is None:
                raise ValueError("this model reads images: give `pixel_values`")
            hidden_BmD, states, attentions = self.reader(pixel_values, **asked)
            mask_Bm = torch.ones(hidden_BmD.shape[:2], dtype=torch.bool, device=hidden_BmD.device)
        else:
            if self.looks_up_tokens and input_ids is None:
                raise ValueError("a text's tf-idf weights are looked up by its `input_ids`, and none were given")
            if not self.looks_up_tokens and (input_ids is None) == (inputs_embeds is None):
                raise ValueError("give exactly one of `input_ids` and `inputs_embeds`")
            mask_Bm = text_mask(input_ids, attention_mask, inputs_embeds, self.pad_token_id)
            if self.takes_token_types and token_type_ids is not None:
                asked["token_type_ids"] = token_type_ids
            read_ids = input_ids if inputs_embeds is None else None
            hidden_BmD, states, attentions = self.reader(read_ids, mask_Bm, inputs_embeds, **asked)
        if self.self_attention is not None:
            hidden_BmD = self.self_attention(hidden_BmD, mask_Bm)
            states = None if states is None else (*states, hidden_BmD)
        return SgmEncoderOutput(
            last_hidden_state=hidden_BmD,
            mask=mask_Bm,
            hidden_states=states if output_hidden_states else None,
            attentions=attentions if output_attentions else None,
            tfidf=None if self.tfidf is None else self.tfidf(input_ids, mask_Bm),
            log_odds=None if self.readout is None else self._log_odds(input_ids, mask_Bm),
        )

    @torch.no_grad()
    def _log_odds(self, input_ids_Bm: torch.LongTensor, mask_Bm: torch.BoolTensor) -> torch.FloatTensor:
        return self.readout(token_counts(input_ids_Bm, mask_Bm, self.readout.vocab_size))


__all__ = ["ImageReader", "SgmEncoder", "SgmEncoderOutput"]
