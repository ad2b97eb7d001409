"""Where the rows of a split are: files of this machine, found by their names, or a data set of the Hub and its own splits.

Nothing is read here but the first line of a `.txt`, which may be rows or anything else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from hf_mlc.data.reading import FORMATS, check_file, ending_of, format_of, shape_of, stem_of
from hf_mlc.errors import MissingSplitError, UserError


SPLITS = ("train", "validation", "test")

# what a file or a Hub split is called, followed by nothing or by a character that is no letter
_SPLIT_NAME = {
    "train": r"train(?:ing|set)?",
    "validation": r"valid(?:ation|ate)?(?:set)?|val(?:set)?|dev(?:elopment|set)?",
    "test": r"test(?:ing|set)?",
}
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
# after a name: nothing else, the number of a shard apart
_IS_WHOLE = r"(?:-\d{5}-of-\d{5})?$"


def check_split_names(names: Iterable[str]) -> None:
    """`UserError` unless these are names of splits."""
    for name in names:
        if name not in SPLITS:
            raise UserError(f"unknown split {name!r}", field="splits", accepted=", ".join(SPLITS))


def is_local(name: str | Path) -> bool:
    """Whether a data set is a file or a folder of this machine; else it is one of the Hub.

    Raises:
        `UserError`: neither: a path to nothing.
    """
    text = str(name)
    if Path(name).exists():
        return True
    # these can be no Hub id: a path with a mistake in it should not be looked for on the Hub
    looks_like_a_path = isinstance(name, Path) or text.startswith((".", "/", "~")) or text.count("/") > 1
    if looks_like_a_path or format_of(text) is not None:
        raise UserError("no such file or folder", file=name, accepted="a local file, a local folder or a Hub id")
    return False


def files_of_splits(path: Path, splits: Sequence[str] | Mapping[str, str] | None) -> dict[str, list[Path]]:
    """The files of each split: one, or its shards in order.

    Args:
        path (`Path`): a file, which is the training split unless `splits` says which, or a folder with a file a split.
        splits (`list[str]` or `dict[str, str]`, *optional*): as [`~hf_mlc.data.loading.load_splits`] takes them.

    Raises:
        `UserError`: no file of a split that is wanted, or several that are no shards.
    """
    if path.is_file():
        check_file(path)
        if splits is None:
            return {"train": [path]}
        if len(splits) != 1:
            raise UserError("one file, several splits asked for", file=path, field="splits", accepted="one split")
        return {next(iter(splits)): [path]}
    found = sorted(file for file in path.iterdir() if file.is_file() and format_of(file) is not None)
    files_of: dict[str, list[Path]] = {}
    for split in SPLITS:
        name, ending = _SPLIT_NAME[split], r"(?![A-Za-z])"
        if isinstance(splits, Mapping):
            name, ending = re.escape(splits.get(split, "")), _IS_WHOLE
        matching = [file for file in found if re.match(f"(?:{name}){ending}", stem_of(file), re.IGNORECASE)]
        if matching := _without_other_texts(matching, f"(?:{name}){_IS_WHOLE}"):
            files_of[split] = matching
    wanted = ("train",) if splits is None else splits
    listing = ", ".join(file.name for file in found) or f"no file ending in {', '.join(FORMATS)}"
    for split in wanted:
        if split not in files_of:
            raise MissingSplitError(
                f"no file of the split {split!r}; found: {listing}",
                file=path,
                accepted="files called train*, validation* / valid* / val* / dev* and test*",
            )
    files_of = {split: files for split, files in files_of.items() if splits is None or split in splits}
    for split, files in files_of.items():
        if len(files) > 1 and not _are_shards(files):
            raise UserError(
                f"several files of the split {split!r}: {', '.join(file.name for file in files)}",
                file=path,
                accepted=f"one, or {split}_file or splits={{{split!r}: NAME}} to choose one",
            )
    return files_of


def _without_other_texts(files: list[Path], whole_name: str) -> list[Path]:
    """A .txt may be anything. It is rows if its first line says so, and taken for rows where it is called as the split is and
    no file of another format is: then what is wrong with it is said when it is read."""
    of_rows = [file for file in files if ending_of(file) != ".txt"]
    return [
        file
        for file in files
        if file in of_rows
        or _says_rows(file)
        or (not of_rows and re.match(whole_name, stem_of(file), re.IGNORECASE) is not None)
    ]


def _says_rows(file: Path) -> bool:
    try:
        return shape_of(file) is not None
    except UserError:
        return False


def _are_shards(files: list[Path]) -> bool:
    """Whether these are all of `NAME-00000-of-0000N`, in order."""
    places = [_SHARD.search(stem_of(file)) for file in files]
    if not all(places):
        return False
    names = {stem_of(file)[: place.start()] for file, place in zip(files, places, strict=True)}
    return len(names) == 1 and [(int(p[1]), int(p[2])) for p in places] == [(i, len(files)) for i in range(len(files))]


def training_file(dataset_name: str | Path | None = None, train_file: str | Path | None = None) -> Path | None:
    """The first file of training rows, where they are files on this machine.

    Args:
        dataset_name, train_file: as [`~hf_mlc.data.loading.load_splits`] takes them.
    """
    if dataset_name is None:
        return None if train_file is None else Path(train_file)
    return files_of_splits(Path(dataset_name), ["train"])["train"][0] if is_local(dataset_name) else None


def hub_split(names: Collection[str], split: str, splits: Sequence[str] | Mapping[str, str] | None) -> str | None:
    """What a split is called on the Hub; `None` where there is none, or more than one that could be meant.

    Args:
        names (`Collection[str]`): the splits that a data set of the Hub has.
        split (`str`): `train`, `validation` or `test`.
        splits (`list[str]` or `dict[str, str]`, *optional*): as [`~hf_mlc.data.loading.load_splits`] takes them.
    """
    if isinstance(splits, Mapping):
        return splits.get(split) if splits.get(split) in names else None
    if split in names:
        return split
    matching = [name for name in names if re.fullmatch(_SPLIT_NAME[split], name)]
    return matching[0] if len(matching) == 1 else None
