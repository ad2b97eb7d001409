"""The usage snippet of a card, and what it really prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from hf_mlc.cards.facts import CardFacts
from hf_mlc.errors import UserError
from hf_mlc.images.processing import reads_images


# where a card's author gave no text that may be shown
PLAIN_TEXT = "A text to be labelled."
_CODE = """import hf_mlc  # registers the architectures and the pipeline
from transformers import pipeline

classifier = pipeline("multi-label-classification", model={model_id})
text = {text}
for answer in classifier(text):
    print(f"{{answer['score']:.3f}}  {{answer['label']}}")
"""
_IMAGE_CODE = """import hf_mlc  # registers the architectures and the pipeline
from PIL import Image
from transformers import pipeline

classifier = pipeline("multi-label-image-classification", model={model_id})
picture = Image.new("RGB", (224, 224), "steelblue")  # or the name of a file: "photo.jpg"
for answer in classifier(picture):
    print(f"{{answer['score']:.3f}}  {{answer['label']}}")
"""


def usage_snippet(facts: CardFacts, *, model_id: str | None = None) -> str:
    """The code that a reader copies.

    Args:
        facts (`CardFacts`): of the model.
        model_id (`str`, *optional*): what stands for the model; its id.
    """
    if reads_images(facts.config):
        return _IMAGE_CODE.format(model_id=_literal(model_id or facts.model_id))
    text = " ".join((facts.words.widget[0]["text"] if facts.words.widget else PLAIN_TEXT).split())
    lines = textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)
    if len(lines) > 1:
        pieces = [f"    {_literal(line + ' ')}" for line in lines[:-1]] + [f"    {_literal(lines[-1])}"]
        literal = "(\n" + "\n".join(pieces) + "\n)"
    else:
        literal = _literal(text)
    return _CODE.format(model_id=_literal(model_id or facts.model_id), text=literal)


def _literal(text: str) -> str:
    """A string as Python writes it, in double quotes: JSON's way is one of Python's."""
    return json.dumps(text, ensure_ascii=False)


def printed_by_snippet(facts: CardFacts) -> str | None:
    """What the snippet prints, run in a fresh process on CPU with the model's folder in place of its id; `None` where
    the folder holds no weights.

    The process imports this package, so the code files beside the weights are not executed.

    Raises:
        `UserError`: the snippet fails, which means that the model can't be used as its card says.
    """
    if not any((facts.model_folder / name).is_file() for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)):
        return None
    snippet = usage_snippet(facts, model_id=str(facts.model_folder.resolve()))
    environment = os.environ | {
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONIOENCODING": "utf-8",
    }
    ended = subprocess.run(
        # -P: no module of the folder that we happen to stand in
        [sys.executable, "-P", "-c", snippet],
        capture_output=True,
        encoding="utf-8",
        env=environment,
        check=False,
    )
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"]
        raise UserError(f"the card's usage snippet fails ({lines[-1]})", file=facts.model_folder, field="model")
    return ended.stdout.rstrip() or "(no label)"
