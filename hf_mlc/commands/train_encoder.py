"""What `train` does to the encoder around training: a language model before it, LoRA factors into it and out again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase, set_seed
from transformers.trainer_utils import HubStrategy

from hf_mlc.commands.train_texts import TextArguments
from hf_mlc.errors import UserError
from hf_mlc.language_modeling import LanguageModelArguments, LanguageModelStage
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.lora import LoraArguments, LoraBackbone


class EncoderPreparation:
    """One for a run, made before anything is written; `facts` are the language model's, for results.json, `None` where there is none.

    Args:
        language_model_args, lora_args, text_args, args: the command's.
        text_column (`list[str]`): where files of unlabelled rows have their texts.
        is_new (`bool`): whether the model is new, and no trained one.
    """

    def __init__(
        self,
        language_model_args: LanguageModelArguments,
        lora_args: LoraArguments,
        text_args: TextArguments,
        args: MultiLabelTrainingArguments,
        *,
        text_column: list[str],
        is_new: bool,
    ):
        self.stage, self.facts = None, None
        self.lora_args, self.lora = lora_args, None
        self.args, self.text_args, self.text_column, self.is_new = args, text_args, text_column, is_new
        if language_model_args.wanted:
            for name, brings in (("model_name_or_path", not is_new), ("text_encoder", text_args.text_encoder)):
                if brings:
                    raise UserError("brings its own encoder", field=name, accepted="none beside a language model")
            self.stage = LanguageModelStage(language_model_args, Path(args.output_dir))
            if language_model_args.language_model is not None:
                own = (
                    Path(language_model_args.language_model).resolve().is_relative_to(Path(args.output_dir).resolve())
                )
                if args.overwrite_output and own:
                    raise UserError(
                        "would be deleted with the run that is overwritten",
                        file=language_model_args.language_model,
                        field="language_model",
                        accepted="another output_dir",
                    )
                if text_args.tokenizer_name is not None:
                    raise UserError("a language model has its own", field="tokenizer_name", accepted="none given")
                text_args.tokenizer_name = language_model_args.language_model
        if lora_args.lora_rank is not None and args.push_to_hub:
            # a checkpoint holds backbone and factors apart, which nobody could open
            args.hub_strategy = HubStrategy.END

    def settings(self, given: dict[str, Any]) -> dict[str, Any]:
        """The configuration's fields that were given, and those that the language model decides."""
        return given if self.stage is None else self.stage.with_encoder_settings(given)

    def begin(
        self,
        model: MultiLabelPreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        texts: Iterable[str],
        tell: Callable[[str], None],
    ) -> None:
        """Before anything is trained on labels; for the second model of `--refit` too, which takes the same language model."""
        self._check_length(model)
        if self.is_new:
            self._check_planted(model)
        if self.stage is not None:
            if self.facts is None:
                self.stage.train(model, tokenizer, texts, self.args, text_column=self.text_column, tell=tell)
            self.facts = self.stage.load(model)
            tell(f"the encoder begins as a language model of perplexity {self.facts['perplexity']:.2f}")
            set_seed(self.args.seed)  # the same from here on, whether it was trained now or before
        if self.lora_args.lora_rank is not None:
            self.lora = LoraBackbone(model, self.lora_args)

    def _check_length(self, model: MultiLabelPreTrainedModel) -> None:
        """`UserError` where texts may have more tokens than the backbone has positions, before the first of them has."""
        encoder, most = getattr(model, "encoder", None), self.text_args.max_length
        positions = getattr(encoder, "positions", None)
        if positions is not None and encoder.chunk_length is None and most > positions:
            raise UserError(
                f"found {most}, and the text encoder has {positions} positions",
                field="max_length",
                accepted=f"{positions} or fewer, or --backbone_chunk_length {positions} to read longer texts in chunks",
            )

    def _check_planted(self, model: MultiLabelPreTrainedModel) -> None:
        """`UserError` for what would silently be something else: no language model, nothing before the window."""
        if getattr(model, "expected", None) is not None and self.stage is None:
            raise UserError(
                "found expected, and no language model to expect a token",
                field="ranked_tokens",
                accepted="read, or --language_model_epochs or --language_model beside it",
            )
        window, most = getattr(model.config, "window", None), self.text_args.max_length
        if getattr(model.config, "stateful", False) and window >= most:
            raise UserError(
                f"found {window}, and texts are cut at {most} tokens: nothing stands before it",
                field="window",
                accepted="fewer than max_length, or no --stateful",
            )

    def end(self) -> None:
        """After training, before anything is measured: LoRA's factors become part of the weights."""
        if self.lora is not None:
            self.lora.merge()
            self.lora = None
