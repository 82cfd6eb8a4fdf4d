"""One-dimensional continuous distributions that know their distribution function F(x) = P(X <= x).

A draw is F^-1(u), u uniform: pathwise in every parameter. Where F has no inverse in closed form the root is found by
bisection, and its gradient is the implicit function theorem's, dx/dtheta = -(dF/dtheta) / f(x).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Size, Tensor
from torch.distributions import Distribution as TorchDistribution

from unveil.distributions.base import Factorized, sum_rightmost
from unveil.distributions.noise import Generator, open_uniform

BISECTIONS = 70


class Univariate(Factorized, ABC):
    """A product of one-dimensional continuous distributions.

    Implementers write the density, F and F^-1 inside the support; the edges are done here.

    Args:
        like: A tensor of the shape, precision and device of all factors.
        event_dims: How many of the last axes make one event.
        low: Where the support begins.
        high: Where it ends.
    """

    has_rsample = True

    def __init__(
        self, like: Tensor, event_dims: int, low: Tensor | float = -torch.inf, high: Tensor | float = torch.inf
    ) -> None:
        super().__init__(like.shape, event_dims)
        self._like, self.low, self.high = like, low, high

    @abstractmethod
    def _log_density(self, x: Tensor) -> Tensor:
        """log f(x) inside the support."""

    @abstractmethod
    def _cdf(self, x: Tensor) -> Tensor:
        """F(x) inside the support, its ends included."""

    @abstractmethod
    def _icdf(self, u: Tensor) -> Tensor:
        """F^-1(u) for u in (0, 1)."""

    @abstractmethod
    def entropy_per_dim(self) -> Tensor:
        """Each factor's entropy in nats, (\\*batch, \\*event)."""

    def entropy(self) -> Tensor:
        """The sum of the factors' entropies, (\\*batch,) in nats."""
        return sum_rightmost(self.entropy_per_dim(), len(self.event_shape))

    def log_prob_per_dim(self, value: Tensor) -> Tensor:
        """log f(x_i) in nats, -inf outside the support."""
        if self._unbounded:
            return self._log_density(value)
        inside = (value >= self.low) & (value <= self.high) & (value < torch.inf)
        within = self.low + 1 if self._endless else (self.low + self.high) / 2
        return torch.where(inside, self._log_density(torch.where(inside, value, within)), -torch.inf)

    def cdf(self, value: Tensor) -> Tensor:
        """F(x_i) of each factor, (\\*sample, \\*batch, \\*event)."""
        return self._cdf(value if self._unbounded else value.clamp(min=self.low).clamp(max=self.high))

    def icdf(self, probability: Tensor) -> Tensor:
        """F^-1(u_i) of each factor; the support's ends at 0 and 1, NaN outside [0, 1]."""
        inside = (probability > 0) & (probability < 1)
        x = self._icdf(torch.where(inside, probability, 0.5))
        for end, at in ((self.low, 0), (self.high, 1)):
            x = torch.where(probability == at, torch.as_tensor(end).to(x), x)
        return torch.where((probability >= 0) & (probability <= 1), x, torch.nan)

    @property
    def _endless(self) -> bool:
        return isinstance(self.high, float) and self.high == torch.inf

    @property
    def _unbounded(self) -> bool:
        return self._endless and isinstance(self.low, float) and self.low == -torch.inf

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        return self._icdf(open_uniform(shape, self._like, generator))


class Factors(Univariate, ABC):
    """A product of torch's one-dimensional distributions.

    Args:
        base: Torch's distribution, of the shape of all factors.
        event_dims: How many of the last axes make one event.
        low: Where the support begins.
        high: Where it ends.
    """

    def __init__(
        self,
        base: TorchDistribution,
        event_dims: int,
        low: Tensor | float = -torch.inf,
        high: Tensor | float = torch.inf,
    ) -> None:
        self.base = base
        like = getattr(base, next(iter(base.arg_constraints)))
        super().__init__(like.expand(base.batch_shape), event_dims, low, high)

    @property
    def mean(self) -> Tensor:
        """Each factor's mean; infinite or NaN where there is none."""
        return self.base.mean

    @property
    def variance(self) -> Tensor:
        """Each factor's variance; infinite or NaN where there is none."""
        return self.base.variance

    @property
    def mode(self) -> Tensor:
        """Each factor's mode."""
        return self.base.mode

    def entropy_per_dim(self) -> Tensor:
        """Each factor's entropy in nats."""
        return self.base.entropy()

    def _log_density(self, x: Tensor) -> Tensor:
        return self.base.log_prob(x)


def root(of: Univariate, u: Tensor, coordinate: Callable[[Tensor], Tensor], ends: tuple[float, float]) -> Tensor:
    """x with F(x) = u, by bisection, with the gradient of the inverse function.

    Args:
        of: The distribution.
        u: Probabilities inside (0, 1).
        coordinate: An increasing map from what is bisected to x: exp for positive x, whose smallest are far below 1.
        ends: Where the bisection begins.
    """
    with torch.no_grad():
        low, high = (torch.full_like(u + of._like, end, dtype=torch.float64) for end in ends)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            beyond = of._cdf(coordinate(middle)) > u
            low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
        x = coordinate((low + high) / 2).to(of._like.dtype)
        log_slope = of._log_density(x)
    if not torch.is_grad_enabled():
        return x
    miss = u - of._cdf(x)
    return x + (miss - miss.detach()) * (-log_slope).exp()
