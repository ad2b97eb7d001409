"""A Hub of our own on 127.0.0.1 for the tests: the routes that `huggingface_hub` uses, its state in a folder.

    with LocalHub(folder) as hub:
        subprocess.run([...], env=hub.environment(home))
        hub.fail("commit", "drop")

Not here: xet storage (clients get `HF_HUB_DISABLE_XET=1`), redirects to a storage server, paging of long lists.
"""

from __future__ import annotations

from tests.local_hub.faults import KINDS
from tests.local_hub.routes import ROUTES
from tests.local_hub.server import LocalHub


__all__ = ["KINDS", "ROUTES", "LocalHub"]
