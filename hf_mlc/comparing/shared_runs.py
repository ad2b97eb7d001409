"""A process that does one run after the other: `python -m hf_mlc.comparing.shared_runs`.

On standard input it is given a line a run, a JSON list of the job's file and the log's; when the run has ended it writes
the exit status that a process of the run's own would have had.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback

from hf_mlc.commands.running import run
from hf_mlc.comparing.one_run import main as one_run


def main() -> None:
    """Until its input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    kept = os.dup(1), os.dup(2)
    for line in sys.stdin:
        job_file, log_file = json.loads(line)
        with open(log_file, "w", encoding="utf-8") as log:
            # the numbers, not the objects: what C code prints belongs in the log, too
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            try:
                status = run(one_run, [job_file])
            except Exception:  # a defect of ours, or of another's code, in this run; the caller is told by the status
                traceback.print_exc()
                status = 1
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
        gc.collect()
        answers.write(f"{status}\n")
        answers.flush()


if __name__ == "__main__":
    main()
