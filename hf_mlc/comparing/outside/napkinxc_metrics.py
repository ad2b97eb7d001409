"""napkinXC's own precision, nDCG and propensity-scored precision of the best labels in a file, to hold ours against.

The request is read from standard input, and the numbers go to standard output.
"""

import json
import sys

import numpy as np
import scipy.sparse
from napkinxc import metrics


def rows_of(file: str) -> list:
    """The label ids of each row."""
    labels = scipy.sparse.load_npz(file).tocsr()
    return [
        labels.indices[start:end].tolist() for start, end in zip(labels.indptr[:-1], labels.indptr[1:], strict=True)
    ]


def main() -> None:
    request = json.load(sys.stdin)
    train, test = rows_of(request["train_labels"]), rows_of(request["test_labels"])
    with np.load(request["scores"]) as arrays:
        ids = [[int(label) for label in row if label >= 0] for row in arrays["ids"]]
    (a, b), k = request["propensity"], request["k"]
    found = {
        "p": metrics.precision_at_k(test, ids, k=k),
        "psp": metrics.psprecision_at_k(test, ids, metrics.Jain_et_al_inverse_propensity(train, A=a, B=b), k=k),
        "ndcg": metrics.ndcg_at_k(test, ids, k=k),
    }
    values = {f"{name}@{at}": float(value) for name, all_k in found.items() for at, value in enumerate(all_k, start=1)}
    json.dump(values, sys.stdout)


if __name__ == "__main__":
    main()
