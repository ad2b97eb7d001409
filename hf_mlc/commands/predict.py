"""`predict`: texts, pictures, rows of tables or histories of events in, labels with scores out, as JSON Lines; "-" is standard input or
output."""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_mlc.commands.answer_settings import HELP, override
from hf_mlc.commands.column_arguments import ContentArguments
from hf_mlc.commands.parsing import check_at_least, check_probability, parse_arguments
from hf_mlc.commands.running import check_output_file, say
from hf_mlc.data import Columns, iterate_rows
from hf_mlc.data.reading import check_file, decoded_line, json_row
from hf_mlc.data.rows import checked_row
from hf_mlc.data.values import RowForm
from hf_mlc.errors import UserError, rows_of
from hf_mlc.files import written_whole
from hf_mlc.inference import (
    check_predicts_next,
    check_reads_texts,
    check_writes_sequences,
    load_model,
    predict_steps,
    predict_texts,
    sequences_of_texts,
)
from hf_mlc.inputs import InputKind, items_in
from hf_mlc.run_facts import Stopwatch


STDIN = RowForm(file="standard input", is_json=True, folder=Path())
EVIDENCE_WORDS = 5
OTHER_ENDINGS = (".csv", ".tsv", ".parquet", ".xlsx", ".xls", ".gz")  # of formats that an output never has


@dataclass
class PredictArguments:
    """Arguments of `predict`."""

    model: str = field(metadata={"help": "A trained model's folder or Hub id."})
    input: str = field(
        default="-",
        metadata={
            "help": "JSON Lines, CSV or Parquet, of texts, pictures' names, rows of a table or events; or a picture, or a folder of"
            " pictures; - reads JSON Lines from stdin."
        },
    )
    id_column: str | None = field(default=None, metadata={"help": "Column of the row's id."})
    output: str = field(default="-", metadata={"help": "JSON Lines; - writes to stdout."})
    revision: str | None = field(default=None, metadata={"help": "The model's branch, tag or commit."})
    top_k: int | None = field(default=None, metadata={"help": "The k best labels; default: the tuned thresholds."})
    threshold: float | None = field(default=None, metadata={"help": "Every label from this score on."})
    override: list[str] | None = field(default=None, metadata={"help": HELP})
    explain: bool = field(
        default=False, metadata={"help": "Give each label the five words that it was read from, with their places."}
    )
    sequences: bool = field(
        default=False,
        metadata={"help": "Of a model that writes label sequences: its labels in the order in which it wrote them."},
    )
    steps: int | None = field(
        default=None,
        metadata={
            "help": "Of a model of events: the label sets of so many events to come, each taken for true by the next."
        },
    )
    batch_size: int = field(default=32, metadata={"help": "Documents a forward pass."})
    pool_size: int = field(default=1024, metadata={"help": "Documents sorted by length together."})

    def __post_init__(self):
        check_probability(threshold=self.threshold)
        check_at_least(1, top_k=self.top_k, steps=self.steps, batch_size=self.batch_size, pool_size=self.pool_size)
        # what a folder is searched for, the model says
        if self.input != "-" and not Path(self.input).is_dir() and items_in(self.input) is None:
            check_file(self.input)
        if self.output != "-":
            if Path(self.output).suffix.lower() in OTHER_ENDINGS:
                raise UserError(
                    f"found '{self.output}', and JSON Lines are written",
                    field="output",
                    accepted="- or a file ending in .jsonl",
                )
            check_output_file(self.output)


