"""Size, speed and answers of an exported model beside the torch model it was made from.

    python benchmarks/export.py --model DIR --dataset_name D [--split validation] [--documents 512]
    python benchmarks/export.py --labels 100000 [--width 256] [--tokens 30000] [--length 200] [--documents 8]

The first form measures a trained model on a split; where the data has no validation split, the tenth of the training
rows that `train` sets aside (seed 0) is made again. The second form has random weights and random documents: it shows
what a large label table costs. Logit differences and metrics are over the whole split; speeds are forward passes alone
(tokens to logits) of the first documents, on one thread, the best of three rounds in which the arms take turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from hf_mlc import (
    LabelSpace,
    MultiLabelMetrics,
    PlantConfig,
    PlantForMultiLabelClassification,
    load_model,
    load_splits,
)
from hf_mlc.data import add_validation_split
from hf_mlc.exporting import export_onnx, load_onnx
from hf_mlc.inference import LoadedModel, encode_texts


ROUNDS = 3
BATCH_SIZES = (1, 32)
Batch = dict[str, torch.Tensor]


def trained(arguments: argparse.Namespace) -> tuple[LoadedModel, list[list[str]], list[list[str]]]:
    """The model, the split's texts and their labels."""
    loaded = load_model(arguments.model, device="cpu")
    wanted = [arguments.split] if arguments.split != "validation" else ["train", "validation"]
    try:
        rows = load_splits(arguments.dataset_name, splits=wanted)[arguments.split]
    except ValueError:
        if arguments.split != "validation":
            raise
        train = load_splits(arguments.dataset_name, splits=["train"])
        rows = add_validation_split(train, fraction=0.1, seed=0)[0]["validation"]
    return loaded, list(rows["text"]), list(rows["labels"])


def synthetic(arguments: argparse.Namespace) -> LoadedModel:
    """Random weights at the sizes asked for, so spread out that attention chooses and logits are of some size."""
    torch.manual_seed(0)
    config = PlantConfig(
        encoder="bag_of_words",
        num_labels=arguments.labels,
        hidden_size=arguments.width,
        vocab_size=arguments.tokens,
        embedding_std=0.5,
    )
    model = PlantForMultiLabelClassification(config).eval()
    torch.nn.init.normal_(model.decoder.query, std=0.2)
    torch.nn.init.normal_(model.decoder.weight, std=0.5)
    words = {f"w{number}": number for number in range(arguments.tokens)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w1")), pad_token="w0", unk_token="w1"
    )
    return LoadedModel(model, tokenizer, LabelSpace([f"label {number}" for number in range(arguments.labels)]))


def batches_of(loaded: LoadedModel, texts: list[str], size: int) -> list[Batch]:
    """Batches in the order of length, as `predict` makes them; single documents as they come."""
    texts = sorted(texts, key=len) if size > 1 else texts
    return [encode_texts(loaded, texts[start : start + size]) for start in range(0, len(texts), size)]


