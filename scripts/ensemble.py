"""`python scripts/ensemble.py`; see hf_mlc/commands/ensemble.py."""

import sys

from hf_mlc.commands.ensemble import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
