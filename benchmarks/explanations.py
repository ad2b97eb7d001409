"""How good explanations are: do they name the words that people marked, and does the model's score hang on them?

    python benchmarks/explanations.py --model MODEL --dataset_name FOLDER --split test [--output explanations.json]

FOLDER holds JSON Lines with the column `evidence`: `{label: [[start, end], ...]}`, characters of the text. Printed are

- span hits: for every label of a document that the model knows and whose evidence it read, what the heaviest words hit;
  once over all such labels, once over those that the model predicts;
- deletion: comprehensiveness and sufficiency over the predicted labels, right or wrong;
- of integrated gradients, how far the weights are from summing to what they must.

Beside the model stand words drawn at random and words that stand for a label in the training documents (docs/explanations.md).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from hf_mlc.commands.running import write_json
from hf_mlc.data import add_validation_split, fingerprint, load_splits
from hf_mlc.explaining import METHODS, Explanation, explain_labels
from hf_mlc.explaining.evidence_rows import EvidenceRow, read_evidence
from hf_mlc.explaining.faithfulness import FRACTIONS, deletion_scores
from hf_mlc.explaining.hit_rates import METRICS, marked_words, span_hits
from hf_mlc.explaining.lexical import LexicalBaseline
from hf_mlc.inference import LoadedModel, load_model
from hf_mlc.labels import LabelSpace
from hf_mlc.run_facts import Stopwatch, versions, weights_fingerprint


RANDOM_ORDERS = 5  # of each text's words, for the deletion of random ones


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dataset_name", required=True, type=Path, help="a folder of JSON Lines")
    parser.add_argument("--split", default="test", choices=["train", "validation", "test"])
    parser.add_argument("--descriptions", type=Path, help="JSON: label -> description, for the overlap baseline")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--baseline", default="unk")
    parser.add_argument("--max_documents", type=int)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    stopwatch = Stopwatch()
    loaded = load_model(args.model)
    rows, lexical, identity = read_rows(args.dataset_name, args.split, args.seed, args.max_documents)
    descriptions = json.loads(args.descriptions.read_text(encoding="utf-8")) if args.descriptions else None

    counts = dict.fromkeys(("labels", "unknown_to_the_model", "evidence_not_read", "measured", "predicted"), 0)
    hits: dict[str, list[tuple[bool, dict[str, float]]]] = {}
    deletions: dict[str, list[np.ndarray]] = {}
    deltas: list[tuple[float, float]] = []
    rng = np.random.default_rng(args.seed)
    for row in tqdm(rows, desc=f"Explaining {args.split}", unit=" documents"):
        for explanations in explained(loaded, row, args.methods, args.steps, args.baseline):
            first = explanations[args.methods[0]]
            words = sorted(first.words(), key=lambda word: word["start"])
            if first.predicted and words:
                counts["predicted"] += 1
                for method, explanation in explanations.items():
                    add(deletions, method, deletion_scores(loaded, explanation))
                for _ in range(RANDOM_ORDERS):
                    add(deletions, "random words", deletion_scores(loaded, first, weights_W=rng.random(len(words))))
            if first.convergence_delta is None and "integrated_gradients" in explanations:
                found = explanations["integrated_gradients"]
                deltas.append((abs(found.convergence_delta), abs(sum(found.weights) - found.convergence_delta)))
            if first.label not in row.evidence:
                continue
            is_marked_W = marked_words([(word["start"], word["end"]) for word in words], row.evidence[first.label])
            if not is_marked_W.any():
                counts["evidence_not_read"] += 1
                continue
            counts["measured"] += 1
            for system, weights_W in weighed(explanations, words, lexical, descriptions).items():
                hits.setdefault(system, []).append((first.predicted, span_hits(weights_W, is_marked_W)))
        counts["labels"] += len(row.evidence)
        counts["unknown_to_the_model"] += len(set(row.evidence) - set(loaded.label_space.names))

    report = {
        "model": Path(args.model).name,
        "weights": weights_fingerprint(args.model),
        "dataset": args.dataset_name.name,
        "split": args.split,
        "documents": len(rows),
        **identity,
        "counts": counts,
        "span_hits": {
            "all labels": {system: mean_hits(found) for system, found in hits.items()},
            "predicted labels": {
                system: mean_hits([pair for pair in found if pair[0]]) for system, found in hits.items()
            },
        },
        "deletion": {system: mean_deletions(found) for system, found in deletions.items()},
        "fractions": list(FRACTIONS),
    }
    if deltas:
        deltas_N2 = np.array(deltas)
        relative_N = deltas_N2[:, 0] / np.maximum(deltas_N2[:, 1], 1.0)
        report["integrated_gradients"] = {
            "steps": args.steps,
            "baseline": args.baseline,
            "median_relative_delta": float(np.median(relative_N)),
            "largest_relative_delta": float(relative_N.max()),
        }
    show(report)
    if args.output:
        write_json(args.output, {**report, "seed": args.seed, **stopwatch.read(), "versions": versions()})


def read_rows(
    folder: Path, split: str, seed: int, most: int | None
) -> tuple[list[EvidenceRow], LexicalBaseline, dict[str, Any]]:
    """The rows to measure on, the lexical baseline from the training rows, and the rows' fingerprint."""
    splits = load_splits(folder, splits=["train", split] if _file_of(folder, split) else ["train"])
    if split not in splits:  # the very rows that training sets aside with this seed
        space = LabelSpace.from_label_lists(splits["train"]["labels"])
        splits, _ = add_validation_split(splits, space, seed=seed)
    wanted = set(splits[split]["id"])
    rows = [row for row in read_evidence(_file_of(folder, split) or _file_of(folder, "train")) if row.id in wanted]
    lexical = LexicalBaseline(splits["train"]["text"], splits["train"]["labels"])
    return rows[:most], lexical, {"fingerprint": fingerprint(splits[split])}


