"""The output folder of `train`: whether a run may begin or go on there, and what tells two runs apart."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from datasets import DatasetDict
from safetensors import safe_open
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_NAME

from hf_mlc.commands.running import check_output_folder
from hf_mlc.commands.train_arguments import DataArguments
from hf_mlc.cycles.folder import CYCLE_FOLDER
from hf_mlc.data import fingerprint
from hf_mlc.errors import UserError
from hf_mlc.folder_files import METRICS_FILE, OF_THE_WEIGHTS, RESULTS_FILE
from hf_mlc.inference import config_of, label_space_of
from hf_mlc.labels import LabelSpace
from hf_mlc.language_modeling import LANGUAGE_MODEL_FOLDER
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.planting.linear_readout import PLANTING_FOLDER
from hf_mlc.planting.step import PLANTING_FILE
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.refitting import REFIT_FOLDER
from hf_mlc.training.trainer import last_complete_checkpoint
from hf_mlc.word_vectors.step import WORD_VECTORS_FILE


RUN_FILE = "run.json"  # what this folder's run was asked to do; written first


def check_output(output: Path, args: MultiLabelTrainingArguments, *, base: str | None) -> None:
    """Refuses a folder that can't be written or holds a finished run, and to overwrite what the run is to start from.

    Args:
        output (`Path`): the folder.
        args: the command's.
        base (`str`, *optional*): the trained model that training goes on from.
    """
    check_output_folder(output, field="output_dir")
    if args.overwrite_output:
        if args.resume_from_checkpoint is not None:
            raise UserError(
                "goes on with a run that --overwrite_output deletes", file=output, field="resume_from_checkpoint",
                accepted="one of both",
            )  # fmt: skip
        inside = None if base is None else Path(base).resolve()
        if inside is not None and output.resolve() in inside.parents and inside.exists():
            raise UserError(
                "would be deleted with the run that is overwritten", file=base, field="model_name_or_path",
                accepted="another output_dir",
            )  # fmt: skip
    elif (output / RESULTS_FILE).exists() and args.resume_from_checkpoint is None:
        raise UserError(
            "holds a finished run", file=output, field="output_dir", accepted="another folder, or --overwrite_output"
        )


def empty_output(output: Path, args: MultiLabelTrainingArguments) -> None:
    """Takes out of the folder what a run left that is to be overwritten."""
    if args.overwrite_output:
        for folder in [
            *output.glob("checkpoint-*"),
            output / REFIT_FOLDER,
            output / LANGUAGE_MODEL_FOLDER,
            output / PLANTING_FOLDER,
            output / CYCLE_FOLDER,
        ]:
            shutil.rmtree(folder, ignore_errors=True)
        for name in (RUN_FILE, RESULTS_FILE, METRICS_FILE, PLANTING_FILE, WORD_VECTORS_FILE, *OF_THE_WEIGHTS):
            (output / name).unlink(missing_ok=True)


def checkpoint_to_resume(
    output: Path, args: MultiLabelTrainingArguments, identity: dict[str, Any], label_space: LabelSpace
) -> Path | None:
    """Where to go on from: the named checkpoint, or the last whole one of an unfinished run of the same recipe and data.

    Asked for by name a checkpoint is taken with other arguments too, but never with other labels: its weights are theirs.

    Args:
        output (`Path`): the run's folder.
        args: the command's.
        identity (`dict`): what the run was asked to do, and with which data.
        label_space (`LabelSpace`): the labels of the run.
    """
    asked = args.resume_from_checkpoint
    if asked in (None, "last"):
        checkpoint = last_complete_checkpoint(output, num_processes=args.world_size)
    elif (Path(asked) / "trainer_state.json").is_file():
        checkpoint = Path(asked)
    else:
        raise UserError(
            "no checkpoint", file=asked, field="resume_from_checkpoint", accepted="last, or a checkpoint's folder"
        )
    if checkpoint is None:
        return None
    run_file, before = output / RUN_FILE, None
    if run_file.exists():
        before = json.loads(run_file.read_text(encoding="utf-8"))
    if not _has_labels(checkpoint, label_space, before, identity):
        raise UserError(
            "holds the weights of a run with other labels",
            file=checkpoint,
            accepted="the same data, or another folder",
        )
    if before is None:
        return checkpoint
    if asked is None and before != identity:
        what = "arguments" if before["arguments"] != identity["arguments"] else "data"
        raise UserError(
            f"holds checkpoints of a run with other {what}",
            file=output,
            field="output_dir",
            accepted="another folder, --resume_from_checkpoint to go on all the same, or --overwrite_output",
        )
    return checkpoint


def check_sets_of(checkpoint: Path, model: MultiLabelPreTrainedModel) -> None:
    """`UserError` where the label sets or the forest in a checkpoint are not those of this run's rows and arguments, as they may be
    where it was asked for by name: of another size they can't be loaded, and of the same they would take the new ones' place unseen."""
    file = checkpoint / SAFE_WEIGHTS_NAME
    counted = {name: held for name, held in model.named_buffers() if name.startswith(("known_sets.", "set_forest."))}
    if not counted or not file.is_file():
        return
    with safe_open(file, "pt") as saved:
        for name in sorted(counted.keys() & set(saved.keys())):  # label sets first, of which a forest speaks
            theirs, ours = saved.get_tensor(name), counted[name].cpu()
            if theirs.shape != ours.shape or not torch.equal(theirs.to(ours.dtype), ours):
                what = "a forest" if name.startswith("set_forest.") else "label sets"
                raise UserError(
                    f"holds {what} of other training rows or arguments",
                    file=checkpoint,
                    field="resume_from_checkpoint",
                    accepted="a checkpoint of the same ones, or --overwrite_output",
                )


@contextmanager
def told_when_stopped(output: Path, args: MultiLabelTrainingArguments) -> Iterator[None]:
    """Where the training inside is stopped by Ctrl-C, the `KeyboardInterrupt` says how it goes on.

    Args:
        output (`Path`): the run's folder.
        args: the command's.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_it_goes_on(output, args)) from None


