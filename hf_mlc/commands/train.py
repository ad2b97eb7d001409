"""`train`: a recipe and a data set become a model folder with weights, tokenizer, tuned thresholds and results.json."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, DatasetDict, concatenate_datasets
from transformers import AutoConfig, PreTrainedTokenizerBase, set_seed

from hf_mlc.auto import ARCHITECTURES, architecture_of
from hf_mlc.commands.config_arguments import config_names
from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.commands.running import say, write_json
from hf_mlc.commands.train_arguments import TRAINED, DataArguments, ModelArguments
from hf_mlc.commands.train_encoder import EncoderPreparation
from hf_mlc.commands.train_folder import (
    RUN_FILE,
    checkpoint_to_resume,
    comparable,
    facts_of_data,
    facts_of_splits,
    prepare_output,
)
from hf_mlc.commands.train_images import ImageArguments, PictureStep
from hf_mlc.data import (
    DataReport,
    add_validation_split,
    check_splits,
    load_splits,
    texts_of,
    tokenize_splits,
    train_tokenizer,
)
from hf_mlc.errors import UserError
from hf_mlc.inference import LoadedModel, load_model, load_tokenizer
from hf_mlc.label_orders import fill_label_ranks
from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.language_modeling import LanguageModelArguments
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.modeling.text_encoder import load_pretrained_encoder
from hf_mlc.planting.arguments import PlantingArguments, without_effect
from hf_mlc.planting.step import PLANTING_FILE, plant_for_training
from hf_mlc.run_facts import Stopwatch, num_parameters
from hf_mlc.tables import metrics_table
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.lora import LoraArguments
from hf_mlc.training.refitting import REFIT_FOLDER, check_refit, refit
from hf_mlc.training.results import RESULTS_FILE, run_results
from hf_mlc.word_vectors.arguments import WordVectorArguments
from hf_mlc.word_vectors.lsa import fill_for_training
from hf_mlc.word_vectors.step import WORD_VECTORS_FILE, WordVectorStep


# of a trained model's configuration: what no weight depends on
CHANGEABLE = {
    "loss", "loss_reduction", "label_smoothing", "focal_gamma", "asymmetric_gamma_positive", "asymmetric_gamma_negative",
    "asymmetric_clip", "thresholds", "min_labels", "decision", "scores", "num_beams", "max_labels", "end_bias",
    "rescoring_weight", "label_parents", "label_exclusions", "sequence_loss", "alignment", "ocd_sample_rate",
    "set_bce_weight",
}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Trains by `arguments` (`--config recipe.yaml`, then anything on top)."""
    stopwatch = Stopwatch()
    (model_args, data_args, image_args, *encoder_args, vector_args, planting_args, args), settings, given = (
        parse_arguments(
            (
                ModelArguments,
                DataArguments,
                ImageArguments,
                LanguageModelArguments,
                LoraArguments,
                WordVectorArguments,
                PlantingArguments,
                MultiLabelTrainingArguments,
            ),
            arguments,
            config_classes=[row.config for row in ARCHITECTURES.values() if row.trained],
        )
    )
    if data_args.refit:
        check_refit(args)
    preparation = EncoderPreparation(*encoder_args, model_args, data_args, args)
    word_vectors = WordVectorStep(
        vector_args,
        model_type=model_args.model_type,
        others={
            "model_name_or_path": model_args.model_name_or_path,
            "text_encoder": model_args.text_encoder,
            "language_model_epochs": preparation.stage is not None,
        },
        args=args,
    )
    settings = word_vectors.settings(preparation.settings(settings))
    main_process = args.process_index == 0
    tell = say if main_process else (lambda text: None)
    output = Path(args.output_dir)
    with args.main_process_first(desc="preparing the output folder"):
        if main_process:
            prepare_output(output, args)
    set_seed(args.seed)

    base = load_model(model_args.model_name_or_path, device="cpu") if model_args.model_name_or_path else None
    _check_trained(model_args.model_type if base is None else base.model.config.model_type, model_args)
    pictures = PictureStep(image_args, settings, given, base)
    with args.main_process_first(desc="reading the data"):
        splits = _load(data_args, pictures, skip=["test"])
        if "train" not in splits:
            raise UserError("no training rows", field="dataset_name", accepted="a data set with a training split")
        splits, label_space, lines = _label_space_and_validation(splits, data_args, args.seed, base)
    report = check_splits(splits, label_space)
    identity = {"arguments": comparable(given), "data": facts_of_data(splits, label_space, data_args)}
    checkpoint = checkpoint_to_resume(output, args, identity)

    tokenizer = (  # of pictures, the image processor in its place
        pictures.processor(checkpoint)
        if pictures.wanted
        else _tokenizer(model_args, data_args, splits["train"], base, checkpoint)
    )
    with args.main_process_first(desc="tokenising"):
        encoded = _tokenized(splits, tokenizer, label_space, data_args, pictures, report)
    for line in [str(report), *lines]:
        tell(line)
    model = _model(model_args, settings, base, tokenizer, label_space, data_args, pictures)
    tell(f"{type(model).__name__}: {num_parameters(model):,} parameters, {len(label_space)} labels")
    unread = without_effect(given, model.config if base is None else None)
    if unread:
        tell(f"without effect here: {', '.join(unread)}")
    preparation.begin(model, tokenizer, pictures.texts(splits["train"]), tell)

    def begin_word_vectors(new_model: MultiLabelPreTrainedModel, *, is_resumed: bool = False) -> None:
        if vector_args.word_vectors is None:
            return
        word_vectors.begin(
            new_model,
            tokenizer,
            pictures.token_ids(encoded["train"]),
            pictures.texts(splits["train"]),
            tell,
            text_column=data_args.text_column,
            is_resumed=is_resumed,
        )

    begin_word_vectors(model, is_resumed=checkpoint is not None)
    planted, tfidf = None, None
    if base is None and checkpoint is None:
        tfidf = fill_for_training(model, pictures.token_ids(encoded["train"]), args)
    if base is None:  # a trained model has been planted, or is not to be
        planted = plant_for_training(
            model,
            splits["train"],
            encoded["train"],
            tokenizer,
            planting_args,
            args,
            is_resumed=checkpoint is not None,
        )

    architecture = architecture_of(model.config.model_type)
    trainer = architecture.trainer(
        model,
        args,
        label_space=label_space,
        train_dataset=encoded["train"],
        eval_dataset=encoded["validation"],
        data_collator=pictures.collator(tokenizer, len(label_space), data_args)
        if pictures.wanted
        else architecture.collator(
            tokenizer,
            len(label_space),
            targets=data_args.targets,
            pad_to_multiple_of=data_args.pad_to_multiple_of,
        ),
        processing_class=tokenizer,
    )
    if main_process:
        output.mkdir(parents=True, exist_ok=True)
        write_json(output / RUN_FILE, identity)
    training = Stopwatch()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    cost = {**training.read(), "resumed": checkpoint is not None}
    preparation.end()
    search = trainer.tune_search()
    if search is not None:
        weight = "" if search.rescoring_weight is None else f", rescoring weight {search.rescoring_weight:g}"
        tell(f"search from validation: end bias {search.end_bias:g}{weight} ({search.metric} {search.value:.4f})")
    choice = trainer.tune_thresholds()
    if choice is not None:
        shown = f"{choice.thresholds:.3f}" if isinstance(choice.thresholds, float) else "one a label"
        tell(f"thresholds from validation: {shown}, at least {choice.min_labels} labels")
    trainer.evaluate()
    chosen_by, refit_facts = trainer, None
    if data_args.refit:
        tell("training anew, on training and validation rows")
        lists = [labels for split in ("train", "validation") for labels in splits[split]["labels"]]
        # a label that validation rows alone hold is none of the model's
        label_space = label_space.counted(label_space.decode(label_space.encode_known(labels)[0]) for labels in lists)
        if base is not None:
            base = load_model(model_args.model_name_or_path, device="cpu")
        set_seed(args.seed)
        model = _model(model_args, settings, base, tokenizer, label_space, data_args, pictures)
        preparation.begin(model, tokenizer, pictures.texts(splits["train"]), tell)
        begin_word_vectors(model)
        if base is None:
            both = [concatenate_datasets([parts["train"], parts["validation"]]) for parts in (splits, encoded)]
            tfidf = fill_for_training(model, pictures.token_ids(both[1]), args)
            planted = plant_for_training(model, *both, tokenizer, planting_args, args)
        trainer, refit_facts = refit(trainer, model, label_space, [encoded["train"], encoded["validation"]])
        preparation.end()
    trainer.save_model(_internal_call=True)  # by itself it would push, and the results are yet to come

    # the one look at the test split, after every choice was made
    data_facts = identity["data"]
    if args.do_predict:
        with args.main_process_first(desc="reading the test split"):
            test_split = _load(data_args, pictures, only="test")
            test_report = check_splits(test_split)
            encoded_test = _tokenized(test_split, tokenizer, label_space, data_args, pictures, test_report)
        trainer.evaluate_test(encoded_test["test"])
        for key, facts in facts_of_splits(test_split).items():
            data_facts[key] = {**data_facts[key], **facts}
    if not main_process:
        if args.push_to_hub:
            trainer.push_to_hub()
        return
    results = run_results(chosen_by)
    results["training"] |= {**cost, "total_seconds": stopwatch.read()["seconds"]}
    results |= {
        "recipe": identity["arguments"],
        "data": data_facts,
        "language_model": preparation.facts,
        "word_vectors": word_vectors.facts,
        "tfidf_path": tfidf,
        "planting": planted,
        "refit": refit_facts,
        "test": run_results(trainer)["test"],
    }
    write_json(output / RESULTS_FILE, results)
    shutil.rmtree(output / REFIT_FOLDER, ignore_errors=True)
    for name in (PLANTING_FILE, WORD_VECTORS_FILE):
        (output / name).unlink(missing_ok=True)
    validation = "validation, before the second training" if data_args.refit else "validation"
    measured = {validation: results["validation"], "test": results["test"]}
    tell(metrics_table({split: metrics for split, metrics in measured.items() if metrics}))
    tell(f"saved in {output}")
    if args.push_to_hub:
        trainer.has_results = True
        trainer.push_to_hub()
        tell(f"published as {trainer.hub_model_id}")


