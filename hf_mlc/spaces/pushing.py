"""A Space's folder onto the Hub."""

from __future__ import annotations

import json
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from hf_mlc.errors import UserError
from hf_mlc.publishing.hub_errors import hub_errors
from hf_mlc.publishing.repository import own_repo_id


MARK = "space.json"  # the file by which a Space of ours is known
PUT_THERE_BY_THE_HUB = {".gitattributes", "README.md"}


def push_space(folder: str | Path, repo_id: str, *, private: bool = False) -> str:
    """Makes the Space where it is missing and uploads the folder in one commit; a broken upload can be run again.

    Args:
        folder (`str` or `Path`): what `write_space` wrote.
        repo_id (`str`): `org/space-name`, or `space-name` for the user's own.
        private (`bool`, *optional*, defaults to `False`): whether a new Space is private; a public one is refused then,
            as it is in any case where the model is private.

    Returns:
        The Space's address.

    Raises:
        `UserError`: no token or a wrong one, somebody else's name, a Space that holds another app, no way to the Hub.
    """
    api = HfApi()
    with hub_errors(repo_id):
        repo_id = own_repo_id(api, repo_id)
        try:
            found = api.space_info(repo_id)
        except RepositoryNotFoundError:
            found = None
        if not (private if found is None else found.private):
            _check_public(api, json.loads(Path(folder, MARK).read_text(encoding="utf-8"))["model"])
        if found is None:
            api.create_repo(repo_id, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
        else:
            files = {file.rfilename for file in found.siblings or ()}
            foreign = sorted(files - PUT_THERE_BY_THE_HUB)
            if foreign and MARK not in files:
                raise UserError(
                    f"this Space holds another app ({', '.join(foreign[:3])})",
                    file=repo_id,
                    field="repo_id",
                    accepted="a new name, an empty Space, or one that this command made",
                )
            if private and not found.private:
                raise UserError(
                    "is public already", file=repo_id, field="private", accepted="another repo_id, or no --private"
                )
        api.upload_folder(repo_id=repo_id, repo_type="space", folder_path=folder, commit_message="App by hf-mlc space")
    return f"{api.endpoint}/spaces/{repo_id}"


def _check_public(api: HfApi, model: str) -> None:
    """A public Space shows what its model's card says, the examples among it, and answers whoever asks."""
    if api.model_info(model).private:
        raise UserError(
            "is a private model, and the Space would be public",
            file=model,
            field="private",
            accepted="--private; the settings of a Space can open it later",
        )
