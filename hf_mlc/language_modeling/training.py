"""Training a language model on one device; a checkpoint after each epoch, one file in safetensors, to go on from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from tqdm.auto import tqdm
from transformers.utils import logging

from hf_mlc.files import written_whole
from hf_mlc.language_modeling.arguments import LanguageModelArguments
from hf_mlc.language_modeling.model import LanguageModel
from hf_mlc.language_modeling.stream import TokenStream
from hf_mlc.run_facts import Stopwatch


logger = logging.get_logger(__name__)

CHECKPOINT_FILE = "checkpoint.safetensors"
MAX_NORM = 0.4  # gradients of recurrent networks explode now and then
WARM_UP = 0.1  # share of the steps


def train_language_model(
    model: LanguageModel,
    train: TokenStream,
    held_out: TokenStream,
    args: LanguageModelArguments,
    *,
    folder: Path,
    identity: dict[str, Any],
    seed: int,
    device: torch.device,
    bf16: bool = False,
    progress: bool = True,
    tell: Callable[[str], None] = logger.info,
) -> dict[str, Any]:
    """Trains for `args.language_model_epochs`, or what is left of them; a resumed run ends as an unbroken one.

    The learning rate rises over the first tenth of the steps and falls to 0 along a cosine.

    Args:
        model (`LanguageModel`): changed in place.
        train, held_out (`TokenStream`): what it learns from, and what its perplexity is measured on.
        args (`LanguageModelArguments`): the arguments.
        folder (`Path`): where the checkpoint is written.
        identity (`dict`): what the run is; a checkpoint of another is not gone on from.
        seed (`int`): of dropout; that of an epoch is its own.
        device (`torch.device`): where to train.
        bf16 (`bool`, *optional*): in bfloat16 where that is safe.
        progress (`bool`, *optional*): show a bar.
        tell (`Callable`, *optional*): gets a line an epoch.

    Returns:
        `dict`: `"history"`, the perplexities epoch by epoch, and what training cost.
    """
    model.to(device)
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": args.language_model_weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=args.language_model_learning_rate,
        betas=(0.9, 0.99),
    )
    history = _resume(model, optimizer, folder / CHECKPOINT_FILE, identity)
    steps = len(train) * args.language_model_epochs
    for epoch in range(len(history), args.language_model_epochs):
        torch.manual_seed(seed * 1_000_003 + epoch)
        stopwatch = Stopwatch()
        model.train()
        states, total = None, 0.0
        bar = tqdm(
            train.stretches(epoch), total=len(train), desc=f"Language model, epoch {epoch + 1}", disable=not progress
        )
        for number, (inputs, targets) in enumerate(bar):
            rate = args.language_model_learning_rate * _share(epoch * len(train) + number, steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss, states = model(inputs.to(device), targets.to(device), states)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item()
        row = {
            "epoch": epoch + 1,
            "train_perplexity": math.exp(min(total / len(train), 700)),
            "perplexity": perplexity(model, held_out, device),
            **stopwatch.read(),
        }
        history.append(row)
        _save_checkpoint(model, optimizer, folder / CHECKPOINT_FILE, identity, history)
        tell(f"language model, epoch {epoch + 1}: perplexity {row['perplexity']:.2f} on held-out texts")
    return {"history": history, "seconds": round(sum(row["seconds"] for row in history), 2)}


@torch.no_grad()
def perplexity(model: LanguageModel, stream: TokenStream, device: torch.device) -> float:
    """`exp` of the mean negative log-likelihood of the next token, over a stream in its own order."""
    model.eval()
    states, total, count = None, 0.0, 0
    for inputs, targets in stream.stretches():
        loss, states = model(inputs.to(device), targets.to(device), states)
        total, count = total + loss.item() * targets.numel(), count + targets.numel()
    return math.exp(min(total / max(1, count), 700))  # of an untrained model it may be beyond all floats


def _share(step: int, steps: int) -> float:
    """Of the largest learning rate, at a step."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _save_checkpoint(model, optimizer, file: Path, identity, history) -> None:
    tensors = {f"model.{name}": value.detach().cpu() for name, value in model.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer.{number}.{name}"] = torch.as_tensor(value).detach().cpu()
    facts = {"identity": json.dumps(identity, sort_keys=True), "history": json.dumps(history)}
    with written_whole(file, binary=True) as stream:
        stream.write(save({name: value.contiguous() for name, value in tensors.items()}, metadata=facts))


def _resume(model, optimizer, file: Path, identity) -> list[dict[str, Any]]:
    """Loads a checkpoint of the same run, and gives its history; an empty one where there is none."""
    if not file.exists():
        return []
    try:
        with safe_open(file, framework="pt") as stored:
            facts = stored.metadata() or {}
            if facts.get("identity") != json.dumps(identity, sort_keys=True):
                logger.warning(f"{file}: of a language model with other arguments or texts; training anew")
                return []
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  (no mapping)
    except (OSError, SafetensorError) as error:
        logger.warning(f"{file} can't be read ({error}); training anew")
        return []
    model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return json.loads(facts["history"])