def _check_trained(model_type: str, model_args: ModelArguments) -> None:
    """`UserError` for an architecture that is put together of trained models."""
    if model_type in ARCHITECTURES and not ARCHITECTURES[model_type].trained:
        field = "model_type" if model_args.model_name_or_path is None else "model_name_or_path"
        accepted = f"one of {', '.join(TRAINED)}; of trained models, hf-mlc {model_type} makes one"
        raise UserError(f"a model of the type '{model_type}' isn't trained", field=field, accepted=accepted)


def _load(
    data_args: DataArguments, pictures: PictureStep, *, skip: Sequence[str] = (), only: str | None = None
) -> DatasetDict:
    most = {"train": data_args.max_train_samples, "validation": data_args.max_eval_samples}
    return load_splits(
        data_args.dataset_name,
        config_name=data_args.dataset_config_name,
        revision=data_args.dataset_revision,
        train_file=data_args.train_file,
        validation_file=data_args.validation_file,
        test_file=data_args.test_file,
        columns=pictures.columns(data_args.columns()),
        splits=None if only is None else [only],
        skip=skip,
        max_samples={split: number for split, number in most.items() if number is not None},
    )


def _tokenized(
    splits: DatasetDict,
    tokenizer: PreTrainedTokenizerBase,
    label_space: LabelSpace,
    data_args: DataArguments,
    pictures: PictureStep,
    report: DataReport,
) -> DatasetDict:
    if pictures.wanted:
        return pictures.encoded(splits, label_space, report)
    return tokenize_splits(
        splits,
        tokenizer,
        label_space,
        max_length=data_args.max_length,
        num_proc=data_args.preprocessing_num_workers,
        report=report,
    )


