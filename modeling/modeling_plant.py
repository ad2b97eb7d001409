"""PLANT: every label reads the document with an attention of its own.

A text encoder gives a vector a token; each label's query weighs the tokens, and the weighted mean, the label's own view
of the document, is read out by the label's own weights (Roy and others, "PLANT", arXiv:2410.23066; the learned part of
it is the label-wise attention of CAML, Mullenbach et al., 2018). Classes run from leaf to root.

Shape legend: B documents, T tokens, L labels, D hidden width, S chosen labels, K top labels.
"""

import torch
from torch import nn
from transformers import initialization as init

from .configuration_plant import PlantConfig
from .label_attention import label_attention, label_attention_weights
from .multi_label import MultiLabelOutput, MultiLabelPreTrainedModel
from .text_encoder import EncoderOutput, build_text_encoder


class PlantLabelDecoder(nn.Module):
    """Label-wise attention and read-out: `logit_l = w_l . sum_t a_lt h_t + b_l`, `a_l = softmax_t(e_l . h_t)`."""

    def __init__(self, config: PlantConfig):
        super().__init__()
        self.attention_implementation = config.attention_implementation
        self.attention_block_size = config.attention_block_size
        self.query = nn.Parameter(torch.empty(config.num_labels, config.hidden_size))  # e
        self.weight = nn.Parameter(
            torch.empty(config.num_labels, config.hidden_size)
        )  # w, "boost" in the authors' code
        self.bias = nn.Parameter(torch.empty(config.num_labels))  # b

    def forward(
        self, hidden_BTD: torch.Tensor, mask_BT: torch.Tensor, rows: slice | torch.LongTensor = slice(None)
    ) -> torch.Tensor:
        """Logits `(B, L)`, or those of the labels in `rows`."""
        context_BLD = label_attention(
            self.query[rows],
            hidden_BTD,
            hidden_BTD,
            mask_BT,
            implementation=self.attention_implementation,
            block_size=self.attention_block_size,
        )
        return (context_BLD * self.weight[rows]).sum(dim=-1) + self.bias[rows]


class PlantPreTrainedModel(MultiLabelPreTrainedModel):
    """Initialisation and what transformers wants to know about the architecture."""

    config: PlantConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    input_modalities = ("text",)
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def _init_weights(self, module):
        if isinstance(module, nn.Embedding):
            # the word vectors: a backbone initialises its own. (The module around them has no parameters, and
            # transformers passes over such modules of code that isn't its own.)
            init.normal_(module.weight, std=self.config.embedding_std)
            if module.padding_idx is not None and not getattr(module.weight, "_is_hf_initialized", False):
                init.zeros_(module.weight[module.padding_idx])
            return
        super()._init_weights(module)
        if isinstance(module, PlantLabelDecoder):
            # small queries: attention starts near uniform, so every token is heard before a label makes its choice
            init.normal_(module.query, std=0.05)
            bound = self.config.hidden_size**-0.5
            init.uniform_(module.weight, -bound, bound)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Conv1d):
            init.kaiming_uniform_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.GRU):
            for name, parameter in module.named_parameters():
                if "weight" in name:
                    init.xavier_uniform_(parameter)
                else:
                    init.zeros_(parameter)


