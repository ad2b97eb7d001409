"""From texts to the tensors that a model of texts reads; what pipeline, `predict` and explanations share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase


def encode_texts(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, with_offsets: bool = False
) -> dict[str, torch.Tensor]:
    """Token ids and mask of a batch, padded to its longest text, cut at the tokenizer's `model_max_length`.

    Where every text is without tokens, one column of padding stands for them.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): the model's.
        texts (`Sequence[str]`): the texts, `B` of them.
        with_offsets (`bool`, *optional*, defaults to `False`): also each token's characters, for explanations.

    Returns:
        `dict[str, torch.Tensor]`: int64, `(B, T)` each: `input_ids`, `attention_mask`; with offsets,
        `offset_mapping` of shape `(B, T, 2)`, (0, 0) for what is no text.

    Raises:
        `ValueError`: where offsets are wanted of a tokenizer that knows none (a slow one).
    """
    wanted = {}
    if with_offsets:
        if not tokenizer.is_fast:
            raise ValueError(
                f"explanations need a fast tokenizer, which says where in the text each token stands; "
                f"{type(tokenizer).__name__} is a slow one"
            )
        wanted["return_offsets_mapping"] = True
    batch = tokenizer(
        list(texts), padding=True, truncation=True, return_tensors="pt", return_token_type_ids=False, **wanted
    )
    if batch["input_ids"].shape[1] == 0:
        batch["input_ids"] = torch.full((len(texts), 1), tokenizer.pad_token_id)
        batch["attention_mask"] = torch.zeros(len(texts), 1, dtype=torch.long)
        if with_offsets:
            batch["offset_mapping"] = torch.zeros(len(texts), 1, 2, dtype=torch.long)
    return {name: values.long() for name, values in batch.items()}


__all__ = ["encode_texts"]
