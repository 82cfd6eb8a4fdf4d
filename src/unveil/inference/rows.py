"""Any data as rows that are looked at a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from unveil.data import Data, Split
from unveil.models.alternating import Alternating, Some
from unveil.models.checking import check_values
from unveil.variables import Batch

AT_ONCE = {"cpu": 2**18, "cuda": 2**26}
"""How many numbers an E-step works on at a time: what a core's cache holds, and what keeps a GPU busy."""
CHECKED = 2**22
"""How many numbers are checked at a time."""


@runtime_checkable
class _Table(Protocol):
    """Rows that are looked at a few at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, index: Any) -> Any: ...


@runtime_checkable
class _Sparse(Protocol):
    """One of SciPy's sparse arrays."""

    def tocsr(self) -> Any: ...

    def toarray(self) -> Any: ...


class Rows:
    """Rows of data, each with a weight.

    Args:
        data: A tensor, an array (one of NumPy's that lies on the disk, a sparse one of SciPy's, too), a Batch, a Split,
            or Data, of which the training rows are taken. NaN is missing.
        weight: How much each row counts, (N,); 1 by default.

    Raises:
        TypeError: If the data is none of these.
        ValueError: If it is binarized anew at each look, is empty, or the weights don't fit it.
    """

    def __init__(self, data: Any, weight: Any = None) -> None:
        self.mask: Tensor | None = None
        self.context: Tensor | None = None
        self.memory: Tensor | None = None
        data = data.train if isinstance(data, Data) else data
        if isinstance(data, Split):
            if data.redraw is not None:
                raise ValueError("x: expected fixed data, got data binarized anew at each look; binarize by threshold")
            data = data.stored
        if isinstance(data, Batch):
            data, self.mask, self.context = data["x"], data.mask_of("x"), data.context
        data = data.tocsr() if isinstance(data, _Sparse) else data
        if not isinstance(data, _Table):
            raise TypeError(f"x: expected a tensor, an array, a Batch or Data, got {type(data).__name__}")
        self.data, self.size, self.missing = data, data.shape[0], self.mask is not None
        if not self.size:
            raise ValueError("x: expected at least one row, got none")
        self.weight = torch.ones(self.size, dtype=torch.double) if weight is None else _weights(weight, self.size)

    def __len__(self) -> int:
        return self.size

    def take(self, index: slice | Tensor, device: torch.device | str = "cpu") -> Some:
        """Some rows, with a mask where any row of the data lacks an entry."""
        x, mask = self._values(index), None
        if self.missing:
            mask = ~x.isnan() if self.mask is None else self.mask[index] & ~x.isnan()
            mask = mask.to(device)
        context = None if self.context is None else self.context[index].to(device)
        memory = None if self.memory is None else self.memory[index]
        return Some(x.to(device), self.weight[index].to(device), mask, context, memory)

    def _values(self, index: slice | Tensor) -> Tensor:
        if isinstance(self.data, Tensor):
            return self.data[index]
        found = self.data[index if isinstance(index, slice) else index.numpy()]
        return torch.as_tensor(found.toarray() if isinstance(found, _Sparse) else np.array(found))

    def chunks(self, rows: int, device: torch.device | str = "cpu") -> Iterator[Some]:
        """All rows in order, so many at a time."""
        for first in range(0, self.size, rows):
            yield self.take(slice(first, first + rows), device)

    def sample(self, most: int, generator: torch.Generator) -> Rows:
        """So many rows at most, drawn at random without replacement; themselves where there are no more."""
        if self.size <= most:
            return self
        order = torch.randperm(self.size, generator=generator)
        some = self.take(order[self.weight[order] > 0][:most].sort().values)
        return Rows(Batch(x=some.x, mask=some.mask, context=some.context), some.weight)

    def check(self, model: Alternating) -> None:
        """Look at every value once: find whether some are missing, refuse what the model is not a model of.

        Raises:
            ValueError: That says what was expected and what came, or that an entry is never observed.
        """
        observed, whole = torch.zeros(model.x.shape, dtype=torch.bool), True
        self.missing = True  # until it is known
        for some in self.chunks(max(1, CHECKED // model.x.features)):
            check_values(model, Batch(x=some.x, mask=some.mask, context=some.context))
            model.check(some)
            if some.mask is not None:
                observed |= some.mask[some.weight > 0].any(0)
                whole = whole and bool(some.mask.all())
        self.missing = not whole
        if not observed.all() and not model.shared_over_steps:
            entry = tuple(observed.logical_not().nonzero()[0].tolist())
            raise ValueError(f"x: expected every entry to be observed in some row, got none of entry {entry}")


def _weights(weight: Any, size: int) -> Tensor:
    """Weights as a tensor, checked."""
    found = torch.as_tensor(weight).double()
    if found.shape != (size,):
        raise ValueError(f"weight: expected one for each of the {size:,} rows, got shape {tuple(found.shape)}")
    if not found.isfinite().all() or (found < 0).any() or not found.sum() > 0:
        raise ValueError("weight: expected finite numbers of at least 0 that are not all zero")
    return found
