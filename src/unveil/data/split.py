"""A split: all rows of one part of a data set, in memory, indexed and never collated row by row.

Entries are stored small (uint8 for binary data and levels) and come out as floating point numbers. Where the data is
binarized dynamically, the stored x are grey values g, and each batch is a new draw x ~ Bernoulli(g / largest).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unveil.variables import Batch, Observed

FINGERPRINTED = 2000
"""How many rows tell one data set from another."""


@dataclass(frozen=True)
class Redraw:
    """Draws binary entries anew from stored grey values g: x ~ Bernoulli(g / largest).

    Args:
        largest: The grey value that is always on, e.g. 255 for pixels.
    """

    largest: float

    def __post_init__(self) -> None:
        if not self.largest > 0:
            raise ValueError(f"largest: expected a positive grey value, got {self.largest}")

    def mean(self, grey: Tensor) -> Tensor:
        """The probabilities that the entries are on, shaped like ``grey``."""
        return grey.to(torch.get_default_dtype()) / self.largest

    def draw(self, grey: Tensor, generator: torch.Generator) -> Tensor:
        """Binary entries (as floating point numbers), shaped like ``grey``.

        The noise is drawn on the generator's device, so that one seed gives the same entries on every device.
        """
        noise = torch.rand(grey.shape, generator=generator, device=generator.device).to(grey.device)
        return (noise < self.mean(grey)).to(torch.get_default_dtype())


@dataclass(frozen=True, eq=False)
class Split:
    """An in-memory part of a data set.

    Args:
        stored: All rows, each tensor (N, ...).
        redraw: How a batch is drawn from the stored x, where the data is binarized dynamically; ``None`` where the
            stored x are the data.

    Raises:
        ValueError: Where ``stored`` has no rows, or where there is no single stored x to draw from.

    Example:
        >>> split = Split(Batch(x=torch.arange(6, dtype=torch.uint8).reshape(3, 2)))
        >>> split.batch(torch.tensor([2, 0])).x
        tensor([[4., 5.],
                [0., 1.]])
    """

    stored: Batch
    redraw: Redraw | None = None

    def __post_init__(self) -> None:
        if len(self.stored) == 0:
            raise ValueError("stored: expected at least one row, got none")
        if self.redraw is not None:
            only_x(self.stored)

    def __len__(self) -> int:
        return len(self.stored)

    def __repr__(self) -> str:
        drawn = ", drawn anew at each batch" if self.redraw else ""
        return f"Split({len(self):,} rows{drawn})"

    @property
    def device(self) -> torch.device:
        """The device that holds the rows."""
        x = self.stored.x
        tensor = next(iter(x.values())) if isinstance(x, Mapping) else x if x is not None else self.stored.context
        return torch.device("cpu") if tensor is None else tensor.device

    def to(self, device: torch.device | str) -> Split:
        """The same split on another device."""
        return replace(self, stored=self.stored.to(device))

    def fingerprint(self) -> str:
        """A short text that other data does not have: of its size, and of up to 2,000 rows spread over it."""
        told = hashlib.blake2b(f"{self!r} {self.redraw!r}".encode(), digest_size=8)
        rows = torch.linspace(0, len(self) - 1, min(len(self), FINGERPRINTED), device=self.device).round().long()
        some = self.stored.rows(rows).to("cpu")
        for name, tensor in some.tensors.items():
            told.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            told.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return told.hexdigest()

    def rows(self, index: Tensor | slice) -> Batch:
        """Some rows as they are on average, without a random draw.

        Args:
            index: The row numbers, (B,), on any device; or a slice.

        Returns:
            The batch in torch's default floating point type (int64 stays as it is), its ``index`` set to the row
            numbers. Where the split is drawn anew at each batch, x are the probabilities that the entries are on.

        Raises:
            IndexError: Where a row number is out of range.
        """
        numbers = self._numbers(index)
        rows = self.stored.rows(numbers)
        return _floating(rows, numbers, rows.x if self.redraw is None else self.redraw.mean(only_x(rows)))

    def batch(self, index: Tensor | slice, generator: torch.Generator | None = None) -> Batch:
        """Some rows as a model sees them: drawn anew where the split is binarized dynamically.

        Args:
            index: The row numbers, (B,), on any device; or a slice.
            generator: The source of randomness; needed only where the split is drawn anew at each batch.

        Returns:
            The batch in torch's default floating point type, its ``index`` set to the row numbers; int64 stays int64.

        Raises:
            ValueError: Where the split is drawn anew at each batch and there is no generator.
            IndexError: Where a row number is out of range.
        """
        if self.redraw is None:
            return self.rows(index)
        if generator is None:
            raise ValueError(
                "generator: expected a torch.Generator, since this split is binarized anew at each batch, got None; "
                "pass torch.Generator().manual_seed(...), or use rows(index) for the probabilities"
            )
        numbers = self._numbers(index)
        rows = self.stored.rows(numbers)
        return _floating(rows, numbers, self.redraw.draw(only_x(rows), generator))

    def _numbers(self, index: Tensor | slice) -> Tensor:
        """The row numbers that an index means."""
        if isinstance(index, slice):
            return torch.arange(*index.indices(len(self)), device=self.device)
        numbers = torch.as_tensor(index, device=self.device)
        return numbers.nonzero().flatten() if numbers.dtype == torch.bool else numbers.long()


def only_x(batch: Batch) -> Tensor:
    """The one observed variable of a batch, (B, \\*shape).

    Raises:
        ValueError: Where several variables are observed, or none.
    """
    if not isinstance(batch.x, Tensor):
        got = "none" if batch.x is None else f"several: {', '.join(batch.x)}"
        raise ValueError(f"x: expected one observed variable to binarize, got {got}")
    return batch.x


def _floating(batch: Batch, index: Tensor, x: Observed | None) -> Batch:
    """The batch with these row numbers and this x, in torch's default floating point type."""
    return replace(batch, x=x, index=index).to_precision(torch.get_default_dtype())
