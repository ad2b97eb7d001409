"""`python scripts/predict.py`; see hf_mlc/commands/predict.py."""

import sys

from hf_mlc.commands.predict import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
