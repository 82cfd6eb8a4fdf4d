"""What every source is read into, and the checks that every array passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.data.messages import name_rows

Array = NDArray[Any]

CHANNELS = (1, 2, 3, 4)


@dataclass(frozen=True)
class RawSplit:
    """One part (train, test, ...) of a source, as it was given.

    Args:
        x: The observations, (N, ...).
        y: Labels, (N,), or what else may be conditioned on, (N, features); ``None`` where there is nothing.
        classes: The names of the classes that integer labels number, where the source knows them.
        decoded: Whether x was decoded from image files.
        missing: Where entries of x are missing, shaped like it; ``None`` where none is.
        columns: What the entries of a row are called, where x is a table whose columns have names.
        given: What the entries of y are called, where they are columns of numbers.
    """

    x: Array
    y: Array | None = None
    classes: tuple[str, ...] | None = None
    decoded: bool = False
    missing: NDArray[np.bool_] | None = None
    columns: tuple[str, ...] | None = None
    given: tuple[str, ...] | None = None


@dataclass(frozen=True)
class RawData:
    """A source's parts by name, each read when it is asked for.

    Args:
        name: What the data is called in reports.
        parts: A reader for each part.
        notes: What was noticed on reading, one sentence each.
    """

    name: str
    parts: Mapping[str, Callable[[], RawSplit]]
    notes: tuple[str, ...] = ()

    def where(self, part: str) -> str:
        """How messages call a part, e.g. ``"data (mnist, 'test')"``."""
        return f"data ({self.name}, {part!r})" if len(self.parts) > 1 else f"data ({self.name})"

    def read(self, part: str, *, mark_missing: bool = False) -> RawSplit:
        """Read and check a part: x is (N, \\*shape), finite numbers, images as (N, channels, height, width).

        Args:
            part: Its name.
            mark_missing: Whether NaN is an entry that is missing, rather than a mistake.

        Raises:
            ValueError: Where it is empty, ragged, not finite, or where x and y differ in length.
            TypeError: Where it does not hold numbers.
        """
        raw, where = self.parts[part](), self.where(part)
        x, missing = fill_gaps(raw.x) if mark_missing else (raw.x, None)
        check_numbers(x, where)
        if raw.y is not None and len(raw.y) != len(raw.x):
            raise ValueError(f"{where}: expected one label a row, got {len(raw.x):,} rows and {len(raw.y):,} labels")
        return replace(raw, x=arrange(x), missing=None if missing is None else arrange(missing))


def fill_gaps(x: Array) -> tuple[Array, NDArray[np.bool_] | None]:
    """Each NaN replaced by a number that its column has elsewhere, so that the kind of numbers stays what it is.

    Returns:
        The array, and where it was filled; ``None`` where it was not.
    """
    gaps = np.isnan(x) if x.dtype.kind == "f" and x.ndim else np.zeros(0, bool)
    if not gaps.any() or gaps.all():
        return x, None
    rows, holes = x.reshape(len(x), -1), gaps.reshape(len(x), -1)
    filler = rows[holes.argmin(axis=0), np.arange(rows.shape[1])]
    filler = np.where(np.isnan(filler), rows[~holes][0], filler)
    return np.where(holes, filler, rows).astype(x.dtype).reshape(x.shape), gaps


def check_numbers(array: Array, where: str) -> None:
    """Refuse what is no array of finite numbers with at least one row and one entry a row.

    Raises:
        TypeError: Where entries are not real numbers.
        ValueError: Where there is no row or no entry, or where an entry is NaN or infinite (first rows named).
    """
    if array.dtype.kind == "O":
        raise TypeError(
            f"{where}: expected an array of numbers, got Python objects (ragged rows?); make all rows one shape and "
            "convert them with numpy.asarray(rows, dtype='float32')"
        )
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{where}: expected real numbers, got dtype {array.dtype}; convert or drop these entries")
    if array.ndim == 0 or array.size == 0:
        got = "a single number" if array.ndim == 0 else f"shape {array.shape}"
        raise ValueError(f"{where}: expected at least one row with at least one entry, got {got}")
    if array.dtype.kind == "f":
        finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
        if not finite.all():
            rows = name_rows(np.flatnonzero(~finite).tolist())
            raise ValueError(
                f"{where}: expected finite numbers, got NaN or infinity in {rows}; drop or impute {_them(array, where)}"
            )


def _them(array: Array, where: str) -> str:
    """What else can be done about numbers that are not finite."""
    only_nan = not np.isinf(array).any() and not where.endswith("context")
    return "them, or have NaN marginalised with missing='mask'" if only_nan else "these rows"


def arrange(x: Array) -> Array:
    """Observations with their shape: numbers become (N, 1), grey images (N, 1, H, W), colour images (N, C, H, W).

    Two axes are a table. Of four axes, the last is taken for the channels where it is that small and the second is not.
    """
    if x.ndim == 1:
        return x[:, None]
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[3] in CHANNELS and x.shape[1] not in CHANNELS:
        return np.moveaxis(x, 3, 1)
    return x
