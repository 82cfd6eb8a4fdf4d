"""Gaussians: a product of normals, and a full-covariance normal.

log N(x; mu, sigma^2) = -(x - mu)^2 / (2 sigma^2) - log sigma - 0.5 log(2 pi), sigma the standard deviation.
"""

from __future__ import annotations

import math
from abc import ABC

import torch
from torch import Size, Tensor

from unveil.distributions.base import Distribution
from unveil.distributions.noise import Generator, normal
from unveil.distributions.special import normal_cdf
from unveil.distributions.univariate import Univariate

LOG_2PI = math.log(2 * math.pi)


class Normal(Univariate):
    """A product of normal distributions, prod_i N(x_i; mu_i, sigma_i^2).

    Args:
        loc: Means, (\\*batch, \\*event).
        scale: Standard deviations, broadcastable with ``loc``.
        event_dims: How many of the last axes make one event.

    Example:
        >>> p = Normal(torch.zeros(3), torch.ones(3))
        >>> p.log_prob(torch.zeros(5, 3)).shape
        torch.Size([5])
    """

    def __init__(self, loc: Tensor, scale: Tensor, event_dims: int = 1) -> None:
        if loc.shape != scale.shape:
            loc, scale = torch.broadcast_tensors(loc, scale)
        self.loc, self.scale = loc, scale
        super().__init__(self.loc, event_dims)

    @property
    def mean(self) -> Tensor:
        """The mean, (\\*batch, \\*event)."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The mode, which is the mean."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The variance of each factor."""
        return self.scale.square()

    def entropy_per_dim(self) -> Tensor:
        """log sigma + 0.5 log(2 pi e)."""
        return self.scale.log() + 0.5 * (1 + LOG_2PI)

    def _log_density(self, x: Tensor) -> Tensor:
        return -0.5 * ((x - self.loc) / self.scale).square() - self.scale.log() - 0.5 * LOG_2PI

    def _cdf(self, x: Tensor) -> Tensor:
        return normal_cdf((x - self.loc) / self.scale)

    def _icdf(self, u: Tensor) -> Tensor:
        return self.loc + self.scale * torch.special.ndtri(u)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        return self.loc + self.scale * normal(shape, self.loc, generator)


class Triangle(Distribution, ABC):
    """A distribution of x = mu + L e about mu, L lower triangular.

    Args:
        loc: mu, (\\*batch, d).
        scale_tril: L with a positive diagonal, (\\*batch, d, d).
    """

    has_rsample = True

    def __init__(self, loc: Tensor, scale_tril: Tensor) -> None:
        batch_shape = torch.broadcast_shapes(loc.shape[:-1], scale_tril.shape[:-2])
        self.loc = loc.expand(*batch_shape, -1)
        self.scale_tril = scale_tril.expand(*batch_shape, -1, -1)
        super().__init__(batch_shape, loc.shape[-1:])

    @property
    def mean(self) -> Tensor:
        """The mean, where there is one, (\\*batch, d)."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The mode, (\\*batch, d)."""
        return self.loc

    @property
    def log_det(self) -> Tensor:
        """log |L|, (\\*batch,)."""
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def whitened(self, value: Tensor) -> Tensor:
        """e = L^-1 (x - mu)."""
        delta = (value - self.loc).unsqueeze(-1)
        return torch.linalg.solve_triangular(self.scale_tril, delta, upper=False).squeeze(-1)


class MultivariateNormal(Triangle):
    """A normal distribution with a full covariance, N(x; mu, L L').

    Args:
        loc: Mean, (\\*batch, d).
        scale_tril: Lower triangular Cholesky factor L of the covariance with a positive diagonal, (\\*batch, d, d).
    """

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance, (\\*batch, d)."""
        return self.scale_tril.square().sum(-1)

    @property
    def covariance_matrix(self) -> Tensor:
        """L L', (\\*batch, d, d)."""
        return self.scale_tril @ self.scale_tril.mT

    def log_prob(self, value: Tensor) -> Tensor:
        """-0.5 |L^-1 (x - mu)|^2 - log |L| - d/2 log(2 pi)."""
        return -0.5 * (self.whitened(value).square().sum(-1) + self.loc.shape[-1] * LOG_2PI) - self.log_det

    def entropy(self) -> Tensor:
        """H = log |L| + d/2 log(2 pi e), in nats."""
        return self.log_det + 0.5 * self.loc.shape[-1] * (1 + LOG_2PI)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        noise = normal(shape, self.loc, generator).unsqueeze(-2)
        return self.loc + (self.scale_tril * noise).sum(-1)  # L eps, not as a product that autocast would round
