"""tf-idf features in files, for outside systems that take sparse rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from hf_mlc.comparing.arms import Fitted, Job
from hf_mlc.comparing.arms.outside import Program, fit_outside
from hf_mlc.errors import UserError


FEATURES = {"ngram_range": (1, 1), "min_df": 3, "max_df": 0.5, "max_features": None}


def fit_on_tfidf(job: Job, folder: Path, program_name: str, defaults: dict[str, Any]) -> Fitted:
    """Fits a program on tf-idf of the training texts, rows scaled to length 1.

    The job's settings may hold any of `FEATURES` (arguments of scikit-learn's vectoriser) and of the program's `defaults`.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError as error:
        raise UserError("scikit-learn is not installed", accepted="pip install hf_mlc[compare]") from error
    settings = {**FEATURES, **defaults, **job.settings}
    options = {name: settings.pop(name) for name in FEATURES}
    options["ngram_range"] = tuple(options["ngram_range"])
    program = Program(job, program_name, folder)
    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **options)
    space, train = job.rows.label_space(), job.rows.read("train")
    features_NF = vectorizer.fit_transform(train["text"][:])
    ids = [space.encode(labels) for labels in train["labels"]]
    rows = np.repeat(np.arange(len(ids)), [len(some) for some in ids])
    columns = np.concatenate([*ids, np.zeros(0, np.int64)])
    truth_NL = scipy.sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (len(ids), len(space)))
    files = {"features": str(folder / "train.npz"), "labels": str(folder / "train.labels.npz")}
    scipy.sparse.save_npz(files["features"], scipy.sparse.csr_matrix(features_NF))
    scipy.sparse.save_npz(files["labels"], truth_NL)

    def inputs_of(texts: Sequence[str], name: str) -> dict[str, str]:
        file = folder / f"{name}.npz"
        scipy.sparse.save_npz(file, scipy.sparse.csr_matrix(vectorizer.transform(texts)))
        return {"features": str(file)}

    vocabulary = sum(len(term.encode()) + 4 for term in vectorizer.vocabulary_)
    fitted = fit_outside(job, program, inputs_of, settings=settings, extra_bytes=vocabulary, fit_inputs=files)
    fitted.facts["features"] = len(vectorizer.vocabulary_)
    return fitted
