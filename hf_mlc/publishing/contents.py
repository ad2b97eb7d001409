"""What a published model consists of: an allow-list of file names, and of code those files that config.json names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from transformers.dynamic_module_utils import get_relative_imports
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from hf_mlc.cards.facts import BASELINE
from hf_mlc.cards.plots import PLOTS
from hf_mlc.cards.words import CARD_FILE
from hf_mlc.data.bags import cuts_whole_words
from hf_mlc.data.tokenizing import SPECIAL_TOKENS
from hf_mlc.errors import UserError
from hf_mlc.folder_files import METRICS_FILE, OF_THE_WEIGHTS, RESULTS_FILE


CONFIG = "config.json"
EXTRACTOR = "preprocessor_config.json"  # of pictures, and of tables and events, whose extractor brings code of its own
TOKENIZER = "tokenizer.json"
GENERATION = "generation_config.json"  # of a model that writes sequences: what `generate` does unless told otherwise
CARD = "README.md"
# what else a card is made from; read, and not published
CARD_SOURCES = (CARD_FILE, BASELINE, *OF_THE_WEIGHTS)
PROCESSORS = (
    "processor_config.json", EXTRACTOR, TOKENIZER, "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
    "sentencepiece.model", "spm.model", "spm_char.model", "dict.txt", "bpe.codes", "emoji.json", "entity_vocab.json",
    "chat_template.jinja",
)  # fmt: skip
# of these, JSON whose strings are a vocabulary
VOCABULARIES = (TOKENIZER, "vocab.json", "added_tokens.json", "emoji.json", "entity_vocab.json")
WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json")
# what other models keep their weights in; they go when one of ours takes their place by `--overwrite`
OTHER_WEIGHTS = re.compile(r".+\.(bin|ckpt|gguf|h5|msgpack|onnx|ot|pickle|pkl|pt|pth|safetensors)|.+\.index\.json")


def publication_files(names: Iterable[str], folder: Path) -> set[str]:
    """Those of `names` that belong to a publication: the allow-list, and what config.json refers to.

    Args:
        names (iterable of `str`): paths inside a model folder or repository; nothing in a subfolder is of a publication.
        folder (`Path`): where its config.json and its code lie.
    """
    config = read_config(folder)
    named = {CONFIG, GENERATION, CARD, RESULTS_FILE, METRICS_FILE, *PROCESSORS, *PLOTS, *code_files(config, folder)}
    if config.get("label_space_file"):
        named.add(config["label_space_file"])
    return {name for name in names if name in named or WEIGHTS.fullmatch(name)}


def published_categories(folder: Path) -> str | None:
    """One line that says of which features of a table the values of training rows are in `folder`; `None` where none are."""
    categories = {
        name: values for name, values in (read_config(folder, EXTRACTOR).get("categories") or {}).items() if values
    }
    if not categories:
        return None
    counts = sorted(((len(values), name) for name, values in categories.items()), key=lambda pair: (-pair[0], pair[1]))
    listed = ", ".join(f"{name}: {number:,}" for number, name in counts)
    return (
        f"{EXTRACTOR} holds {sum(number for number, _ in counts):,} values of training rows, word for word ({listed})"
    )


def published_users(folder: Path) -> str | None:
    """One line that says how many users of training rows are named in `folder`; `None` where none are."""
    users = read_config(folder, EXTRACTOR).get("users")
    if not users:
        return None
    return f"{EXTRACTOR} holds the names of {len(users):,} users of training rows, and the weights what was learned of each"


def published_words(folder: Path) -> str | None:
    """One line that says how many words of rows the tokenizer in `folder` holds; `None` where it wasn't trained on any.

    Nothing records that: a tokenizer is one of [`~hf_mlc.data.train_tokenizer`] by its first tokens and by how it cuts texts.
    """
    tokenizer = read_config(folder, TOKENIZER)
    model, cutting = tokenizer.get("model") or {}, tokenizer.get("pre_tokenizer") or {}
    vocabulary, special = model.get("vocab"), list(SPECIAL_TOKENS.values())
    if not isinstance(vocabulary, dict) or [vocabulary.get(token) for token in special] != [*range(len(special))]:
        return None
    if model.get("type") == "WordLevel" and cuts_whole_words(cutting):
        number, what = len(vocabulary) - len(special), "words"
    elif model.get("type") == "BPE" and cutting.get("type") == "ByteLevel":
        number, what = len(model.get("merges") or ()), "words and parts of words"
    else:
        return None
    return f"{TOKENIZER} holds {number:,} {what} of the rows that it was trained on"


def weight_files(folder: Path) -> list[str]:
    """The names of the weights that loading the folder reads: one file, or an index and its parts."""
    if (folder / SAFE_WEIGHTS_NAME).is_file():
        return [SAFE_WEIGHTS_NAME]
    index = json.loads((folder / SAFE_WEIGHTS_INDEX_NAME).read_text(encoding="utf-8"))
    parts = set(index["weight_map"].values())
    strange = [name for name in parts if not WEIGHTS.fullmatch(name)]
    if strange:  # it may lead out of the folder
        raise UserError(
            f"names '{strange[0]}'",
            file=SAFE_WEIGHTS_INDEX_NAME,
            accepted="model-00001-of-00002.safetensors and the like",
        )
    return [SAFE_WEIGHTS_INDEX_NAME, *sorted(parts)]


def read_config(folder: Path, name: str = CONFIG) -> dict[str, Any]:
    """The folder's config.json, or another file of settings; empty where it has none or none that can be read."""
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def code_files(config: dict[str, Any], folder: Path) -> set[str]:
    """The code that travels with the weights: the modules that `auto_map` and `custom_pipelines` name (in config.json, and of
    the feature extractor), and their imports."""
    naming = (config, read_config(folder, EXTRACTOR))
    waiting = {f"{module}.py" for settings in naming for module in _named_modules(settings)}
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found and (folder / name).is_file():
            found.add(name)
            waiting |= {f"{module}.py" for module in get_relative_imports(folder / name)}
    return found


def _named_modules(config: dict[str, Any]) -> Iterator[str]:
    references = list((config.get("auto_map") or {}).values())
    references += [task.get("impl") for task in (config.get("custom_pipelines") or {}).values()]
    for reference in references:
        # a tokenizer's entry is a pair; "org/name--module.Class" lies in another repository
        for one in reference if isinstance(reference, list | tuple) else [reference]:
            if isinstance(one, str) and "--" not in one and "/" not in one:
                yield one.partition(".")[0]
