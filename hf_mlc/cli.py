"""`hf-mlc VERB`: the same mains as the files in scripts/, for installed users."""

from __future__ import annotations

import importlib
import sys

from hf_mlc.commands.running import run
from hf_mlc.version import __version__


VERBS = {
    "train": "train a model from a recipe and a data set",
    "evaluate": "measure a trained model on a split",
    "predict": "label texts from a file or standard input",
    "ensemble": "put several trained models together into one",
    "explain": "show the words that a label was given for",
    "card": "write a model's card from its recipe and its results",
    "publish": "put a trained model on the Hub",
    "export": "write a trained model as ONNX",
    "space": "write a Gradio app for a model",
    "compare": "run a paper's claim: our model, its ablations and other systems",
    "prepare-mimic": "make data sets of MIMIC's tables",
    "prepare-coco": "make a data set of pictures with COCO's annotations",
    "prepare-yelp": "make a data set of Yelp's reviews and businesses",
    "prepare-arff": "make a data set of ARFF files with Mulan's label names",
    "prepare-xmc": "make a data set of the extreme-classification repository's files",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one verb; returns the exit status: 0 when the work is done, 2 after a user's mistake, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["--version"]:
        sys.stdout.write(f"hf-mlc {__version__}\n")
        return 0
    if not arguments or arguments[0] not in VERBS:
        asked_for_help = arguments[:1] in (["-h"], ["--help"])
        lines = ["usage: hf-mlc VERB [--help] [arguments]", *(f"  {verb:<14}{what}" for verb, what in VERBS.items())]
        if arguments and not asked_for_help:
            lines = [f"hf-mlc: error: unknown verb '{arguments[0]}'; accepted: {', '.join(VERBS)}"]
        (sys.stdout if asked_for_help else sys.stderr).write("\n".join(lines) + "\n")
        return 0 if asked_for_help else 2

    def command(words: list[str]) -> None:  # importing takes seconds, in which a user may have changed their mind
        importlib.import_module(f"hf_mlc.commands.{arguments[0].replace('-', '_')}").main(words)

    return run(command, arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
