"""Small tables of labels and tokens for a model that is done training, so that what is measured is what is saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hf_mlc.errors import UserError
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.training.trainer import MultiLabelTrainer


FULL = "float32"


def take_table_dtype(settings: dict[str, Any], config_class: type[MultiLabelConfig]) -> str:
    """The `table_dtype` that was asked for, out of the configuration's fields: what is trained is in full precision.

    Args:
        settings (`dict`): fields of the configuration that were given; changed in place where the architecture has this one.
        config_class (`type`): the architecture's.
    """
    return settings.pop("table_dtype", FULL) if hasattr(config_class, "table_dtype") else FULL


def check_trainable(config: MultiLabelConfig, name: str) -> None:
    """`UserError` for a trained model whose tables were compressed: rounded numbers have no gradients."""
    found = getattr(config, "table_dtype", FULL)
    if found != FULL:
        raise UserError(
            f"its tables are {found}, to predict with",
            file=name,
            field="model_name_or_path",
            accepted=f"a model with tables of {FULL}",
        )


def compress_tables(
    trainer: MultiLabelTrainer, dtype: str, *, tell: Callable[[str], None] = lambda text: None
) -> None:
    """Puts a model with smaller tables in the trained one's place, before anything is tuned or measured on it.

    Args:
        trainer (`MultiLabelTrainer`): done training.
        dtype (`str`): of the tables; with `"float32"` nothing changes.
        tell (*optional*): gets a line of what it saves.
    """
    if dtype == FULL:
        return
    before = sum(trainer.model.table_bytes().values())
    trainer.model = trainer.model_wrapped = trainer.model.compress(dtype)
    tell(f"tables in {dtype}: {sum(trainer.model.table_bytes().values()):,} bytes of {before:,}")
