"""`python scripts/publish.py`; see hf_mlc/commands/publish.py."""

import sys

from hf_mlc.commands.publish import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
