"""A new model of a configuration and a label space: what every training begins with, in Python as in `train`."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from hf_mlc.auto import architecture_of
from hf_mlc.errors import UserError
from hf_mlc.label_orders import fill_label_ranks
from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel


def build_model(
    config: MultiLabelConfig,
    label_space: LabelSpace,
    *,
    order_is_given: bool = False,
    label_ids: Iterable[Iterable[int]] | None = None,
) -> MultiLabelPreTrainedModel:
    """A model with random weights that starts at the labels' shares of the training rows.

    Args:
        config (`MultiLabelConfig`): of any architecture; changed in place: it gets names, number and counts of the labels, and
            their order where the architecture writes them one after another.
        label_space ([`~hf_mlc.labels.LabelSpace`]): with the counts of the rows that are trained on.
        order_is_given (`bool`, *optional*, defaults to `False`): whether the order of the labels is the user's; read where an order
            is `"given"`.
        label_ids (iterable of lists, *optional*): the labels of each training row; read where an order is made of them
            (`"seriation"`).

    Returns:
        `MultiLabelPreTrainedModel`: of the class that goes with `config`; on the CPU.

    Raises:
        `UserError`: a label space without counts, a configuration that isn't one of ours, sizes that don't go together.

    Example:
        >>> from hf_mlc.modeling.configuration_plant import PlantConfig
        >>> space = LabelSpace.from_label_lists([["a"], ["a", "b"], ["a"]])
        >>> model = build_model(PlantConfig(encoder="bag_of_words", hidden_size=8), space)
        >>> model.config.id2label, [round(log_odds, 2) for log_odds in model.output_bias().tolist()]
        ({0: 'a', 1: 'b'}, [1.95, -0.51])
    """
    if label_space.counts is None:
        raise UserError("no training counts", field="label_space", accepted="LabelSpace.from_label_lists, or counted")
    architecture = architecture_of(config.model_type)
    store_label_space(config, label_space)
    fill_label_ranks(config, label_space, order_is_given=order_is_given, label_ids=label_ids)
    try:
        model = architecture.model(config)
    except ValueError as error:  # sizes that only the built encoder can tell
        raise UserError(str(error), field="configuration") from None
    model.set_training_statistics(torch.from_numpy(label_space.counts), label_space.num_documents)
    return model
