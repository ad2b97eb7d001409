"""`prepare-mimic`: the tables of MIMIC-III or MIMIC-IV as data sets for `train`, with a check of what they came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from hf_mlc.commands.parsing import check_at_least, parse_arguments
from hf_mlc.commands.running import check_output_folder, say, write_json
from hf_mlc.data.published_counts import report_lines
from hf_mlc.data.writing import REPORT_FILE, check_output, output_written_whole
from hf_mlc.errors import UserError
from hf_mlc.mimic import mimic3, mimic4
from hf_mlc.mimic.cleaning import CLEANINGS
from hf_mlc.mimic.notes import ORDERS
from hf_mlc.version import __version__


CLEANING_OF = {"iii": "caml", "iv": "edin"}
ALL_DATA_SETS = {"iii": mimic3.DATA_SETS, "iv": tuple(mimic4.DATA_SETS)}


@dataclass
class PrepareMimicArguments:
    """Arguments of `prepare-mimic`."""

    mimic_dir: str = field(metadata={"help": "The folder of PhysioNet's tables."})
    version: str = field(metadata={"help": "iii (v1.4) or iv (v2.2)."})
    output_dir: str = field(metadata={"help": "A new folder; each data set gets one in it."})
    splits: str | None = field(
        default=None,
        metadata={"help": "Folder of lists: CAML's *_hadm_ids.csv, which iii needs; Edin's *_split.feather for iv."},
    )
    note_dir: str | None = field(default=None, metadata={"help": "Of iv: the folder of MIMIC-IV-Note, if another."})
    rare50_lists: str | None = field(default=None, metadata={"help": "Of iii: KEPT's collectrare50data.py."})
    data_sets: list[str] = field(
        default_factory=list, metadata={"help": "Of full, 50, rare50, few (iii) or icd9, icd10 (iv); all that can be."}
    )
    clean: str | None = field(
        default=None,
        metadata={
            "help": "caml (lower-cased words without numbers; of iii if not given), edin (and without underscores; of iv if"
            " not given) or none."
        },
    )
    compat: str = field(
        default="none", metadata={"help": "Of iii: caml names codes as its notebook does, zeros lost, repeats kept."}
    )
    note_order: str = field(default="reports_first", metadata={"help": "Of iii: reports_first or file."})
    min_count: int = field(default=10, metadata={"help": "Of iv: notes that a code must have to be kept."})
    allow_shared_patients: bool = field(
        default=False, metadata={"help": "Count patients of several splits instead of refusing them."}
    )
    seed: int = field(default=0, metadata={"help": "Of iv: of a split of our own, where no lists are given."})
    overwrite_output: bool = field(default=False, metadata={"help": "Replace an earlier output."})

    def __post_init__(self):
        self.clean = self.clean or CLEANING_OF.get(self.version)
        self.data_sets = list(dict.fromkeys(self.data_sets))
        choices = {
            "version": tuple(ALL_DATA_SETS),
            "clean": CLEANINGS,
            "compat": mimic3.COMPATS,
            "note_order": ORDERS,
        }
        for name, accepted in choices.items():
            if getattr(self, name) not in accepted:
                raise UserError(f"found '{getattr(self, name)}'", field=name, accepted=", ".join(accepted))
        check_at_least(1, min_count=self.min_count)
        possible = ALL_DATA_SETS[self.version]
        for name in self.data_sets:
            if name not in possible:
                raise UserError(f"found '{name}'", field="data_sets", accepted=", ".join(possible))
        if self.version == "iii" and self.splits is None and self.data_sets != ["rare50"]:
            raise UserError("is missing", field="splits", accepted="the folder of CAML's lists of admissions")
        others = {"iii": ("note_dir", "min_count", "seed"), "iv": ("rare50_lists", "compat", "note_order")}
        for name in others[self.version]:
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise UserError(f"has no effect on version {self.version}", field=name, accepted="the other version")
        needless = {
            "rare50_lists": bool(self.data_sets) and "rare50" not in self.data_sets,
            "seed": self.version == "iv" and self.splits is not None,
        }
        for name, is_needless in needless.items():
            if is_needless and getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise UserError("has no effect here", field=name, accepted=f"a run without --{name}")
        check_output_folder(self.output_dir)
        check_output(self.output_dir, possible, overwrite=self.overwrite_output)


def main(arguments: list[str]) -> None:
    """Prepares by `arguments` and says where the counts differ from the published ones."""
    (args,), _, _ = parse_arguments(PrepareMimicArguments, arguments)
    common = {
        "data_sets": args.data_sets or None,
        "clean": args.clean,
        "allow_shared_patients": args.allow_shared_patients,
        "tell": say,
    }
    with output_written_whole(args.output_dir) as folder:
        if args.version == "iii":
            report = mimic3.prepare_mimic3(
                args.mimic_dir,
                folder,
                splits=args.splits,
                rare50_lists=args.rare50_lists,
                compat=args.compat,
                note_order=args.note_order,
                **common,
            )
        else:
            report = mimic4.prepare_mimic4(
                args.mimic_dir,
                folder,
                note_dir=args.note_dir,
                splits=args.splits,
                min_count=args.min_count,
                seed=args.seed,
                **common,
            )
        write_json(folder / REPORT_FILE, {"arguments": asdict(args), "hf_mlc": __version__, **report})
    for line in report_lines(report):
        say(line)
    say(f"written to {args.output_dir}")
