"""Peak memory and rate of prepare-mimic on generated tables of two sizes, and what that makes of the full ones.

python benchmarks/prepare_mimic.py [--version iii] [--megabytes 100 400]

The generated note table has the shares of the real one: of MIMIC-III 2,083,180 notes of 4 GB in all, 59,652 of them
discharge summaries; of MIMIC-IV 331,794 summaries of 3.3 GB. Everything that is held in memory grows in proportion to the
rows, so a line through two sizes gives the full table's.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path


FULL_MEGABYTES = {"iii": 4000, "iv": 3300}
# rows of the full release, for its proportions: notes, diagnoses, procedures, admissions
FULL_ROWS = {"iii": (2_083_180, 651_047, 240_095, 58_976), "iv": (331_794, 4_756_326, 669_186, 431_231)}
DISCHARGE_SHARE, DISCHARGE_WORDS, OTHER_WORDS = 59_652 / 2_083_180, 1_650, 270

# VmHWM: what resource.getrusage calls the peak may be that of the process which started this one
MEASURE = """
import json, re, sys, time
import hf_mlc.commands.prepare_mimic as command
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
imports, start = peak(), time.process_time()
command.main(sys.argv[1:])
print(json.dumps({"seconds": time.process_time() - start, "imports_mb": imports, "peak_mb": peak()}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", choices=("iii", "iv"), default="iii")
    parser.add_argument("--megabytes", type=int, nargs=2, default=[100, 400])
    args = parser.parse_args()
    found = []
    for megabytes in args.megabytes:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder), args.version, megabytes / FULL_MEGABYTES[args.version])
            found.append(measured(Path(folder), args.version))
    print(f"{'note table':>12} {'notes':>10} {'peak memory':>12} {'of it imports':>14} {'CPU s':>8} {'MB/s':>6}")
    for facts in found:
        size, peak, imports = facts["note_mb"], facts["peak_mb"], facts["imports_mb"]
        rate = size / facts["seconds"]
        row = f"{size:9,.0f} MB {facts['rows']:10,} {peak:9,.0f} MB {imports:11,.0f} MB {facts['seconds']:8.1f} {rate:6.1f}"
        print(row)
    small, large = found
    step = (FULL_MEGABYTES[args.version] - small["note_mb"]) / (large["note_mb"] - small["note_mb"])
    peak = small["peak_mb"] + step * (large["peak_mb"] - small["peak_mb"])
    seconds = small["seconds"] + step * (large["seconds"] - small["seconds"])
    print(
        f"a line through both: {peak:,.0f} MB and {seconds / 60:.0f} minutes of one core for {FULL_MEGABYTES[args.version]:,} MB"
    )


def measured(folder: Path, version: str) -> dict:
    """One run of the command in a process of its own."""
    words = ["--mimic_dir", str(folder), "--version", version, "--output_dir", str(folder / "out")]
    if version == "iii":
        words += ["--splits", str(folder / "lists"), "--data_sets", "full"]
    run = subprocess.run([sys.executable, "-c", MEASURE, *words], check=True, stdout=subprocess.PIPE, text=True)
    report = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    size = json.loads((folder / "size.json").read_text(encoding="utf-8"))
    return {**json.loads(run.stdout), "rows": report["notes"]["rows"], "note_mb": size / 1e6}


def generate(folder: Path, version: str, scale: float) -> None:
    """Tables of this share of the full release, gzipped, as they are shipped."""
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(20_000)]
    words += ["\n", "mg,", "500", "[**2151-7-16**]", '"stable"'] * 400
    num_notes, num_diagnoses, num_procedures, num_admissions = (
        max(50, int(rows * scale)) for rows in FULL_ROWS[version]
    )
    num_admissions -= num_admissions % 2
    admissions = [(1 + n // 2, 100_000 + n) for n in range(num_admissions)]
    codes = [f"{rng.randint(1, 999):03d}{rng.randint(0, 99):02d}" for _ in range(7_000)]
    text = lambda length: " ".join(rng.choices(words, k=int(length * rng.uniform(0.5, 1.5))))  # noqa: E731

    if version == "iii":
        note_file, columns = (
            folder / "NOTEEVENTS.csv.gz",
            "ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CATEGORY,DESCRIPTION,TEXT",
        )
        # every admission has a summary until their share is used up, as in the real table
        share = int(num_notes * DISCHARGE_SHARE)

        def rows():
            for n in range(num_notes):
                summary = n < share
                subject, hadm = admissions[n % len(admissions)]
                category = "Discharge summary" if summary else "Nursing/other"
                yield (
                    n,
                    subject,
                    hadm,
                    "2151-01-01",
                    category,
                    "Report",
                    text(DISCHARGE_WORDS if summary else OTHER_WORDS),
                )

        code_columns = "ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE"
        files = {"DIAGNOSES_ICD": num_diagnoses, "PROCEDURES_ICD": num_procedures}
        make = lambda n: (n, *admissions[n % len(admissions)], 1, rng.choice(codes))  # noqa: E731
        splits = {"train": admissions[:-4], "dev": admissions[-4:-2], "test": admissions[-2:]}
        (folder / "lists").mkdir()
        for split, pairs in splits.items():
            lines = "".join(f"{hadm}\n" for _, hadm in pairs)
            for name in ("full", "50"):
                (folder / "lists" / f"{split}_{name}_hadm_ids.csv").write_text(lines, encoding="utf-8")
    else:
        note_file, columns = (
            folder / "discharge.csv.gz",
            "note_id,subject_id,hadm_id,note_type,note_seq,charttime,text",
        )

        def rows():
            for n in range(num_notes):
                subject, hadm = admissions[n % len(admissions)]
                yield (f"{subject}-DS-{n}", subject, hadm, "DS", n, "2180-01-01", text(DISCHARGE_WORDS))

        code_columns = "subject_id,hadm_id,seq_num,icd_code,icd_version"
        files = {"diagnoses_icd": num_diagnoses, "procedures_icd": num_procedures}
        make = lambda n: (*admissions[n % len(admissions)], 1, rng.choice(codes), 9 + n % len(admissions) % 2)  # noqa: E731
    for name, number in files.items():
        write(folder / f"{name}.csv.gz", code_columns, (make(n) for n in range(number)))
    size = write(note_file, columns, rows())
    (folder / "size.json").write_text(json.dumps(size), encoding="utf-8")


def write(file: Path, columns: str, rows) -> int:
    """The table, gzipped; returns its size before."""
    with gzip.open(file, "wt", encoding="utf-8", newline="", compresslevel=1) as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(columns.split(","))
        writer.writerows(rows)
        return stream.buffer.tell()


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"{time.perf_counter() - start:.0f} s in all")
