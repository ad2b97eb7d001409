"""`python scripts/prepare_arff.py`; see hf_mlc/commands/prepare_arff.py."""

import sys

from hf_mlc.commands.prepare_arff import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
