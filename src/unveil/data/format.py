"""What a row of a data set is, as it was decided when it was loaded: rows that come later are read in the same way.

Levels, the classes of a context and the order of columns are inferred from training rows. Read off another file anew,
they may come out differently, and mean something else to a model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unveil.data.context import AsGiven, OneHot
from unveil.data.sources import RawSplit
from unveil.data.sources.raw import Array
from unveil.data.support import Support


@dataclass(frozen=True)
class Format:
    """What one row is.

    Args:
        shape: The shape of one observation.
        support: The values that its entries take, before any binarization.
        columns: What the entries are called, where they have names.
        encoding: How what is conditioned on is represented; None without.
    """

    shape: tuple[int, ...]
    support: Support
    columns: tuple[str, ...] = ()
    encoding: OneHot | AsGiven | None = None

    def to_plain(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain: dict[str, Any] = {"shape": list(self.shape), "columns": list(self.columns)}
        plain |= {"levels": self.support.levels, "scale": self.support.scale}
        if isinstance(self.encoding, OneHot):
            values = self.encoding.values
            plain["classes"] = self.encoding.count if values is None else values.tolist()
        elif self.encoding is not None:
            plain["context"] = self.encoding.features
            plain["given"] = list(self.encoding.columns)
        return plain

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Format:
        """What :meth:`to_plain` wrote down."""
        encoding: OneHot | AsGiven | None = None
        if "classes" in plain:
            classes = plain["classes"]
            encoding = OneHot(classes) if isinstance(classes, int) else OneHot(len(classes), np.array(classes))
        elif "context" in plain:
            encoding = AsGiven(plain["context"], tuple(plain.get("given", ())))
        support = Support(plain["levels"], plain["scale"], "as in the data that the model was fitted to")
        return cls(tuple(plain["shape"]), support, tuple(plain["columns"]), encoding)

    @property
    def given(self) -> tuple[str, ...]:
        """What the numbers that are conditioned on are called; nothing where they have no names."""
        return self.encoding.columns if isinstance(self.encoding, AsGiven) else ()

    @property
    def class_names(self) -> list[str]:
        """What the classes of the context are called, in the order of their codes; nothing where there are none."""
        return self.encoding.names if isinstance(self.encoding, OneHot) else []

    def support_of(self, x: Array) -> Support:
        """The support for values that may be given as levels where they were multiples of 1/255, or the other way."""
        if self.support.scale > 1 and x.max(initial=0) > 1:
            return Support(self.support.levels, 1, self.support.reason)
        return self.support


def in_order(part: RawSplit, columns: tuple[str, ...] | None, given: tuple[str, ...] | None, where: str) -> RawSplit:
    """A part with its columns, and those that it is conditioned on, in this order.

    Raises:
        ValueError: If they are others.
    """
    if given and part.given and part.given != given and part.y is not None and part.y.ndim == 2:
        part = replace(part, y=part.y[:, _order(part.given, given, where)], given=given)
    if not columns or not part.columns or part.columns == columns:
        return part
    order = _order(part.columns, columns, where)
    missing = None if part.missing is None else part.missing[:, order]
    return replace(part, x=part.x[:, order], missing=missing, columns=columns)


def _order(names: tuple[str, ...], expected: tuple[str, ...], where: str) -> list[int]:
    """Where each expected name is."""
    lacking = [name for name in expected if name not in names]
    if lacking or len(names) != len(expected):
        unknown = [name for name in names if name not in expected]
        raise ValueError(
            f"{where}: expected the columns {', '.join(expected)}, got others (lacking: {', '.join(lacking) or 'none'}"
            f"; unknown: {', '.join(unknown) or 'none'}); name the columns as in the data that the model was fitted to"
        )
    return [names.index(name) for name in expected]
