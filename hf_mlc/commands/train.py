"""`train`: a recipe and a data set become a model folder with weights, tokenizer, tuned thresholds and results.json."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, DatasetDict
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase, set_seed

from hf_mlc.auto import ARCHITECTURES, architecture_of
from hf_mlc.commands.parsing import config_names, parse_arguments
from hf_mlc.commands.running import say, write_json
from hf_mlc.commands.train_arguments import DataArguments, ModelArguments
from hf_mlc.data import (
    add_validation_split,
    check_splits,
    fingerprint,
    load_splits,
    texts_of,
    tokenize_splits,
    train_tokenizer,
)
from hf_mlc.errors import UserError
from hf_mlc.inference import load_model
from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.modeling.text_encoder import load_pretrained_encoder
from hf_mlc.run_facts import Stopwatch, num_parameters, peak_memory_bytes, versions
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.trainer import last_complete_checkpoint


RUN_FILE = "run.json"  # what this folder's run was asked to do; written first
RESULTS_FILE = "results.json"  # what came of it; written last


def main(arguments: list[str]) -> None:
    """Trains by `arguments` (`--config recipe.yaml`, then anything on top)."""
    stopwatch = Stopwatch()
    names = sorted({name for row in ARCHITECTURES.values() for name in config_names(row.config)})
    (model_args, data_args, args), settings, given = parse_arguments(
        (ModelArguments, DataArguments, MultiLabelTrainingArguments), arguments, extra_names=names
    )
    main_process = args.process_index == 0
    tell = say if main_process else (lambda text: None)
    checkpoint = _checkpoint_to_resume(args, given)
    set_seed(args.seed)

    with args.main_process_first(desc="reading the data"):
        splits = _load(data_args)
    base = load_model(model_args.model_name_or_path) if model_args.model_name_or_path else None
    splits, label_space, split_lines = _label_space_and_validation(splits, data_args, args.seed, base)
    tell(str(check_splits(splits, label_space)))
    for line in split_lines:
        tell(line)

    tokenizer = _tokenizer(model_args, data_args, splits["train"], base, checkpoint)
    with args.main_process_first(desc="tokenising"):
        encoded = tokenize_splits(
            splits,
            tokenizer,
            label_space,
            max_length=data_args.max_length,
            num_proc=data_args.preprocessing_num_workers,
        )
    model = base.model if base else _new_model(model_args, settings, tokenizer, label_space, data_args.max_length)
    tell(f"{type(model).__name__}: {num_parameters(model):,} parameters, {len(label_space)} labels")

    architecture = architecture_of(model.config.model_type)
    trainer = architecture.trainer(
        model,
        args,
        label_space=label_space,
        train_dataset=encoded["train"],
        eval_dataset=encoded["validation"],
        data_collator=architecture.collator(
            tokenizer,
            len(label_space),
            targets=data_args.targets,
            pad_to_multiple_of=data_args.pad_to_multiple_of,
        ),
        processing_class=tokenizer,
    )
    if main_process:
        Path(args.output_dir).mkdir(parents=True, exist_ok=True)
        write_json(Path(args.output_dir, RUN_FILE), _comparable(given))
    training = Stopwatch()
    outcome = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    cost = training.read()
    choice = trainer.tune_thresholds()
    if choice is not None:
        shown = f"{choice.thresholds:.3f}" if isinstance(choice.thresholds, float) else "one a label"
        tell(
            f"thresholds from validation: {shown}, at least {choice.min_labels} labels, {choice.metric} {choice.value:.4f}"
        )
    validation = trainer.evaluate()
    # the one look at the test split, after every choice was made
    test = trainer.evaluate_test(encoded["test"]) if args.do_predict and "test" in encoded else None
    trainer.save_model()
    if main_process:
        results = {
            "model_type": model.config.model_type,
            "seed": args.seed,
            "recipe": _comparable(given),
            "data": _data_facts(splits, label_space, data_args),
            "parameters": num_parameters(model),
            "training": {
                **cost,
                "resumed": checkpoint is not None,
                "epochs": trainer.state.epoch,
                "steps": trainer.state.global_step,
                "loss": outcome.training_loss,
                "best_step": trainer.state.best_global_step,
                f"best_{args.metric_for_best_model}": trainer.state.best_metric,
                "total_seconds": stopwatch.read()["seconds"],
                "peak_memory_bytes": peak_memory_bytes(),
                "processes": args.world_size,
            },
            "hardware": {"machine": platform.machine(), "cores": os.cpu_count(), "device": str(args.device)},
            "versions": versions(),
            "thresholds": choice.to_dict() if choice else None,
            "validation": _without_prefix(validation, "eval_"),
            "test": _without_prefix(test, "test_") if test else None,
            "history": [row for row in trainer.state.log_history if f"eval_{args.threshold_metric}" in row],
        }
        write_json(Path(args.output_dir, RESULTS_FILE), results)
        for split in ("validation", "test"):
            if results[split]:
                tell(_summary_line(split, results[split]))
        tell(f"saved in {args.output_dir}")


def _load(data_args: DataArguments) -> DatasetDict:
    most = {"train": data_args.max_train_samples, "validation": data_args.max_eval_samples}
    splits = load_splits(
        data_args.dataset_name,
        config_name=data_args.dataset_config_name,
        revision=data_args.dataset_revision,
        train_file=data_args.train_file,
        validation_file=data_args.validation_file,
        test_file=data_args.test_file,
        columns=data_args.columns(),
        max_samples={split: number for split, number in most.items() if number is not None},
    )
    if "train" not in splits:
        raise UserError("no training rows", field="dataset_name", accepted="a data set with a training split")
    return splits


def _label_space_and_validation(
    splits: DatasetDict, data_args: DataArguments, seed: int, base
) -> tuple[DatasetDict, LabelSpace, list[str]]:
    """The label space, and the splits with a validation part.

    Names come from all training rows, set-aside ones too; counts only from the rows that are trained on.
    """
    if base is not None:
        label_space = base.label_space
    elif data_args.label_file is not None:
        label_space = LabelSpace.load(data_args.label_file)
    else:
        label_space = LabelSpace.from_label_lists(splits["train"]["labels"], file=data_args.dataset_name)
    lines = []
    if "validation" not in splits:
        splits, report = add_validation_split(splits, label_space, fraction=data_args.validation_fraction, seed=seed)
        lines = ["validation rows set aside from training (part 0: train, part 1: validation)", str(report)]
    label_space = label_space.counted(splits["train"]["labels"])
    return splits, label_space, lines


def _tokenizer(
    model_args: ModelArguments, data_args: DataArguments, train: Dataset, base, checkpoint: Path | None
) -> PreTrainedTokenizerBase:
    if checkpoint is not None:
        return AutoTokenizer.from_pretrained(checkpoint)
    if base is not None:
        return base.tokenizer
    name = model_args.tokenizer_name or model_args.text_encoder
    if name is None:
        return train_tokenizer(
            texts_of(train),
            kind=model_args.tokenizer_kind,
            vocab_size=model_args.tokenizer_vocab_size,
            min_frequency=model_args.tokenizer_min_frequency,
            lowercase=model_args.tokenizer_lowercase,
            max_length=data_args.max_length,
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"no tokenizer ({str(error).splitlines()[0]})",
            file=name,
            field="tokenizer_name",
            accepted="a Hub id, or a folder with tokenizer.json",
        ) from None
    tokenizer.model_max_length = data_args.max_length
    return tokenizer


def _new_model(
    model_args: ModelArguments,
    settings: dict[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    label_space: LabelSpace,
    max_length: int,
) -> MultiLabelPreTrainedModel:
    """A model of the asked architecture with the label space in its configuration and its statistics filled in."""
    architecture = architecture_of(model_args.model_type)
    unknown = set(settings) - set(config_names(architecture.config))
    if unknown:
        raise UserError(f"{model_args.model_type} has no argument '{min(unknown)}'", field=min(unknown))
    settings = {"max_position_embeddings": max_length, **settings}
    if model_args.text_encoder is not None:
        try:
            settings["text_config"] = AutoConfig.from_pretrained(
                model_args.text_encoder, revision=model_args.text_encoder_revision
            )
        except (OSError, ValueError) as error:
            raise UserError(
                f"no readable config.json ({str(error).splitlines()[0]})",
                file=model_args.text_encoder,
                field="text_encoder",
                accepted="a Hub id or a folder",
            ) from None
    config = architecture.config(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        unk_token_id=tokenizer.unk_token_id,
        num_labels=len(label_space),
        **settings,
    )
    store_label_space(config, label_space)
    model = architecture.model(config)
    model.set_training_statistics(torch.from_numpy(label_space.counts), label_space.num_documents)
    if model_args.text_encoder is not None:
        load_pretrained_encoder(model.encoder, model_args.text_encoder, revision=model_args.text_encoder_revision)
    return model


def _checkpoint_to_resume(args: MultiLabelTrainingArguments, given: dict[str, Any]) -> Path | None:
    """Where to go on from: the named checkpoint, or the last whole one of an unfinished run of the same recipe."""
    output = Path(args.output_dir)
    asked = args.resume_from_checkpoint
    if asked not in (None, "last"):
        if not (Path(asked) / "trainer_state.json").is_file():
            raise UserError(
                "no checkpoint", file=asked, field="resume_from_checkpoint", accepted="last, or a checkpoint's folder"
            )
        return Path(asked)
    if not output.exists() or args.overwrite_output:
        return None
    if (output / RESULTS_FILE).exists() and asked is None:
        raise UserError(
            "holds a finished run", file=output, field="output_dir", accepted="another folder, or --overwrite_output"
        )
    checkpoint = last_complete_checkpoint(output)
    if checkpoint is None or asked == "last":
        return checkpoint
    before = json.loads((output / RUN_FILE).read_text(encoding="utf-8")) if (output / RUN_FILE).exists() else None
    if before != _comparable(given):
        raise UserError(
            "holds checkpoints of a run with other arguments",
            file=output,
            field="output_dir",
            accepted="another folder, --resume_from_checkpoint to go on all the same, or --overwrite_output",
        )
    return checkpoint


def _comparable(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a run as JSON; whether and where it was resumed is no part of what the run is."""
    kept = {name: value for name, value in given.items() if name not in ("resume_from_checkpoint", "output_dir")}
    return json.loads(json.dumps(kept, default=str))


def _data_facts(splits: DatasetDict, label_space: LabelSpace, data_args: DataArguments) -> dict[str, Any]:
    source = data_args.dataset_name or data_args.train_file
    return {
        # a path on this machine is nobody else's business; the folder's name is enough to recognise it
        "source": Path(source).name if Path(source).exists() else source,
        "rows": {split: len(rows) for split, rows in splits.items()},
        "fingerprints": {split: fingerprint(rows) for split, rows in splits.items()},
        "labels": len(label_space),
    }


def _without_prefix(metrics: dict[str, float], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}


def _summary_line(split: str, metrics: dict[str, float]) -> str:
    names = ("f1_micro", "f1_macro", "subset_accuracy", "p@1", "ap_micro")
    return f"{split}: " + "  ".join(f"{name} {metrics[name]:.4f}" for name in names if name in metrics)
