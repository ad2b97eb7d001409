"""The smaller data sets of MIMIC-III: top 50, rare50, few. Each is a choice of admissions and of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hf_mlc.mimic.codes import CodeTable


# labels of the admissions of each split
Labels = dict[str, dict[int, list[str]]]

# CAML's list; counted anew on MIMIC-III 1.4, some would be others
TOP_50 = (
    "401.9", "38.93", "428.0", "427.31", "414.01", "96.04", "96.6", "584.9", "250.00", "96.71", "272.4",
    "518.81", "99.04", "39.61", "599.0", "530.81", "96.72", "272.0", "285.9", "88.56", "244.9", "486", "38.91",
    "285.1", "36.15", "276.2", "496", "99.15", "995.92", "V58.61", "507.0", "038.9", "88.72", "585.9", "403.90",
    "311", "305.1", "37.22", "412", "33.24", "39.95", "287.5", "410.71", "276.1", "V45.81", "424.0", "45.13",
    "V15.82", "511.9", "37.23",
)  # fmt: skip

# "few": training admissions of a code
FEW_LEAST, FEW_MOST = 1, 5


def labels_of_listed(lists: Mapping[str, Sequence[int]], codes: CodeTable, with_notes, compat: str) -> Labels:
    """All codes of the listed admissions that have notes; some may have no code."""
    return {
        split: {hadm_id: codes.names(hadm_id, compat) for hadm_id in ids if hadm_id in with_notes}
        for split, ids in lists.items()
    }


def restricted(labels: Labels, kept: set[str]) -> Labels:
    """Only the labels `kept`, and only admissions that have one of them."""
    return {
        split: {
            hadm_id: [name for name in names if name in kept]
            for hadm_id, names in of_admission.items()
            if not kept.isdisjoint(names)
        }
        for split, of_admission in labels.items()
    }


def few_codes(labels: Labels) -> set[str]:
    """The codes of the test split that 1 to 5 training admissions have."""
    in_train = Counter(name for names in labels["train"].values() for name in set(names))
    in_test = {name for names in labels["test"].values() for name in names}
    return {name for name in in_test if FEW_LEAST <= in_train[name] <= FEW_MOST}


def rare50_labels(
    lists: Mapping[str, Mapping[tuple[int, int], Sequence[str]]],
    codes: CodeTable,
    subject_of: Mapping[int, int],
    compat: str,
) -> tuple[Labels, dict[str, int]]:
    """The listed labels of the listed admissions, and counts of what of the lists was not to be found.

    The lists name codes as CAML reads them (52.0 for the procedure 00.52). Without `compat="caml"` a name is put back into
    the one that the admission's own table has; one that the table does not have stays as it is listed, and is counted.
    """
    labels: Labels = {}
    counts = {"listed_without_note": 0, "labels_not_in_the_tables": 0}
    for split, of_admission in lists.items():
        labels[split] = {}
        for (subject_id, hadm_id), names in of_admission.items():
            if subject_of.get(hadm_id) != subject_id:
                counts["listed_without_note"] += 1
                continue
            ours = codes.names_by_caml(hadm_id)
            counts["labels_not_in_the_tables"] += sum(name not in ours for name in names)
            labels[split][hadm_id] = [name if compat == "caml" else ours.get(name, name) for name in names]
    return labels, counts
