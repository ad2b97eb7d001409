"""Files of a Hub repository, and what can go wrong on the way to them, as one line for the user."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hf_mlc.errors import UserError


# what a model of ours is loaded from; never code, never a pickle, nothing from folders inside (checkpoints)
MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.codes")
TOKEN = "a token that may read it, from HF_TOKEN or `hf auth login`"


class HubProblem(NamedTuple):
    """What went wrong and what helps, for a `UserError`."""

    problem: str
    accepted: str


def local_folder(name_or_path: str, *, revision: str | None = None, field: str = "model") -> Path | None:
    """The folder that the user means; `None` for a Hub id.

    Args:
        name_or_path (`str`): a folder or a Hub id.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
        field (`str`, *optional*, defaults to `"model"`): the argument that named it, for the error message.

    Raises:
        `UserError`: no such folder and no Hub id either; a revision of a folder, which has none.
    """
    if Path(name_or_path).exists():
        if revision is not None:
            raise UserError(
                "is a folder, which has no revisions",
                file=name_or_path,
                field="revision",
                accepted="a Hub id, or a folder without it",
            )
        return Path(name_or_path)
    # these can be no Hub id: a path with a mistake in it should not be looked for on the Hub
    if name_or_path.count("/") != 1 or name_or_path.startswith((".", "/", "~")):
        raise UserError(
            "no such folder", file=name_or_path, field=field, accepted="a saved model's folder or a Hub id org/name"
        )
    return None


def download_model(repo_id: str, *, revision: str | None = None, field: str = "model") -> Path:
    """The folder in the cache with a model's files, all of one commit; downloaded where they are not there yet.

    Without a connection the files of an earlier download serve.

    Args:
        repo_id (`str`): the Hub id.
        revision (`str`, *optional*): branch, tag or commit.
        field (`str`, *optional*, defaults to `"model"`): the argument that named it, for the error message.

    Raises:
        `UserError`: no such repository or revision, no right to read it, no connection, an answer that is an error.
    """
    with _as_user_errors(repo_id, revision, field):
        folder = huggingface_hub.snapshot_download(
            repo_id, revision=revision, allow_patterns=list(MODEL_FILES), ignore_patterns=["*/*"]
        )
    return Path(folder)


def download_file(repo_id: str, name: str, *, revision: str | None = None, field: str = "model") -> Path | None:
    """One file of a repository, in the cache; `None` where the repository has none of that name.

    Arguments and errors as in `download_model`.
    """
    with _as_user_errors(repo_id, revision, field):
        try:
            return Path(huggingface_hub.hf_hub_download(repo_id, name, revision=revision))
        except LocalEntryNotFoundError:  # not "it has none" but "the Hub could not be asked"
            raise
        except EntryNotFoundError:
            return None


@contextlib.contextmanager
def _as_user_errors(repo_id: str, revision: str | None, field: str) -> Iterator[None]:
    try:
        yield
    except (HTTPError, OSError, OfflineModeIsEnabled) as error:
        found = hub_problem(error)
        if found is None:
            raise
        if isinstance(error, RevisionNotFoundError):
            found, field = HubProblem(f"no revision '{revision}'", found.accepted), "revision"
        raise UserError(found.problem, file=repo_id, field=field, accepted=found.accepted) from None


def hub_problem(error: BaseException) -> HubProblem | None:
    """What the Hub, or the way to it, has to do with an error; `None` where nothing.

    Libraries wrap what `huggingface_hub` raised in errors of their own, so the causes are looked at too.
    """
    chain = list(_causes(error))
    # the two that only say that a file isn't in the cache either come last
    for cause in [*(e for e in chain if not isinstance(e, LocalEntryNotFoundError)), *chain]:
        if found := _problem_of(cause):
            return found
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _problem_of(error: BaseException) -> HubProblem | None:
    if isinstance(error, GatedRepoError):
        return HubProblem("gated: its owners must let you in first", TOKEN)
    if isinstance(error, RepositoryNotFoundError):
        return HubProblem("no such repository on the Hub, or a private one that you may not see", f"a Hub id; {TOKEN}")
    if isinstance(error, RevisionNotFoundError):
        return HubProblem("no such revision", "a branch, a tag or a commit")
    if isinstance(error, OfflineModeIsEnabled):
        return HubProblem("not in the cache, and HF_HUB_OFFLINE keeps from asking the Hub", "HF_HUB_OFFLINE=0")
    if isinstance(error, IncompleteSnapshotError):
        return HubProblem("only a part of it is in the cache, and the Hub can't be reached", "run it again later")
    if isinstance(error, LocalEntryNotFoundError):
        return HubProblem("not in the cache, and the Hub can't be reached", "a connection, or files in the cache")
    if isinstance(error, HfHubHTTPError):
        return _problem_of_status(error.response.status_code, (error.server_message or "").strip().rstrip("."))
    if isinstance(error, (HTTPError, ConnectionError, TimeoutError)):
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        return HubProblem(f"the Hub can't be reached ({reason})", "run it again later")
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return HubProblem(f"can't be kept in the cache ({error.strerror}: {error.filename})", "another HF_HOME")
    return None


def _problem_of_status(status: int, server: str) -> HubProblem:
    said = f" ({server})" if server else ""
    if status == 401:
        return HubProblem(f"the Hub doesn't accept the token{said}", TOKEN)
    if status == 403:
        return HubProblem(f"no right to read it{said}", TOKEN)
    if status == 429:
        return HubProblem(f"the Hub asks to slow down{said}", "run it again in some minutes")
    return HubProblem(f"the Hub answered {status}{said}", "run it again later")
