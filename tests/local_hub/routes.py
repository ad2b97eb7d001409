"""Which request is which: one row a route, its name as in `LocalHub.fail`, and the path it answers."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote


_API = r"/api/(?P<types>models|datasets|spaces)/(?P<repo_id>[^/]+/[^/]+)"
_PLAIN = r"/(?P<prefix>datasets/|spaces/)?(?P<repo_id>[^/]+/[^/]+)"

_TABLE = [
    ("whoami", "GET", r"/api/whoami-v2"),
    ("create", "POST", r"/api/repos/create"),
    ("delete", "DELETE", r"/api/repos/delete"),
    ("validate_yaml", "POST", r"/api/validate-yaml"),
    ("settings", "PUT", _API + r"/settings"),
    ("auth_check", "GET", _API + r"/auth-check(?P<write>/write)?"),
    ("preupload", "POST", _API + r"/preupload/(?P<revision>[^/]+)"),
    ("commit", "POST", _API + r"/commit/(?P<revision>[^/]+)"),
    ("lfs_batch", "POST", _PLAIN + r"\.git/info/lfs/objects/batch"),
    ("lfs_put", "PUT", r"/lfs/(?P<sha256>[0-9a-f]{64})"),
    ("info", "GET", _API + r"(?:/revision/(?P<revision>[^/]+))?"),
    ("tree", "GET", _API + r"/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?"),
    ("paths_info", "POST", _API + r"/paths-info/(?P<revision>[^/]+)"),
    ("refs", "GET", _API + r"/refs"),
    ("commits", "GET", _API + r"/commits/(?P<revision>[^/]+)"),
    ("create_branch", "POST", _API + r"/branch/(?P<name>[^/]+)"),
    ("delete_branch", "DELETE", _API + r"/branch/(?P<name>[^/]+)"),
    ("create_tag", "POST", _API + r"/tag/(?P<revision>[^/]+)"),
    ("delete_tag", "DELETE", _API + r"/tag/(?P<name>[^/]+)"),
    ("discussions", "GET", _API + r"/discussions"),
    ("resolve", "GET", _PLAIN + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
]
_ROWS = [(name, method, re.compile(pattern)) for name, method, pattern in _TABLE]
ROUTES = tuple(name for name, _, _ in _TABLE)


class Match(NamedTuple):
    """A route's name, and the parts of its path, unquoted."""

    route: str
    parts: dict[str, str | None]


def match_route(method: str, path: str) -> Match | None:
    """The route of a request; HEAD goes where GET goes."""
    method = "GET" if method == "HEAD" else method
    for route, its_method, pattern in _ROWS:
        found = pattern.fullmatch(path) if method == its_method else None
        if found:
            parts = {name: value and unquote(value) for name, value in found.groupdict().items()}
            if "types" in parts:
                parts["repo_type"] = parts.pop("types")[:-1]
            elif "prefix" in parts:
                parts["repo_type"] = (parts.pop("prefix") or "models/")[:-2]
            return Match(route, parts)
    return None
