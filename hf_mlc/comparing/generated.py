"""Data sets that no folder holds: generated once, by a seed, and kept as files for all arms and seeds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hf_mlc.commands.running import say
from hf_mlc.comparing.lines import settings_hash
from hf_mlc.data.writing import LABELS_FILE
from hf_mlc.labels import LabelSpace
from hf_mlc.xmc.power_law import PowerLawSet


# training, validation and measured rows by the names of their files
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Generated:
    """Sparse rows whose label frequencies follow a power law ([`~hf_mlc.xmc.power_law.PowerLawSet`]).

    Args:
        num_labels (`int`): L, whether or not a training row has them.
        num_train (`int`): training rows.
        num_validation (`int`, *optional*, defaults to 5,000): validation rows, the same for every seed.
        num_test (`int`, *optional*, defaults to 5,000): measured rows.
        num_features (`int`, *optional*, defaults to 100,000): V.
        seed (`int`, *optional*, defaults to 0): of the rows, whatever the seeds of the comparison.
    """

    num_labels: int
    num_train: int
    num_validation: int = 5_000
    num_test: int = 5_000
    num_features: int = 100_000
    seed: int = 0

    @property
    def rows(self) -> PowerLawSet:
        """What makes the rows."""
        return PowerLawSet(self.num_labels, num_features=self.num_features, seed=self.seed)

    @property
    def fingerprint(self) -> str:
        """Of the rows: that of what they are made by, its defaults among it, and of how many there are."""
        return settings_hash(self.rows.fingerprint, self._numbers)

    @property
    def _numbers(self) -> dict[str, int]:
        """How many rows each split has."""
        return dict(zip(SPLITS, (self.num_train, self.num_validation, self.num_test), strict=True))

    def folder(self, name: str) -> Path:
        """Where its files lie: below ~/.cache, never among data that others put there."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "hf_mlc" / "generated" / name / self.fingerprint

    def write(self, name: str) -> Path:
        """Writes what is missing of the files, each whole or not at all; returns their folder."""
        folder = self.folder(name)
        for split, number in self._numbers.items():
            file = folder / f"{split}.txt"
            if not file.exists():
                say(f"generating {number:,} rows in {file} ...")
                folder.mkdir(parents=True, exist_ok=True)
                self.rows.write(file, number, split=split)
        if not (folder / LABELS_FILE).exists():
            LabelSpace([str(label) for label in range(self.num_labels)]).save(folder / LABELS_FILE)
        return folder
