"""What the local Hub answers, a function a route: who may do what, and what comes of it. No HTTP in here."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import yaml

from tests.local_hub.card_check import check_card, front_matter
from tests.local_hub.store import HubError, Repo, Store, Stored, belongs_in_lfs, pointer


@dataclass(frozen=True)
class User:
    """Somebody with a token."""

    name: str
    role: str = "write"
    organisations: tuple[str, ...] = ()

    def owns(self, repo_id: str) -> bool:
        return repo_id.split("/")[0] in (self.name, *self.organisations)


@dataclass
class Call:
    """One request: who asks for what."""

    user: User | None
    parts: dict[str, str | None]
    query: dict[str, list[str]]
    body: bytes
    headers: dict[str, str]
    url: str  # of the Hub

    @property
    def json(self) -> dict:
        return json.loads(self.body or b"{}")


@dataclass
class Answer:
    """What goes back: `content` as JSON, or bytes as they are."""

    content: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


# -- rights


def _repo(store: Store, call: Call) -> Repo:
    """The repository asked for, unless it isn't there or is none of the asker's business: the Hub tells these not apart."""
    repo = store.find(call.parts["repo_type"], call.parts["repo_id"])
    if repo is None or (repo.facts["private"] and not (call.user and call.user.owns(repo.id))):
        # on the real Hub the 401 has no code; its client takes the code from the address, for https addresses only
        if call.user is None:
            raise HubError(401, "Invalid username or password.", "RepoNotFound")
        raise HubError(404, "Repository not found", "RepoNotFound")
    return repo


def _writable(store: Store, call: Call) -> Repo:
    repo = _repo(store, call)
    _check_may_write(call, repo.id)
    return repo


def _check_may_write(call: Call, repo_id: str) -> None:
    if call.user is None:
        raise HubError(401, "Invalid username or password.")
    if not call.user.owns(repo_id):
        raise HubError(403, f"Forbidden: you don't have the rights to write to {repo_id}.")
    if call.user.role != "write":
        raise HubError(403, "Forbidden: you must use a write token to upload to a repository.")


def _check_not_gated(call: Call, repo: Repo) -> None:
    if repo.facts["gated"] and not (call.user and call.user.owns(repo.id)):
        start = f"Access to {repo.type} {repo.id} is restricted"
        if call.user is None:
            raise HubError(
                401, f"{start}. You must have access to it and be authenticated. Please log in.", "GatedRepo"
            )
        raise HubError(403, f"{start} and you are not in the authorized list.", "GatedRepo")


# -- accounts and repositories


def whoami(store: Store, call: Call) -> Answer:
    if call.user is None:
        raise HubError(401, "Invalid username or password.")
    return Answer(
        {
            "type": "user",
            "name": call.user.name,
            "fullname": call.user.name,
            "orgs": [{"type": "org", "name": name} for name in call.user.organisations],
            "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": call.user.role}},
        }
    )


def create(store: Store, call: Call) -> Answer:
    order = call.json
    repo_type = order.get("type") or "model"
    namespace = order.get("organization") or (call.user.name if call.user else "")
    repo_id = f"{namespace}/{order['name']}"
    _check_may_write(call, repo_id)
    url = f"{call.url}/{'' if repo_type == 'model' else repo_type + 's/'}{repo_id}"
    if store.find(repo_type, repo_id):
        return Answer({"error": f"You already created this {repo_type} repo", "url": url}, status=409)
    if repo_type == "space" and not order.get("sdk"):
        raise HubError(400, '"sdk" is required')
    private = order.get("visibility") == "private" or bool(order.get("private"))
    store.create(repo_type, repo_id, private=private, sdk=order.get("sdk"))
    return Answer({"url": url, "name": repo_id})


def delete(store: Store, call: Call) -> Answer:
    order = call.json
    namespace = order.get("organization") or (call.user.name if call.user else "")
    call.parts.update(repo_type=order.get("type") or "model", repo_id=f"{namespace}/{order['name']}")
    store.delete(_writable(store, call))
    return Answer({})


def settings(store: Store, call: Call) -> Answer:
    repo, order = _writable(store, call), call.json
    if "visibility" in order or "private" in order:
        repo.set_facts(private=order.get("visibility") == "private" or bool(order.get("private")))
    if "gated" in order:
        repo.set_facts(gated=order["gated"])
    return Answer({"private": repo.facts["private"], "gated": repo.facts["gated"]})


def auth_check(store: Store, call: Call) -> Answer:
    repo = _writable(store, call) if call.parts["write"] else _repo(store, call)
    _check_not_gated(call, repo)
    return Answer({})


def validate_yaml(store: Store, call: Call) -> Answer:
    order = call.json
    errors, warnings = check_card(order["content"], order.get("repoType") or "model")
    content = {
        name: [{"message": line} for line in lines] for name, lines in (("errors", errors), ("warnings", warnings))
    }
    return Answer(content, status=400 if errors else 200)


# -- uploading


def preupload(store: Store, call: Call) -> Answer:
    repo = _repo(store, call) if call.query.get("create_pr") else _writable(store, call)
    there = repo.files_at(repo.resolve(call.parts["revision"]))
    answers = []
    for file in call.json["files"]:
        lfs = belongs_in_lfs(file["path"], file["size"], base64.b64decode(file["sample"]))
        answer = {"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
        if stored := there.get(file["path"]):
            answer["oid"] = stored.sha256 or stored.oid
        answers.append(answer)
    return Answer({"files": answers})


def lfs_batch(store: Store, call: Call) -> Answer:
    _writable(store, call)
    objects = []
    for wanted in call.json["objects"]:
        answer = {"oid": wanted["oid"], "size": wanted["size"]}
        if not store.has_lfs(wanted["oid"]):
            answer["actions"] = {"upload": {"href": f"{call.url}/lfs/{wanted['oid']}"}}
        objects.append(answer)
    return Answer({"transfer": "basic", "objects": objects}, headers={"Content-Type": "application/vnd.git-lfs+json"})


def lfs_put(store: Store, call: Call) -> Answer:
    """The storage server's part: the address alone gives the right, as a signed one does on the real Hub."""
    if hashlib.sha256(call.body).hexdigest() != call.parts["sha256"]:
        raise HubError(400, "The content does not have the sha256 that was announced")
    store.put_lfs(call.parts["sha256"], call.body)
    return Answer({})


