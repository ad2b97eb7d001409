"""The place of planting in a training run: after the model is built, before its first step, and once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from hf_mlc.files import written_whole
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.planting.arguments import PlantingArguments, check_control, planting_of
from hf_mlc.planting.linear_readout import held_out_file, read_planted_buffers, write_planted_buffers
from hf_mlc.planting.planting import freeze_planted, plant, wants_planting
from hf_mlc.planting.training_rows import planting_fingerprint
from hf_mlc.training.arguments import MultiLabelTrainingArguments


PLANTING_FILE = "planting.json"  # in the output folder: what was planted, for a run that goes on from a checkpoint


def plant_for_training(
    model: MultiLabelPreTrainedModel,
    rows: Dataset,
    encoded: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    planting_args: PlantingArguments,
    args: MultiLabelTrainingArguments,
    *,
    is_resumed: bool = False,
) -> dict[str, Any] | None:
    """Plants `model` where its configuration asks for it.

    One process does it; the others get its parameters when training wraps the model, and with machines its buffers from a file. A
    run that goes on from a checkpoint has the plants in there.

    Args:
        model (`MultiLabelPreTrainedModel`): new; an architecture without planting is left alone.
        rows (`datasets.Dataset`): the training rows as they were read, for the fingerprint.
        encoded (`datasets.Dataset`): the same, tokenised.
        tokenizer (`PreTrainedTokenizerBase`): the model's.
        planting_args (`PlantingArguments`): how.
        args (`MultiLabelTrainingArguments`): seed, device, batch size, output folder.
        is_resumed (`bool`, *optional*, defaults to `False`): whether a checkpoint's weights will follow.

    Returns:
        Facts for results.json, `None` where nothing is planted.
    """
    if not wants_planting(model.config):
        return None
    check_control(
        model.config, planting_args
    )  # in every process: one that raised alone would leave the others waiting
    if planting_args.planting_freeze and planting_of(model.config) != "none":
        freeze_planted(model)
    model.config.planting_fingerprint = planting_fingerprint(rows, tokenizer)
    if planting_args.planting_control != "none":  # stays with the weights, whatever they are trained on later
        model.config.planting_fingerprint["control"] = planting_args.planting_control
    file = Path(args.output_dir) / PLANTING_FILE
    if not model.config.has_linear_readout:
        held_out = None
        if is_resumed:
            return _facts_in(file)
    else:
        held_out = held_out_file(args.output_dir, model.config.planting_fingerprint)
        send_no_buffers(args)  # the other processes read them below
    facts = None
    with args.main_process_first(desc="planting"):
        if args.process_index == 0 and is_resumed and held_out.exists():
            read_planted_buffers(model, held_out)
            facts = _facts_in(file)
        elif (
            args.process_index == 0
        ):  # without that file too: a finished run has cleared it away, and machines are fitted again
            facts = plant(
                model,
                encoded,
                tokenizer,
                planting_args,
                fingerprint=model.config.planting_fingerprint,
                seed=args.seed,
                device=args.device,
                batch_size=args.per_device_train_batch_size,
                progress=not args.disable_tqdm,
            )
            file.parent.mkdir(parents=True, exist_ok=True)
            if held_out is not None:
                write_planted_buffers(model, held_out)
            with written_whole(file) as stream:
                json.dump(facts, stream, indent=2)
    if held_out is not None and args.process_index != 0:
        read_planted_buffers(model, held_out)
    return facts


def send_no_buffers(args: MultiLabelTrainingArguments) -> None:
    """Unless they were asked to, the processes of a run don't hand each other a model's buffers in every step: machines are some,
    large ones, and stay what they are."""
    if args.ddp_broadcast_buffers is None:
        args.ddp_broadcast_buffers = False


def _facts_in(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
