"""The wording that all messages about data share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def name_rows(rows: Sequence[int], shown: int = 3) -> str:
    """Name the first few of some rows, e.g. ``"rows 3, 17, 20 (and 5 more)"``; the first row of a split is row 0."""
    first = ", ".join(str(int(row)) for row in rows[:shown])
    more = f" (and {len(rows) - shown:,} more)" if len(rows) > shown else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {first}{more}"


def count_rows(count: int) -> str:
    """How many rows, e.g. ``"1,437 rows"``."""
    return f"{count:,} row{'' if count == 1 else 's'}"


def name_choices(choices: Iterable[str]) -> str:
    """List some names, e.g. ``"'train', 'test'"``."""
    return ", ".join(repr(choice) for choice in choices)


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """The hint ``"; did you mean 'test'?"`` where a choice is close to the name, and nothing otherwise."""
    close = get_close_matches(name.lower(), list(choices), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
