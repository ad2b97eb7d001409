"""The very rows that a model was trained and tuned on, found again in the data set and checked by their fingerprints."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import datasets

from hf_mlc.data.fingerprint import fingerprint
from hf_mlc.data.splitting import add_validation_split
from hf_mlc.errors import MissingSplitError, UserError
from hf_mlc.folder_files import RESULTS_FILE
from hf_mlc.hub_reading import download_file, local_folder
from hf_mlc.labels import LabelSpace


def results_of(name_or_path: str, *, revision: str | None = None) -> dict[str, Any]:
    """What `train` wrote beside a model, its results.json; empty where there is none that can be read.

    Args:
        name_or_path (`str`): a folder or a Hub id.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
    """
    folder = local_folder(name_or_path, revision=revision)
    if folder is not None:
        file = folder / RESULTS_FILE
    else:
        file = download_file(name_or_path, RESULTS_FILE, revision=revision)
    try:
        content = json.loads(file.read_text(encoding="utf-8")) if file is not None else {}
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def rows_of_training(
    results: dict[str, Any], load: Callable[[list[str]], datasets.DatasetDict], label_space: LabelSpace
) -> datasets.DatasetDict | None:
    """The splits `train` and `validation` as training had them.

    Where the data set has no validation split, training set one aside by its seed; this does it again.

    Args:
        results (`dict`): what `train` wrote, results.json.
        load (callable): gives the named splits of the data set; `MissingSplitError` where there is no such split.
        label_space (`LabelSpace`): the model's.

    Returns:
        `datasets.DatasetDict`, *optional*: `None` where the data set isn't the one of the training, or `results` doesn't
        say what that was.
    """
    wanted = (results.get("data") or {}).get("fingerprints") or {}
    if not {"train", "validation"} <= set(wanted):
        return None
    try:
        splits = load(["train"])
    except UserError:
        return None
    try:
        validation = load(["validation"])["validation"]
        # one file, which is given as any split
        if len(validation) == len(splits["train"]) and fingerprint(validation) == fingerprint(splits["train"]):
            raise MissingSplitError("no validation split")
        splits = datasets.DatasetDict({**splits, "validation": validation})
    except MissingSplitError:
        fraction = (results.get("recipe") or {}).get("validation_fraction", 0.1)
        try:
            splits, _ = add_validation_split(splits, label_space, fraction=fraction, seed=results.get("seed") or 0)
        except UserError:  # labels that the model doesn't know: other data
            return None
    except UserError:  # validation rows that training would have refused too
        return None
    if any(fingerprint(splits[split]) != wanted[split] for split in ("train", "validation")):
        return None
    return splits


def label_sets(results: dict[str, Any], splits: datasets.DatasetDict, label_space: LabelSpace) -> set[frozenset[int]]:
    """The different label sets, as ids, of the rows that a model's weights were trained on: validation rows too after
    `--refit`. Labels that the model doesn't know are left out.

    Args:
        results (`dict`): what `train` wrote.
        splits (`datasets.DatasetDict`): from [`rows_of_training`].
        label_space (`LabelSpace`): the model's.
    """
    names = ("train", "validation") if results.get("refit") else ("train",)
    return {
        frozenset(label_space.encode_known(labels)[0].tolist()) for name in names for labels in splits[name]["labels"]
    }
