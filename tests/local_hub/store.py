"""What the local Hub keeps: repositories with their commits, branches and tags, each commit a whole list of files.

FOLDER/blobs/OID                              contents; of a file in LFS its sha256, of others git's sha1
FOLDER/repos/models/org/name/repo.json        owner's settings, branches, tags
FOLDER/repos/models/org/name/commits/SHA.json parent, title, date, files by path
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple


# what the Hub writes into a new repository; the patterns are those of its own template
_PATTERNS = """
*.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gz *.h5 *.joblib *.lfs.* *.mlmodel *.model *.msgpack *.npy *.npz *.onnx *.ot
*.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors saved_model/**/* *.tar.* *.tar *.tflite *.tgz *.wasm
*.xz *.zip *.zst *tfevents*
"""
LFS_PATTERNS = tuple(_PATTERNS.split())
GITATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LFS_PATTERNS).encode()
LARGEST_REGULAR_FILE = 10 * 2**20
# what becomes a path in the folder: nothing that a request says leads out of it
_REPO_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_OID = re.compile("[0-9a-f]{64}")


class Stored(NamedTuple):
    """One file of a commit: git's object id, its size, and its sha256 where it lies in LFS."""

    oid: str
    size: int
    sha256: str | None = None


class HubError(Exception):
    """An answer that is no success, as the Hub words it: status, text, and the code in its `X-Error-Code` header."""

    def __init__(self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers or {}


class Repo:
    """One repository in its folder."""

    def __init__(self, folder: Path, blobs: Path, repo_type: str, repo_id: str):
        self.folder, self.blobs, self.type, self.id = folder, blobs, repo_type, repo_id

    @property
    def facts(self) -> dict:
        return json.loads((self.folder / "repo.json").read_text(encoding="utf-8"))

    def set_facts(self, **changes) -> None:
        facts = {**(self.facts if (self.folder / "repo.json").exists() else {}), **changes}
        _write_whole(self.folder / "repo.json", json.dumps(facts).encode())

    # -- revisions

    def resolve(self, revision: str) -> str:
        """The commit hash that a branch, tag, ref or hash stands for."""
        facts = self.facts
        name = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        for refs in (facts["branches"], facts["tags"], facts["pulls"]):
            if name in refs:
                return refs[name]
        if re.fullmatch("[0-9a-f]{40}", revision) and (self.folder / "commits" / f"{revision}.json").exists():
            return revision
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def commit_facts(self, sha: str) -> dict:
        return json.loads((self.folder / "commits" / f"{sha}.json").read_text(encoding="utf-8"))

    def history(self, sha: str) -> Iterator[tuple[str, dict]]:
        """Commits, the last first."""
        at: str | None = sha
        while at is not None:
            facts = self.commit_facts(at)
            yield at, facts
            at = facts["parent"]

    def files_at(self, sha: str) -> dict[str, Stored]:
        files = self.commit_facts(sha)["files"]
        return {path: Stored(*files[path]) for path in sorted(files)}

    def content(self, stored: Stored) -> bytes:
        return (self.blobs / (stored.sha256 or stored.oid)).read_bytes()

    def add_commit(self, branch: str, files: dict[str, Stored], title: str, *, kind: str = "branches") -> str:
        """Makes `files` the newest commit of a branch, in one step: the reference moves when all is written."""
        refs = self.facts[kind]
        parent = refs.get(branch)
        facts = {
            "parent": parent,
            "title": title,
            "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "files": {path: list(stored) for path, stored in sorted(files.items())},
        }
        sha = hashlib.sha1(json.dumps([self.type, self.id, facts]).encode()).hexdigest()
        _write_whole(self.folder / "commits" / f"{sha}.json", json.dumps(facts).encode())
        self.set_facts(**{kind: {**refs, branch: sha}})
        return sha

    # -- contents

    def keep(self, content: bytes) -> Stored:
        """Stores a regular file."""
        oid = git_oid(content)
        _write_whole(self.blobs / oid, content)
        return Stored(oid, len(content))

    def keep_lfs(self, sha256: str) -> Stored:
        """A file whose content was uploaded to LFS before; git itself holds a pointer to it."""
        blob = self.blobs / sha256
        if not _OID.fullmatch(sha256) or not blob.exists():
            raise HubError(
                400,
                "Your push was rejected because an LFS pointer pointed to a file that does not exist. Offending "
                f"file: - {sha256}",
            )
        size = blob.stat().st_size
        return Stored(git_oid(pointer(sha256, size)), size, sha256)


class Store:
    """All repositories."""

    def __init__(self, folder: Path):
        self.folder, self.blobs = folder, folder / "blobs"
        self.blobs.mkdir(parents=True, exist_ok=True)

    def _folder_of(self, repo_type: str, repo_id: str) -> Path:
        if repo_type not in ("model", "dataset", "space") or not _REPO_ID.fullmatch(repo_id) or ".." in repo_id:
            raise HubError(400, f"Invalid repo id or type: {repo_type} {repo_id}")
        return self.folder / "repos" / f"{repo_type}s" / repo_id

    def find(self, repo_type: str, repo_id: str) -> Repo | None:
        folder = self._folder_of(repo_type, repo_id)
        exists = (folder / "repo.json").exists()
        return Repo(folder, self.blobs, repo_type, repo_id) if exists else None

    def create(self, repo_type: str, repo_id: str, *, private: bool, sdk: str | None) -> Repo:
        folder = self._folder_of(repo_type, repo_id)
        (folder / "commits").mkdir(parents=True)
        repo = Repo(folder, self.blobs, repo_type, repo_id)
        repo.set_facts(private=private, gated=False, sdk=sdk, branches={}, tags={}, pulls={})
        repo.add_commit("main", {".gitattributes": repo.keep(GITATTRIBUTES)}, "initial commit")
        return repo

    def delete(self, repo: Repo) -> None:
        shutil.rmtree(repo.folder)

    def keep_file(self, repo: Repo, path: str, content: bytes) -> Stored:
        """Stores a file where it belongs."""
        if not belongs_in_lfs(path, len(content), content[:512]):
            return repo.keep(content)
        sha256 = hashlib.sha256(content).hexdigest()
        self.put_lfs(sha256, content)
        return repo.keep_lfs(sha256)

    def put_lfs(self, sha256: str, content: bytes) -> None:
        _write_whole(self.blobs / sha256, content)

    def has_lfs(self, sha256: str) -> bool:
        return _OID.fullmatch(sha256) is not None and (self.blobs / sha256).exists()


def belongs_in_lfs(path: str, size: int, sample: bytes) -> bool:
    """By the patterns of `.gitattributes`, by size, and for anything that is no text."""
    name = path.rsplit("/", 1)[-1]
    return any(fnmatch(name, p) for p in LFS_PATTERNS) or size > LARGEST_REGULAR_FILE or b"\0" in sample


def git_oid(content: bytes) -> str:
    """The name that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """What git holds in place of a file in LFS."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def _write_whole(path: Path, content: bytes) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(content)
    beside.replace(path)
