"""How a program takes its request and leaves its answer; the programs of this folder share it."""

import importlib.metadata
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np


def answer_request(verbs: dict[str, Callable[[dict], dict]], packages: Iterable[str]) -> None:
    """Reads the request, the file that the command line names, and leaves `answer.json` in the folder that it names. In it stands under
    `beside` what is no part of the work: imports, and what the verb counts as such.

    Args:
        verbs (`dict`): what is to be done, by name: given the request, returns the answer.
        packages (`Iterable[str]`): those whose versions the answer says.
    """
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    # what starting Python and importing took; the clock is the whole machine's
    beside = {"seconds": time.time() - request["started"], "cpu_seconds": time.process_time()}
    answer = verbs[request["verb"]](request)
    for name, number in answer.get("beside", {}).items():
        beside[name] += number
    answer["beside"] = beside
    answer["versions"] = {name: importlib.metadata.version(name) for name in packages}
    Path(request["folder"], "answer.json").write_text(json.dumps(answer), encoding="utf-8")


def save_best(found: Sequence, request: dict) -> None:
    """Writes `ids` int32 and `scores` float32, of 0 to 1, both (N, `top_k`); ids are -1 where a row has fewer labels.

    Args:
        found: of each of the N rows, its pairs of a label and a score, best first: a list, or an array of shape (number, 2).
        request (`dict`): names `top_k`, and the file as `output`.
    """
    shape = len(found), request["top_k"]
    ids, scores = np.full(shape, -1, np.int32), np.zeros(shape, np.float32)
    for row, pairs in enumerate(found):
        row_ids, row_scores = np.asarray(pairs, np.float64).reshape(-1, 2).T
        ids[row, : len(row_ids)], scores[row, : len(row_ids)] = row_ids, row_scores.clip(0, 1)
    np.savez(request["output"], ids=ids, scores=scores)
