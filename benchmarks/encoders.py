"""What a training step of each encoder costs: processor time, and memory over that of the weights.

    python benchmarks/encoders.py [--tokens 1024] [--documents 4] [--only awd_lstm]

Each encoder runs in a process of its own, so that its peak is its own; one thread.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import torch

from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification


SMALL = {"hidden_size": 256, "num_hidden_layers": 2}
BERT = {"encoder": "transformer", **SMALL, "num_attention_heads": 4, "intermediate_size": 1024}
ARMS = {
    "bag_of_words": {"encoder": "bag_of_words", "hidden_size": 256},
    "convolution": {"encoder": "convolution", **SMALL},
    "gru": {"encoder": "gru", **SMALL},
    "lstm": {"encoder": "lstm", **SMALL},
    "awd_lstm 256/512/2": {"encoder": "awd_lstm", **SMALL, "recurrent_size": 512},
    "awd_lstm 400/1152/3": {"encoder": "awd_lstm"},
    "awd_lstm 400/1152/3, bptt 72, recomputed": {"encoder": "awd_lstm", "bptt_length": 72, "recomputed": True},
    "transformer": {**BERT, "max_position_embeddings": 8192},
    "transformer, chunks of 256": {**BERT, "max_position_embeddings": 256, "backbone_chunk_length": 256},
    "transformer, chunks of 256, overlap 64": {
        **BERT, "max_position_embeddings": 256, "backbone_chunk_length": 256, "backbone_chunk_overlap": 64,
    },
}  # fmt: skip


def peak_mib() -> float:
    """The largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def measure(name: str, documents: int, tokens: int) -> None:
    """Prints the line of one encoder: the faster of two steps."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = dict(ARMS[name])
    recomputed = settings.pop("recomputed", False)
    model = PlantForMultiLabelClassification(PlantConfig(num_labels=50, **settings)).train()
    if recomputed:
        model.gradient_checkpointing_enable()
    batch = {"input_ids": torch.randint(2, 30000, (documents, tokens)), "labels": torch.zeros(documents, 50)}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before, best = peak_mib(), float("inf")
    for _ in range(2):
        start = time.process_time()  # of this process: what else the machine does counts less
        model(**batch).loss.backward()
        best = min(best, time.process_time() - start)
    inside = sum(p.numel() for n, p in model.encoder.named_parameters() if "word_embeddings" not in n)
    print(
        f"{name:42} {inside / 1e6:9.2f} M {best / (documents * tokens) * 1e6:9.1f} us/token {peak_mib() - before:9.0f} MiB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--documents", type=int, default=4)
    parser.add_argument("--only", default="", help="Encoders whose name begins so.")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.arm:
        measure(args.arm, args.documents, args.tokens)
        return
    print(
        f"{args.documents} documents of {args.tokens} tokens; parameters besides the word vectors, a step, its memory"
    )
    for name in ARMS:
        if name.startswith(args.only):
            command = [sys.executable, __file__, "--arm", name, "--tokens", str(args.tokens)]
            subprocess.run([*command, "--documents", str(args.documents)], check=True)


if __name__ == "__main__":
    main()
