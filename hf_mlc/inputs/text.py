"""Texts, read through a tokenizer.

Shape legend: B texts, T tokens of the longest.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from hf_mlc.data.bags import bag_batch
from hf_mlc.data.checking import DataReport
from hf_mlc.data.collating import MultiLabelCollator
from hf_mlc.data.contents import TEXT
from hf_mlc.data.tokenizing import tokenize_splits
from hf_mlc.errors import UserError, first_line
from hf_mlc.hub_reading import hub_problem
from hf_mlc.inputs.kind import InputKind
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.pipeline_multi_label import TASK
from hf_mlc.modeling.text_batch import encode_texts


# where a card's author gave no text that may be shown
PLAIN_TEXT = "A text to be labelled."
_CODE = """import hf_mlc  # registers the architectures and the pipeline
from transformers import pipeline

classifier = pipeline("{task}", model={model_id})
text = {text}
for answer in classifier(text):
    print(f"{{answer['score']:.3f}}  {{answer['label']}}")
"""


class TextInput(InputKind):
    """Strings. Settings: of `encode` `max_length`, `counted` and `num_proc`, of `collator` `pad_to_multiple_of`, of `batch`
    `with_offsets` and `counted`, all as of the functions that do it.
    """

    name, content, processor_noun = "text", TEXT, "tokenizer"
    processor_class = PreTrainedTokenizerBase
    pipeline_task, hub_task = TASK, "text-classification"

    def load_processor(
        self,
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        field: str | None = None,
        shown_as: str | None = None,
    ) -> PreTrainedTokenizerBase:
        accepted = "a Hub id or a folder, with a whole tokenizer.json"
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                name_or_path, revision=revision, token=token, trust_remote_code=False
            )
        except (
            Exception
        ) as error:  # the tokenizers library raises bare `Exception`s for a tokenizer.json that is cut short
            problem = hub_problem(error) if not Path(name_or_path).is_dir() else None
            known = isinstance(error, (OSError, ValueError, KeyError)) or type(error) is Exception
            if problem is None and not known:
                raise
            if problem is None:
                without = Path(name_or_path).is_dir() and not Path(name_or_path, "tokenizer.json").exists()
                reason = "there is no tokenizer.json" if without else first_line(error)
            else:
                reason, accepted = problem
            raise UserError(
                f"no tokenizer ({reason})",
                file=shown_as or name_or_path,
                field=field or "tokenizer_name",
                accepted=accepted,
            ) from None
        # without its file of words transformers makes an empty tokenizer of the named class, to which every word is unknown
        if Path(name_or_path).is_dir() and not tokenizer.get_vocab().keys() - set(tokenizer.all_special_tokens):
            raise UserError(
                "no tokenizer (there is no tokenizer.json)",
                file=shown_as or name_or_path,
                field=field or "tokenizer_name",
                accepted=accepted,
            )
        return tokenizer

    def processor_state(self, processor: PreTrainedTokenizerBase) -> str:
        sides = {"read": processor.truncation_side, "length": processor.model_max_length}
        if not processor.is_fast:
            described = {"vocabulary": processor.get_vocab(), "class": type(processor).__name__}
        else:
            backend = json.loads(processor.backend_tokenizer.to_str())
            described = {key: value for key, value in backend.items() if key not in ("truncation", "padding")}
        return json.dumps({**described, **sides}, sort_keys=True)

    def columns(self, args: Any) -> dict[str, Any]:
        return {"text": args.text_column}

    def encode(
        self,
        splits: datasets.DatasetDict,
        processor: PreTrainedTokenizerBase,
        label_space: LabelSpace,
        *,
        strict: bool = False,
        report: DataReport | None = None,
        **settings: Any,
    ) -> datasets.DatasetDict:
        settings.setdefault("max_length", processor.model_max_length)
        return tokenize_splits(splits, processor, label_space, strict=strict, report=report, **settings)

    def collator(
        self, processor: PreTrainedTokenizerBase, num_labels: int, *, targets: str = "labels", **settings: Any
    ) -> MultiLabelCollator:
        return MultiLabelCollator(processor, num_labels, targets=targets, **settings)

    def order(self, items: Sequence[str]) -> list[int]:
        """Texts of like length share a batch, in which little is padding."""
        return sorted(range(len(items)), key=lambda place: len(items[place]))

    def batch(
        self, processor: PreTrainedTokenizerBase, items: Sequence[str], *, counted: bool = False, **settings: Any
    ) -> dict[str, torch.Tensor]:
        """`input_ids` and `attention_mask`, int64 `(B, T)`; `counted`, of a model of bags, each token once and `token_counts`."""
        if counted and not settings.get("with_offsets"):
            return bag_batch(processor, items)
        return encode_texts(processor, items, **settings)

    def usage_code(self, *, model_id: str, config: Any, example: str | None = None) -> str:
        text = " ".join((example or PLAIN_TEXT).split())
        lines = textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)
        if len(lines) > 1:
            pieces = [f"    {_literal(line + ' ')}" for line in lines[:-1]] + [f"    {_literal(lines[-1])}"]
            literal = "(\n" + "\n".join(pieces) + "\n)"
        else:
            literal = _literal(text)
        return _CODE.format(task=self.pipeline_task, model_id=model_id, text=literal)


def _literal(text: str) -> str:
    """A string as Python writes it, in double quotes: JSON's way is one of Python's."""
    return json.dumps(text, ensure_ascii=False)
