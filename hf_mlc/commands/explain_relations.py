"""`explain --method label_relations`: of a model, and no text, which labels move which others' logits."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hf_mlc.cards.relation_plot import draw_relations
from hf_mlc.commands.running import say
from hf_mlc.errors import UserError
from hf_mlc.explaining.label_relations import label_relations
from hf_mlc.files import written_whole
from hf_mlc.inference import load_model


RELATIONS_METHOD = "label_relations"
MOST_OFFSETS = 12  # columns of the table on standard error


def explain_relations(args: Any) -> None:
    """Writes what `LabelRelations` holds: one line of JSON, or a picture; a table of it goes to standard error."""
    loaded = load_model(args.model, revision=args.revision)
    found = label_relations(loaded).to_dict()
    if Path(args.output).suffix == ".png":
        picture = draw_relations(found)
        if picture is None:
            raise UserError(
                "no label's answer moves another label's logit",
                file=args.model,
                field="output",
                accepted="a .jsonl, or -",
            )
        with written_whole(args.output, binary=True) as stream:
            stream.write(picture)
    else:
        line = json.dumps(found, ensure_ascii=False) + "\n"
        if args.output == "-":
            sys.stdout.write(line)
        else:
            with written_whole(args.output) as stream:
                stream.write(line)
    say(relation_lines(found))


def relation_lines(found: dict[str, Any]) -> str:
    """The mean absolute change of a logit by kernel and places from label to label, as text."""
    rows = [(f"kernel {scale['kernel_size']}", scale["change"]) for scale in found["scales"] if scale["change"]]
    rows.append(("all together", found["change"]))
    width = max(len(name) for name, _ in rows)
    head = "".join(f"{offset:>7}" for offset in found["offsets"][:MOST_OFFSETS])
    more = ", ..." if len(found["offsets"]) > MOST_OFFSETS else ""
    of_what = ", in a document of which nothing is known" if found["reads_document"] else ""
    lines = [
        f"mean absolute change of a label's logit, by how many places apart the labels stand{more}{of_what}",
        f"{'':{width}}{head}",
    ]
    lines += [f"{name:{width}}" + "".join(f"{value:7.2f}" for value in values[:MOST_OFFSETS]) for name, values in rows]
    return "\n".join(lines)