def _file_of(folder: Path, split: str) -> Path | None:
    return next(iter(sorted(folder.glob(f"{split}.jsonl*"))), None)


def explained(
    loaded: LoadedModel, row: EvidenceRow, methods: Sequence[str], steps: int, baseline: str
) -> Iterator[dict[str, Explanation]]:
    """For every label that is predicted or has evidence: its explanations by method."""
    predicted = [found.label for found in explain_labels(loaded, row.text)]
    known = [label for label in row.evidence if label in set(loaded.label_space.names)]
    labels = list(dict.fromkeys([*predicted, *known]))
    settings = {"steps": steps, "baseline": baseline}
    by_method = [explain_labels(loaded, row.text, labels, method=method, **settings) for method in methods]
    for same_label in zip(*by_method, strict=True):
        yield dict(zip(methods, same_label, strict=True))


def weighed(
    explanations: dict[str, Explanation],
    words: list[dict[str, Any]],
    lexical: LexicalBaseline,
    descriptions: dict[str, str] | None,
) -> dict[str, np.ndarray]:
    """Weights of the words, in the order of the text, by system."""
    found = {}
    for method, explanation in explanations.items():
        in_order = sorted(explanation.words(), key=lambda word: word["start"])
        found[method] = np.array([word["weight"] for word in in_order])
    label, names = next(iter(explanations.values())).label, [word["text"] for word in words]
    found["random words"] = np.zeros(len(words))  # equal weights: the mean over all orders
    found["association in training"] = lexical.association(names, label)
    if descriptions is not None:
        found["words of the description"] = lexical.overlap(names, descriptions.get(label, ""))
    return found


def add(deletions: dict[str, list[np.ndarray]], system: str, scores: Any) -> None:
    """Keeps one explanation's deletion scores, `(2, F)`."""
    deletions.setdefault(system, []).append(np.stack(scores))


def mean_hits(found: list[tuple[bool, dict[str, float]]]) -> dict[str, float]:
    """Means over labels of documents."""
    if not found:
        return {}
    return {"number": len(found), **{name: float(np.mean([row[name] for _, row in found])) for name in METRICS}}


def mean_deletions(found: list[np.ndarray]) -> dict[str, Any]:
    """Means by fraction, and the mean of those."""
    mean_2F = np.mean(found, axis=0)
    return {
        name: {"aopc": float(mean_F.mean()), "by_fraction": [float(value) for value in mean_F]}
        for name, mean_F in zip(("comprehensiveness", "sufficiency"), mean_2F, strict=True)
    }


def show(report: dict[str, Any]) -> None:
    """The tables."""
    print(json.dumps({"documents": report["documents"], **report["counts"]}))
    for which, systems in report["span_hits"].items():
        print(f"\nspan hits, {which}" + "".join(f"{name:>19}" for name in ("number", *METRICS)))
        for system, values in systems.items():
            if values:
                cells = "".join(f"{values[name]:>19.3f}" for name in METRICS)
                print(f"{system:<{len(which) + 11}}{values['number']:>19}{cells}")
    for name in ("comprehensiveness", "sufficiency"):
        print(f"\n{name:<26}{'AOPC':>9}" + "".join(f"{fraction:>9.0%}" for fraction in report["fractions"]))
        for system, values in report["deletion"].items():
            cells = "".join(f"{value:>9.3f}" for value in values[name]["by_fraction"])
            print(f"{system:<26}{values[name]['aopc']:>9.3f}{cells}")
    if "integrated_gradients" in report:
        print(f"\nintegrated gradients: {json.dumps(report['integrated_gradients'])}")


if __name__ == "__main__":
    main()
