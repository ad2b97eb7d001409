"""Configuration of PLANT."""

from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from .configuration_multi_label import MultiLabelConfig


# what every backbone must tell about itself
BACKBONE_SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")


@strict
class PlantConfig(MultiLabelConfig):
    r"""
    Configuration of [`PlantForMultiLabelClassification`]. Arguments of the loss, the thresholds and the label space are
    those of [`MultiLabelConfig`].

    Args:
        vocab_size (`int`, *optional*, defaults to 30000): tokens of the tokenizer.
        encoder (`str`, *optional*, defaults to `"convolution"`):
            `"bag_of_words"`, `"convolution"`, `"gru"`, `"lstm"` or `"transformer"`.
        text_config (`PreTrainedConfig` or `dict`, *optional*):
            Any text encoder of transformers; given, `encoder` is `"transformer"`. Without it, `"transformer"` is a
            small BERT of the sizes below.
        hidden_size (`int`, *optional*, defaults to 256): width of the token vectors that labels attend to.
        embedding_size (`int`, *optional*): width of the word vectors of a recurrent encoder; `hidden_size` if not given.
        num_hidden_layers (`int`, *optional*, defaults to 1): layers of the encoder (a bag of words has none).
        num_attention_heads (`int`, *optional*, defaults to 4): of a transformer.
        intermediate_size (`int`, *optional*, defaults to 1024): of a transformer.
        max_position_embeddings (`int`, *optional*, defaults to 512): of a transformer.
        conv_kernel_size (`int`, *optional*, defaults to 5): tokens that a convolution sees, an odd number.
        word_dropout (`float`, *optional*, defaults to 0.1): share of tokens replaced by the unknown one in training.
        embedding_dropout (`float`, *optional*, defaults to 0.2): on the word vectors.
        hidden_dropout (`float`, *optional*, defaults to 0.3): between layers and on the encoder's output.
        embedding_std (`float`, *optional*, defaults to 0.02): standard deviation of the initial word vectors.
        initializer_range (`float`, *optional*, defaults to 0.02): standard deviation of other initial weights.
        attention_block_size (`int`, *optional*):
            Labels attended to at once on CPU; chosen from the sizes if not given. Results don't depend on it.
        attention_implementation (`str`, *optional*, defaults to `"auto"`):
            `"eager"` (holds B x L x T), `"blocks"`, `"sdpa"` or `"auto"` (`label_attention`).
        pad_token_id (`int`, *optional*, defaults to 0): padding.
        unk_token_id (`int`, *optional*, defaults to 1): the unknown token.
    """

    model_type = "plant"
    sub_configs = {"text_config": AutoConfig}

    vocab_size: int = 30000
    encoder: Literal["bag_of_words", "convolution", "gru", "lstm", "transformer"] = "convolution"
    text_config: dict[str, Any] | PreTrainedConfig | None = None
    hidden_size: int = 256
    embedding_size: int | None = None
    num_hidden_layers: int = 1
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    max_position_embeddings: int = 512
    conv_kernel_size: int = 5
    word_dropout: float | int = 0.1
    embedding_dropout: float | int = 0.2
    hidden_dropout: float | int = 0.3
    embedding_std: float | int = 0.02
    initializer_range: float | int = 0.02
    attention_block_size: int | None = None
    attention_implementation: Literal["auto", "eager", "blocks", "sdpa"] = "auto"
    pad_token_id: int | None = 0
    unk_token_id: int | None = 1

    def __post_init__(self, **kwargs):
        if isinstance(self.text_config, dict):
            settings = dict(self.text_config)
            model_type = settings.pop("model_type", "bert")
            if model_type not in CONFIG_MAPPING:
                raise _refusal(f"`text_config` names the unknown model_type '{model_type}'")
            self.text_config = CONFIG_MAPPING[model_type](**settings)
        elif self.text_config is None and self.encoder == "transformer":
            self.text_config = CONFIG_MAPPING["bert"](
                vocab_size=self.vocab_size,
                hidden_size=self.hidden_size,
                num_hidden_layers=self.num_hidden_layers,
                num_attention_heads=self.num_attention_heads,
                intermediate_size=self.intermediate_size,
                max_position_embeddings=self.max_position_embeddings,
                hidden_dropout_prob=self.hidden_dropout,
                pad_token_id=self.pad_token_id,
            )
        if self.text_config is not None:
            # one truth: the sizes that others read off this configuration are the backbone's
            self.encoder = "transformer"
            _check_backbone(self.text_config)
            for name in BACKBONE_SIZES:
                setattr(self, name, getattr(self.text_config, name))
            if getattr(self.text_config, "pad_token_id", None) is not None:
                self.pad_token_id = self.text_config.pad_token_id
        super().__post_init__(**kwargs)

    def validate_encoder(self):
        """Sizes that the chosen encoder can be built with, and probabilities that are some."""
        sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        for name in (*sizes, "embedding_size", "max_position_embeddings", "conv_kernel_size", "attention_block_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be 1 or more, found {value}")
        for name in ("word_dropout", "embedding_dropout", "hidden_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be in [0, 1), found {getattr(self, name)}")
        for name in ("embedding_std", "initializer_range"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"`{name}` must not be negative, found {getattr(self, name)}")
        # not every backbone splits its width among the heads; the one that is built by default does
        is_bert = getattr(self.text_config, "model_type", None) == "bert"
        if is_bert and self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"`hidden_size` must be a multiple of `num_attention_heads`, found {self.hidden_size} and "
                f"{self.num_attention_heads}"
            )
        if self.encoder in ("gru", "lstm") and self.hidden_size % 2:
            raise ValueError(f"`hidden_size` must be even for two directions, found {self.hidden_size}")
        if self.encoder == "convolution" and self.conv_kernel_size % 2 == 0:
            raise ValueError(f"`conv_kernel_size` must be odd, found {self.conv_kernel_size}")


def _check_backbone(text_config: PreTrainedConfig) -> None:
    """Refuses what can't encode a text token by token."""
    model_type = text_config.model_type
    if text_config.is_encoder_decoder:
        raise _refusal(f"`text_config` must be an encoder, found the encoder-decoder '{model_type}'")
    missing = [name for name in BACKBONE_SIZES if not hasattr(text_config, name)]
    if missing:
        raise _refusal(f"`text_config` must be a transformer over text, found '{model_type}' without {missing[0]}")


def _refusal(problem: str) -> StrictDataclassClassValidationError:
    """What a failed `validate_encoder` raises, for what can't wait until then."""
    return StrictDataclassClassValidationError("validate_encoder", ValueError(problem))


__all__ = ["PlantConfig"]
