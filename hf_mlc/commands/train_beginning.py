"""What a model of `train` begins with, before its first step on labels: each in its place, for the second model of
`--refit` too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from datasets import Dataset

from hf_mlc.commands.column_arguments import ColumnArguments
from hf_mlc.commands.train_arguments import ModelArguments
from hf_mlc.commands.train_encoder import EncoderPreparation
from hf_mlc.commands.train_inputs import InputStep
from hf_mlc.commands.train_texts import TextArguments
from hf_mlc.cycles.starting import start_for_training
from hf_mlc.language_modeling import LanguageModelArguments
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.planting.arguments import PlantingArguments
from hf_mlc.planting.step import plant_for_training, send_no_buffers
from hf_mlc.run_facts import sum_of_costs
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.known_sets import known_sets_for_training
from hf_mlc.training.lora import LoraArguments
from hf_mlc.training.set_forest import set_forest_for_training
from hf_mlc.word_vectors.arguments import WordVectorArguments
from hf_mlc.word_vectors.lsa import fill_for_training
from hf_mlc.word_vectors.step import WordVectorStep


class TrainingRows(NamedTuple):
    """Rows as they were read, and the same made ready for the collator."""

    rows: Dataset
    encoded: Dataset


class Beginning:
    """One for a run, made before anything is written: arguments that don't go together are found here.

    A language model into the encoder and LoRA factors beside it, word vectors, the tf-idf path, planting, and what the kind
    of input brings. `facts` are what it did, for results.json, `None` for what there was not.

    Args:
        language_model_args, lora_args, vector_args, planting_args, text_args, column_args, model_args, args: the command's.
        tell (callable): takes the lines that say what was done.
    """

    def __init__(
        self,
        language_model_args: LanguageModelArguments,
        lora_args: LoraArguments,
        vector_args: WordVectorArguments,
        planting_args: PlantingArguments,
        text_args: TextArguments,
        column_args: ColumnArguments,
        model_args: ModelArguments,
        args: MultiLabelTrainingArguments,
        *,
        tell: Callable[[str], None],
    ):
        self.planting_args, self.args, self.tell = planting_args, args, tell
        self.is_new, self.text_column = model_args.model_name_or_path is None, column_args.text_column
        self.preparation = EncoderPreparation(
            language_model_args, lora_args, text_args, args, text_column=self.text_column, is_new=self.is_new
        )
        self.word_vectors = WordVectorStep(
            vector_args,
            model_type=model_args.model_type,
            others={
                "model_name_or_path": model_args.model_name_or_path,
                "text_encoder": text_args.text_encoder,
                "language_model_epochs": self.preparation.stage is not None,
                "token_start": args.token_start != "random",
            },
            args=args,
        )
        self.known_sets, self.set_forest = None, None
        self.tfidf, self.token_start, self.planted = None, None, None

    def settings(self, given: dict[str, Any]) -> dict[str, Any]:
        """The configuration's fields that were given, and those that a language model or word vectors decide."""
        return self.word_vectors.settings(self.preparation.settings(given))

    def begin(
        self,
        model: MultiLabelPreTrainedModel,
        step: InputStep,
        processor: Any,
        train: TrainingRows,
        *,
        counted: TrainingRows | None = None,
        is_resumed: bool = False,
    ) -> None:
        """Before anything is trained on labels.

        Args:
            model (`MultiLabelPreTrainedModel`): changed in place.
            step ([`~hf_mlc.commands.train_inputs.InputStep`]): of its kind of input.
            processor: the model's.
            train ([`TrainingRows`]): what is learned from without labels.
            counted ([`TrainingRows`], *optional*): what labels are counted on: with `--refit` validation rows too; `train` if not
                given.
            is_resumed (`bool`, *optional*, defaults to `False`): whether a checkpoint's weights will follow.
        """
        counted = counted or train
        self.preparation.begin(model, processor, step.texts(train.rows), self.tell)
        self.word_vectors.begin(
            model,
            processor,
            step.token_ids(train.encoded),
            step.texts(train.rows),
            self.tell,
            text_column=self.text_column,
            is_resumed=is_resumed,
        )
        # those of the rows that are trained on now, in a trained model and on the way from a checkpoint too
        self.known_sets = known_sets_for_training(model, counted.encoded)
        collator = step.collator(processor, model.config.num_labels)
        if getattr(model.config, "has_forest", False):
            self.tell(
                f"a forest of {model.config.forest_trees} trees is grown over the label sets of the training rows"
            )
            send_no_buffers(self.args)  # every process grows the same
        self.set_forest = set_forest_for_training(model, counted.encoded, collator, seed=self.args.seed)
        if not self.is_new:  # a trained model has all that is below, or is not to have it
            if model.config.has_linear_readout:
                self.tell("the linear machines are kept, and answer rows they were fitted on better than new ones")
                send_no_buffers(self.args)
            return
        # a checkpoint has these as well; what is cheap is done again, so that results.json knows it
        self.tfidf = fill_for_training(model, step.token_ids(counted.encoded), self.args)
        step.begin(model, processor, *counted)
        if not is_resumed:
            self.token_start = start_for_training(model, counted.encoded, collator, self.args)
        before = self.planted
        self.planted = plant_for_training(
            model, *counted, processor, self.planting_args, self.args, is_resumed=is_resumed
        )
        if before is not None and self.planted is not None:  # once for each training of a refit
            self.planted = _with_spared(self.planted, before)

    def end(self) -> None:
        """After training, before anything is measured."""
        self.preparation.end()

    @property
    def facts(self) -> dict[str, Any]:
        """What was done, by its name in results.json."""
        return {
            "language_model": self.preparation.facts,
            "word_vectors": self.word_vectors.facts,
            "known_sets": self.known_sets,
            "set_forest": self.set_forest,
            "tfidf_path": self.tfidf,
            "token_start": self.token_start,
            "planting": self.planted,
        }


def _with_spared(planted: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """The facts of a planting, whose `from_cache` is what the cache spared it and the one before together."""
    spared = sum_of_costs(before.get("from_cache"), planted.get("from_cache"))
    return planted if spared is None else {**planted, "from_cache": spared}
