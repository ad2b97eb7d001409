"""PLANT: every label reads the document with an attention of its own.

A text encoder gives a vector a token; each label weighs the tokens, and the weighted sum, the label's own view of the
document, is read out by the label's own weights. The weights are learned (as in CAML, Mullenbach et al., 2018), and,
with `planting="attention"`, planted as well: from statistics of the training documents (planted_attention.py; Roy and
others, "PLANT", arXiv:2410.23066). The decoder is in plant_decoder.py; here are the model around it, its window and state.

Shape legend: B documents, T tokens, t tokens of a chunk, L labels, D hidden width, S chosen labels.
"""

import torch
from torch import nn
from transformers import initialization as init

from .configuration_plant import PlantConfig
from .encoder_parts import text_mask
from .expected_tokens import ExpectedTokens
from .label_sampling import draw_labels, ids_of_labels
from .multi_label import MultiLabelOutput
from .plant_decoder import PlantLabelDecoder
from .planted_attention import MutualInformationAttention, RankedAttention
from .planted_readout import PlantedReadout
from .text_encoder import EncoderOutput, build_text_encoder, take_tokens, tokens_first
from .text_model import TextPreTrainedModel
from .xcube_decoder import XcubeLabelDecoder


class PlantPreTrainedModel(TextPreTrainedModel):
    """Initialisation and what transformers wants to know about the architecture."""

    config: PlantConfig

    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, PlantLabelDecoder):
            # small queries: attention starts near uniform, so every token is heard before a label makes its choice
            if module.query is not None:
                init.normal_(module.query, std=0.05)
            if module.mix is not None:
                init.ones_(module.mix)
            bound = self.config.hidden_size**-0.5
            init.uniform_(module.weight, -bound, bound)
            init.zeros_(module.bias)
            if isinstance(module, XcubeLabelDecoder) and module.label_bias is not None:
                init.zeros_(module.label_bias)
        elif isinstance(module, ExpectedTokens):
            init.zeros_(module.bias)
        elif isinstance(module, MutualInformationAttention):
            init.constant_(module.tokens, -1)
            init.zeros_(module.values)
        elif isinstance(module, PlantedReadout):
            init.constant_(module.tokens, -1)
            init.ones_(module.idf)
            init.zeros_(module.weight)
        elif isinstance(module, RankedAttention):
            init.normal_(module.token_factors, std=module.token_factors.shape[1] ** -0.25)  # scores of deviation 1
            init.normal_(module.label_factors, std=module.label_factors.shape[1] ** -0.25)
            init.zeros_(module.token_bias)
        else:
            self._init_reader(module)