def main(arguments: list[str]) -> None:
    """Predicts by `arguments`; an answer has the row's `id` and its `labels`, best first, with `--explain` explained.

    With `--sequences` it also has its `sequence`: the answered label set in the order in which it was written. With `--steps` it also
    has its `steps`: a list of labels for each event to come, of which `labels` is the first.
    """
    (args, content_args), _, _ = parse_arguments((PredictArguments, ContentArguments), arguments)
    loaded = load_model(args.model, revision=args.revision, allow_onnx=not args.explain)
    override(loaded, args.override)
    if args.explain:
        check_reads_texts(loaded, "the evidence of words")
    kind = loaded.kind
    found = None if args.input == "-" else _items(args.input, kind)
    if found is not None and found[0] is not kind:
        problem = f"is of {found[0].noun}, and the model reads {kind.noun}"
        raise UserError(problem, file=args.input, field="input", accepted=kind.noun)
    columns = content_args.columns(kind, id_column=args.id_column, processor=loaded.processor)
    column = kind.content.column
    if args.sequences:
        check_writes_sequences(loaded)
    if args.steps is not None:
        check_predicts_next(loaded)
    stopwatch, documents = Stopwatch(), 0
    with contextlib.ExitStack() as stack:
        output = sys.stdout if args.output == "-" else stack.enter_context(written_whole(args.output))
        if found is not None:
            pools = _pools_of_items(args, *found)
        else:
            pools = _pools_of_stdin(args.pool_size, columns) if args.input == "-" else _pools_of_file(args, columns)
        for rows in pools:
            items = [row[column] for row in rows]
            how = {"top_k": args.top_k, "threshold": args.threshold, "batch_size": args.batch_size}
            with rows_of(STDIN.file if args.input == "-" else args.input, [row["id"] for row in rows]):
                if args.steps is not None:
                    steps = predict_steps(loaded, items, args.steps, **how)
                    answers = [of_row[0] for of_row in steps]
                else:
                    steps = [None] * len(rows)
                    answers = list(
                        predict_texts(loaded, items, explain=EVIDENCE_WORDS if args.explain else None, **how)
                    )
            sequences = [None] * len(rows)
            if args.sequences:
                sequences = sequences_of_texts(loaded, items, batch_size=args.batch_size)
            for row, labels, of_row, sequence in zip(rows, answers, steps, sequences, strict=True):
                answer = {"id": row["id"], "labels": labels}
                if of_row is not None:
                    answer["steps"] = of_row
                if sequence is not None:
                    answer["sequence"] = sequence
                output.write(json.dumps(answer, ensure_ascii=False) + "\n")
            output.flush()
            documents += len(rows)
    seconds = stopwatch.read()["seconds"]
    for remark in kind.remarks(loaded.processor):
        say(remark)
    say(f"{documents} documents in {seconds:.1f} s ({documents / max(seconds, 0.01):.0f} a second)")


def _items(place: str, kind: InputKind) -> tuple[InputKind, list[Path]] | None:
    """As [`~hf_mlc.inputs.items_in`], the error about a folder without items in words of what the model reads."""
    try:
        return items_in(place)
    except UserError:
        kind.files_in(place)  # of a model that reads such items, the error is that there are none
        problem, accepted = f"is a folder, and the model reads {kind.noun} in a file", f"a file of {kind.noun}, or -"
        raise UserError(problem, file=place, field="input", accepted=accepted) from None


def _pools_of_file(args: PredictArguments, columns: Columns) -> Iterator[list[dict[str, Any]]]:
    pool = []
    for row in iterate_rows(args.input, columns):
        pool.append(row)
        if len(pool) == args.pool_size:
            yield pool
            pool = []
    if pool:
        yield pool


def _pools_of_items(args: PredictArguments, kind: InputKind, files: list[Path]) -> Iterator[list[dict[str, Any]]]:
    """Files that are items themselves, each named by its own name."""
    rows = [{"id": file.name, kind.content.column: kind.item_of_file(file)} for file in files]
    for start in range(0, len(rows), args.pool_size):
        yield rows[start : start + args.pool_size]


def _pools_of_stdin(pool_size: int, columns: Columns) -> Iterator[list[dict[str, Any]]]:
    """Whatever has arrived, at most `pool_size` rows: one typed line is answered at once, a fast stream in pools."""
    lines: queue.Queue[bytes | OSError | None] = queue.Queue(maxsize=2 * pool_size)

    def read() -> None:
        try:
            # not sys.stdin's own buffer: Python aborts where it ends while a thread waits in that
            with open(sys.stdin.fileno(), "rb", closefd=False) as stream:
                for line in stream:
                    lines.put(line)
        except OSError as error:  # a folder, a terminal that is gone
            lines.put(error)
        finally:
            lines.put(None)

    if sys.stdin is None:
        raise UserError("is closed", file=STDIN.file, accepted="JSON Lines")
    threading.Thread(target=read, daemon=True).start()
    number, ended = 0, False
    while not ended:
        pool = []
        line = lines.get()
        while line is not None:
            if isinstance(line, OSError):
                raise UserError(f"can't be read ({line.strerror})", file=STDIN.file, accepted="JSON Lines")
            number += 1
            text = decoded_line(line, number, file=STDIN.file)
            if text.strip():
                row = json_row(text, file=STDIN.file, row=number)
                pool.append(checked_row(row, columns, STDIN, row=number))
            if len(pool) == pool_size or lines.empty():
                break
            line = lines.get()
        ended = line is None
        if pool:
            yield pool
