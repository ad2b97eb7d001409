"""The small model, its Space, and that Space's app in a process and a browser of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import hf_mlc
from hf_mlc.commands.running import run
from hf_mlc.commands.space import main as space
from tests.spaces.small_model import write_small_model


# arguments: app.py, a file for one line a text that the model was given, a file for whom the process wanted to reach
LAUNCHER = """
import runpy, sys
app, runs, calls = sys.argv[1:]

class NoPackage:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hf_mlc":
            raise ModuleNotFoundError("No module named 'hf_mlc'", name="hf_mlc")

def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in (None, "127.0.0.1", "localhost", "::1", "0.0.0.0"):
        with open(calls, "a") as file:
            file.write(f"{host}\\n")

sys.meta_path.insert(0, NoPackage())
sys.addaudithook(watch)

import transformers
original = transformers.Pipeline.__call__
def counted(self, *arguments, **more):
    with open(runs, "a") as file:
        file.write("run\\n")
    return original(self, *arguments, **more)
transformers.Pipeline.__call__ = counted
runpy.run_path(app, run_name="__main__")
"""


class RunningApp(NamedTuple):
    """The app of a Space: where it listens, and what is written down of it."""

    url: str
    runs: Path
    calls: Path

    def num_runs(self) -> int:
        """How many times the model was run."""
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    hf_mlc.auto.register()
    return write_small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="session")
def space_folder(model_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("space") / "app"
    assert run(space, ["--model", str(model_folder), "--output", str(folder), "--title", "Small codes"]) == 0
    return folder


@pytest.fixture(scope="session")
def app(space_folder, tmp_path_factory) -> Iterator[RunningApp]:
    """The app, started without our package at hand and without a Hub."""
    pytest.importorskip("gradio", reason="gradio is not installed (pip install hf_mlc[space])")
    home = tmp_path_factory.mktemp("home")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
    }
    running = RunningApp(f"http://127.0.0.1:{port}", home / "runs", home / "calls")
    command = [sys.executable, "-P", "-c", LAUNCHER, space_folder / "app.py", running.runs, running.calls]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_for(running.url, process, home / "log")
            yield running
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(url, timeout=10).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text(encoding="utf-8")[-4000:]
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")[-4000:]
            time.sleep(0.3)


@pytest.fixture(scope="session")
def chromium():
    """A headless browser: the system's own, which playwright drives but does not bring."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
