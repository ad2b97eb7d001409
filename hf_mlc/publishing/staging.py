"""A model folder becomes a clean folder that holds exactly what is to be published."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from hf_mlc.cards import write_card
from hf_mlc.cards.facts import read_evaluation, read_of_weights
from hf_mlc.errors import UserError
from hf_mlc.files import folder_written_whole
from hf_mlc.folder_files import ATTENTION, METRICS_FILE, RELATIONS, RESULTS_FILE, STEPS
from hf_mlc.inference import load_model
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.publishing.contents import (
    CARD,
    CARD_SOURCES,
    CONFIG,
    EXTRACTOR,
    PLOTS,
    PROCESSORS,
    VOCABULARIES,
    publication_files,
    read_config,
    weight_files,
)
from hf_mlc.publishing.scrubbing import refuse_tokens, scrubbed
from hf_mlc.run_facts import weights_fingerprint


logger = logging.get_logger(__name__)

# of config.json: data of the labels, in which a string is a name whatever it looks like
LABEL_KEYS = ("id2label", "label2id", "label_space")
# what a tokenizer remembers of where it was loaded from
LOADING_KEYS = ("is_local", "local_files_only", "name_or_path")


def stage_model(
    model_folder: str | Path,
    staged: Path,
    *,
    repo_id: str | None = None,
    card_folder: Path | None = None,
    card: bool = True,
    run_snippet: bool = True,
) -> None:
    """Fills the empty folder `staged` with what of `model_folder` is to be published, and with nothing else.

    The model is loaded, which proves that it is whole. Its weights are then copied byte for byte; configuration, code
    and tokenizer are saved anew, so the code is that of the installed package, which has just opened the weights. Of the
    other files only results.json, metrics.json and the user's README.md are read, and what the card is made from.

    Args:
        model_folder (`str` or `Path`): what `train` wrote, or a checkpoint.
        staged (`Path`): an empty folder.
        repo_id (`str`, *optional*): where it is going, for the card's snippet.
        card_folder (`Path`, *optional*): `model_cards/NAME`: card.yaml, metrics.json, a README.md with words of the
            user's and more (docs/cards.md); they come before those of the model's folder.
        card (`bool`, *optional*, defaults to `True`): write the card; `False` takes README.md and plots as they stand.
        run_snippet (`bool`, *optional*, defaults to `True`): let the card show what its snippet prints.

    Raises:
        `UserError`: where the folder is no whole model of ours, or a file in it holds an access token.
    """
    folder = Path(model_folder)
    if not folder.is_dir():
        raise UserError("no such folder", file=folder, field="model", accepted="a trained model's folder")
    loaded = load_model(str(folder), device="cpu")
    if not isinstance(loaded.model, MultiLabelPreTrainedModel):  # a folder that `export` wrote
        raise UserError("no weights in safetensors", file=folder, field="model", accepted="a trained model's folder")
    _save(loaded.model, loaded.processor, staged)
    for name in weight_files(staged):
        (staged / name).unlink()
    _copy(weight_files(folder), folder, staged)
    _add_facts(loaded.model, loaded.processor, staged, folder, card_folder)
    if card:
        _write_card(staged, folder, card_folder, repo_id=repo_id, run_snippet=run_snippet)
    else:
        _copy(PLOTS, folder, staged)
    _check(staged)


def stage_loaded(
    model: MultiLabelPreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    staged: Path,
    *,
    repo_id: str | None = None,
    folder: Path | None = None,
    max_shard_size: int | str = "50GB",
    run_snippet: bool = True,
) -> None:
    """As `stage_model`, for a model in memory.

    Args:
        model (`MultiLabelPreTrainedModel`): the model.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): what is saved with it.
        staged (`Path`): an empty folder.
        repo_id (`str`, *optional*): where it is going, for the card's snippet.
        folder (`Path`, *optional*): where it was loaded from. Results, metrics and README.md are taken from there as
            long as the weights are the same: after more training they would be those of another model. Metrics that were
            measured with another decision rule than the model's are left out.
        max_shard_size (`int` or `str`, *optional*, defaults to `"50GB"`): the largest file of weights.
        run_snippet (`bool`, *optional*, defaults to `True`): let the card show what its snippet prints.
    """
    _save(model, tokenizer, staged, max_shard_size=max_shard_size)
    if folder is not None and weights_fingerprint(str(folder)) != weights_fingerprint(str(staged)):
        source = model.config.name_or_path or folder  # of a Hub repository `folder` is a part of the cache
        logger.warning(f"The weights are no longer those in {source}: its results and its README.md are left out.")
        folder = None
    _add_facts(model, tokenizer, staged, folder, None)
    _write_card(staged, folder, None, repo_id=repo_id, run_snippet=run_snippet and tokenizer is not None)
    _check(staged)


@contextlib.contextmanager
def staging_folder(output: Path | None = None) -> Iterator[Path]:
    """An empty folder to stage into; it becomes `output` when all went well, and goes when there is no `output`."""
    with contextlib.ExitStack() as stack:
        if output is None:
            output = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="staging-")), "model")
        yield stack.enter_context(folder_written_whole(output))


def _save(
    model: MultiLabelPreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    staged: Path,
    *,
    max_shard_size: int | str = "50GB",
) -> None:
    model.save_pretrained(staged, max_shard_size=max_shard_size)
    if tokenizer is not None:
        tokenizer.save_pretrained(staged)


def _copy(names: Iterable[str], folder: Path, staged: Path) -> None:
    for name in names:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, staged / name)


def _add_facts(
    model: MultiLabelPreTrainedModel, processor: Any, staged: Path, folder: Path | None, card_folder: Path | None
) -> None:
    """Results, metrics and the user's README.md; then no JSON file in `staged` has anything of this machine in it."""
    if folder is not None:
        _copy((RESULTS_FILE, METRICS_FILE, CARD), folder, staged)
    if card_folder is not None:
        _copy((METRICS_FILE, CARD), card_folder, staged)
    if not read_evaluation(staged, card_folder, model.config):
        # of other weights, as an earlier training's are, or measured with another decision rule
        (staged / METRICS_FILE).unlink(missing_ok=True)
    label_names = set(model.config.id2label.values())
    for name in (CONFIG, RESULTS_FILE, METRICS_FILE, *PROCESSORS):
        if (staged / name).is_file() and name.endswith(".json") and name not in VOCABULARIES:
            kept = _feature_words(staged) if name == EXTRACTOR else _tokens(processor) if name in PROCESSORS else set()
            _scrub(staged / name, label_names | kept)


