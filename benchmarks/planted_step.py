"""Time and peak memory of a training step of PLANT at the paper's size, part by part.

    python benchmarks/planted_step.py [--labels 8922] [--tokens 4096] [--batch_size 1] [--device cuda] [--dtype bfloat16]

The encoder is a bag of words of width 256, so that what is measured is the decoder: its attentions, forward and backward,
and the optimiser's step is left out. Documents repeat their tokens as texts do (Zipf). Each row of the table is a process
of its own: the plain decoder, each planted part, all parts, these with a read-out, with a shortlist after it, and with a stateful
decoder over 72-token chunks.
On CPU "peak" is the process's highest resident size, all of it, weights and gradients too; on a GPU what torch allocated.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import torch

from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification


VOCAB = 57_376
PARTS = {
    "learned attention": {"planting": "none"},
    "mutual information": {"learned_attention": False, "ranked_attention": False},
    "ranked": {"learned_attention": False, "mutual_information_attention": False},
    "all parts": {},
    "all parts, read-out": {"planted_readout": 1.0},
    "all parts, read-out, shortlist of 64": {"planted_readout": 1.0, "shortlist_size": 64},
    "all parts, window of 2,880, stateful": {"window": 2880, "stateful": True},
}


def zipf_tokens(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Token ids from 2 on, id i about as often as 1 / i."""
    return (VOCAB - 2) ** torch.rand(shape, generator=generator) + 1


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Seconds of the fastest of three steps after a first one, and the peak in bytes."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    fields = {"planting": "attention", **PARTS[args.part]}
    config = PlantConfig(
        vocab_size=VOCAB, num_labels=args.labels, encoder="bag_of_words", hidden_size=args.width, **fields
    )
    model = PlantForMultiLabelClassification(config)
    part = model.decoder.mutual_information
    if part is not None:
        part.tokens.copy_(zipf_tokens(part.tokens.shape, generator).int())
        part.values.copy_(torch.rand(part.values.shape, generator=generator).sort(dim=1, descending=True).values)
    if (readout := model.decoder.readout) is not None:
        readout.tokens.copy_(zipf_tokens(readout.tokens.shape, generator).int())
        with torch.no_grad():
            readout.weight.copy_(torch.rand(readout.weight.shape, generator=generator) / 100)
    model = model.to(args.device).train()
    input_ids = zipf_tokens((args.batch_size, args.tokens), generator).long().to(args.device)
    targets = (torch.rand(args.batch_size, args.labels, generator=generator) < 0.002).float().to(args.device)
    half = args.dtype != "float32"
    on_gpu = torch.device(args.device).type == "cuda"
    seconds = []
    for _ in range(4):
        model.zero_grad()
        start = time.perf_counter()
        with torch.autocast(torch.device(args.device).type, dtype=getattr(torch, args.dtype), enabled=half):
            loss = model(input_ids=input_ids, labels=targets).loss
        loss.backward()
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    # on Linux in KiB; of a process that did nothing but this
    peak = torch.cuda.max_memory_allocated() if on_gpu else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": min(seconds[1:]), "bytes": peak, "loss": loss.item()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=8922)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        print(json.dumps(measure(args)))
        return
    print(f"L={args.labels:,} T={args.tokens:,} d={args.width} batch={args.batch_size} {args.device} {args.dtype}")
    print(f"{'':40}{'seconds':>10}{'documents/s':>14}{'peak GB':>10}")
    for part in PARTS:
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--part", part], stdout=subprocess.PIPE, check=True
        )
        found = json.loads(done.stdout)
        rate = args.batch_size / found["seconds"]
        print(f"{part:40}{found['seconds']:10.2f}{rate:14.2f}{found['bytes'] / 1e9:10.2f}", flush=True)


if __name__ == "__main__":
    main()
