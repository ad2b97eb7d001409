"""Virtual environments of outside systems: what they need does not go together with what we need, so each has its own."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hf_mlc.commands.running import say
from hf_mlc.errors import UserError


READY = ".ready"  # in an environment that was made to its end


@dataclass(frozen=True)
class Environment:
    """What one outside system needs.

    Args:
        name (`str`): of its folder.
        packages (`tuple[str]`): pip's requirements.
        bare (`tuple[str]`, *optional*): requirements whose own needs are not to be met, since what is used of them does
            without: libpecos asks for torch, transformers and peft for its other models.
        index (`str`, *optional*): another index of packages, asked where pip's own have not got them.
    """

    name: str
    packages: tuple[str, ...]
    bare: tuple[str, ...] = ()
    index: str | None = field(default=None, repr=False)


def _same_torch() -> str:
    """The build of torch that this package runs with: where it is one for CPUs, so is the other's."""
    return f"torch=={importlib.metadata.version('torch')}"


def _torch_index() -> str | None:
    """Where builds like 2.13.0+cpu are, which PyPI doesn't have."""
    build = importlib.metadata.version("torch").partition("+")[2]
    return f"https://download.pytorch.org/whl/{build}" if build else None


# by runner; made when one of its arms is first run
ENVIRONMENTS: dict[str, Callable[[], Environment]] = {
    "xr-linear": lambda: Environment("pecos", ("numpy<2", "scipy<1.14", "scikit-learn"), bare=("libpecos==1.2.8",)),
    "napkinxc": lambda: Environment("napkinxc", ("numpy", "scipy"), bare=("napkinxc==0.7.2",)),
    "omikuji": lambda: Environment("omikuji", ("numpy", "scipy", "omikuji==0.5.2")),
    "bigru-lwan": lambda: Environment(
        "libmultilabel", (_same_torch(), "libmultilabel[nn]==0.10.0", "setuptools<80"), index=_torch_index()
    ),
}


def python_of(runner: str, folder: Path) -> Path:
    """The Python of a runner's environment below `folder`, which is made if it isn't there.

    Raises:
        `UserError`: pip could not install what it needs.
    """
    environment = ENVIRONMENTS[runner]()
    wanted = repr((environment, sys.version_info[:2]))
    place = folder / f"{environment.name}-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"
    python = place / "bin" / "python"
    if (place / READY).exists():
        return python
    say(f"making the environment of {environment.name} in {place} ...")
    shutil.rmtree(place, ignore_errors=True)  # what was cut short
    try:
        venv.create(place, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        accepted = "a Python that makes virtual environments with pip (Debian's package python3-venv)"
        raise UserError(f"no environment ({error})", file=place, field="environments", accepted=accepted) from None
    for packages, options in ((environment.packages, []), (environment.bare, ["--no-deps"])):
        if not packages:
            continue
        pip = [str(python), "-m", "pip", "install", "--quiet", *options, *packages]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode and environment.index is not None:
            pip += ["--extra-index-url", environment.index]
            done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            problem = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
            raise UserError(problem[-1], file=environment.name, accepted=f"{', '.join(packages)} installable by pip")
    (place / READY).write_text(wanted + "\n", encoding="utf-8")
    return python
