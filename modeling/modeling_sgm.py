"""SGM: the label set of a document is written as a sequence, one label a step, until the end.

An encoder reads the document, a recurrent decoder attends to it and gives labels, each knowing the ones before; no label
comes twice (Yang and others, "SGM: Sequence Generation Model for Multi-Label Classification", COLING 2018). Here is the model
around encoder (sgm_encoder.py) and decoder (sgm_decoder.py): its parts and its `forward`. How it is trained, what it answers with,
how `generate` sees it and what it tells of its reasons are mixed in: sgm_losses.py, sgm_answers.py, sgm_generation.py, sgm_evidence.py.

Decoding costs as many steps as there are labels in a document's set, and one, whatever the number of labels is.

Shape legend: B documents, m tokens or patches, D width of the encoder, E width of a word vector, L labels, P label ids a document,
V = L + 3 ids of the decoder (padding, begin, end, labels), T steps, K beams, R = B x K rows.
"""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import GenerationConfig, GenerationMixin
from transformers import initialization as init
from transformers.utils import logging

from .configuration_sgm import SgmConfig
from .label_sequences import EOS, LABEL_OFFSET
from .multi_label import MultiLabelOutput
from .planted_readout import LinearReadout
from .sgm_answers import SgmAnswers
from .sgm_auxiliary import LabelWiseHead, PooledHead
from .sgm_decoder import SgmDecoder
from .sgm_encoder import SgmEncoder, SgmEncoderOutput
from .sgm_evidence import SgmEvidence
from .sgm_generation import SPECIAL_IDS, TARGETS, SgmGeneration
from .sgm_losses import SgmLosses
from .sgm_state import SgmMemory, SgmState
from .text_model import TextPreTrainedModel
from .tfidf_path import TfidfPath


logger = logging.get_logger(__name__)


@dataclass
class SgmOutput(MultiLabelOutput):
    r"""
    Output of [`SgmForMultiLabelClassification`], what [`MultiLabelOutput`] holds and:

    Args:
        sequences (`torch.LongTensor` of shape `(B, K, T)`, *optional*, returned with `output_sequences=True`):
            what the search found, best first: ids of the decoder's vocabulary, label l as l + 3, the end 2, padding 0.
        sequence_scores (`torch.FloatTensor` of shape `(B, K)`, *optional*, returned with `output_sequences=True`):
            their log-probabilities; -inf where fewer than K were found.
        auxiliary_logits (`torch.FloatTensor` of shape `(B, L)`, *optional*, returned with `output_sequences=True`):
            of the auxiliary head, where there is one.
        past_key_values (`SgmState`, *optional*): the decoder's state, in a step of `generate`.
        cross_attentions (`tuple(torch.FloatTensor)`, *optional*):
            in a step of `generate` with `output_attentions=True`: where it looked, `(R, 1, T, m)`.
        decoder_attentions, decoder_hidden_states (*optional*): always `None`; `generate` asks for them.
    """

    sequences: torch.LongTensor | None = None
    sequence_scores: torch.FloatTensor | None = None
    auxiliary_logits: torch.FloatTensor | None = None
    past_key_values: SgmState | None = None
    cross_attentions: tuple[torch.FloatTensor, ...] | None = None
    decoder_attentions: tuple[torch.FloatTensor, ...] | None = None
    decoder_hidden_states: tuple[torch.FloatTensor, ...] | None = None


class SgmPreTrainedModel(TextPreTrainedModel):
    """Initialisation and what transformers wants to know about the architecture."""

    config: SgmConfig

    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
        elif isinstance(module, (nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell)):
            for name, parameter in module.named_parameters():
                if "weight_hh" in name:
                    init.orthogonal_(parameter)
                elif "weight" in name:
                    init.xavier_uniform_(parameter)
                elif "bias_ih" in name and isinstance(module, (nn.LSTM, nn.LSTMCell)):
                    # cells remember at first: their forget gate, the second quarter, starts open
                    start = torch.zeros_like(parameter)
                    start[module.hidden_size : 2 * module.hidden_size] = 1.0
                    init.copy_(parameter, start)
                else:
                    init.zeros_(parameter)
        elif isinstance(module, (PooledHead, LabelWiseHead)):
            bound = module.weight.shape[1] ** -0.5
            init.uniform_(module.weight, -bound, bound)
            init.zeros_(module.bias)
        elif isinstance(module, LinearReadout):
            init.zeros_(module.weight)
            init.zeros_(module.bias)
            init.constant_(module.tokens, -1)
            init.ones_(module.idf)
        elif isinstance(module, TfidfPath):
            init.normal_(module.projection)  # of a vector of length 1: its numbers have deviation 1
            init.ones_(module.idf)

    @property
    def linear_readout(self) -> LinearReadout | None:
        return self.encoder.readout


