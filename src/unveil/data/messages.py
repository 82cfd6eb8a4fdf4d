"""The wording that all messages about data share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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
