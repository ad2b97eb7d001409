"""tf-idf with a linear SVM on a data set: the line that any model of ours is shown beside.

python benchmarks/tfidf.py --dataset_name DATA [--text_column title text] [--output model_cards/plant-reuters/baseline.json]
"""

from __future__ import annotations

import argparse

from hf_mlc.baselines.report import tfidf_report
from hf_mlc.commands.running import write_json
from hf_mlc.tables import metrics_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_name", required=True)
    parser.add_argument("--output")
    parser.add_argument("--text_column", nargs="+", default=["text"])
    parser.add_argument("--threshold_metric", default="balanced")
    parser.add_argument("--C", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    report = tfidf_report(
        args.dataset_name,
        text_column=args.text_column,
        threshold_metric=args.threshold_metric,
        C=args.C,
        seed=args.seed,
    )
    print(metrics_table({report["system"]: report["test"]}))
    print(f"{report['train_seconds']:.1f} s to fit and tune, {report['model_bytes'] / 1e6:.1f} MB")
    if args.output:
        write_json(args.output, report)


if __name__ == "__main__":
    main()
