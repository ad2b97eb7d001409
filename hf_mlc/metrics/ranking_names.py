"""The names of metrics of rankings: `p@5`, `r@5`, `ndcg@5`, `psp@5`."""

from __future__ import annotations

from collections.abc import Sequence

from hf_mlc.errors import UserError


RANKINGS = ("p", "r", "ndcg", "psp")


def headline_ranking(ks: Sequence[int]) -> str:
    """The metric that speaks for all where none is named: `p@5`, of the largest k where 5 isn't among them."""
    return f"p@{5 if 5 in ks else max(ks)}"


def check_rankings(names: Sequence[str], ks: Sequence[int], *, field: str) -> None:
    """`UserError` for a name that is no metric of rankings, or of a k that isn't measured.

    Args:
        names (`Sequence[str]`): what was given, without what a bucket of labels adds to it (`p@5@1-5`).
        ks (`Sequence[int]`): `ranking_ks`.
        field (`str`): the argument that holds the names.
    """
    accepted = [f"{kind}@{k}" for kind in RANKINGS for k in ks]
    for name in names:
        if name not in accepted:
            raise UserError(f"'{name}' is no metric of rankings here", field=field, accepted=", ".join(accepted))
