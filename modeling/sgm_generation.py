"""transformers' own `generate` over label sequences: what it is told of their vocabulary, their beams and their rules."""

import copy
from typing import Any

from transformers import GenerationConfig, LogitsProcessorList

from .label_constraints import LabelConstraints, LabelConstraintsProcessor
from .label_sequences import BOS, EOS, PAD


# the ids of the label vocabulary, under the names that `generate` asks for
SPECIAL_IDS = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "decoder_start_token_id": BOS}
# what a batch may bring along and neither an encoder nor a search reads
TARGETS = ("labels", "label_ids", "num_items_in_batch")
_OF_SEARCH = ("num_beams", "do_sample", "length_penalty", "max_length", "max_new_tokens")
_DEFAULT_MAX_LENGTHS = (None, 20, 21)  # transformers' own, without and with the begin: nobody asked for it


class SgmGeneration:
    """The part of an SGM that `generate` is called on; to be mixed in before `GenerationMixin`."""

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # the state is our own

    def generate(self, inputs=None, generation_config=None, logits_processor=None, constraints=None, **kwargs):
        """As `GenerationMixin.generate`, over label sequences: label l is the id l + 3, the end 2, padding 0.

        Beams are those of the configuration and their scores sums of log-probabilities (`length_penalty=0`) unless something
        else is asked for, here or in the model's own `generation_config`; with `do_sample=True` there is one beam. A
        `generation_config` says its beams itself; what else it leaves at transformers' defaults (a `length_penalty` of 1, a
        `max_length` of 20) is filled in as without one. The configuration's rules (`min_labels`, `max_labels`, parents,
        exclusions) and `end_bias` hold in every step; `repeat_mask` too.

        Args:
            inputs, generation_config, logits_processor, kwargs: as `GenerationMixin.generate`. Targets are ignored.
            constraints (`LabelConstraints`, *optional*): further rules for this call.

        Returns:
            As `GenerationMixin.generate`: `(B x num_return_sequences, 1 + T)`, with the begin first; cut at the first end.
        """
        for name in TARGETS:
            kwargs.pop(name, None)
        if generation_config is not None:
            generation_config = self._filled_generation_config(generation_config, kwargs)
        else:
            kwargs = {name: value for name, value in kwargs.items() if value is not None or name not in _OF_SEARCH}
            kwargs = SPECIAL_IDS | self._defaults(kwargs) | kwargs
        if constraints is not None:
            logits_processor = LogitsProcessorList(logits_processor or [])
            logits_processor.append(LabelConstraintsProcessor(constraints))
            if generation_config is None:
                kwargs.setdefault("renormalize_logits", True)
            else:
                generation_config.renormalize_logits = True
        return super().generate(inputs, generation_config, logits_processor=logits_processor, **kwargs)

    def _defaults(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """What neither `kwargs` nor the model's own `generation_config` say of the search."""
        own = self.generation_config
        said = {name: kwargs.get(name, getattr(own, name, None)) for name in _OF_SEARCH}
        filled, num_beams = {}, said["num_beams"]
        if num_beams is None:
            filled["num_beams"] = num_beams = 1 if said["do_sample"] else self.config.num_beams
        if num_beams > 1 and said["length_penalty"] is None:
            filled["length_penalty"] = 0.0
        if said["max_length"] is None and said["max_new_tokens"] is None:
            filled["max_new_tokens"] = LabelConstraints.from_config(self.config).most_steps
        return filled

    def _filled_generation_config(self, given: GenerationConfig, kwargs: dict[str, Any]) -> GenerationConfig:
        """A copy of a given one with the label vocabulary's ids and what label sequences need; `kwargs` go before it."""
        filled = copy.deepcopy(given)
        for name, value in SPECIAL_IDS.items():
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


__all__ = ["SgmGeneration"]
