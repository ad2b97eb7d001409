"""`train`: a recipe and a data set (of texts, pictures, tables or event sequences) become a model folder with weights, what input is read
through, tuned thresholds and results.json.

This file is the order of events. What its kind of input asks for is the step's ([`~hf_mlc.commands.train_inputs.InputStep`]).
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import torch
from datasets import DatasetDict, concatenate_datasets
from transformers import set_seed

from hf_mlc.auto import ARCHITECTURES, architecture_of
from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.commands.running import say, write_json
from hf_mlc.commands.train_beginning import Beginning, TrainingRows
from hf_mlc.commands.train_data import check_test_split, label_space_and_validation, load_rows
from hf_mlc.commands.train_folder import (
    RUN_FILE,
    check_output,
    check_sets_of,
    checkpoint_to_resume,
    comparable,
    empty_output,
    facts_of_data,
    facts_of_splits,
    told_when_stopped,
)
from hf_mlc.commands.train_inputs import InputStep
from hf_mlc.commands.train_label_features import LabelFeatureStep
from hf_mlc.commands.train_model import check_trained, new_model, trained_model, with_label_rules
from hf_mlc.commands.train_relations import without_relations
from hf_mlc.commands.train_steps import ARGUMENTS, STEPS, step_of_run
from hf_mlc.commands.train_texts import TextStep
from hf_mlc.cycles.arguments import without_cycles
from hf_mlc.cycles.folder import CYCLE_FOLDER
from hf_mlc.data import check_splits
from hf_mlc.errors import UserError
from hf_mlc.folder_files import RESULTS_FILE
from hf_mlc.inference import load_model
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.planting.arguments import without_effect
from hf_mlc.planting.linear_readout import PLANTING_FOLDER
from hf_mlc.planting.step import PLANTING_FILE
from hf_mlc.run_facts import Stopwatch, num_parameters, seconds_before_resuming
from hf_mlc.tables import metrics_table
from hf_mlc.training.best_metric import check_best_metric
from hf_mlc.training.compressing import check_trainable, compress_tables, take_table_dtype
from hf_mlc.training.refitting import REFIT_FOLDER, check_refit, refit
from hf_mlc.training.results import run_results
from hf_mlc.word_vectors.step import WORD_VECTORS_FILE


def main(arguments: list[str], *, is_kept: bool = True) -> None:
    """Trains by `arguments` (`--config recipe.yaml`, then anything on top).

    Args:
        arguments (`list[str]`): the command line.
        is_kept (`bool`, *optional*, defaults to `True`): whether the output folder outlasts the caller, so that a user is told of it.
    """
    with ExitStack() as stack:
        _train(arguments, stack, is_kept=is_kept)
    # a process that ends with the group's threads at work may be aborted, after all is saved
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _train(arguments: list[str], stack: ExitStack, *, is_kept: bool) -> None:
    stopwatch = Stopwatch()
    parts, settings, given = parse_arguments(
        ARGUMENTS, arguments, config_classes=[row.config for row in ARCHITECTURES.values() if row.trained]
    )
    model_args, data_args, column_args, hub_args, args, *of_beginning = parts[: -len(STEPS)]
    step_args = dict(zip(STEPS, parts[-len(STEPS) :], strict=True))
    if data_args.refit:
        check_refit(args)
    check_best_metric(args)
    main_process = args.process_index == 0
    tell = say if main_process else (lambda text: None)
    text_args = step_args[TextStep.kind.name]
    beginning = Beginning(*of_beginning, text_args, column_args, model_args, args, tell=tell)
    settings = beginning.settings(settings)
    output = Path(args.output_dir)
    with args.main_process_first(desc="preparing the output folder"):
        if main_process:
            check_output(output, args, base=model_args.model_name_or_path)
    set_seed(args.seed)

    base = load_model(model_args.model_name_or_path, device="cpu") if model_args.model_name_or_path else None
    model_type = model_args.model_type if base is None else base.model.config.model_type
    check_trained(model_type, model_args)
    if base is not None:
        check_trainable(base.model.config, model_args.model_name_or_path)
    step = step_of_run(step_args, column_args, data_args, model_type=model_type, given=given, base=base)
    architecture = architecture_of(model_type)
    table_dtype = take_table_dtype(settings, architecture.config)
    for name, value in step.training_arguments().items() if base is None else ():
        if name not in given:
            given[name] = value
            setattr(args, name, value)
            if name == "metric_for_best_model":
                args.follow_metric(anew="greater_is_better" not in given)
            shown = f"{value:g}" if isinstance(value, float) else value
            step.notes.append(f"{name}: {shown}, since none is given and the model is new")
    if "targets" not in given:
        data_args.targets = architecture.targets
    if args.do_predict and step.split_read("test") == "test":
        check_test_split(data_args)
    with args.main_process_first(desc="reading the data"):
        splits = load_rows(data_args, hub_args, step.columns(), skip=["test"])
        if "train" not in splits:
            raise UserError("no training rows", field="dataset_name", accepted="a data set with a training split")
        splits = step.arranged(splits, "train", "validation")
        label_names = step.label_names() if base is None else None
        splits, label_space, lines = label_space_and_validation(
            splits,
            data_args,
            args.seed,
            base,
            label_file=step.label_file(),
            label_names=label_names,
            label_lists=step.label_lists,
            target_lists=step.target_lists,
        )
    ruled_settings = with_label_rules(settings, model_args.label_rules, model_type, label_space)
    report = check_splits(splits, label_space, noun=step.kind.noun)
    with args.main_process_first(desc="emptying the output folder"):
        if main_process:  # not before the rows were read: until then a mistake in the arguments costs nothing
            empty_output(output, args)
    features_file = args.label_features if architecture.takes_label_features else None
    label_features = LabelFeatureStep(features_file, step, label_space)
    data_facts = {**facts_of_data(splits, label_space, data_args), **label_features.facts}
    identity = {"arguments": comparable(given), "data": data_facts}
    checkpoint = checkpoint_to_resume(output, args, identity, label_space)
    if is_kept:
        stack.enter_context(told_when_stopped(output, args))

    processor = step.processor(splits["train"], checkpoint)
    with args.main_process_first(desc="encoding"):
        encoded = step.encoded(splits, processor, label_space, report)
    further_inputs = label_features.inputs(processor)
    for line in [str(report), *lines, *step.notes, *label_features.notes]:
        tell(line)

    def make_model(label_space: LabelSpace, *counted: str) -> MultiLabelPreTrainedModel:
        if base is not None:
            return trained_model(base, ruled_settings, label_space)
        return new_model(
            model_type,
            ruled_settings,
            step,
            processor,
            label_space,
            order_is_given=(step.label_file() or label_names) is not None,
            label_ids=(ids for split in counted for ids in encoded[split]["label_ids"]),
        )

    model = make_model(label_space, "train")
    tell(f"{type(model).__name__}: {num_parameters(model):,} parameters, {len(label_space)} labels")
    planted = bool(getattr(model, "planted_parameters", ()))
    unread = without_effect(given, model.config if base is None else None, has_planted_parameters=planted)
    unread += without_cycles(given, model.config, is_new=base is None)
    unread += without_relations(given, model.config)
    if unread:
        tell(f"without effect here: {', '.join(unread)}")
    rows = TrainingRows(splits["train"], encoded["train"])
    beginning.begin(model, step, processor, rows, is_resumed=checkpoint is not None)
    if checkpoint is not None:
        check_sets_of(checkpoint, model)

    trainer = architecture.trainer(
        model,
        args,
        label_space=label_space,
        train_dataset=encoded["train"],
        eval_dataset=encoded["validation"],
        data_collator=step.collator(processor, len(label_space)),
        processing_class=processor,
        **further_inputs,
    )
    if main_process:
        output.mkdir(parents=True, exist_ok=True)
        write_json(output / RUN_FILE, identity)
    training = Stopwatch()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    cost = {**trainer.cost(training), "resumed": checkpoint is not None}
    beginning.end()
    compress_tables(trainer, table_dtype, tell=tell)
    search = trainer.tune_search()
    if search is not None:
        weight = "" if search.rescoring_weight is None else f", rescoring weight {search.rescoring_weight:g}"
        rules = f"end bias {search.end_bias:g}, at least {search.min_labels} labels{weight}"
        tell(f"search from validation: {rules} ({search.metric} {search.value:.4f})")
    choice = trainer.tune_thresholds()
    if trainer.smallest_set is not None:
        values = ", ".join(f"{one['value']:.4f} with {one['min_labels']}" for one in trainer.smallest_set.tried)
        tell(
            f"smallest label set from validation: {trainer.smallest_set.min_labels} ({trainer.smallest_set.metric} {values})"
        )
    if choice is not None:
        shown = f"{choice.thresholds:.3f}" if isinstance(choice.thresholds, float) else "one a label"
        tell(f"thresholds from validation: {shown}, at least {choice.min_labels} labels")
    trainer.evaluate()
    chosen_by, refit_facts = trainer, None
    if data_args.refit:
        tell("training anew, on training and validation rows")
        label_space = _counted_on_both(splits, label_space, step)
        if base is not None:
            base = load_model(model_args.model_name_or_path, device="cpu")
        set_seed(args.seed)
        model = make_model(label_space, "train", "validation")
        both = TrainingRows(
            *(concatenate_datasets([parts["train"], parts["validation"]]) for parts in (splits, encoded))
        )
        beginning.begin(model, step, processor, rows, counted=both)
        trainer, refit_facts = refit(trainer, model, label_space, [encoded["train"], encoded["validation"]])
        beginning.end()
        compress_tables(trainer, table_dtype, tell=tell)
    trainer.save_model(_internal_call=True)  # by itself it would push, and the results are yet to come

    # the one look at the test split, after every choice was made
    if args.do_predict:
        # a test split that can't be read ends the run here; the same command goes on from here once it can
        with args.main_process_first(desc="reading the test split"):
            test_split = load_rows(data_args, hub_args, step.columns(processor), only=step.split_read("test"))
            test_split = step.arranged(test_split, "test")
            test_report = check_splits(test_split, label_space, noun=step.kind.noun, train=splits["train"])
            encoded_test = step.encoded(test_split, processor, label_space, test_report)
        trainer.evaluate_test(encoded_test["test"])
        for key, facts in facts_of_splits(test_split).items():
            data_facts[key] = {**data_facts[key], **facts}
    if not main_process:
        if args.push_to_hub:
            trainer.push_to_hub()
        return
    results = run_results(chosen_by)
    before = seconds_before_resuming(cost, refit_facts) or {"seconds": 0.0}
    results["training"] |= {**cost, "total_seconds": round(stopwatch.read()["seconds"] + before["seconds"], 2)}
    results |= {
        "recipe": identity["arguments"],
        "data": data_facts,
        **beginning.facts,
        **step.facts,
        "refit": refit_facts,
        "test": run_results(trainer)["test"],
    }
    write_json(output / RESULTS_FILE, results)
    of_refit = output / REFIT_FOLDER / CYCLE_FOLDER
    if args.keep_cycle_files and of_refit.is_dir():  # those of the model that is saved
        shutil.rmtree(output / CYCLE_FOLDER, ignore_errors=True)
        shutil.move(of_refit, output / CYCLE_FOLDER)
    for folder in (REFIT_FOLDER, PLANTING_FOLDER, CYCLE_FOLDER)[: 2 if args.keep_cycle_files else 3]:
        shutil.rmtree(output / folder, ignore_errors=True)
    for name in (PLANTING_FILE, WORD_VECTORS_FILE):
        (output / name).unlink(missing_ok=True)
    validation = "validation, before the second training" if data_args.refit else "validation"
    measured = {validation: results["validation"], "test": results["test"]}
    tell(metrics_table({split: metrics for split, metrics in measured.items() if metrics}))
    if is_kept:
        tell(f"saved in {output}")
    if args.push_to_hub:
        trainer.has_results = True
        trainer.push_to_hub()
        tell(f"published as {trainer.hub_model_id}")


def _counted_on_both(splits: DatasetDict, label_space: LabelSpace, step: InputStep) -> LabelSpace:
    """The label space with counts of training and validation rows; labels that validation rows alone hold are none of it."""
    lists = [labels for split in ("train", "validation") for labels in step.target_lists(splits[split])]
    return label_space.counted(label_space.decode(label_space.encode_known(labels)[0]) for labels in lists)
