"""Sequences of different lengths as one array: the shorter ones end in NaN, which is missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor


def padded(sequences: Sequence[ArrayLike | Tensor], length: int | None = None) -> Tensor:
    """Sequences, each (T_n, \\*shape), as one array, (N, T, \\*shape) in double precision; NaN where one has ended.

    Args:
        sequences: Of numbers.
        length: T; the longest one's by default.

    Raises:
        ValueError: If there are none, one is longer than T, or their observations have different shapes.

    Example:
        >>> padded([[1, 2, 3], [4]]).tolist()
        [[1.0, 2.0, 3.0], [4.0, nan, nan]]
    """
    each = [torch.as_tensor(np.asarray(one), dtype=torch.double) for one in sequences]
    if not each or any(one.dim() == 0 for one in each):
        raise ValueError(f"sequences: expected arrays of at least one axis, got {len(each)} and no such axis")
    if len({one.shape[1:] for one in each}) > 1:
        got = sorted({tuple(one.shape[1:]) for one in each})
        raise ValueError(f"sequences: expected observations of one shape, got {', '.join(map(str, got))}")
    longest = max(len(one) for one in each)
    length = longest if length is None else length
    if length < longest:
        raise ValueError(f"length: expected at least {longest}, the longest sequence's, got {length}")
    whole = torch.full((len(each), length, *each[0].shape[1:]), torch.nan, dtype=torch.double)
    for row, one in zip(whole, each, strict=True):
        row[: len(one)] = one
    return whole
