"""The usage snippet of a card, and what it really prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from hf_mlc.cards.facts import CardFacts
from hf_mlc.errors import UserError
from hf_mlc.inputs import input_kind_of


def usage_snippet(facts: CardFacts, *, model_id: str | None = None) -> str:
    """The code that a reader copies.

    Args:
        facts (`CardFacts`): of the model.
        model_id (`str`, *optional*): what stands for the model; its id.
    """
    example = facts.words.widget[0]["text"] if facts.words.widget else None
    literal = json.dumps(
        model_id or facts.model_id, ensure_ascii=False
    )  # JSON's way to write a string is one of Python's
    return input_kind_of(facts.config).usage_code(model_id=literal, config=facts.config, example=example)


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
