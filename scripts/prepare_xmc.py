"""`python scripts/prepare_xmc.py`; see hf_mlc/commands/prepare_xmc.py."""

import sys

from hf_mlc.commands.prepare_xmc import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
