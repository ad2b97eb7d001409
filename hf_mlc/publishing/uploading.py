"""A staged folder becomes one commit on the Hub, after which the repository's published files are exactly the staged ones."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from hf_mlc.cards import merge_card
from hf_mlc.cards.merge import BEGIN, END
from hf_mlc.publishing.contents import CARD, CONFIG, OTHER_WEIGHTS, PROCESSORS, publication_files, read_config
from hf_mlc.publishing.hub_errors import hub_errors
from hf_mlc.publishing.repository import Repository, open_repository
from hf_mlc.publishing.scrubbing import refuse_tokens


ATTEMPTS = 3  # where somebody else commits to the same branch meanwhile


class Published(NamedTuple):
    """What came of an upload.

    Args:
        url (`str`): the model's page.
        commit (`CommitInfo`): the commit that now holds the model.
        changed (`bool`): `False` where the repository held just that already, and no commit was made.
        kept_card (`bool`): whether text of the README.md on the Hub took the place of the folder's own.
    """

    url: str
    commit: object
    changed: bool
    kept_card: bool


def upload_staged(
    staged: Path,
    repo_id: str,
    *,
    token: str | bool | None = None,
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    overwrite: bool = False,
    endpoint: str | None = None,
) -> Published:
    """Uploads what `stage_model` wrote.

    Everything arrives in one commit, so the repository is never between two states. Files of an earlier publication
    that the new one doesn't have are deleted in it. What the user added on the Hub is kept: other files, and whatever
    stands in README.md outside the generated part.

    Args:
        staged (`Path`): the folder.
        repo_id (`str`): `owner/name`, or `name` for the user's own.
        token (`str` or `bool`, *optional*): the token; by default, and with `True`, that of HF_TOKEN or `hf auth login`.
        private (`bool`, *optional*): whether a new repository is private.
        revision (`str`, *optional*): the branch, made if need be.
        commit_message (`str`, *optional*): the commit's title.
        commit_description (`str`, *optional*): what stands below its title.
        overwrite (`bool`, *optional*, defaults to `False`): take the place of another kind of model, and of the README.md there.
        endpoint (`str`, *optional*): the Hub, if not the one of HF_ENDPOINT.

    Raises:
        `UserError`: what `open_repository` refuses, and whatever goes wrong on the way; run it again then.
    """
    api = HfApi(endpoint=endpoint, token=token)
    model_type = read_config(staged)["model_type"]
    for attempt in range(1, ATTEMPTS + 1):
        repository = open_repository(
            api, repo_id, model_type=model_type, private=private, revision=revision, overwrite=overwrite
        )
        with hub_errors(repository.repo_id), tempfile.TemporaryDirectory() as there:
            there = Path(there)
            code = {name for name in repository.files if name.endswith(".py") and "/" not in name}
            names = {path.name for path in staged.iterdir()}
            # the code there is read only where some of it might be left over
            repository.fetch(api, {CONFIG, CARD} | (code if code - names else set()), there)
            card, kept_card = _card(staged / CARD, there / CARD, overwrite=overwrite)
            operations = [CommitOperationAdd(name, str(staged / name)) for name in sorted(names - {CARD})]
            if card is not None:
                operations.append(CommitOperationAdd(CARD, card.encode()))
            operations += [CommitOperationDelete(name) for name in sorted(_stale(repository, names, there, overwrite))]
            try:
                commit = api.create_commit(
                    repository.repo_id,
                    operations,
                    commit_message=commit_message or "Publish model",
                    commit_description=commit_description,
                    revision=revision,
                    parent_commit=repository.sha,
                )
            except HfHubHTTPError as error:
                if error.response.status_code in (409, 412) and attempt < ATTEMPTS:
                    continue  # the branch has moved on since we looked
                raise
        url = f"{api.endpoint}/{repository.repo_id}"
        if revision is not None:
            url += f"/tree/{revision}"
        return Published(url, commit, commit.oid != repository.sha, kept_card)
    raise AssertionError("the last attempt returns or raises")


def _card(staged: Path, there: Path, *, overwrite: bool) -> tuple[str | None, bool]:
    """The card to commit, and whether text of the one on the Hub was preferred to text of the user's in the folder."""
    if not staged.exists():
        return None, False
    card = staged.read_text(encoding="utf-8")
    if overwrite or not there.exists():
        return card, False
    on_the_hub = there.read_text(encoding="utf-8")
    merged = merge_card(on_the_hub, card)
    if own_text(card) and not own_text(on_the_hub):
        # the words of the folder, the metadata of both
        merged = REGEX_YAML_BLOCK.search(merged)[0] + card[REGEX_YAML_BLOCK.search(card).end() :]
    refuse_tokens(merged, file=CARD)
    return merged, own_text(card) not in ("", own_text(on_the_hub))


def own_text(card: str) -> str:
    """What the user wrote in a card: no metadata, nothing between the markers, nor the title above them."""
    body = REGEX_YAML_BLOCK.sub("", card, count=1)
    body = re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", "", body, flags=re.DOTALL)
    return re.sub(r"\A\s*# .*", "", body).strip()


def _stale(repository: Repository, names: set[str], there: Path, overwrite: bool) -> set[str]:
    """Files of an earlier publication that are not in this one."""
    here = {name for name in repository.files if "/" not in name}
    stale = publication_files(here, there)
    if not names & set(PROCESSORS):  # a model pushed without a tokenizer leaves the one that is there
        stale -= set(PROCESSORS)
    if overwrite:
        stale |= {name for name in here if OTHER_WEIGHTS.fullmatch(name)}
    return stale - names - {CARD}