def commit(store: Store, call: Call) -> Answer:
    as_pull_request = bool(call.query.get("create_pr"))
    repo = _repo(store, call) if as_pull_request else _writable(store, call)
    branch = call.parts["revision"].removeprefix("refs/heads/")
    base = repo.resolve(branch)
    header, *operations = [json.loads(line) for line in call.body.splitlines() if line.strip()]
    title = header["value"]["summary"]
    if header["value"].get("parentCommit", base) != base:
        raise HubError(412, "A commit has happened since. Please refresh and try again.")
    if not as_pull_request and branch not in repo.facts["branches"] and branch not in repo.facts["pulls"]:
        raise HubError(403, f"Forbidden: {branch} is no branch")
    files = repo.files_at(base)
    for operation in operations:
        _apply(repo, files, operation["key"], operation["value"])
    answer: dict[str, Any] = {"success": True}
    if as_pull_request:
        number = len(repo.facts["pulls"]) + 1
        branch, kind = f"refs/pr/{number}", "pulls"
        repo.set_facts(pulls={**repo.facts["pulls"], branch: base})
        answer["pullRequestUrl"] = f"{call.url}/{repo.id}/discussions/{number}"
    else:
        kind = "branches" if branch in repo.facts["branches"] else "pulls"
    sha = repo.add_commit(branch, files, title, kind=kind)
    prefix = "" if repo.type == "model" else f"{repo.type}s/"
    return Answer({**answer, "commitOid": sha, "commitUrl": f"{call.url}/{prefix}{repo.id}/commit/{sha}"})


def _apply(repo: Repo, files: dict[str, Stored], key: str, value: dict) -> None:
    path = value["path"]
    if key == "file":
        content = (
            base64.b64decode(value["content"]) if value.get("encoding") == "base64" else value["content"].encode()
        )
        files[path] = repo.keep(content)
    elif key == "lfsFile":
        files[path] = repo.keep_lfs(value["oid"])
    elif key == "deletedFile":
        if path not in files:
            raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
        del files[path]
    elif key == "deletedFolder":
        for inside in [name for name in files if name.startswith(path.rstrip("/") + "/")]:
            del files[inside]
    else:
        raise HubError(400, f"Unknown operation {key}")