class PlantForMultiLabelClassification(PlantPreTrainedModel):
    """A text encoder with label-wise attention on top; what `AutoModel` returns for `model_type` "plant"."""

    def __init__(self, config: PlantConfig):
        super().__init__(config)
        # a bag of words has no layers whose activations could be recomputed: asking for it is an error there
        self.supports_gradient_checkpointing = config.encoder != "bag_of_words"
        self.encoder = build_text_encoder(config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.decoder = PlantLabelDecoder(config)
        self.post_init()

    def get_input_embeddings(self):
        if self.config.encoder == "transformer":
            return self.encoder.backbone.get_input_embeddings()
        return self.encoder.embeddings.word_embeddings

    def set_input_embeddings(self, value):
        if self.config.encoder == "transformer":
            self.encoder.backbone.set_input_embeddings(value)
        else:
            self.encoder.embeddings.word_embeddings = value

    def output_bias(self) -> nn.Parameter:
        return self.decoder.bias

    def _mask(self, input_ids, attention_mask, inputs_embeds) -> torch.BoolTensor:
        """Which positions are text: the given mask, else everything that isn't the padding token."""
        if attention_mask is not None:
            return attention_mask.bool()
        if input_ids is not None and self.config.pad_token_id is not None:
            return input_ids != self.config.pad_token_id
        shape = (input_ids if input_ids is not None else inputs_embeds).shape[:2]
        device = (input_ids if input_ids is not None else inputs_embeds).device
        return torch.ones(shape, dtype=torch.bool, device=device)

    def _encode(self, mask_BT, input_ids, inputs_embeds, token_type_ids, **outputs) -> EncoderOutput:
        """The token vectors; with `output_hidden_states` or `output_attentions`, those of the layers as well."""
        if self.config.encoder == "transformer" and token_type_ids is not None:
            outputs["token_type_ids"] = token_type_ids
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
            input_ids (`torch.LongTensor` of shape `(B, T)`, *optional*): token ids; this or `inputs_embeds`.
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
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of `input_ids` and `inputs_embeds`")
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
        logits_BL = self.decoder(self.dropout(encoded.last_hidden_state), mask_BT)
        loss = self.compute_loss(logits_BL, labels=labels, label_ids=label_ids, num_items_in_batch=num_items_in_batch)
        output = MultiLabelOutput(
            loss=loss,
            logits=logits_BL,
            hidden_states=encoded.hidden_states if output_hidden_states else None,
            attentions=encoded.attentions if output_attentions else None,
        )
        return output if return_dict else output.to_tuple()

    @torch.no_grad()
    def predict_topk(self, batch, k: int = 5, block_size: int = 4096) -> tuple[torch.LongTensor, torch.FloatTensor]:
        """As `MultiLabelPreTrainedModel.predict_topk`, scoring `block_size` labels at a time."""
        input_ids, inputs_embeds = batch.get("input_ids"), batch.get("inputs_embeds")
        mask_BT = self._mask(input_ids, batch.get("attention_mask"), inputs_embeds)
        hidden_BTD = self._encode(mask_BT, input_ids, inputs_embeds, batch.get("token_type_ids")).last_hidden_state
        best_values, best_ids = None, None
        for start in range(0, self.config.num_labels, block_size):
            logits = self.decoder(hidden_BTD, mask_BT, slice(start, start + block_size)).float()
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
        """How much each token weighs for each of the chosen labels, `(B, S, T)`: rows sum to 1, padding is 0."""
        mask_BT = self._mask(input_ids, attention_mask, inputs_embeds)
        hidden_BTD = self._encode(mask_BT, input_ids, inputs_embeds, token_type_ids).last_hidden_state
        return label_attention_weights(self.decoder.query[chosen_ids_S], hidden_BTD, mask_BT)

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
        2021). What the encoder moved into `h_t` from other tokens counts for token t.
        """
        mask_BT = self._mask(input_ids, attention_mask, inputs_embeds)
        hidden_BTD = self._encode(mask_BT, input_ids, inputs_embeds, token_type_ids).last_hidden_state
        weights_BST = label_attention_weights(self.decoder.query[chosen_ids_S], hidden_BTD, mask_BT)
        return weights_BST * (self.decoder.weight[chosen_ids_S] @ hidden_BTD.transpose(1, 2))

    def label_logits(
        self,
        chosen_ids_S: torch.LongTensor,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
    ) -> torch.FloatTensor:
        """As `MultiLabelPreTrainedModel.label_logits`; the other labels are left out of the computation."""
        mask_BT = self._mask(input_ids, attention_mask, inputs_embeds)
        hidden_BTD = self._encode(mask_BT, input_ids, inputs_embeds, token_type_ids).last_hidden_state
        return self.decoder(self.dropout(hidden_BTD), mask_BT, chosen_ids_S)


__all__ = ["PlantForMultiLabelClassification", "PlantPreTrainedModel"]