def _tokens(processor: Any) -> set[str]:
    """What a tokenizer finds in texts, whatever it looks like; special tokens are named outside its vocabulary's file as well."""
    return set(processor.get_vocab()) if isinstance(processor, PreTrainedTokenizerBase) else set()


def _feature_words(staged: Path) -> set[str]:
    """What rows are read by, whatever it looks like: names and categories of a table's features, labels, users and columns of events."""
    extractor = read_config(staged, EXTRACTOR)
    categories, columns = extractor.get("categories") or {}, extractor.get("columns") or {}
    names = (extractor.get(name) or () for name in ("feature_names", "label_names", "users"))
    return {str(word) for words in (*names, *categories.values(), columns.values()) for word in words}


def _scrub(file: Path, data_words: set[str]) -> None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"no JSON ({error})", file=file.name, accepted="the file as the command wrote it") from None
    if not isinstance(content, dict):
        raise UserError(f"found {type(content).__name__}", file=file.name, accepted="the file as the command wrote it")
    labels = {key: content[key] for key in LABEL_KEYS if file.name == CONFIG and key in content}
    kept = {key: value for key, value in content.items() if key not in labels and key not in LOADING_KEYS}
    named = (kept.get("categories") or {}) if file.name == EXTRACTOR else {}
    if named:  # its keys are features, and one may well be called `secret`
        kept["categories"] = [*named.values()]
    clean = scrubbed(kept, file=file.name, kept=data_words) | labels
    if named:
        clean["categories"] = dict(zip(named, clean["categories"], strict=True))
    if clean != content:
        file.write_text(
            json.dumps(clean, ensure_ascii=False, indent=2, sort_keys=file.name == CONFIG) + "\n", encoding="utf-8"
        )


def _write_card(
    staged: Path, folder: Path | None, card_folder: Path | None, *, repo_id: str | None, run_snippet: bool
) -> None:
    """The card, from the staged files and, without a card folder, from what the model's folder has for one."""
    with tempfile.TemporaryDirectory() as sources:
        if card_folder is None and folder is not None:
            # there they would be a card folder's, where those of other weights are a mistake; here they are an earlier training's
            left_out = {name for name in (STEPS, RELATIONS, ATTENTION) if not read_of_weights(name, folder)}
            _copy(set(CARD_SOURCES) - left_out, folder, Path(sources))
            card_folder = Path(sources)
        write_card(staged, repo_id=repo_id or "model", card_folder=card_folder, run_snippet=run_snippet)


def _check(staged: Path) -> None:
    """The allow-list, on what was written: whatever wrote it, nothing else leaves."""
    found = {path.relative_to(staged).as_posix() for path in staged.rglob("*") if not path.is_dir()}
    strange = found - publication_files(found, staged)
    if strange:
        raise UserError("is no part of a published model", file=min(strange), accepted="what docs/hub.md lists")
    if CARD in found:
        refuse_tokens((staged / CARD).read_text(encoding="utf-8"), file=CARD)
