"""What it costs to train LANET, whose tokens are labels, beside a transformer of the same width whose tokens are events.

    python benchmarks/label_tokens.py [--json] [--labels 100 1000 10000] [--batch_sizes 64 64 8] [--systems lanet ...] [--threads 2]

One optimiser step (forward, backward, Adam) over windows of three events with six of K labels each, drawn at random, the frequent ones
more often. All systems have as many layers, heads and units; LANET's width is three times `--embed_dim`. Systems:

- event-transformer: the tuned one of `compare lanet`; its tokens are the events.
- lanet: every label is a token; attention is fused, without dropout on its weights.
- lanet-attention-dropout: the same with it. A CPU then holds layers x heads x K x K weights a window, so it is measured only if asked for.
- lanet-history: the same, where labels read those of the window alone (`attention_keys="history"`).
- lanet-popular: tokens are the labels of the window's history and `--popular` frequent ones.

Every case has a process of its own. Windows a second are those of all steps after the first that fit into `--seconds` (one at least), on
the clock and of processor time, which tells more where the machine is shared; memory is the peak of the whole process, interpreter and libraries included, or that of the tensors on a GPU.
A case whose process ends early, killed for memory say, is a line that says so, and the next one goes on.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from hf_mlc.comparing.arms.event_networks import EventNetworkConfig, EventNetworkModel
from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.modeling_lanet import LanetForMultiLabelClassification


SYSTEMS = ("event-transformer", "lanet", "lanet-history", "lanet-popular")
ALL_SYSTEMS = (*SYSTEMS, "lanet-attention-dropout")
STATUS = Path("/proc/self/status")
EVENTS, LABELS_OF_EVENT = 3, 6
GAPS, AMOUNT_BINS, LAYERS, HEADS = 64, 8, 2, 4


def build(system: str, num_labels: int, *, embed_dim: int, popular: int) -> torch.nn.Module:
    """A model of `ALL_SYSTEMS` with random weights, ready to train."""
    shared = {
        "num_labels": num_labels,
        "embed_dim": embed_dim,
        "num_layers": LAYERS,
        "num_heads": HEADS,
        "look_back": EVENTS,
        "num_gaps": GAPS,
        "num_amount_bins": AMOUNT_BINS,
    }
    if system == "event-transformer":
        width = LanetConfig(**shared).token_dim
        config = EventNetworkConfig(**shared, hidden_size=width, intermediate_size=width)
        return EventNetworkModel(config).train()
    config = LanetConfig(
        **shared,
        attention_dropout=0.2 if system == "lanet-attention-dropout" else 0.0,
        attention_keys="history" if system == "lanet-history" else "all",
        num_popular_tokens=min(popular, num_labels) if system == "lanet-popular" else None,
    )
    return LanetForMultiLabelClassification(config).train()


def draw_windows(num_windows: int, num_labels: int, *, seed: int = 0) -> dict[str, torch.Tensor]:
    """A batch as the collator makes it. The r-th most frequent label is drawn in proportion to 1 / r; one drawn twice into an event or
    a target counts once.

    Args:
        num_windows (`int`): B.
        num_labels (`int`): K.
        seed (`int`, *optional*, defaults to 0): of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    weights_K = 1 / torch.arange(1, num_labels + 1)

    def draw(*shape: int) -> torch.Tensor:
        """Sets of labels in rows, padded with -100."""
        num_sets = torch.Size(shape).numel()
        ids = weights_K.multinomial(num_sets * LABELS_OF_EVENT, replacement=True, generator=generator)
        ids = ids.view(num_sets, LABELS_OF_EVENT).sort(dim=1).values
        is_again = torch.nn.functional.pad(ids[:, 1:] == ids[:, :-1], (1, 0))
        return ids.masked_fill(is_again, -100).view(*shape, LABELS_OF_EVENT)

    event_ids = draw(num_windows, EVENTS)
    gaps = torch.randint(1, GAPS + 1, (num_windows, EVENTS), generator=generator)
    return {
        "event_ids": event_ids,
        "event_mask": torch.ones(num_windows, EVENTS, dtype=torch.bool),
        "event_gaps": gaps.float(),
        "event_gap_ids": gaps,
        "event_amount_bins": torch.randint(AMOUNT_BINS, event_ids.shape, generator=generator).where(
            event_ids >= 0, -100
        ),
        "label_ids": draw(num_windows),
    }


