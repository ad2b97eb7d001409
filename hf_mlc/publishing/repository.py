"""The repository that a model goes to: whose it is, what is in it, whether ours may take its place."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from hf_mlc.errors import UserError
from hf_mlc.publishing.contents import CONFIG, OTHER_WEIGHTS, read_config
from hf_mlc.publishing.hub_errors import TOKEN_HINT, hub_errors


MAIN = "main"


@dataclass(frozen=True)
class Repository:
    """A repository of models as it stands on the Hub.

    Args:
        repo_id (`str`): with its owner's name.
        sha (`str`): the newest commit of the branch.
        files (`frozenset[str]`): the paths in it.
        private (`bool`): who may see it.
    """

    repo_id: str
    sha: str
    files: frozenset[str]
    private: bool

    def fetch(self, api: HfApi, names: set[str], folder: Path) -> None:
        """Downloads some of the files at this commit into `folder`."""
        for name in sorted(names & self.files):
            api.hf_hub_download(self.repo_id, name, revision=self.sha, local_dir=folder)


def open_repository(
    api: HfApi, repo_id: str, *, model_type: str, private: bool | None, revision: str | None, overwrite: bool = False
) -> Repository:
    """The repository, made if need be, after it is clear that it is the user's and that our model may go there.

    Args:
        api (`HfApi`): with the user's token.
        repo_id (`str`): `name` or `owner/name`.
        model_type (`str`): the model's.
        private (`bool`, *optional*): a new repository's; the owner's default if not given. A public repository is
            refused when a private one was asked for.
        revision (`str`, *optional*): a branch, made from the newest commit if need be; `main` if not given.
        overwrite (`bool`, *optional*, defaults to `False`): take the place of a model that isn't of this kind.

    Raises:
        `UserError`: no token or a wrong one, somebody else's name, another model's repository, no way to the Hub.
    """
    branch = revision or MAIN
    repo_id = own_repo_id(api, repo_id)
    with hub_errors(repo_id):
        found = _look(api, repo_id, branch)
        # a new branch begins as a copy of main
        base = _look(api, repo_id, MAIN) if found is None and branch != MAIN else found
        if base is None:
            api.create_repo(repo_id, private=private, exist_ok=True)
        else:
            _check(api, base, model_type, private=private, overwrite=overwrite)
        if found is None:
            if branch != MAIN:
                api.create_branch(repo_id, branch=branch, exist_ok=True)
            found = _look(api, repo_id, branch)
    if found is None:  # it is there, or was made a moment ago, but not for this token's eyes
        raise UserError("the token may not read it", file=repo_id, field="repo_id", accepted=TOKEN_HINT)
    return found


def own_repo_id(api: HfApi, repo_id: str) -> str:
    """`owner/name`, the owner being the user or one of the user's organisations.

    Raises:
        `UserError`: where it is neither, or where the token may only read; no token, a wrong one, no way to the Hub.
    """
    with hub_errors(repo_id):
        user = api.whoami()
    owners = [user["name"], *(organisation["name"] for organisation in user.get("orgs", []))]
    role = user.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise UserError("the token may only read", file=repo_id, accepted=TOKEN_HINT)
    owner, _, name = repo_id.rpartition("/")
    owner = owner or owners[0]
    if owner not in owners:
        raise UserError(f"belongs to {owner}", file=repo_id, field="repo_id", accepted=f"{', '.join(owners)} as owner")
    return f"{owner}/{name}"


def _look(api: HfApi, repo_id: str, revision: str | None) -> Repository | None:
    try:
        info = api.model_info(repo_id, revision=revision)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return None
    files = frozenset(file.rfilename for file in info.siblings or ())
    return Repository(repo_id, info.sha, files, bool(info.private))


def _check(api: HfApi, there: Repository, model_type: str, *, private: bool | None, overwrite: bool) -> None:
    """A repository is ours to fill while it holds no model, or one of the same architecture."""
    if private and not there.private:
        raise UserError("is public", file=there.repo_id, field="private", accepted="another repo_id, or no --private")
    if overwrite:
        return
    holds = None
    if CONFIG in there.files:
        with tempfile.TemporaryDirectory() as folder:
            there.fetch(api, {CONFIG}, Path(folder))
            found = read_config(Path(folder)).get("model_type")
        if found != model_type:
            holds = f"a model of type {found}" if found else "a config.json without a model_type"
    elif any(OTHER_WEIGHTS.fullmatch(name) for name in there.files):
        holds = "weights of another model"
    if holds:
        accepted = "another repo_id, or --overwrite to take its place"
        raise UserError(f"holds {holds}", file=there.repo_id, field="repo_id", accepted=accepted)
