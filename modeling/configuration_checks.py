"""What several configurations refuse alike: sizes below 1, chunks that overlap too much, widths that an encoder can't split."""

from transformers import PreTrainedConfig


def check_positive(config: PreTrainedConfig, names: tuple[str, ...]) -> None:
    """Refuses a size below 1; `None` is none."""
    for name in names:
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be 1 or more, found {value}")


def check_text_encoder(config: PreTrainedConfig, *, two_directions: bool = True) -> None:
    """Refuses sizes that the encoder of a text can't be built with.

    Args:
        config (`PreTrainedConfig`): with `encoder`, `hidden_size` and what its encoders have of heads, kernels and chunks.
        two_directions (`bool`, *optional*, defaults to `True`): whether a recurrent encoder reads both ways.
    """
    # not every backbone splits its width among the heads; the one that is built by default does
    is_bert = getattr(config.text_config, "model_type", None) == "bert"
    if is_bert and config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"`hidden_size` must be a multiple of `num_attention_heads`, found {config.hidden_size} and "
            f"{config.num_attention_heads}"
        )
    if config.encoder in ("gru", "lstm") and two_directions and config.hidden_size % 2:
        raise ValueError(f"`hidden_size` must be even for two directions, found {config.hidden_size}")
    if config.encoder == "convolution" and config.conv_kernel_size % 2 == 0:
        raise ValueError(f"`conv_kernel_size` must be odd, found {config.conv_kernel_size}")
    _check_chunks(config.backbone_chunk_length, config.backbone_chunk_overlap)


def _check_chunks(length: int | None, overlap: int) -> None:
    """Refuses chunks that overlap by more than half: three of them would then hold the same token."""
    if overlap and length is None:
        raise ValueError(f"`backbone_chunk_overlap` is of chunks: give `backbone_chunk_length`, found {overlap} alone")
    if not 0 <= overlap <= (length or 0) // 2:
        raise ValueError(
            f"`backbone_chunk_overlap` must be from 0 to half of `backbone_chunk_length`, found {overlap} and {length}"
        )


__all__ = ["check_positive", "check_text_encoder"]
