"""What the names of labels give away: several labels left in one string, and one label written in two ways.

Neither is an error, since a name may hold any character; both are told where training rows are counted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping


# what tables have between labels; a slash or a blank is part of too many names
SEPARATORS = (";", "|", ",")


def unsplit_labels(rows_of: Mapping[str | int, int]) -> str | None:
    """A remark where labels that stand alone in their rows look like whole lists of them, else `None`.

    They do where names taken apart at one of [`SEPARATORS`] are fewer than those that are not: lists made of the same few parts.
    Names that merely hold the character ("fish, fresh") have parts of their own.

    Args:
        rows_of (`Mapping[str | int, int]`): training rows with each label, none with two.
    """
    for separator in SEPARATORS:
        lists = [name for name in rows_of if isinstance(name, str) and separator in name.strip(separator)]
        if not lists:
            continue
        parts = {part.strip() for name in rows_of for part in str(name).split(separator)}
        if len(parts) < len(rows_of):
            num_rows = sum(rows_of[name] for name in lists)
            return (
                f"no row has more than one label, and {num_rows:,} have {separator!r} in its name, as in {lists[0]!r:.60}: if these are "
                f"several labels, --labels_separator {separator!r} takes them apart"
            )
    return None


def alike_labels(names: Collection[str | int]) -> str | None:
    """A remark where names differ in capitals or white space alone, else `None`; they are different labels."""
    first_of: dict[str, str] = {}
    pairs = []
    for name in names:
        if isinstance(name, str):
            first = first_of.setdefault(" ".join(name.casefold().split()), name)
            if first != name:
                pairs.append((first, name))
    if not pairs:
        return None
    (first, second), others = pairs[0], len(pairs) - 1
    more = f" ({others:,} more are like that)" if others else ""
    return f"the labels {first!r:.60} and {second!r:.60} differ in capitals or white space alone, and are two labels{more}"
