"""`python scripts/compare.py`; see hf_mlc/commands/compare.py."""

import sys

from hf_mlc.commands.compare import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
