"""`python scripts/prepare_yelp.py`; see hf_mlc/commands/prepare_yelp.py."""

import sys

from hf_mlc.commands.prepare_yelp import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
