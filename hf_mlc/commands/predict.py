"""`predict`: texts in, labels with scores out, as JSON Lines; "-" is standard input or output."""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.commands.running import say, written_whole
from hf_mlc.data import Columns, iterate_rows
from hf_mlc.errors import UserError
from hf_mlc.inference import load_model, predict_texts
from hf_mlc.run_facts import Stopwatch


@dataclass
class PredictArguments:
    """Arguments of `predict`."""

    model: str = field(metadata={"help": "A trained model's folder or Hub id."})
    input: str = field(default="-", metadata={"help": "JSON Lines, CSV or Parquet; - reads JSON Lines from stdin."})
    output: str = field(default="-", metadata={"help": "JSON Lines; - writes to stdout."})
    revision: str | None = field(default=None, metadata={"help": "The model's branch, tag or commit."})
    text_column: list[str] = field(default_factory=lambda: ["text"], metadata={"help": "Column(s) of the text."})
    top_k: int | None = field(default=None, metadata={"help": "The k best labels; default: the tuned thresholds."})
    threshold: float | None = field(default=None, metadata={"help": "Every label from this score on."})
    batch_size: int = field(default=32, metadata={"help": "Documents a forward pass."})
    pool_size: int = field(default=1024, metadata={"help": "Documents sorted by length together."})

    def __post_init__(self):
        if self.top_k is not None and self.top_k < 1:
            raise UserError(f"found {self.top_k}", field="top_k", accepted="1 or more")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UserError(f"found {self.threshold}", field="threshold", accepted="0 to 1")
        if self.batch_size < 1 or self.pool_size < 1:
            raise UserError("found less than 1", field="batch_size or pool_size", accepted="1 or more")


def main(arguments: list[str]) -> None:
    """Predicts by `arguments`; an answer has the row's `id` and its `labels`, best first."""
    (args,), _, _ = parse_arguments(PredictArguments, arguments)
    columns = Columns(text=args.text_column[0] if len(args.text_column) == 1 else args.text_column)
    loaded = load_model(args.model, revision=args.revision)
    stopwatch, documents = Stopwatch(), 0
    with contextlib.ExitStack() as stack:
        output = sys.stdout if args.output == "-" else stack.enter_context(written_whole(args.output))
        pools = _pools_of_stdin(args.pool_size, columns) if args.input == "-" else _pools_of_file(args, columns)
        for rows in pools:
            answers = predict_texts(
                loaded,
                [row["text"] for row in rows],
                top_k=args.top_k,
                threshold=args.threshold,
                batch_size=args.batch_size,
            )
            for row, labels in zip(rows, answers, strict=True):
                output.write(json.dumps({"id": row["id"], "labels": labels}, ensure_ascii=False) + "\n")
            output.flush()
            documents += len(rows)
    seconds = stopwatch.read()["seconds"]
    say(f"{documents} documents in {seconds:.1f} s ({documents / max(seconds, 0.01):.0f} a second)")


def _pools_of_file(args: PredictArguments, columns: Columns) -> Iterator[list[dict[str, Any]]]:
    pool = []
    for row in iterate_rows(args.input, columns, labels_required=False):
        pool.append(row)
        if len(pool) == args.pool_size:
            yield pool
            pool = []
    if pool:
        yield pool


def _pools_of_stdin(pool_size: int, columns: Columns) -> Iterator[list[dict[str, Any]]]:
    """Whatever has arrived, at most `pool_size` rows: one typed line is answered at once, a fast stream in pools."""
    lines: queue.Queue[str | None] = queue.Queue(maxsize=2 * pool_size)

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    number, ended = 0, False
    while not ended:
        pool = []
        line = lines.get()
        while line is not None:
            number += 1
            if line.strip():
                pool.append(_row_of_line(line, number, columns))
            if len(pool) == pool_size or lines.empty():
                break
            line = lines.get()
        ended = line is None
        if pool:
            yield pool


def _row_of_line(line: str, number: int, columns: Columns) -> dict[str, Any]:
    names = [columns.text] if isinstance(columns.text, str) else list(columns.text)
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"no JSON ({error})", file="standard input", row=number, accepted='{"text": "..."}') from None
    for name in names:
        if not isinstance(row, dict) or not isinstance(row.get(name), str):
            raise UserError("no text", file="standard input", row=number, field=name, accepted='{"text": "..."}')
    return {"id": str(row.get("id", number)), "text": "\n".join(row[name] for name in names)}
