"""Distributions on an interval."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch import distributions as td

from unveil.distributions.noise import Generator, log_gamma_noise
from unveil.distributions.special import beta_cdf
from unveil.distributions.univariate import Factors, Univariate, root

UNIT = (-745.0, 37.0)
"""The logits of the smallest number above 0 and the largest below 1 in double precision."""


class Uniform(Factors):
    """f(x) = 1 / (b - a) on [a, b]; x = a + (b - a) u.

    Args:
        low: a, (\\*batch, \\*event).
        high: b > a, broadcastable with ``low``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, low: Tensor, high: Tensor, event_dims: int = 1) -> None:
        low, high = torch.broadcast_tensors(low, high)
        self._width = high - low
        super().__init__(td.Uniform(low, high, validate_args=False), event_dims, low, high)

    @property
    def mode(self) -> Tensor:
        """The middle, as good as any other."""
        return self.mean

    def _log_density(self, x: Tensor) -> Tensor:
        return -self._width.log().expand(x.shape)

    def _cdf(self, x: Tensor) -> Tensor:
        return (x - self.low) / self._width

    def _icdf(self, u: Tensor) -> Tensor:
        return self.low + self._width * u


class Triangular(Univariate):
    """A density that rises from a to its mode c and falls to b, both linearly.

    Args:
        low: a, (\\*batch, \\*event).
        peak: c, a <= c <= b, broadcastable with ``low``.
        high: b > a, broadcastable with ``low``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, low: Tensor, peak: Tensor, high: Tensor, event_dims: int = 1) -> None:
        low, self.peak, high = torch.broadcast_tensors(low, peak, high)
        self._width = high - low
        super().__init__(low, event_dims, low, high)

    @property
    def mean(self) -> Tensor:
        """(a + b + c) / 3."""
        return (self._like + self.peak + self.high) / 3

    @property
    def variance(self) -> Tensor:
        """((b - a)^2 - (b - c) (c - a)) / 18."""
        return (self._width.square() - (self.high - self.peak) * (self.peak - self.low)) / 18

    @property
    def mode(self) -> Tensor:
        """c."""
        return self.peak

    def entropy_per_dim(self) -> Tensor:
        """1/2 + log((b - a) / 2)."""
        return 0.5 + (self._width / 2).log()

    def _log_density(self, x: Tensor) -> Tensor:
        side, reach = self._side(self._rising(x), x)
        return (2 * side / (self._width * reach)).log()

    def _cdf(self, x: Tensor) -> Tensor:
        rising = self._rising(x)
        side, reach = self._side(rising, x)
        area = side.square() / (self._width * reach)
        return torch.where(rising, area, 1 - area)

    def _icdf(self, u: Tensor) -> Tensor:
        left = self._width * (self.peak - self.low)
        rising = u * self._width < self.peak - self.low
        root_of = torch.where(rising, u * left, (1 - u) * self._width * (self.high - self.peak)).sqrt()
        return torch.where(rising, self.low + root_of, self.high - root_of)

    def _rising(self, x: Tensor) -> Tensor:
        """Where x is on the rising side: all of it, where the mode is at the upper end."""
        return (x < self.peak) | (self.peak == self.high)

    def _side(self, rising: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """How far x is from the end on its side of the mode, and how far the mode is."""
        return (
            torch.where(rising, x - self.low, self.high - x),
            torch.where(rising, self.peak - self.low, self.high - self.peak),
        )


class Reciprocal(Univariate):
    """f(x) = 1 / (x log(b / a)) on [a, b], a > 0: log x is uniform (the log-uniform distribution); x = a (b / a)^u.

    Args:
        low: a > 0, (\\*batch, \\*event).
        high: b > a, broadcastable with ``low``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, low: Tensor, high: Tensor, event_dims: int = 1) -> None:
        low, high = torch.broadcast_tensors(low, high)
        self.log_ratio, self._log_product = (high / low).log(), low.log() + high.log()
        super().__init__(low, event_dims, low, high)

    @property
    def mean(self) -> Tensor:
        """(b - a) / log(b / a)."""
        return (self.high - self._like) / self.log_ratio

    @property
    def variance(self) -> Tensor:
        """(b^2 - a^2) / (2 log(b / a)) - mean^2."""
        return (self.high**2 - self.low**2) / (2 * self.log_ratio) - self.mean.square()

    @property
    def mode(self) -> Tensor:
        """a."""
        return self._like

    def entropy_per_dim(self) -> Tensor:
        """log log(b / a) + log(a b) / 2."""
        return self.log_ratio.log() + 0.5 * self._log_product

    def _log_density(self, x: Tensor) -> Tensor:
        return -x.log() - self.log_ratio.log()

    def _cdf(self, x: Tensor) -> Tensor:
        return (x / self.low).log() / self.log_ratio

    def _icdf(self, u: Tensor) -> Tensor:
        return self.low * (u * self.log_ratio).exp()


class Beta(Factors):
    """f(x) = x^(a - 1) (1 - x)^(b - 1) / B(a, b) on [0, 1].

    Args:
        concentration1: a > 0, (\\*batch, \\*event).
        concentration0: b > 0, broadcastable with ``concentration1``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, concentration1: Tensor, concentration0: Tensor, event_dims: int = 1) -> None:
        self.concentration1, self.concentration0 = torch.broadcast_tensors(concentration1, concentration0)
        base = td.Beta(self.concentration1, self.concentration0, validate_args=False)
        super().__init__(base, event_dims, 0.0, 1.0)

    @property
    def mode(self) -> Tensor:
        """(a - 1) / (a + b - 2) where both exceed 1; else the end where the density is largest; 1/2 if it is flat."""
        a, b = self.concentration1, self.concentration0
        inside = (a - 1) / (a + b - 2)
        end = torch.where((a == 1) & (b == 1), 0.5, (a > b).to(a.dtype))
        return torch.where((a > 1) & (b > 1), inside, end)

    def _cdf(self, x: Tensor) -> Tensor:
        return beta_cdf(x, self.concentration1, self.concentration0)

    def _icdf(self, u: Tensor) -> Tensor:
        return root(self, u, torch.sigmoid, UNIT)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        ones, zeros = (log_gamma_noise(a, shape, generator) for a in (self.concentration1, self.concentration0))
        return torch.sigmoid(ones - zeros)
