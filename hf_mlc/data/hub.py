"""A data set of the Hub, of exactly the revision that was asked for."""

from __future__ import annotations

import re
from pathlib import Path

import datasets
from datasets.exceptions import DatasetsError
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled, RevisionNotFoundError

from hf_mlc.errors import UserError
from hf_mlc.hub_reading import HubProblem, hub_problem


ACCEPTED = "a local file, a local folder or a data set on the Hub"
# what `datasets` raises for: no such configuration or split, no connection, a loading script, broken files
FAILURES = (OSError, ValueError, RuntimeError, DatasetsError, HTTPError)


def load_from_hub(
    name: str, config_name: str | None = None, *, revision: str | None = None, cache_dir: str | Path | None = None
) -> datasets.DatasetDict:
    """All splits of a data set of the Hub, as they are there.

    Where the Hub can't be asked, `datasets` takes the copy in its cache that was used last, whatever its revision. That
    is fine as long as nobody asked for a revision; else the copy must be of that one.

    Args:
        name (`str`): the Hub id.
        config_name (`str`, *optional*): a configuration of it.
        revision (`str`, *optional*): its commit, branch or tag.
        cache_dir (`str` or `Path`, *optional*): instead of the cache of `datasets`.

    Raises:
        `UserError`: no such data set, configuration or revision, no right to read it, files that can't be read, a Hub
            that can't be reached while the cache has no copy, or one of another revision.
    """
    commit, unreachable = _commit_of(name, revision)
    try:
        builder = datasets.load_dataset_builder(
            name, config_name, revision=commit or revision, cache_dir=None if cache_dir is None else str(cache_dir)
        )
        wanted = commit or revision
        if wanted is not None and builder.hash != wanted:
            problem = unreachable or HubProblem("the Hub can't be reached", "run it again later")
            raise UserError(
                f"{problem.problem}, and the cache holds another revision ({builder.hash})",
                file=name,
                field="revision",
                accepted=problem.accepted if commit else f"{problem.accepted}, or the whole hash of a cached commit",
            )
        builder.download_and_prepare()
        return builder.as_dataset()
    except UserError:
        raise
    except FAILURES as failure:
        # the example is one of Python, as the message of a missing configuration ends
        said = str(failure).partition("Example of usage")[0].strip()
        problem = unreachable or hub_problem(failure) or HubProblem(said, ACCEPTED)
        raise UserError(f"cannot be loaded ({problem.problem})", file=name, accepted=problem.accepted) from None


def _commit_of(name: str, revision: str | None) -> tuple[str | None, HubProblem | None]:
    """The hash of the commit that is meant; or `None`, and why the Hub didn't tell."""
    is_commit = revision is not None and re.fullmatch("[0-9a-f]{40}", revision) is not None
    try:
        return HfApi().dataset_info(name, revision=revision).sha, None
    except (HTTPError, OSError, OfflineModeIsEnabled) as error:
        problem = hub_problem(error)
        if problem is None:
            raise
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
        if status is None or status == 429 or status >= 500:  # not the Hub's last word: perhaps the cache helps
            return (revision if is_commit else None), problem
        field = "revision" if isinstance(error, RevisionNotFoundError) else None
        what = f"no revision '{revision}'" if field else f"cannot be loaded ({problem.problem})"
        raise UserError(what, file=name, field=field, accepted=problem.accepted) from None
