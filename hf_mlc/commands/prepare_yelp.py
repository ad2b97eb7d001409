"""`prepare-yelp`: Yelp's open data set, reviews with the categories of their business, as a data set for `train`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from hf_mlc.commands.parsing import check_at_least, parse_arguments
from hf_mlc.commands.running import check_output_folder, say, write_json
from hf_mlc.data.published_counts import report_lines
from hf_mlc.data.writing import REPORT_FILE, check_output, output_written_whole
from hf_mlc.version import __version__
from hf_mlc.yelp.preparing import DATA_SET, prepare_yelp


@dataclass
class PrepareYelpArguments:
    """Arguments of `prepare-yelp`."""

    yelp_dir: str = field(metadata={"help": "Folder with yelp_academic_dataset_business.json and ..._review.json."})
    output_dir: str = field(metadata={"help": "A new folder; the data set gets one in it."})
    min_businesses: int = field(default=50, metadata={"help": "Training businesses that a category must have."})
    reviews_per_business: int | None = field(default=None, metadata={"help": "The first so many reviews of each."})
    seed: int = field(default=0, metadata={"help": "Of the split, which is by business."})
    overwrite_output: bool = field(default=False, metadata={"help": "Replace an earlier output."})

    def __post_init__(self):
        check_at_least(1, min_businesses=self.min_businesses, reviews_per_business=self.reviews_per_business)
        check_at_least(0, seed=self.seed)
        check_output_folder(self.output_dir)
        check_output(self.output_dir, (DATA_SET,), overwrite=self.overwrite_output)


def main(arguments: list[str]) -> None:
    """Prepares by `arguments` and says what was counted on the way."""
    (args,), _, _ = parse_arguments(PrepareYelpArguments, arguments)
    with output_written_whole(args.output_dir) as folder:
        report = prepare_yelp(
            args.yelp_dir,
            folder,
            min_businesses=args.min_businesses,
            reviews_per_business=args.reviews_per_business,
            seed=args.seed,
        )
        write_json(folder / REPORT_FILE, {"arguments": asdict(args), "hf_mlc": __version__, **report})
    for name, number in report["facts"].items():
        say(f"{name.replace('_', ' ')}: {number:,}")
    for line in report_lines(report):
        say(line)
    say(f"written to {args.output_dir}")
