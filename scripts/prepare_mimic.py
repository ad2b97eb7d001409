"""`python scripts/prepare_mimic.py`; see hf_mlc/commands/prepare_mimic.py."""

import sys

from hf_mlc.commands.prepare_mimic import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
