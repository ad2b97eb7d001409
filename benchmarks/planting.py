"""Time and peak memory of the statistics and of the ranker at the size of MIMIC-III, on generated documents.

    OMP_NUM_THREADS=2 python benchmarks/planting.py [--documents 52000] [--vocabulary 57000] [--labels 8922] [--ranker]

Tokens follow Zipf's law (about 700 different ones a document), labels too (about 16 a document, most of them rare), and
each label has twenty tokens of its own that stand in a third of its documents. Memory is the highest the process ever took, so
it holds the generated documents and, in later steps, all that came before.
"""

from __future__ import annotations

import argparse

import numpy as np

from hf_mlc.planting import count_labels, count_tokens, token_label_store
from hf_mlc.planting.ranking import train_ranker
from hf_mlc.run_facts import Stopwatch, peak_memory


OWN_TOKENS, OWN_SHARE = 20, 1 / 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=52_000)
    parser.add_argument("--vocabulary", type=int, default=57_000)
    parser.add_argument("--labels", type=int, default=8_922)
    parser.add_argument("--words_a_document", type=int, default=1_650)
    parser.add_argument("--labels_a_document", type=int, default=16)
    parser.add_argument("--ranker", action="store_true", help="also one epoch and one measurement of the ranker")
    parser.add_argument("--ranker_epochs", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="of the ranker")
    args = parser.parse_args()

    print(f"{'step':<22} {'seconds':>9} {'CPU seconds':>12} {'peak MB':>9}   result")
    stopwatch = Stopwatch()
    token_ids, label_ids = documents(args)
    row("generate", stopwatch, f"{sum(map(len, token_ids)):,} tokens")

    stopwatch = Stopwatch()
    presence = count_tokens(token_ids, args.vocabulary)
    labels = count_labels(label_ids, args.labels)
    del token_ids, label_ids
    distinct = presence.nnz / args.documents
    row("count", stopwatch, f"{distinct:.0f} tokens, {labels.nnz / args.documents:.1f} labels a document")

    stopwatch = Stopwatch()
    store = token_label_store(presence, labels)
    row("mutual information", stopwatch, f"{(store.token_ids >= 0).sum():,} pairs stored")
    own = own_tokens(args)
    seen = np.asarray(labels.sum(axis=0)).ravel() >= 20
    found = [np.isin(store.token_ids[label, :OWN_TOKENS], own[label]).mean() for label in np.flatnonzero(seen)]
    print(
        f"own tokens among the best {OWN_TOKENS} of {seen.sum()} labels of 20 documents or more: {np.mean(found):.3f}"
    )
    if args.ranker:
        stopwatch = Stopwatch()
        _, facts = train_ranker(
            store, presence, labels, epochs=args.ranker_epochs, refit=False, evaluate_every=1000, device=args.device
        )
        result = f"nDCG@15 on held-out pairs {facts['ndcg@15']:.3f}, untrained {facts['ndcg@15_untrained']:.3f}"
        row(f"ranker, {facts['epochs']} epochs", stopwatch, result)


def documents(args: argparse.Namespace) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Token ids and label ids of each document."""
    rng = np.random.default_rng(0)
    words, labels = zipf(args.vocabulary, 2.7, power=1.2), zipf(args.labels, 1.0, power=1.0)
    own_LK = own_tokens(args)
    token_ids, label_ids = [], []
    for _ in range(args.documents):
        number = max(1, rng.poisson(args.labels_a_document * 1.15))  # some are drawn twice
        here = np.unique(np.searchsorted(labels, rng.random(number)))
        drawn = np.searchsorted(words, rng.random(rng.poisson(args.words_a_document)))
        own = own_LK[here].ravel()
        token_ids.append(np.concatenate([drawn, own[rng.random(len(own)) < OWN_SHARE]]).astype(np.int32))
        label_ids.append(here)
    return token_ids, label_ids


def own_tokens(args: argparse.Namespace) -> np.ndarray:
    """The tokens of each label, from the rarer half of the vocabulary, `(L, 20)`."""
    half = args.vocabulary // 2
    return np.random.default_rng(1).integers(half, args.vocabulary, (args.labels, OWN_TOKENS))


def zipf(number: int, shift: float, *, power: float) -> np.ndarray:
    """Sums of the shares 1 / (rank + shift)^power."""
    weights = (np.arange(number) + shift) ** -power
    return np.cumsum(weights) / weights.sum()


def row(step: str, stopwatch: Stopwatch, result: str) -> None:
    """A row of the table."""
    cost, memory = stopwatch.read(), peak_memory()["peak_memory_bytes"] / 1e6
    print(f"{step:<22} {cost['seconds']:>9.1f} {cost['cpu_seconds']:>12.1f} {memory:>9,.0f}   {result}", flush=True)


if __name__ == "__main__":
    main()
