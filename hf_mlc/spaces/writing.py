"""The folder of a Space: the app as it stands in app.py beside this file, and what is particular to one model."""

from __future__ import annotations

import json
import re
import statistics
from importlib.metadata import requires
from pathlib import Path

from huggingface_hub import SpaceCardData

from hf_mlc.files import check_new_folder, folder_written_whole
from hf_mlc.spaces.source import ModelSource


HERE = Path(__file__).parent
GRADIO_VERSION = "6.31.0"  # the one that the app was tried with; a Space installs exactly this
PYTHON_VERSION = "3.11"  # the oldest that transformers 5 takes; a Space's default is older

README = """---
{front_matter}
---

# {title}

A page for the multi-label classifier {model}: paste a text, see its labels with their scores, move the threshold, and
look at the words that weigh most for a label. Written by `hf-mlc space`.

## What runs here

`app.py` loads {model}{at} with `trust_remote_code=True`: **the Python code that lies beside the model's weights runs
where this app runs**, with whatever that machine may do. {pinned}

Texts are scored on the machine that runs the app. The app stores none of them and reports nothing to anyone.

## Run it on your own machine

```
pip install -r requirements.txt gradio=={gradio_version}
python app.py
```

{closing}
"""
ON_HUB = """## Change it

`space.json` holds the model, its commit, the title, the examples (from the `widget` entries of the model's card) and the note
on limits. `app.py` is the same for every model. For a private model, add a secret named `HF_TOKEN`, with the right to read it,
in the Space's settings.

The app's code is under the Apache licence 2.0; the model's own licence is on its card.
"""
IN_FOLDER = """## Only for this machine

The model is a folder on the machine where this was written. For a Space, publish the model and run
`hf-mlc space --model org/name` on its Hub id.

The app's code is under the Apache licence 2.0.
"""


def space_files(source: ModelSource, *, title: str | None = None) -> dict[str, str]:
    """The files of a Space by name, with their contents.

    Args:
        source (`ModelSource`): from `read_source`.
        title (`str`, *optional*, defaults to the model's name without its owner): the page's heading.
    """
    title = title or Path(source.name).name
    thresholds = source.config.thresholds
    thresholds = thresholds if isinstance(thresholds, list) else [thresholds]
    settings = {
        "model": source.name,
        "revision": source.revision,
        "on_hub": source.on_hub,
        "title": title,
        "num_labels": source.config.num_labels,
        "thresholds": {
            "lowest": round(min(thresholds), 4),
            "median": round(statistics.median(thresholds), 4),
            "highest": round(max(thresholds), 4),
        },
        "examples": list(source.examples),
        "limits": source.limits,
    }
    return {
        "README.md": _readme(source, title),
        "app.py": (HERE / "app.py").read_text(encoding="utf-8"),
        "requirements.txt": "".join(f"{line}\n" for line in _requirements()),
        "space.json": json.dumps(settings, ensure_ascii=False, indent=2) + "\n",
        "style.css": (HERE / "style.css").read_text(encoding="utf-8"),
    }


def write_space(files: dict[str, str], folder: str | Path) -> None:
    """Writes the files of `space_files` into `folder`, all or none; nothing where the very same are there already.

    Raises:
        `UserError`: for a folder that holds anything else.
    """
    if _holds(Path(folder), files):
        return
    check_new_folder(folder)
    with folder_written_whole(folder) as staged:
        for name, content in files.items():
            (staged / name).write_text(content, encoding="utf-8", newline="\n")


def _holds(folder: Path, files: dict[str, str]) -> bool:
    """Whether the folder holds exactly these files."""
    there = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
    return there.keys() == files.keys() and all(
        path.is_file() and path.read_bytes() == files[name].encode() for name, path in there.items()
    )


def _readme(source: ModelSource, title: str) -> str:
    front_matter = SpaceCardData(
        title=title,
        sdk="gradio",
        sdk_version=GRADIO_VERSION,
        python_version=PYTHON_VERSION,
        app_file="app.py",
        license="apache-2.0",
        models=[source.name] if source.on_hub else None,
    )
    return README.format(
        front_matter=front_matter.to_yaml(),
        title=title,
        model=f"[{source.name}](https://huggingface.co/{source.name})" if source.on_hub else f"`{source.name}`",
        at=f" at commit `{source.revision}`" if source.revision else "",
        pinned=(
            "The commit is pinned, so a later change to that repository changes nothing here until `hf-mlc space` is run "
            "again."
            if source.revision
            else "The folder is read anew at every start."
        ),
        gradio_version=GRADIO_VERSION,
        closing=(ON_HUB if source.on_hub else IN_FOLDER).strip(),
    )


def _requirements() -> list[str]:
    """The lines of our own requirements that a model's code needs; a Space installs gradio by `sdk_version`."""
    lines = [re.split(r"[;\s]", line)[0] for line in requires("hf_mlc") or [] if "extra ==" not in line]
    return [line for line in lines if re.match(r"(safetensors|torch|transformers)\b", line)]
