"""The synthetic control of label relations: labels that are the exclusive or of labels 1 and 6 before them.

    python benchmarks/label_relations.py [--json] [--seeds 3] [--rows 4000] [--test_rows 2000] [--epochs 80] [--learning_rate 3e-3] [--models msdn-2-4-8 ...]

What MSDN's convolutions over the label axis are for, where real tables hardly show it (`hf_mlc.comparing.label_xor`): of twenty labels
twelve follow from two others each and from nothing else. Binary relevance, a kernel that does not reach six labels back, and
guesses refined together cannot have them; the best that anybody can do is the Bayes rate. All models have the same encoder, an MLP
of 256 units, and the same training: Adam at a rate that falls to 0, a fixed number of epochs, no validation rows. Printed are means and
deviations over the seeds, each of which draws rows and weights anew, and parameters beside the encoder's.

At full size in one thread a model takes from half a minute (binary relevance) to some minutes (the chain of 64 units) a seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
import torch

from hf_mlc.comparing.label_xor import LabelXor
from hf_mlc.metrics import MultiLabelMetrics


# by name: the head, and its settings; one scale has as many channels as three
MODELS = {
    "binary-relevance": ("msdn-encoder-br", {}),
    "msdn-2": ("msdn", {"kernel_sizes": [2], "channels": 24}),
    "msdn-4": ("msdn", {"kernel_sizes": [4], "channels": 24}),
    "msdn-2-4-8": ("msdn", {"kernel_sizes": [2, 4, 8]}),
    "msdn-2-4-8-wide": ("msdn", {"kernel_sizes": [2, 4, 8], "channels": 16}),
    "msdn-8": ("msdn", {"kernel_sizes": [8], "channels": 24}),
    "msdn-parallel-3-5-7": ("msdn", {"kernel_sizes": [3, 5, 7], "variant": "parallel"}),
    "rnn-chain-matched": ("rnn-chain-small", {}),  # as many parameters as msdn-2-4-8
    "rnn-chain-gru-64": ("rnn-chain", {"recurrent_size": 64}),
    "rnn-chain-gru-256": ("rnn-chain", {"recurrent_size": 256}),
}


def build(name: str, control: LabelXor, hidden_size: int) -> torch.nn.Module:
    """A model of `MODELS` with random weights. The labels stand in the order in which they follow from each other."""
    head, settings = MODELS[name]
    sizes = {
        "num_labels": control.num_labels,
        "encoder": "mlp",
        "input_size": control.num_features,
        "numeric_size": control.num_features,
        "hidden_size": hidden_size,
        "label_order": "given",
    }
    if head == "msdn":
        from hf_mlc.modeling.configuration_msdn import MsdnConfig
        from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification

        return MsdnForMultiLabelClassification(MsdnConfig(**sizes, **settings))
    from hf_mlc.comparing.arms.msdn_encoder import HEADS, SameEncoderConfig, SameEncoderModel

    return SameEncoderModel(SameEncoderConfig(**sizes, **{**HEADS[head], **settings}))


def train_on_rows(
    model: torch.nn.Module,
    features_NF: np.ndarray,
    labels_NL: np.ndarray,
    *,
    epochs: int,
    learning_rate: float = 1e-3,
    batch_size: int = 64,
    weight_decay: float = 1e-5,
    seed: int = 0,
) -> torch.nn.Module:
    """Trains a model whose `forward(input_features, labels)` has a `loss`, with Adam, a rate that falls to 0 and no validation
    rows: a control has as many rows as it wants, so nothing stops early.

    Args:
        model: is ready to answer afterwards.
        features_NF, labels_NL: as [`LabelXor.draw`] gives them.
        epochs, learning_rate, batch_size, weight_decay, seed: of the training; the seed is of the rows' order.

    Returns:
        The same model.
    """
    features_NF, labels_NL = torch.from_numpy(features_NF), torch.from_numpy(labels_NL).float()
    draws = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    num_steps = epochs * -(-len(features_NF) // batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / num_steps)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(features_NF), generator=draws).split(batch_size):
            loss = model(input_features=features_NF[rows], labels=labels_NL[rows]).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def metrics_on(
    model: torch.nn.Module, features_NF: np.ndarray, labels_NL: np.ndarray, *, batch_size: int = 500
) -> dict[str, float]:
    """The metrics of the sets that the model itself decides on."""
    metrics = MultiLabelMetrics(labels_NL.shape[1], score_budget_mb=0)
    for start in range(0, len(features_NF), batch_size):
        part = slice(start, start + batch_size)
        output = model(input_features=torch.from_numpy(features_NF[part]))
        metrics.update(output.logits.float().sigmoid(), labels_NL[part], chosen=model.decide_output(output))
    return metrics.compute()


def measure(name: str, args: argparse.Namespace) -> dict[str, float | str]:
    """One model with every seed."""
    control = LabelXor()
    accuracies, losses, seconds = [], [], []
    for seed in range(args.seeds):
        torch.manual_seed(seed)
        model = build(name, control, args.hidden_size)
        start = time.process_time()
        train_on_rows(
            model,
            *control.draw(args.rows, seed=2 * seed),
            epochs=args.epochs,
            learning_rate=args.learning_rate,
            seed=seed,
        )
        seconds.append(time.process_time() - start)
        found = metrics_on(model, *control.draw(args.test_rows, seed=2 * seed + 1))
        accuracies.append(found["subset_accuracy"])
        losses.append(found["hamming_loss"])
    parts = model.parameter_split()
    return {
        "model": name,
        "parameters": parts["head"] + parts["relation"],
        "relation": parts["relation"],
        "subset_accuracy": statistics.mean(accuracies),
        "deviation": statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
        "hamming_loss": statistics.mean(losses),
        "train_cpu_seconds": statistics.mean(seconds),
    }


def main() -> None:
    """Prints one line a model, as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--learning_rate", type=float, default=3e-3, help="it falls to 0; each model has a best one")
    for name, value in (("seeds", 3), ("rows", 4000), ("test_rows", 2000), ("epochs", 80), ("hidden_size", 256)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    torch.set_num_threads(1)
    best = LabelXor().best_subset_accuracy
    if not args.json:
        print(f"Bayes rate of the subset accuracy: {best:.3f}\n")
        print(
            f"{'model':<22}{'parameters':>12}{'relation':>10}{'subset acc':>18}{'of Bayes':>10}{'Hamming':>9}{'CPU s':>8}"
        )
    rows = []
    for name in args.models:
        rows.append(row := measure(name, args))
        if not args.json:
            accuracy = f"{row['subset_accuracy']:.3f} ±{row['deviation']:.3f}"
            share = f"{row['subset_accuracy'] / best:.0%}"
            print(
                f"{name:<22}{row['parameters']:>12,}{row['relation']:>10,}{accuracy:>18}{share:>10}"
                f"{row['hamming_loss']:>9.3f}{row['train_cpu_seconds']:>8.1f}",
                flush=True,
            )
    if args.json:
        print(json.dumps({"bayes": best, "rows": rows}))


if __name__ == "__main__":
    main()
