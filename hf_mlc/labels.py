"""The label space: names and ids of the labels, what training said about them, and nothing about any one document.

Names and ids go in and come out: a data set may hold names, integers that are names (`3474`), or ids into a list that
the user gives. Everything after this file works with ids, 0 ... L-1.

Shapes: `L` labels.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.label_checks import (
    check_characters,
    check_length,
    checked_names,
    checked_parents,
    checked_propensity,
    shortened,
    whole_numbers,
)
from hf_mlc.metrics.buckets import bucket_of
from hf_mlc.metrics.ranking import PROPENSITY, inverse_propensities


# looking for a near match compares with every name: only done where that is instant
_NEAR_MATCH_LIMIT = 20_000
_LABEL_FILE = "a JSON list of names, or a labels.json written by LabelSpace.save"
_INTEGER = re.compile(r"-?[0-9]+")
# as a CSV writes an id; "007" is none, and so many digits that int() refuses them aren't either
_ID = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(eq=False)
class LabelSpace:
    """Names <-> ids of L labels, with their training counts, descriptions and parents.

    Args:
        names (`list[str]`): the labels; the position is the id.
        counts (`np.ndarray` of shape `(L,)`, *optional*): training documents that hold each label.
        num_documents (`int`, *optional*): training documents in all, with and without labels.
        descriptions (`list[str | None]` or `dict[str, str]`, *optional*): a sentence a label, in order or by name.
        parents (`list` or `dict`, *optional*): the parent of each label in a hierarchy, as an id or a name, in order
            or by name; `-1` or `None` where there is none. Kept as int64 `(L,)`, -1 = none.
        integers_are_ids (`bool`, *optional*, defaults to `False`): whether an integer in the data is an id into
            `names` (the list was given) or a name written as a number. With ids, a string of digits that is no name
            is an id too: a CSV has no other way of writing one.
        propensity (`tuple[float, float]`, *optional*, defaults to `(0.55, 1.5)`): A and B of this data set's
            propensities, see `propensities`.

    Raises:
        `UserError`: on an empty list, an empty, duplicate or non-string name, on lengths that do not match, on counts
            that are no counts, on a parent that is no label and on a label that is its own ancestor.

    Descriptions and parents given by name may hold names outside the label space (an ontology is larger than the part
    of it that a data set uses); those entries are dropped. A parent that is not a label is an error.

    Example:
        >>> space = LabelSpace.from_label_lists([["grain", "wheat"], ["earn"], []])
        >>> space.names, space.counts.tolist(), space.num_documents
        (['earn', 'grain', 'wheat'], [1, 1, 1], 3)
        >>> space.encode(["wheat", "earn"]).tolist()
        [0, 2]
    """

    names: list[str]
    counts: np.ndarray | None = None
    num_documents: int | None = None
    descriptions: list[str | None] | None = None
    parents: np.ndarray | None = None
    integers_are_ids: bool = False
    propensity: tuple[float, float] = PROPENSITY
    _ids: dict[str, int] | None = field(default=None, init=False, repr=False)

    def __post_init__(self):
        self.names = checked_names(self.names)
        self.propensity = checked_propensity(self.propensity)
        if self.num_documents is not None:
            self.num_documents = int(whole_numbers([self.num_documents], "num_documents")[0])
        if self.counts is not None:
            check_length(self.counts, len(self.names), "counts")
            self.counts = whole_numbers(self.counts, "counts")
            if self.num_documents is not None and self.counts.max() > self.num_documents:
                raise UserError(
                    f"a label in {self.counts.max()} of {self.num_documents} documents",
                    field="counts",
                    accepted="at most num_documents",
                )
        if self.descriptions is not None:
            self.descriptions = self._in_order(self.descriptions, "descriptions")
            wrong = next((one for one in self.descriptions if not isinstance(one, str | None)), None)
            if wrong is not None:
                raise UserError(f"found {wrong!r:.40}", field="descriptions", accepted="a sentence, or null")
            for name, description in zip(self.names, self.descriptions, strict=True):
                check_characters(description or "", f"what is said of {name!r}", field="descriptions")
        if self.parents is not None:
            self.parents = checked_parents(self._in_order(self.parents, "parents"), self.names, self._name_to_id)

    # -- building

    @classmethod
    def from_label_lists(
        cls,
        label_lists: Iterable[Iterable[str | int]],
        *,
        names: Sequence[str] | None = None,
        descriptions: Sequence[str | None] | Mapping[str, str] | None = None,
        parents: Sequence[Any] | Mapping[str, Any] | None = None,
        file: str | Path | None = None,
    ) -> LabelSpace:
        """The label space of a training split, with its counts.

        A label that stands twice in a document counts once. Without `names` the labels found are sorted (numerically
        if all are integers) and an integer is a name; with `names` the given order stays and an integer is an id.

        Args:
            label_lists (iterable of lists): the labels of each training document, possibly empty; read once.
            names (`list[str]`, *optional*): the labels, where some may never occur in training.
            descriptions, parents (*optional*): see [`LabelSpace`].
            file (`str` or `Path`, *optional*): where the lists come from, for error messages.
        """
        if names is not None:
            return cls.from_names(names, descriptions=descriptions, parents=parents).counted(label_lists, file=file)

        count_of: dict[Any, int] = {}
        num_documents = 0
        for labels in label_lists:
            num_documents += 1
            for label in set(labels):
                count_of[label] = count_of.get(label, 0) + 1
        if len({isinstance(label, str) for label in count_of}) > 1:  # is 7 the same label as "7"? we do not guess
            raise UserError("strings and integers mixed", file=file, field="labels", accepted="one kind of label")
        count_of_name = {
            label if isinstance(label, str) else _integer_name(label, file=file): count
            for label, count in count_of.items()
        }
        if not count_of_name:
            raise UserError(
                f"no label in any of the {num_documents} training rows",
                file=file,
                field="labels",
                accepted="a training split in which at least one row has a label",
            )
        ordered = sort_names(count_of_name)
        counts = np.fromiter((count_of_name[name] for name in ordered), dtype=np.int64, count=len(ordered))
        return cls(ordered, counts, num_documents, descriptions, parents)

    def counted(self, label_lists: Iterable[Iterable[str | int]], *, file: str | Path | None = None) -> LabelSpace:
        """The same labels with the counts of these training documents; a label it lacks is an error."""
        counts, num_documents = np.zeros(len(self), dtype=np.int64), 0
        for labels in label_lists:
            num_documents += 1
            counts[self.encode(labels, file=file, row=num_documents)] += 1
        return replace(self, counts=counts, num_documents=num_documents)

    @classmethod
    def from_names(
        cls,
        names: Sequence[str],
        *,
        counts: Sequence[int] | None = None,
        num_documents: int | None = None,
        descriptions: Sequence[str | None] | Mapping[str, str] | None = None,
        parents: Sequence[Any] | Mapping[str, Any] | None = None,
    ) -> LabelSpace:
        """The label space of a given list of names, in its order; integers in the data are ids into it."""
        return cls(list(names), counts, num_documents, descriptions, parents, integers_are_ids=True)

    # -- names <-> ids

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._name_to_id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelSpace):
            return NotImplemented
        return (
            self.names == other.names
            and self.num_documents == other.num_documents
            and self.descriptions == other.descriptions
            and self.integers_are_ids == other.integers_are_ids
            and self.propensity == other.propensity
            and _same_array(self.counts, other.counts)
            and _same_array(self.parents, other.parents)
        )

    @property
    def _name_to_id(self) -> dict[str, int]:
        # built on first use: a space that only decodes, of a million labels, does without
        if self._ids is None:
            self._ids = {name: i for i, name in enumerate(self.names)}
        return self._ids

    def id(self, name: str) -> int:
        """The id of one name; `UserError` if there is none."""
        found = self._find(name)
        if found is None:
            raise self._unknown(name)
        return found

    def encode(
        self, labels: Iterable[str | int], *, file: str | Path | None = None, row: int | str | None = None
    ) -> np.ndarray:
        """The ids of a document's labels.

        Args:
            labels (iterable of `str` or `int`): names or ids, in any order; duplicates are merged.
            file, row (*optional*): where they stand, for the error message.

        Returns:
            int64 `(P,)`, sorted, each id once.

        Raises:
            `UserError`: on a label that is not in the space, naming it.
        """
        ids = []
        for label in labels:
            found = self._find(label)
            if found is None:
                raise self._unknown(label, file=file, row=row)
            ids.append(found)
        return _sorted_unique(ids)

    def encode_known(self, labels: Iterable[str | int]) -> tuple[np.ndarray, int]:
        """The ids of the labels that are in the space, sorted, each once; and how many different ones are not."""
        ids, unknown = [], set()
        for label in labels:
            found = self._find(label)
            if found is None:
                unknown.add(label)
            else:
                ids.append(found)
        return _sorted_unique(ids), len(unknown)

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The names of the given ids, in the given order."""
        names = []
        for i in ids:
            if not 0 <= i < len(self.names):
                raise UserError(f"no label has the id {i}", accepted=f"ids from 0 to {len(self.names) - 1}")
            names.append(self.names[i])
        return names

    def _find(self, label: Any) -> int | None:
        if isinstance(label, str):
            found = self._name_to_id.get(label)
            if found is None and self.integers_are_ids and _ID.fullmatch(label):
                return self._find(int(label))
            return found
        if isinstance(label, (int, np.integer)) and not isinstance(label, (bool, np.bool_)):
            if self.integers_are_ids:
                return int(label) if 0 <= label < len(self.names) else None
            return self._name_to_id.get(str(label))
        return None

    def _unknown(self, label: Any, *, file: str | Path | None = None, row: int | str | None = None) -> UserError:
        accepted = f"one of {len(self.names):,} labels ({shortened(self.names)})"
        if isinstance(label, str) and len(self.names) <= _NEAR_MATCH_LIMIT:
            near = difflib.get_close_matches(label, self.names, n=1)
            if near:
                accepted = f"one of {len(self.names):,} labels; did you mean {near[0]!r}?"
        if self.integers_are_ids and (not isinstance(label, str) or _ID.fullmatch(label)):
            accepted = f"names, or ids from 0 to {len(self.names) - 1}"
        return UserError(
            f"label {label!r} is not in the label space", file=file, row=row, field="labels", accepted=accepted
        )

    # -- what training said

    def propensities(self, a: float | None = None, b: float | None = None) -> np.ndarray:
        r"""How likely a relevant label is to have been noted at all, from its training count.

        p_l = 1 / (1 + C (n_l + B)^-A),  C = (log N - 1) (B + 1)^A

        Jain, Prabhu & Varma, "Extreme multi-label loss functions for recommendation, tagging, ranking & other missing
        label applications", KDD 2016, section 4. A and B are the label space's own (`propensity`) where they are not given;
        usual are 0.55, 1.5 (the default), for Wikipedia 0.5, 0.4, for Amazon 0.6, 2.6. N <= e documents would make C
        negative; C is then 0 and every propensity 1.

        Returns:
            float64 `(L,)`, each in (0, 1].
        """
        counts, num_documents = self._training_counts()
        own_a, own_b = self.propensity
        a, b = own_a if a is None else a, own_b if b is None else b
        return 1.0 / inverse_propensities(counts, num_documents, a=a, b=b)

    def bucket_of(self) -> np.ndarray:
        """The training-count bucket of each label: `'0'`, `'1-5'`, `'6-20'`, `'21-50'` or `'>50'`; str `(L,)`."""
        counts, _ = self._training_counts()
        return bucket_of(counts)

    def _training_counts(self) -> tuple[np.ndarray, int]:
        if self.counts is None or self.num_documents is None:
            raise UserError(
                "this label space has no training counts", accepted="one built by LabelSpace.from_label_lists"
            )
        return self.counts, self.num_documents

    # -- on disk

    def to_dict(self) -> dict[str, Any]:
        """All of it in JSON's own types; what is not set is left out."""
        content: dict[str, Any] = {"names": list(self.names)}
        if self.counts is not None:
            content["counts"] = self.counts.tolist()
        if self.num_documents is not None:
            content["num_documents"] = int(self.num_documents)
        if self.descriptions is not None:
            content["descriptions"] = list(self.descriptions)
        if self.parents is not None:
            content["parents"] = self.parents.tolist()
        if self.integers_are_ids != (self.counts is None):  # else it goes without saying, see `from_dict`
            content["integers_are_ids"] = self.integers_are_ids
        if self.propensity != PROPENSITY:
            content["propensity"] = list(self.propensity)
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, file: str | Path | None = None) -> LabelSpace:
        """The inverse of `to_dict`.

        Without the key `integers_are_ids`, integers in the data are ids if there are no counts: such a list was given by
        someone, not built from the data.
        """
        known = {"names", "counts", "num_documents", "descriptions", "parents", "integers_are_ids", "propensity"}
        if not isinstance(content, Mapping) or "names" not in content:
            raise UserError("not a label space", file=file, accepted=_LABEL_FILE)
        unknown = sorted(set(content) - known)
        if unknown:
            raise UserError(
                f"unknown key {unknown[0]!r} in a label space", file=file, accepted=", ".join(sorted(known))
            )
        for key, kinds in (
            ("names", list),
            ("counts", list),
            ("descriptions", (list, dict)),
            ("parents", (list, dict)),
        ):
            if not isinstance(content.get(key, []), kinds):
                raise UserError(f"found {type(content[key]).__name__}", file=file, field=key, accepted="a JSON list")
        if not isinstance(content.get("integers_are_ids", False), bool):
            found = f"found {content['integers_are_ids']!r:.40}"
            raise UserError(found, file=file, field="integers_are_ids", accepted="true or false")
        try:
            return cls(**{"integers_are_ids": "counts" not in content, **content})
        except UserError as error:
            raise UserError(error.problem, file=file, field=error.field, accepted=error.accepted) from None

    def save(self, path: str | Path) -> Path:
        """Writes `labels.json` (into a folder, or to the given file name); an old file stays whole until the new one is."""
        path = _file_of(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as stream:
            json.dump(self.to_dict(), stream, ensure_ascii=False, separators=(",", ":"))
            stream.write("\n")
        return path

    @classmethod
    def load(cls, path: str | Path) -> LabelSpace:
        """Reads a label file: JSON in UTF-8, written by `save` or by hand.

        It holds either a list of names, in the order of their ids,

            ["earn", "grain", "wheat"]

        or an object with the key `names` and any of the other arguments of [`LabelSpace`], by their names:

            {"names": ["earn", "grain", "wheat"], "counts": [7, 3, 1], "num_documents": 9,
             "descriptions": {"earn": "Earnings"}, "parents": {"wheat": "grain"}, "integers_are_ids": false,
             "propensity": [0.55, 1.5]}

        Where counts are not given, integers in the data are ids into the names, and so are strings of digits that are
        no name; with counts they are names, unless `integers_are_ids` says otherwise.

        Args:
            path (`str` or `Path`): the file, or a folder that holds `labels.json`.

        Raises:
            `UserError`: there is no such file, it is no JSON, or it is no label space.
        """
        asked, path = Path(path), _file_of(path)
        try:
            content = json.loads(
                path.read_text(encoding="utf-8-sig")
            )  # as of rows, a byte order mark is no part of it
        except FileNotFoundError:
            missing = asked if asked.suffix and not asked.is_dir() else path
            raise UserError("no such file", file=missing, accepted=_LABEL_FILE) from None
        except OSError as error:
            raise UserError(f"can't be read ({error.strerror})", file=path, accepted=_LABEL_FILE) from None
        except (ValueError, RecursionError) as error:  # bad JSON, or bytes that are no UTF-8
            raise UserError(f"not JSON ({error})", file=path, accepted=_LABEL_FILE) from None
        return cls.from_dict({"names": content} if isinstance(content, list) else content, file=path)

    def _in_order(self, values: Any, what: str) -> list[Any]:
        if isinstance(values, Mapping):
            return [values.get(name) for name in self.names]
        values = values.tolist() if isinstance(values, np.ndarray) else list(values)
        check_length(values, len(self.names), what)
        return values


def sort_names(names: Iterable[str]) -> list[str]:
    """The names in their canonical order: numerically if every one is an integer, else by code point."""
    names = list(names)
    if all(_INTEGER.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _integer_name(label: Any, *, file: str | Path | None) -> str:
    if isinstance(label, (int, np.integer)) and not isinstance(label, (bool, np.bool_)):
        return str(label)
    raise UserError(
        f"label {label!r} is a {type(label).__name__}", file=file, field="labels", accepted="strings or integers"
    )


def _sorted_unique(ids: list[int]) -> np.ndarray:
    return np.array(sorted(set(ids)), dtype=np.int64)


def _same_array(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def _file_of(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".json" or path.is_file() else path / "labels.json"
