"""The one kind of error that is the user's to mend, and how it reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path


class UserError(ValueError):
    """A mistake in what the user gave us: one line that names file, row and field, what was found, what is accepted.

    Commands print it on standard error without a traceback and leave with exit status 2; library callers can catch
    it as the `ValueError` that it is.

    Args:
        problem (`str`): what was found, in a few words.
        file (`str` or `Path`, *optional*): where; a Hub id counts as a file.
        row (`int` or `str`, *optional*): the row in that file, counted from 1 (data rows: a CSV header is not counted), or its id.
        field (`str`, *optional*): the column, argument or key.
        accepted (`str`, *optional*): what would have been accepted.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        row: int | str | None = None,
        field: str | None = None,
        accepted: str | None = None,
    ):
        self.problem, self.file, self.row, self.field, self.accepted = problem, file, row, field, accepted
        place = ", ".join(
            part
            for part in (
                str(file) if file is not None else "",
                f"row {row}" if row is not None else "",
                f"field '{field}'" if field is not None else "",
            )
            if part
        )
        line = f"{place}: {problem}" if place else problem
        if accepted:
            line += f"; accepted: {accepted}"
        super().__init__(" ".join(line.split()))  # whatever the value held, the message stays on one line

    def at(self, *, file: str | Path | None = None, row: int | str | None = None) -> UserError:
        """The same error, at a place that whoever raised it couldn't know; what isn't given stays."""
        return UserError(
            self.problem,
            file=self.file if file is None else file,
            row=self.row if row is None else row,
            field=self.field,
            accepted=self.accepted,
        )


class MissingSplitError(UserError):
    """The data set has no such split; whatever else is wrong with it is a plain [`UserError`]."""


def named_row(error: UserError, ids: Sequence[str], file: str | Path) -> UserError:
    """An error of the n-th row with that row's id, which is its number in the file unless the data name it, and its file.

    Args:
        error (`UserError`): its `row` counts the rows from 1.
        ids (sequence of `str`): of these rows.
        file (`str` or `Path`): where they come from.
    """
    return error if error.row is None else error.at(file=file, row=ids[error.row - 1])


@contextlib.contextmanager
def rows_of(file: str | Path, ids: Sequence[str]) -> Iterator[None]:
    """Errors of a row that don't know its file, and count rows from where they began, get the file and the row's id.

    Args:
        file (`str` or `Path`): the file.
        ids (sequence of `str`): of the rows that are at work; a row's number in the file, unless the data name it.
    """
    try:
        yield
    except UserError as error:
        if error.row is None or error.file is not None:
            raise
        raise named_row(error, ids, file) from None


def first_line(error: Exception) -> str:
    """What an error of another library says, as far as it fits into a line of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