class SgmForMultiLabelClassification(
    SgmLosses, SgmAnswers, SgmEvidence, SgmGeneration, SgmPreTrainedModel, GenerationMixin
):
    """An encoder and a decoder of label sequences; what `AutoModel` returns for `model_type` "sgm"."""

    def __init__(self, config: SgmConfig):
        super().__init__(config)
        self.encoder = SgmEncoder(config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.decoder = SgmDecoder(config)
        self._begin_losses()
        self.auxiliary = None
        if config.has_label_wise_encoder:
            self.auxiliary = LabelWiseHead(config)
        elif config.auxiliary_weight > 0:
            self.auxiliary = PooledHead(config)
        if config.encoder == "image":
            self.main_input_name, self.input_modalities = "pixel_values", ("image",)
            backbone = self.encoder.backbone
            self.supports_gradient_checkpointing = getattr(backbone, "supports_gradient_checkpointing", False)
        self.post_init()
        # the ids of the label vocabulary; those of the text's stay in the configuration
        self.generation_config = GenerationConfig(**SPECIAL_IDS)

    # -- parts that others ask for -------------------------------------------------------------------------------------

    def get_encoder(self, modality: str | None = None) -> SgmEncoder:
        return self.encoder

    def get_decoder(self) -> SgmDecoder:
        return self.decoder

    @property
    def planted_parameters(self) -> tuple[str, ...]:
        """How the names of the parameters begin that come with knowledge of their own and should change slowly."""
        return () if self.encoder.tfidf is None else ("encoder.tfidf.",)

    @property
    def reads_token_ids(self) -> bool:
        return self.encoder.looks_up_tokens

    def resize_token_embeddings(self, *args, **kwargs) -> nn.Module:
        """As `PreTrainedModel.resize_token_embeddings`; refused where tf-idf weights are looked up, of the tokens that training knew."""
        if self.encoder.looks_up_tokens and (args or kwargs):
            raise ValueError(
                "tf-idf weights are of the tokens that training knew: train a new model with the larger vocabulary"
            )
        return super().resize_token_embeddings(*args, **kwargs)

    def output_bias(self) -> nn.Parameter | None:
        return None if self.auxiliary is None else self.auxiliary.bias

    @torch.no_grad()
    def set_training_statistics(self, counts_L: torch.Tensor, num_documents: int) -> None:
        """As `MultiLabelPreTrainedModel.set_training_statistics`; the decoder's read-out starts at the shares that labels and
        ends have of all that is to be written."""
        super().set_training_statistics(counts_L, num_documents)
        self._warn_of_idle_settings()
        if self.encoder.readout is not None:  # the machines' log-odds know how frequent labels are; the end's are even
            self.decoder.output.bias.zero_()
            return
        counts_L = counts_L.to(torch.float64) + 0.5
        total = counts_L.sum() + num_documents
        self.decoder.output.bias[LABEL_OFFSET:] = torch.log(counts_L / total).to(self.decoder.output.bias)
        self.decoder.output.bias[EOS] = torch.log(max(num_documents, 1) / total).to(self.decoder.output.bias)

    def _warn_of_idle_settings(self) -> None:
        """Says which settings change nothing, or less than one would think: of the per-label loss where no head is trained by it, a second
        weight of the set's loss, and rules of the search where thresholds decide."""
        config = self.config
        if config.set_bce_weight and config.sequence_loss == "set_bce":
            logger.warning("set_bce_weight will change nothing: it is of 'set_bce' beside another sequence_loss")
        rules = [name for name in ("max_labels", "label_parents", "label_exclusions") if getattr(config, name)]
        if rules and config.decision == "thresholds":
            logger.warning(
                f"{' and '.join(rules)}: kept by every sequence that scores come from, but not by the labels that reach a "
                "threshold; decision='sequence' or 'expected_f1' answers with such sets alone"
            )
        usual = {"loss": "bce", "use_pos_weight": False, "label_smoothing": 0}
        given = [name for name, value in usual.items() if getattr(config, name) != value]
        if given and not config.auxiliary_weight:
            logger.warning(
                f"{' and '.join(given)} will change nothing: of the auxiliary head, and auxiliary_weight is 0; sequences "
                "are trained by sequence_loss"
            )

    # -- forward -----------------------------------------------------------------------------------------------------

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        pixel_values: torch.FloatTensor | None = None,
        labels: torch.Tensor | None = None,
        label_ids: torch.LongTensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        encoder_outputs: SgmEncoderOutput | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        past_key_values: SgmState | None = None,
        use_cache: bool | None = None,
        output_sequences: bool | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> SgmOutput | tuple:
        r"""
        In evaluation mode, `logits` are of the scores that `config.scores` names, from a search. In training mode with targets
        no search is made: `logits` then are of each label's probability of being written along the training sequence,
        without a gradient.

        Args:
            input_ids (`torch.LongTensor` of shape `(B, m)`, *optional*): token ids; this, `inputs_embeds` or `pixel_values`.
            attention_mask (`torch.Tensor` of shape `(B, m)`, *optional*):
                1 for text, 0 for padding, in any places; if not given, everything but the padding token is text.
            token_type_ids (`torch.LongTensor` of shape `(B, m)`, *optional*): for backbones that take them.
            inputs_embeds (`torch.Tensor` of shape `(B, m, E)`, *optional*): word vectors in place of ids.
            pixel_values (`torch.FloatTensor` of shape `(B, C, H, W)`, *optional*): of the encoder `"image"`.
            labels (`torch.Tensor` of shape `(B, L)`, *optional*):
                multi-hot targets, any dtype; -100 is unknown: such a label is neither written nor counted against.
            label_ids (`torch.LongTensor` of shape `(B, P)`, *optional*): the same as ids in any order, padded with -100.
            num_items_in_batch (`int` or `torch.Tensor`, *optional*): documents in the whole optimiser step.
            encoder_outputs (`SgmEncoderOutput`, *optional*): of `get_encoder()`, in place of the inputs.
            decoder_input_ids (`torch.LongTensor` of shape `(R, T)`, *optional*):
                A step of `generate`: `logits` are the log-probabilities `(R, T, V)` of what may come after each id.
            past_key_values (`SgmState`, *optional*): the decoder's state before these ids.
            use_cache (`bool`, *optional*, defaults to `True`): return the state after them.
            output_sequences (`bool`, *optional*, defaults to `False`): return what the search found as well.
            output_hidden_states, output_attentions (`bool`, *optional*): return the encoder's as well.
            return_dict (`bool`, *optional*): a [`SgmOutput`] (the default) or a tuple of what isn't `None`.
        """
        config = self.config
        output_hidden_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        output_attentions = config.output_attentions if output_attentions is None else output_attentions
        return_dict = config.return_dict if return_dict is None else return_dict
        if encoder_outputs is None and past_key_values is None:
            encoder_outputs = self.encoder(
                input_ids=input_ids,
                attention_mask=attention_mask,
                token_type_ids=token_type_ids,
                inputs_embeds=inputs_embeds,
                pixel_values=pixel_values,
                output_hidden_states=output_hidden_states,
                output_attentions=output_attentions,
            )
        if decoder_input_ids is not None:
            output = self._continue(decoder_input_ids, past_key_values, encoder_outputs, use_cache, output_attentions)
            return output if return_dict else output.to_tuple()

        memory = self._memory(encoder_outputs)
        loss, logits_BL = None, None
        if labels is not None or label_ids is not None:
            loss, logits_BL = self._loss(memory, labels, label_ids, num_items_in_batch)
        found, chosen_BL = None, None
        if output_sequences or not self.training or logits_BL is None:
            logits_BL, chosen_BL, found = self._scores(memory, wants_sequences=bool(output_sequences))
        output = SgmOutput(
            loss=loss,
            logits=logits_BL,
            chosen=chosen_BL,
            hidden_states=encoder_outputs.hidden_states,
            attentions=encoder_outputs.attentions,
            sequences=found.sequences_BKT if output_sequences else None,
            sequence_scores=found.scores_BK if output_sequences else None,
            auxiliary_logits=memory.auxiliary_logits_BL if output_sequences else None,
        )
        return output if return_dict else output.to_tuple()

    def encode(self, **inputs: torch.Tensor) -> SgmMemory:
        """What the decoder reads of a batch; takes what `forward` takes, targets are ignored."""
        inputs = {name: value for name, value in inputs.items() if name not in TARGETS}
        return self._memory(self.encoder(**inputs))

    def _memory(self, encoded: SgmEncoderOutput) -> SgmMemory:
        hidden_BmD = self.dropout(encoded.last_hidden_state)
        parts = {}
        if self.auxiliary is not None:
            vectors_VE = self.decoder.label_embeddings.weight
            logits_BL, summary_BD = self.auxiliary(hidden_BmD, encoded.mask, vectors_VE)
            parts = {"auxiliary_logits_BL": logits_BL, "summary_BD": summary_BD}
        parts |= {"tfidf_BF": encoded.tfidf, "log_odds_BL": encoded.log_odds}
        return self.decoder.memory(hidden_BmD, encoded.mask, **parts)

    def _continue(self, ids_RT, state: SgmState | None, encoded, use_cache, output_attentions) -> SgmOutput:
        """Log-probabilities after each of the ids, and the state after the last one."""
        if state is None:
            memory = self._memory(encoded)
            state = self.decoder.initial_state(memory)
            state.memory = memory
        settings = {"constraints": self.constraints(), "end_bias": self.config.end_bias}
        log_probs, attentions = [], []
        for ids_R in ids_RT.unbind(dim=1):
            log_probs_RV, state = self.decoder.step(ids_R, state, state.memory, **settings)
            log_probs.append(log_probs_RV)
            attentions.append(state.attention_Rm)
        return SgmOutput(
            logits=torch.stack(log_probs, dim=1),
            past_key_values=None if use_cache is False else state,
            cross_attentions=(torch.stack(attentions, dim=1)[:, None],) if output_attentions else None,
        )


__all__ = ["SgmForMultiLabelClassification", "SgmOutput", "SgmPreTrainedModel"]
