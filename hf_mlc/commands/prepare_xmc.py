"""`prepare-xmc`: texts or sparse features of the extreme-classification repository (EURLEX-4K, ...) as a data set for `train`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.commands.running import check_output_folder, say, write_json
from hf_mlc.data.published_counts import report_lines
from hf_mlc.data.writing import REPORT_FILE, check_output, output_written_whole
from hf_mlc.errors import UserError
from hf_mlc.version import __version__
from hf_mlc.xmc.preparing import prepare_xmc
from hf_mlc.xmc.published import NAMES


@dataclass
class PrepareXmcArguments:
    """Arguments of `prepare-xmc`."""

    xmc_dir: str = field(
        metadata={
            "help": "Folder with trn.json and tst.json, train_raw_texts.txt and so on, train.txt, or trn_X_Xf.txt."
        }
    )
    output_dir: str = field(metadata={"help": "A new folder; the data set gets one in it."})
    name: str | None = field(
        default=None, metadata={"help": f"Compare with the published counts of {', '.join(NAMES)}."}
    )
    features: bool = field(default=False, metadata={"help": "Take the sparse features where texts are there too."})
    overwrite_output: bool = field(default=False, metadata={"help": "Replace an earlier output."})

    def __post_init__(self):
        if self.name is not None and self.name not in NAMES:
            raise UserError(f"found '{self.name}'", field="name", accepted=", ".join(NAMES))
        check_output_folder(self.output_dir)
        check_output(self.output_dir, (*NAMES, "data"), overwrite=self.overwrite_output)


def main(arguments: list[str]) -> None:
    """Prepares by `arguments` and says where the counts differ from the published ones."""
    (args,), _, _ = parse_arguments(PrepareXmcArguments, arguments)
    with output_written_whole(args.output_dir) as folder:
        report = prepare_xmc(args.xmc_dir, folder, name=args.name, features=args.features)
        write_json(folder / REPORT_FILE, {"arguments": asdict(args), "hf_mlc": __version__, **report})
    for line in report_lines(report):
        say(line)
    say(f"written to {args.output_dir}")
