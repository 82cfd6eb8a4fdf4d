"""Invertible maps y = f(x; c) with their log-determinants, and how they compose.

The log-determinant of a composition is the sum of its parts'::

    f = f_n o ... o f_1:     log|det df/dx| = sum_i log|det df_i/dx_i-1|

A map goes from data to noise: ``forward`` is what a density needs, ``inverse`` what sampling needs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from math import prod
from operator import add
from typing import cast

import torch
from torch import Tensor, nn

from unveil.nets import Shape
from unveil.parts import Part


class Bijection(Part, ABC):
    """y = f(x; c), invertible in x for every c.

    Args:
        shape: The shape of one x.
        out_shape: The shape of one y; x's by default.
        context: The number of features of c, 0 without one.
    """

    def __init__(self, shape: Shape, context: int = 0, *, out_shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.out_shape = self.shape if out_shape is None else tuple(out_shape)
        if prod(self.shape) != prod(self.out_shape) or prod(self.shape) < 1:
            raise ValueError(f"shape: expected as many entries before and after, got {self.shape} and {self.out_shape}")
        self.context = context

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """y, (..., \\*out_shape), and log|det dy/dx|, (...,).

        Args:
            x: (..., \\*shape).
            context: c, (..., features); leading axes broadcast with x's.

        Raises:
            ValueError: If x or the context has another shape.
        """
        self._check("x", x, self.shape)
        return self._forward(x, self._checked(context))

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x, (..., \\*shape), and log|det dx/dy|, (...,); arguments and errors as :meth:`forward`'s."""
        self._check("y", y, self.out_shape)
        return self._inverse(y, self._checked(context))

    @abstractmethod
    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """What :meth:`forward` returns, for arguments of the right shapes."""

    @abstractmethod
    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """What :meth:`inverse` returns, for arguments of the right shapes."""

    def lead(self, x: Tensor) -> torch.Size:
        """The axes of x before those of one event."""
        return x.shape[: x.dim() - len(self.shape)]

    def same_for_all(self, log_slopes: Tensor, x: Tensor) -> Tensor:
        """The log-determinant of a map whose log-slope is that of the entry or channel, (D,) or (channels, ...), for
        every x and pixel: pixels * sum_i s_i, (...,)."""
        return (prod(self.shape[1:]) * log_slopes.sum()).expand(self.lead(x))

    def _check(self, name: str, value: Tensor, shape: tuple[int, ...]) -> None:
        if value.shape[value.dim() - len(shape) :] != shape:
            raise ValueError(
                f"{name}: {type(self).__name__} expected (..., {', '.join(map(str, shape))}), got {tuple(value.shape)}"
            )

    def _checked(self, context: Tensor | None) -> Tensor | None:
        """The context, where this map has one: in a chain, others may."""
        if self.context == 0:
            return None
        if context is None or context.shape[-1:] != (self.context,):
            got = "none" if context is None else f"{tuple(context.shape)}"
            raise ValueError(f"context: {type(self).__name__} expected (..., {self.context}), got {got}")
        return context


class Chain(Bijection):
    """One map after the other.

    Args:
        bijections: In the order from data to noise; each takes the shape that the one before gives.
    """

    def __init__(self, bijections: Sequence[Bijection]) -> None:
        if not bijections:
            raise ValueError("bijections: expected at least one, got none")
        for before, after in pairwise(bijections):
            if before.out_shape != after.shape:
                raise ValueError(
                    f"bijections: {type(before).__name__} gives the shape {before.out_shape} and "
                    f"{type(after).__name__} takes {after.shape}"
                )
        sizes = sorted({bijection.context for bijection in bijections} - {0})
        if len(sizes) > 1:
            raise ValueError(f"bijections: expected the same number of features of the context in all, got {sizes}")
        context = sizes[0] if sizes else 0
        super().__init__(bijections[0].shape, context, out_shape=bijections[-1].out_shape)
        self.bijections = nn.ModuleList(bijections)

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """f_n(... f_1(x))."""
        log_dets = []
        for bijection in self.bijections:
            x, log_det = bijection(x, context)
            log_dets.append(log_det)
        return x, reduce(add, log_dets)

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """f_1^-1(... f_n^-1(y))."""
        log_dets = []
        for bijection in reversed(self.bijections):
            y, log_det = cast(Bijection, bijection).inverse(y, context)
            log_dets.append(log_det)
        return y, reduce(add, log_dets)


class Inverse(Bijection):
    """The inverse of a map as a map: a density by MAF becomes a sampler by IAF.

    Args:
        bijection: The map whose inverse this is.
    """

    def __init__(self, bijection: Bijection) -> None:
        super().__init__(bijection.out_shape, bijection.context, out_shape=bijection.shape)
        self.bijection = bijection

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The other's inverse."""
        return self.bijection.inverse(x, context)

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The other's forward map."""
        return self.bijection(y, context)
