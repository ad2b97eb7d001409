"""`prepare-coco`: pictures with COCO's annotations (`instances_*.json`) as a data set for `train`."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field

from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.commands.running import check_output_folder, say, write_json
from hf_mlc.data.published_counts import report_lines
from hf_mlc.data.writing import REPORT_FILE, check_output, output_written_whole
from hf_mlc.errors import UserError
from hf_mlc.images.coco import CHOICES
from hf_mlc.images.preparing import fact_lines, prepare_coco
from hf_mlc.version import __version__


@dataclass
class PrepareCocoArguments:
    """Arguments of `prepare-coco`."""

    coco_dir: str = field(
        metadata={"help": "Folder with annotations/instances_*.json, or train/_annotations.coco.json."}
    )
    output_dir: str = field(metadata={"help": "A new folder; the data set gets one in it."})
    name: str = field(default="coco", metadata={"help": "What the data set is called."})
    year: str | None = field(
        default=None, metadata={"help": "2014 or 2017: that year's files, compared with the published counts."}
    )
    validation_as: str = field(
        default="test", metadata={"help": "What val becomes where no test annotations are: test or validation."}
    )
    crowds: str = field(default="keep", metadata={"help": "keep: a crowd is a label as well; drop."})
    empty: str = field(default="keep", metadata={"help": "Pictures without labels: keep or drop."})
    missing: str = field(default="error", metadata={"help": "Listed pictures that aren't there: error or drop."})
    overwrite_output: bool = field(default=False, metadata={"help": "Replace an earlier output."})

    def __post_init__(self):
        for name, accepted in {**CHOICES, "validation_as": ("test", "validation")}.items():
            if getattr(self, name) not in accepted:
                raise UserError(f"found '{getattr(self, name)}'", field=name, accepted=", ".join(accepted))
        if self.year is not None:
            self.year = str(self.year)
            if not re.fullmatch(r"\d{4}", self.year):
                raise UserError(
                    f"found '{self.year}'", field="year", accepted="four digits, as in instances_train2017"
                )
        if not re.fullmatch(r"[\w-]+", self.name):
            raise UserError(f"found '{self.name}'", field="name", accepted="letters, digits, - and _")
        check_output_folder(self.output_dir)
        check_output(self.output_dir, (self.name,), overwrite=self.overwrite_output)


def main(arguments: list[str]) -> None:
    """Prepares by `arguments` and says what was found, and where the counts differ from the published ones."""
    (args,), _, _ = parse_arguments(PrepareCocoArguments, arguments)
    with output_written_whole(args.output_dir) as folder:
        report = prepare_coco(
            args.coco_dir,
            folder,
            final=args.output_dir,
            name=args.name,
            year=args.year,
            validation_as=args.validation_as,
            crowds=args.crowds,
            empty=args.empty,
            missing=args.missing,
        )
        write_json(folder / REPORT_FILE, {"arguments": asdict(args), "hf_mlc": __version__, **report})
    for line in [*fact_lines(report), *report_lines(report)]:
        say(line)
    say(f"written to {args.output_dir}")
