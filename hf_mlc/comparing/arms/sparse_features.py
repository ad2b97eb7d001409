"""Sparse features in files, for outside systems that take them: tf-idf of texts, or the numbers of a table as they are.

Shape legend: N rows, V features, L labels.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from hf_mlc.comparing.arms import Fitted, Job
from hf_mlc.comparing.arms.numeric_rows import NumericRows
from hf_mlc.comparing.arms.outside import Program, fit_outside
from hf_mlc.comparing.arms.tfidf_terms import TfidfTerms


def fit_on_features(job: Job, folder: Path, program_name: str, defaults: dict[str, Any]) -> Fitted:
    """Fits a program on the features of the training rows, each row scaled to length 1.

    The job's settings may hold any of the program's `defaults` and, of texts, of `tfidf_terms.DEFAULTS`.
    """
    settings = {**defaults, **job.settings}
    maker = NumericRows(job.rows) if job.rows.is_table else TfidfTerms(settings)
    program = Program(job, program_name, folder)
    space, train = job.rows.label_space(), job.rows.read("train")
    features_NV = maker.fit(train)
    ids = [space.encode(labels) for labels in train["labels"]]
    rows = np.repeat(np.arange(len(ids)), [len(some) for some in ids])
    columns = np.concatenate([*ids, np.zeros(0, np.int64)])
    truth_NL = scipy.sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (len(ids), len(space)))
    files = {"features": str(folder / "train.npz"), "labels": str(folder / "train.labels.npz")}
    scipy.sparse.save_npz(files["features"], features_NV, compressed=False)
    scipy.sparse.save_npz(files["labels"], truth_NL, compressed=False)

    def inputs_of(items: Sequence[Any], name: str) -> dict[str, str]:
        file = folder / f"{name}.npz"
        scipy.sparse.save_npz(file, maker.matrix(items), compressed=False)
        return {"features": str(file)}

    def seconds_of_preparing(items: Sequence[Any], batch_size: int) -> float:
        maker.matrix(items[:batch_size])
        start = time.perf_counter()
        for first in range(0, len(items), batch_size):
            maker.matrix(items[first : first + batch_size])
        return time.perf_counter() - start

    fitted = fit_outside(
        job, program, inputs_of, settings=settings, extra_bytes=maker.num_bytes, fit_inputs=files,
        seconds_of_preparing=seconds_of_preparing,
    )  # fmt: skip
    fitted.facts["features"] = maker.num_features
    return fitted
