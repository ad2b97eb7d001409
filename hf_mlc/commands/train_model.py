"""The model of a training run: a new one of the asked architecture, or the trained one that training goes on from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hf_mlc.auto import ARCHITECTURES, architecture_of
from hf_mlc.building import build_model
from hf_mlc.commands.config_arguments import config_names
from hf_mlc.commands.train_arguments import TRAINED, ModelArguments
from hf_mlc.commands.train_inputs import InputStep
from hf_mlc.errors import UserError
from hf_mlc.inference import LoadedModel
from hf_mlc.label_rules import read_label_rules
from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel


# of a trained model's configuration: what no weight depends on
CHANGEABLE = {
    "loss", "loss_reduction", "label_smoothing", "focal_gamma", "asymmetric_gamma_positive", "asymmetric_gamma_negative",
    "asymmetric_clip", "thresholds", "min_labels", "decision", "scores", "num_beams", "max_labels", "end_bias",
    "rescoring_weight", "label_parents", "label_exclusions", "sequence_loss", "alignment", "ocd_sample_rate",
    "set_bce_weight", "decoding", "num_samples", "known_sets", "known_set_weight", "forest_weight", "forest_trees",
    "forest_max_features", "forest_min_rows", "unmasking_rounds", "false_history_rate",
    "sparse_gradients", "hnsw_threads", "shortlist_size", "max_positives", "shared_shortlist", "cycle_epochs", "proxy_epochs", "proxy_learning_rate",
    "proxy_batch_size", "beta", "scoring", "index", "hnsw_m", "hnsw_ef_construction", "hnsw_ef", "hnsw_cache", "block_size",
}  # fmt: skip


def check_trained(model_type: str, model_args: ModelArguments) -> None:
    """`UserError` for an architecture that is put together of trained models."""
    if model_type in ARCHITECTURES and not ARCHITECTURES[model_type].trained:
        field = "model_type" if model_args.model_name_or_path is None else "model_name_or_path"
        accepted = f"one of {', '.join(TRAINED)}; of trained models, hf-mlc {model_type} makes one"
        raise UserError(f"a model of the type '{model_type}' isn't trained", field=field, accepted=accepted)


def with_label_rules(
    settings: dict[str, Any], file: str | None, model_type: str, label_space: LabelSpace
) -> dict[str, Any]:
    """The settings with what a file of `--label_rules` adds to them; `UserError` where they have it already, or no use for it."""
    if file is None:
        return settings
    if "label_parents" not in config_names(architecture_of(model_type).config):
        raise UserError(f"a model of the type '{model_type}' has no such rules", field="label_rules", accepted="sgm")
    rules = read_label_rules(file, label_space)
    for name in rules:
        if name in settings:
            raise UserError("given beside label_rules, which has it too", field=name, accepted="one of the two")
    return {**settings, **rules}


def trained_model(base: LoadedModel, settings: dict[str, Any], label_space: LabelSpace) -> MultiLabelPreTrainedModel:
    """The model to go on from, with the fields of its configuration that were given anew and the new training counts."""
    config = base.model.config
    known = set(config_names(type(config)))
    for name, value in settings.items():
        if name not in CHANGEABLE:
            raise UserError(
                f"a trained model's {name} can't be changed", field=name, accepted=", ".join(sorted(CHANGEABLE))
            )
        if name not in known:
            accepted = ", ".join(sorted(CHANGEABLE & known))
            raise UserError(f"a model of the type '{config.model_type}' has none", field=name, accepted=accepted)
        setattr(config, name, value)
    config.validate()
    if "sparse_gradients" in settings:
        base.model.take_up_sparse_gradients()
    base.model.float()  # of a model that was saved in half precision: steps are far smaller than its numbers' digits
    store_label_space(config, label_space)
    return base.model


def new_model(
    model_type: str,
    settings: dict[str, Any],
    step: InputStep,
    processor: Any,
    label_space: LabelSpace,
    *,
    order_is_given: bool,
    label_ids: Iterable[Iterable[int]] | None = None,
) -> MultiLabelPreTrainedModel:
    """A model of an architecture, with the label space in its configuration and pretrained weights where some are named.

    Args:
        model_type (`str`): the architecture.
        settings (`dict`): fields of its configuration that were given.
        step ([`~hf_mlc.commands.train_inputs.InputStep`]): of its kind of input.
        processor: the tokenizer, image processor, ...
        label_space ([`~hf_mlc.labels.LabelSpace`]): with training counts.
        order_is_given (`bool`): whether the order of the labels is the user's.
        label_ids (iterable of lists, *optional*): the labels of each training row, for an order that they decide.

    Raises:
        `UserError`: a field that the architecture doesn't have, sizes that don't go together.
    """
    architecture = architecture_of(model_type)
    unknown = set(settings) - set(config_names(architecture.config))
    if unknown:
        raise UserError(f"{model_type} has no argument '{min(unknown)}'", field=min(unknown))
    config = architecture.config(num_labels=len(label_space), **step.settings(settings, processor))
    model = build_model(config, label_space, order_is_given=order_is_given, label_ids=label_ids)
    step.load_weights(model)
    return model
