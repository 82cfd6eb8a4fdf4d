"""What a model may be conditioned on: labels become one-hot vectors, vectors of numbers stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unveil.data.messages import name_rows
from unveil.data.sources import RawSplit
from unveil.data.sources.raw import Array, check_numbers
from unveil.data.support import as_floating
from unveil.variables import Variable

MOST_CLASSES = 10_000


@dataclass(frozen=True)
class OneHot:
    """Labels as one-hot vectors.

    Args:
        count: The number of classes.
        values: The labels of the classes in ascending order, where they are text; ``None`` where they are 0..count-1.
    """

    count: int
    values: Array | None = None

    @property
    def variable(self) -> Variable:
        """The shape and support of one context."""
        return Variable((self.count,), levels=2)

    def __str__(self) -> str:
        names = "" if self.values is None else f" ({', '.join(map(str, self.values[:5]))}{', ...' * (self.count > 5)})"
        return f"one-hot labels of {self.count} classes{names}"

    @property
    def names(self) -> list[str]:
        """What the classes are called, in the order of their codes."""
        return [str(value) for value in (range(self.count) if self.values is None else self.values.tolist())]

    def encode(self, y: Array, where: str) -> Tensor:
        """One-hot vectors, (N, count), uint8.

        Raises:
            ValueError: Where a label is none of the classes (first rows named).
        """
        y = _squeezed(y)
        if self.values is None:
            codes, known = y.astype(np.int64), (y >= 0) & (y < self.count) & (y == np.rint(y))
        else:
            codes = np.searchsorted(self.values, y).clip(max=self.count - 1)
            known = self.values[codes] == y
        if not known.all():
            rows = np.flatnonzero(~known)
            raise ValueError(
                f"{where}: expected the labels of {self.count} classes as in the training part, got others (e.g. "
                f"{y[rows[0]].item()!r}) in {name_rows(rows.tolist())}; drop or relabel these rows"
            )
        one_hot = torch.zeros(len(y), self.count, dtype=torch.uint8)
        return one_hot.scatter_(1, torch.from_numpy(codes)[:, None], 1)


@dataclass(frozen=True)
class AsGiven:
    """Vectors of real numbers, as they are.

    Args:
        features: The length of one vector.
        columns: What its entries are called, where they have names.
    """

    features: int
    columns: tuple[str, ...] = ()

    @property
    def variable(self) -> Variable:
        """The shape and support of one context."""
        return Variable((self.features,))

    def __str__(self) -> str:
        names = f" ({', '.join(self.columns[:5])}{', ...' * (self.features > 5)})" if self.columns else ""
        return f"{self.features} real number{'s' * (self.features > 1)}{names}, as given"

    def encode(self, y: Array, where: str) -> Tensor:
        """The vectors, (N, features), in torch's default floating point type.

        Raises:
            ValueError: Where the shape is another one than in the training part, or entries are not finite.
            TypeError: Where they are no numbers.
        """
        check_numbers(y, f"{where}, context")
        if y.reshape(len(y), -1).shape[1] != self.features:
            raise ValueError(f"{where}: expected {self.features} numbers a row as context, got shape {y.shape[1:]}")
        return as_floating(y.reshape(len(y), -1), f"{where}, context")


def find_encoding(part: RawSplit, where: str) -> OneHot | AsGiven:
    """Decide how the context of the training part is represented.

    Args:
        part: The training part.
        where: How messages call it.

    Raises:
        ValueError: Where there is nothing to condition on, or labels cannot number classes.
        TypeError: Where y holds neither numbers nor text.
    """
    if part.y is None:
        raise ValueError(f"context: expected labels in {where}, got none; pass (x, y), or drop the context")
    if part.classes is not None:
        return OneHot(len(part.classes))
    y = _squeezed(part.y)
    if y.ndim > 2:
        raise ValueError(f"{where}: expected labels (N,) or vectors (N, features) as context, got shape {y.shape}")
    if y.dtype.kind == "U":
        values = np.unique(y)
        _check_count(len(values), where)
        return OneHot(len(values), values)
    check_numbers(y, f"{where}, context")
    if y.ndim == 2 or (y != np.rint(y)).any() or y.min() < 0:
        features, names = y.reshape(len(y), -1).shape[1], part.given or ()
        return AsGiven(features, names if len(names) == features else ())
    values, highest = np.unique(y), int(y.max())
    if len(values) <= highest / 2:  # codes such as 5 and 9005, rather than 0, 1, ...
        _check_count(len(values), where)
        return OneHot(len(values), values)
    _check_count(highest + 1, where)
    return OneHot(highest + 1)


def _check_count(count: int, where: str) -> None:
    """Refuse labels that are more likely numbers or names of rows than classes."""
    if count > MOST_CLASSES:
        raise ValueError(
            f"{where}: expected labels of at most {MOST_CLASSES:,} classes, got {count:,}; number the classes 0, 1, ..."
            ", or pass vectors (N, features) as context"
        )


def _squeezed(y: Array) -> Array:
    """Labels (N, 1) of whole numbers or text as (N,); anything else as it is."""
    is_column = y.ndim == 2 and y.shape[1] == 1 and y.dtype.kind in "biuU"
    return y[:, 0] if is_column else y.astype(np.uint8) if y.dtype.kind == "b" else y
