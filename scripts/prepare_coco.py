"""`python scripts/prepare_coco.py`; see hf_mlc/commands/prepare_coco.py."""

import sys

from hf_mlc.commands.prepare_coco import main
from hf_mlc.commands.running import run


if __name__ == "__main__":
    sys.exit(run(main))
