"""The kinds of input that models read, one file a kind. Everything around the models asks the kind, and branches nowhere.

`MultiLabelConfig.input_kind` names the kind that a model reads; [`input_kind_of`] gives it.

To add a kind, say "sound":

1. `modeling/configuration_multi_label.py`: the name of the encoder that reads it, in `ENCODER_INPUTS`; every configuration with
   that `encoder`, an ensemble of such models too, then says so by itself.
2. `hf_mlc/data/contents/sound.py`: a [`~hf_mlc.data.contents.content.Content`], how one row of it is checked, stored in Arrow
   and compared with another; its instance into `CONTENTS`. Its columns become fields of [`~hf_mlc.data.rows.Columns`].
3. `hf_mlc/inputs/sound.py`: an [`~hf_mlc.inputs.kind.InputKind`], how a model's processor is loaded and what it makes of
   items; its instance into `INPUT_KINDS` here. Prediction, evaluation, ensembles, cards and publishing now know it.
4. `hf_mlc/commands/column_arguments.py`: the arguments that name its columns.
5. `hf_mlc/commands/train_sound.py`: an [`~hf_mlc.commands.train_inputs.InputStep`], the arguments with which `train` makes a
   processor and a configuration of it; into `STEPS` of `hf_mlc/commands/train_steps.py`. `train` now knows it.
6. A pipeline in `modeling/`, registered in `hf_mlc/auto.py`, for those who load a model without this package.

`tests/inputs/test_kinds.py` runs every kind of the table through what all of them promise.
"""

from __future__ import annotations

from pathlib import Path

from hf_mlc.inputs.event import EventInput
from hf_mlc.inputs.image import ImageInput
from hf_mlc.inputs.kind import InputKind
from hf_mlc.inputs.sparse import SparseInput
from hf_mlc.inputs.table import TableInput
from hf_mlc.inputs.text import TextInput
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig


TEXTS, IMAGES, TABLES, EVENTS, SPARSE = TextInput(), ImageInput(), TableInput(), EventInput(), SparseInput()
INPUT_KINDS: dict[str, InputKind] = {kind.name: kind for kind in (TEXTS, IMAGES, TABLES, EVENTS, SPARSE)}


def input_kind_of(config: MultiLabelConfig) -> InputKind:
    """What a model of this configuration reads."""
    return INPUT_KINDS[config.input_kind]


def items_in(place: str | Path) -> tuple[InputKind, list[Path]] | None:
    """A file that is itself an item (a picture), or those of a folder, and what kind they are; `None` for a file of rows.

    Raises:
        `UserError`: a folder in which there are none.
    """
    for kind in INPUT_KINDS.values():
        files = kind.files_in(place)
        if files is not None:
            return kind, files
    return None


__all__ = ["EVENTS", "IMAGES", "INPUT_KINDS", "SPARSE", "TABLES", "TEXTS", "InputKind", "input_kind_of", "items_in"]
