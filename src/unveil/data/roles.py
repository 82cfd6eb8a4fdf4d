"""Which columns of a table are observed, and which are what a model is conditioned on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unveil.data.messages import name_choices
from unveil.data.sources import RawSplit
from unveil.hints import did_you_mean


def listed(text: str | None) -> tuple[str, ...]:
    """Names that are separated by commas."""
    return () if text is None else tuple(name.strip() for name in text.split(","))


def several(context: str | None) -> tuple[str, ...]:
    """The columns that a context lists; nothing where it is one column, which sources find by themselves."""
    return listed(context) if "," in (context or "") else ()


def with_roles(part: RawSplit, target: str | None, given: Sequence[str], where: str) -> RawSplit:
    """A table whose columns are parted: those that are x, and those that are numbers to condition on.

    Args:
        part: The table.
        target: The columns that are x, separated by commas; all that are not given by default.
        given: The columns to condition on; with a target, all others by default (unless the source has found some).
        where: How messages call it.

    Raises:
        ValueError: If there are no such columns, or one has two roles, or misses numbers to condition on.
    """
    if target is None and not given:
        return part
    if part.columns is None:
        what = "target" if target is not None else "context"
        raise ValueError(f"{what}: expected a table with named columns, got {where} with rows of {part.x.shape[1:]}")
    observed = listed(target) or tuple(name for name in part.columns if name not in given)
    rest = tuple(name for name in part.columns if name not in observed)
    given = tuple(given) or (rest if part.y is None else ())
    for what, names in (("target", observed), ("context", given)):
        _check(what, names, part.columns)
    if both := [name for name in given if name in observed]:
        raise ValueError(f"target: expected columns that are no context, got {name_choices(both)} as both")
    if not observed or (target is not None and part.y is None and not given):
        raise ValueError(f"target: expected some columns as x and some as context, got {name_choices(observed)} as x")
    x, missing = _taken(part, observed)
    part_of_x = replace(part, x=x, missing=missing, columns=observed)
    if not given:
        return part_of_x
    y, gaps = _taken(part, given)
    if gaps is not None and gaps.any():
        lacking = [name for i, name in enumerate(given) if gaps[:, i].any()]
        raise ValueError(f"context: expected a number in every row, got none in some of {name_choices(lacking)}")
    return replace(part_of_x, y=y.astype(np.float64), classes=None, given=given)


def _check(what: str, names: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse columns that are not there, or named twice."""
    for name in names:
        if name not in columns:
            hint = did_you_mean(name, columns)
            raise ValueError(f"{what}: expected columns of numbers among {name_choices(columns)}, got {name!r}{hint}")
    if len(set(names)) < len(names):
        raise ValueError(f"{what}: expected each column once, got {', '.join(names)}")


def _taken(part: RawSplit, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Some columns, and where they lack numbers."""
    index = [(part.columns or ()).index(name) for name in names]
    return part.x[:, index], None if part.missing is None else part.missing[:, index]
