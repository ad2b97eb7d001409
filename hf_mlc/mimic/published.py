"""What others counted in MIMIC's data sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_mlc.data.published_counts import compared


# of CAML's notebook and lists, KEPT's lists, xcube's plot data (the number of codes of few), Edin's files
PUBLISHED: dict[str, dict[str, int]] = {
    "mimic3": {"discharge notes": 59_652, "admissions with notes": 52_726},
    "full": {"all": 52_726, "train": 47_723, "validation": 1_631, "test": 3_372, "labels": 8_922},
    "50": {"all": 11_368, "train": 8_066, "validation": 1_573, "test": 1_729, "labels": 50},
    "rare50": {"all": 411, "train": 249, "validation": 20, "test": 142, "labels": 50},
    "few": {"labels": 684},
    "icd10": {"all": 122_279, "train": 89_099, "validation": 13_378, "test": 19_802, "labels": 7_942},
}

# what may explain a difference even where all tables are complete
REMARKS: dict[str, dict[str, str]] = {
    "full": {"labels": "CAML's own reading of the codes; ours with --compat caml"},
    "few": {"labels": "in the plot data of the authors' repository, made of CAML's reading"},
}


def comparison(name: str, counted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each published count of a data set beside ours."""
    return compared(name, PUBLISHED.get(name, {}), counted, REMARKS.get(name))
