"""SGM: the label set of a document is written as a sequence, one label a step, until the end.

An encoder reads the document, a recurrent decoder attends to it and gives labels, each knowing the ones before; no label
comes twice (Yang and others, "SGM: Sequence Generation Model for Multi-Label Classification", COLING 2018). Here are the model
around encoder (sgm_encoder.py) and decoder (sgm_decoder.py), its losses, and the ways from sequences to a score a label.

Decoding costs as many steps as there are labels in a document's set, and one, whatever the number of labels is.

Shape legend: B documents, m tokens or patches, D width of the encoder, L labels, P label ids a document, V = L + 3 ids of
the decoder (padding, begin, end, labels), T steps, K beams, R = B x K rows, S chosen labels.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig, GenerationMixin, LogitsProcessorList
from transformers import initialization as init

from .configuration_sgm import SgmConfig
from .label_attention import exporting
from .label_constraints import LabelConstraints, LabelConstraintsProcessor
from .label_sampling import ids_of_labels
from .label_sequences import BOS, EOS, LABEL_OFFSET, PAD, ordered_sequences, random_sequences
from .losses import UNKNOWN, targets_from_ids
from .multi_label import MultiLabelOutput
from .sequence_attention import SequenceTrace, token_weights_of, trace
from .sequence_losses import (
    align_minimal,
    align_predicted,
    alive_and_scores,
    log_misses,
    log_scores,
    ocd_roll_out,
    prediction_roll_out,
    sequence_cross_entropy,
    set_bce,
    soft_cross_entropy,
)
from .set_scores import (
    LabelSets,
    answered_places,
    answered_set,
    beam_marginals,
    labels_of_sequences,
    merge_sets,
    rescore,
    score_logits,
    step_hazard,
)
from .sgm_auxiliary import LabelWiseHead, PooledHead
from .sgm_decoder import SgmDecoder
from .sgm_encoder import SgmEncoder, SgmEncoderOutput
from .sgm_search import FoundSequences, beam_search, greedy_search
from .sgm_state import SgmMemory, SgmState
from .text_model import TextPreTrainedModel
from .tfidf_path import TfidfPath


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
        elif isinstance(module, TfidfPath):
            init.normal_(module.projection)  # of a vector of length 1: its numbers have deviation 1
            init.ones_(module.idf)


class SgmForMultiLabelClassification(SgmPreTrainedModel, GenerationMixin):
    """An encoder and a decoder of label sequences; what `AutoModel` returns for `model_type` "sgm"."""

    def __init__(self, config: SgmConfig):
        super().__init__(config)
        self.encoder = SgmEncoder(config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.decoder = SgmDecoder(config)
        self._kept_ranks: tuple[list[int] | None, torch.LongTensor | None] = (None, None)
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
        self.generation_config = GenerationConfig(**_SPECIAL_IDS)

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
        return self.encoder.tfidf is not None

    def output_bias(self) -> nn.Parameter | None:
        return None if self.auxiliary is None else self.auxiliary.bias

    @torch.no_grad()
    def set_training_statistics(self, counts_L: torch.Tensor, num_documents: int) -> None:
        """As `MultiLabelPreTrainedModel.set_training_statistics`; the decoder's read-out starts at the shares that labels and
        ends have of all that is to be written."""
        super().set_training_statistics(counts_L, num_documents)
        counts_L = counts_L.to(torch.float64) + 0.5
        total = counts_L.sum() + num_documents
        self.decoder.output.bias[LABEL_OFFSET:] = torch.log(counts_L / total).to(self.decoder.output.bias)
        self.decoder.output.bias[EOS] = torch.log(max(num_documents, 1) / total).to(self.decoder.output.bias)

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
        inputs = {name: value for name, value in inputs.items() if name not in _TARGETS}
        return self._memory(self.encoder(**inputs))

    def _memory(self, encoded: SgmEncoderOutput) -> SgmMemory:
        hidden_BmD = self.dropout(encoded.last_hidden_state)
        parts = {}
        if self.auxiliary is not None:
            vectors_VE = self.decoder.label_embeddings.weight
            logits_BL, summary_BD = self.auxiliary(hidden_BmD, encoded.mask, vectors_VE)
            parts = {"auxiliary_logits_BL": logits_BL, "summary_BD": summary_BD}
        return self.decoder.memory(hidden_BmD, encoded.mask, tfidf_BF=encoded.tfidf, **parts)

    # -- losses ------------------------------------------------------------------------------------------------------

    @torch.compiler.disable  # a loop of as many steps as the batch needs: what is compiled is the encoder
    def _loss(self, memory: SgmMemory, labels, label_ids, num_items_in_batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and logits of the labels' probabilities along the sequences that it was measured on."""
        config, count = self.config, {"num_items_in_batch": num_items_in_batch}
        targets_BL, forbidden_BV, ids_BP = self._targets(labels, label_ids)
        if config.sequence_loss == "ocd":
            rate = config.ocd_sample_rate if self.training else 0.0
            state = self.decoder.initial_state(memory, forbidden_BV)
            out = ocd_roll_out(self._step(memory), state, targets_BL > 0.5, sample_rate=rate)
            log_probs_BTV, mask_BT = out.log_probs_BTV, out.mask_BT
            loss = soft_cross_entropy(log_probs_BTV, out.targets_BTV, mask_BT, **count)
        elif config.sequence_loss == "alignment":
            state = self.decoder.initial_state(memory, forbidden_BV)
            out = prediction_roll_out(self._step(memory), state, (targets_BL > 0.5).sum(dim=1))
            align = align_predicted if config.alignment == "predicted" else align_minimal
            log_probs_BTV, mask_BT = out.log_probs_BTV, out.mask_BT
            loss = sequence_cross_entropy(log_probs_BTV, align(log_probs_BTV, ids_BP), **count)
        else:
            if config.label_order == "random" and self.training:
                sequences_BT = random_sequences(ids_BP)
            else:
                sequences_BT = ordered_sequences(ids_BP, self._ranks(ids_BP.device))
            log_probs_BTV, mask_BT = self.decoder(sequences_BT, memory, forbidden_BV), sequences_BT != PAD
            if config.sequence_loss == "set_bce":
                loss = set_bce(log_probs_BTV.exp(), targets_BL, mask_BT, **count)
            else:
                loss = sequence_cross_entropy(log_probs_BTV, sequences_BT, **count)
        if config.set_bce_weight and config.sequence_loss != "set_bce":
            loss = loss + config.set_bce_weight * set_bce(log_probs_BTV.exp(), targets_BL, mask_BT, **count)
        if config.auxiliary_weight:
            # summed over the labels, as the sequence's loss is over steps
            scale = config.num_labels if config.loss_reduction == "mean" else 1
            auxiliary = self.compute_loss(memory.auxiliary_logits_BL, labels=targets_BL, **count)
            loss = loss + config.auxiliary_weight * scale * auxiliary
        with torch.no_grad():
            logits_BL = score_logits(alive_and_scores(log_probs_BTV.exp(), mask_BT))
        return loss, logits_BL

    def _targets(self, labels, label_ids) -> tuple[torch.Tensor, torch.BoolTensor | None, torch.LongTensor]:
        """Targets `(B, L)` with -100 for what is unknown, what therefore mustn't be written `(B, V)`, and true ids `(B, P)`."""
        num_labels = self.config.num_labels
        if labels is None:
            if label_ids.numel() and int(label_ids.max()) >= num_labels:
                raise ValueError(
                    f"`label_ids` must lie in 0 ... {num_labels - 1} (negative: none), found {int(label_ids.max())}"
                )
            return targets_from_ids(label_ids, num_labels), None, label_ids
        if labels.ndim != 2 or labels.shape[1] != num_labels:
            raise ValueError(
                f"`labels` must be multi-hot of shape (batch, {num_labels}), found {tuple(labels.shape)}; "
                "give lists of ids as `label_ids`, padded with -100"
            )
        targets_BL = labels.float()
        unknown_BL = targets_BL == UNKNOWN
        forbidden_BV = None
        if bool(unknown_BL.any()):
            forbidden_BV = nn.functional.pad(unknown_BL, (LABEL_OFFSET, 0), value=False)
        return targets_BL, forbidden_BV, ids_of_labels(targets_BL > 0.5)

    def _ranks(self, device: torch.device) -> torch.LongTensor:
        """The labels' places `(L,)` in the order of training; kept on the device until the configuration has others."""
        ranks = self.config.label_ranks
        if ranks is None:
            return torch.arange(self.config.num_labels, device=device)
        known, ranks_L = self._kept_ranks
        if known != ranks or ranks_L.device != device:
            ranks_L = torch.tensor(ranks, device=device)
            self._kept_ranks = list(ranks), ranks_L
        return ranks_L

    def _step(self, memory: SgmMemory):
        """A step of the decoder, as roll-outs ask for it."""
        return lambda last_B, state: self.decoder.step(last_B, state, memory)

    # -- scores ------------------------------------------------------------------------------------------------------

    def constraints(self) -> LabelConstraints | None:
        """What the configuration asks of a label set beyond "no label twice"; `None` where nothing."""
        constraints = LabelConstraints.from_config(self.config)
        return constraints if constraints.restricts else None

    def _search_settings(self) -> dict[str, Any]:
        constraints = LabelConstraints.from_config(self.config)
        return {
            "max_steps": constraints.most_steps,
            "constraints": constraints if constraints.restricts else None,
            "end_bias": self.config.end_bias,
        }

    @torch.compiler.disable
    def _scores(
        self, memory: SgmMemory, *, wants_sequences: bool
    ) -> tuple[torch.Tensor, torch.BoolTensor | None, FoundSequences | None]:
        """Logits of the scores that `config.scores` names, the sets that `config.decision` chooses, and the search where one
        was made for any of it."""
        config = self.config
        found, chosen_BL = None, None
        if exporting() and (config.scores != "auxiliary" or self.decides_on_sets):
            raise ValueError(
                "a search over label sequences can't be exported: only `scores='auxiliary'` with `decision='thresholds'` can, "
                f"found '{config.scores}' and '{config.decision}'"
            )
        if wants_sequences or self._answers_by_search:
            found = self._search(memory)
            sets = self._sets(found, memory)
            if self.decides_on_sets:  # of the found sets: another might break the rules of the search
                chosen_BL = answered_set(sets, config.num_labels, config.decision)
        if config.scores == "auxiliary":
            return memory.auxiliary_logits_BL.float(), chosen_BL, found
        if config.scores == "hazard":
            sequences_BT, log_probs_BTV = greedy_search(self.decoder, memory, **self._search_settings())
            return score_logits(step_hazard(log_probs_BTV, sequences_BT)), chosen_BL, found
        first_BL = found.first_log_probs_BV[:, LABEL_OFFSET:].exp()
        return score_logits(beam_marginals(sets, config.num_labels, first_BL)), chosen_BL, found

    @property
    def _answers_by_search(self) -> bool:
        """Whether the labels or the scores of an answer come of the sets that the search finds."""
        return self.decides_on_sets or self.config.scores in ("beam", "rescored")

    def _search(self, memory: SgmMemory, num_beams: int | None = None) -> FoundSequences:
        num_beams = self.config.num_beams if num_beams is None else num_beams
        return beam_search(self.decoder, memory, num_beams=num_beams, **self._search_settings())

    def _sets(self, found: FoundSequences, memory: SgmMemory) -> LabelSets:
        """The sets among the found sequences, rescored where `config.scores` says so."""
        sets = merge_sets(found.sequences_BKT, found.scores_BK)
        if self.config.scores == "rescored":
            sets = rescore(sets, memory.auxiliary_logits_BL, self.config.rescoring_weight)
        return sets

    @torch.no_grad()
    def find_sequences(self, batch: dict[str, torch.Tensor], num_beams: int | None = None) -> FoundSequences:
        """The search's sequences and their log-probabilities.

        Args:
            batch (`dict[str, torch.Tensor]`): what `forward` takes; targets in it are ignored.
            num_beams (`int`, *optional*): in place of the configuration's.
        """
        return self._search(self.encode(**batch), num_beams)

    @torch.no_grad()
    def label_sequences(self, batch: dict[str, torch.Tensor], num_beams: int | None = None) -> list[list[int]]:
        """Each document's labels in the order in which they were written.

        Of the set that the model answers with: with `decision="sequence"` the most probable one, all its orders that were
        found together; with `"expected_f1"` the one of the highest expected F1. Thresholds choose labels, not a found set:
        with `"thresholds"` it is the most probable one. In the most probable one of its orders.

        Args:
            batch (`dict[str, torch.Tensor]`): what `forward` takes; targets in it are ignored.
            num_beams (`int`, *optional*): in place of the configuration's; 1 is greedy.
        """
        labels_BT = labels_of_sequences(self._best_sequences(self.encode(**batch), num_beams))
        return [[label for label in row if label >= 0] for row in labels_BT.tolist()]

    def _best_sequences(self, memory: SgmMemory, num_beams: int | None = None) -> torch.LongTensor:
        """The most probable order `(B, T)` of the set that each document is answered with; see `label_sequences`."""
        found = self._search(memory, num_beams)
        sets = self._sets(found, memory)
        rows_B = torch.arange(len(sets.sequences), device=sets.sequences.device)
        best_B = sets.sequences[rows_B, answered_places(sets, self.config.num_labels, self.config.decision)]
        return found.sequences_BKT[rows_B, best_B]

    @torch.no_grad()
    def sequence_log_probs(self, batch: dict[str, torch.Tensor], sequences_BT: torch.LongTensor) -> torch.FloatTensor:
        """The log-probability `(B,)` of given sequences, without rules or bias of a search.

        Args:
            batch (`dict[str, torch.Tensor]`): what `forward` takes; targets in it are ignored.
            sequences_BT (`torch.LongTensor` of shape `(B, T)`):
                ids of the decoder's vocabulary without the begin, the end 2 last, padded with 0.
        """
        log_probs_BTV = self.decoder(sequences_BT, self.encode(**batch))
        log_probs_BT = log_probs_BTV.gather(2, sequences_BT[..., None]).squeeze(2)
        return log_probs_BT.masked_fill(sequences_BT == PAD, 0.0).sum(dim=1)

    # -- generate ----------------------------------------------------------------------------------------------------

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # the state is our own

    def generate(self, inputs=None, generation_config=None, logits_processor=None, constraints=None, **kwargs):
        """As `GenerationMixin.generate`, over label sequences: label l is the id l + 3, the end 2, padding 0.

        Beams are those of the configuration and their scores sums of log-probabilities (`length_penalty=0`) unless something
        else is asked for; with `do_sample=True` there is one beam. A `generation_config` says its beams itself; what else it
        leaves at transformers' defaults (a `length_penalty` of 1, a `max_length` of 20) is filled in as without one. The
        configuration's rules (`min_labels`, `max_labels`, parents, exclusions) and `end_bias` hold in every step;
        `repeat_mask` too.

        Args:
            inputs, generation_config, logits_processor, kwargs: as `GenerationMixin.generate`. Targets are ignored.
            constraints (`LabelConstraints`, *optional*): further rules for this call.

        Returns:
            As `GenerationMixin.generate`: `(B x num_return_sequences, 1 + T)`, with the begin first; cut at the first end.
        """
        for name in _TARGETS:
            kwargs.pop(name, None)
        if generation_config is not None:
            generation_config = self._filled_generation_config(generation_config, kwargs)
        else:
            kwargs = _SPECIAL_IDS | kwargs
            kwargs.setdefault("num_beams", 1 if kwargs.get("do_sample") else self.config.num_beams)
            if kwargs["num_beams"] > 1:
                kwargs.setdefault("length_penalty", 0.0)
            if kwargs.get("max_length") is None and kwargs.get("max_new_tokens") is None:
                kwargs["max_new_tokens"] = LabelConstraints.from_config(self.config).most_steps
        if constraints is not None:
            logits_processor = LogitsProcessorList(logits_processor or [])
            logits_processor.append(LabelConstraintsProcessor(constraints))
            if generation_config is None:
                kwargs.setdefault("renormalize_logits", True)
            else:
                generation_config.renormalize_logits = True
        return super().generate(inputs, generation_config, logits_processor=logits_processor, **kwargs)

    def _filled_generation_config(self, given: GenerationConfig, kwargs: dict[str, Any]) -> GenerationConfig:
        """A copy of a given one with the label vocabulary's ids and what label sequences need; `kwargs` go before it."""
        filled = copy.deepcopy(given)
        for name, value in _SPECIAL_IDS.items():
            if getattr(filled, name) is None:
                setattr(filled, name, value)
        if (kwargs.get("num_beams") or filled.num_beams or 1) > 1 and filled.length_penalty in (None, 1.0):
            filled.length_penalty = 0.0
        has_length = filled.max_new_tokens is not None or filled.max_length not in _DEFAULT_MAX_LENGTHS
        if not has_length and kwargs.get("max_length") is None and kwargs.get("max_new_tokens") is None:
            filled.max_length, filled.max_new_tokens = None, LabelConstraints.from_config(self.config).most_steps
        return filled

    def prepare_inputs_for_generation(
        self, decoder_input_ids, past_key_values=None, encoder_outputs=None, use_cache=None, **kwargs
    ) -> dict[str, Any]:
        # the name `kwargs` matters: `generate` looks for it before it accepts a model's own inputs
        if past_key_values is not None:
            decoder_input_ids = decoder_input_ids[:, -1:]
        return {
            "decoder_input_ids": decoder_input_ids,
            "past_key_values": past_key_values,
            "encoder_outputs": encoder_outputs,
            "use_cache": use_cache,
            "output_attentions": kwargs.get("output_attentions"),
        }

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

    # -- explanations --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def sequence_trace(self, sequences_BT: torch.LongTensor | None = None, **inputs: torch.Tensor) -> SequenceTrace:
        """Where each step of the sequences that the model answers with, or of given ones, looked (`sequence_attention.py`).

        Its own are those of `label_sequences` where the labels or the scores come from a search, so with
        `decision="thresholds"` those of the most probable sets; the greedy ones where nothing does.

        Args:
            sequences_BT (`torch.LongTensor` of shape `(B, T)`, *optional*): ids of the decoder's vocabulary.
            inputs (`torch.Tensor`): what `forward` takes, without targets.
        """
        memory, settings = self.encode(**inputs), self._search_settings()
        max_steps = settings.pop("max_steps")
        if sequences_BT is None and self._answers_by_search:
            sequences_BT = self._best_sequences(memory)
        return trace(
            lambda ids_B, state, memory: self.decoder.step(ids_B, state, memory, **settings),
            lambda state: state.attention_Rm,
            self.decoder.initial_state(memory),
            memory,
            batch_size=len(memory.mask_Bm),
            device=memory.mask_Bm.device,
            sequences_BT=sequences_BT,
            max_steps=max_steps,
        )

    @torch.no_grad()
    def token_weights(self, chosen_ids_S: torch.LongTensor, **inputs: torch.Tensor) -> torch.FloatTensor:
        """How much each token weighs for each of the chosen labels, `(B, S, m)`: rows sum to 1, padding is 0.

        Of a label in the document's sequence (`sequence_trace`), the attention of its step; of another one, that of all steps
        by the chance that each gave it. Where the auxiliary head gives the scores, its label-wise attention. Of a document
        without a token, all 0.

        Raises:
            `NotImplementedError`: the auxiliary head gives the scores and has no attention.
        """
        if self.config.scores == "auxiliary":
            if not self.config.has_label_wise_encoder:
                raise NotImplementedError("an auxiliary head without label-wise attention doesn't tell what it reads")
            memory = self.encode(**inputs)
            return self.auxiliary.attention_weights(
                chosen_ids_S, memory.hidden_BmD, memory.mask_Bm, self.decoder.label_embeddings.weight
            )
        return token_weights_of(self.sequence_trace(**inputs), chosen_ids_S)

    @property
    def has_token_weights(self) -> bool:
        """Whether `token_weights` knows: not of an auxiliary head that has no attention."""
        return self.config.scores != "auxiliary" or self.config.has_label_wise_encoder

    @torch.no_grad()
    def path_inputs(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """The greedy sequence of the text: on the way from one text to another it would change, and the score would jump."""
        if self.config.scores == "auxiliary":
            return {}
        return {"sequences_BT": greedy_search(self.decoder, self.encode(**inputs), **self._search_settings())[0]}

    def label_logits(
        self, chosen_ids_S: torch.LongTensor, sequences_BT: torch.LongTensor | None = None, **inputs
    ) -> torch.FloatTensor:
        """Logits of a few chosen labels, `(B, S)`, with gradients: what explanations ask for many times over.

        Of a label's probability of being written along the greedy sequence (`scores="hazard"`), whose gradient is smooth,
        where scores come from a search; of the auxiliary head where it gives the scores.

        Args:
            chosen_ids_S (`torch.LongTensor` of shape `(S,)`): the labels.
            sequences_BT (`torch.LongTensor` of shape `(B, T)`, *optional*): to be followed in place of the greedy ones.
            inputs: what `forward` takes, without targets.
        """
        memory = self.encode(**inputs)
        if self.config.scores == "auxiliary":
            return memory.auxiliary_logits_BL[:, chosen_ids_S]
        settings = self._search_settings()
        if sequences_BT is None:
            sequences_BT, log_probs_BTV = greedy_search(self.decoder, memory, **settings)
        else:
            del settings["max_steps"]
            log_probs_BTV = self.decoder(sequences_BT, memory, **settings)
        misses_BS = log_misses(log_probs_BTV.exp(), sequences_BT != PAD)[:, chosen_ids_S].clamp(max=-1e-30)
        return log_scores(misses_BS) - misses_BS


_SPECIAL_IDS = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "decoder_start_token_id": BOS}
_DEFAULT_MAX_LENGTHS = (None, 20, 21)  # transformers' own, without and with the begin: nobody asked for it
_TARGETS = ("labels", "label_ids", "num_items_in_batch")


__all__ = ["SgmForMultiLabelClassification", "SgmOutput", "SgmPreTrainedModel"]
