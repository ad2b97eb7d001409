"""The mistake that the claim's authors made, on purpose: statistics that have seen the measured documents' labels.

Shown once to say how large the mistake is; never a result. Everything after planting sees training rows alone.
"""

from __future__ import annotations

from pathlib import Path

import datasets

from hf_mlc.comparing.arms import Fitted, Job, ours
from hf_mlc.data import fingerprint as rows_fingerprint
from hf_mlc.planting import step


def fit(job: Job, folder: Path) -> Fitted:
    """As `ours.fit`, with the measured rows among those that are counted."""
    space, measured = job.rows.label_space(), job.rows.read_measured()
    honest = step.plant

    def plant(model, rows, tokenizer, *args, fingerprint, **kwargs):
        rows = rows.with_format(None)
        max_length = tokenizer.model_max_length
        counted = {
            "input_ids": rows["input_ids"][:]
            + tokenizer(measured["text"][:], truncation=True, max_length=max_length)["input_ids"],
            "label_ids": rows["label_ids"][:]
            + [space.encode_known(labels)[0].tolist() for labels in measured["labels"]],
        }
        # the planting cache goes by the fingerprint: under that of the training rows alone, honest arms would be given these
        # statistics, and this arm theirs
        known = {**fingerprint, "num_documents": len(counted["input_ids"]), "leaked": rows_fingerprint(measured)}
        return honest(model, datasets.Dataset.from_dict(counted), tokenizer, *args, fingerprint=known, **kwargs)

    step.plant = plant
    try:
        fitted = ours.fit(job, folder)
    finally:
        step.plant = honest
    fitted.facts["leaked"] = len(measured)
    return fitted
