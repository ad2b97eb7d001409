"""Opening the processor of a table's or an event model's: a preprocessor_config.json that names a class of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from transformers import AutoFeatureExtractor

from hf_mlc.errors import UserError, first_line
from hf_mlc.hub_reading import hub_problem


Processor = TypeVar("Processor")
_FILE = "preprocessor_config.json"


def load_feature_extractor(
    kind: type[Processor],
    name_or_path: str | Path,
    *,
    noun: str,
    of: str,
    revision: str | None,
    field: str | None,
    shown_as: str | None,
) -> Processor:
    """The processor of a folder or a Hub repository; code from there is not run.

    Args:
        kind (`type`): what it must be.
        name_or_path (`str` or `Path`): a folder or a Hub id.
        noun (`str`): what the error message calls it.
        of (`str`): what it reads, likewise.
        revision, field, shown_as: as of [`~hf_mlc.inputs.kind.InputKind.load_processor`].

    Raises:
        `UserError`: there is none, it can't be read, or it is of another kind.
    """
    accepted = f"a Hub id or a folder, with a whole {_FILE} of {of}"
    try:
        processor = AutoFeatureExtractor.from_pretrained(name_or_path, revision=revision, trust_remote_code=False)
        problem = None if isinstance(processor, kind) else f"a {type(processor).__name__}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        found = hub_problem(error) if not Path(name_or_path).is_dir() else None
        without = Path(name_or_path).is_dir() and not Path(name_or_path, _FILE).exists()
        problem, accepted = found or (f"there is no {_FILE}" if without else first_line(error), accepted)
    if problem is not None:
        raise UserError(
            f"no {noun} ({problem})", file=shown_as or name_or_path, field=field, accepted=accepted
        ) from None
    return processor