class PlantForMultiLabelClassification(PlantPreTrainedModel):
    """A text encoder with label-wise attention on top; what `AutoModel` returns for `model_type` "plant"."""

    def __init__(self, config: PlantConfig):
        super().__init__(config)
        # a bag of words has no layers whose activations could be recomputed: asking for it is an error there
        self.supports_gradient_checkpointing = config.encoder != "bag_of_words"
        self.encoder = build_text_encoder(config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.decoder = XcubeLabelDecoder(config) if config.compat == "xcube" else PlantLabelDecoder(config)
        self.expected = ExpectedTokens(config) if config.ranked_tokens == "expected" else None
        self.post_init()

    @property
    def planted_parameters(self) -> tuple[str, ...]:
        """How the names of the parameters begin that come with knowledge of their own and should change slowly."""
        parts = [("ranked", self.decoder.ranked), ("readout", self.decoder.readout)]
        learning = [
            name for name, part in parts if part is not None and any(p.requires_grad for p in part.parameters())
        ]
        return tuple(f"decoder.{name}." for name in learning)

    @property
    def reads_token_ids(self) -> bool:
        return self.decoder.is_planted

    @property
    def linear_readout(self) -> PlantedReadout | None:
        return self.decoder.readout if self.config.has_linear_readout else None

    def resize_token_embeddings(self, *args, **kwargs) -> nn.Module:
        """As `PreTrainedModel.resize_token_embeddings`; refused where what was planted has a row of its own for every token."""
        if self.decoder.is_planted and (args or kwargs):
            raise ValueError(
                "the planted parts have a row for each token that training knew: train a new model with the larger vocabulary"
            )
        return super().resize_token_embeddings(*args, **kwargs)

    def output_bias(self) -> nn.Parameter:
        return self.decoder.bias

    def _mask(self, input_ids, attention_mask, inputs_embeds) -> torch.BoolTensor:
        """Which positions are text: the given mask, else everything that isn't the padding token."""
        return text_mask(input_ids, attention_mask, inputs_embeds, self.config.pad_token_id)

    def _check_inputs(self, input_ids, inputs_embeds) -> None:
        if self.reads_token_ids:
            if input_ids is None:
                raise ValueError("planted attention looks tokens up by their `input_ids`, and none were given")
        elif (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of `input_ids` and `inputs_embeds`")

    def _encode(self, mask_BT, input_ids, inputs_embeds, token_type_ids, **outputs) -> EncoderOutput:
        """The token vectors; with `output_hidden_states` or `output_attentions`, those of the layers as well."""
        if self.config.encoder == "transformer" and token_type_ids is not None:
            outputs["token_type_ids"] = token_type_ids
        input_ids = input_ids if inputs_embeds is None else None
        return self.encoder(input_ids, mask_BT, inputs_embeds, **outputs)

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        label_ids: torch.LongTensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> MultiLabelOutput | tuple:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(B, T)`, *optional*):
                token ids; this or `inputs_embeds`. Planted attention needs them beside `inputs_embeds` too.
            attention_mask (`torch.Tensor` of shape `(B, T)`, *optional*):
                1 for text, 0 for padding, in any places; if not given, everything but the padding token is text. A
                document without text gets the output bias alone.
            token_type_ids (`torch.LongTensor` of shape `(B, T)`, *optional*): for backbones that take them.
            inputs_embeds (`torch.Tensor` of shape `(B, T, E)`, *optional*): word vectors in place of ids.
            labels (`torch.Tensor` of shape `(B, L)`, *optional*): multi-hot targets, any dtype; -100 is unknown.
            label_ids (`torch.LongTensor` of shape `(B, P)`, *optional*): the same as ids, padded with -100.
            num_items_in_batch (`int` or `torch.Tensor`, *optional*): documents in the whole optimiser step.
            output_hidden_states, output_attentions (`bool`, *optional*): return the encoder's as well.
            return_dict (`bool`, *optional*): a [`MultiLabelOutput`] (the default) or a tuple of what isn't `None`.
        """
        self._check_inputs(input_ids, inputs_embeds)
        config = self.config
        output_hidden_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        output_attentions = config.output_attentions if output_attentions is None else output_attentions
        return_dict = config.return_dict if return_dict is None else return_dict
        mask_BT = self._mask(input_ids, attention_mask, inputs_embeds)
        encoded = self._encode(
            mask_BT,
            input_ids,
            inputs_embeds,
            token_type_ids,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
        )
        rows, candidate_ids, column_weights = slice(None), None, None
        if self.training and config.sampled_labels is not None and (labels is not None or label_ids is not None):
            present = ids_of_labels(labels) if label_ids is None else label_ids
            rows, column_weights = draw_labels(present, config.num_labels, config.sampled_labels)
            candidate_ids = rows.expand(len(mask_BT), -1)
        logits_BL = self._decode(encoded.last_hidden_state, mask_BT, input_ids, rows)
        loss = self.compute_loss(
            logits_BL,
            labels=labels,
            label_ids=label_ids,
            candidate_ids=candidate_ids,
            column_weights=column_weights,
            num_items_in_batch=num_items_in_batch,
        )
        output = MultiLabelOutput(
            loss=loss,
            logits=logits_BL,
            candidate_ids=candidate_ids,
            hidden_states=encoded.hidden_states if output_hidden_states else None,
            attentions=encoded.attentions if output_attentions else None,
        )
        return output if return_dict else output.to_tuple()

    def _decode(self, hidden_BTD, mask_BT, input_ids_BT=None, rows: slice | torch.LongTensor = slice(None)):
        """Logits of the labels in `rows`, `(B, L)`: of the window at the documents' ends, with what was read before it."""
        ranked_ids_BT = self._ranked_ids(hidden_BTD)  # before dropout: with it, training would expect other tokens
        hidden_BTD = self.dropout(hidden_BTD)
        if self.config.window is None:
            return self.decoder(hidden_BTD, mask_BT, rows, input_ids_BT, ranked_ids_BT)
        in_window_BT, early_B = self._window(mask_BT)
        state_BL = None
        if self.config.stateful:
            state_BL = self._read_early(hidden_BTD, mask_BT, input_ids_BT, early_B, ranked_ids_BT)
        logits_BL = self.decoder(hidden_BTD, in_window_BT, rows, input_ids_BT, ranked_ids_BT)
        return logits_BL if state_BL is None else logits_BL + state_BL[:, rows].to(logits_BL.dtype)

    def _ranked_ids(self, hidden_BTD: torch.Tensor) -> torch.LongTensor | None:
        """The tokens that the ranked attention scores, where they aren't those that are read."""
        return None if self.expected is None else self.expected(hidden_BTD, self.get_input_embeddings().weight)

    def _window(self, mask_BT: torch.BoolTensor) -> tuple[torch.BoolTensor, torch.LongTensor]:
        """Which tokens are in the window, and how many of each document stand before it."""
        if self.config.window is None:
            return mask_BT, mask_BT.new_zeros(mask_BT.shape[0], dtype=torch.long)
        early_B = (mask_BT.sum(dim=1) - self.config.window).clamp(min=0)
        return mask_BT & (mask_BT.cumsum(dim=1) > early_B[:, None]), early_B

    def _read_early(self, hidden_BTD, mask_BT, input_ids_BT, early_B, ranked_ids_BT=None) -> torch.Tensor:
        """The decoder's state after the tokens before the window, `(B, L)`: what the last of their chunks was surest of.

        A chunk is read with the state before it added to its logits; the probabilities of its `state_topk` best labels
        are the state after it, that of all others is 0. (In the authors' code the others get sigmoid(0), a half.)
        """
        if getattr(torch.compiler, "is_exporting", bool)():  # a graph would keep the number of chunks of its sample
            raise ValueError("a decoder that reads what stands before its window (`stateful`) can't be exported")
        length, config = self.config.chunk_length, self.config
        order_BT, _ = tokens_first(mask_BT)
        hidden_BTD = take_tokens(hidden_BTD, order_BT)
        ids = [None if ids_BT is None else ids_BT.gather(1, order_BT) for ids_BT in (input_ids_BT, ranked_ids_BT)]
        places_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
        num_chunks_B = -(-early_B // length)
        state_BL = torch.zeros(len(mask_BT), config.num_labels, device=hidden_BTD.device)
        for number in range(int(num_chunks_B.max())):
            chunk = slice(number * length, (number + 1) * length)
            learns_B = number >= num_chunks_B - config.state_gradient_chunks
            # one after the other, and neither for documents that have been read: a graph holds what all of its rows came from
            for learns, rows_B in ((False, ~learns_B), (True, learns_B)):
                rows_R = (rows_B & (number < num_chunks_B)).nonzero().squeeze(1)
                if not len(rows_R):
                    continue
                mask_Rt = places_T[None, chunk] < early_B[rows_R, None]
                ids_Rt, ranked_ids_Rt = (None if ids_BT is None else ids_BT[rows_R, chunk] for ids_BT in ids)
                with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
                    logits_RL = self.decoder(hidden_BTD[rows_R, chunk], mask_Rt, slice(None), ids_Rt, ranked_ids_Rt)
                    read_RL = self.decoder.state_after(logits_RL + state_BL[rows_R], config.state_topk)
                state_BL = state_BL.index_copy(0, rows_R, read_RL.to(state_BL.dtype))
        return state_BL

    @torch.no_grad()
    def predict_topk(self, batch, k: int = 5, block_size: int = 4096) -> tuple[torch.LongTensor, torch.FloatTensor]:
        """As `MultiLabelPreTrainedModel.predict_topk`, scoring `block_size` labels at a time."""
        input_ids, inputs_embeds = batch.get("input_ids"), batch.get("inputs_embeds")
        if self.config.shortlist_size is not None or (self.config.window is not None and self.config.stateful):
            return super().predict_topk(batch, k)  # shortlist and state are of all labels
        self._check_inputs(input_ids, inputs_embeds)
        mask_BT = self._mask(input_ids, batch.get("attention_mask"), inputs_embeds)
        hidden_BTD = self._encode(mask_BT, input_ids, inputs_embeds, batch.get("token_type_ids")).last_hidden_state
        best_values, best_ids = None, None
        for start in range(0, self.config.num_labels, block_size):
            logits = self._decode(hidden_BTD, mask_BT, input_ids, slice(start, start + block_size)).float()
            values, ids = logits.topk(min(k, logits.shape[1]), dim=1)
            ids = ids + start
            if best_values is not None:
                values, ids = torch.cat([best_values, values], 1), torch.cat([best_ids, ids], 1)
                values, places = values.topk(min(k, values.shape[1]), dim=1)
                ids = ids.gather(1, places)
            best_values, best_ids = values, ids
        return best_ids, best_values.sigmoid()

    @torch.no_grad()
    def token_weights(
        self,
        chosen_ids_S: torch.LongTensor,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
    ) -> torch.FloatTensor:
        """How much each token weighs for each of the chosen labels, `(B, S, T)`: rows sum to 1, padding is 0.

        Of all attentions together; a row is all 0 where none of them finds a token.
        """
        read = self._read(chosen_ids_S, input_ids, attention_mask, inputs_embeds, token_type_ids)
        weights_BST = self.decoder.attention_weights(*read)
        weights_BST = weights_BST.clamp(min=0)  # a learned mix may turn an attention round
        return weights_BST / weights_BST.sum(dim=2, keepdim=True).clamp(min=1e-12)

    @torch.no_grad()
    def token_contributions(
        self,
        chosen_ids_S: torch.LongTensor,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
    ) -> torch.FloatTensor:
        """Each token's share of the chosen labels' logits, `(B, S, T)`; padding is 0.

        The read-out is linear, so a logit is the sum over tokens of `a_lt (w_l . h_t)`, plus the bias: exactly, without
        gradients ("direct logit attribution", Elhage et al., "A Mathematical Framework for Transformer Circuits",
        2021). With `planted_readout`, what a token adds there is in its share. What the encoder moved into `h_t` from
        other tokens counts for token t; what a stateful decoder read before its window is no token's.
        """
        read = self._read(chosen_ids_S, input_ids, attention_mask, inputs_embeds, token_type_ids)
        return self.decoder.contributions(*read)

    def label_logits(
        self,
        chosen_ids_S: torch.LongTensor,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
    ) -> torch.FloatTensor:
        """As `MultiLabelPreTrainedModel.label_logits`; the other labels are left out of the computation, but for the
        read-out where there is a shortlist."""
        self._check_inputs(input_ids, inputs_embeds)
        mask_BT = self._mask(input_ids, attention_mask, inputs_embeds)
        hidden_BTD = self._encode(mask_BT, input_ids, inputs_embeds, token_type_ids).last_hidden_state
        return self._decode(hidden_BTD, mask_BT, input_ids, chosen_ids_S)

    def _read(self, chosen_ids_S, input_ids, attention_mask, inputs_embeds, token_type_ids):
        """What the decoder weighs for the chosen labels: token vectors, which are in the window, labels, token ids."""
        self._check_inputs(input_ids, inputs_embeds)
        mask_BT = self._mask(input_ids, attention_mask, inputs_embeds)
        hidden_BTD = self._encode(mask_BT, input_ids, inputs_embeds, token_type_ids).last_hidden_state
        in_window_BT, _ = self._window(mask_BT)
        return hidden_BTD, in_window_BT, chosen_ids_S, input_ids, self._ranked_ids(hidden_BTD)


__all__ = ["PlantForMultiLabelClassification", "PlantPreTrainedModel"]
