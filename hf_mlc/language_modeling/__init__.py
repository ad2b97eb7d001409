"""The stage before classification: the encoder learns the language of the texts by predicting each next token."""

from hf_mlc.language_modeling.arguments import LanguageModelArguments
from hf_mlc.language_modeling.model import LanguageModel, read_head
from hf_mlc.language_modeling.stage import LANGUAGE_MODEL_FOLDER, LanguageModelStage
from hf_mlc.language_modeling.stream import TokenStream


__all__ = [
    "LANGUAGE_MODEL_FOLDER",
    "LanguageModel",
    "LanguageModelArguments",
    "LanguageModelStage",
    "TokenStream",
    "read_head",
]
