"""The place of word vectors in a training run: after the model is built, before planting and the first step, and once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from hf_mlc.auto import architecture_of
from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.language_modeling.texts import all_texts, token_ids
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.word_vectors.arguments import WordVectorArguments
from hf_mlc.word_vectors.corpus import corpus_vectors
from hf_mlc.word_vectors.reading import check_word_vectors, read_word_vectors, width_of


WORD_VECTORS_FILE = (
    "word_vectors.json"  # in the output folder: what was found, for a run that goes on from a checkpoint
)
# encoders whose word vectors may have a width of their own
WITH_OWN_WIDTH = ("gru", "lstm", "awd_lstm")


class WordVectorStep:
    """One for a run, made before anything is written; `facts` are for results.json, `None` where there are no vectors.

    Args:
        vector_args (`WordVectorArguments`): the command's.
        model_type (`str`): the architecture.
        others (`dict[str, Any]`): arguments that bring word vectors of their own, by name; given ones are refused.
        args (`MultiLabelTrainingArguments`): seed, output folder, processes.
    """

    def __init__(
        self,
        vector_args: WordVectorArguments,
        *,
        model_type: str,
        others: dict[str, Any],
        args: MultiLabelTrainingArguments,
    ):
        self.vector_args, self.model_type, self.args = vector_args, model_type, args
        self.facts, self.width = None, None
        if vector_args.word_vectors is None:
            return
        for name, value in others.items():
            if value:
                raise UserError("brings its own word vectors", field=name, accepted="none beside word_vectors")
        if not vector_args.from_corpus:
            check_word_vectors(vector_args.word_vectors, vocabulary=vector_args.word_vectors_vocabulary)
            self.width = width_of(vector_args.word_vectors)

    def settings(self, given: dict[str, Any]) -> dict[str, Any]:
        """The configuration's fields that were given, and the width that a file of vectors decides."""
        if self.width is None:
            return given
        config_class = architecture_of(self.model_type).config
        encoder = given.get("encoder") or getattr(config_class, "encoder", None)
        if encoder is None:  # a model without words, which is told so where its input is known
            return given
        name = "embedding_size" if encoder in WITH_OWN_WIDTH else "hidden_size"
        name = config_class.attribute_map.get(name, name)
        if given.get(name) not in (None, self.width):
            raise UserError(
                f"a word has {self.width} numbers, and {name} is {given[name]}",
                file=self.vector_args.word_vectors,
                field=name,
                accepted=f"{self.width}, or none given",
            )
        return {**given, name: self.width}

    def begin(
        self,
        model: MultiLabelPreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        train_ids: Iterable[list[list[int]]],
        texts: Iterable[str],
        tell: Callable[[str], None],
        *,
        text_column: list[str],
        is_resumed: bool = False,
    ) -> None:
        """Fills in the vectors; for the second model of `--refit` too, which gets the same ones if `texts` are the same.

        One process does it; the others get its weights when training wraps the model. A run that goes on from a checkpoint has
        them in there.

        Args:
            model (`MultiLabelPreTrainedModel`): new.
            tokenizer (`PreTrainedTokenizerBase`): the model's.
            train_ids (iterable of `list[list[int]]`): the training rows' tokens as the model reads them, in batches, for
                the coverage.
            texts (iterable of `str`): the training texts, for vectors of the corpus.
            tell (callable): takes the line that says how many words were found.
            text_column (`list[str]`): where files of unlabelled rows have their texts.
            is_resumed (`bool`, *optional*, defaults to `False`): whether a checkpoint's weights will follow.

        Raises:
            `UserError`: a tokenizer of pieces of words with a file of words; no word of the vocabulary in the file.
        """
        vector_args, args = self.vector_args, self.args
        if vector_args.word_vectors is None:
            return
        weight = model.get_input_embeddings().weight
        if vector_args.word_vectors_frozen:
            weight.requires_grad_(False)
        file = Path(args.output_dir) / WORD_VECTORS_FILE
        if is_resumed:
            self.facts = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
            return
        with args.main_process_first(desc="word vectors"):
            if args.process_index != 0:
                return
            if vector_args.from_corpus:
                vectors_VE, found_V, source = self._of_corpus(weight, tokenizer, texts, text_column)
            else:
                vectors_VE, found_V, source = self._of_file(weight, tokenizer)
            std = fill_in(weight, vectors_VE, found_V, std=vector_args.word_vectors_std, seed=args.seed,
                          padding_id=model.config.pad_token_id)  # fmt: skip
            covered = coverage(tokenizer, found_V, train_ids)
            self.facts = {**source, "width": weight.shape[1], **covered, "standard_deviation": round(std, 6),
                          "frozen": vector_args.word_vectors_frozen}  # fmt: skip
            file.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(file) as stream:
                json.dump(self.facts, stream, indent=2)
        tell(
            f"word vectors from {self.facts['source']}: {self.facts['found']:,} of {self.facts['vocabulary']:,} words, "
            f"{self.facts['token_coverage']:.1%} of the tokens that are read"
        )

    def _of_corpus(self, weight: torch.Tensor, tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], text_column):
        files = self.vector_args.word_vectors_files
        documents = token_ids(all_texts(texts, files, text_column=text_column, field="word_vectors_files"), tokenizer)
        special = np.setdiff1d(tokenizer.all_special_ids, [tokenizer.unk_token_id])
        documents = [ids[~np.isin(ids, special)] for ids in documents]
        window = self.vector_args.word_vectors_window
        vectors_VE, found_V = corpus_vectors(documents, *weight.shape, window=window, seed=self.args.seed)
        if not found_V.any():
            raise UserError(
                "no two tokens stand in one text", field="word_vectors", accepted="texts of several tokens, or a file"
            )
        source = {"source": "corpus", "texts": len(documents), "tokens": int(sum(map(len, documents)))}
        return vectors_VE, found_V, {**source, "files": [Path(name).name for name in files], "window": window}

    def _of_file(self, weight: torch.Tensor, tokenizer: PreTrainedTokenizerBase):
        file = self.vector_args.word_vectors
        check_whole_words(tokenizer)
        vocabulary = {word: number for word, number in tokenizer.get_vocab().items() if number < len(weight)}
        for special in tokenizer.all_special_tokens:
            vocabulary.pop(special, None)
        normalizer = tokenizer.backend_tokenizer.normalizer
        normalised = (lambda word: word) if normalizer is None else normalizer.normalize_str
        read = read_word_vectors(
            file,
            vocabulary=self.vector_args.word_vectors_vocabulary,
            keep=lambda word: word in vocabulary or normalised(word) in vocabulary,
        )
        if weight.shape[1] != read.vectors_WE.shape[1]:  # an encoder whose width isn't the configuration's
            raise UserError(
                f"a word has {read.vectors_WE.shape[1]} numbers, and the model's have {weight.shape[1]}",
                file=file, field="word_vectors", accepted="vectors of the model's width",
            )  # fmt: skip
        vectors_VE, found_V = np.zeros(tuple(weight.shape), np.float32), np.zeros(len(weight), bool)
        # a word as it stands in the vocabulary comes before one that only reads the same ("Apple" for "apple")
        for as_written in (lambda word: word, normalised):
            for word, vector_E in zip(read.words, read.vectors_WE, strict=True):
                number = vocabulary.get(as_written(word))
                if number is not None and not found_V[number]:
                    vectors_VE[number], found_V[number] = vector_E, True
        if not found_V.any():
            raise UserError(
                "none of its words is in the vocabulary", file=file, field="word_vectors",
                accepted="vectors of the texts' language",
            )  # fmt: skip
        return vectors_VE, found_V, {"source": Path(file).name, "rows": read.num_rows}


