"""The HTTP side of the local Hub: a threading server of the standard library on 127.0.0.1, any free port."""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs

from tests.local_hub import answers
from tests.local_hub.answers import Answer, Call, User
from tests.local_hub.faults import Fault, Faults
from tests.local_hub.routes import ROUTES, match_route
from tests.local_hub.store import HubError, Repo, Store


class Request(NamedTuple):
    """One line of the log; `status` is 0 where the connection was cut instead of an answer, `path` without the query."""

    method: str
    path: str
    status: int


class LocalHub:
    """A Hub for tests. A context manager: it serves from `with` to the end of the block.

    Args:
        folder (`Path`): where its state is kept; a second `LocalHub` in the same folder goes on with it.

    Attributes:
        url (`str`): its address, the clients' `HF_ENDPOINT`.
        token (`str`): a write token of the user "org", who is in the organisation "org" too.
        read_token (`str`): a token of the same user that may only read.
        other_token (`str`): a write token of the user "somebody", who has no rights in org.
        wrong_token (`str`): a token of nobody.
        requests (`list[Request]`): what was asked: `(method, path, status)`.
        strays (`list[str]`): what a client of `environment` wanted from anywhere else on the net, and did not get.
    """

    token, read_token, other_token, wrong_token = "hf_of_org", "hf_read_only", "hf_of_somebody", "hf_of_nobody"

    def __init__(self, folder: Path):
        self.store, self.faults, self.lock = Store(Path(folder)), Faults(ROUTES), threading.RLock()
        self.users = {
            self.token: User("org", organisations=("org",)),
            self.read_token: User("org", role="read", organisations=("org",)),
            self.other_token: User("somebody"),
        }
        self.requests: list[Request] = []
        self.strays: list[str] = []
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> LocalHub:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path, token: str | None = "", **more: str) -> dict[str, str]:
        """The environment of a process that has this Hub and no other, and can't reach the net.

        Args:
            home (`Path`): its `HOME` and `HF_HOME`: caches begin empty there.
            token (`str`, *optional*): the token it has; the write token without it, none with `None`.
            more (`str`): further variables.
        """
        token = self.token if token == "" else token
        kept = ("PATH", "LANG", "LC_ALL", "TMPDIR", "OMP_NUM_THREADS", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "HOME": str(home),
            "HF_HOME": str(home),
            "HF_ENDPOINT": self.url,
            **({} if token is None else {"HF_TOKEN": token}),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # of `datasets`, which tells a server elsewhere
            "TOKENIZERS_PARALLELISM": "false",
            # whatever is not for this address comes to us as to a proxy, and is refused
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), self.url),
            **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1"),
            **more,
        }

    def fail(self, route: str, kind: str, times: int | None = 1, after: int = 0, seconds: float = 1.0) -> None:
        """Orders a fault: see [`Fault`]."""
        self.faults.add(Fault(route, kind, times, after, seconds))

    def repair(self) -> None:
        """Takes all ordered faults back."""
        self.faults.clear()

    def repo(self, repo_id: str, repo_type: str = "model") -> Repo:
        """A repository as it is kept; `KeyError` where there is none."""
        repo = self.store.find(repo_type, repo_id)
        if repo is None:
            raise KeyError(f"no {repo_type} {repo_id}")
        return repo

    def put(
        self, repo_id: str, files: Path | dict[str, bytes], *, repo_type: str = "model", private: bool = False
    ) -> str:
        """Makes the files of a folder, or the given ones, all that is in `main`, without a client; the commit's hash.

        The repository is made where there is none.
        """
        if isinstance(files, Path):
            files = {str(path.relative_to(files)): path.read_bytes() for path in files.rglob("*") if path.is_file()}
        with self.lock:
            repo = self.store.find(repo_type, repo_id)
            if repo is None:
                repo = self.store.create(repo_type, repo_id, private=private, sdk=None)
            there = {".gitattributes": repo.files_at(repo.resolve("main"))[".gitattributes"]}
            stored = {path: self.store.keep_file(repo, path, content) for path, content in files.items()}
            return repo.add_commit("main", {**there, **stored}, "put")

    def files(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> dict[str, bytes]:
        """Paths and contents, without the .gitattributes that the Hub itself puts into every new repository."""
        with self.lock:
            repo = self.repo(repo_id, repo_type)
            files = repo.files_at(repo.resolve(revision))
            return {path: repo.content(stored) for path, stored in files.items() if path != ".gitattributes"}

    def commits(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> list[str]:
        """The titles of its commits, the last first; the first of all is the Hub's own "initial commit"."""
        with self.lock:
            repo = self.repo(repo_id, repo_type)
            return [facts["title"] for _, facts in repo.history(repo.resolve(revision))]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    hub: LocalHub

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that left is no news
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server: _Server

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        hub, (path, _, query) = self.server.hub, self.path.partition("?")
        if not path.startswith("/"):  # as a proxy is asked
            return self._refuse_stray()
        self.body = self._read_body()
        match = match_route(self.command, path)
        fault = hub.faults.next(match.route) if match else None
        if fault and fault.kind == "slow":
            hub.closing.wait(fault.seconds)
        elif fault and fault.kind in ("500", "429"):
            return self._send(self._faulty(fault))
        elif fault and fault.kind == "drop" and not (match.route == "resolve" and self.command == "GET"):
            return self._cut()
        answer = self._answer(match, query)
        if fault and fault.kind == "drop_after":
            return self._cut()
        return self._send(answer, whole=not (fault and fault.kind == "drop"))

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def do_CONNECT(self) -> None:
        self._refuse_stray()

    def _answer(self, match, query: str) -> Answer:
        hub = self.server.hub
        try:
            if match is None:
                raise HubError(404, f"Sorry, there is no {self.command} {self.path} here")
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call(self._user(), match.parts, parse_qs(query), self.body, headers, hub.url)
            with hub.lock:
                return getattr(answers, match.route)(hub.store, call)
        except HubError as error:
            return _as_answer(error)
        except Exception:
            traceback.print_exc()
            return Answer({"error": "a defect of the local Hub:\n" + traceback.format_exc()}, status=500)

    def _user(self) -> User | None:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if given and given not in self.server.hub.users:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.server.hub.users.get(given)

    def _faulty(self, fault: Fault) -> Answer:
        if fault.kind == "429":
            return Answer({"error": "You are sending too many requests"}, status=429, headers={"Retry-After": "0"})
        return Answer({"error": "Internal Error - We're working hard to fix this as soon as possible!"}, status=500)

    def _send(self, answer: Answer, *, whole: bool = True) -> None:
        body = answer.content if isinstance(answer.content, bytes) else json.dumps(answer.content).encode()
        self._log(answer.status if whole else 0)
        self.send_response(answer.status)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            **answer.headers,
            "Content-Length": str(len(body)),
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if whole else body[: len(body) // 2])
        self.wfile.flush()
        if not whole:
            self.close_connection = True

    def _cut(self) -> None:
        self._log(0)
        self.close_connection = True

    def _log(self, status: int) -> None:
        self.server.hub.requests.append(Request(self.command, self.path.partition("?")[0], status))

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _refuse_stray(self) -> None:
        self.server.hub.strays.append(f"{self.command} {self.path}")
        self.close_connection = True
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _as_answer(error: HubError) -> Answer:
    headers = {"X-Error-Message": error.message.splitlines()[0], **error.headers}
    if error.code:
        headers["X-Error-Code"] = error.code
    return Answer({"error": error.message}, status=error.status, headers=headers)
