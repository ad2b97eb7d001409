"""Where a cycle's phases leave their results, so that a run that was cut short goes on behind the last of them.

Everything lies in `cycle/` of the output folder: `cycle/002/` is the third cycle, `cycle/last/` what comes after the last epoch. In
each, `phases.json` says which phases ended, with what facts, and made of what (a key); a file is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_mlc.files import written_whole


CYCLE_FOLDER = "cycle"  # in the output folder
LAST = "last"  # what stands in a cycle's place after the last epoch
PHASES_FILE = "phases.json"
FACTS_FILE = "cycles.json"  # what all cycles so far came to


class CycleFolder:
    """The files of one cycle.

    Args:
        output_dir (`str` or `Path`): of the run.
        cycle (`int` or `str`): from 0, or [`LAST`].
    """

    def __init__(self, output_dir: str | Path, cycle: int | str):
        name = cycle if isinstance(cycle, str) else f"{cycle:03d}"
        self.path = Path(output_dir, CYCLE_FOLDER, name)

    def file(self, name: str) -> Path:
        """A file of this cycle."""
        return self.path / name

    def begin(self, key: str, ground: str = "") -> None:
        """Makes the folder; what in it was made of something else is deleted.

        Args:
            key (`str`): of all that the phases are made of.
            ground (`str`, *optional*): of the part of it that is the same in each cycle of a run.
        """
        if self._read().get("key") != key:
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.mkdir(parents=True)
            self._write({"key": key, "ground": ground, "phases": {}})

    @property
    def ground(self) -> str | None:
        """What `begin` was told; `None` where there is no such folder."""
        return self._read().get("ground")

    def facts(self, phase: str) -> dict[str, Any] | None:
        """What a phase left to say; `None` for one that didn't end."""
        return self._read().get("phases", {}).get(phase)

    def end(self, phase: str, facts: Mapping[str, Any]) -> None:
        """Notes that a phase ended."""
        content = self._read()
        content["phases"][phase] = dict(facts)
        self._write(content)

    def delete(self) -> None:
        """Deletes all of it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _read(self) -> dict[str, Any]:
        try:
            return json.loads(self.file(PHASES_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def _write(self, content: dict[str, Any]) -> None:
        with written_whole(self.file(PHASES_FILE)) as stream:
            json.dump(content, stream, indent=2)


def delete_cycles(output_dir: str | Path) -> None:
    """Deletes the folders of all cycles; what they came to is left."""
    for path in Path(output_dir, CYCLE_FOLDER).glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def read_cycle_facts(output_dir: str | Path) -> list[dict[str, Any]]:
    """The facts of the cycles that a run has made so far; none where it has made none."""
    try:
        return json.loads(Path(output_dir, CYCLE_FOLDER, FACTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []


def write_cycle_facts(output_dir: str | Path, cycle_facts: list[dict[str, Any]]) -> None:
    """Writes what `read_cycle_facts` reads."""
    file = Path(output_dir, CYCLE_FOLDER, FACTS_FILE)
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file) as stream:
        json.dump(cycle_facts, stream, indent=2)


@contextlib.contextmanager
def array_written_together(
    file: Path, shape: tuple[int, ...], dtype: str, *, is_main: bool, wait: Callable[[], None]
) -> Iterator[np.memmap]:
    """An array on disk into which every process writes its rows; it appears under its name once all have.

    Args:
        file (`Path`): a `.npy` on a disk that the processes share.
        shape (`tuple[int, ...]`): of the array.
        dtype (`str`): of the array.
        is_main (`bool`): whether this process makes and renames the file.
        wait (callable): returns when every process has come to it.
    """
    beside = file.with_name(f".{file.name}.part")
    if is_main:
        np.lib.format.open_memmap(beside, "w+", dtype, shape).flush()
    wait()
    array = np.lib.format.open_memmap(beside, "r+")
    yield array
    array.flush()
    del array
    wait()
    if is_main:
        beside.replace(file)
    wait()


def key_of(settings: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], *arrays: np.ndarray) -> str:
    """What tells the ground a cycle stands on from another: settings, weights and arrays, all bytes of them."""
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode("utf-8"), digest_size=16)
    for name, tensor in tensors.items():
        digest.update(name.encode("utf-8"))
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def rng_of(seed: int, cycle: int | str, phase: int) -> np.random.Generator:
    """The random numbers of one phase of one cycle; they owe nothing to what was drawn before."""
    return np.random.default_rng([seed, 0 if cycle == LAST else cycle + 1, phase])
