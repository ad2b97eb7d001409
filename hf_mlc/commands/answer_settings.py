"""`--override`: other settings of a trained model's search and decision for one command, of which no weight depends."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from hf_mlc.commands.config_arguments import config_names, read_field
from hf_mlc.errors import UserError
from hf_mlc.inference import LoadedModel


# fields of configurations that only say how answers are found
ANSWERING = (
    "decision", "scores", "decoding", "num_beams", "num_samples", "min_labels", "max_labels", "end_bias",
    "rescoring_weight", "known_set_weight", "unmasking_rounds", "hnsw_ef",
)  # fmt: skip
HELP = f"NAME=VALUE ...: the search and the decision for this command; {', '.join(ANSWERING)}."


def override(loaded: LoadedModel, words: Sequence[str] | None) -> dict[str, Any]:
    """Sets fields of the loaded model's configuration; thresholds stay those of its own settings.

    Args:
        loaded (`LoadedModel`): changed in place.
        words (`Sequence[str]`, *optional*): `decoding=greedy`, `num_beams=1`.

    Returns:
        What was set, by name.

    Raises:
        `UserError`: no NAME=VALUE, a field that the model doesn't have or that is not about answers, a value that the
            configuration refuses, an exported model.
    """
    if not words:
        return {}
    config = loaded.model.config
    if not hasattr(loaded.model, "parameters"):
        accepted = "a model with weights, not an exported graph"
        raise UserError("given with a graph, whose answers are fixed", field="override", accepted=accepted)
    known = [name for name in ANSWERING if name in config_names(type(config))]
    fields = {field.name: field for field in dataclasses.fields(config)}
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        name = name.replace("-", "_")
        if not equals or name not in known:
            problem = f"found '{word}'" if not equals else f"a model of the type '{config.model_type}' has no '{name}'"
            raise UserError(problem, field="override", accepted=f"NAME=VALUE of {', '.join(known)}")
        values[name] = read_field(fields[name], value)
    for name, value in values.items():
        setattr(config, name, value)
    config.validate()
    return values
