"""Gaussian components with correlations: a covariance for each, or one that all share."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from unveil import distributions
from unveil.components.base import Columns, Statistics
from unveil.components.gaussian import Gaussian
from unveil.components.missing import Observed
from unveil.components.units import FLOOR
from unveil.distributions.normal import LOG_2PI
from unveil.variables import Variable


class _Correlated(Gaussian, ABC):
    """N(x; mu_k, L L'), in the data's units, with L = log_triangle but for its diagonal, exp of that.

    Args:
        x: What is observed.
        components: K.
        floor: The smallest eigenvalue of a covariance, in the data's units.
        triangles: The number of covariances.
    """

    def __init__(self, x: Variable, components: int, floor: float, triangles: int) -> None:
        super().__init__(x, components, floor)
        self.log_triangle = nn.Parameter(torch.zeros(triangles, x.features, x.features))

    def require(self, x: Variable) -> None:
        """Vectors of real numbers."""
        super().require(x)
        if len(x.shape) != 1:
            raise ValueError(
                f"x: expected vectors, got shape {x.shape}; use Diagonal, or flatten them for {type(self).__name__}"
            )

    @abstractmethod
    def _pooled(self, scatter: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """sum r (u - mu)(u - mu)' and sum r of each covariance, from those of each component."""

    @property
    def triangle(self) -> Tensor:
        """L, (..., K or 1, D, D)."""
        return self.log_triangle.tril(-1) + torch.diag_embed(self._log_diagonal.exp())

    @property
    def _log_diagonal(self) -> Tensor:
        return self.log_triangle.diagonal(dim1=-2, dim2=-1)

    @property
    def covariances(self) -> Tensor:
        """Sigma_k, (..., K, D, D)."""
        tril = self._tril.detach()
        return tril @ tril.mT

    @property
    def _tril(self) -> Tensor:
        """The triangles in the data's units, (..., K, D, D)."""
        return (self.units.deviation.unsqueeze(-1) * self.triangle).expand(*self.loc.shape, -1)

    def forward(self, k: Tensor) -> distributions.MultivariateNormal:
        """N(mu_k, Sigma_k) of vectors."""
        return distributions.MultivariateNormal(self.units.location(self.loc[k]), self._tril[k])

    def see(self, x: Tensor, mask: Tensor | None = None) -> Tensor | Observed:
        """One, u, and u_i u_j for i >= j; where entries are missing, what those that are observed say of them."""
        columns = self.units.columns(x, mask)
        return sufficient(columns) if mask is None else Observed(self.loc, self.triangle, columns)

    def natural(self) -> tuple[Tensor, Tensor]:
        """-0.5 (mu' P mu + log|2 pi Sigma|), and P mu, -0.5 P_ii, -P_ij, with P the inverse of Sigma."""
        shift, products = quadratic(self.loc, torch.cholesky_inverse(self.triangle))
        constant = -0.5 * (shift * self.loc + LOG_2PI) - self._log_diagonal + self.units.log_det
        return constant.sum(-1, keepdim=True), torch.cat([shift, products], -1)

    def log_prob(self, seen: Tensor | Observed) -> Tensor:
        """log N(x_b; mu_k, Sigma_k) of what is observed, (..., K, B)."""
        if isinstance(seen, Tensor):
            return super().log_prob(seen)
        return seen.log_prob() + self.units.log_det @ seen.columns.ones

    def statistics(self, seen: Tensor | Observed, r: Tensor) -> Statistics:
        """sum_b r_kb T(x_b), expected where entries are missing, (..., K, F)."""
        if isinstance(seen, Tensor):
            return super().statistics(seen, r)
        first, second = seen.moments(r)
        i, j = triangle_of(self.x.features, r.device)
        return {"moments": torch.cat([r.sum(-1, keepdim=True), first, second[..., i, j]], -1)}

    def from_moments(self, total: Tensor) -> None:
        """mu = sum r u / sum r, Sigma = sum r u u' / sum r - mu mu', with no eigenvalue below the floor."""
        d = self.x.features
        counts, first, products = total[..., :1], total[..., 1 : d + 1], total[..., d + 1 :]
        self.loc.copy_(torch.where(counts > 0, first / counts, self.loc))
        second = symmetric(products, d)
        mean = first / counts.clamp_min(torch.finfo(counts.dtype).tiny)
        scatter, counts = self._pooled(second - first.unsqueeze(-1) * mean.unsqueeze(-2), counts.unsqueeze(-1))
        found = raised_triangle(scatter / counts, self.floor)
        found.diagonal(dim1=-2, dim2=-1).log_()
        self.log_triangle.copy_(torch.where(counts > 0, found, self.log_triangle))

    @property
    def collapsed(self) -> Tensor:
        """Where some eigenvalue is at its floor."""
        return self.at_floor(torch.linalg.svdvals(self.triangle).square()).expand(self.loc.shape[:-1])

    @property
    def free(self) -> int:
        """Means, and triangles."""
        d = self.x.features
        return self.loc.numel() + len(self.log_triangle) * d * (d + 1) // 2

    def width(self, starts: int, *, missing: bool) -> int:
        """T(x); where entries are missing, a D x D matrix for each component and start (of which more are held at once:
        small pieces would cost more than they save)."""
        d = self.x.features
        return starts * self.components * (d * d + 3 * d) // 16 + 1 if missing else 1 + d + d * (d + 1) // 2


class Full(_Correlated):
    """p(x | k) = N(x; mu_k, Sigma_k).

    Args:
        x: What is observed.
        components: K.
        floor: The smallest variance in any direction, in units of the data's.
    """

    def __init__(self, x: Variable, components: int, floor: float = FLOOR) -> None:
        super().__init__(x, components, floor, triangles=components)

    def _pooled(self, scatter: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        return scatter, counts


class Tied(_Correlated):
    """p(x | k) = N(x; mu_k, Sigma): all components have the same covariance.

    Args:
        x: What is observed.
        components: K.
        floor: The smallest variance in any direction, in units of the data's.
    """

    def __init__(self, x: Variable, components: int, floor: float = FLOOR) -> None:
        super().__init__(x, components, floor, triangles=1)

    def _pooled(self, scatter: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        return scatter.sum(-3, keepdim=True), counts.sum(-3, keepdim=True)


def triangle_of(d: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The rows i and columns j of a triangle, i >= j."""
    i, j = torch.tril_indices(d, d, device=device)
    return i, j


def sufficient(seen: Columns) -> Tensor:
    """T(u) of a Gaussian: one, u, and u_i u_j for i >= j, (1 + D + D (D + 1) / 2, B)."""
    i, j = triangle_of(len(seen.x), seen.x.device)
    return torch.cat([seen.ones, seen.x, seen.x[i] * seen.x[j]])


def quadratic(loc: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
    """What goes with u and with u_i u_j, i >= j, in -0.5 (u - mu)' P (u - mu): P mu, and -0.5 P_ii, -P_ij.

    Args:
        loc: mu, (..., K, D).
        precision: P, (..., K or 1, D, D).
    """
    i, j = triangle_of(loc.shape[-1], loc.device)
    products = torch.where(i == j, -0.5, -1.0) * precision[..., i, j]
    return (precision @ loc.unsqueeze(-1)).squeeze(-1), products.expand(*loc.shape[:-1], -1)


def symmetric(products: Tensor, d: int) -> Tensor:
    """The symmetric matrices, (..., D, D), of their entries i >= j, (..., D (D + 1) / 2)."""
    i, j = triangle_of(d, products.device)
    whole = products.new_zeros(*products.shape[:-1], d, d)
    whole[..., i, j] = whole[..., j, i] = products
    return whole


def raised_triangle(covariance: Tensor, floor: float) -> Tensor:
    """L with L L' = covariance, whose eigenvalues below the floor are raised to it: the maximum of the likelihood
    -0.5 (log|S| + tr(S^-1 covariance)) among the S that have none below it. What is not finite stays so."""
    eye = torch.eye(covariance.shape[-1]).to(covariance)
    triangle = torch.linalg.cholesky_ex(covariance).L
    low = torch.linalg.cholesky_ex(covariance - floor * eye).info > 0
    low &= covariance.isfinite().all(-1).all(-1)
    if low.any():
        values, vectors = torch.linalg.eigh(covariance[low])
        scaled = vectors * values.clamp_min(floor).sqrt().unsqueeze(-2)
        upper = torch.linalg.qr(scaled.mT).R  # scaled scaled' = R' R
        triangle[low] = (upper * upper.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-1)).mT
    return triangle
