"""What can go wrong with the Hub, as one line for the user."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from huggingface_hub.errors import (
    HfHubHTTPError,
    HTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)

from hf_mlc.errors import UserError


TOKEN_HINT = "a token that may write, from HF_TOKEN or `hf auth login`"
AGAIN = "run it again: what was not finished is done then, and what was is left"
BAD_CARD = "Invalid metadata in README.md"  # as huggingface_hub words it, in a bare ValueError
_BY_STATUS = {
    401: ("the Hub doesn't accept the token", TOKEN_HINT),
    403: ("the token gives no right to write there", TOKEN_HINT),
    404: ("no such repository, or none that this token may see", "a repository of yours"),
    413: ("a file is too large for the Hub", "smaller files: max_shard_size"),
    429: ("the Hub asks to slow down", "run it again in some minutes"),
}


@contextlib.contextmanager
def hub_errors(repo_id: str) -> Iterator[None]:
    """Turns what the Hub or the way to it answered into a `UserError` on `repo_id`; other errors pass."""
    try:
        yield
    except LocalTokenNotFoundError:
        raise UserError("no token", file=repo_id, accepted=TOKEN_HINT) from None
    except OfflineModeIsEnabled:
        raise UserError("HF_HUB_OFFLINE is set", file=repo_id, accepted="a network, or --dry_run") from None
    except RevisionNotFoundError:
        raise UserError("no such branch", file=repo_id, field="revision", accepted="a branch's name") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        server = (error.server_message or "").strip().rstrip(".")
        problem, accepted = _BY_STATUS.get(status, (f"the Hub answered {status}", AGAIN))
        raise UserError(f"{problem} ({server})" if server else problem, file=repo_id, accepted=accepted) from None
    except json.JSONDecodeError:
        raise UserError("the Hub's answer can't be read", file=repo_id, accepted=AGAIN) from None
    except ValueError as error:
        if not str(error).startswith(BAD_CARD):
            raise
        reason = str(error).removeprefix(BAD_CARD).strip(" .\n-")
        raise UserError(f"the Hub refuses its metadata ({reason})", file="README.md") from None
    except RuntimeError as error:  # how the storage of large files words it, with the reason behind
        if not str(error).startswith(("Error while uploading", "Data processing error")):
            raise
        reason = f"{error} {error.__cause__ or ''}".strip()
        raise UserError(f"the upload broke off ({reason})", file=repo_id, accepted=AGAIN) from None
    except (HTTPError, ConnectionError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise UserError(f"the Hub can't be reached ({reason})", file=repo_id, accepted=AGAIN) from None
