"""Configurations of backbones, from what a user gave: a dictionary of settings or a configuration of transformers."""

from typing import Any

from huggingface_hub.errors import StrictDataclassClassValidationError, StrictDataclassError
from transformers import PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING


# what every backbone of a text must tell about itself
TEXT_BACKBONE_SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")


def backbone_config(
    settings: dict[str, Any] | PreTrainedConfig | None, *, field: str, default: str
) -> PreTrainedConfig | None:
    """The configuration that `settings` describe; `None` stays `None`.

    Args:
        settings (`dict`, `PreTrainedConfig` or `None`): a dictionary names its `model_type`.
        field (`str`): the field it was given in, for the error message.
        default (`str`): the model type of a dictionary that names none.

    Raises:
        `StrictDataclassError`: for a model type that transformers doesn't know, or settings that it refuses.
    """
    if not isinstance(settings, dict):
        return settings
    settings = dict(settings)
    model_type = settings.pop("model_type", default)
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        raise refusal(f"`{field}` names the unknown model_type '{model_type}'")
    try:
        return CONFIG_MAPPING[model_type](**settings)
    except StrictDataclassError:
        raise
    except Exception as error:  # a hundred configurations, each with checks and divisions of its own
        reason = str(error) or type(error).__name__
        raise refusal(f"`{field}` is no configuration of '{model_type}': {reason}") from None


def check_text_backbone(text_config: PreTrainedConfig) -> None:
    """Refuses what can't encode a text token by token."""
    model_type = text_config.model_type
    if text_config.is_encoder_decoder:
        raise refusal(f"`text_config` must be an encoder, found the encoder-decoder '{model_type}'")
    missing = [name for name in TEXT_BACKBONE_SIZES if not hasattr(text_config, name)]
    if missing:
        raise refusal(f"`text_config` must be a transformer over text, found '{model_type}' without {missing[0]}")


def text_backbone_of(config: PreTrainedConfig) -> PreTrainedConfig | None:
    """The backbone of a configuration with the fields of a text encoder: its `text_config`, or the small BERT of its own sizes
    that `encoder="transformer"` stands for; `None` for an encoder that is none.

    Raises:
        `StrictDataclassError`: as `backbone_config`.
    """
    settings = config.text_config
    if settings is None and config.encoder == "transformer":
        settings = {
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "num_hidden_layers": config.num_hidden_layers,
            "num_attention_heads": config.num_attention_heads,
            "intermediate_size": config.intermediate_size,
            "max_position_embeddings": config.max_position_embeddings,
            "hidden_dropout_prob": config.hidden_dropout,
            "initializer_range": config.initializer_range,
            "pad_token_id": config.pad_token_id,
        }
    return backbone_config(settings, field="text_config", default="bert")


def adopt_text_backbone(config: PreTrainedConfig) -> None:
    """Writes what `config.text_config` says into the configuration around it: one truth, the sizes that others read off it are
    the backbone's.

    Raises:
        `StrictDataclassClassValidationError`: the backbone can't encode a text token by token.
    """
    config.encoder = "transformer"
    check_text_backbone(config.text_config)
    for name in TEXT_BACKBONE_SIZES:
        setattr(config, name, getattr(config.text_config, name))
    if getattr(config.text_config, "pad_token_id", None) is not None:
        config.pad_token_id = config.text_config.pad_token_id


def refusal(problem: str) -> StrictDataclassClassValidationError:
    """What a failed `validate_encoder` raises, for what can't wait until then."""
    return StrictDataclassClassValidationError("validate_encoder", ValueError(problem))


__all__ = [
    "TEXT_BACKBONE_SIZES",
    "adopt_text_backbone",
    "backbone_config",
    "check_text_backbone",
    "refusal",
    "text_backbone_of",
]
