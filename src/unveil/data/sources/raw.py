"""What every source is read into, and the checks that every array passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
    """

    x: Array
    y: Array | None = None
    classes: tuple[str, ...] | None = None
    decoded: bool = False


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

    def read(self, part: str) -> RawSplit:
        """Read and check a part: x is (N, \\*shape), finite numbers, images as (N, channels, height, width).

        Raises:
            ValueError: Where it is empty, ragged, not finite, or where x and y differ in length.
            TypeError: Where it does not hold numbers.
        """
        raw, where = self.parts[part](), self.where(part)
        check_numbers(raw.x, where)
        if raw.y is not None and len(raw.y) != len(raw.x):
            raise ValueError(f"{where}: expected one label a row, got {len(raw.x):,} rows and {len(raw.y):,} labels")
        return RawSplit(arrange(raw.x), raw.y, raw.classes, raw.decoded)


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
                f"{where}: expected finite numbers, got NaN or infinity in {rows}; drop or impute "
                "them, or in Python mark them as missing: uv.Batch(x, mask=...)"
            )


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
