"""`python scripts/space.py`; see hf_mlc/commands/space.py."""

import sys

from hf_mlc.commands.running import run
from hf_mlc.commands.space import main


if __name__ == "__main__":
    sys.exit(run(main))
