"""Mixtures: p(x) = sum_k pi_k p(x | k), fitted by EM.

The E-step finds the responsibilities r_nk = pi_k p(x_n | k) / sum_j pi_j p(x_n | j), which are the exact posterior
q(k | x_n); the M-step fits each component to the examples in their shares, and sets pi_k to the mean of r_nk.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unveil import distributions
from unveil.components import (
    Anisotropic,
    Binomial,
    Categorical,
    Components,
    ComponentsFactory,
    FactorAnalyser,
    Full,
    Statistics,
    shares,
)
from unveil.components.seeding import first_guess
from unveil.distributions import MultivariateNormal
from unveil.likelihoods.default import FEW_LEVELS
from unveil.models.alternating import Some
from unveil.models.em import EMModel
from unveil.models.visit import Visit
from unveil.variables import Batch, Observed, Variable


class MixtureModel(EMModel):
    """p(x) = sum_k pi_k p(x | k).

    Args:
        x: What is observed.
        context: Must be None.
        components: K.
        family: Makes the components p(x | k): a class from ``unveil.components``; chosen from the data by default.

    Example:
        >>> model = MixtureModel(Variable((2,)), components=3)
        >>> model.log_prob(torch.zeros(5, 2)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        components: int = 10,
        family: ComponentsFactory | None = None,
    ) -> None:
        super().__init__(x, context)
        self.family = made(family, x, components)
        self.log_weights = nn.Parameter(torch.zeros(components))
        self.double()

    def walk(self, visit: Visit, batch: Batch) -> None:
        """z, the component's number, then x."""
        x, mask = batch["x"], batch.mask_of("x")
        q = None if x is None else lambda: self.posterior(x, mask)
        z = visit("z", p=lambda: distributions.Categorical(self.log_weights), q=q)
        visit("x", p=lambda: self.family(z), value=x, mask=mask)

    def posterior(self, x: Tensor, mask: Tensor | None = None) -> distributions.Categorical:
        """q(z | x) = p(z | x), exactly: its probabilities are the responsibilities."""
        return distributions.Categorical(self._log_joint(self.family.see(x, mask)).mT)

    @torch.no_grad()
    def responsibilities(self, x: Observed | Batch) -> Tensor:
        """p(k | x), (B, K)."""
        some = self.some(x)
        return self.posterior(some.x, some.mask).probs

    @property
    def weights(self) -> Tensor:
        """pi_k, (..., K)."""
        return self.log_weights.detach().softmax(-1)

    def start(self, some: Some, generator: torch.Generator) -> None:
        """k-means++ and random centres."""
        points = self.family.coordinates(some.x, some.mask)
        r = some.weight * first_guess(points, len(self.log_weights), self.family.components, some.weight, generator)
        self.family.start(some.x, some.mask, r, generator)
        self.log_weights.copy_(shares(r.sum(-1), self.log_weights))

    def expect(self, some: Some) -> tuple[Tensor, Statistics]:
        """Responsibilities, and the components' statistics under them."""
        seen = self.family.see(some.x, some.mask)
        log_p, r = shared_out(self._log_joint(seen), some.weight)
        return log_p, {"counts": r.sum(-1), **self.family.statistics(seen, r)}

    def maximize(self, statistics: Statistics) -> None:
        """pi_k = sum_n r_nk / N, and each component's own."""
        self.log_weights.copy_(shares(statistics["counts"], self.log_weights))
        self.family.maximize(statistics)

    def settle(self) -> None:
        """Those of the components."""
        self.family.settle()

    @property
    def free(self) -> int:
        """Those of the components, and K - 1 shares."""
        return self.family.free + self.family.components - 1

    def width(self, starts: int, *, missing: bool) -> int:
        """What the components see, and three numbers for each component."""
        return self.family.width(starts, missing=missing) + 3 * starts * self.family.components

    def troubles(self, statistics: Statistics, row: float) -> list[str]:
        """Components that died or collapsed, or never parted."""
        return troubles(self.family, statistics["counts"] / row)

    @property
    def collapsed(self) -> Tensor:
        """Whether any component is held from collapsing."""
        return self.family.collapsed.any(-1)

    def _log_joint(self, seen: object) -> Tensor:
        """log pi_k p(x_b | k), (..., K, B)."""
        return self.log_weights.log_softmax(-1).unsqueeze(-1) + self.family.log_prob(seen)


class GaussianMixture(MixtureModel):
    """p(x) = sum_k pi_k N(x; mu_k, Sigma_k).

    Args:
        x: What is observed: real numbers.
        context: Must be None.
        components: K.
        covariance: What the covariances are: ``Full``, ``Tied``, ``Diagonal`` or ``Spherical``.
    """

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        components: int = 10,
        covariance: ComponentsFactory = Full,
    ) -> None:
        super().__init__(x, context, components, covariance)


