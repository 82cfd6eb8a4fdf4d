"""What every family of components is: p(x | k) for k = 1, ..., K, side by side, fitted by expected statistics.

EM maximises sum_n w_n log p(x_n) by turns. Given the responsibilities r_nk = p(k | x_n), each family needs no more of
the data than sums over examples, its *statistics*, such as sum_n w_n r_nk x_n; what maximises the expected log-density
is a closed form of them.

Examples are the last axis throughout, components the one before, (K, B): what is summed over examples lies together in
memory then, which makes an E-step several times faster than the other way around. Parameters may carry axes before
those named here, for starts that are fitted side by side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from unveil.parts import Part
from unveil.variables import Variable

Statistics = dict[str, Tensor]
"""Sums over examples by name, in double precision; those of two sets of examples add."""

Seen = TypeVar("Seen")
"""What a family makes of examples before it looks at its parameters."""


class Columns(NamedTuple):
    """Examples side by side.

    Args:
        x: Entries in rows, examples in columns, (D, B); 0 where an entry is missing.
        mask: True where an entry is observed, (D, B); None where all are.
    """

    x: Tensor
    mask: Tensor | None

    @property
    def ones(self) -> Tensor:
        """What counts the examples: one row where all entries are observed, (1, B), one for each entry otherwise."""
        return self.x.new_ones(1, self.x.shape[-1]) if self.mask is None else self.mask.to(self.x.dtype)


class Components(Part, ABC, Generic[Seen]):
    """p(x | k) for k = 1, ..., K.

    Args:
        x: What is observed.
        components: K.
    """

    def __init__(self, x: Variable, components: int) -> None:
        super().__init__()
        require_components(components)
        self.require(x)
        self.variable = self.x = x
        self.components = components

    @abstractmethod
    def require(self, x: Variable) -> None:
        """Raise a ValueError if these are no components of such data."""

    @abstractmethod
    def forward(self, k: Tensor) -> Distribution:
        """p(x | k), of k's shape as batch shape.

        Args:
            k: Component numbers, of any shape.
        """

    @abstractmethod
    def see(self, x: Tensor, mask: Tensor | None = None) -> Seen:
        """The examples as this family looks at them, with the parameters that it has.

        Args:
            x: (B, \\*shape).
            mask: True where an entry is observed, shaped like x.
        """

    @abstractmethod
    def log_prob(self, seen: Seen) -> Tensor:
        """log p(x_b | k) of what is observed, missing entries marginalised, (..., K, B) in nats."""

    @abstractmethod
    def statistics(self, seen: Seen, r: Tensor) -> Statistics:
        """The expected statistics of examples of weights r, (..., K, B), summed over B."""

    @abstractmethod
    def maximize(self, statistics: Statistics) -> None:
        """Take the parameters that maximise the expected log-density; a component without examples keeps its own."""

    def start(self, x: Tensor, mask: Tensor | None, r: Tensor, generator: torch.Generator) -> None:
        """Take the parameters that a first guess of the responsibilities leads to."""
        self.maximize(self.statistics(self.see(x, mask), r))

    def settle(self) -> None:
        """Bring what the densities leave open, such as rotations of factors, into a standard form."""

    @abstractmethod
    def coordinates(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Points whose squared distances say how much examples differ, (D', B): a first guess is made of them."""

    @property
    @abstractmethod
    def collapsed(self) -> Tensor:
        """Which components are held from collapsing onto fewer dimensions than the data has, (..., K)."""

    @property
    def alike(self) -> bool:
        """Whether all of several components are the same."""
        each = [parameter for parameter in self.parameters() if len(parameter) == self.components]
        return self.components > 1 and all(bool(torch.allclose(one, one[:1], rtol=0, atol=1e-12)) for one in each)

    @property
    @abstractmethod
    def free(self) -> int:
        """The number of free parameters, which information criteria count."""

    @property
    @abstractmethod
    def means(self) -> Tensor:
        """E[x | k] in the data's units, (..., K, \\*shape)."""

    @abstractmethod
    def width(self, starts: int, *, missing: bool) -> int:
        """About how many numbers it holds for each example while so many starts are fitted side by side."""


ComponentsFactory = Callable[[Variable, int], Components]
"""Makes components from ``x, K``: a class, or functools.partial of a class."""


def require_components(components: int) -> None:
    """Raise a TypeError for what is no number of components, a ValueError for less than one."""
    if isinstance(components, bool) or not isinstance(components, int):
        raise TypeError(f"components: expected a whole number, got {components!r}")
    if components < 1:
        raise ValueError(f"components: expected at least 1, got {components}")


def columns(x: Tensor, mask: Tensor | None) -> Columns:
    """Rows of data (B, \\*shape) as columns in double precision, 0 where an entry is missing."""
    x = x.reshape(len(x), -1).double().mT
    if mask is None:
        return Columns(x.contiguous(), None)
    mask = mask.reshape(len(mask), -1).mT
    return Columns(x.where(mask, 0.0), mask.contiguous())


def shares(counts: Tensor, otherwise: Tensor) -> Tensor:
    """log of counts / their sum over the last axis, or ``otherwise`` where nothing was counted."""
    total = counts.sum(-1, keepdim=True)
    return torch.where(total > 0, (counts / total).log(), otherwise)


def shaped(vector: Tensor, shape: Sequence[int]) -> Tensor:
    """Vectors (..., D) in the shape of an example, (..., \\*shape)."""
    return vector.reshape(*vector.shape[:-1], *shape)
