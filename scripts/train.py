"""`python scripts/train.py`; see hf_mlc/commands/train.py."""

import sys

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main


if __name__ == "__main__":
    sys.exit(run(main))
