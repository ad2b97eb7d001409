"""`python scripts/card.py`; see hf_mlc/commands/card.py."""

import sys

from hf_mlc.commands.card import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
