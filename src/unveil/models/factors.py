"""Factor analysis and probabilistic PCA: a linear Gaussian model whose posterior is exact.

p(z) = N(0, I), p(x | z) = N(W z + mu, Psi), with Psi diagonal (factor analysis) or spherical (probabilistic PCA)::

    log p(x) = log N(x; mu, W W' + Psi),    q(z | x) = N(V W' Psi^-1 (x - mu), V),    V = (I + W' Psi^-1 W)^-1
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from unveil.components import Anisotropic, ComponentsFactory, FactorAnalyser, Isotropic, Statistics
from unveil.distributions import MultivariateNormal
from unveil.models.alternating import Some
from unveil.models.em import EMModel
from unveil.models.mixtures import factors, standard_normal
from unveil.models.visit import Visit
from unveil.variables import Batch, Variable


class _LinearGaussian(EMModel):
    """p(z) = N(0, I), p(x | z) = N(W z + mu, Psi).

    Args:
        x: What is observed: real numbers.
        context: Must be None.
        family: Makes one factor analyser.
    """

    family: FactorAnalyser
    starts = 1

    def __init__(self, x: Variable, context: Variable | None, family: ComponentsFactory) -> None:
        super().__init__(x, context)
        self.family = family(x, 1)  # type: ignore[assignment]
        self.double()

    def walk(self, visit: Visit, batch: Batch) -> None:
        """z, then x."""
        x, mask = batch["x"], batch.mask_of("x")
        q = None if x is None else lambda: self.posterior(x, mask)
        z = visit("z", p=lambda: standard_normal(self.family), q=q)
        visit("x", p=lambda: self.family.given(_first(z), z), value=x, mask=mask)

    def posterior(self, x: Tensor, mask: Tensor | None = None) -> MultivariateNormal:
        """q(z | x) = p(z | x), exactly."""
        return factors(self.family, x, mask, torch.zeros(len(x), dtype=torch.long, device=x.device))

    def start(self, some: Some, generator: torch.Generator) -> None:
        """Random loadings."""
        r = some.weight.expand(*self.family.loc.shape[:-1], -1)
        self.family.start(some.x, some.mask, r, generator)

    def expect(self, some: Some) -> tuple[Tensor, Statistics]:
        """The moments of z."""
        seen = self.family.see(some.x, some.mask)
        return self.family.log_prob(seen).squeeze(-2), self.family.statistics(seen, some.weight.unsqueeze(0))

    def maximize(self, statistics: Statistics) -> None:
        """Regress x on z."""
        self.family.maximize(statistics)

    def settle(self) -> None:
        """Factors in the order of how much x tells about them."""
        self.family.settle()

    @property
    def free(self) -> int:
        """Those of the factor analyser."""
        return self.family.free

    def width(self, starts: int, *, missing: bool) -> int:
        """What the factor analyser holds."""
        return self.family.width(starts, missing=missing)

    @property
    def collapsed(self) -> Tensor:
        """Whether the noise of some entry is held from vanishing."""
        return self.family.collapsed.any(-1)

    def troubles(self, statistics: Statistics, row: float) -> list[str]:
        """Entries whose noise vanishes (Heywood cases)."""
        if not self.collapsed:
            return []
        return [
            "the noise of some entry vanished, and is held at the smallest variance (floor): the factors explain it "
            "fully (a Heywood case: try fewer factors), or it is constant (leave it out)"
        ]

    @property
    def loading(self) -> Tensor:
        """W in the data's units, (D, L)."""
        return self.family.units.deviation.unsqueeze(-1) * self.family.loading.detach().squeeze(-3)

    @property
    def noise(self) -> Tensor:
        """Psi's diagonal in the data's units, (D,)."""
        return (self.family.units.deviation * self.family.log_scale.detach().squeeze(-2).exp()).square()

    @property
    def mean(self) -> Tensor:
        """mu, (\\*shape)."""
        return self.family.means.squeeze(0)


class FactorAnalysis(_LinearGaussian):
    """p(x) = N(x; mu, W W' + Psi), Psi diagonal: the noise of each entry is its own.

    Args:
        x: What is observed: real numbers.
        context: Must be None.
        latent_dim: The number of factors.
    """

    def __init__(self, x: Variable, context: Variable | None = None, latent_dim: int = 2) -> None:
        super().__init__(x, context, partial(Anisotropic, latent_dim=latent_dim))


class ProbabilisticPCA(_LinearGaussian):
    """p(x) = N(x; mu, W W' + sigma^2 I): W spans the principal subspace at the maximum (Tipping & Bishop 1999).

    Args:
        x: What is observed: real numbers.
        context: Must be None.
        latent_dim: The number of components.
    """

    def __init__(self, x: Variable, context: Variable | None = None, latent_dim: int = 2) -> None:
        super().__init__(x, context, partial(Isotropic, latent_dim=latent_dim))


def _first(z: Tensor) -> Tensor:
    """The number of the only component, for each z, (\\*z without its last axis)."""
    return torch.zeros(z.shape[:-1], dtype=torch.long, device=z.device)
