"""napkinXC's probabilistic label tree on sparse features: `fit` leaves a model, `predict` the best labels of each row."""

import time
from pathlib import Path

import numpy as np
import scipy.sparse
from batch_timing import seconds_of
from exchange import answer_request, save_best
from napkinxc.models import PLT


THREADS = 1  # the arms of a comparison have one thread each


def fit(request: dict) -> dict:
    features = scipy.sparse.load_npz(request["features"]).astype(np.float32).tocsr()
    labels = scipy.sparse.load_npz(request["labels"]).tocsr()
    folder = Path(request["folder"], "model")
    model = PLT(str(folder), seed=request["seed"], threads=THREADS, **request["settings"])
    rows = [labels.indices[labels.indptr[row] : labels.indptr[row + 1]].tolist() for row in range(labels.shape[0])]
    model.fit(features, rows)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    # weights lie on the disk as pairs of an index and a number, four bytes each
    weights = sum(file.stat().st_size for file in folder.rglob("weights.bin"))
    return {"parameters": weights // 8, "bytes": size}


def opened(request: dict) -> tuple[PLT, scipy.sparse.csr_matrix]:
    """The model that `fit` left, and the rows of the request."""
    # the files do not say how many trees there are
    model = PLT(str(Path(request["folder"], "model")), threads=THREADS, **request["settings"])
    model.load()
    return model, scipy.sparse.load_npz(request["features"]).astype(np.float32).tocsr()


def time_batches(request: dict) -> dict:
    model, features = opened(request)
    top_k = request["top_k"]
    return {"seconds": seconds_of(lambda rows: model.predict(rows, top_k=top_k), features, request["batch_size"])}


def predict(request: dict) -> dict:
    (model, features), top_k = opened(request), request["top_k"]
    start = time.perf_counter()
    found = model.predict_proba(features, top_k=top_k)
    seconds = time.perf_counter() - start
    save_best(found, request)
    return {"seconds": seconds}


if __name__ == "__main__":
    answer_request({"fit": fit, "predict": predict, "time": time_batches}, ("napkinxc", "numpy", "scipy"))
