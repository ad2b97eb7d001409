"""tf-idf with a linear SVM on a data set: the line that any model of ours is shown beside.

python benchmarks/tfidf.py --dataset_name DATA [--output model_cards/plant-reuters/baseline.json]

Thresholds are tuned on the very validation rows that `scripts/train.py` sets aside with the same seed.
"""

from __future__ import annotations

import argparse

from hf_mlc.baselines import run_tfidf_baseline
from hf_mlc.commands.running import write_json
from hf_mlc.data import add_validation_split, fingerprint, load_splits
from hf_mlc.labels import LabelSpace
from hf_mlc.run_facts import versions
from hf_mlc.tables import metrics_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_name", required=True)
    parser.add_argument("--output")
    parser.add_argument("--threshold_metric", default="balanced")
    parser.add_argument("--C", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    splits = load_splits(args.dataset_name)
    space = LabelSpace.from_label_lists(splits["train"]["labels"])
    if "validation" not in splits:
        splits, _ = add_validation_split(splits, space, seed=args.seed)
    data = []
    for split in ("train", "validation", "test"):
        data += [splits[split]["text"][:], [space.encode_known(labels)[0] for labels in splits[split]["labels"]]]
    result = run_tfidf_baseline(
        *data, num_labels=len(space), threshold_metric=args.threshold_metric, C=args.C, seed=args.seed
    )
    print(metrics_table({"tf-idf + linear SVM": result.metrics}))
    print(f"{result.seconds:.1f} s to fit and tune, {result.model_bytes / 1e6:.1f} MB")
    if args.output:
        write_json(
            args.output,
            {
                "system": f"tf-idf + linear SVM, C={args.C:g}",
                "threshold_metric": args.threshold_metric,
                "fingerprints": {split: fingerprint(splits[split]) for split in ("train", "validation", "test")},
                "seed": args.seed,
                "train_seconds": result.seconds,
                "model_bytes": result.model_bytes,
                "thresholds": result.thresholds.to_dict(),
                "test": result.metrics,
                "versions": versions(),
            },
        )


if __name__ == "__main__":
    main()
