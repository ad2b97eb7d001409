"""What `train` may be told of MSDN that nothing reads where another setting is not the one that it belongs to."""

from __future__ import annotations

from collections.abc import Iterable

from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig


# by name, the setting and the value of it that a field of the configuration is of
_OF_ONE_VALUE = {
    "known_set_weight": ("known_sets", "favour"),
    "forest_trees": ("has_forest", True),
    "forest_max_features": ("has_forest", True),
    "forest_min_rows": ("has_forest", True),
    "numeric_bins": ("numeric_embedding", "piecewise_linear"),
    "numeric_frequencies": ("numeric_embedding", "periodic"),
    "numeric_frequency_std": ("numeric_embedding", "periodic"),
}


def _unread(config: MultiLabelConfig) -> set[str]:
    """Fields that nothing reads with this configuration."""
    unread = {name for name, (of, value) in _OF_ONE_VALUE.items() if getattr(config, of) != value}
    if config.label_order != "random" and config.num_orders == 1:
        unread.add("label_order_seed")
    if config.variant == "causal" and config.known_sets == "restrict":
        unread.add("decoding")  # each known set is scored as a whole
    return unread


def without_relations(given: Iterable[str], config: MultiLabelConfig) -> list[str]:
    """Which of the given arguments are about label orders, decoding, known label sets, a forest over them or embeddings of numbers, and
    are read by nothing in a model of this configuration.

    Args:
        given (iterable of `str`): names of arguments of `train`.
        config (`MultiLabelConfig`): the model's; of other architectures these arguments are an error already.
    """
    if config.model_type != "msdn":
        return []
    return sorted(_unread(config).intersection(given))
