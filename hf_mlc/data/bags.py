"""Texts as bags of words: each word once, with its number, as our tokenizers of whole words cut them.

A text of a thousand words says few things for the first time. Each piece between two blanks is therefore cut into words once,
by the tokenizer's own rules, and remembered: several times faster than tokenising every text, with the same answer.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase


# what the tokens of our own tokenizers of whole words are, by their kind: words and single punctuation marks; runs of letters alone, with
# the accents that are written behind them
CUTTINGS = {"word": r"\w+|[^\w\s]", "letters": r"\p{L}[\p{L}\p{M}]*"}
# what stands between two blanks: no word of theirs reaches over one
_PIECE = re.compile(r"[^ \t\n\r\f\v]+")
# pieces that are remembered at one time, 100 bytes each and more
_MOST_PIECES = 1_000_000
# tokenizers whose pieces are remembered from one batch to the next
_MOST_TOKENIZERS = 4


class Pieces(dict):
    """What becomes of each piece of text, found out when it is first asked for.

    Args:
        cut (callable): gives a piece's words, or their ids.
    """

    def __init__(self, cut: Callable[[str], list[Any]]):
        super().__init__()
        self.cut = cut

    def __missing__(self, piece: str) -> list[Any]:
        if len(self) >= _MOST_PIECES:
            self.clear()
        found = self[piece] = self.cut(piece)
        return found

    def of_text(self, text: str) -> Iterable[Any]:
        """All that a text's pieces become, one after the other."""
        return chain.from_iterable(map(self.__getitem__, _PIECE.findall(text)))


def cuts_whole_words(pre_tokenizer: dict[str, Any]) -> bool:
    """Whether this part of a `tokenizer.json` is that of a tokenizer of whole words of ours."""
    return pre_tokenizer.get("pattern") in [{"Regex": words} for words in CUTTINGS.values()]


def pieces_of(tokenizer: PreTrainedTokenizerBase) -> Pieces | None:
    """Token ids by pieces, where a text's tokens are those of its pieces: of the tokenizers of whole words of `train_tokenizer`.

    `None` for any other tokenizer, which may look over blanks, put tokens around a text or change it otherwise.
    """
    if not tokenizer.is_fast:
        return None
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    model, cutting, after = backend["model"], backend["pre_tokenizer"] or {}, backend["post_processor"]
    normalizer = backend["normalizer"] or {"type": None}
    steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    is_ours = (
        (model["type"], model.get("unk_token")) == ("WordLevel", tokenizer.unk_token)
        and (after is None or (after["type"] == "TemplateProcessing" and not after["special_tokens"]))
        and all(step["type"] in ("NFC", "Lowercase") for step in steps)
        # one that is looked for in the normalised text, or that holds a blank, isn't found in a piece
        and not any(token["normalized"] or re.search(r"\s", token["content"]) for token in backend["added_tokens"])
        and cuts_whole_words(cutting)
        and (cutting["behavior"], cutting["invert"]) == ("Removed", True)
    )
    return Pieces(_WordIds(tokenizer)) if is_ours else None


_known_pieces_of = lru_cache(_MOST_TOKENIZERS)(pieces_of)


class _WordIds:
    """The ids of a piece's words. Cutting and looking up by themselves, since a tokenizer's call takes six times as long."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer, self.vocabulary, self.unknown = tokenizer, tokenizer.get_vocab(), tokenizer.unk_token_id
        self.added = tuple(tokenizer.added_tokens_encoder)

    def __call__(self, piece: str) -> list[int]:
        if any(token in piece for token in self.added):  # which are found before anything is cut
            return self.tokenizer(piece, truncation=False, verbose=False)["input_ids"]
        words = _words_of(self.tokenizer.backend_tokenizer, piece)
        return [self.vocabulary.get(word, self.unknown) for word in words]


def _words_of(backend: Tokenizer, piece: str) -> list[str]:
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(piece))]


def counted_tokens(rows: Sequence[Sequence[int]], left_out: Sequence[int]) -> dict[str, list[np.ndarray]]:
    """Each row's different tokens, ascending, and how often each stands in it.

    Args:
        rows (`list[list[int]]`): token ids.
        left_out (`list[int]`): tokens that are none of a text.

    Returns:
        `dict`: `input_ids`, int32, and `token_counts`, float32, of each row.
    """
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    ids_N = np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum()))
    row_N = np.repeat(np.arange(len(rows)), lengths)
    kept_N = ~np.isin(ids_N, left_out)
    width = int(ids_N.max(initial=0)) + 1
    # a number for every pair of a row and a token: one sort of all rows together
    pairs, times = np.unique(row_N[kept_N] * width + ids_N[kept_N], return_counts=True)
    ends = np.searchsorted(pairs, np.arange(1, len(rows)) * width)
    return {
        "input_ids": np.split((pairs % width).astype(np.int32), ends),
        "token_counts": np.split(times.astype(np.float32), ends),
    }


def bag_batch(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> dict[str, torch.Tensor]:
    """What a model of bags reads of texts, each of their tokens once, cut at the tokenizer's `model_max_length`.

    Several times as fast as the tokenizer's own call; what the model makes of both is the same.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): the model's.
        texts (`list[str]`): B of them.

    Returns:
        `dict[str, torch.Tensor]`: `input_ids` and `attention_mask`, int64, and `token_counts`, float32, `(B, F)` each, F at least 1.
    """
    pieces, most = _known_pieces_of(tokenizer), tokenizer.model_max_length
    if pieces is None:
        rows = tokenizer(list(texts), truncation=True, return_attention_mask=False)["input_ids"]
    else:
        rows = [list(pieces.of_text(text))[:most] for text in texts]
    bags = counted_tokens(rows, tokenizer.all_special_ids)
    lengths = torch.tensor([len(ids) for ids in bags["input_ids"]])
    mask_BF = torch.arange(max(1, int(lengths.max())))[None] < lengths[:, None]
    padded = {
        "input_ids": torch.full(mask_BF.shape, tokenizer.pad_token_id),
        "token_counts": torch.zeros(mask_BF.shape),
    }
    for name, values_BF in padded.items():
        values_BF[mask_BF] = torch.from_numpy(np.concatenate(bags[name])).to(values_BF.dtype)
    return {**padded, "attention_mask": mask_BF.long()}


def words_by_documents(
    texts: Iterable[str], backend: Tokenizer, *, most: int, min_documents: int, max_share: float
) -> list[str]:
    """The words that most texts have, those of most texts first.

    Args:
        texts (iterable of `str`): the training texts; read once, not kept.
        backend (`Tokenizer`): whose normalisation and cutting make the words.
        most (`int`): so many words.
        min_documents (`int`): fewest texts with a word.
        max_share (`float`): the largest share of the texts with a word.
    """
    pieces = Pieces(partial(_words_of, backend))
    documents: Counter[str] = Counter()
    number = 0
    for text in texts:
        documents.update(set(pieces.of_text(text)))
        number += 1
    kept = [(-times, word) for word, times in documents.items() if min_documents <= times <= max_share * number]
    return [word for _, word in sorted(kept)[:most]]
