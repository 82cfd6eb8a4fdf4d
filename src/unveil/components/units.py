"""The units of data, and components of real numbers, which are computed in them.

With u = (x - mean) / deviation, squares of large numbers do not cancel, and a variance says by itself whether it is
small.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from unveil.components.base import Columns, Components, Seen, columns, shaped
from unveil.nets.standardize import mean_of
from unveil.variables import Variable

FLOOR = 1e-6
"""The smallest variance, in units of the data's: a thousandth of its standard deviation."""


class Units(nn.Module):
    """u = (x - mean) / deviation, entry by entry, of the data that is seen first.

    Args:
        x: What is observed: real numbers.
        isotropic: Whether all entries have the same deviation: then spheres of u are spheres of x.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, x: Variable, *, isotropic: bool = False) -> None:
        super().__init__()
        self.x, self.isotropic = x, isotropic
        self.register_buffer("mean", torch.zeros(x.features))
        self.register_buffer("deviation", torch.ones(x.features))

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Take the moments of data (N, \\*shape), NaN where missing; a constant entry keeps deviation 1."""
        x = x.reshape(len(x), -1).double()
        self.mean.copy_(mean_of(x))
        variance = mean_of((x - self.mean).square())
        if self.isotropic:
            variance = variance.mean().expand_as(variance)
        deviation = variance.sqrt()
        self.deviation.copy_(torch.where(deviation > 1e-12 * x.abs().nan_to_num().amax(0), deviation, 1))

    def columns(self, x: Tensor, mask: Tensor | None) -> Columns:
        """Rows of data (B, \\*shape) as columns u, (D, B), in double precision."""
        return columns((x.reshape(len(x), -1).double() - self.mean) / self.deviation, mask)

    @property
    def log_det(self) -> Tensor:
        """log du/dx of each entry, (D,): log p(x) = log p(u) + its sum over observed entries."""
        return -self.deviation.log()

    def location(self, u: Tensor) -> Tensor:
        """A vector (..., D) in the data's units, (..., \\*shape)."""
        return shaped(self.mean + self.deviation * u, self.x.shape)

    def scale(self, u: Tensor) -> Tensor:
        """A deviation (..., D) in the data's units, (..., \\*shape)."""
        return shaped(self.deviation * u, self.x.shape)


def require_real(name: str, x: Variable) -> None:
    """Raise a ValueError for whole numbers."""
    if x.levels is not None:
        raise ValueError(
            f"x: {name} expects real numbers, got {x.levels} levels, whose density can be made as high as you "
            "like; use Binomial or Categorical, or load the data as real numbers: real=True"
        )


class Scaled(Components[Seen], ABC):
    """Components of real numbers about means mu_k, with variances that are kept above a floor.

    Args:
        x: What is observed.
        components: K.
        floor: The smallest variance, in units of the data's.
        isotropic: Whether the units are the same for all entries.

    Raises:
        ValueError: For whole numbers.
    """

    def __init__(self, x: Variable, components: int, floor: float, *, isotropic: bool = False) -> None:
        super().__init__(x, components)
        if not 0 < floor < 1:
            raise ValueError(f"floor: expected a share of the data's variance, 0 to 1, got {floor}")
        self.floor = floor
        self.units = Units(x, isotropic=isotropic)
        self.loc = nn.Parameter(torch.zeros(components, x.features))

    def require(self, x: Variable) -> None:
        """Real numbers."""
        require_real(type(self).__name__, x)

    def initialize(self, x: Tensor, generator: torch.Generator) -> None:
        """Take the data's units."""
        self.units.initialize(x)

    @property
    def means(self) -> Tensor:
        """mu_k, (..., K, \\*shape)."""
        return self.units.location(self.loc.detach())

    @property
    @abstractmethod
    def covariances(self) -> Tensor:
        """Cov[x | k], (..., K, D, D), of the flattened entries."""

    def coordinates(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """u."""
        return self.units.columns(x, mask).x

    def at_floor(self, variance: Tensor) -> Tensor:
        """Where the smallest variance, in units u, is at its floor."""
        return variance.amin(-1) <= self.floor * (1 + 1e-6)
