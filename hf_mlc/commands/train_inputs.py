"""What `train` does with one kind of input, behind one interface: columns, processor, rows, configuration, weights."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from datasets import Dataset, DatasetDict
from transformers import AutoConfig, PreTrainedConfig

from hf_mlc.commands.column_arguments import ColumnArguments
from hf_mlc.commands.train_arguments import DataArguments
from hf_mlc.data import Columns, DataReport
from hf_mlc.data.columns import ColumnRows
from hf_mlc.errors import UserError, first_line
from hf_mlc.inference import LoadedModel
from hf_mlc.inputs import InputKind
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_multi_label import ENCODER_INPUTS
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel


class InputStep(ABC):
    """One for a run, of the kind that its rows are ([`~hf_mlc.commands.train_steps.step_of_run`]).

    Attributes:
        kind ([`~hf_mlc.inputs.InputKind`]): which.
        arguments (`type`): a dataclass, what `train` may be told of this kind alone; each kind has its own.
        further (`tuple[str, ...]`): other arguments of this kind alone: its columns, fields of a configuration.
        naming (`tuple[str, ...]`): arguments that ask for this kind where `--encoder` is not given.
        of_new (`tuple[str, ...]`): of `own_arguments`, those that only a new model has a use for.

    Args:
        args: an instance of `arguments`.
        column_args ([`~hf_mlc.commands.column_arguments.ColumnArguments`]): which columns are read.
        data_args ([`~hf_mlc.commands.train_arguments.DataArguments`]): the form of the targets.
        base (`LoadedModel`, *optional*): the trained model that training goes on from.
        given (`Mapping[str, Any]`, *optional*): all arguments that were given, by name, fields of the configuration too.
    """

    kind: ClassVar[InputKind]
    arguments: ClassVar[type]
    further: ClassVar[tuple[str, ...]] = ()
    naming: ClassVar[tuple[str, ...]] = ()
    of_new: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        args: Any,
        column_args: ColumnArguments,
        data_args: DataArguments,
        base: LoadedModel | None = None,
        given: Mapping[str, Any] | None = None,
    ):
        self.args, self.column_args, self.data_args, self.base = args, column_args, data_args, base
        self.given = given or {}
        self.notes: list[str] = []  # lines that a user should read
        self.facts: dict[str, Any] = {}  # for results.json, what only this kind has

    @classmethod
    def own_arguments(cls) -> tuple[str, ...]:
        """The names of all arguments that are of this kind alone."""
        return (*(field.name for field in dataclasses.fields(cls.arguments)), *cls.further)

    @classmethod
    def encoder(cls) -> str | None:
        """The `--encoder` that reads this kind; `None` for texts, which all others read."""
        return next((name for name, kind in ENCODER_INPUTS.items() if kind == cls.kind.name), None)

    # -- rows

    def columns(self, processor: Any = None) -> Columns:
        """Which columns hold what.

        Args:
            processor (*optional*): the one that the training rows are read through, for rows that are read after these.
        """
        if processor is None and self.base is not None:
            processor = self.base.processor
        return self.column_args.columns(self.kind, id_column=self.data_args.id_column, processor=processor)

    @property
    def row_settings(self) -> Any:
        """How rows are made of those that are read ([`~hf_mlc.inputs.InputKind.arranged`])."""
        return None if self.base is None else self.kind.row_settings(self.base.processor)

    def split_read(self, split: str) -> str:
        """The split of the data whose rows are read for those of `split`."""
        return self.kind.split_read(self.row_settings, split)

    def arranged(self, splits: DatasetDict, *parts: str) -> DatasetDict:
        """The rows of these parts, made of those that were read; these themselves where nothing is made.

        Args:
            splits (`DatasetDict`): as `load_rows` gives them.
            parts (`str`): splits; one that is not there is left out.
        """
        return self.kind.arranged(splits, self.row_settings, parts=parts)

    def label_lists(self, train: Dataset) -> Iterable[Sequence[str | int]]:
        """All labels of the training rows, of which the label space is made where none is given."""
        return ColumnRows(train, "labels")

    def target_lists(self, rows: Dataset) -> Iterable[Sequence[str | int]]:
        """The label sets that are predicted of these rows: what labels are counted on."""
        return ColumnRows(rows, "labels")

    def label_file(self) -> str | Path | None:
        """The JSON file of the label space, where one is given or stands beside the data as this kind's data sets have it."""
        return self.data_args.label_file

    def label_names(self) -> list[str] | None:
        """All labels in their order, where arguments or the form of the data say them; `label_file` goes before."""
        return self.column_args.label_columns

    def encoded(self, splits: DatasetDict, processor: Any, label_space: LabelSpace, report: DataReport) -> DatasetDict:
        """Rows that the collator makes batches of."""
        return self.kind.encode(splits, processor, label_space, report=report)

    def collator(
        self, processor: Any, num_labels: int
    ) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, torch.Tensor]]:
        """What makes the batches."""
        return self.kind.collator(processor, num_labels, targets=self.data_args.targets)

    def texts(self, rows: Dataset) -> Iterable[str]:
        """The texts of a split, for what learns from them without labels; of other kinds none."""
        return ()

    def token_ids(self, encoded: Dataset) -> Iterator[list[list[int]]]:
        """The tokens of an encoded split, in batches; of other kinds none."""
        return iter(())

    # -- the processor

    def processor(self, train: Dataset, checkpoint: Path | None) -> Any:
        """The processor: that of the run that goes on, of the trained model, or a new one.

        Args:
            train (`datasets.Dataset`): the training rows, the only ones that a new processor may learn from.
            checkpoint (`Path`, *optional*): that of a run that goes on.
        """
        if checkpoint is not None:
            return self.kind.load_processor(str(checkpoint), field="resume_from_checkpoint")
        return self.new_processor(train) if self.base is None else self.base.processor

    @abstractmethod
    def new_processor(self, train: Dataset) -> Any:
        """The one that the arguments name, or one made here."""

    # -- the model

    @property
    def names_encoder(self) -> bool:
        """Of texts and pictures: whether an argument names the encoder, one of transformers, by a name or a configuration."""
        return any(self.given.get(name) is not None for name in self.naming)

    # transformers' own rate, 5e-5, is one of fine-tuning: a small new model would take some hundred epochs with it
    new_model_learning_rate: ClassVar[float] = 1e-3

    def training_arguments(self) -> dict[str, Any]:
        """Arguments of a new model's training that this kind has other defaults for; those that are given win."""
        return {}

    @abstractmethod
    def settings(self, given: dict[str, Any], processor: Any) -> dict[str, Any]:
        """Fields of a new model's configuration: those that were given, and what arguments and processor decide."""

    def load_weights(self, model: MultiLabelPreTrainedModel) -> None:
        """Puts pretrained weights into a new model, where the arguments name some."""
        return

    def begin(self, model: MultiLabelPreTrainedModel, processor: Any, rows: Dataset, encoded: Dataset) -> None:
        """What a new model takes from the training rows before its first step, weights apart.

        Args:
            model (`MultiLabelPreTrainedModel`): new, changed in place.
            processor: the model's.
            rows (`datasets.Dataset`): the rows that it will be trained on, as they were read: after `--refit` validation
                rows too.
            encoded (`datasets.Dataset`): the same, from `encoded`.
        """
        return


def pretrained_config(name: str, *, revision: str | None, field: str) -> PreTrainedConfig:
    """The configuration of a pretrained encoder that the argument `field` names; `UserError` where it can't be read."""
    try:
        return AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no readable config.json ({first_line(error)})",
            file=name,
            field=field,
            accepted="a Hub id or a folder, of one of transformers' own kinds",
        ) from None