def random_batches(arguments: argparse.Namespace, size: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(size)
    shape = (size, arguments.length)
    return [
        {
            "input_ids": torch.randint(2, arguments.tokens, shape, generator=generator),
            "attention_mask": torch.ones(shape, dtype=torch.long),
        }
        for _ in range(max(1, arguments.documents // size))
    ]


def logits_of(loaded: LoadedModel, batches: list[Batch]) -> Iterator[torch.Tensor]:
    with torch.inference_mode():
        for batch in batches:
            yield loaded.model(**batch).logits


def documents_a_second(arms: dict[str, LoadedModel], batches: list[Batch]) -> dict[str, float]:
    """Of each arm, in its best round; the arms take turns, so that a busy machine troubles all of them."""
    documents, best = sum(len(batch["input_ids"]) for batch in batches), dict.fromkeys(arms, float("inf"))
    for loaded in arms.values():  # onnxruntime plans its memory in the first run
        next(logits_of(loaded, batches[-1:]))
    for _ in range(ROUNDS):
        for name, loaded in arms.items():
            start = time.perf_counter()
            for _ in logits_of(loaded, batches):
                pass
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: documents / seconds for name, seconds in best.items()}


def milliseconds_of_top_k(num_labels: int, k: int = 5) -> float:
    """What picking the k best labels of one document takes once its scores are there."""
    logits = torch.randn(1, num_labels)
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        logits.topk(k, dim=1)
        seconds.append(time.perf_counter() - start)
    return min(seconds) * 1000


def largest_difference(arms: dict[str, LoadedModel], batches: list[Batch]) -> dict[str, float]:
    """Of any logit from the first arm's."""
    reference, *others = arms.values()
    worst = dict.fromkeys(arms, 0.0)
    for batch in batches:
        expected = next(logits_of(reference, [batch]))
        for name, loaded in zip(list(arms)[1:], others, strict=True):
            found = next(logits_of(loaded, [batch]))
            worst[name] = max(worst[name], (found - expected).abs().max().item())
    return worst


def f1_micro(loaded: LoadedModel, texts: list[str], labels: list[list[str]]) -> float:
    """At the model's tuned thresholds."""
    config, space = loaded.model.config, loaded.label_space
    metrics = MultiLabelMetrics(
        len(space), thresholds=config.thresholds, min_labels=config.min_labels, score_budget_mb=0
    )
    for start in range(0, len(texts), BATCH_SIZES[-1]):
        part = slice(start, start + BATCH_SIZES[-1])
        known = [torch.from_numpy(space.encode_known(names)[0]) for names in labels[part]]
        scores = next(logits_of(loaded, [encode_texts(loaded, texts[part])])).sigmoid()
        padded = torch.nn.utils.rnn.pad_sequence(known, batch_first=True, padding_value=-100)
        metrics.update(scores, label_ids=padded)
    return metrics.compute()["f1_micro"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model")
    parser.add_argument("--dataset_name")
    parser.add_argument("--split", default="test")
    parser.add_argument("--labels", type=int)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=30_000)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--documents", type=int, default=512)
    arguments = parser.parse_args()
    if (arguments.model is None) == (arguments.labels is None) or (arguments.model and not arguments.dataset_name):
        parser.error("give --model with --dataset_name, or --labels")
    torch.set_num_threads(1)

    texts, labels = [], []
    if arguments.model:
        loaded, texts, labels = trained(arguments)
        batches = {size: batches_of(loaded, texts[: arguments.documents], size) for size in BATCH_SIZES}
        compared = batches_of(loaded, texts, BATCH_SIZES[-1])
    else:
        loaded = synthetic(arguments)
        batches = {size: random_batches(arguments, size) for size in BATCH_SIZES}
        compared = batches[1]
    with tempfile.TemporaryDirectory() as folder:
        arms, sizes = {"torch float32": loaded}, {}
        for name, int8 in (("ONNX float32", False), ("ONNX int8 tables", True)):
            report = export_onnx(loaded, Path(folder, name), int8=int8)
            arms[name], sizes[name] = load_onnx(Path(folder, name), num_threads=1), report.onnx_bytes
            sizes["torch float32"] = report.torch_bytes
        differences = largest_difference(arms, compared)
        speeds = {size: documents_a_second(arms, batches[size]) for size in BATCH_SIZES}
    heads = ["", "MB", *(f"documents/s, batch {size}" for size in BATCH_SIZES), "largest logit difference"]
    lines = [
        [
            name,
            f"{sizes[name] / 1e6:.2f}",
            *(f"{speeds[size][name]:.1f}" for size in BATCH_SIZES),
            "" if loaded is arm else f"{differences[name]:.1e}",
        ]
        for name, arm in arms.items()
    ]
    if texts:
        heads.append("f1_micro")
        for line, arm in zip(lines, arms.values(), strict=True):
            line.append(f"{f1_micro(arm, texts, labels):.4f}")
    for line in (heads, ["---"] * len(heads), *lines):
        print(f"| {' | '.join(line)} |")
    num_labels = loaded.model.config.num_labels
    print(f"\nThe 5 best of {num_labels:,} scores: {milliseconds_of_top_k(num_labels):.2f} ms a document.")


if __name__ == "__main__":
    main()
