"""Only training rows may be counted: the check, and the fingerprint that says later which rows they were."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import datasets
from transformers import PreTrainedTokenizerBase

from hf_mlc.data.fingerprint import fingerprint
from hf_mlc.errors import UserError


TRAINING = ("train", "training")


def check_training_rows(dataset: datasets.Dataset) -> None:
    """Refuses rows that say of themselves that they are no training rows.

    They say so by a column `split`, or by the split that `datasets` read them from. A table of mutual information that
    has seen validation or test labels ranks labels which no model could know (the authors' code reads the whole data set:
    docs/planting.md).

    Args:
        dataset (`datasets.Dataset`): rows that are to be counted.

    Raises:
        `UserError`: naming the first row of another split (counted from 1).
    """
    if "split" in dataset.column_names:
        number = 0
        for batch in dataset.with_format(None).select_columns("split").iter(batch_size=10_000):
            for value in batch["split"]:
                number += 1
                if str(value).lower() not in TRAINING:
                    raise UserError(
                        f"a row of {str(value)!r} among those that are to be counted",
                        row=number,
                        field="split",
                        accepted="training rows alone ('train')",
                    )
    # "train[:80%]" is a part of train, and "train+validation" what is trained on once the validation rows have chosen
    name = str(dataset.split or "train")
    parts = [part.split("[")[0].strip().lower() for part in name.split("+")]
    if parts[0] not in TRAINING or set(parts) - {*TRAINING, "validation"}:
        raise UserError(f"rows of the split {name!r}", field="split", accepted="training rows alone ('train')")


def planting_fingerprint(dataset: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Which rows were counted, in which vocabulary; kept in a planted model's configuration.

    Args:
        dataset (`datasets.Dataset`): the counted rows, with a column `id` or `text`.
        tokenizer (`PreTrainedTokenizerBase`): what made their token ids.

    Returns:
        `dict`: `num_documents`; `rows`, the SHA-256 of [`~hf_mlc.data.fingerprint`] over their ids, texts and labels (as
        many of them as there are), in order; `vocabulary`, one over every token and its id.

    Raises:
        `UserError`: rows with neither `id` nor `text`, or that are no training rows.
    """
    check_training_rows(dataset)
    if not {"id", "text"} & set(dataset.column_names):
        raise UserError("rows that nothing tells apart", accepted="a column 'id' or 'text'")
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda entry: (entry[1], entry[0]))
    digest = hashlib.sha256(json.dumps(vocabulary, separators=(",", ":")).encode("ascii"))
    return {
        "num_documents": len(dataset),
        "rows": fingerprint(dataset),
        "vocabulary": f"sha256:{digest.hexdigest()}",
    }
