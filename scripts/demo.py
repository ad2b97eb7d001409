"""`python scripts/demo.py`; see hf_mlc/commands/demo.py."""

import sys

from hf_mlc.commands.demo import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