def measure(
    system: str,
    num_labels: int,
    batch_size: int,
    *,
    embed_dim: int = 8,
    popular: int = 256,
    seconds: float = 10.0,
    threads: int = 2,
    device: str = "cpu",
) -> dict[str, Any]:
    """Trains one system on one batch again and again.

    Returns:
        `dict`: what was measured, `windows_per_second` on the clock, `windows_per_cpu_second` of all threads, `steps` that were timed,
            `peak_bytes`, and the `parameters` of the model.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = build(system, num_labels, embed_dim=embed_dim, popular=popular).to(device)
    batch = {name: tensor.to(device) for name, tensor in draw_windows(batch_size, num_labels).items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device != "cpu":
            torch.cuda.synchronize()

    step()  # libraries and threads are loaded, the optimiser's state is made
    steps, start, cpu_start = 0, time.perf_counter(), time.process_time()
    while not steps or time.perf_counter() - start < seconds:
        step()
        steps += 1
    taken, cpu_taken = time.perf_counter() - start, time.process_time() - cpu_start
    return {
        "system": system,
        "labels": num_labels,
        "batch_size": batch_size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "windows_per_second": batch_size * steps / taken,
        "windows_per_cpu_second": batch_size * steps / cpu_taken,
        "steps": steps,
        "peak_bytes": peak_bytes() if device == "cpu" else torch.cuda.max_memory_allocated(),
    }


def peak_bytes() -> int:
    """The largest resident size of this process, from /proc: what resource.getrusage says may be that of the one that started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text(encoding="utf-8")) if STATUS.exists() else None
    if found is None:
        raise SystemExit("this benchmark reads memory from Linux's /proc/self/status, which has no VmHWM here")
    return 1024 * int(found[1])


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    if "failed" in row:
        return f"{row['labels']:>7,}  {row['system']:<24}{'':>11}{row['batch_size']:>7}  failed: {row['failed']}"
    return (
        f"{row['labels']:>7,}  {row['system']:<24}{row['parameters']:>11,}{row['batch_size']:>7}"
        f"{row['windows_per_second']:>12,.1f}{row['windows_per_cpu_second']:>15,.1f}{row['peak_bytes'] / 2**30:>10.2f}"
    )


HEAD = f"{'labels':>7}  {'system':<24}{'parameters':>11}{'batch':>7}{'windows/s':>12}{'windows/CPU s':>15}{'peak GiB':>10}"


def measured_apart(system: str, num_labels: int, batch_size: int, arguments: list[str]) -> dict[str, Any]:
    """What [`measure`] returns, in a process of its own; `failed` says how that one ended where it did not return."""
    case = [system, num_labels, batch_size]
    command = [sys.executable, __file__, *arguments, "--case", json.dumps(case)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout)
    ended = f"exit status {done.returncode}"
    if done.returncode < 0:
        ended = f"killed by {signal.Signals(-done.returncode).name}"
    return {"system": system, "labels": num_labels, "batch_size": batch_size, "failed": ended}


def main() -> None:
    """Prints one line a case, as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[64, 64, 8], help="one for each of --labels")
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=ALL_SYSTEMS)
    parser.add_argument("--embed_dim", type=int, default=8)
    parser.add_argument("--popular", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    settings = {name: getattr(args, name) for name in ("embed_dim", "popular", "seconds", "threads", "device")}
    if args.device == "cpu":
        peak_bytes()  # where it can't be read, this is said before anything is measured
    if args.case:
        print(json.dumps(measure(*json.loads(args.case), **settings)))
        return
    if len(args.batch_sizes) != len(args.labels):
        parser.error(
            f"--batch_sizes: found {len(args.batch_sizes)}; accepted: {len(args.labels)}, one for each of --labels"
        )
    where = "a GPU" if args.device == "cuda" else f"{args.threads} threads"
    if not args.json:
        print(
            f"training, float32, {where}, width {3 * args.embed_dim}, {LAYERS} layers, {HEADS} heads\n{HEAD}",
            flush=True,
        )
    rows = []
    arguments = [f"--{name}={value}" for name, value in settings.items()]
    for num_labels, batch_size in zip(args.labels, args.batch_sizes, strict=True):
        for system in args.systems:
            rows.append(measured_apart(system, num_labels, batch_size, arguments))
            if not args.json:
                print(line(rows[-1]), flush=True)
    if args.json:
        print(json.dumps({**settings, "torch": torch.__version__, "rows": rows}))


if __name__ == "__main__":
    main()
