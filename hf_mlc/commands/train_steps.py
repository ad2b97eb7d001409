"""The table of input steps, all that a command line of `train` fills, and which of the steps a run needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_mlc.auto import ARCHITECTURES, Architecture, architecture_of
from hf_mlc.commands.column_arguments import ColumnArguments, HubDataArguments
from hf_mlc.commands.train_arguments import DataArguments, ModelArguments
from hf_mlc.commands.train_events import EventStep
from hf_mlc.commands.train_images import PictureStep
from hf_mlc.commands.train_inputs import InputStep
from hf_mlc.commands.train_sparse import SparseStep
from hf_mlc.commands.train_tables import TableStep
from hf_mlc.commands.train_texts import TextStep
from hf_mlc.errors import UserError
from hf_mlc.inference import LoadedModel
from hf_mlc.language_modeling import LanguageModelArguments
from hf_mlc.modeling.configuration_multi_label import ENCODER_INPUTS
from hf_mlc.planting.arguments import PlantingArguments
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.lora import LoraArguments
from hf_mlc.word_vectors.arguments import WordVectorArguments


# by the name of the kind
STEPS: dict[str, type[InputStep]] = {
    step.kind.name: step for step in (TextStep, PictureStep, TableStep, EventStep, SparseStep)
}
# what a command line fills, besides the fields of every configuration
ARGUMENTS = (
    ModelArguments,
    DataArguments,
    ColumnArguments,
    HubDataArguments,
    MultiLabelTrainingArguments,
    LanguageModelArguments,
    LoraArguments,
    WordVectorArguments,
    PlantingArguments,
    *(step.arguments for step in STEPS.values()),
)


def step_of_run(
    step_args: Mapping[str, Any],
    column_args: ColumnArguments,
    data_args: DataArguments,
    *,
    model_type: str,
    given: Mapping[str, Any],
    base: LoadedModel | None,
) -> InputStep:
    """The step of the kind that a run's rows are: the trained model's, or the one that its arguments ask for.

    Args:
        step_args (`Mapping[str, Any]`): every step's own arguments, by the name of its kind.
        column_args, data_args: the command's.
        model_type (`str`): the architecture of a new model.
        given (`Mapping[str, Any]`): all arguments that were given, by name.
        base (`LoadedModel`, *optional*): the trained model that training goes on from.

    Raises:
        `UserError`: an argument of another kind, `--encoder` beside one that asks for another encoder, an architecture that
            doesn't read this kind, an argument of new models beside a trained one.
    """
    kind = asked_kind(model_type, given) if base is None else base.kind.name
    if base is None and not _reads(architecture_of(model_type), kind):
        accepted = ", ".join(name for name, row in ARCHITECTURES.items() if row.trained and _reads(row, kind))
        noun = STEPS[kind].kind.noun
        raise UserError(f"{model_type} reads no {noun}", field="model_type", accepted=f"--model_type {accepted}")
    step = STEPS[kind](step_args[kind], column_args, data_args, base, given)
    for other in STEPS.values():
        for name in () if other is type(step) else other.own_arguments():
            if name in given and name not in step.own_arguments():
                raise UserError(
                    f"is of {other.kind.noun}, and the model reads {step.kind.noun}",
                    field=name,
                    accepted=_to_read(other, step, model_type, is_chosen="encoder" in given or base is not None),
                )
    if base is not None and "label_file" in given:
        raise UserError(
            "the trained model has its own labels", field="label_file", accepted="none beside --model_name_or_path"
        )
    without_use = next((name for name in step.of_new if name in given), None) if base is not None else None
    if without_use is not None:
        problem = f"the trained model has its own {step.kind.processor_noun}"
        raise UserError(problem, field=without_use, accepted="none beside --model_name_or_path")
    return step


def _to_read(other: type[InputStep], step: InputStep, model_type: str, *, is_chosen: bool) -> str:
    """What to give beside an argument of another kind of input; `is_chosen` says whether somebody asked for the encoder that is."""
    if other.encoder() is not None:
        return f"--encoder {other.encoder()} beside it"
    if step.encoder() is None:
        return f"none beside --model_type {model_type}"
    if is_chosen or not _reads(architecture_of(model_type), other.kind.name):
        return f"none beside --encoder {step.encoder()}"
    return f"an encoder of {other.kind.noun} beside it, as --encoder convolution"


def _reads(architecture: Architecture, kind: str) -> bool:
    """Whether models of an architecture may read a kind of input."""
    if architecture.reads_events or kind == EventStep.kind.name:
        return architecture.reads_events and kind == EventStep.kind.name
    allowed = {TableStep.kind.name: architecture.reads_tables, SparseStep.kind.name: architecture.reads_features}
    return allowed.get(kind, True)


def asked_kind(model_type: str, given: Mapping[str, Any]) -> str:
    """The kind of input that a new model is to read: of the encoder that is given or that an argument speaks of, else of the
    architecture's usual one."""
    encoder = given.get("encoder")
    own = () if encoder is None else STEPS[ENCODER_INPUTS.get(encoder, "text")].own_arguments()
    for name, step in STEPS.items():
        named = next((argument for argument in step.naming if given.get(argument) is not None), None)
        if named is None or named in own:
            continue
        if encoder is None:
            return name
        if step.encoder() not in (None, encoder):
            raise UserError(
                f"found '{encoder}' beside {named}", field="encoder", accepted=f"{step.encoder()}, or no {named}"
            )
    if model_type in ARCHITECTURES and ARCHITECTURES[model_type].reads_events:
        return EventStep.kind.name
    if encoder is None and model_type in ARCHITECTURES:
        encoder = getattr(ARCHITECTURES[model_type].config, "encoder", None)
    return ENCODER_INPUTS.get(encoder, "text")
