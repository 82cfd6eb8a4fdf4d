"""What is observed: the records that data, models and evaluation exchange.

A :class:`Variable` says what *kind* of thing an observation is; a :class:`Batch` holds some observations. Neither
knows a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor

Observed = Tensor | Mapping[str, Tensor]
"""One observed variable is a tensor; several are a mapping from their names to tensors."""


def floating(x: Tensor) -> Tensor:
    """Whole numbers as floating point numbers; others as they are."""
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())


@dataclass(frozen=True)
class Variable:
    """The shape and support of one observed (or conditioning) variable.

    Args:
        shape: The shape of one observation, without the batch, e.g. ``(1, 28, 28)``.
        levels: The number L of values 0, 1, ..., L - 1 that every entry takes (2 for binary data); ``None`` where
            entries are real numbers.
    """

    shape: tuple[int, ...]
    levels: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if any(size < 1 for size in self.shape):
            raise ValueError(f"shape: expected positive sizes, got {self.shape}")
        if self.levels is not None and self.levels < 2:
            raise ValueError(f"levels: expected at least 2 levels (or None for real numbers), got {self.levels}")

    @property
    def features(self) -> int:
        """The number of entries of one observation."""
        return prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether an observation has the shape (channels, height, width)."""
        return len(self.shape) == 3

    def __str__(self) -> str:
        support = "real" if self.levels is None else "binary" if self.levels == 2 else f"{self.levels} levels"
        return f"{'x'.join(map(str, self.shape)) or 'scalar'}, {support}"


@dataclass(frozen=True)
class Batch:
    """Some examples: what was observed, what is conditioned on, what is missing, and which rows they are.

    Args:
        x: The observations, (B, \\*shape), or a mapping of such tensors; ``None`` where nothing is observed.
        context: What every distribution is conditioned on, (B, features), e.g. a one-hot class; ``None`` without.
        mask: True where an entry of ``x`` is observed, shaped (or broadcastable) like ``x``; ``None`` where all are.
            Missing entries are marginalised, which needs a likelihood that factorises over entries.
        index: The examples' row numbers in their data set, (B,).
        size: The number of examples, read off ``x`` or ``context`` where they are there.
    """

    x: Observed | None = None
    context: Tensor | None = None
    mask: Tensor | None = None
    index: Tensor | None = None
    size: int = 0

    def __post_init__(self) -> None:
        if not self.size:
            present = next((tensor for tensor in self._tensors().values() if tensor is not None), None)
            object.__setattr__(self, "size", 1 if present is None else len(present))

    def _tensors(self) -> dict[str, Tensor | None]:
        observed = self.x if isinstance(self.x, Mapping) else {"x": self.x}
        return {**observed, "context": self.context, "mask": self.mask, "index": self.index}

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, name: str) -> Tensor | None:
        """The observed variable of that name (``"x"`` where there is only one); ``None`` where it is not observed."""
        return self.x.get(name) if isinstance(self.x, Mapping) else self.x if name == "x" else None

    @property
    def seen(self) -> Tensor | None:
        """``x`` as an encoder may see it: zero where an entry is missing."""
        x = self["x"]
        return x if x is None or self.mask is None else torch.where(self.mask, x, torch.zeros((), dtype=x.dtype))

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Apply a function of (B, ...) tensors, such as row selection or a move to a device, to every field."""

        def each(value: Observed | None) -> Observed | None:
            if isinstance(value, Mapping):
                return {name: function(tensor) for name, tensor in value.items()}
            return None if value is None else function(value)

        fields: dict[str, Any] = {name: each(getattr(self, name)) for name in ("x", "context", "mask", "index")}
        empty = all(value is None for value in fields.values())
        return Batch(**fields, size=self.size if empty else 0)

    def rows(self, index: Tensor | slice) -> Batch:
        """The examples of these row numbers."""
        if isinstance(index, slice):
            return self.map(lambda tensor: tensor[index])
        return self.map(lambda tensor: tensor.index_select(0, index))  # several times faster than tensor[index]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return self.map(lambda tensor: tensor.to(device))

    def without(self, *fields: str) -> Batch:
        """The same batch with these fields set to None, e.g. ``batch.without("x")`` to sample given the context."""
        return replace(self, size=self.size, **dict.fromkeys(fields))
