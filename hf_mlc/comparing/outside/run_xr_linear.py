"""libpecos' XR-Linear on sparse features: `fit` leaves a model in the folder, `predict` the best labels of each row."""

import time
from pathlib import Path

import numpy as np
import scipy.sparse
from batch_timing import seconds_of
from exchange import answer_request, save_best
from pecos.utils import smat_util
from pecos.xmc import Indexer, LabelEmbeddingFactory
from pecos.xmc.xlinear.model import XLinearModel


THREADS = 1  # the arms of a comparison have one thread each


def fit(request: dict) -> dict:
    features = scipy.sparse.load_npz(request["features"]).astype(np.float32).tocsr()
    labels = scipy.sparse.load_npz(request["labels"]).astype(np.float32).tocsc()
    settings = request["settings"]
    embeddings = LabelEmbeddingFactory.create(labels, features, method="pifa")
    chain = Indexer.gen(embeddings, nr_splits=settings["nr_splits"], seed=request["seed"], threads=THREADS)
    model = XLinearModel.train(
        features, labels, C=chain, threshold=settings["threshold"], Cp=settings["Cp"], threads=THREADS
    )
    folder = Path(request["folder"], "model")
    model.save(str(folder))
    weights = [layer.W for layer in model.model.model_chain]
    return {
        "parameters": int(sum(matrix.nnz for matrix in weights)),
        "bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
    }


def time_batches(request: dict) -> dict:
    """By the form of the model that is for answering alone, which is faster."""
    model = XLinearModel.load(request["folder"] + "/model", is_predict_only=True)
    features = scipy.sparse.load_npz(request["features"]).astype(np.float32).tocsr()
    options = {"only_topk": request["top_k"], "beam_size": request["settings"]["beam_size"], "threads": THREADS}
    return {"seconds": seconds_of(lambda rows: model.predict(rows, **options), features, request["batch_size"])}


def predict(request: dict) -> dict:
    model = XLinearModel.load(request["folder"] + "/model")
    features = scipy.sparse.load_npz(request["features"]).astype(np.float32).tocsr()
    top_k, every = request["top_k"], request["top_k"] == request["num_labels"]
    beam = request["num_labels"] if every else max(request["settings"]["beam_size"], 2)
    start = time.perf_counter()
    found = model.predict(features, only_topk=top_k, beam_size=beam, threads=THREADS)
    seconds = time.perf_counter() - start
    found = smat_util.sorted_csr(found, only_topk=top_k)
    pairs = np.column_stack([found.indices, found.data])
    save_best([pairs[start:end] for start, end in zip(found.indptr[:-1], found.indptr[1:], strict=True)], request)
    return {"seconds": seconds}


if __name__ == "__main__":
    answer_request({"fit": fit, "predict": predict, "time": time_batches}, ("libpecos", "numpy", "scipy"))
