"""What the values of x are: binary, levels 0..L-1, or real; decided from the training part, held to everywhere.

* Values all 0 or 1 are binary.
* Whole numbers from 0 to at most 255 are levels: 256 of them for 8-bit images, else as many as the largest value asks.
* Reals in [0, 1] that are multiples of 1/255 are 8-bit levels that someone divided by 255: 256 levels.
* Everything else is real.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unveil.data.messages import name_rows
from unveil.data.sources.raw import Array
from unveil.variables import Variable

EIGHT_BIT = 255
COARSE_IMAGE = 32  # images of fewer levels than this (5 bits) were quantized on purpose; others are 8-bit images
ROUNDED_OFF = 1e-3
"""The largest rounding error that a number may have, in its column's deviations."""
SMALLEST = 1e-17
"""The least spread of a column, and the inverse of its largest number: squares are between float32's limits."""
GRID_TOLERANCE = 1e-3  # in units of 1/255; far above the rounding of single precision, far below the grid's step


@dataclass(frozen=True)
class Support:
    """The values that entries take.

    Args:
        levels: The number L of values 0..L-1; ``None`` for real numbers.
        scale: What the given values are multiplied with to become 0..L-1: 255 where they came as multiples of 1/255.
        reason: Why it was decided so.
    """

    levels: int | None
    scale: int = 1
    reason: str = ""

    def __str__(self) -> str:
        if self.levels is None:
            return "real numbers"
        return "binary" if self.levels == 2 else f"{self.levels} levels (0..{self.levels - 1})"

    def outside(self, x: Array) -> NDArray[np.int64]:
        """The rows of x, (N, \\*shape), that hold a value outside the support."""
        if self.levels is None:
            return np.arange(0)
        scaled = self._scaled(x)
        bad = (scaled < 0) | (scaled > self.levels - 1 + GRID_TOLERANCE) | ~_is_whole(scaled, exact=self.scale == 1)
        return np.flatnonzero(bad.reshape(len(x), -1).any(axis=1))

    def store(self, x: Array, where: str) -> Tensor:
        """The values as a new tensor shaped like x: uint8 for levels, torch's default floating point type for reals.

        Raises:
            ValueError: Where reals are too large for that type (first rows named).
        """
        if self.levels is not None:
            levels = np.rint(self._scaled(x)) if self.scale > 1 else x
            return torch.from_numpy(np.array(levels, dtype=np.uint8, order="C"))
        return as_floating(x, where)

    def _scaled(self, x: Array) -> Array:
        """The values in units of levels."""
        return x if self.scale == 1 else x.astype(np.float32) * np.float32(self.scale)


def find_support(x: Array, *, decoded: bool = False) -> Support:
    """Decide what the values of x are.

    Args:
        x: The training part, (N, \\*shape), finite.
        decoded: Whether x was decoded from image files.
    """
    low, high = x.min(), x.max()
    if x.dtype.kind == "b" or bool(_is_whole(x).all()):
        if low < 0:
            return Support(None, reason=f"whole numbers from {low:g}: levels would start at 0")
        if high <= 1:
            return Support(2, reason="every value is 0 or 1")
        if high > EIGHT_BIT:
            return Support(None, reason=f"whole numbers up to {high:g}: more than 256 levels")
        if x.ndim == 4 and (high >= COARSE_IMAGE or (decoded and x.dtype == np.uint8)):
            return Support(256, reason="8-bit images" + _two_valued(x))
        return Support(int(high) + 1, reason=f"whole numbers from 0 to {high:g}")
    if low >= 0 and high <= 1 and _on_eight_bit_grid(x):
        return Support(256, EIGHT_BIT, "multiples of 1/255 in [0, 1]: multiplied by 255, 8-bit levels again")
    return Support(None, reason="values are not whole numbers")


def check_support(x: Array, support: Support, where: str) -> None:
    """Refuse rows that hold a value which the training part shows to be impossible.

    Raises:
        ValueError: Naming the first rows.
    """
    rows = support.outside(x)
    if len(rows):
        raise ValueError(
            f"{where}: expected {support} as in the training part, got other values (from {x[rows].min():g} to "
            f"{x[rows].max():g}) in {name_rows(rows.tolist())}; remove or requantize these rows, or join the parts "
            "into one table and have the splits held out of it"
        )


