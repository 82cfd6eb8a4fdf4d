"""The examples of a whole split, fixed for one evaluation, and the rows of it that are evaluated.

A split that is binarized anew at each batch is drawn once: the rows that stand for q(z) are then the rows that are
evaluated, whatever order they are asked for in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from unveil.models import Model
from unveil.models.checking import check_values
from unveil.variables import Batch, Observed

DRAWN_AT_ONCE = 1000
"""How many rows of a split are drawn from one call."""


@runtime_checkable
class Rows(Protocol):
    """A split of a data set, as ``unveil.data.Split`` is one."""

    def __len__(self) -> int:
        """The number N of examples."""
        ...

    def batch(self, index: Tensor, generator: torch.Generator) -> Batch:
        """The examples of these row numbers, drawn with this generator where the split is random."""
        ...


class Examples:
    """All examples of a split, as the model wants them: in its precision, on its device.

    Args:
        model: What will see them.
        data: A whole split: a tensor (N, ...), a mapping of such tensors, a :class:`~unveil.variables.Batch` or
            :class:`Rows`.
        seed: Decides how a split that is random is drawn.

    Raises:
        TypeError: If ``data`` is something else.
        ValueError: If it is empty, or is not what the model observes.
    """

    def __init__(self, model: Model, data: Observed | Batch | Rows, seed: int = 0) -> None:
        self.dtype, self.device = model.dtype, model.device
        self.stored = _whole(data, seed)
        if len(self.stored) == 0:
            raise ValueError("data: expected at least one example, got none")
        check_values(model, self.stored)

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def features(self) -> int:
        """The number of observed entries of one example (of all its variables), at least 1."""
        return max(sum(tensor[:1].numel() for tensor in _variables(self.stored.x)), 1)

    def observed_entries(self, index: Tensor) -> float:
        """The mean number of entries that are observed in these rows, missing ones left out."""
        if self.stored.mask is None:
            return float(self.features)
        rows = self.stored.rows(index.to(self.storage))
        masks = (rows.mask_of(name) for name in (rows.x if isinstance(rows.x, Mapping) else ("x",)))
        seen = sum(
            x.numel() if mask is None else int(mask.sum()) for x, mask in zip(_variables(rows.x), masks, strict=True)
        )
        return max(seen / len(index), 1.0)

    @property
    def conditional(self) -> bool:
        """Whether the model is conditioned on something."""
        return self.stored.context is not None

    def rows(self, index: Tensor) -> Batch:
        """The examples of these row numbers, (B,)."""
        if self.stored.x is None and self.stored.context is None:
            return Batch(index=index.to(self.device), size=len(index))
        rows = self.stored.rows(index.to(self.storage)).to(self.device)
        return replace(rows.to_precision(self.dtype), index=index.to(self.device))

    @property
    def storage(self) -> torch.device:
        """Where the split is held."""
        return next(iter((*_variables(self.stored.x), *_variables(self.stored.context)))).device


def chosen(n: int, limit: int | None) -> Tensor:
    """The row numbers that a limit leaves: the first of one fixed permutation, so that more rows contain fewer.

    They are a fair sample of a split that is sorted in some way, and do not depend on the evaluation's seed.

    Args:
        n: The number of rows of the split.
        limit: How many to evaluate; None for all.

    Returns:
        Sorted row numbers.

    Raises:
        ValueError: If ``limit`` is below 1.
    """
    if limit is None or limit >= n:
        return torch.arange(n)
    if limit < 1:
        raise ValueError(f"limit: expected at least 1 example, got {limit}")
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:limit].sort().values


def _variables(x: Observed | None) -> Sequence[Tensor]:
    if x is None:
        return ()
    return tuple(x.values()) if isinstance(x, Mapping) else (x,)


def _whole(data: Observed | Batch | Rows, seed: int) -> Batch:
    if isinstance(data, Batch):
        return data
    if isinstance(data, Tensor | Mapping):
        return Batch(x=data, size=len(next(iter(_variables(data)), ())))
    if isinstance(data, Rows):
        return _drawn(data, seed)
    if isinstance(data, np.ndarray) and data.dtype.kind in "buif":
        return _whole(torch.from_numpy(data), seed)
    raise TypeError(
        "data: expected a tensor, an array of numbers, a mapping of tensors, a Batch or a Split, got "
        f"{type(data).__name__}; load files with unveil.data.load(...) and choose a split"
    )


def _drawn(split: Rows, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    index = torch.arange(len(split)).split(DRAWN_AT_ONCE)
    pieces = [split.batch(rows, generator).map(_compact) for rows in index if len(rows)]
    if not pieces:
        raise ValueError("data: expected at least one example, got none")

    return Batch.joined(pieces)


def _compact(tensor: Tensor) -> Tensor:
    """The same numbers in one byte each where that loses nothing."""
    if not tensor.is_floating_point() or not tensor.isfinite().all() or tensor.min() < 0 or tensor.max() > 255:
        return tensor
    small = tensor.to(torch.uint8)
    return small if torch.equal(small.to(tensor.dtype), tensor) else tensor
