"""`prepare-arff`: ARFF files, with Mulan's XML file of label names, as a data set for `train`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.commands.running import check_output_folder, say, write_json
from hf_mlc.data.published_counts import report_lines
from hf_mlc.data.writing import REPORT_FILE, check_output, output_written_whole
from hf_mlc.tabular.preparing import DATA_SET, prepare_arff
from hf_mlc.version import __version__


@dataclass
class PrepareArffArguments:
    """Arguments of `prepare-arff`."""

    arff: str = field(metadata={"help": "ARFF file of the training rows, plain or gzipped."})
    output_dir: str = field(metadata={"help": "A new folder; the data set gets one in it."})
    xml: str | None = field(
        default=None,
        metadata={"help": "Mulan's XML file of label names; without it -C of the relation's name (MEKA)."},
    )
    validation_arff: str | None = field(default=None, metadata={"help": "ARFF file of validation rows."})
    test_arff: str | None = field(default=None, metadata={"help": "ARFF file of test rows."})
    id_attribute: str | None = field(default=None, metadata={"help": "Attribute that names a row."})
    drop_attributes: list[str] = field(default_factory=list, metadata={"help": "Attributes to leave out."})
    overwrite_output: bool = field(default=False, metadata={"help": "Replace an earlier output."})

    def __post_init__(self):
        check_output_folder(self.output_dir)
        check_output(self.output_dir, (DATA_SET,), overwrite=self.overwrite_output)


def main(arguments: list[str]) -> None:
    """Prepares by `arguments` and says what was found."""
    (args,), _, _ = parse_arguments(PrepareArffArguments, arguments)
    with output_written_whole(args.output_dir) as folder:
        report = prepare_arff(
            args.arff,
            folder,
            xml=args.xml,
            validation_arff=args.validation_arff,
            test_arff=args.test_arff,
            id_attribute=args.id_attribute,
            drop_attributes=args.drop_attributes,
        )
        write_json(folder / REPORT_FILE, {"arguments": asdict(args), "hf_mlc": __version__, **report})
    say(f"{report['relation']}: {report['features']:,} features, {'sparse' if report['sparse'] else 'dense'} rows")
    for line in report_lines(report):
        say(line)
    say(f"written to {args.output_dir}")
