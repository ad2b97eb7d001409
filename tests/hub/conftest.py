"""A fresh local Hub a test, and fresh processes that have it and no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.publisher import demo_corpus, demo_model, one_publisher, publisher  # noqa: F401 - fixtures
from tests.local_hub import LocalHub


# what stands before a snippet that must do without our package
WITHOUT_PACKAGE = """
import sys
class NoPackage:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hf_mlc":
            raise ModuleNotFoundError("No module named 'hf_mlc'", name="hf_mlc")
sys.meta_path.insert(0, NoPackage())
"""


@pytest.fixture
def local_hub(tmp_path):
    """A Hub of its own, empty, on 127.0.0.1."""
    with LocalHub(tmp_path / "hub") as hub:
        yield hub


def run_python(
    hub: LocalHub,
    home: Path,
    snippet: str,
    *arguments: object,
    token: str | None = "",
    without_package: bool = False,
    check: bool = True,
    timeout: float = 300,
    **environment: str,
) -> subprocess.CompletedProcess:
    """Runs a snippet in a fresh process that has `hub` as its Hub.

    Args:
        hub (`LocalHub`): the Hub.
        home (`Path`): the process's home, working folder and cache; made where it is missing. The same home again is the
            same machine again.
        snippet (`str`): the program; `arguments` are its `sys.argv[1:]`.
        token (`str`, *optional*): as in `LocalHub.environment`.
        without_package (`bool`, *optional*, defaults to `False`): makes `hf_mlc` un-importable.
        check (`bool`, *optional*, defaults to `True`): the process must end with status 0.
        timeout (`float`, *optional*, defaults to 300): seconds.
        environment (`str`): further variables.
    """
    home.mkdir(parents=True, exist_ok=True)
    program = WITHOUT_PACKAGE + snippet if without_package else snippet
    # -P: neither the working folder nor the script's is on the path, so nothing comes from the repository by chance
    result = subprocess.run(
        [sys.executable, "-P", "-c", program, *map(str, arguments)],
        env=hub.environment(home, token=token, **environment),
        cwd=home,
        stdin=subprocess.DEVNULL,  # nobody there to answer "do you wish to run the custom code?"
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert not check or result.returncode == 0, f"status {result.returncode}\n{result.stdout}\n{result.stderr[-6000:]}"
    return result


def run_command(
    hub: LocalHub, home: Path, *words: object, token: str | None = "", timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess:
    """`hf-mlc WORDS` in a fresh process that has `hub` as its Hub; the exit status is the caller's to check."""
    snippet = "import sys; from hf_mlc.cli import main; sys.argv[0] = 'hf-mlc'; sys.exit(main())"
    return run_python(hub, home, snippet, *words, token=token, check=False, timeout=timeout, **environment)
