"""A kind of input: the interface behind which a model of texts, of pictures, ... is the same to everything around it.

Shape legend: B items of one batch, L labels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import datasets
import torch

from hf_mlc.data.checking import DataReport
from hf_mlc.data.contents import Content
from hf_mlc.data.loading import load_splits
from hf_mlc.labels import LabelSpace


class InputKind(ABC):
    """What is done with one kind of input. There is one instance of each, in [`~hf_mlc.inputs.INPUT_KINDS`]; it holds nothing.

    An *item* is one document as a caller hands it in (a string, a picture's file), or as the column `content.column` of a
    data set has it. The *processor* is what is saved beside the weights and turns items into tensors: a tokenizer, an image
    processor. A class that inherits from this one fills in the attributes and the abstract methods.

    Attributes:
        name (`str`): what `MultiLabelConfig.input_kind` says of a model that reads it.
        content ([`~hf_mlc.data.contents.content.Content`]): how a row of it is checked and stored.
        processor_noun (`str`): what messages call the processor: "tokenizer".
        processor_class (`type`): what the processor must be.
        pipeline_task (`str`): the pipeline that answers for a saved model.
        hub_task (`str`): the Hub's own name of the task nearest to it, by which models are filtered there.
        answers (`str`): what cards say that a model gives them.
    """

    name: ClassVar[str]
    content: ClassVar[Content]
    processor_noun: ClassVar[str]
    processor_class: ClassVar[type]
    pipeline_task: ClassVar[str]
    hub_task: ClassVar[str]
    answers: ClassVar[str] = "every label that applies"

    @property
    def noun(self) -> str:
        """What messages call several items: "texts"."""
        return self.content.noun

    # -- the processor

    @abstractmethod
    def load_processor(
        self,
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        field: str | None = None,
        shown_as: str | None = None,
    ) -> Any:
        """The processor of a folder or a Hub repository; one that needs code from there is refused.

        Args:
            name_or_path (`str` or `Path`): a folder or a Hub id.
            revision (`str`, *optional*): branch, tag or commit on the Hub.
            token (`str` or `bool`, *optional*): one that may read it; that of HF_TOKEN or `hf auth login` if not given.
            field (`str`, *optional*): the argument that named it, for the error message; `train`'s own if not given.
            shown_as (`str`, *optional*): what the error message calls it, where that is not its name or path.

        Raises:
            `UserError`: there is none, or it can't be read.
        """

    @abstractmethod
    def processor_state(self, processor: Any) -> str:
        """All that a processor does to its items, in a string that two of them share if they do the same."""

    # -- reading

    @abstractmethod
    def columns(self, args: Any) -> dict[str, Any]:
        """Which columns a command reads, as arguments of [`~hf_mlc.data.rows.Columns`].

        Args:
            args ([`~hf_mlc.commands.column_arguments.ColumnArguments`]): the command's.
        """

    def columns_of(self, processor: Any, args: Any) -> dict[str, Any]:
        """The same, of a trained model: its processor may know what columns its rows had."""
        return self.columns(args)

    def files_in(self, place: str | Path) -> list[Path] | None:
        """The items of a file that is one, or of a folder of them; `None` where `place` is none of that but a file of rows.

        Raises:
            `UserError`: a folder without any.
        """
        return None

    def item_of_file(self, file: Path) -> Any:
        """The item of a file that `files_in` found, or a `UserError` where it is none after all."""
        raise NotImplementedError

    # -- rows made of those that are read

    def row_settings(self, processor: Any) -> Any:
        """What a model's processor knows of how its rows are made of those that are read; `None` where they are read as they are."""
        return None

    def split_read(self, settings: Any, split: str) -> str:
        """The split of the data whose rows are read for those of `split`."""
        return split

    def arranged(
        self, splits: datasets.DatasetDict, settings: Any, *, parts: Sequence[str] | None = None
    ) -> datasets.DatasetDict:
        """The rows that a model is trained and measured on, made of those that were read; these themselves where nothing is made.

        Args:
            splits (`datasets.DatasetDict`): as `load_splits` gives them.
            settings: of this kind alone, as `row_settings` gives them.
            parts (`list[str]`, *optional*): the splits that are made, where some are; all that there are if not given.
        """
        return splits

    def load(
        self, processor: Any, dataset_name: str | Path | None = None, *, splits: Sequence[str], **source: Any
    ) -> datasets.DatasetDict:
        """Splits of a data set as a model with this processor is measured on them: read, and made into its rows.

        Args:
            processor: the model's.
            dataset_name (`str` or `Path`, *optional*): see [`~hf_mlc.data.loading.load_splits`].
            splits (`list[str]`): which.
            source: other arguments of `load_splits`; its columns among them.
        """
        settings = self.row_settings(processor)
        # a split that has a file of its own is read from that, whatever its rows were made of in training
        asked = [split if source.get(f"{split}_file") else self.split_read(settings, split) for split in splits]
        read = load_splits(dataset_name, splits=list(dict.fromkeys(asked)), **source)
        made = self.arranged(read, settings, parts=splits)
        return datasets.DatasetDict({split: made[split] for split in splits})

    # -- training

    @abstractmethod
    def encode(
        self,
        splits: datasets.DatasetDict,
        processor: Any,
        label_space: LabelSpace,
        *,
        strict: bool = False,
        report: DataReport | None = None,
        **settings: Any,
    ) -> datasets.DatasetDict:
        """Rows made ready for the collator: labels become ids.

        Args:
            splits (`datasets.DatasetDict`): with the columns `id`, `content.column`, `labels`, as `load_splits` gives them.
            processor: the model's.
            label_space ([`~hf_mlc.labels.LabelSpace`]): turns labels into ids; [`~hf_mlc.data.encoding.encode_labels`].
            strict (`bool`, *optional*, defaults to `False`): whether a label that is not in the label space is an error in
                validation and test too, instead of being counted and skipped. In training it always is.
            report ([`~hf_mlc.data.checking.DataReport`], *optional*): gets the numbers of unknown labels.
            settings: of this kind alone.

        Returns:
            `datasets.DatasetDict`: with `id`, `label_ids` (sorted, each once), `length` (for batches of like lengths; 1 where
            all are alike), and columns of names that the model's `forward` takes: the Trainer drops all others.
        """

    @abstractmethod
    def collator(
        self, processor: Any, num_labels: int, *, targets: str = "labels", **settings: Any
    ) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, torch.Tensor]]:
        """Makes batches of the rows that `encode` gave; the targets by [`~hf_mlc.data.targets.targets_of`].

        Args:
            processor: the model's.
            num_labels (`int`): L.
            targets (`str`, *optional*, defaults to `"labels"`): `"labels"` or `"label_ids"`.
            settings: of this kind alone.
        """

    # -- inference

    def order(self, items: Sequence[Any]) -> list[int]:
        """Positions of the items in the order in which they share batches; as given where any two can."""
        return list(range(len(items)))

    @abstractmethod
    def batch(self, processor: Any, items: Sequence[Any], **settings: Any) -> dict[str, torch.Tensor]:
        """What the model's `forward` takes of these items, on the CPU.

        Args:
            processor: the model's.
            items (`list`): B of them.
            settings: of this kind alone.

        Raises:
            `UserError`: an item that is none.
        """

    def remarks(self, processor: Any) -> list[str]:
        """What a user should be told of the items that a processor has turned into tensors so far."""
        return []

    # -- the card

    @abstractmethod
    def usage_code(self, *, model_id: str, config: Any, example: str | None = None) -> str:
        """Code that a reader of the model's card copies: it loads the pipeline and prints one item's labels.

        Args:
            model_id (`str`): the model, as a literal of Python.
            config (`MultiLabelConfig`): the model's.
            example (`str`, *optional*): the first text that the card's author gave.
        """
