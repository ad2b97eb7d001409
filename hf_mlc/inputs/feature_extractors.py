"""What tables and events share as kinds of input: a processor of ours, saved as preprocessor_config.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from transformers import AutoFeatureExtractor

from hf_mlc.data.encoding import state_of
from hf_mlc.errors import UserError, first_line
from hf_mlc.hub_reading import hub_problem
from hf_mlc.inputs.kind import InputKind


_FILE = "preprocessor_config.json"


class FeatureExtractorInput(InputKind):
    """A kind whose processor is a feature extractor of ours.

    Attributes:
        processor_reads (`str`): what messages say that it reads: "a table".
    """

    processor_reads: ClassVar[str]

    def load_processor(
        self,
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        field: str | None = None,
        shown_as: str | None = None,
    ) -> Any:
        accepted = f"a Hub id or a folder, with a whole {_FILE} of {self.processor_reads}"
        try:
            processor = AutoFeatureExtractor.from_pretrained(
                name_or_path, revision=revision, token=token, trust_remote_code=False
            )
            is_ours = isinstance(processor, self.processor_class)
            problem = None if is_ours else f"a {type(processor).__name__}"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            found = hub_problem(error) if not Path(name_or_path).is_dir() else None
            without = Path(name_or_path).is_dir() and not Path(name_or_path, _FILE).exists()
            problem, accepted = found or (f"there is no {_FILE}" if without else first_line(error), accepted)
        if problem is not None:
            raise UserError(
                f"no {self.processor_noun} ({problem})",
                file=shown_as or name_or_path,
                field=field,
                accepted=accepted,
            ) from None
        return processor

    def processor_state(self, processor: Any) -> str:
        return state_of(processor)
