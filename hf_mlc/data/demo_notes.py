"""A corpus of made-up clinical notes with ICD-10-CM codes, for demos and fast tests.

THE NOTES ARE SYNTHETIC. They are put together from phrases of our own by a seeded random generator; no real note, patient
or data set went into them. Their coding is simplified, their medicine is a caricature: what a model learns or scores
here says nothing about real records, and neither the notes nor a model trained on them is fit for clinical use.

What makes the task worth a model: a code is named in several ways, by ambiguous abbreviations, with typos, or only
implied by a drug or a result; the same names turn up denied, in relatives, long resolved or as screening; frequencies
have a long tail; a fiftieth of the frequent codes is left out of the labels although the note supports them.

    python -m hf_mlc.data.demo_notes --output_dir DIR [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from hf_mlc.data.demo_codes import CODE_SHEET, DEMO_CODES, DEMO_PARENTS, EXCLUDED_BY, NOT_DENIED_WITH, DemoCode
from hf_mlc.data.demo_phrases import (
    COMPLAINTS,
    FAMILY,
    FILLER_CONTRADICTS,
    FILLERS,
    LAYOUTS,
    NEGATED,
    NORMAL_RESULTS,
    OTHER_DRUGS,
    PLAN_ACUTE,
    PLAN_CHRONIC,
    RATHER_THAN,
    SCREENING,
    TOLD,
    Layout,
)
from hf_mlc.errors import UserError
from hf_mlc.files import write_files_once


__all__ = ["DEMO_CODES", "DEMO_PARENTS", "generate_notes", "write_demo_corpus"]

BLOCK = 2000
"""Rare codes are dealt out by the block of this many notes, so that each is sure to occur in every whole block."""
RARE = 10
"""Codes aimed at this often a block, or less, are dealt out exactly; the others are drawn at random."""

NUM_CODES_WEIGHTS = {1: 9, 2: 22, 3: 27, 4: 22, 5: 13, 6: 7}
COMPANION_RATE = 0.45  # of the codes after the first, drawn from those that go along with one already there
NAMED_RATE = 0.85  # of the codes are named; the rest is only implied by symptom, result or drug
SECOND_NAME_RATE = 0.5
HINT_RATE = 0.5  # of the symptoms, results and drugs of a named code are told as well
TYPO_RATE = 0.05
OMITTED_RATE = 0.02  # of the frequent codes is left out of the labels: coders overlook things
LONG_RATE = 0.04
MOST_DISTRACTORS = 3

_FREQUENT = [entry for entry in CODE_SHEET.values() if entry.count > RARE]
_RARE = [entry for entry in CODE_SHEET.values() if entry.count <= RARE]

T = TypeVar("T")
Piece = tuple[str, str | None]  # a stretch of text and the code it supports
Sentence = list[Piece]


# Everything random goes through `Random.random`: the one method whose sequence for a given seed Python promises to keep.
def _pick(rng: random.Random, items: Sequence[T]) -> T:
    return items[int(rng.random() * len(items))]


def _pick_weighted(rng: random.Random, items: Sequence[T], weights: Sequence[int]) -> T:
    rest = rng.random() * sum(weights)
    for item, weight in zip(items, weights, strict=True):
        rest -= weight
        if rest < 0:
            return item
    return items[-1]


def _shuffled(rng: random.Random, items: Sequence[T]) -> list[T]:
    return [item for _, _, item in sorted((rng.random(), place, item) for place, item in enumerate(items))]


def _roll(rng: random.Random, phrase: str) -> str:
    """Replaces each `<low-high>` by a number between the two, with as many decimals."""

    def draw(match: re.Match) -> str:
        low, high = match.group(1), match.group(2)
        decimals = len(low.partition(".")[2])
        scale = 10**decimals
        first, last = round(float(low) * scale), round(float(high) * scale)
        return f"{(first + int(rng.random() * (last - first + 1))) / scale:.{decimals}f}"

    return re.sub(r"<([\d.]+)-([\d.]+)>", draw, phrase)


def _misspell(rng: random.Random, phrase: str) -> str:
    """One slip in one long word: two letters swapped, one dropped, or one doubled."""
    words = list(re.finditer(r"[a-z]{6,}", phrase))
    if not words:
        return phrase
    word = _pick(rng, words)
    at = word.start() + 1 + int(rng.random() * (len(word.group()) - 3))
    one, two = phrase[at], phrase[at + 1]
    return phrase[:at] + _pick(rng, [two + one, two, one + one + two]) + phrase[at + 2 :]


def _fill(rng: random.Random, template: str, mentions: Sequence[Piece]) -> Sentence:
    """The template with its `{}` replaced by the mentions in turn."""
    literals = _roll(rng, template).split("{}")
    assert len(literals) == len(mentions) + 1, template
    sentence: Sentence = [(literals[0], None)]
    for mention, literal in zip(mentions, literals[1:], strict=True):
        sentence += [mention, (literal, None)]
    return sentence


class _Note:
    """A note in the making: sentences by section, list items for the past, the drugs and the results."""

    def __init__(self, rng: random.Random, codes: list[str]):
        self.rng = rng
        self.codes = codes
        self.sex, self.age = _draw_patient(rng, codes)
        self.sentences: dict[str, list[Sentence]] = {name: [] for name in FILLERS}
        self.lists: dict[str, list[Sentence]] = {"past": [], "drugs": [], "results": []}

    def mention(self, phrase: str, code: str | None) -> Piece:
        phrase = _roll(self.rng, phrase)
        if self.rng.random() < TYPO_RATE:
            phrase = _misspell(self.rng, phrase)
        return phrase, code

    def add_code(self, entry: DemoCode) -> None:
        """Names the code in one or two places, or only implies it."""
        rng = self.rng
        hints = [
            kind for kind, phrases in (("told", entry.told), ("lab", entry.labs), ("drug", entry.drugs)) if phrases
        ]
        if rng.random() < NAMED_RATE:
            names = _shuffled(rng, entry.names)
            self._add_name(entry, names[0], in_past=entry.chronic and rng.random() < 0.6)
            if rng.random() < SECOND_NAME_RATE:
                self._add_name(entry, names[1], in_past=False)
            shown = [hint for hint in hints if rng.random() < HINT_RATE]
        else:
            sure = _pick(rng, hints)
            shown = [hint for hint in hints if hint == sure or rng.random() < HINT_RATE]
        for hint in shown:
            if hint == "told":
                piece = self.mention(_pick(rng, entry.told), entry.code)
                self.sentences["history"].append(_fill(rng, _pick(rng, TOLD), [piece]))
            elif hint == "lab":
                self.lists["results"].append([self.mention(_pick(rng, entry.labs), entry.code)])
            else:
                self.lists["drugs"].append([self.mention(_pick(rng, entry.drugs), entry.code)])

    def _add_name(self, entry: DemoCode, name: str, *, in_past: bool) -> None:
        rng, piece = self.rng, self.mention(name, entry.code)
        if in_past:
            self.lists["past"].append([piece])
        elif not entry.chronic and rng.random() < 0.15 and (others := self._absent("N")):
            other = self.mention(_pick(rng, others.names), None)
            template, order = _pick(rng, RATHER_THAN)
            self.sentences["plan"].append(_fill(rng, template, [(piece, other)[i] for i in order]))
        else:
            self.sentences["plan"].append(
                _fill(rng, _pick(rng, PLAN_CHRONIC if entry.chronic else PLAN_ACUTE), [piece])
            )

    def _absent(self, kind: str, *, besides: Sequence[str] = ()) -> DemoCode | None:
        """A code this note does not carry, of those that may be mentioned in the given way; none if there is no luck."""
        for _ in range(20):
            entry = _pick_weighted(self.rng, *_DISTRACTORS[kind])
            # a relative may have what the patient has; everything else would contradict the labels
            clash = kind != "F" and (
                any(code[:3] == entry.code[:3] or entry.code in NOT_DENIED_WITH[code] for code in self.codes)
                or (entry.sex and entry.sex != self.sex)
            )
            if not clash and entry.code not in besides:
                return entry
        return None

    def add_distractor(self) -> None:
        """Mentions a condition in a way that is no ground for its code."""
        rng = self.rng
        kind = _pick_weighted(rng, "NFRS", (50, 25, 12, 13))
        template = _pick(rng, {"N": NEGATED, "F": FAMILY, "R": ("{} (<1996-2014>, resolved)",), "S": SCREENING}[kind])
        mentions: list[Piece] = []
        named: list[str] = []
        for _ in range(template.count("{}")):
            entry = self._absent(kind, besides=named)
            if entry is None:
                return
            named.append(entry.code)
            mentions.append(self.mention(_pick(rng, entry.names), None))
        sentence = _fill(rng, template, mentions)
        if kind == "R":
            self.lists["past"].append(sentence)
        else:
            section = {"N": _pick(rng, ("history", "exam", "plan")), "F": "family", "S": "plan"}[kind]
            self.sentences[section].append(sentence)

    def add_allergy(self) -> None:
        entry = self._absent("N")
        if entry is not None and entry.drugs:
            self.sentences["social"].append(
                _fill(self.rng, "Intolerant of {}.", [(_pick(self.rng, entry.drugs), None)])
            )

    def add_background(self) -> None:
        """Opening line, vitals, unremarkable results and everyday drugs."""
        rng = self.rng
        person = _pick(rng, ("woman", "lady", "female") if self.sex == "F" else ("man", "gentleman", "male"))
        opening = _pick(rng, ("{}-year-old {}", "{} y/o {}", "{} yo {}")).format(self.age, person)
        reason = _pick(rng, (" seen for {}.", " presenting with {}.", " here with {}.", ", chief complaint {}."))
        self.sentences["opening"].append([(opening + _roll(rng, reason.format(_pick(rng, COMPLAINTS))), None)])
        vitals = "BP <104-164>/<58-94>, HR <56-112>, T <36.3-37.4>, RR <12-24>, sat <91-99>% on RA."
        self.sentences["exam"].insert(0, [(_roll(rng, vitals), None)])
        for text, *codes in _shuffled(rng, NORMAL_RESULTS)[: 1 + int(rng.random() * 3)]:
            if not any(code in self.codes for code in codes):
                self.lists["results"].append([(_roll(rng, text), None)])
        for drug in _shuffled(rng, OTHER_DRUGS)[: int(rng.random() * 3)]:
            self.lists["drugs"].append([(drug, None)])

    def pad(self, num_words: int) -> None:
        """Adds sentences that say nothing about any code until the note has about `num_words` words."""
        fillers = [
            (section, text)
            for section, texts in FILLERS.items()
            for text in texts
            if not any(code in self.codes for code in FILLER_CONTRADICTS.get(text, ()))
        ]
        sentences = [s for part in (self.sentences, self.lists) for listed in part.values() for s in listed]
        length = 12 + sum(len(text.split()) for sentence in sentences for text, _ in sentence)
        for section, text in _shuffled(self.rng, fillers):
            if length >= num_words:
                return
            text = _roll(self.rng, text)
            self.sentences[section].append([(text, None)])
            length += len(text.split())

    def render(self) -> tuple[str, dict[str, list[list[int]]]]:
        """The text and, by code, the [start, end) spans in it that support the code."""
        rng = self.rng
        layout: Layout = _pick(rng, LAYOUTS)
        parts: list[str] = []
        spans: dict[str, list[list[int]]] = {}
        length = 0

        def write(text: str, code: str | None = None) -> None:
            nonlocal length
            if code is not None:
                spans.setdefault(code, []).append([length, length + len(text)])
            parts.append(text)
            length += len(text)

        def write_sentence(sentence: Sentence) -> None:
            at_start = True
            for text, code in sentence:
                # "eGFR" keeps its small letter
                if at_start and text[:2].islower():
                    text = text[0].upper() + text[1:]
                at_start = at_start and not text
                write(text, code)

        for section, heading in layout.sections:
            sentences = self.sentences.get(section, [])
            if section in {"history", "exam", "plan"}:
                sentences = [*sentences[:1], *_shuffled(rng, sentences[1:])]
            if items := _shuffled(rng, self.lists.get(section, [])):
                sentences = [_joined(items, layout.list_separator)]
            if not sentences:
                continue
            if parts:
                write(layout.section_separator)
            if heading:
                write(f"{heading} ")
            for number, sentence in enumerate(sentences):
                if number:
                    write(layout.sentence_separator)
                write_sentence(sentence)

        text = "".join(parts)
        text = text.lower() if layout.lower else text  # ASCII throughout: the spans stay where they are
        return text, {code: spans[code] for code in sorted(spans)}


def _joined(items: list[Sentence], separator: str) -> Sentence:
    sentence: Sentence = []
    for number, item in enumerate(items):
        sentence += [(separator, None)] if number else []
        sentence += item
    return [*sentence, (".", None)]


def _distractors(kind: str) -> tuple[list[DemoCode], list[int]]:
    entries = [entry for entry in CODE_SHEET.values() if kind in entry.kinds]
    return entries, [entry.count + 10 for entry in entries]  # the tail gets mentioned, too


_DISTRACTORS = {kind: _distractors(kind) for kind in "NFRS"}


def _draw_patient(rng: random.Random, codes: Sequence[str]) -> tuple[str, int]:
    entries = [CODE_SHEET[code] for code in codes]
    sex = next((entry.sex for entry in entries if entry.sex), "") or _pick(rng, "FM")
    youngest = max(entry.min_age for entry in entries)
    return sex, youngest + int(rng.random() * (94 - youngest))


def _deal_rare_codes(rng: random.Random) -> dict[int, str]:
    """Place in the block -> the rare code of that note: each rare code exactly as often as its count says."""
    codes = [entry.code for entry in _RARE for _ in range(entry.count)]
    return dict(zip(_shuffled(rng, range(BLOCK)), codes, strict=False))


def _draw_codes(rng: random.Random, rare: str | None) -> list[str]:
    """The codes of one note: the rare one dealt to it, then frequent ones, often companions of those before."""
    num_codes = _pick_weighted(rng, list(NUM_CODES_WEIGHTS), list(NUM_CODES_WEIGHTS.values()))
    weights = [entry.count for entry in _FREQUENT]
    codes = [rare] if rare else []
    while len(codes) < num_codes:
        entry = _pick_weighted(rng, _FREQUENT, weights)
        if codes and rng.random() < COMPANION_RATE and (companions := CODE_SHEET[_pick(rng, codes)].companions):
            entry = CODE_SHEET[_pick(rng, companions)]
        sexes = {CODE_SHEET[code].sex for code in codes} | {entry.sex}
        if (
            entry.count > RARE
            and entry.code not in codes
            and not any(code in codes for code in EXCLUDED_BY[entry.code])
            and not sexes >= {"F", "M"}
        ):
            codes.append(entry.code)
    return codes


def _write_note(rng: random.Random, codes: list[str]) -> tuple[str, dict[str, list[list[int]]]]:
    note = _Note(rng, codes)
    note.add_background()
    for code in codes:
        note.add_code(CODE_SHEET[code])
    long = rng.random() < LONG_RATE
    for _ in range(int(rng.random() * (MOST_DISTRACTORS + 1)) + 5 * long):
        note.add_distractor()
    if rng.random() < 0.15:
        note.add_allergy()
    note.pad(int(rng.random() * 100) + (220 if long else 62))
    return note.render()


def generate_notes(num_notes: int, *, seed: int = 0) -> Iterator[dict]:
    """
    Yields synthetic notes, no two with the same text. Fewer notes of the same seed are the first of more.

    Args:
        num_notes (`int`): how many.
        seed (`int`, *optional*, defaults to 0): the same seed gives the same notes on every machine.

    Yields:
        `dict`: `id`; `text`; `labels`, one to six codes, sorted; `evidence`, for each label the `[start, end)` character spans
        of the text that support it, at least one.
    """
    rng = random.Random(seed)
    rare_codes: dict[int, str] = {}
    seen: set[str] = set()
    for number in range(num_notes):
        if number % BLOCK == 0:
            rare_codes = _deal_rare_codes(rng)
        codes = _draw_codes(rng, rare_codes.get(number % BLOCK))
        text, evidence = _write_note(rng, codes)
        while text in seen:
            text, evidence = _write_note(rng, codes)
        seen.add(text)
        for entry in (CODE_SHEET[code] for code in codes):
            if entry.count > RARE and len(evidence) > 1 and rng.random() < OMITTED_RATE:
                del evidence[entry.code]
        yield {"id": f"demo-{number:06d}", "text": text, "labels": list(evidence), "evidence": evidence}


def write_demo_corpus(
    folder: str | Path, *, seed: int = 0, num_train: int = 2000, num_validation: int = 300, num_test: int = 500
) -> dict[str, Path]:
    """
    Writes `train.jsonl`, `validation.jsonl`, `test.jsonl` and `label_descriptions.json` (code -> description) into a folder.

    The splits are cut in this order from one stream of notes, so they share no text. With 2,000
    training notes the rare codes are sure to be among them; with fewer, some may occur in the other splits only.
    A file that is already there with the same content is left alone.

    Args:
        folder (`str` or `Path`): made if it is missing.
        seed (`int`, *optional*, defaults to 0): see [`generate_notes`].
        num_train (`int`, *optional*, defaults to 2000): notes for training.
        num_validation (`int`, *optional*, defaults to 300): notes for validation.
        num_test (`int`, *optional*, defaults to 500): notes for testing.

    Returns:
        `dict[str, Path]`: the files, under `train`, `validation`, `test` and `label_descriptions`.

    Raises:
        `UserError`: the folder is a file, or holds a file of one of these names with another content (nothing is
        written then), or a size is below 1.
    """
    folder = Path(folder)
    sizes = {"train": num_train, "validation": num_validation, "test": num_test}
    for split, size in sizes.items():
        if size < 1:
            raise UserError(f"{size} notes asked for", field=f"num_{split}", accepted="1 or more")

    notes = generate_notes(sum(sizes.values()), seed=seed)
    contents = {
        folder / f"{split}.jsonl": "".join(json.dumps(next(notes)) + "\n" for _ in range(size))
        for split, size in sizes.items()
    }
    contents[folder / "label_descriptions.json"] = json.dumps(DEMO_CODES, indent=2) + "\n"

    write_files_once(contents)
    return {path.stem: path for path in contents}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m hf_mlc.data.demo_notes",
        description="Write a corpus of synthetic clinical notes with ICD-10-CM codes. Not fit for clinical use.",
    )
    parser.add_argument("--output_dir", required=True, type=Path, help="folder for the files; made if it is missing")
    parser.add_argument(
        "--seed", default=0, type=int, help="the same seed gives the same notes (default: %(default)s)"
    )
    parser.add_argument("--num_train", default=2000, type=int, help="training notes (default: %(default)s)")
    parser.add_argument("--num_validation", default=300, type=int, help="validation notes (default: %(default)s)")
    parser.add_argument("--num_test", default=500, type=int, help="test notes (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        files = write_demo_corpus(
            arguments.output_dir,
            seed=arguments.seed,
            num_train=arguments.num_train,
            num_validation=arguments.num_validation,
            num_test=arguments.num_test,
        )
    except UserError as error:
        parser.exit(2, f"{error}\n")
    for path in files.values():
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
