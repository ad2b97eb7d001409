"""Texts and their labels in, a model out, and labels of further texts: `train` and `predict` for those who have lists, not files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from hf_mlc.data.multi_hot import LOOKED_AT, check_not_multi_hot
from hf_mlc.data.own_cache import own_cache
from hf_mlc.data.values import RowForm, storable
from hf_mlc.errors import UserError
from hf_mlc.inference import LoadedModel, load_model, predict_texts


def fit(
    texts: Iterable[str],
    label_lists: Iterable[Sequence[str | int]],
    *,
    output_dir: str | Path | None = None,
    model_type: str = "lightdxml",
    **arguments: Any,
) -> LoadedModel:
    """Trains a model on texts and their labels as `hf-mlc train` does: a tenth of the rows is set aside to choose the checkpoint
    and thresholds by.

    Args:
        texts (iterable of `str`): the training texts; written to a file as they come, not kept.
        label_lists (iterable of lists): the labels of each, names or numbers, possibly none.
        output_dir (`str` or `Path`, *optional*): the folder that the model is saved in; if not given, it is in memory alone.
        model_type (`str`, *optional*, defaults to `"lightdxml"`): the architecture.
        arguments: any other argument of `train`, by its name: `num_train_epochs=5`, `embed_dim=100`.

    Returns:
        [`~hf_mlc.inference.LoadedModel`], for [`predict`].

    Raises:
        `UserError`: one string instead of several, not as many label lists as texts, a row that is none, a label that is neither
            a string nor a whole number, rows of zeros and ones for lists of labels, and all that `train` refuses.
    """
    from hf_mlc.commands.train import main as train  # the commands stand on the package

    _check_several(texts)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hf-mlc-")))
        rows, recipe = folder / "texts.jsonl", folder / "recipe.json"
        _write_rows(rows, texts, label_lists)
        output = folder / "model" if output_dir is None else Path(output_dir)
        asked = {"report_to": "none", **arguments, "model_type": model_type}
        asked |= {"train_file": str(rows), "output_dir": str(output)}
        # YAML, a recipe's form, is an extension of JSON; paths become strings
        recipe.write_text(json.dumps(asked, default=str), encoding="utf-8")
        stack.enter_context(own_cache())  # of a file that is gone afterwards, rows could never be found again
        train(["--config", str(recipe)], is_kept=output_dir is not None)
        return load_model(str(output))


def predict(
    model: LoadedModel | str | Path,
    texts: Sequence[str],
    k: int | None = None,
    *,
    threshold: float | None = None,
    batch_size: int = 32,
) -> list[list[tuple[str, float]]]:
    """The labels of each text, best first, with their scores.

    Args:
        model ([`~hf_mlc.inference.LoadedModel`] or `str`): from [`fit`], or a folder or Hub id.
        texts (`list[str]`): the texts.
        k (`int`, *optional*): the k best; without it and a threshold, as many as the model's tuned thresholds choose.
        threshold (`float`, *optional*): every label from this score on.
        batch_size (`int`, *optional*, defaults to 32): texts a forward pass.

    Raises:
        `UserError`: one string instead of several, a text that is no string, a number out of range, and what keeps a model from being
            loaded.
    """
    _check_several(texts)
    for name, number in (("k", k), ("batch_size", batch_size)):
        if number is not None and (not isinstance(number, Integral) or isinstance(number, bool) or number < 1):
            raise UserError(f"found {number!r}", field=name, accepted="a whole number from 1")
    if threshold is not None and (not isinstance(threshold, Real) or not 0 <= threshold <= 1):
        raise UserError(f"found {threshold!r}", field="threshold", accepted="0 to 1")
    texts = [_checked_text(text, row) for row, text in enumerate(texts, start=1)]
    loaded = model if isinstance(model, LoadedModel) else load_model(str(model))
    answers = predict_texts(loaded, texts, top_k=k, threshold=threshold, batch_size=batch_size)
    return [[(entry["label"], entry["score"]) for entry in answer] for answer in answers]


def _check_several(texts: Any) -> None:
    if isinstance(texts, (str, bytes, Mapping)):
        found = "one object" if isinstance(texts, Mapping) else "one string"
        raise UserError(f"found {found}", field="texts", accepted="a list of texts")


def _checked_text(text: Any, row: int) -> str:
    if not isinstance(text, str):
        raise UserError(f"found {type(text).__name__}", row=row, field="texts", accepted="a string")
    return storable(text, RowForm(file=None), row=row, field="texts")


def _checked_label(label: Any, row: int) -> str | int:
    if isinstance(label, Integral) and not isinstance(label, bool):
        return int(label)
    if not isinstance(label, str):
        accepted = "labels that are strings or whole numbers"
        raise UserError(f"found {label!r:.40}", row=row, field="label_lists", accepted=accepted)
    return label


def _check_lists(label_lists: Sequence[Sequence[str | int]]) -> None:
    check_not_multi_hot(label_lists, field="label_lists", accepted="lists of names or of ids")


def _write_rows(file: Path, texts: Iterable[str], label_lists: Iterable[Sequence[str | int]]) -> None:
    texts, label_lists = iter(texts), iter(label_lists)
    missing, first_lists = object(), []
    with file.open("w", encoding="utf-8") as stream:
        number = 0
        while True:
            text, labels = next(texts, missing), next(label_lists, missing)
            if text is missing and labels is missing:
                return _check_lists(first_lists)
            if text is missing or labels is missing:
                more = "label lists than texts" if text is missing else "texts than label lists"
                raise UserError(f"more {more}, which are {number:,}", field="label_lists", accepted="one list a text")
            number += 1
            if isinstance(labels, (str, bytes, Mapping)) or not isinstance(labels, Iterable):
                found = "one string" if isinstance(labels, str) else type(labels).__name__
                raise UserError(f"found {found}", row=number, field="label_lists", accepted="a list of labels")
            values = [_checked_label(label, number) for label in labels]
            if number <= LOOKED_AT:
                first_lists.append(values)
            if number == LOOKED_AT:  # not after all the others
                _check_lists(first_lists)
            stream.write(json.dumps({"text": _checked_text(text, number), "labels": values}) + "\n")
