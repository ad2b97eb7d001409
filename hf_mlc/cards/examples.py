"""One short extract a label, from training documents: only for data whose texts may be shown.

Shape legend: T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from hf_mlc.inference import LoadedModel, encode_texts
from hf_mlc.modeling.evidence import evidence_spans


REACH = 55  # characters to either side of the word that the extract is about


def label_examples(
    loaded: LoadedModel, texts: Sequence[str], labels: Iterable[Iterable[str | int]], names: Sequence[str]
) -> dict[str, str]:
    """An extract for each of `names` that a document holds.

    Of the documents that hold a label the one with fewest labels is taken, and of equals the first; of its text the part
    around the word that weighs most for the label, or the beginning where the model doesn't tell.

    Args:
        loaded (`LoadedModel`): the model.
        texts (`Sequence[str]`): training documents.
        labels (iterable of lists): their labels.
        names (`Sequence[str]`): the labels that an example is wanted for.
    """
    space = loaded.label_space
    wanted = {space.id(name) for name in names}
    chosen: dict[int, tuple[int, int]] = {}  # label: how many labels the document has, which it is
    for place, its_labels in enumerate(labels):
        ids, _ = space.encode_known(its_labels)
        for number in wanted.intersection(ids.tolist()):
            chosen[number] = min(chosen.get(number, (len(ids), place)), (len(ids), place))
    return {
        name: extract(texts[chosen[number][1]], _place_of_evidence(loaded, texts[chosen[number][1]], number))
        for name in names
        if (number := space.id(name)) in chosen
    }


def extract(text: str, span: tuple[int, int]) -> str:
    """The words of `text` around `span`, on one line, with … where something was cut off."""
    start, end = max(0, span[0] - REACH), min(len(text), span[1] + REACH)
    while 0 < start < span[0] and not text[start - 1].isspace():
        start += 1
    while span[1] < end < len(text) and not text[end].isspace():
        end -= 1
    shown = " ".join(text[start:end].split())
    return ("… " if text[:start].strip() else "") + shown + (" …" if text[end:].strip() else "")


def _place_of_evidence(loaded: LoadedModel, text: str, label: int) -> tuple[int, int]:
    if not (loaded.model.has_token_weights and loaded.tokenizer.is_fast):
        return 0, 0
    batch = encode_texts(loaded, [text], with_offsets=True)
    offsets_T = batch.pop("offset_mapping")[0].tolist()
    with torch.inference_mode():
        weights_T = loaded.model.token_weights(torch.tensor([label], device=loaded.model.device), **batch)[0, 0]
    best = evidence_spans(text, offsets_T, weights_T.tolist(), top_k=1)
    return (best[0]["start"], best[0]["end"]) if best else (0, 0)
