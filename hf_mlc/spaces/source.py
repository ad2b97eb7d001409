"""What a Space needs to know of its model: its commit, its thresholds, and what its card says. No weights are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard
from transformers.utils import CONFIG_NAME

from hf_mlc.errors import UserError
from hf_mlc.hub_reading import download_file, local_folder
from hf_mlc.inference import config_of
from hf_mlc.inputs import TEXTS, input_kind_of
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.pipeline_multi_label import TASK


MEDICAL_DEVICE = "medical device"
NO_MEDICAL_DEVICE = f"This is no {MEDICAL_DEVICE}: its answers need the judgement of a professional."
CLINICAL_TAGS = {"medical", "clinical", "healthcare", "icd-10"}
MAX_LIMITS = 700  # characters of the card's sections that the page shows
MAX_EXAMPLES = 6
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*")
_FENCE = re.compile(r"[ \t]*(`{3,}(?!.*`)|~{3,}).*")
_ON_LIMITS = re.compile(r"\b(?:limits?|limitations?|risks?)\b", re.I)


@dataclass(frozen=True)
class ModelSource:
    """A model as a Space shows it.

    Args:
        name (`str`): its Hub id, or the absolute path of its folder.
        on_hub (`bool`): whether it is a Hub id.
        revision (`str`, *optional*): the commit that was found; `None` for a folder.
        config (`MultiLabelConfig`): its configuration.
        examples (`tuple[dict[str, str], ...]`): `{"title", "text"}` of the texts in the card's `widget` entries.
        limits (`str`): what the card says on limits and risks, in Markdown; may be empty.
    """

    name: str
    on_hub: bool
    revision: str | None
    config: MultiLabelConfig
    examples: tuple[dict[str, str], ...] = ()
    limits: str = ""


def read_source(name_or_path: str, *, revision: str | None = None) -> ModelSource:
    """Looks a model up, in a folder or on the Hub.

    Args:
        name_or_path (`str`): a saved model's folder or a Hub id.
        revision (`str`, *optional*): branch, tag or commit on the Hub; the commit that it names now is kept.

    Raises:
        `UserError`: no such folder, repository or revision, no right to read it, a model that isn't one of ours, one that
            doesn't read texts, or one without the pipeline's file.
    """
    folder = local_folder(name_or_path, revision=revision)
    on_hub, commit, card_file = folder is None, None, None
    if on_hub:
        file = download_file(name_or_path, CONFIG_NAME, revision=revision)
        if file is None:
            raise UserError("it holds no config.json", file=name_or_path, field="model", accepted="a published model")
        # the cache keeps a folder for each commit
        folder, commit = file.parent, file.parent.name
        card_file = download_file(name_or_path, "README.md", revision=commit)
    elif (folder / "README.md").is_file():
        card_file = folder / "README.md"
    config = config_of(folder, name_or_path)
    kind = input_kind_of(config)
    if kind is not TEXTS:
        raise UserError(
            f"the model reads {kind.noun}, and the app is of texts",
            file=name_or_path,
            field="model",
            accepted="a model of texts",
        )
    if TASK not in set(getattr(config, "custom_pipelines", None) or ()):
        raise UserError(
            f"its config.json names no pipeline for {TASK}, which the app runs",
            file=name_or_path,
            field="model",
            accepted="a model saved or published by this version of hf_mlc",
        )
    card = None if card_file is None else _read_card(card_file)
    metadata = card.data.to_dict() if card is not None else {}
    return ModelSource(
        name=name_or_path if on_hub else str(folder.resolve()),
        on_hub=on_hub,
        revision=commit,
        config=config,
        examples=tuple(card_examples(metadata)),
        limits=card_limits(card.text if card is not None else "", metadata),
    )


def _read_card(path: Path) -> ModelCard:
    try:
        return ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True)
    except (yaml.YAMLError, ValueError) as error:
        reason = getattr(error, "problem", None) or str(error).strip().split("\n")[0]
        raise UserError(
            f"its metadata can't be read ({reason})", file=path, accepted="YAML between two lines of ---"
        ) from None


def card_examples(metadata: dict[str, Any]) -> list[dict[str, str]]:
    """`{"title", "text"}` of each text among the `widget` entries of a card's metadata, at most six."""
    widget = metadata.get("widget")
    found = []
    for entry in widget if isinstance(widget, list) else []:
        text = entry.get("text") if isinstance(entry, dict) else None
        if not isinstance(text, str) or not text.strip():
            continue
        words = " ".join(text.split())
        title = entry.get("example_title") or (words if len(words) <= 60 else words[:59].rstrip() + "…")
        found.append({"title": str(title), "text": text})
    return found[:MAX_EXAMPLES]


def _sections_on_limits(text: str) -> str:
    """The sections whose headings, of the second level or deeper, are on limits or risks, each with the sections inside it.

    A section ends at the next heading of its level or a higher one. A heading inside it becomes words in bold before what follows
    it. The first level is a card's title.
    """
    kept: list[str] = []
    inside: int | None = None  # the level of the section that is read
    inner, fence = "", None  # the title of a section inside it that has said nothing yet; what a code block began with
    for line in text.split("\n"):
        if fence is not None:
            # closed by at least as many of the same sign and nothing behind them
            closing = line.strip()
            if closing.startswith(fence) and not closing.strip(fence[0]):
                fence = None
        elif opening := _FENCE.fullmatch(line):
            fence = opening[1]
        elif heading := _HEADING.fullmatch(line):
            level, title = len(heading[1]), heading[2]
            kept.append("")
            if inside is not None and level > inside:
                inner = title
                continue
            inside = level if level > 1 and _ON_LIMITS.search(title) else None
            inner = ""
        elif inside is not None:
            if inner and line.strip():
                kept.append(f"**{inner}**")
                inner = ""
            kept.append(line)
    return "\n".join(kept)


def card_limits(text: str, metadata: dict[str, Any]) -> str:
    """What a card's sections on limits and on risks say (the first paragraphs), in Markdown, without code blocks.

    A model with a clinical tag is said to be no medical device, whether or not its card says so.
    """
    sections = _sections_on_limits(re.sub(r"<!--.*?-->", "", text, flags=re.S))
    kept = ""
    for paragraph in re.split(r"\n\s*\n", sections.strip()):
        if kept and len(kept) + len(paragraph) > MAX_LIMITS:
            break
        kept = f"{kept}\n\n{paragraph.strip()}".strip()
    tags = metadata.get("tags")
    clinical = {str(tag).lower() for tag in tags} & CLINICAL_TAGS if isinstance(tags, list) else set()
    if (clinical or MEDICAL_DEVICE in sections.lower()) and MEDICAL_DEVICE not in kept.lower():
        kept = f"{NO_MEDICAL_DEVICE}\n\n{kept}".strip()
    return kept