# -- reading


def info(store: Store, call: Call) -> Answer:
    repo = _repo(store, call)
    sha = repo.resolve(call.parts["revision"] or "main")
    files = repo.files_at(sha)
    facts, commits = repo.facts, list(repo.history(sha))
    card = _json_or_none(lambda: front_matter(repo.content(files["README.md"]).decode())) or {}
    content = {
        "_id": sha[:24],
        "id": repo.id,
        "author": repo.id.split("/")[0],
        "sha": sha,
        "private": facts["private"],
        "gated": facts["gated"],
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [str(tag) for tag in card.get("tags") or []],
        "cardData": card,
        "createdAt": commits[-1][1]["date"],
        "lastModified": commits[0][1]["date"],
        "siblings": [_sibling(path, stored, blobs="blobs" in call.query) for path, stored in files.items()],
    }
    if repo.type == "model":
        content["modelId"] = repo.id
        content["library_name"] = card.get("library_name") or ("transformers" if "config.json" in files else None)
        content["pipeline_tag"] = card.get("pipeline_tag")
        content["config"] = _json_or_none(lambda: json.loads(repo.content(files["config.json"]))) or {}
    elif repo.type == "space":
        content["sdk"] = card.get("sdk") or facts["sdk"]
    return Answer(content)


def _sibling(path: str, stored: Stored, *, blobs: bool) -> dict:
    if not blobs:
        return {"rfilename": path}
    return {"rfilename": path, "size": stored.size, "blobId": stored.oid, **_lfs(stored)}


def _lfs(stored: Stored) -> dict:
    if stored.sha256 is None:
        return {}
    size = len(pointer(stored.sha256, stored.size))
    lfs = {"oid": stored.sha256, "sha256": stored.sha256, "size": stored.size, "pointerSize": size}
    return {"lfs": lfs}


def _json_or_none(read) -> Any:
    try:
        return read()
    except (KeyError, ValueError, yaml.YAMLError):
        return None


def tree(store: Store, call: Call) -> Answer:
    repo = _repo(store, call)
    sha = repo.resolve(call.parts["revision"])
    start = f"{call.parts['path'].rstrip('/')}/" if call.parts["path"] else ""
    recursive = call.query.get("recursive", ["false"])[-1].lower() in ("true", "1")
    inside = {path: stored for path, stored in repo.files_at(sha).items() if path.startswith(start)}
    if start and not inside:
        raise HubError(404, f'{start} does not exist on "{call.parts["revision"]}"', "EntryNotFound", _at(sha))
    entries, folders = [], {}
    for path, stored in inside.items():
        steps = path[len(start) :].split("/")
        for depth in range(1, len(steps) if recursive else min(2, len(steps))):
            folder = start + "/".join(steps[:depth])
            folders[folder] = {"type": "directory", "path": folder, "size": 0, "oid": sha, **_last(repo, sha, call)}
        if recursive or len(steps) == 1:
            entries.append({**_entry(path, stored), **_last(repo, sha, call)})
    return Answer([*folders.values(), *entries], headers=_at(sha))


def paths_info(store: Store, call: Call) -> Answer:
    repo = _repo(store, call)
    sha = repo.resolve(call.parts["revision"])
    if "json" in call.headers.get("content-type", ""):
        wanted, call.query["expand"] = call.json["paths"], [str(call.json.get("expand", False))]
    else:
        form = parse_qs(call.body.decode())
        wanted, call.query["expand"] = form.get("paths", []), form.get("expand", ["false"])
    files, entries = repo.files_at(sha), []
    for path in wanted:
        if path in files:
            entries.append({**_entry(path, files[path]), **_last(repo, sha, call)})
        elif any(name.startswith(path.rstrip("/") + "/") for name in files):
            entries.append({"type": "directory", "path": path, "size": 0, "oid": sha, **_last(repo, sha, call)})
    return Answer(entries, headers=_at(sha))


def _entry(path: str, stored: Stored) -> dict:
    return {"type": "file", "path": path, "size": stored.size, "oid": stored.oid, **_lfs(stored)}


