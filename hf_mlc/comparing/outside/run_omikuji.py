"""Omikuji's label trees on sparse features: `fit` leaves a model, `predict` the best labels of each row."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import omikuji
import scipy.sparse
from batch_timing import seconds_of
from exchange import answer_request, save_best


THREADS = 1  # the arms of a comparison have one thread each


@contextmanager
def without_its_bars() -> Iterator[None]:
    """Inside, what it prints goes nowhere: a bar on standard error for every row read. Its errors are raised."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def rows_of(matrix: scipy.sparse.csr_matrix) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Columns and values of each row."""
    for start, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        yield matrix.indices[start:end], matrix.data[start:end]


def write(features: scipy.sparse.csr_matrix, labels: scipy.sparse.csr_matrix, file: Path) -> None:
    """In the repository's format, which is all that it reads."""
    with file.open("w", encoding="utf-8") as stream:
        stream.write(f"{features.shape[0]} {features.shape[1]} {labels.shape[1]}\n")
        for (columns, values), (ids, _) in zip(rows_of(features), rows_of(labels), strict=True):
            pairs = " ".join(f"{column}:{value:.6g}" for column, value in zip(columns, values, strict=True))
            # it refuses a row without features where a space follows the labels
            stream.write(f"{','.join(map(str, ids))} {pairs}".rstrip() + "\n")


def load(file: str) -> scipy.sparse.csr_matrix:
    features = scipy.sparse.load_npz(file).astype(np.float32).tocsr()
    features.sort_indices()
    return features


def fit(request: dict) -> dict:
    folder, labels = Path(request["folder"], "model"), scipy.sparse.load_npz(request["labels"]).tocsr()
    data, features = Path(request["folder"], "train.txt"), load(request["features"])
    start = time.perf_counter(), time.process_time()
    write(features, labels, data)
    written = {"seconds": time.perf_counter() - start[0], "cpu_seconds": time.process_time() - start[1]}
    settings = omikuji.Model.default_hyper_param()
    for name, value in request["settings"].items():
        if name != "beam_size":
            setattr(settings, name, value)
    with without_its_bars():
        omikuji.Model.train_on_data(str(data), settings, THREADS).save(str(folder))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    # weights lie on the disk as pairs of an index and a number, four bytes each
    return {"parameters": size // 8, "bytes": size, "beside": written}


def opened(request: dict) -> tuple[omikuji.Model, scipy.sparse.csr_matrix]:
    """The model that `fit` left, and the rows of the request."""
    with without_its_bars():
        model = omikuji.Model.load(str(Path(request["folder"], "model")))
    model.init_prediction_thread_pool(THREADS)
    return model, load(request["features"])


def answers(model: omikuji.Model, features: scipy.sparse.csr_matrix, beam_size: int, top_k: int) -> list:
    """The best labels of each row with their scores; it takes one row at a time."""
    pairs = (zip(columns.tolist(), values.tolist(), strict=True) for columns, values in rows_of(features))
    return [model.predict(row, beam_size=beam_size, top_k=top_k) for row in pairs]


def time_batches(request: dict) -> dict:
    (model, features), (beam_size, top_k) = opened(request), (request["settings"]["beam_size"], request["top_k"])
    seconds = seconds_of(lambda rows: answers(model, rows, beam_size, top_k), features, request["batch_size"])
    return {"seconds": seconds}


def predict(request: dict) -> dict:
    (model, features), top_k = opened(request), request["top_k"]
    start = time.perf_counter()
    found = answers(model, features, request["settings"]["beam_size"], top_k)
    seconds = time.perf_counter() - start
    save_best(found, request)
    return {"seconds": seconds}


if __name__ == "__main__":
    answer_request({"fit": fit, "predict": predict, "time": time_batches}, ("omikuji", "numpy", "scipy"))
