"""What `train` does with `--label_features`: the file is read before anything is trained, and encoded as documents are."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np

from hf_mlc.commands.train_inputs import InputStep
from hf_mlc.cycles.label_features import read_label_features
from hf_mlc.data import DataReport, fingerprint
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace


_SPLIT = "label features"  # what messages call their rows


class LabelFeatureStep:
    """One for a run; without a file it has nothing to say and to give.

    Args:
        file (`str`, *optional*): of label features ([`hf_mlc.cycles.label_features`]).
        step ([`~hf_mlc.commands.train_inputs.InputStep`]): of the documents' kind.
        label_space ([`~hf_mlc.labels.LabelSpace`]): the model's.
    """

    def __init__(self, file: str | None, step: InputStep, label_space: LabelSpace):
        self.file, self.step, self.label_space = file, step, label_space
        self.notes: list[str] = []  # lines that a user should read
        self.rows: datasets.Dataset | None = None
        if file is not None:
            self.rows, self.num_unknown = read_label_features(file, label_space, kind=step.kind.name)

    @property
    def facts(self) -> dict[str, Any]:
        """What tells these rows from others, for run.json and results.json."""
        if self.rows is None:
            return {}
        return {"label_features": {"rows": len(self.rows), "fingerprint": fingerprint(self.rows)}}

    def inputs(self, processor: Any) -> dict[str, datasets.Dataset]:
        """What the trainer is to be given: their rows, encoded; those of which nothing is left are left out.

        Args:
            processor: the model's.

        Raises:
            `UserError`: nothing is left of any.
        """
        if self.rows is None:
            return {}
        splits = datasets.DatasetDict({_SPLIT: self.rows})
        encoded = self.step.encoded(splits, processor, self.label_space, DataReport())[_SPLIT]
        filled = np.flatnonzero(encoded["length"][:])
        if not len(filled):
            accepted = "what the documents are made of"
            raise UserError("nothing that the model reads", file=self.file, field="label_features", accepted=accepted)
        note = f"label features: of {len(filled):,} of {len(self.label_space):,} labels"
        if self.num_unknown:
            note += f"; in {self.file}, but not in the label space: {self.num_unknown:,}"
        self.notes.append(note)
        return {"label_features": encoded.select(filled)}