def as_floating(x: Array, where: str) -> Tensor:
    """Real numbers as a new tensor shaped like x, in torch's default floating point type.

    Raises:
        ValueError: Where they are too large for that type (first rows named), or vary too little for it around a large
            number (first columns named).
    """
    dtype = torch.get_default_dtype()
    with np.errstate(over="ignore"):
        copied = np.array(x, dtype=np.float64 if dtype == torch.float64 else np.float32, order="C")
    too_large = np.flatnonzero(~np.isfinite(copied).reshape(len(x), -1).all(axis=1))
    if len(too_large):
        rows = name_rows(too_large.tolist())
        raise ValueError(
            f"{where}: expected numbers within the range of {dtype}, got larger ones in {rows}; rescale them"
        )
    _check_scale(copied, where)
    blurred = _blurred(x, copied)
    if len(blurred):
        raise ValueError(
            f"{where}: expected numbers whose differences {dtype} can tell, got columns that vary by less around a "
            f"large number: {', '.join(map(str, blurred[:5]))}; subtract that number from them first (a date's first "
            "day, say)"
        )
    return torch.from_numpy(copied).to(dtype)


def _check_scale(x: Array, where: str) -> None:
    """Refuse columns of x, (N, \\*shape) flattened, whose squares or their inverses single precision can't hold."""
    if x.dtype != np.float32 or not len(x):
        return
    spread = np.ptp(x.reshape(len(x), -1), axis=0)
    largest = np.abs(x.reshape(len(x), -1)).max(axis=0)
    bad = np.flatnonzero((largest > 1 / SMALLEST) | ((spread > 0) & (spread < SMALLEST))).tolist()
    if bad:
        raise ValueError(
            f"{where}: expected numbers whose squares single precision can hold, from {SMALLEST:g} to "
            f"{1 / SMALLEST:g}, got columns of another scale: {', '.join(map(str, bad[:5]))}; choose other units"
        )


def _blurred(x: Array, copied: Array) -> list[int]:
    """The columns of x, (N, \\*shape) flattened, whose deviation is not much more than what copying rounded off.

    Constants, and what deviates from one by double precision's own rounding, are none.
    """
    if x.dtype.itemsize <= (copied.dtype.itemsize if x.dtype.kind == "f" else copied.dtype.itemsize // 2):
        return []
    x, copied = x.reshape(len(x), -1), copied.reshape(len(x), -1)
    rounding, deviation = np.abs(x - copied).max(axis=0), x.std(axis=0)
    return np.flatnonzero((rounding > ROUNDED_OFF * deviation) & (deviation > 1e-13 * np.abs(x).max(axis=0))).tolist()


def as_variable(x: Array, support: Support) -> Variable:
    """The record of what one row of x, (N, \\*shape), is."""
    return Variable(x.shape[1:], support.levels)


def _is_whole(x: Array, *, exact: bool = True) -> NDArray[np.bool_]:
    """Where entries are whole numbers, exactly or within the tolerance of the grid."""
    if x.dtype.kind in "bui":
        return np.ones(x.shape, dtype=bool)
    distance = np.abs(x - np.rint(x))
    whole: NDArray[np.bool_] = np.less_equal(distance, 0.0 if exact else GRID_TOLERANCE)
    return whole


def _on_eight_bit_grid(x: Array) -> bool:
    """Whether values are multiples of 1/255 and of no coarser grid (such as 0.2, 0.4, 0.6: those are reals)."""
    scaled = x.astype(np.float32) * np.float32(EIGHT_BIT)
    if not _is_whole(scaled, exact=False).all():
        return False
    return int(np.gcd.reduce(np.unique(np.rint(scaled).astype(np.int64)), initial=EIGHT_BIT)) == 1


def _two_valued(x: Array) -> str:
    """A hint where 8-bit images hold only two values."""
    extremes = bool(((x == x.min()) | (x == x.max())).all())
    return " (of two values only: binarize='threshold' makes them binary)" if extremes else ""
