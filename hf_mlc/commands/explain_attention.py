"""`explain --method label_attention`: of a model and some histories, which labels look at which others."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hf_mlc.cards.attention_plot import draw_attention
from hf_mlc.commands.running import say
from hf_mlc.errors import UserError
from hf_mlc.explaining.label_attention_map import label_attention_map
from hf_mlc.files import written_whole
from hf_mlc.inference import LoadedModel
from hf_mlc.run_facts import weights_fingerprint


ATTENTION_METHOD = "label_attention"
MOST_HISTORIES = 1000  # that are read: means over more hardly differ
LISTED_PAIRS = 10  # on standard error


def explain_attention(args: Any, loaded: LoadedModel, rows: Iterable[dict[str, Any]]) -> None:
    """Writes what `LabelAttentionMap` holds: one line of JSON, or a picture; its strongest pairs go to standard error.

    Args:
        args: of `explain`.
        loaded ([`~hf_mlc.inference.LoadedModel`]): the model.
        rows (iterable of `dict`): with histories; the first 1,000 are read.
    """
    histories = [row[loaded.kind.content.column] for row in itertools.islice(rows, MOST_HISTORIES)]
    found = label_attention_map(loaded, histories, labels=args.label or None, num_shown=args.top_labels).to_dict()
    if Path(args.output).suffix == ".png":
        picture = draw_attention(found)
        if picture is None:
            raise UserError(
                "no two labels were ever read together", file=args.model, field="output", accepted="a .json, or -"
            )
        with written_whole(args.output, binary=True) as stream:
            stream.write(picture)
    else:
        line = json.dumps(
            {"weights": weights_fingerprint(args.model, revision=args.revision), **found}, ensure_ascii=False
        )
        if args.output == "-":
            sys.stdout.write(line + "\n")
        else:
            with written_whole(args.output) as stream:
                stream.write(line + "\n")
    for remark in loaded.kind.remarks(loaded.processor):
        say(remark)
    say(attention_lines(found))


def attention_lines(found: dict[str, Any]) -> str:
    """The strongest pairs, as text."""
    pairs = found["pairs"][:LISTED_PAIRS]
    head = ("label", "looks at", "share", "others", "if there", "together", "before")
    shares = ("attention", "usual", "when_there", "together", "before")
    rows = [(pair["label"], pair["looks_at"], *(_share(pair[name]) for name in shares)) for pair in pairs]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [f"attention of labels to each other over {found['num_histories']:,} histories, strongest pairs:"]
    for row in (head, *rows):
        names = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(names + numbers))
    return "\n".join(lines)


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.4f}"
