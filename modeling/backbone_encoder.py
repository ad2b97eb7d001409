"""Any encoder of the Hub as the reader of a text; texts longer than its positions in overlapping chunks.

Shape legend: B documents, T tokens, D width.
"""

import inspect

import torch
from torch import nn
from transformers import AutoModel

from .backbone_chunks import chunk_places, chunks_of_tokens
from .encoder_parts import EncoderOutput, take_tokens, tokens_first


class TransformerEncoder(nn.Module):
    """Any text encoder of transformers, built with random weights from `config.text_config`.

    Pretrained weights are loaded by `load_pretrained_encoder`, outside `__init__`: there, models are built on the meta
    device and `from_pretrained` raises.

    With `backbone_chunk_length` C, documents of more than C tokens are read in chunks (`backbone_chunks`), all chunks of
    a batch side by side: attention then costs C x T instead of T x T, and positions start anew in each chunk. A document
    of up to C tokens is read as without. What the tokenizer puts around a text stays where it stands: the first chunk
    begins with `[CLS]` and the last ends with `[SEP]`, those between hold text alone.
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
        self.chunk_length, self.chunk_overlap = config.backbone_chunk_length, config.backbone_chunk_overlap
        self.positions = self.max_tokens()
        if self.positions is not None and (self.chunk_length or 0) > self.positions:
            raise ValueError(
                f"`backbone_chunk_length` must be at most the {self.positions} positions of the text encoder, found "
                f"{self.chunk_length}"
            )

    def max_tokens(self) -> int | None:
        """Tokens that the backbone's table of positions can tell apart; `None` where it has no such table."""
        embeddings = getattr(self.backbone, "embeddings", None)
        table = getattr(embeddings, "position_embeddings", None)
        if not isinstance(table, nn.Embedding):
            return None
        # RoBERTa and its kin begin to count behind the padding token
        return table.num_embeddings - (embeddings.padding_idx + 1 if hasattr(embeddings, "padding_idx") else 0)

    def forward(
        self,
        input_ids: torch.Tensor | None,
        mask_BT: torch.Tensor,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs,
    ) -> EncoderOutput:
        # an exported graph keeps the number of chunks of the sample that it was made with, and answers wrongly for others
        if self.chunk_length is not None and getattr(torch.compiler, "is_exporting", bool)():
            raise ValueError("a text encoder that reads in chunks (`backbone_chunk_length`) can't be exported")
        if self.chunk_length is not None and mask_BT.shape[1] > self.chunk_length:
            return self._read_chunks(input_ids, mask_BT, inputs_embeds, **kwargs)
        # not while a graph is made: comparing the width there would fix it
        if not torch.compiler.is_compiling() and self.positions is not None and mask_BT.shape[1] > self.positions:
            longest = int(mask_BT.sum(dim=1).max())
            if longest > self.positions:
                raise ValueError(
                    f"a document of {longest} tokens, and the text encoder has {self.positions} positions: cut it, or set "
                    "`backbone_chunk_length`"
                )
        return self._read(input_ids, mask_BT, inputs_embeds, **kwargs)

    def _read(self, input_ids, mask_BT: torch.Tensor, inputs_embeds, **kwargs) -> EncoderOutput:
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

    def _read_chunks(self, input_ids, mask_BT: torch.Tensor, inputs_embeds, **kwargs) -> EncoderOutput:
        """As `_read`, chunk by chunk; there are no attentions, since none reach from one chunk to another."""
        order_BT, back_BT = tokens_first(mask_BT)
        lengths_B = mask_BT.sum(dim=1)
        places_WC = chunk_places(mask_BT.shape[1], self.chunk_length, self.chunk_overlap, device=mask_BT.device)
        chunks = chunks_of_tokens(lengths_B, mask_BT.shape[1], self.chunk_length, self.chunk_overlap)
        read_BWC = (places_WC < lengths_B[:, None, None]) & chunks.exists_BW[..., None]
        rows = chunks.exists_BW.flatten()
        # short documents have fewer chunks than the longest: what isn't there isn't read, except in a compiled graph,
        # whose sizes must not depend on the texts
        dense = torch.compiler.is_compiling()

        def cut(values_BT: torch.Tensor | None) -> torch.Tensor | None:
            if values_BT is None:
                return None
            sorted_BT = values_BT.gather(1, order_BT) if values_BT.ndim == 2 else take_tokens(values_BT, order_BT)
            pieces = sorted_BT[:, places_WC.clamp(max=mask_BT.shape[1] - 1)].flatten(0, 1)
            return pieces if dense else pieces[rows]

        if kwargs.get("token_type_ids") is not None:
            kwargs["token_type_ids"] = cut(kwargs["token_type_ids"])
        mask_RC = read_BWC.flatten(0, 1) if dense else read_BWC.flatten(0, 1)[rows]
        output = self._read(cut(input_ids), mask_RC, cut(inputs_embeds), **kwargs)

        def join(values_RCD: torch.Tensor) -> torch.Tensor:
            if not dense:
                whole = values_RCD.new_zeros(rows.shape[0], *values_RCD.shape[1:])
                values_RCD = whole.index_put((rows,), values_RCD)
            tokens_BND = values_RCD.reshape(len(mask_BT), -1, values_RCD.shape[-1])
            return take_tokens(take_tokens(tokens_BND, chunks.chosen_BT), back_BT)

        states = output.hidden_states
        return EncoderOutput(
            join(output.last_hidden_state), None if states is None else tuple(join(state) for state in states)
        )


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
