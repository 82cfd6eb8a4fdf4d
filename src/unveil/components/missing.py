"""A Gaussian of which some entries are observed.

With M = diag(observed), and Omega = M (M Sigma M + I - M)^-1 M, which is the inverse of Sigma_oo in its place among
zeros, no entry need be moved::

    log N(x_o; mu_o, Sigma_oo) = -0.5 (d' Omega d + log|M Sigma M + I - M| + |o| log 2 pi),    d = M (x - mu)
    E[x | x_o] = mu + Sigma Omega d                Cov[x | x_o] = Sigma - Sigma Omega Sigma
"""

from __future__ import annotations

import torch
from torch import Tensor

from unveil.components.base import Columns
from unveil.distributions.masked import observed_root
from unveil.distributions.normal import LOG_2PI


class Observed:
    """Examples under each of K Gaussians, given the entries that are observed.

    Args:
        loc: mu, (..., K, D).
        triangle: L with Sigma = L L', (..., K or 1, D, D).
        columns: The examples, with their mask.
    """

    def __init__(self, loc: Tensor, triangle: Tensor, columns: Columns) -> None:
        if columns.mask is None:
            raise ValueError("mask: expected one, got None")
        self.columns, self.loc, self.covariance = columns, loc, triangle @ triangle.mT
        patterns, self.pattern = columns.mask.mT.unique(dim=0, return_inverse=True)
        self.patterns = patterns.to(loc.dtype)
        m = self.patterns.unsqueeze(-1)
        root = observed_root(self.covariance.unsqueeze(-3), self.patterns)
        self.log_det = 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        """log|Sigma_oo| of each pattern, (..., K, U)."""
        self.omega = m * torch.cholesky_inverse(root) * m.mT
        """(..., K, U, D, D)."""
        self.delta = torch.where(columns.mask.mT, columns.x.mT - loc.unsqueeze(-2), 0.0)
        """d, (..., K, B, D)."""
        self.pulled = (self.omega[..., self.pattern, :, :] @ self.delta.unsqueeze(-1)).squeeze(-1)
        """Omega d, (..., K, B, D)."""

    def log_prob(self) -> Tensor:
        """log N(x_o; mu_o, Sigma_oo), (..., K, B)."""
        constant = self.log_det + LOG_2PI * self.patterns.sum(-1)
        return -0.5 * ((self.delta * self.pulled).sum(-1) + constant[..., self.pattern])

    def moments(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """sum_b r_kb E[x_b | x_o], (..., K, D), and sum_b r_kb E[x_b x_b' | x_o], (..., K, D, D)."""
        filled = self.loc.unsqueeze(-2) + self.pulled @ self.covariance
        weighted = r.unsqueeze(-1) * filled
        counts = r.new_zeros(*r.shape[:-1], len(self.patterns)).index_add_(-1, self.pattern, r)
        known = (counts.unsqueeze(-1).unsqueeze(-1) * self.omega).sum(-3)
        unknown = r.sum(-1)[..., None, None] * self.covariance - self.covariance @ known @ self.covariance
        return weighted.sum(-2), weighted.mT @ filled + unknown
