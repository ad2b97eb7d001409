"""Reviews with the categories of their business, as a data set of texts.

| what is found | what happens |
| --- | --- |
| a business's `categories` as a string with commas | cut at the commas; "Books, Mags, Music & Video" and the like stay whole |
| `categories` as a list, as in old rounds | taken |
| `categories` null, missing or empty | unknown, not "none": its reviews are left out and counted |
| a category twice at a business | one label |
| a category that fewer than `min_businesses` training businesses have | no label, counted; a business left without any goes the same way as one without categories |
| a review of a business that isn't listed | left out, counted |
| a review without text | kept; the loader counts it |
| a business twice | the same categories: counted; others: error |
| a line that is no JSON, an id or text that is no string, half a character in a category | error: file, row, field |

All reviews of a business have the same labels, so that a split by review would ask for what was seen in training: the split is
by business, drawn from its id and the seed, whatever the order of the files. Which categories count is learned from training
businesses only.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf_mlc.data.writing import write_mixed_rows
from hf_mlc.errors import UserError
from hf_mlc.yelp.reading import categories_of, find_file, read_objects, string_of


DATA_SET = "yelp"
# shares of the businesses, in hundredths: training, validation, test
SHARES = {"train": 80, "validation": 10, "test": 10}


def prepare_yelp(
    yelp_dir: str | Path,
    output: Path,
    *,
    min_businesses: int = 50,
    reviews_per_business: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Writes the reviews of all splits to `output/yelp` in one pass over the file, and returns the report.

    In memory are the businesses' categories, and nothing of the reviews.

    Args:
        yelp_dir (`str` or `Path`): the folder of the two files ([`hf_mlc.yelp.reading`]).
        output (`Path`): a folder that is there.
        min_businesses (`int`, *optional*, defaults to 50): training businesses that a category must have.
        reviews_per_business (`int`, *optional*): the first so many reviews of each in the file's order; all if not given.
        seed (`int`, *optional*, defaults to 0): of the split.

    Raises:
        `UserError`: see the table of this module; no category that is frequent enough; no training row.
    """
    businesses, reviews = find_file(yelp_dir, "business"), find_file(yelp_dir, "review")
    facts: Counter[str] = Counter()
    categories = _categories(businesses, facts)
    counts = Counter(
        name for number, names in categories.items() if split_of(number, seed) == "train" for name in names
    )
    kept = {name for name, count in counts.items() if count >= min_businesses}
    if not kept:
        raise UserError(
            f"no category has {min_businesses} training businesses, the most frequent has "
            f"{max(counts.values(), default=0)}",
            file=businesses,
            field="min_businesses",
            accepted="a smaller number",
        )
    facts["categories"] = len({name for names in categories.values() for name in names})
    facts["categories_left_out"] = facts["categories"] - len(kept)
    labels = {number: [name for name in names if name in kept] for number, names in categories.items()}
    facts["businesses_left_without_labels"] = sum(bool(categories[number]) and not labels[number] for number in labels)
    rows = _rows(reviews, labels, reviews_per_business, seed, facts)
    written = write_mixed_rows(output / DATA_SET, rows, splits=tuple(SHARES), label_names=sorted(kept))
    if not written["rows"]["train"]:
        raise UserError(
            f"no training row: {facts['reviews']:,} reviews, none of a training business with a category that is kept",
            file=reviews,
            field="business_id",
            accepted="the reviews of the same round's businesses",
        )
    return {
        "files": [businesses.name, reviews.name],
        "facts": dict(sorted(facts.items())),
        "data_sets": {DATA_SET: written},
        "comparison": [],
    }


def split_of(business_id: str, seed: int) -> str:
    """The split that a business belongs to, by a hash of its id."""
    digest = hashlib.blake2b(business_id.encode("utf-8", "replace"), digest_size=8, salt=seed.to_bytes(8, "little"))
    place = int.from_bytes(digest.digest(), "little") % 100
    for split, share in SHARES.items():
        if place < share:
            return split
        place -= share
    raise AssertionError("the shares sum to 100")


def _categories(file: Path, facts: Counter[str]) -> dict[str, tuple[str, ...]]:
    """The categories of every business, by its id; names are kept once, however many businesses share one."""
    found: dict[str, tuple[str, ...]] = {}
    one: dict[str, str] = {}
    for number, row in read_objects(file):
        business = string_of(row, "business_id", file=file, number=number)
        names = tuple(one.setdefault(name, name) for name in categories_of(row, file=file, number=number))
        if business in found:
            facts["businesses_listed_twice"] += 1
            if found[business] != names:
                raise UserError(
                    f"the business {business} stood before with other categories",
                    file=file,
                    row=number,
                    field="business_id",
                    accepted="each business once",
                )
            continue
        found[business] = names
        facts["businesses"] += 1
        facts["businesses_without_categories"] += not names
    return found


def _rows(
    file: Path, labels: dict[str, list[str]], most: int | None, seed: int, facts: Counter[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    taken: Counter[str] = Counter()
    for number, row in read_objects(file):
        facts["reviews"] += 1
        review, business, text = (
            string_of(row, key, file=file, number=number) for key in ("review_id", "business_id", "text")
        )
        if business not in labels:
            facts["reviews_of_unlisted_businesses"] += 1
            continue
        if not labels[business]:
            facts["reviews_without_labels"] += 1
            continue
        if most is not None:
            if taken[business] == most:
                facts["reviews_beyond_the_limit"] += 1
                continue
            taken[business] += 1
        yield split_of(business, seed), {"id": review, "text": text, "labels": labels[business]}
