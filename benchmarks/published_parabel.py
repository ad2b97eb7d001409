"""Is our metric code the repository's? A Parabel-like tree on bibtex and delicious, beside the published figures of Parabel.

    python benchmarks/published_parabel.py [--data_dir shared/data] [--dataset bibtex] [--splits 5] [--system parabel,omikuji]

All training rows are trained on. The figures are those of the extreme-classification repository's page, in per cent. They are of its
own split, which has as many rows as Mulan's but others: it is made so that the test rows hold as many labels as can be, and the page
says that results on other splits are not comparable with it. `--splits 0` is Mulan's split, which the files have; `--splits 5`
the mean over five drawn ones of the same sizes, with their standard deviation: what a split is worth. Every number is also worked out by napkinXC's own metric code from the same predictions; the largest difference to
ours is printed, of which none is expected.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import scipy.sparse
import torch

from hf_mlc.comparing.arms import Job
from hf_mlc.comparing.arms.numeric_rows import NumericRows
from hf_mlc.comparing.arms.outside import PROGRAMS, Program
from hf_mlc.comparing.claim import ROOT
from hf_mlc.comparing.claims.lightdxml import CLAIM
from hf_mlc.comparing.data import prepare_rows
from hf_mlc.comparing.tuning import padded
from hf_mlc.metrics import MultiLabelMetrics


PUBLISHED = {
    "bibtex": {"p": (64.53, 38.56, 27.94), "psp": (50.88, 52.42, 57.36)},
    "delicious": {"p": (67.44, 61.83, 56.75), "psp": (32.69, 34.00, 34.53)},
}
KS, TOP_K, PROPENSITY = (1, 3, 5), 5, (0.55, 1.5)
# by system: runner, program, settings
SYSTEMS = {
    "parabel": ("napkinxc", "run_napkinxc.py", dict(CLAIM.arm("parabel").settings)),
    "parabel-unpruned": ("napkinxc", "run_napkinxc.py", {**CLAIM.arm("parabel").settings, "weights_threshold": 0}),
    "omikuji": ("omikuji", "run_omikuji.py", {"beam_size": 10}),
}


def rows_of(dataset: str, data_dir: Path, folder: Path) -> tuple[list, list]:
    """Features and labels of the training rows, and of the test rows, as sparse matrices."""
    data = CLAIM.data(dataset)
    rows = prepare_rows(data, data_dir / data.folder, folder, train_size=None, seed=0)
    space, maker = rows.label_space(), NumericRows(rows)
    parts = [rows.read("train"), rows.read("validation"), rows.read_measured()]
    features = [maker.fit(part) for part in parts]
    labels = []
    for part in parts:
        ids = [np.unique(space.encode(names)) for names in part["labels"]]
        indptr = np.cumsum([0, *map(len, ids)])
        shape = (len(ids), len(space))
        labels.append(scipy.sparse.csr_matrix((np.ones(indptr[-1], np.float32), np.concatenate(ids), indptr), shape))
    train = [scipy.sparse.vstack(both[:2]).tocsr() for both in (features, labels)]
    return train, [features[2], labels[2]]


def redrawn(train: list, test: list, seed: int) -> tuple[list, list]:
    """Another split of all rows, of the same sizes."""
    order = np.random.default_rng(seed).permutation(train[0].shape[0] + test[0].shape[0])
    whole = [scipy.sparse.vstack(both).tocsr()[order] for both in zip(train, test, strict=True)]
    number = train[0].shape[0]
    return [matrix[:number] for matrix in whole], [matrix[number:] for matrix in whole]


def run(system: str, train: list, test: list, folder: Path, environments: Path) -> tuple[dict, float]:
    """The metrics in per cent, and the largest difference to napkinXC's."""
    runner, program_name, settings = SYSTEMS[system]
    program = Program(Job(runner, {}, None, 0, str(environments)), program_name, folder)
    files = {}
    for name, matrix in (("train", train[0]), ("train_labels", train[1]), ("test", test[0]), ("test_labels", test[1])):
        files[name] = str(folder / f"{name}.npz")
        scipy.sparse.save_npz(files[name], matrix)
    common = {"top_k": TOP_K, "num_labels": train[1].shape[1], "seed": 0, "settings": settings}
    program.run("fit", **common, features=files["train"], labels=files["train_labels"])
    scores = str(folder / "scores.npz")
    program.run("predict", **common, features=files["test"], output=scores)
    counts_L = np.asarray(train[1].sum(axis=0)).ravel().astype(np.int64)
    metrics = MultiLabelMetrics(
        len(counts_L), train_counts=counts_L, num_train_documents=train[1].shape[0], ks=KS, propensity=PROPENSITY
    )
    truth = padded(np.split(test[1].indices, test[1].indptr[1:-1]))
    with np.load(scores) as arrays:
        ids_NK = torch.from_numpy(arrays["ids"].astype(np.int64))
    # the order that the program gave them, also where scores are equal
    metrics.update(torch.linspace(1, 0.5, TOP_K).expand(len(ids_NK), TOP_K), label_ids=truth, candidate_ids=ids_NK)
    ours = metrics.compute()
    asked = {**files, "scores": scores, "propensity": PROPENSITY, "k": max(KS)}
    words = [str(Program(Job("napkinxc", {}, None, 0, str(environments)), "", folder).python)]
    done = subprocess.run(
        [*words, str(PROGRAMS / "napkinxc_metrics.py")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(done.stdout)
    names = [f"{kind}@{k}" for kind in ("p", "psp", "ndcg") for k in KS]
    # of a document without labels, which has no nDCG, theirs is 0
    labelled = 1 - metrics.num_documents_without_labels / metrics.num_documents
    shares = {name: labelled if name.startswith("ndcg") else 1.0 for name in names}
    return {name: 100 * ours[name] for name in names}, max(
        abs(shares[name] * ours[name] - theirs[name]) for name in names
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", default=os.environ.get("HF_MLC_DATA") or str(ROOT / "../shared/data"))
    parser.add_argument("--dataset", default="bibtex", choices=sorted(PUBLISHED))
    parser.add_argument("--splits", type=int, default=0)
    parser.add_argument("--system", default="parabel")
    parser.add_argument("--environments", default=str(Path.home() / ".cache/hf_mlc/environments"))
    args = parser.parse_args()
    published = [value for kind in ("p", "psp") for value in PUBLISHED[args.dataset][kind]]
    names = [f"{kind}@{k}" for kind in ("p", "psp") for k in KS]
    print(f"{args.dataset:<28}" + "".join(f"{name:>9}" for name in names))
    print(f"{'published, Parabel':<28}" + "".join(f"{value:>9.2f}" for value in published))
    largest = 0.0
    with tempfile.TemporaryDirectory() as work:
        train, test = rows_of(args.dataset, Path(args.data_dir).resolve(), Path(work, "rows"))
        for system in args.system.split(","):
            found = []
            for number in range(max(1, args.splits)):
                parts = redrawn(train, test, number) if args.splits else (train, test)
                with tempfile.TemporaryDirectory(dir=work) as folder:
                    values, difference = run(system, *parts, Path(folder), Path(args.environments).resolve())
                found.append([values[name] for name in names])
                largest = max(largest, difference)
            mean = np.mean(found, axis=0)
            about = f"{system}, {f'{args.splits} splits' if args.splits else 'Mulan split'}"
            print(f"{about:<28}" + "".join(f"{value:>9.2f}" for value in mean))
            print(f"{'  less the published':<28}" + "".join(f"{value:>+9.2f}" for value in mean - published))
            if len(found) > 1:
                deviation = np.std(found, axis=0, ddof=1)
                print(f"{'  deviation of a split':<28}" + "".join(f"{value:>9.2f}" for value in deviation))
    print(f"largest difference between our metrics and napkinXC's on the same predictions: {100 * largest:.6f}")


if __name__ == "__main__":
    sys.exit(main())
