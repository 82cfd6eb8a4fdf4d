"""Gaussian components, which differ in their covariances: full, tied, diagonal, spherical.

The likelihood of a Gaussian mixture has no maximum: a component that shrinks onto one example makes it as large as you
like. Covariances are kept from that: no variance, in any direction, falls below ``floor`` times the data's. The
maximum within that limit is known in closed form (eigenvalues below it are raised to it), so that the likelihood still
never falls, and is the unlimited one wherever the limit is not touched.

All is done in the data's units u = (x - mean) / deviation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from unveil import distributions
from unveil.components.family import ExponentialFamily
from unveil.components.units import FLOOR, Scaled
from unveil.distributions.normal import LOG_2PI
from unveil.variables import Variable


class Gaussian(Scaled[Any], ExponentialFamily, ABC):
    """p(x | k) = N(x; mu_k, Sigma_k).

    Args:
        x: What is observed.
        components: K.
        floor: The smallest variance in any direction, in units of the data's.
        isotropic: Whether the units are the same for all entries.

    Raises:
        ValueError: For whole numbers.
    """


class _Independent(Gaussian, ABC):
    """Gaussians without correlations."""

    log_scale: nn.Parameter

    def forward(self, k: Tensor) -> distributions.Normal:
        """A product of normal distributions."""
        scale = self.log_scale.exp().expand_as(self.loc)[k]
        return distributions.Normal(self.units.location(self.loc[k]), self.units.scale(scale), len(self.x.shape))

    @property
    def covariances(self) -> Tensor:
        """Sigma_k, (..., K, D, D)."""
        return torch.diag_embed((self.units.deviation * self.log_scale.detach().exp()).square().expand_as(self.loc))

    def see(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Ones, u and u^2."""
        seen = self.units.columns(x, mask)
        return torch.cat([seen.ones, seen.x, seen.x.square()])

    def natural(self) -> tuple[Tensor, Tensor]:
        """-0.5 (mu^2 / sigma^2 + log(2 pi sigma^2)), and mu / sigma^2, -0.5 / sigma^2."""
        precision = (-2 * self.log_scale).exp().expand_as(self.loc)
        shift = precision * self.loc
        constant = -0.5 * (shift * self.loc + LOG_2PI) - self.log_scale + self.units.log_det
        return constant, torch.cat([shift, -0.5 * precision], -1)

    def from_moments(self, total: Tensor) -> None:
        """mu = sum r u / sum r, sigma^2 = sum r u^2 / sum r - mu^2."""
        d = self.x.features
        ones, first, second = total[..., : -2 * d], total[..., -2 * d : -d], total[..., -d:]
        self.loc.copy_(torch.where(ones > 0, first / ones, self.loc))
        scatter = second - first.square() / ones.clamp_min(torch.finfo(ones.dtype).tiny)
        self._spread(scatter, ones.expand_as(scatter))

    @abstractmethod
    def _spread(self, scatter: Tensor, ones: Tensor) -> None:
        """Take the scales from sum r (u - mu)^2 and sum r of each entry, (..., K, D)."""

    def _log_scale(self, scatter: Tensor, ones: Tensor) -> Tensor:
        """0.5 log of the variances, kept from collapsing."""
        variance = (scatter / ones).clamp_min(self.floor)
        return torch.where(ones > 0, 0.5 * variance.log(), self.log_scale)

    @property
    def collapsed(self) -> Tensor:
        """Where some variance is at its floor."""
        return self.at_floor((2 * self.log_scale).exp())

    @property
    def free(self) -> int:
        """Means, and variances."""
        return self.loc.numel() + self.log_scale.numel()

    def width(self, starts: int, *, missing: bool) -> int:
        """T(x)."""
        return 1 + 2 * self.x.features


class Diagonal(_Independent):
    """p(x | k) = prod_d N(x_d; mu_kd, sigma_kd^2).

    Args:
        x: What is observed.
        components: K.
        floor: The smallest variance, in units of the data's.
    """

    def __init__(self, x: Variable, components: int, floor: float = FLOOR) -> None:
        super().__init__(x, components, floor)
        self.log_scale = nn.Parameter(torch.zeros(components, x.features))

    def _spread(self, scatter: Tensor, ones: Tensor) -> None:
        self.log_scale.copy_(self._log_scale(scatter, ones))


class Spherical(_Independent):
    """p(x | k) = N(x; mu_k, sigma_k^2 I): balls, in the data's own units.

    Args:
        x: What is observed.
        components: K.
        floor: The smallest variance, in units of the data's.
    """

    def __init__(self, x: Variable, components: int, floor: float = FLOOR) -> None:
        super().__init__(x, components, floor, isotropic=True)
        self.log_scale = nn.Parameter(torch.zeros(components, 1))

    def _spread(self, scatter: Tensor, ones: Tensor) -> None:
        self.log_scale.copy_(self._log_scale(scatter.sum(-1, keepdim=True), ones.sum(-1, keepdim=True)))
