"""Gaussian components whose means and precisions are random: a normal-Wishart distribution for each.

p(mu_k, Lambda_k) = N(mu_k; m0, (b0 Lambda_k)^-1) W(Lambda_k; W0, n0), and q of the same kind with m, b, W, n
(Bishop 2006, 10.2). With N examples of mean x~ and scatter S = sum r (x - x~)(x - x~)'::

    b = b0 + N,    n = n0 + N,    m = (b0 m0 + N x~) / b,    W^-1 = W0^-1 + S + b0 N / b (x~ - m0)(x~ - m0)'
    E_q[log N(x; mu, Lambda^-1)] = 0.5 (E[log|Lambda|] - D log 2 pi - D / b - n (x - m)' W (x - m))
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from unveil import distributions
from unveil.components.base import Statistics, require_components
from unveil.components.full import quadratic, sufficient, symmetric
from unveil.components.units import Units, require_real
from unveil.distributions.normal import LOG_2PI
from unveil.parts import Part
from unveil.variables import Variable


class NormalWishart(Part):
    """q(mu_k, Lambda_k), k = 1, ..., K, in units u of the data: m0 = 0, and W0^-1 the data's own covariance.

    Args:
        x: What is observed: vectors of real numbers.
        components: K.
        strength: b0, how many examples the prior on a mean is worth.
        freedom: n0 - D, how many examples beyond the fewest the prior on a precision is worth.
    """

    prior_scatter: Tensor

    def __init__(self, x: Variable, components: int, strength: float = 1.0, freedom: float = 0.0) -> None:
        super().__init__()
        require_real(type(self).__name__, x)
        if len(x.shape) != 1:
            raise ValueError(f"x: expected vectors, got shape {x.shape}; flatten the data")
        require_components(components)
        for name, value, low in (("strength", strength, 0), ("freedom", freedom, -1)):
            if not value > low:
                raise ValueError(f"{name}: expected a number above {low}, got {value}")
        self.variable = self.x = x
        d = x.features
        self.components, self.strength, self.degrees = components, strength, d + freedom
        self.units = Units(x)
        self.register_buffer("prior_scatter", torch.eye(d))
        self.loc = nn.Parameter(torch.zeros(components, d))
        self.beta = nn.Parameter(torch.full((components,), float(strength)))
        self.nu = nn.Parameter(torch.full((components,), float(self.degrees)))
        self.root = nn.Parameter(torch.eye(d).repeat(components, 1, 1))
        """The triangle R with W^-1 = R R'."""

    def initialize(self, x: Tensor, generator: torch.Generator) -> None:
        """Take the data's units, and its covariance for the prior's scatter."""
        self.units.initialize(x)
        u = self.units.columns(x, ~x.isnan()).x
        self.prior_scatter.copy_(u @ u.mT / u.shape[-1])
        self.root.copy_(torch.linalg.cholesky(self._prior).expand_as(self.root))

    @property
    def _prior(self) -> Tensor:
        """W0^-1, which is never singular."""
        return self.prior_scatter + 1e-6 * torch.eye(self.x.features).to(self.prior_scatter)

    def see(self, x: Tensor) -> Tensor:
        """One, u, and u_i u_j for i >= j."""
        return sufficient(self.units.columns(x, None))

    def expected_log_prob(self, seen: Tensor) -> Tensor:
        """E_q[log N(x_b; mu_k, Lambda_k^-1)], (..., K, B) in nats."""
        precision = self.nu[..., None, None] * torch.cholesky_inverse(self.root)
        shift, products = quadratic(self.loc, precision)
        d = self.x.features
        constant = 0.5 * (self._log_det - d * LOG_2PI - d / self.beta - (shift * self.loc).sum(-1))
        constant = constant + self.units.log_det.sum()
        return torch.cat([constant.unsqueeze(-1), shift, products], -1) @ seen

    def statistics(self, seen: Tensor, r: Tensor) -> Statistics:
        """sum_b r_kb T(x_b), (..., K, F)."""
        return {"moments": r @ seen.mT}

    def maximize(self, statistics: Statistics) -> None:
        """q(mu, Lambda) for these moments."""
        d, total = self.x.features, statistics["moments"]
        counts, first, second = total[..., 0], total[..., 1 : d + 1], symmetric(total[..., d + 1 :], d)
        self.beta.copy_(self.strength + counts)
        self.nu.copy_(self.degrees + counts)
        self.loc.copy_(first / self.beta.unsqueeze(-1))  # m0 = 0
        outer = self.loc.unsqueeze(-1) * self.loc.unsqueeze(-2)
        self.root.copy_(torch.linalg.cholesky(self._prior + second - self.beta[..., None, None] * outer))

    @property
    def cost(self) -> Tensor:
        """sum_k KL(q(mu_k, Lambda_k) || p(mu_k, Lambda_k)), (...)."""
        d, prior = self.x.features, self._prior
        w = torch.cholesky_inverse(self.root)
        distance = (self.loc.unsqueeze(-2) @ w @ self.loc.unsqueeze(-1)).flatten(-3)
        ratio = self.strength / self.beta
        of_means = 0.5 * (d * (ratio - 1 - ratio.log()) + self.strength * self.nu * distance)
        trace = (prior * w).sum((-2, -1))
        zero = self.nu.new_tensor(self.degrees)
        of_precisions = (
            0.5 * (self.nu - zero) * self._log_det
            + 0.5 * self.nu * (trace - d)
            - _log_normaliser(self.nu, self.root)
            + _log_normaliser(zero, torch.linalg.cholesky(prior))
        )
        return (of_means + of_precisions).sum(-1)

    @property
    def _log_det(self) -> Tensor:
        """E_q[log|Lambda_k|], (..., K)."""
        d = self.x.features
        steps = torch.arange(d).to(self.nu)
        log_det_w = -2 * self.root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return torch.digamma((self.nu.unsqueeze(-1) - steps) / 2).sum(-1) + d * math.log(2) + log_det_w

    def forward(self, k: Tensor) -> distributions.Elliptical:
        """The predictive distribution of component k: Student's t of n - D + 1 degrees of freedom about m.

        Its scale matrix is (b + 1) / (b (n - D + 1)) W^-1.
        """
        freedom = self.nu - self.x.features + 1
        size = ((self.beta + 1) / (self.beta * freedom)).sqrt()
        tril = self.units.deviation.unsqueeze(-1) * size[..., None, None] * self.root
        radius = partial(distributions.StudentRadius, df=freedom[k])
        return distributions.Elliptical(self.units.location(self.loc[k]), tril[k], radius)

    @property
    def means(self) -> Tensor:
        """E_q[mu_k], (..., K, D)."""
        return self.units.location(self.loc.detach())

    @property
    def covariances(self) -> Tensor:
        """E_q[Lambda_k]^-1 = W^-1 / n, (..., K, D, D)."""
        tril = self.units.deviation.unsqueeze(-1) * self.root.detach()
        return tril @ tril.mT / self.nu.detach()[..., None, None]


def _log_normaliser(nu: Tensor, root: Tensor) -> Tensor:
    """log of the integral of |Lambda|^((n - D - 1) / 2) exp(-0.5 tr(W^-1 Lambda)), with W^-1 = R R'."""
    d = root.shape[-1]
    log_det_w = -2 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return 0.5 * nu * (log_det_w + d * math.log(2)) + torch.special.multigammaln(nu / 2, d)
