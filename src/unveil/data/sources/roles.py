"""Which columns of a table are observed, and which are what a model is conditioned on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from unveil.data.messages import name_choices
from unveil.data.sources.raw import Array, RawSplit
from unveil.hints import did_you_mean


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are for, as :func:`unveil.data.load` was told.

    Args:
        context: What to condition on: ``"label"``, a column, or several columns of numbers separated by commas.
        target: The columns that are x, separated by commas; all that have no other role by default.
        drop: The columns that are left out, separated by commas.
    """

    context: str | None = None
    target: str | None = None
    drop: str | None = None

    @property
    def observed(self) -> tuple[str, ...]:
        """The columns that are x; nothing where nobody named them."""
        return _listed(self.target)

    @property
    def given(self) -> tuple[str, ...]:
        """The columns of numbers to condition on; nothing where it is one column, which may be text."""
        return _listed(self.context) if "," in (self.context or "") else ()

    @property
    def label(self) -> str | None:
        """The single column to condition on."""
        return None if self.given else self.context

    def check(self, columns: Sequence[str]) -> None:
        """Raise a ValueError if a table has no such columns, or one would have two roles."""
        dropped = _listed(self.drop)
        for what, names in (("target", self.observed), ("context", self.given), ("drop", dropped)):
            for name in names:
                if name not in columns:
                    hint = did_you_mean(name, columns)
                    raise ValueError(f"{what}: expected columns among {name_choices(columns)}, got {name!r}{hint}")
            if len(set(names)) < len(names):
                raise ValueError(f"{what}: expected each column once, got {', '.join(names)}")
        if both := [name for name in (*self.given, self.label) if name in self.observed]:
            raise ValueError(f"target: expected columns that are no context, got {name_choices(both)} as both")
        if gone := [name for name in (*self.observed, *self.given, self.label) if name in dropped]:
            raise ValueError(f"drop: expected columns that have no role, got {name_choices(gone)}, which has one")
        columns = [name for name in columns if name not in dropped]
        if self.given and set(self.given) == set(columns):
            raise ValueError(f"context: expected some columns to be left for x, got all {len(columns)}")
        if self.observed and self.context is None and len(self.observed) == len(columns):
            raise ValueError(f"target: expected some columns to condition on, got all {len(columns)} as x")

    def needed(self, columns: Sequence[str], label: str | None) -> list[str]:
        """The columns that have a role, or may have one, where the single column to condition on is called so."""
        columns = [name for name in columns if name not in _listed(self.drop)]
        if not self.observed or self.context is None:
            return columns
        return [name for name in columns if name in {*self.observed, *self.given, label}]

    def parted(self, part: RawSplit, where: str) -> RawSplit:
        """A table whose columns are parted: those that are x, and those that are numbers to condition on.

        Raises:
            ValueError: If columns have no names, or one that is conditioned on lacks numbers.
        """
        if not self.observed and not self.given and (self.drop is None or part.columns is not None):
            return part
        if part.columns is None:
            what, got = "drop" if self.drop else "target", f"{where} with rows of {part.x.shape[1:]}"
            raise ValueError(f"{what}: expected a table with named columns, got {got}")
        observed = self.observed or tuple(name for name in part.columns if name not in self.given)
        rest = tuple(name for name in part.columns if name not in observed)
        given = self.given or (rest if part.y is None else ())
        x, missing = _taken(part, observed)
        part_of_x = replace(part, x=x, missing=missing, columns=observed)
        if not given:
            return _as_numbers(part_of_x)
        y, gaps = _taken(part, given)
        if gaps is not None and gaps.any():
            lacking = [name for i, name in enumerate(given) if gaps[:, i].any()]
            raise ValueError(f"context: expected a number in every row, got none in some of {name_choices(lacking)}")
        return replace(part_of_x, y=y.astype(np.float64), classes=None, given=given)


def _as_numbers(part: RawSplit) -> RawSplit:
    """A part whose single column to condition on is taken for numbers, if that is what it holds."""
    if part.y is None or part.classes is not None or part.y.ndim != 1 or part.y.dtype.kind not in "biuf":
        return part
    return replace(part, y=part.y[:, None].astype(np.float64))


def _listed(text: str | None) -> tuple[str, ...]:
    """Names that are separated by commas."""
    return () if text is None else tuple(name.strip() for name in text.split(","))


def _taken(part: RawSplit, names: Sequence[str]) -> tuple[Array, Array | None]:
    """Some columns, and where they lack numbers."""
    index = [(part.columns or ()).index(name) for name in names]
    return part.x[:, index], None if part.missing is None else part.missing[:, index]
