"""What is observed: the records that data, models and evaluation exchange.

A :class:`Variable` says what *kind* of thing an observation is; a :class:`Batch` holds some observations. Neither
knows a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor

Observed = Tensor | Mapping[str, Tensor]
"""One observed variable is a tensor; several are a mapping from their names to tensors."""


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
        context: What every distribution is conditioned on, (B, features), e.g. a one-hot class; one row serves all
            examples; ``None`` without.
        mask: True where an entry of ``x`` is observed, shaped like ``x`` or broadcastable to it; a mapping of such
            where ``x`` is one (a variable that it leaves out is observed in full); ``None`` where all are observed.
            Missing entries are marginalised, which needs a likelihood that factorises over entries. What ``x`` holds
            there does not matter.
        index: The examples' row numbers in their data set, (B,).
        size: The number of examples, read off ``x`` or ``context`` where they are there.

    Raises:
        ValueError: If the fields differ in their number of examples, or a mask does not fit its variable.
        TypeError: If a field is no tensor, or a mask is not boolean.
    """

    x: Observed | None = None
    context: Tensor | None = None
    mask: Observed | None = None
    index: Tensor | None = None
    size: int = 0

    def __post_init__(self) -> None:
        if not self.size:
            self._measure()
        if self.mask is not None:
            object.__setattr__(self, "mask", None if self.x is None else _whole_mask(self.x, self.mask))

    def _measure(self) -> None:
        """Find the size that the fields agree in."""
        for name, field in (*_named("x", self.x).items(), *_named("context", self.context).items()):
            if not isinstance(field, Tensor):
                raise TypeError(f"{name}: expected a tensor, got {type(field).__name__}; use torch.as_tensor(...)")
        sizes = {name: len(tensor) for name, tensor in {**_named("x", self.x), **_named("index", self.index)}.items()}
        rows = 1 if self.context is None else len(self.context)
        size = next(iter(sizes.values()), rows)
        if len({*sizes.values(), *({rows} - {1})}) > 1:
            got = sizes if self.context is None else {**sizes, "context": rows}
            raise ValueError(f"batch: expected the same number of examples in each field, got {got}")
        object.__setattr__(self, "size", size)
        if self.context is not None and rows != size:
            object.__setattr__(self, "context", self.context.expand(size, *self.context.shape[1:]))

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, name: str) -> Tensor | None:
        """The observed variable of that name (``"x"`` where there is only one); ``None`` where it is not observed."""
        return self.x.get(name) if isinstance(self.x, Mapping) else self.x if name == "x" else None

    @property
    def observed(self) -> dict[str, Tensor]:
        """What is observed, by name."""
        return _named("x", self.x)

    def mask_of(self, name: str = "x") -> Tensor | None:
        """Where that variable's entries are observed, shaped like it; ``None`` where all are."""
        return self.mask.get(name) if isinstance(self.mask, Mapping) else self.mask

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Apply a function of (B, ...) tensors, such as row selection or a move to a device, to every field."""
        fields: dict[str, Any] = {
            name: _each(getattr(self, name), function) for name in ("x", "context", "mask", "index")
        }
        empty = all(value is None for value in fields.values())
        return Batch(**fields, size=self.size if empty else 0)

    def to_precision(self, dtype: torch.dtype) -> Batch:
        """Context and data in this precision, but for data of type int64: torch's type of labels, codes and indices."""

        def cast(tensor: Tensor) -> Tensor:
            return tensor if tensor.dtype == torch.int64 else tensor.to(dtype)

        context = None if self.context is None else self.context.to(dtype)
        return replace(self, x=_each(self.x, cast), context=context, size=self.size)

    @staticmethod
    def joined(pieces: Sequence[Batch]) -> Batch:
        """Batches of the same fields, one after the other; row numbers are left out."""

        def together(field: str) -> Any:
            values = [getattr(piece, field) for piece in pieces]
            if isinstance(values[0], Mapping):
                return {name: torch.cat([value[name] for value in values]) for name in values[0]}
            return None if values[0] is None else torch.cat(values)

        return Batch(together("x"), together("context"), together("mask"))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Everything that it holds, under names of their own."""
        fields = ("x", "context", "mask", "index")
        return {f"{key} {name}": one for key in fields for name, one in _named("", getattr(self, key)).items()}

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


def _each(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The function of a tensor, or of each in a mapping; None stays None."""
    if isinstance(value, Mapping):
        return {name: function(tensor) for name, tensor in value.items()}
    return None if value is None else function(value)


def _named(name: str, value: Observed | None) -> dict[str, Tensor]:
    """The tensors of a field by name."""
    if value is None:
        return {}
    return dict(value) if isinstance(value, Mapping) else {name: value}


def _whole_mask(x: Observed | None, mask: Observed) -> Observed:
    """The mask shaped like what it is about."""
    if isinstance(x, Tensor) and isinstance(mask, Tensor):
        return _shaped(mask, x)
    if isinstance(x, Mapping) and isinstance(mask, Mapping):
        if unknown := sorted(set(mask) - set(x)):
            raise ValueError(f"mask: expected names of observed variables, {', '.join(x)}, got {', '.join(unknown)}")
        return {name: _shaped(one, x[name]) for name, one in mask.items()}
    raise ValueError(f"mask: expected what x is, {type(x).__name__}, got {type(mask).__name__}; name the masks as x's")


def _shaped(mask: Tensor, x: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        raise TypeError(f"mask: expected booleans, True where an entry is observed, got {mask.dtype}; use mask.bool()")
    try:
        return mask.expand(x.shape)
    except RuntimeError as error:
        shapes = f"{tuple(x.shape)}, got {tuple(mask.shape)}"
        raise ValueError(f"mask: expected a shape that broadcasts to x's, {shapes}") from error
