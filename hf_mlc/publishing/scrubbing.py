"""What must not leave the machine inside a JSON file: paths of this machine are cut to their last part, tokens refused."""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Any

from hf_mlc.errors import UserError


TOKEN = re.compile(r"\b(hf|api_org)_[A-Za-z0-9]{20,}")
SECRET_NAMES = re.compile(r"(.*_)?(hub_token|auth_token|access_token|api_key|password|secret)")
# a string that is a path as a whole: /x, ~/x, ./x, ../x, C:\x, \\host\x, file:///x
_WHOLE = re.compile(r"(file://|/|~[\w.-]*/|\.{1,2}[/\\]|[A-Za-z]:[/\\]|\\\\)\S.*")
# one inside a longer text, a command line for example: two parts at the least, and no part of a URL
_INSIDE = re.compile(r"""(?<![\w:/.~\\-])(?:file://)?(?:~[\w.-]*|\.{1,2})?(?:/[^\s/,;:"'<>|()]+){2,}/?""")


def scrubbed(content: Any, *, file: str, kept: Set[str] = frozenset(), field: str = "") -> Any:
    """A copy of JSON content without paths of this machine.

    Args:
        content (`Any`): what `json.loads` gave.
        file (`str`): where it stands, for the error message.
        kept (`Set[str]`, *optional*): strings that are left as they are: label names may look like paths (`/m/07j87`).
        field (`str`, *optional*): the key it stands under.

    Raises:
        `UserError`: for a Hub token, or a password by its name.
    """
    if isinstance(content, dict):
        return {
            _scrubbed_text(key, file, kept, field): scrubbed(value, file=file, kept=kept, field=str(key))
            for key, value in content.items()
        }
    if isinstance(content, list):
        return [scrubbed(value, file=file, kept=kept, field=field) for value in content]
    if isinstance(content, str):
        if content and SECRET_NAMES.fullmatch(field):
            raise _secret(file, field)
        return _scrubbed_text(content, file, kept, field)
    return content


def refuse_tokens(text: str, *, file: str, field: str | None = None) -> None:
    """`UserError` where a Hub token stands in `text`."""
    if TOKEN.search(text):
        raise _secret(file, field)


def _secret(file: str, field: str | None) -> UserError:
    return UserError(
        "holds an access token or a password", file=file, field=field, accepted="a file without it; and revoke it"
    )


def _scrubbed_text(text: str, file: str, kept: Set[str], field: str) -> str:
    refuse_tokens(text, file=file, field=field)
    if text in kept:
        return text
    if _WHOLE.fullmatch(text):
        return _last_part(text)
    return _INSIDE.sub(lambda found: _last_part(found[0]), text)


def _last_part(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]
