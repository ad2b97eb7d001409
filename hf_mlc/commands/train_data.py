"""The rows of a training run: which are read, and which labels they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

from datasets import Dataset, DatasetDict

from hf_mlc.commands.column_arguments import HubDataArguments
from hf_mlc.commands.train_arguments import DataArguments
from hf_mlc.data import Columns, add_validation_split, load_splits
from hf_mlc.data.finding import files_of_splits, is_local
from hf_mlc.data.reading import check_file
from hf_mlc.errors import MissingSplitError
from hf_mlc.inference import LoadedModel
from hf_mlc.labels import LabelSpace


def load_rows(
    data_args: DataArguments,
    hub_args: HubDataArguments,
    columns: Columns,
    *,
    skip: Sequence[str] = (),
    only: str | None = None,
) -> DatasetDict:
    """The splits that the arguments name.

    Args:
        data_args, hub_args: the command's.
        columns ([`~hf_mlc.data.rows.Columns`]): which columns hold what.
        skip (`list[str]`, *optional*): splits that are not opened.
        only (`str`, *optional*): the one split that is.
    """
    most = {"train": data_args.max_train_samples, "validation": data_args.max_eval_samples}
    return load_splits(
        data_args.dataset_name,
        **hub_args.version(),
        train_file=data_args.train_file,
        validation_file=data_args.validation_file,
        test_file=data_args.test_file,
        columns=columns,
        splits=None if only is None else [only],
        skip=skip,
        max_samples={split: number for split, number in most.items() if number is not None},
    )


def check_test_split(data_args: DataArguments) -> None:
    """`UserError` where files on this machine hold no test split, which would come out after training. A single file is the training
    split; what the Hub has is seen when it is read."""
    name = data_args.dataset_name
    if name is None:
        if data_args.test_file is None:
            raise MissingSplitError(
                "no test rows to measure", field="test_file", accepted="a file, or no --do_predict"
            )
        check_file(data_args.test_file)
    elif is_local(name):
        if Path(name).is_file():
            raise MissingSplitError(
                "one file, of training rows: no test rows to measure", file=name, field="do_predict",
                accepted="--train_file and --test_file, a folder with a file a split, or no --do_predict",
            )  # fmt: skip
        files_of_splits(Path(name), ["test"])


def label_space_and_validation(
    splits: DatasetDict,
    data_args: DataArguments,
    seed: int,
    base: LoadedModel | None,
    *,
    label_file: str | Path | None = None,
    label_names: Sequence[str] | None = None,
    label_lists: Callable[[Dataset], Iterable[Sequence[str | int]]] = itemgetter("labels"),
    target_lists: Callable[[Dataset], Iterable[Sequence[str | int]]] = itemgetter("labels"),
) -> tuple[DatasetDict, LabelSpace, list[str]]:
    """The label space, the splits with a validation part, and lines that tell how that was set aside.

    Names come from all training rows, set-aside ones too, or are those of `label_file` or `label_names`; counts only from the rows that are
    trained on. Which labels a row has, and which of them are counted, `label_lists` and `target_lists` say.
    """
    source = data_args.dataset_name or data_args.train_file
    if base is not None:
        label_space = base.label_space
    elif label_file is not None:
        label_space = LabelSpace.load(label_file)
    elif label_names is not None:
        label_space = LabelSpace.from_names(list(label_names))
    else:
        label_space = LabelSpace.from_label_lists(label_lists(splits["train"]), file=source)
    if data_args.propensity is not None:
        label_space = replace(label_space, propensity=data_args.propensity)
    lines = []
    if "validation" not in splits:
        splits, report = add_validation_split(
            splits, label_space, fraction=data_args.validation_fraction, seed=seed, file=source
        )
        if data_args.max_eval_samples is not None:
            number = min(data_args.max_eval_samples, len(splits["validation"]))
            splits["validation"] = splits["validation"].select(range(number))
        lines = ["validation rows set aside from training (part 0: train, part 1: validation)", str(report)]
    label_space = label_space.counted(target_lists(splits["train"]), file=source)
    return splits, label_space, lines
