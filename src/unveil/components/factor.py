"""Factor analysers: components whose correlations come from a few hidden factors.

p(x | k) = integral of N(z; 0, I) N(x; mu_k + W_k z, Psi_k) dz = N(x; mu_k, W_k W_k' + Psi_k), Psi diagonal (factor
analysis) or spherical (probabilistic PCA, Tipping & Bishop 1999). Given x and k, z is Gaussian::

    V = (I + W' Psi^-1 W)^-1,    m = V W' Psi^-1 (x - mu)

A missing entry d leaves its terms w_d w_d' / psi_d and w_d (x_d - mu_d) / psi_d out. The M-step regresses each entry on
(z, 1), whose moments are expected ones. Then z's own moments are set to 0 and I again, which changes W and mu, not what
was gained: parameter-expanded EM (Liu et al. 1998), which needs far fewer steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unveil import distributions
from unveil.components.base import Columns, Statistics
from unveil.components.units import FLOOR, Scaled
from unveil.distributions.normal import LOG_2PI
from unveil.variables import Variable


class Codes(NamedTuple):
    """p(z | x_b, k) = N(mean, V) of every example and component.

    Args:
        mean: m, (..., K, B, L).
        root: The triangle R with V^-1 = R R', (..., K, B, L, L), or (..., K, 1, L, L) where all entries are observed.
        pulled: W' Psi^-1 (x - mu), (..., K, B, L).
    """

    mean: Tensor
    root: Tensor
    pulled: Tensor

    @property
    def covariance(self) -> Tensor:
        """V."""
        return torch.cholesky_inverse(self.root)


class Coded(NamedTuple):
    """Examples and their codes.

    Args:
        columns: u, (D, B).
        codes: p(z | x_b, k).
    """

    columns: Columns
    codes: Codes


class FactorAnalyser(Scaled[Coded], ABC):
    """p(x | k) = N(x; mu_k, W_k W_k' + Psi_k).

    Args:
        x: What is observed.
        components: K.
        latent_dim: L, the number of factors.
        floor: The smallest entry of Psi, in units of the data's variances.
        isotropic: Whether all entries have the same noise.

    Raises:
        ValueError: For whole numbers, or as many factors as entries.
    """

    def __init__(self, x: Variable, components: int, latent_dim: int, floor: float, *, isotropic: bool) -> None:
        super().__init__(x, components, floor, isotropic=isotropic)
        if not 1 <= latent_dim < max(x.features, 2):
            most = f" to {x.features - 1}" if x.features > 2 else ""
            raise ValueError(f"latent_dim: expected 1{most} factors of {x.features} entries, got {latent_dim}")
        self.latent_dim = latent_dim
        self.loading = nn.Parameter(torch.zeros(components, x.features, latent_dim))
        self.log_scale = nn.Parameter(torch.zeros(components, 1 if isotropic else x.features))

    @abstractmethod
    def _shared(self, squares: Tensor, counts: Tensor) -> Tensor:
        """The noise's variances from the sums of its squares and the counts of each entry, (..., K, D)."""

    def forward(self, k: Tensor) -> torch.distributions.LowRankMultivariateNormal:
        """N(mu_k, W_k W_k' + Psi_k) of vectors."""
        deviation = self.units.deviation
        return torch.distributions.LowRankMultivariateNormal(
            self.units.location(self.loc[k]),
            deviation.unsqueeze(-1) * self.loading[k],
            (deviation * self.log_scale.exp()).square().expand_as(self.loc)[k],
            validate_args=False,
        )

    def given(self, k: Tensor, z: Tensor) -> distributions.Normal:
        """p(x | k, z) = N(mu_k + W_k z, Psi_k).

        Args:
            k: Component numbers, of any shape.
            z: Factors, (\\*k, L), with any axes before.
        """
        loc = self.loc[k] + (self.loading[k] @ z.unsqueeze(-1)).squeeze(-1)
        scale = self.log_scale.exp().expand_as(self.loc)[k]
        return distributions.Normal(self.units.location(loc), self.units.scale(scale), len(self.x.shape))

    def _codes(self, seen: Columns) -> Codes:
        present = seen.x.new_ones(len(seen.x), 1) if seen.mask is None else seen.mask.to(seen.x.dtype)
        scaled = self._precision.unsqueeze(-1) * self.loading
        products = (scaled.unsqueeze(-1) * self.loading.unsqueeze(-2)).flatten(-2)
        gram = (products.mT @ present).mT.unflatten(-1, 2 * (self.latent_dim,))
        root = torch.linalg.cholesky(gram + torch.eye(self.latent_dim).to(gram))
        missed = (scaled * self.loc.unsqueeze(-1)).mT @ present
        pulled = (scaled.mT @ seen.x - missed).mT
        return Codes(torch.cholesky_solve(pulled.unsqueeze(-1), root).squeeze(-1), root, pulled)

    @property
    def _precision(self) -> Tensor:
        """1 / psi, (..., K, D)."""
        return (-2 * self.log_scale).exp().expand_as(self.loc)

    def see(self, x: Tensor, mask: Tensor | None = None) -> Coded:
        """u, and p(z | x_b, k)."""
        columns = self.units.columns(x, mask)
        return Coded(columns, self._codes(columns))

    def log_prob(self, seen: Coded) -> Tensor:
        """log N(x_b; mu_k, W_k W_k' + Psi_k) of what is observed, (..., K, B)."""
        (columns, codes), precision = seen, self._precision
        shift = precision * self.loc
        constant = -0.5 * (shift * self.loc + LOG_2PI) - self.log_scale + self.units.log_det
        log_p = shift @ columns.x - 0.5 * precision @ columns.x.square()
        log_p += constant @ columns.ones if columns.mask is not None else constant.sum(-1, keepdim=True)
        log_det = codes.root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return log_p + 0.5 * (codes.pulled * codes.mean).sum(-1) - log_det

    def statistics(self, seen: Coded, r: Tensor) -> Statistics:
        """sum_b r_kb of E[(z, 1)(z, 1)'] (for each entry too, where some are missing), of x E[(z, 1)'] and of x^2."""
        columns, codes = seen
        z = torch.cat([codes.mean, torch.ones_like(codes.mean[..., :1])], -1)
        second = z.unsqueeze(-1) * z.unsqueeze(-2)
        second[..., :-1, :-1] += codes.covariance
        weighted = r.unsqueeze(-1) * second.flatten(-2)
        return {
            "codes": weighted.sum(-2),
            "grams": (columns.ones @ weighted if columns.mask is not None else weighted.sum(-2, keepdim=True)),
            "products": columns.x @ (r.unsqueeze(-1) * z),
            "squares": r @ columns.x.square().mT,
        }

    def maximize(self, statistics: Statistics) -> None:
        """Regress each entry on (z, 1), and bring z back to N(0, I)."""
        side = 2 * (self.latent_dim + 1,)
        grams, products = statistics["grams"].unflatten(-1, side), statistics["products"]
        counts, codes = grams[..., -1, -1], statistics["codes"].unflatten(-1, side)
        alive = (counts > 0).expand_as(self.loc)
        root = torch.linalg.cholesky_ex(torch.where(counts[..., None, None] > 0, grams, torch.eye(side[0]).to(grams))).L
        weights = torch.cholesky_solve(products.unsqueeze(-1), root.expand(*products.shape, -1)).squeeze(-1)
        squares = statistics["squares"] - (weights * products).sum(-1)
        variance = self._shared(squares, counts.expand_as(squares)).clamp_min(self.floor)
        noisy = alive if variance.shape == alive.shape else alive.any(-1, keepdim=True)
        loading, loc = weights[..., :-1], weights[..., -1]
        moments = codes / codes[..., -1:, -1:]
        mean = moments[..., :-1, -1]
        spread = torch.linalg.cholesky_ex(moments[..., :-1, :-1] - mean.unsqueeze(-1) * mean.unsqueeze(-2)).L
        self.loc.copy_(torch.where(alive, loc + (loading @ mean.unsqueeze(-1)).squeeze(-1), self.loc))
        self.loading.copy_(torch.where(alive.unsqueeze(-1), loading @ spread, self.loading))
        self.log_scale.copy_(torch.where(noisy, 0.5 * variance.log(), self.log_scale))

    def start(self, x: Tensor, mask: Tensor | None, r: Tensor, generator: torch.Generator) -> None:
        """Random loadings, then what the first guess leads to."""
        noise = torch.randn(self.loading.shape, generator=generator, device=generator.device, dtype=torch.double)
        self.loading.copy_(noise / self.latent_dim**0.5)
        self.loc.zero_()
        self.log_scale.zero_()
        super().start(x, mask, r, generator)

    def settle(self) -> None:
        """Rotate the factors, which changes no density: W' Psi^-1 W diagonal, descending (the posterior of z has no
        correlations then; of probabilistic PCA they are the principal axes), and the sum of each one's loadings
        positive."""
        scaled = self.loading * (-self.log_scale).exp().unsqueeze(-1)
        axes = torch.linalg.eigh(scaled.mT @ scaled).eigenvectors.flip(-1)
        rotated = self.loading @ axes
        signs = torch.where(rotated.sum(-2, keepdim=True) < 0, -1.0, 1.0)
        self.loading.copy_(rotated * signs)

    @property
    def covariances(self) -> Tensor:
        """W_k W_k' + Psi_k, (..., K, D, D)."""
        noise = (2 * self.log_scale).exp().expand_as(self.loc)
        deviation = self.units.deviation
        inner = self.loading @ self.loading.mT + torch.diag_embed(noise)
        return (deviation.unsqueeze(-1) * inner * deviation).detach()

    @property
    def collapsed(self) -> Tensor:
        """Where some variance of the noise is at its floor."""
        return self.at_floor((2 * self.log_scale).exp())

    @property
    def free(self) -> int:
        """Means, loadings but for their rotations, and noise."""
        rotations = self.latent_dim * (self.latent_dim - 1) // 2
        d = self.x.features
        whole = self.components * (d + d * (d + 1) // 2)  # more than a full covariance has can't be told
        return min(sum(each.numel() for each in self.parameters()) - self.components * rotations, whole)

    def width(self, starts: int, *, missing: bool) -> int:
        """u, and the codes' moments for each component and start."""
        moments = (self.latent_dim + 1) * (self.latent_dim + 3)
        return 2 * self.x.features + (2 + missing) * starts * self.components * moments


class Anisotropic(FactorAnalyser):
    """Factor analysers with a noise variance for each entry: factor analysis.

    Args:
        x: What is observed.
        components: K.
        latent_dim: L, the number of factors.
        floor: The smallest noise variance, in units of the data's variances.
    """

    def __init__(self, x: Variable, components: int, latent_dim: int = 2, floor: float = FLOOR) -> None:
        super().__init__(x, components, latent_dim, floor, isotropic=False)

    def _shared(self, squares: Tensor, counts: Tensor) -> Tensor:
        return squares / counts


class Isotropic(FactorAnalyser):
    """Factor analysers with one noise variance: probabilistic PCA.

    Args:
        x: What is observed.
        components: K.
        latent_dim: L, the number of factors.
        floor: The smallest noise variance, in units of the data's variance.
    """

    def __init__(self, x: Variable, components: int, latent_dim: int = 2, floor: float = FLOOR) -> None:
        super().__init__(x, components, latent_dim, floor, isotropic=True)

    def _shared(self, squares: Tensor, counts: Tensor) -> Tensor:
        return squares.sum(-1, keepdim=True) / counts.sum(-1, keepdim=True)
