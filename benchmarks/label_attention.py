"""Time and peak memory of label-wise attention, forward and backward, against the plain softmax form.

    python benchmarks/label_attention.py [--json] [--labels 8922] [--tokens 2880] [--width 256] [--batch_sizes 1 4]

The plain form is ``softmax(query @ keys^T) @ keys`` under autograd with the padding masked. Every measurement is made in
a process of its own, and the forms take turns, so that other work on the machine meets all of them. Memory is the
process's peak resident size in its first step, less its size just before (which holds the inputs) and less the results:
the contexts and the gradients of queries and keys. Time is the fastest of three further steps, on the clock and as
processor time of all threads, which tells more where the machine is shared. Medians over the runs are printed, with the error of each form against float64 at a small size and against the plain form at the full size.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from hf_mlc.modeling.label_attention import label_attention


FORMS = ("plain", "auto", "blocks")  # "auto" takes "sdpa" here


def plain_attention(query_LD, keys_BTD, mask_BT):
    scores_BLT = query_LD @ keys_BTD.transpose(1, 2)
    return torch.softmax(scores_BLT.masked_fill_(~mask_BT[:, None], float("-inf")), dim=-1) @ keys_BTD


def make_inputs(labels, tokens, width, batch_size, dtype=torch.float32):
    """Queries, keys (which are also the values), mask and upstream gradient. Lengths differ by a few tokens only."""
    generator = torch.Generator().manual_seed(0)
    query_LD = 0.3 * torch.randn(labels, width, generator=generator)
    keys_BTD = torch.randn(batch_size, tokens, width, generator=generator)
    grad_BLD = torch.randn(batch_size, labels, width, generator=generator)
    mask_BT = torch.arange(tokens) < tokens - torch.arange(batch_size)[:, None]
    return query_LD.to(dtype).requires_grad_(), keys_BTD.to(dtype).requires_grad_(), mask_BT, grad_BLD.to(dtype)


def step(form, query_LD, keys_BTD, mask_BT, grad_BLD):
    """One forward and backward pass; returns the contexts and the gradients of queries and keys."""
    query_LD.grad = keys_BTD.grad = None
    if form == "plain":
        context_BLD = plain_attention(query_LD, keys_BTD, mask_BT)
    else:
        context_BLD = label_attention(query_LD, keys_BTD, keys_BTD, mask_BT, implementation=form)
    context_BLD.backward(grad_BLD)
    return context_BLD.detach(), query_LD.grad, keys_BTD.grad


def resident_bytes(field):
    """A size from /proc: VmRSS is the present one, VmHWM the highest since it was last reset."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise SystemExit(f"this benchmark reads memory from Linux's /proc/self/status, which has no {field} here")


def measure(form, args, batch_size):
    torch.set_num_threads(args.threads)
    for warm_up in (form, "plain"):  # libraries and threads, not buffers
        step(warm_up, *make_inputs(8, 16, args.width, 1))
    inputs = make_inputs(args.labels, args.tokens, args.width, batch_size)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets VmHWM
    before = resident_bytes("VmRSS")
    results = step(form, *inputs)
    peak = resident_bytes("VmHWM") - before - sum(tensor.nbytes for tensor in results)
    del results
    seconds, cpu_seconds = [], []
    for _ in range(3):
        start, cpu_start = time.perf_counter(), time.process_time()
        step(form, *inputs)
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
    return {"seconds": min(seconds), "cpu_seconds": min(cpu_seconds), "bytes": peak}


def errors(form, reference, args, labels, tokens, batch_size, dtype):
    """Largest difference of contexts and gradients, each divided by the reference's largest value."""
    torch.set_num_threads(args.threads)
    ours = step(form, *make_inputs(labels, tokens, args.width, batch_size))
    # The same float32 numbers in the reference's dtype.
    theirs = step(reference, *make_inputs(labels, tokens, args.width, batch_size, dtype))
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(ours, theirs, strict=True))


def in_own_process(task, args):
    sizes = [f"--{name}={getattr(args, name)}" for name in ("labels", "tokens", "width", "threads")]
    done = subprocess.run(
        [sys.executable, __file__, *sizes, "--task", *map(str, task)], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


def run_task(args):
    kind, form, batch_size = args.task[0], args.task[1], int(args.task[2])
    if kind == "measure":
        return measure(form, args, batch_size)
    if kind == "float64":
        return errors(form, "plain", args, 500, 300, 3, torch.float64)
    return errors(form, "plain", args, args.labels, args.tokens, batch_size, torch.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=8922)
    parser.add_argument("--tokens", type=int, default=2880)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    parser.add_argument("--task", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.task:
        print(json.dumps(run_task(args)))
        return

    rows = []
    float64_errors = {form: in_own_process(("float64", form, 3), args) for form in FORMS}
    for batch_size in args.batch_sizes:
        runs = {form: [] for form in FORMS}
        for _ in range(args.runs):
            for form in FORMS:
                runs[form].append(in_own_process(("measure", form, batch_size), args))
        medians = {
            form: {
                key: statistics.median(run[key] for run in runs[form]) for key in ("seconds", "cpu_seconds", "bytes")
            }
            for form in FORMS
        }
        for form in FORMS:
            rows.append(
                {
                    "batch_size": batch_size,
                    "form": form,
                    **medians[form],
                    "times_faster": medians["plain"]["seconds"] / medians[form]["seconds"],
                    "times_less_memory": medians["plain"]["bytes"] / medians[form]["bytes"],
                    "error_float64": float64_errors[form],
                    "error_plain": 0.0 if form == "plain" else in_own_process(("plain", form, batch_size), args),
                }
            )
    if args.json:
        sizes = {name: getattr(args, name) for name in ("labels", "tokens", "width", "threads", "runs")}
        print(json.dumps({**sizes, "torch": torch.__version__, "rows": rows}, indent=2))
        return
    print(f"{args.labels:,} labels, {args.tokens:,} tokens, width {args.width}, float32, {args.threads} threads")
    print("batch  form      seconds  times faster  CPU seconds      MB  times less  error to float64  error to plain")
    for row in rows:
        print(
            f"{row['batch_size']:5}  {row['form']:7} {row['seconds']:9.2f} {row['times_faster']:13.1f} {row['cpu_seconds']:12.2f} "
            f"{row['bytes'] / 1e6:7.0f} {row['times_less_memory']:11.1f} {row['error_float64']:17.1e} {row['error_plain']:15.1e}"
        )


if __name__ == "__main__":
    main()