def check_whole_words(tokenizer: PreTrainedTokenizerBase) -> None:
    """`UserError` for a tokenizer whose tokens are pieces of words: no piece has a vector in a file of words."""
    kind = "slow"
    if tokenizer.is_fast:
        kind = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["type"]
    if kind != "WordLevel":
        raise UserError(
            f"a file has vectors of whole words, and this tokenizer ({kind}) cuts words into pieces",
            field="word_vectors",
            accepted="--tokenizer_kind word or letters, or --word_vectors corpus, which makes vectors of the pieces",
        )


@torch.no_grad()
def fill_in(
    weight: torch.Tensor,
    vectors_VE: np.ndarray,
    found_V: np.ndarray,
    *,
    std: float | None,
    seed: int,
    padding_id: int | None,
) -> float:
    """Puts the vectors that were found into an embedding; the others are drawn, as wide spread as those; padding is 0.

    Returns:
        `float`: the standard deviation of the numbers, scaled to `std` where it is given.
    """
    found_WE = torch.from_numpy(vectors_VE[found_V])
    # not about their mean: what is common to all words is part of how large they are
    spread = float(found_WE.square().mean().sqrt())
    if std is not None and spread > 0:
        found_WE, spread = found_WE * (std / spread), std
    generator = torch.Generator().manual_seed(seed)
    filled_VE = torch.randn(tuple(weight.shape), generator=generator) * spread
    filled_VE[torch.from_numpy(found_V)] = found_WE
    if padding_id is not None:
        filled_VE[padding_id] = 0.0
    weight.copy_(filled_VE)
    return spread


def coverage(
    tokenizer: PreTrainedTokenizerBase, found_V: np.ndarray, train_ids: Iterable[list[list[int]]]
) -> dict[str, Any]:
    """How much of the vocabulary (special tokens left out) and of the training tokens has a vector."""
    special = [number for number in tokenizer.all_special_ids if number is not None]
    counts_V = np.zeros(len(found_V), np.int64)
    for batch in train_ids:
        ids = np.concatenate([np.asarray(row, np.int64) for row in batch]) if batch else np.zeros(0, np.int64)
        counts_V += np.bincount(ids, minlength=len(found_V))[: len(found_V)]
    words_V = np.ones(len(found_V), bool)
    words_V[special] = False
    found, words, tokens = int((found_V & words_V).sum()), int(words_V.sum()), int(counts_V.sum())
    return {
        "found": found,
        "vocabulary": words,
        "vocabulary_coverage": round(found / max(words, 1), 6),
        "token_coverage": round(float(counts_V[found_V].sum()) / max(tokens, 1), 6),
    }
