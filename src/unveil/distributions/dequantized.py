"""Whole numbers made continuous, y = x + u with u in [0, 1), and back: a density of y bounds the probability of x.

P(x) = integral over [x, x + 1) of p(y) dy, so that log P(x) >= E_q(u | x)[log p(x + u) - log q(u | x)]: uniform noise
(Theis et al. 2016), or learned noise (variational dequantization: Ho et al. 2019).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Size, Tensor
from torch.distributions import Distribution as TorchDistribution

from unveil.distributions.base import Distribution, draw
from unveil.distributions.noise import Generator, uniform
from unveil.distributions.point import Point


class Dequantized(Distribution):
    """q(y | x) of y = x + u.

    Args:
        x: Whole numbers, (\\*batch, \\*event).
        event_dims: How many of the last axes make one event.
        noise: q(u | x), a distribution on [0, 1) with the batch and event shape of x; uniform by default.
    """

    has_rsample = True

    def __init__(self, x: Tensor, event_dims: int = 1, noise: TorchDistribution | None = None) -> None:
        split = x.dim() - event_dims
        super().__init__(Size(x.shape[:split]), Size(x.shape[split:]))
        self.x, self.noise = x, noise

    @property
    def scores_draws(self) -> bool:
        """Whether u is scored as it was drawn: x + u - x has lost digits of it."""
        return self.noise is not None

    def rsample_and_log_prob(
        self, sample_shape: Sequence[int] = (), generator: Generator = None
    ) -> tuple[Tensor, Tensor]:
        """Draws and log q(u | x) of the very u that they were made of."""
        if not isinstance(self.noise, Distribution):
            return super().rsample_and_log_prob(sample_shape, generator)
        u, log_q = self.noise.rsample_and_log_prob(sample_shape, generator)
        return self._above(u), log_q

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(y - x | x) in nats; -inf outside [x, x + 1)."""
        u = value - self.x
        axes = tuple(range(-len(self.event_shape), 0))
        inside = ((u >= 0) & (u < 1)).all(axes) if axes else (u >= 0) & (u < 1)
        log_q = torch.zeros_like(inside, dtype=value.dtype) if self.noise is None else self.noise.log_prob(u)
        return torch.where(inside, log_q, -torch.inf)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        if self.noise is None:
            u = uniform(shape, self.x, generator)
        else:
            sample_shape = shape[: len(shape) - self.x.dim()]
            u = draw(self.noise, sample_shape, generator, pathwise=torch.is_grad_enabled())
        return self._above(u)

    def _above(self, u: Tensor) -> Tensor:
        """x + u, which may not round up to x + 1: that is another whole number's."""
        return torch.minimum(torch.maximum(self.x + u, self.x), torch.nextafter(self.x + 1, self.x))


class Floor(Point):
    """The whole number below y, for certain: P(x | y) = 1 where floor(y) = x, and 0 elsewhere.

    Args:
        y: (\\*batch, \\*event).
        levels: The number L of whole numbers 0, ..., L - 1; what lies beyond counts to the nearest.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, y: Tensor, levels: int, event_dims: int = 1) -> None:
        super().__init__(y.detach().floor().clamp(0, levels - 1), event_dims)
