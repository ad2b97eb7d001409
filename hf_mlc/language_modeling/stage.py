"""The language-model stage of `train`: before the classifier sees a label, its encoder is one that knows the language.

OUT/language_model/language_model.safetensors   the encoder, and the softmax's bias; its weights are the word vectors
OUT/language_model/language_model.json          sizes of the encoder, perplexity, what it was trained on; written last
OUT/language_model/tokenizer.json, ...          its tokenizer
OUT/language_model/checkpoint.safetensors       while it is being trained: the last whole epoch
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.torch import save
from torch import nn
from transformers import PreTrainedTokenizerBase

from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.language_modeling.arguments import LanguageModelArguments
from hf_mlc.language_modeling.model import WEIGHTS_FILE, LanguageModel, read_weights
from hf_mlc.language_modeling.stream import TokenStream
from hf_mlc.language_modeling.texts import all_texts, token_ids
from hf_mlc.language_modeling.training import CHECKPOINT_FILE, train_language_model
from hf_mlc.modeling.text_encoder import build_text_encoder


if TYPE_CHECKING:
    from hf_mlc.training.arguments import MultiLabelTrainingArguments


LANGUAGE_MODEL_FOLDER = "language_model"  # in the output folder
FACTS_FILE = "language_model.json"
ENCODER_FIELDS = ("encoder", "hidden_size", "embedding_size", "recurrent_size", "num_hidden_layers")


class LanguageModelStage:
    """A language model that a classifier's encoder starts from: one that is there, or one that this run trains.

    Args:
        args (`LanguageModelArguments`): with a stage in them.
        output (`Path`): the run's output folder.
    """

    def __init__(self, args: LanguageModelArguments, output: Path):
        self.args = args
        self.folder = Path(args.language_model) if args.language_model else output / LANGUAGE_MODEL_FOLDER
        self.facts = None if args.language_model_epochs else self._read_facts()

    def with_encoder_settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The configuration's fields that were given, and the encoder's sizes where it is there already."""
        if self.facts is None:
            return settings
        sizes = self.facts["encoder"]
        for name, value in settings.items():
            if name in sizes and value != sizes[name]:
                raise UserError(
                    f"found {value}, and the language model was trained with {sizes[name]}",
                    file=self.folder,
                    field=name,
                    accepted="none given",
                )
        return {**sizes, **settings}

    def train(
        self,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        texts: Iterable[str],
        args: MultiLabelTrainingArguments,
        *,
        text_column: Sequence[str] = ("text",),
        tell: Callable[[str], None] = print,
    ) -> None:
        """Trains and saves the language model, unless that was done: in a run before this one was cut short, or elsewhere.

        Args:
            model: the classifier, whose encoder the language model begins with.
            tokenizer (`PreTrainedTokenizerBase`): saved with it.
            texts (iterable of `str`): the TRAINING texts.
            args (`MultiLabelTrainingArguments`): seed, device and precision.
            text_column (`Sequence[str]`): of the files without labels.
            tell (`Callable`): gets a line an epoch.
        """
        if self.args.language_model is not None:
            return
        config = copy.deepcopy(model.config)
        if self.args.language_model_dropout_scale is not None:
            config.dropout_scale = self.args.language_model_dropout_scale
        # a network of its own, with dropouts of its own; the classifier's is filled from the file, in every process
        encoder = build_text_encoder(config)
        encoder.load_state_dict(model.encoder.state_dict())
        language_model = LanguageModel(encoder, dropout=config.hidden_dropout * config.dropout_scale)
        documents = token_ids(all_texts(texts, self.args.language_model_files, text_column=text_column), tokenizer)
        train, held_out = self._split(documents, tokenizer, args.seed)
        sizes = {name: getattr(config, name) for name in ENCODER_FIELDS}
        identity = {"arguments": self.args.to_dict(), "seed": args.seed, "encoder": sizes, "texts": _digest(documents)}
        if self._is_finished(identity):
            return
        if args.world_size > 1:
            raise UserError(
                f"a language model is trained in one process, found {args.world_size}",
                field="language_model_epochs",
                accepted="first a run in one process, then --language_model OUT/language_model in several",
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        outcome = train_language_model(
            language_model, train, held_out, self.args, folder=self.folder, identity=identity, seed=args.seed,
            device=args.device, bf16=args.bf16, progress=not args.disable_tqdm, tell=tell,
        )  # fmt: skip
        self.facts = {
            "encoder": sizes,
            "vocab_size": config.vocab_size,
            "perplexity": outcome["history"][-1]["perplexity"],
            "tokens": train.num_tokens,
            "held_out_tokens": held_out.num_tokens,
            "documents": len(documents),
            **outcome,
            "identity": identity,
        }
        self._save(language_model.cpu(), tokenizer)

    def load(self, model: nn.Module) -> dict[str, Any]:
        """Puts the language model's encoder into the classifier; the facts for results.json."""
        if self.facts is None:
            self.facts = self._read_facts()
        weights = read_weights(self.folder / WEIGHTS_FILE)
        encoder = {name.removeprefix("encoder."): value for name, value in weights.items() if name != "bias"}
        try:
            model.encoder.load_state_dict(encoder)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise UserError(f"doesn't fit the encoder ({reason})", file=self.folder, field="language_model") from None
        if getattr(model, "expected", None) is not None:
            model.expected.bias.copy_(weights["bias"])
        shown = {name: value for name, value in self.facts.items() if name != "identity"}
        return {"source": self.folder.name, "trained_here": self.args.language_model is None, **shown}

    def _split(self, documents, tokenizer, seed: int) -> tuple[TokenStream, TokenStream]:
        """What is learned from, and the texts set aside for the perplexity."""
        if len(documents) < 2:
            raise UserError(f"{len(documents)} texts for a language model", field="train", accepted="2 or more")
        order = np.random.default_rng(seed).permutation(len(documents))
        number = min(len(documents) - 1, max(1, round(self.args.language_model_holdout * len(documents))))
        separator = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
        shape = (self.args.language_model_batch_size, self.args.language_model_sequence_length)
        streams = (
            TokenStream(
                [documents[place] for place in np.sort(order[number:])], *shape, separator=separator, seed=seed
            ),
            TokenStream([documents[place] for place in np.sort(order[:number])], *shape, separator=separator),
        )
        for stream, purpose in zip(streams, ("learn from", "set aside"), strict=True):
            if not len(stream):  # no token has one after it
                raise UserError(
                    f"{stream.num_tokens} token to {purpose}, for a language model",
                    field="train",
                    accepted="texts of two tokens or more",
                )
        return streams

    def _is_finished(self, identity: dict[str, Any]) -> bool:
        if not (self.folder / FACTS_FILE).exists():
            return False
        facts = self._read_facts()
        if facts.get("identity") != json.loads(json.dumps(identity)):
            raise UserError(
                "holds a language model of other arguments or texts",
                file=self.folder,
                accepted="another output_dir, --overwrite_output, or --language_model to take it as it is",
            )
        self.facts = facts
        return True

    def _save(self, language_model: LanguageModel, tokenizer: PreTrainedTokenizerBase) -> None:
        tokenizer.save_pretrained(self.folder)
        weights = {name: value.detach().contiguous() for name, value in language_model.state_dict().items()}
        with written_whole(self.folder / WEIGHTS_FILE, binary=True) as stream:
            stream.write(save(weights))
        with written_whole(self.folder / FACTS_FILE) as stream:
            json.dump(self.facts, stream, indent=2)
            stream.write("\n")
        (self.folder / CHECKPOINT_FILE).unlink(missing_ok=True)

    def _read_facts(self) -> dict[str, Any]:
        file = self.folder / FACTS_FILE
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
            sizes = {name: facts["encoder"][name] for name in ENCODER_FIELDS}
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(
                f"no readable {FACTS_FILE}",
                file=self.folder,
                field="language_model",
                accepted=f"a folder as OUT/{LANGUAGE_MODEL_FOLDER}",
            ) from None
        return {**facts, "encoder": sizes}


def _digest(documents: list[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for document in documents:
        digest.update(len(document).to_bytes(8, "little") + document.tobytes())
    return f"sha256:{digest.hexdigest()}"