class BernoulliMixture(MixtureModel):
    """p(x) = sum_k pi_k prod_d p_kd^x_d (1 - p_kd)^(1 - x_d): binary data (latent class analysis).

    Args:
        x: What is observed: binary data.
        context: Must be None.
        components: K.
    """

    def __init__(self, x: Variable, context: Variable | None = None, components: int = 10) -> None:
        if isinstance(x, Variable) and x.levels != 2:
            raise ValueError(f"x: a BernoulliMixture expects binary data, got {x}; binarize it, or use MixtureModel")
        super().__init__(x, context, components, Binomial)


class CategoricalMixture(MixtureModel):
    """p(x) = sum_k pi_k prod_d p_kd[x_d]: data of whole numbers that are names.

    Args:
        x: What is observed: whole numbers.
        context: Must be None.
        components: K.
    """

    def __init__(self, x: Variable, context: Variable | None = None, components: int = 10) -> None:
        super().__init__(x, context, components, Categorical)


class MixtureOfFactorAnalysers(MixtureModel):
    """p(x) = sum_k pi_k N(x; mu_k, W_k W_k' + Psi_k) (Ghahramani & Hinton 1996): y names the component, z the factors.

    Args:
        x: What is observed: real numbers.
        context: Must be None.
        components: K.
        family: Makes the components: ``Anisotropic`` (factor analysers) or ``Isotropic`` (probabilistic PCA), by
            functools.partial with their number of factors.
    """

    latents = ("y", "z")
    family: FactorAnalyser

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        components: int = 10,
        family: ComponentsFactory = Anisotropic,
    ) -> None:
        super().__init__(x, context, components, family)
        if not isinstance(self.family, FactorAnalyser):
            raise TypeError(f"family: expected factor analysers, got {type(self.family).__name__}; use MixtureModel")

    def walk(self, visit: Visit, batch: Batch) -> None:
        """y, the component's number, z, its factors, then x."""
        x, mask = batch["x"], batch.mask_of("x")
        q = None if x is None else lambda: self.posterior(x, mask)
        y = visit("y", p=lambda: distributions.Categorical(self.log_weights), q=q)
        of_y = None if x is None else lambda: factors(self.family, x, mask, y)
        z = visit("z", p=lambda: standard_normal(self.family), q=of_y)
        visit("x", p=lambda: self.family.given(y, z), value=x, mask=mask)


def shared_out(log_joint: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """log sum_k exp of each example, (..., B), and its weight in the shares p(k | x) of the components, (..., K, B).

    Args:
        log_joint: log p(x_b, k), (..., K, B); it is overwritten.
        weight: How much each example counts, (B,).
    """
    log_p = log_joint.logsumexp(-2)
    return log_p, log_joint.sub_(log_p.unsqueeze(-2)).exp_().mul_(weight)


def default_family(x: Variable) -> ComponentsFactory:
    """Real: Full; binary: Binomial, which is Bernoulli then; up to 32 levels: Categorical; more: Binomial."""
    if x.levels is None:
        return Full
    return Binomial if x.levels == 2 or x.levels > FEW_LEVELS else Categorical


def made(family: ComponentsFactory | None, x: Variable, components: int) -> Components[Any]:
    """The components of a family, or of the one that suits the data.

    Raises:
        TypeError: If it is none, such as a name.
    """
    family = family or default_family(x)
    if not callable(family):
        raise TypeError(
            f"family, covariance: expected a class of unveil.components, such as Full or Diagonal, got {family!r}; "
            "from unveil.components import Full"
        )
    return family(x, components)


def standard_normal(family: FactorAnalyser) -> distributions.Normal:
    """p(z) = N(0, I) of the factors."""
    zeros = family.loading.new_zeros(family.latent_dim)
    return distributions.Normal(zeros, torch.ones_like(zeros))


def factors(family: FactorAnalyser, x: Tensor, mask: Tensor | None, y: Tensor) -> MultivariateNormal:
    """p(z | x_b, y), exactly.

    Args:
        family: The factor analysers.
        x: (B, \\*shape).
        mask: True where an entry is observed.
        y: Component numbers, (..., B).
    """
    codes = family.see(x, mask).codes
    b = torch.arange(len(x), device=x.device)
    tril = torch.linalg.cholesky(codes.covariance)
    return MultivariateNormal(codes.mean[y, b], tril.expand(*codes.mean.shape, -1)[y, b])


def troubles(family: Components[Any], counts: Tensor, unit: str = "component", example: str = "row") -> list[str]:
    """What went wrong with components, one sentence each.

    Args:
        family: The components.
        counts: How many examples each explains, (K,).
        unit: What a component is called.
        example: What an example is called.
    """
    said = []
    if held := family.collapsed.nonzero().flatten().tolist():
        said.append(
            f"{unit} {_listed(held)} collapsed: some variance is held at its floor, a share of the data's, and the "
            f"likelihood says little; try fewer {unit}s or a simpler covariance, leave constant entries out, or "
            "lower floor where the data is as narrow as that"
        )
    if dead := (counts < 1).nonzero().flatten().tolist():
        said.append(f"{unit} {_listed(dead)} died: it explains less than one {example}; try fewer {unit}s")
    if family.alike:
        said.append(f"all {unit}s are the same, as they were when the fit began; have starts made: starts=1 or more")
    return said


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:10])) + " and more" * (len(numbers) > 10)
