"""`python scripts/evaluate.py`; see hf_mlc/commands/evaluate.py."""

import sys

from hf_mlc.commands.evaluate import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