def _label_space_and_validation(
    splits: DatasetDict, data_args: DataArguments, seed: int, base: LoadedModel | None
) -> tuple[DatasetDict, LabelSpace, list[str]]:
    """The label space, and the splits with a validation part.

    Names come from all training rows, set-aside ones too; counts only from the rows that are trained on.
    """
    source = data_args.dataset_name or data_args.train_file
    if base is not None:
        label_space = base.label_space
    elif data_args.label_file is not None:
        label_space = LabelSpace.load(data_args.label_file)
    else:
        label_space = LabelSpace.from_label_lists(splits["train"]["labels"], file=source)
    lines = []
    if "validation" not in splits:
        splits, report = add_validation_split(
            splits, label_space, fraction=data_args.validation_fraction, seed=seed, file=source
        )
        lines = ["validation rows set aside from training (part 0: train, part 1: validation)", str(report)]
    label_space = label_space.counted(splits["train"]["labels"], file=source)
    return splits, label_space, lines


def _tokenizer(
    model_args: ModelArguments,
    data_args: DataArguments,
    train: Dataset,
    base: LoadedModel | None,
    checkpoint: Path | None,
) -> PreTrainedTokenizerBase:
    if checkpoint is not None:
        return load_tokenizer(str(checkpoint), field="resume_from_checkpoint")
    if base is not None:
        base.tokenizer.model_max_length = data_args.max_length
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
    revision = model_args.text_encoder_revision if name == model_args.text_encoder else None
    field = "tokenizer_name" if model_args.tokenizer_name else "text_encoder"
    tokenizer = load_tokenizer(name, revision=revision, field=field)
    tokenizer.model_max_length = data_args.max_length
    return tokenizer