def _last(repo: Repo, sha: str, call: Call) -> dict:
    """With `expand`: the commit itself stands for the one that last changed the file."""
    if call.query.get("expand", ["false"])[-1].lower() not in ("true", "1"):
        return {}
    facts = repo.commit_facts(sha)
    return {"lastCommit": {"id": sha, "title": facts["title"], "date": facts["date"]}}


def _at(sha: str) -> dict[str, str]:
    return {"X-Repo-Commit": sha}


def resolve(store: Store, call: Call) -> Answer:
    repo = _repo(store, call)
    _check_not_gated(call, repo)
    sha = repo.resolve(call.parts["revision"])
    stored = repo.files_at(sha).get(call.parts["path"])
    if stored is None:
        raise HubError(404, "Entry not found", "EntryNotFound", _at(sha))
    content = repo.content(stored)
    headers = {
        **_at(sha),
        "ETag": f'"{stored.sha256 or stored.oid}"',
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream" if stored.sha256 else "text/plain; charset=utf-8",
    }
    if asked := call.headers.get("range"):
        return _part(content, asked, headers)
    return Answer(content, headers=headers)


def _part(content: bytes, asked: str, headers: dict[str, str]) -> Answer:
    """`bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`."""
    first, _, last = asked.removeprefix("bytes=").partition("-")
    if first:
        start, end = int(first), min(int(last) if last else len(content) - 1, len(content) - 1)
    else:
        start, end = max(0, len(content) - int(last)), len(content) - 1
    if start > end:
        raise HubError(416, "Requested range not satisfiable", headers={"Content-Range": f"bytes */{len(content)}"})
    headers = {**headers, "Content-Range": f"bytes {start}-{end}/{len(content)}"}
    return Answer(content[start : end + 1], status=206, headers=headers)


# -- branches, tags, history


def refs(store: Store, call: Call) -> Answer:
    facts = _repo(store, call).facts
    return Answer(
        {
            "branches": [_ref(name, f"refs/heads/{name}", sha) for name, sha in facts["branches"].items()],
            "tags": [_ref(name, f"refs/tags/{name}", sha) for name, sha in facts["tags"].items()],
            "converts": [],
            "pullRequests": [_ref(name, name, sha) for name, sha in facts["pulls"].items()],
        }
    )


def _ref(name: str, ref: str, sha: str) -> dict[str, str]:
    return {"name": name, "ref": ref, "targetCommit": sha}


def commits(store: Store, call: Call) -> Answer:
    repo = _repo(store, call)
    return Answer(
        [
            {"id": sha, "title": facts["title"], "message": "", "date": facts["date"], "authors": [{"user": "org"}]}
            for sha, facts in repo.history(repo.resolve(call.parts["revision"]))
        ]
    )


def create_branch(store: Store, call: Call) -> Answer:
    repo = _writable(store, call)
    return _add_ref(repo, "branches", call.parts["name"], call.json.get("startingPoint") or "main")


def create_tag(store: Store, call: Call) -> Answer:
    repo = _writable(store, call)
    return _add_ref(repo, "tags", call.json["tag"], call.parts["revision"])


def _add_ref(repo: Repo, kind: str, name: str, revision: str) -> Answer:
    if name in repo.facts[kind]:
        raise HubError(409, f"Reference {name} already exists")
    repo.set_facts(**{kind: {**repo.facts[kind], name: repo.resolve(revision)}})
    return Answer({}, status=201)


def delete_branch(store: Store, call: Call) -> Answer:
    if call.parts["name"] == "main":
        raise HubError(403, "Forbidden: the main branch can't be deleted")
    return _remove_ref(_writable(store, call), "branches", call.parts["name"])


def delete_tag(store: Store, call: Call) -> Answer:
    return _remove_ref(_writable(store, call), "tags", call.parts["name"])


def _remove_ref(repo: Repo, kind: str, name: str) -> Answer:
    if name not in repo.facts[kind]:
        raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")
    repo.set_facts(**{kind: {key: sha for key, sha in repo.facts[kind].items() if key != name}})
    return Answer({})


def discussions(store: Store, call: Call) -> Answer:
    _repo(store, call)
    return Answer({"discussions": [], "count": 0, "start": 0})
