"""From texts to token ids: a tokenizer trained from scratch, and the tokenisation of whole data sets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import chain
from typing import Any, Literal

import datasets
from datasets.fingerprint import Hasher
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import logging

from hf_mlc.data.bags import CUTTINGS, Pieces, counted_tokens, pieces_of, words_by_documents
from hf_mlc.data.checking import DataReport
from hf_mlc.data.encoding import encode_labels, note_unknown_labels
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace


logger = logging.get_logger(__name__)

SPECIAL_TOKENS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
# part of the cache key: raise it when the same rows come out differently
_TOKENS_VERSION = 1


def train_tokenizer(
    texts: Iterable[str],
    *,
    kind: Literal["word", "letters", "bpe"] = "word",
    vocab_size: int = 30_000,
    min_frequency: int = 2,
    lowercase: bool = True,
    max_length: int = 512,
    add_special_tokens_around: bool = False,
    by_documents: bool = False,
    max_share: float = 1.0,
) -> PreTrainedTokenizerFast:
    r"""Trains a tokenizer on the texts of the TRAINING split.

    `"word"`: Unicode NFC, lower case, then runs of `\w` and single punctuation marks are tokens; words outside the
    vocabulary are `[UNK]`. `"letters"`: the same of runs of letters alone, so that numbers and punctuation are no tokens: a
    text's length goes to its words, and no figure is learned by heart. `"bpe"`: byte-level byte-pair encoding, which has no
    unknown words. All give the offsets of every token in the text, which explanations need.

    Args:
        texts (iterable of `str`): the training texts; read once, not kept.
        kind (`str`, *optional*, defaults to `"word"`): `"word"`, `"letters"` or `"bpe"`.
        vocab_size (`int`, *optional*, defaults to 30000): at most so many tokens, the special ones among them.
        min_frequency (`int`, *optional*, defaults to 2): how often a word, or a pair to be merged, must occur.
        lowercase (`bool`, *optional*, defaults to `True`): whether case is ignored.
        max_length (`int`, *optional*, defaults to 512): the tokenizer's `model_max_length`.
        add_special_tokens_around (`bool`, *optional*, defaults to `False`): `[CLS]` before and `[SEP]` after each text.
        by_documents (`bool`, *optional*, defaults to `False`): of words: `min_frequency` is of texts with the word, and so is the
            choice of those that make up the vocabulary.
        max_share (`float`, *optional*, defaults to 1.0): with `by_documents`, the largest share of the texts with a word.

    Returns:
        `PreTrainedTokenizerFast`: with `[PAD]` = 0, `[UNK]` = 1, `[CLS]` = 2, `[SEP]` = 3, `[MASK]` = 4.

    Raises:
        `UserError`: on an unknown kind, or if no word occurs often enough.
    """
    special = list(SPECIAL_TOKENS.values())
    if vocab_size <= len(special):
        raise UserError(f"a vocabulary of {vocab_size}", field="vocab_size", accepted=f"more than {len(special)}")
    common = {"vocab_size": vocab_size, "min_frequency": min_frequency, "special_tokens": special}
    if kind in CUTTINGS:
        backend = Tokenizer(models.WordLevel(unk_token=SPECIAL_TOKENS["unk"]))
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(CUTTINGS[kind]), behavior="removed", invert=True)
        trainer = trainers.WordLevelTrainer(**common, show_progress=False)
        smallest = len(special)
    elif kind == "bpe":
        backend = Tokenizer(models.BPE(unk_token=SPECIAL_TOKENS["unk"]))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(**common, show_progress=False, initial_alphabet=alphabet)
        smallest = len(special) + len(alphabet)
        if vocab_size < smallest:
            raise UserError(
                f"a vocabulary of {vocab_size}", field="vocab_size", accepted=f"{smallest} or more for bpe"
            )
    else:
        raise UserError(f"a tokenizer of the kind {kind!r}", field="kind", accepted="'word', 'letters' or 'bpe'")
    steps = [normalizers.NFC(), *([normalizers.Lowercase()] if lowercase else [])]
    backend.normalizer = normalizers.Sequence(steps)
    if kind in CUTTINGS and by_documents:
        words = words_by_documents(
            texts, backend, most=vocab_size - len(special), min_documents=min_frequency, max_share=max_share
        )
        vocabulary = {word: number for number, word in enumerate([*special, *words])}
        backend.model = models.WordLevel(vocabulary, unk_token=SPECIAL_TOKENS["unk"])
        backend.add_special_tokens(special)
    else:
        backend.train_from_iterator(texts, trainer=trainer)
    if kind in CUTTINGS and backend.get_vocab_size() == smallest:
        raise UserError(
            f"no word occurs {min_frequency} times in the training texts",
            field="min_frequency",
            accepted="training texts with words, or a smaller number",
        )
    if add_special_tokens_around:
        cls, sep = SPECIAL_TOKENS["cls"], SPECIAL_TOKENS["sep"]
        backend.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}",
            pair=f"{cls} $A {sep} $B:1 {sep}:1",
            special_tokens=[(token, backend.token_to_id(token)) for token in (cls, sep)],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        **{f"{name}_token": token for name, token in SPECIAL_TOKENS.items()},
    )


def tokenize_splits(
    dataset: datasets.DatasetDict,
    tokenizer: PreTrainedTokenizerBase,
    label_space: LabelSpace,
    *,
    max_length: int,
    counted: bool = False,
    num_proc: int | None = None,
    strict: bool = False,
    report: DataReport | None = None,
) -> datasets.DatasetDict:
    """Tokenises every split, in batches, cached by `datasets`, with a progress bar.

    Args:
        dataset (`datasets.DatasetDict`): with the columns `id`, `text`, `labels`, as `load_splits` gives them.
        tokenizer (`PreTrainedTokenizerBase`): any tokenizer of transformers.
        label_space ([`~hf_mlc.labels.LabelSpace`]): turns labels into ids.
        max_length (`int`): longer texts are cut, and counted.
        counted (`bool`, *optional*, defaults to `False`): whether a text becomes a bag of its tokens, for models that read
            no more than that: `input_ids` holds each token once, in ascending order, without special ones and the
            unknown one, and `token_counts` how often it stands in the text.
        num_proc (`int`, *optional*): processes that tokenise.
        strict (`bool`, *optional*, defaults to `False`): whether a label that is not in the label space is an error in
            validation and test too, instead of being counted and skipped. In training it always is.
        report ([`~hf_mlc.data.checking.DataReport`], *optional*): gets the numbers of cut texts and unknown labels.

    Returns:
        `datasets.DatasetDict`: with `id`, `input_ids`, `label_ids` (int64, sorted, each once), `length` (tokens, for
        length grouping), and what else the tokenizer gives except `attention_mask`, which the collator makes; or
        `token_counts`, float32, with `counted`.

    Raises:
        `UserError`: naming split and row of a label that is not in the label space.
    """
    tokenizer_state = _state_of(tokenizer)
    labels_state = Hasher.hash(json.dumps(label_space.to_dict()))
    pieces = pieces_of(tokenizer) if counted else None
    tokenized = datasets.DatasetDict()
    for name, split in dataset.items():
        strict_here = strict or name == "train"
        # the hash that `datasets` would take itself changes when a fast tokenizer is used for the first time
        key = (split._fingerprint, tokenizer_state, labels_state, max_length, strict_here, _TOKENS_VERSION)
        key += ("counted",) if counted else ()
        done = split.map(
            _tokenized_batch,
            batched=True,
            with_indices=True,
            remove_columns=[column for column in split.column_names if column != "id"],
            num_proc=num_proc,
            fn_kwargs={
                "tokenizer": tokenizer,
                "label_space": label_space,
                "max_length": max_length,
                "counted": counted,
                "pieces": pieces,
                "strict": strict_here,
                "split": name,
            },
            new_fingerprint=Hasher.hash(key),
            desc=f"Tokenizing {name}",
        )
        # the counts are kept as columns on the way, so that a cached run can report them too
        num_cut = sum(done["_cut"])
        note_unknown_labels(name, sum(done["_unknown"]), report)
        tokenized[name] = done.remove_columns(["_cut", "_unknown"])
        if num_cut:
            logger.info(f"{name}: {num_cut:,} of {len(done):,} texts cut to {max_length} tokens")
        num_without = done["length"][:].count(0)
        if num_without:
            logger.info(f"{name}: {num_without:,} of {len(done):,} texts, empty ones among them, are without a token")
        if report is not None and name in report.splits:
            report.splits[name].cut_texts = num_cut
    return tokenized


def _tokenized_batch(
    batch: dict[str, list[Any]],
    indices: list[int],
    *,
    tokenizer: PreTrainedTokenizerBase,
    label_space: LabelSpace,
    max_length: int,
    counted: bool,
    pieces: Pieces | None,
    strict: bool,
    split: str,
) -> dict[str, list[Any]]:
    if pieces is not None:
        whole = [list(pieces.of_text(text)) for text in batch["text"]]
        columns, cut = {"input_ids": [ids[:max_length] for ids in whole]}, [len(ids) > max_length for ids in whole]
    else:
        columns, cut = _sequences(batch["text"], tokenizer, max_length)
    if counted:
        columns = counted_tokens(columns["input_ids"], tokenizer.all_special_ids)
    columns["length"] = [len(ids) for ids in columns["input_ids"]]
    columns["_cut"] = cut
    rows = (index + 1 for index in indices)
    columns["label_ids"], columns["_unknown"] = encode_labels(
        batch["labels"], label_space, split=split, strict=strict, rows=rows
    )
    return columns


def _sequences(
    texts: list[str], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[dict[str, list[Any]], list[bool]]:
    """What the tokenizer gives, and of which texts something was cut off."""
    encoded = tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=False)
    if tokenizer.is_fast:  # what was cut off hangs on the encoding
        return dict(encoded), [bool(encoding.overflowing) for encoding in encoded.encodings]
    whole = tokenizer(texts, truncation=False, verbose=False)["input_ids"]
    return dict(encoded), [len(ids) > max_length for ids in whole]


def _state_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """A hash of what a tokenizer does to a text, whatever it was last called with."""
    if not tokenizer.is_fast:
        return Hasher.hash(tokenizer)
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    described = {key: value for key, value in backend.items() if key not in ("truncation", "padding")}
    sides = (tokenizer.padding_side, tokenizer.truncation_side, tokenizer.model_input_names)
    return Hasher.hash((json.dumps(described, sort_keys=True), sides))


def texts_of(dataset: datasets.Dataset, *, batch_size: int = 1000) -> Iterable[str]:
    """The texts of a split one after the other, read in batches; what `train_tokenizer` wants."""
    return chain.from_iterable(batch["text"] for batch in dataset.select_columns("text").iter(batch_size))