def _model(
    model_args: ModelArguments,
    settings: dict[str, Any],
    base: LoadedModel | None,
    tokenizer: PreTrainedTokenizerBase,
    label_space: LabelSpace,
    data_args: DataArguments,
    pictures: PictureStep,
) -> MultiLabelPreTrainedModel:
    """The trained model to go on from, or a new one of the asked architecture; the label space is in its configuration."""
    if base is not None:
        for name, value in settings.items():
            if name not in CHANGEABLE:
                raise UserError(
                    f"a trained model's {name} can't be changed", field=name, accepted=", ".join(sorted(CHANGEABLE))
                )
            setattr(base.model.config, name, value)
        base.model.config.validate()
        store_label_space(base.model.config, label_space)
        return base.model
    architecture = architecture_of(model_args.model_type)
    unknown = set(settings) - set(config_names(architecture.config))
    if unknown:
        raise UserError(f"{model_args.model_type} has no argument '{min(unknown)}'", field=min(unknown))
    settings = pictures.settings({"max_position_embeddings": data_args.max_length, **settings})
    if model_args.text_encoder is not None:
        try:
            settings["text_config"] = AutoConfig.from_pretrained(
                model_args.text_encoder, revision=model_args.text_encoder_revision, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise UserError(
                f"no readable config.json ({str(error).splitlines()[0]})",
                file=model_args.text_encoder,
                field="text_encoder",
                accepted="a Hub id or a folder, of one of transformers' own kinds",
            ) from None
    if not pictures.wanted:
        settings |= {
            "vocab_size": len(tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
            "unk_token_id": tokenizer.unk_token_id,
        }
    config = architecture.config(num_labels=len(label_space), **settings)
    store_label_space(config, label_space)
    fill_label_ranks(config, label_space, order_is_given=data_args.label_file is not None)
    try:
        model = architecture.model(config)
    except ValueError as error:  # sizes that only the built encoder can tell
        raise UserError(str(error), field="configuration") from None
    model.set_training_statistics(torch.from_numpy(label_space.counts), label_space.num_documents)
    if model_args.text_encoder is not None:
        load_pretrained_encoder(model.encoder, model_args.text_encoder, revision=model_args.text_encoder_revision)
    pictures.load_weights(model)
    return model
