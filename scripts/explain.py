"""`python scripts/explain.py`; see hf_mlc/commands/explain.py."""

import sys

from hf_mlc.commands.explain import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
