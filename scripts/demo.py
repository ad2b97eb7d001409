"""The whole path on a corpus that the package writes itself: data, training, thresholds, test metrics, loading, an answer.

Each step is the command a user would type; it is printed before it runs.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from hf_mlc.baselines.report import tfidf_report
from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.commands.running import run, say, write_json
from hf_mlc.data import load_splits
from hf_mlc.data.demo_notes import DEMO_CODES, write_demo_corpus
from hf_mlc.errors import UserError
from hf_mlc.run_facts import Stopwatch
from hf_mlc.tables import metrics_table


ROOT = Path(__file__).parents[1]

# Run in a process of its own that has seen nothing of the training: only the saved folder speaks
FRESH_PROCESS = """
import sys
import hf_mlc  # registers the architectures
from transformers import AutoModel, AutoTokenizer

folder, text = sys.argv[1:]
model = AutoModel.from_pretrained(folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
batch = tokenizer(text, return_tensors="pt", truncation=True, return_token_type_ids=False)
scores = model(**batch).logits.sigmoid()
chosen = model.decide(scores)[0].nonzero().squeeze(1)
print(type(model).__name__)
for number in sorted(chosen.tolist(), key=lambda number: -scores[0, number]):
    print(f"  {scores[0, number]:.3f}  {model.config.id2label[number]}")
"""


@dataclass
class DemoArguments:
    """Arguments of the demo."""

    output_dir: str = field(default="outputs/demo", metadata={"help": "Where data and model go."})
    recipe: str = field(
        default=str(ROOT / "model_cards/plant-demo/recipe.yaml"), metadata={"help": "Recipe of the run."}
    )
    seed: int = field(default=0, metadata={"help": "Of the corpus."})


def main(arguments: list[str]) -> None:
    """Runs the demo."""
    (args,), _, _ = parse_arguments(DemoArguments, arguments)
    stopwatch = Stopwatch()
    # the steps run from the repository's root
    output, recipe = Path(args.output_dir).resolve(), str(Path(args.recipe).resolve())
    data, model = output / "data", output / "model"
    say("1. Synthetic clinical notes with ICD-10 codes: made up by this package, about nobody, of no medical use.")
    files = write_demo_corpus(data, seed=args.seed)
    for split, file in files.items():
        say(f"   {split}: {file}")

    say("\n2. Train a label-wise attention model; thresholds are tuned on the validation split.")
    _step(
        ["-m", "accelerate.commands.launch", "--num_processes", "1", "scripts/train.py", "--overwrite_output"]
        + ["--config", recipe, "--dataset_name", str(data), "--output_dir", str(model)]
    )
    say("\n3. Measure it on the test split, beside tf-idf with a linear SVM (also tuned on validation).")
    metrics_file = output / "metrics.json"
    _step(
        ["scripts/evaluate.py", "--model", str(model), "--dataset_name", str(data), "--split", "test"]
        + ["--output", str(metrics_file)]
    )
    baseline = tfidf_report(data, threshold_metric="f1_micro")
    write_json(output / "baseline.json", baseline)
    ours = json.loads(metrics_file.read_text(encoding="utf-8"))["metrics"]
    say("\n" + metrics_table({baseline["system"]: baseline["test"], "plant": ours}))

    say("\n4. Load the folder with AutoModel in a fresh process, and ask it about a test note.")
    note = load_splits(data, splits=["test"])["test"][0]
    say(f"\n{note['text']}\n\nIts codes: {', '.join(note['labels'])}. The model's, with scores:")
    answer = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, str(model), note["text"]], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise RuntimeError(f"the fresh process failed:\n{answer.stderr}")
    for line in answer.stdout.splitlines():
        name, description = line.split()[-1], DEMO_CODES.get(line.split()[-1])
        say(line if description is None else line.replace(name, f"{name:<9}{description}"))
    say(f"\nDone in {stopwatch.read()['seconds']:.0f} s. The model's folder: {model}")


def _step(command: list[str]) -> None:
    """One command with this Python, shown as a user would type it."""
    shown = shlex.join(["python", *command]).replace("python -m accelerate.commands.launch", "accelerate launch")
    say(f"   $ {shown}")
    finished = subprocess.run([sys.executable, *command], cwd=ROOT, check=False)
    if finished.returncode:
        raise UserError(f"the step failed with exit status {finished.returncode}", field=command[-1])


if __name__ == "__main__":
    sys.exit(run(main))