def _how_it_goes_on(output: Path, args: MultiLabelTrainingArguments) -> str:
    if (output / RESULTS_FILE).exists() and args.resume_from_checkpoint is None:  # while it is being published
        return f"the run is finished, and saved in {output}"
    folders = (output / REFIT_FOLDER, output)  # a second training's come after the first one's
    found = (last_complete_checkpoint(folder, num_processes=args.world_size) for folder in folders)
    checkpoint = next((folder for folder in found if folder is not None), None)
    command = "the same command"
    if args.overwrite_output:
        command += " without --overwrite_output"
    if checkpoint is not None:
        if args.resume_from_checkpoint not in (None, "last"):
            command += " with --resume_from_checkpoint last"
        return f"{command} goes on from {checkpoint}"
    missing = f"there is no whole checkpoint in {output} yet"
    if args.resume_from_checkpoint not in (None, "last"):
        return f"{missing}: the same command goes on from {args.resume_from_checkpoint} again"
    if any((output / LANGUAGE_MODEL_FOLDER).glob("*.safetensors")):
        return f"{missing}: {command} starts over, but for the language model in it"
    return f"{missing}: the same command starts over"


def _has_labels(
    checkpoint: Path, label_space: LabelSpace, before: dict[str, Any] | None, identity: dict[str, Any]
) -> bool:
    """Whether a checkpoint's weights are of these labels: by its own configuration, or where it has none (as one in shards) by
    what the folder's run was asked to do."""
    if (checkpoint / CONFIG_NAME).is_file():
        config = config_of(checkpoint, str(checkpoint))
        return label_space_of(config, checkpoint, str(checkpoint)).names == label_space.names
    return before is None or before["data"]["label_fingerprint"] == identity["data"]["label_fingerprint"]


def comparable(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a run as JSON, to be compared and published.

    Whether and where it was resumed or pushed is no part of what the run is; a token is nobody's business, and of a path
    on this machine the name is enough to recognise it.
    """
    left_out = ("resume_from_checkpoint", "output_dir", "overwrite_output", "logging_dir", "config")
    left_out += ("push_to_hub", *(name for name in given if name.startswith("hub_") or name.endswith("token")))
    kept = {name: value for name, value in given.items() if name not in left_out}
    return json.loads(json.dumps({name: _shown(value) for name, value in kept.items()}, default=str))


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(one) for one in value]
    return _file_name(value) if isinstance(value, str) else value


def _file_name(value: str) -> str:
    """The last part of a path that is there or was meant to be; anything else, a Hub id too, as it is."""
    return Path(value).name if os.sep in value and (Path(value).exists() or Path(value).is_absolute()) else value


def facts_of_splits(splits: DatasetDict) -> dict[str, dict[str, Any]]:
    """How many rows each split has, and their fingerprint."""
    return {
        "rows": {split: len(rows) for split, rows in splits.items()},
        "fingerprints": {split: fingerprint(rows) for split, rows in splits.items()},
    }


def facts_of_data(splits: DatasetDict, label_space: LabelSpace, data_args: DataArguments) -> dict[str, Any]:
    """Where the rows come from, what tells them from others, and which labels they are given."""
    names = hashlib.sha256("\n".join(label_space.names).encode("utf-8")).hexdigest()
    return {
        "source": _file_name(str(data_args.dataset_name or data_args.train_file)),
        **facts_of_splits(splits),
        "labels": len(label_space),
        "label_fingerprint": f"sha256:{names}",
    }
