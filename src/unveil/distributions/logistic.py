"""The logistic distribution, and its discretized form on levels 0, 1, ..., L - 1.

log p(x) = -a - 2 log(1 + e^-a) - log s for a = (x - mu) / s, whose cumulative distribution function is sigmoid(a).

P(k) = sigmoid((k + 1/2 - mu) / s) - sigmoid((k - 1/2 - mu) / s), where the edge levels take the whole tails, so that
the levels' probabilities sum to one for every mu and s (Salimans et al. 2017).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Size, Tensor

from unveil.distributions.base import Factorized
from unveil.distributions.noise import Generator, open_uniform
from unveil.distributions.univariate import Univariate


class Logistic(Univariate):
    """A product of logistic distributions.

    Args:
        loc: mu, (\\*batch, \\*event).
        scale: s > 0, broadcastable with ``loc``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, loc: Tensor, scale: Tensor, event_dims: int = 1) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        super().__init__(self.loc, event_dims)

    @property
    def mean(self) -> Tensor:
        """mu."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """mu."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """pi^2 s^2 / 3."""
        return (math.pi * self.scale).square() / 3

    def entropy_per_dim(self) -> Tensor:
        """log s + 2."""
        return self.scale.log() + 2

    def _log_density(self, x: Tensor) -> Tensor:
        a = ((x - self.loc) / self.scale).abs()
        return -a - 2 * F.softplus(-a) - self.scale.log()  # the same for a and -a

    def _cdf(self, x: Tensor) -> Tensor:
        return torch.sigmoid((x - self.loc) / self.scale)

    def _icdf(self, u: Tensor) -> Tensor:
        return self.loc + self.scale * torch.logit(u)


class DiscretizedLogistic(Factorized):
    """A product of logistic distributions, rounded to levels.

    Args:
        loc: mu, in units of levels, (\\*batch, \\*event).
        scale: s > 0, in units of levels, broadcastable with ``loc``.
        levels: The number of levels L.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, loc: Tensor, scale: Tensor, levels: int, event_dims: int = 1) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        self.levels = levels
        super().__init__(self.loc.shape, event_dims)

    @property
    def mode(self) -> Tensor:
        """The likeliest level: mu rounded, or an edge, which takes a whole tail."""
        low = torch.zeros_like(self.loc)
        candidates = torch.stack([low, self.loc.round().clamp(0, self.levels - 1), low + self.levels - 1])
        return candidates.gather(0, self.log_prob_per_dim(candidates).argmax(0, keepdim=True)).squeeze(0)

    @property
    def mean(self) -> Tensor:
        """The mean of the levels, exactly: sum over k >= 1 of P(level >= k)."""
        mean = torch.zeros_like(self.loc)
        for level in range(1, self.levels):  # one at a time: 256 levels of an image at once are gigabytes
            mean = mean + torch.sigmoid((self.loc - (level - 0.5)) / self.scale)
        return mean

    def log_prob_per_dim(self, value: Tensor) -> Tensor:
        """log P(k), stable far in the tails: log(sigmoid(b) - sigmoid(a)) by softplus and expm1, never a difference."""
        a = (value - 0.5 - self.loc) / self.scale
        b = (value + 0.5 - self.loc) / self.scale
        left, right = value <= 0, value >= self.levels - 1
        width = 1 / self.scale
        # log(sigmoid(b) - sigmoid(a)) = -softplus(a) - softplus(-b) + log(1 - e^(a - b)), exact for every a < b
        inside = -F.softplus(a) - F.softplus(-b) + torch.log(-torch.expm1(-width))
        return torch.where(left, F.logsigmoid(b), torch.where(right, F.logsigmoid(-a), inside))

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        noise = torch.logit(open_uniform(shape, self.loc, generator))
        return (self.loc + self.scale * noise).round().clamp(0, self.levels - 1)
