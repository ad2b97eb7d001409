"""`python scripts/export.py`; see hf_mlc/commands/export.py."""

import sys

from hf_mlc.commands.export import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
