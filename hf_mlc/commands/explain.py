"""`explain`: texts in, the words behind their labels out: as JSON Lines, a page of HTML or a picture.

With `--method label_relations`, of a model that relates labels to each other: which ones (`explain_relations.py`). With
`--method label_attention`, of a model whose labels look at each other, and histories: where they look (`explain_attention.py`).
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from hf_mlc.commands.column_arguments import ContentArguments
from hf_mlc.commands.explain_attention import ATTENTION_METHOD, explain_attention
from hf_mlc.commands.explain_relations import RELATIONS_METHOD, explain_relations
from hf_mlc.commands.parsing import check_at_least, parse_arguments
from hf_mlc.commands.running import check_output_file, say
from hf_mlc.data import Columns, iterate_rows
from hf_mlc.data.reading import check_file, decoded_line, json_row
from hf_mlc.data.rows import RowForm, checked_row
from hf_mlc.errors import UserError
from hf_mlc.explaining import METHODS, Explanation, explain_labels, to_html, to_png
from hf_mlc.explaining.gradients import STEPS
from hf_mlc.explaining.label_attention_map import SHOWN_LABELS, check_label_attention
from hf_mlc.explaining.methods import BASELINES
from hf_mlc.files import written_whole
from hf_mlc.inference import check_reads_texts, load_model


GRADIENTS = "integrated_gradients"
FORMATS = (".jsonl", ".html", ".png")
FORMATS_OF = {RELATIONS_METHOD: (".jsonl", ".png"), ATTENTION_METHOD: (".json", ".jsonl", ".png")}
TOP_WORDS = 10
STDIN = RowForm(file="standard input")
# what each method's arguments are about
_ABOUT = {**dict.fromkeys(METHODS, "of texts"), ATTENTION_METHOD: "of histories", RELATIONS_METHOD: "of the model"}
# arguments that not all methods have a use for
_ARGUMENTS_OF = {
    "input": (*METHODS, ATTENTION_METHOD),
    "id_column": (*METHODS, ATTENTION_METHOD),
    "label": (*METHODS, ATTENTION_METHOD),
    "top_words": METHODS,
    "steps": (GRADIENTS,),
    "baseline": (GRADIENTS,),
    "top_labels": (ATTENTION_METHOD,),
}


@dataclass
class ExplainArguments:
    """Arguments of `explain`."""

    model: str = field(metadata={"help": "A trained model's folder or Hub id."})
    input: str = field(default="-", metadata={"help": "JSON Lines, CSV or Parquet; - reads JSON Lines from stdin."})
    id_column: str | None = field(default=None, metadata={"help": "Column of the row's id."})
    output: str = field(
        default="-", metadata={"help": f"A file that ends in {', '.join(FORMATS)}; - writes JSON Lines to stdout."}
    )
    label: list[str] = field(
        default_factory=list, metadata={"help": "Label(s) to explain; default: those predicted for each text."}
    )
    method: str = field(
        default="attention",
        metadata={
            "help": f"One of {', '.join(METHODS)}; {RELATIONS_METHOD}, of an msdn model and without texts; {ATTENTION_METHOD}, of a"
            " lanet model and histories."
        },
    )
    top_words: int = field(
        default=TOP_WORDS, metadata={"help": "Words a label in JSON Lines and in the tables of HTML."}
    )
    steps: int = field(default=STEPS, metadata={"help": "Points of the quadrature of integrated gradients."})
    baseline: str = field(default="unk", metadata={"help": f"The token they compare with: {', '.join(BASELINES)}."})
    top_labels: int = field(default=SHOWN_LABELS, metadata={"help": f"Labels that {ATTENTION_METHOD} shows."})
    revision: str | None = field(default=None, metadata={"help": "The model's branch, tag or commit."})

    def __post_init__(self):
        check_at_least(1, top_words=self.top_words, steps=self.steps)
        check_at_least(2, top_labels=self.top_labels)
        methods = (*METHODS, RELATIONS_METHOD, ATTENTION_METHOD)
        for name, accepted in (("method", methods), ("baseline", BASELINES)):
            if getattr(self, name) not in accepted:
                raise UserError(f"found '{getattr(self, name)}'", field=name, accepted=", ".join(accepted))
        if self.input != "-":
            check_file(self.input)
        if self.output != "-":
            formats = FORMATS_OF.get(self.method, FORMATS)
            if Path(self.output).suffix not in formats:
                raise UserError(f"found '{self.output}'", field="output", accepted=f"- or {', '.join(formats)}")
            check_output_file(self.output)
        self._check_arguments_of_method()

    def _check_arguments_of_method(self):
        """`UserError` for an argument that the method would pass over."""
        for argument in fields(self):
            methods = _ARGUMENTS_OF.get(argument.name)
            usual = [] if argument.name == "label" else argument.default
            if methods is not None and self.method not in methods and getattr(self, argument.name) != usual:
                problem = f"is {_ABOUT[methods[0]]}, and {self.method} is {_ABOUT[self.method]}"
                if _ABOUT[methods[0]] == _ABOUT[self.method]:
                    problem = f"is of {', '.join(methods)}, and the method is {self.method}"
                raise UserError(problem, field=argument.name, accepted="none given")
        if self.top_words != TOP_WORDS and Path(self.output).suffix == ".png":
            raise UserError(
                "a picture shades every word",
                field="top_words",
                accepted="none given, or an output in .jsonl or .html",
            )
        if self.method == ATTENTION_METHOD and len(set(self.label)) == 1:
            raise UserError(f"found '{self.label[0]}' alone", field="label", accepted="two labels or more, or none")


def main(arguments: list[str]) -> None:
    """Explains by `arguments`; an answer in JSON Lines has the row's `id` and its `explanations`."""
    (args, content_args), _, _ = parse_arguments((ExplainArguments, ContentArguments), arguments)
    if args.method == RELATIONS_METHOD:
        explain_relations(args)
        return
    loaded = load_model(args.model, revision=args.revision)
    if args.method == ATTENTION_METHOD:
        check_label_attention(loaded.model.config)
    else:
        check_reads_texts(loaded, "the evidence of words")
    loaded.label_space.encode(args.label)  # an unknown one is found out before anything is read
    columns = content_args.columns(loaded.kind, id_column=args.id_column, processor=loaded.processor)
    rows = _rows_of_stdin(columns) if args.input == "-" else iterate_rows(args.input, columns)
    if args.method == ATTENTION_METHOD:
        explain_attention(args, loaded, rows)
        return
    kind = Path(args.output).suffix if args.output != "-" else ".jsonl"
    documents, kept = 0, []
    with contextlib.ExitStack() as stack:
        stream = sys.stdout
        if args.output != "-":
            stream = stack.enter_context(written_whole(args.output, binary=kind == ".png"))
        for row in rows:
            found = explain_labels(
                loaded,
                row["text"],
                args.label or None,
                method=args.method,
                steps=args.steps,
                baseline=args.baseline,
            )
            documents += 1
            if kind == ".jsonl":
                stream.write(_line(row["id"], found, args.top_words))
                stream.flush()
            else:
                kept += [replace(explanation, document=row["id"]) for explanation in found]
        if kind == ".html":
            stream.write(to_html(kept, top_words=args.top_words))
        elif kind == ".png":
            stream.write(to_png(kept))
    say(f"{documents} documents explained by {args.method.replace('_', ' ')}")


def _line(name: str, explanations: list[Explanation], top_words: int) -> str:
    answers = [explanation.to_dict(top_words=top_words) for explanation in explanations]
    return json.dumps({"id": name, "explanations": answers}, ensure_ascii=False) + "\n"


def _rows_of_stdin(columns: Columns) -> Iterator[dict[str, Any]]:
    """A row as soon as its line is there."""
    if sys.stdin is None:
        raise UserError("is closed", file=STDIN.file, accepted="JSON Lines")
    for number, line in enumerate(sys.stdin.buffer, start=1):
        text = decoded_line(line, number, file=STDIN.file)
        if text.strip():
            yield checked_row(json_row(text, file=STDIN.file, row=number), columns, STDIN, row=number)
