"""Bayesian mixtures: parameters have a distribution, found by mean-field coordinate ascent.

q(z, pi, theta) = q(z) q(pi) prod_k q(theta_k). By turns (Attias 2000; Bishop 2006, 10.2)::

    q(z_n = k) ~ exp(E[log pi_k] + E[log p(x_n | theta_k)])
    q(pi), q(theta_k): the priors, given N_k = sum_n q(z_n = k) and the examples' moments in these shares
    log p(X) >= sum_n log sum_k exp(E[log pi_k] + E[log p(x_n | theta_k)])
                - KL(q(pi) || p(pi)) - sum_k KL(q(theta_k) || p(theta_k))
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from unveil import distributions
from unveil.components import Dirichlet, NormalWishart, Statistics, StickBreaking, WeightingFactory
from unveil.components.seeding import first_guess
from unveil.models.alternating import Alternating, Some, no_context
from unveil.models.mixtures import shared_out
from unveil.models.visit import Visit
from unveil.variables import Batch, Observed, Variable


class BayesianGaussianMixture(Alternating):
    """p(x | pi, mu, Lambda) = sum_k pi_k N(x; mu_k, Lambda_k^-1), pi Dirichlet, (mu_k, Lambda_k) normal-Wishart.

    Components that are not needed empty out. As a model of new data it is the predictive density under q, a mixture of
    Student's t distributions: ``evaluate``, ``sample`` and ``encode`` are about that.

    Args:
        x: What is observed: vectors of real numbers.
        context: Must be None.
        components: K, the largest number of components.
        weighting: Makes q(pi): ``Dirichlet``, or ``StickBreaking`` for a truncated Dirichlet process.
        strength: How many examples the prior on a mean is worth.
        freedom: How many examples beyond the fewest the prior on a precision is worth.
    """

    exact_posterior = True

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        components: int = 10,
        weighting: WeightingFactory = Dirichlet,
        strength: float = 1.0,
        freedom: float = 0.0,
    ) -> None:
        no_context(self, context)
        super().__init__(x)
        self.weighting = weighting(components)
        self.family = NormalWishart(x, components, strength, freedom)
        self.double()

    def walk(self, visit: Visit, batch: Batch) -> None:
        """z, the component's number, then x, as q predicts them."""
        x = batch["x"]
        _refuse(batch.mask_of("x"))
        q = None if x is None else lambda: distributions.Categorical(self._log_predictive(x))
        z = visit("z", p=lambda: distributions.Categorical(self.weighting.mean.log()), q=q)
        visit("x", p=lambda: self.family(z), value=x)

    def _log_predictive(self, x: Tensor) -> Tensor:
        """log E[pi_k] p(x | k), (B, K)."""
        every = torch.arange(self.family.components, device=x.device)
        return self.weighting.mean.log() + self.family(every).log_prob(x.unsqueeze(-2))

    @torch.no_grad()
    def log_prob(self, x: Observed | Batch) -> Tensor:
        """log p(x | data) under q, (B,) in nats: the predictive density, exactly."""
        some = self.some(x)
        _refuse(some.mask)
        return self._log_predictive(some.x).logsumexp(-1)

    @torch.no_grad()
    def responsibilities(self, x: Observed | Batch) -> Tensor:
        """q(z = k) for each example, (B, K)."""
        return self._log_rho(self._see(self.some(x))).softmax(-2).mT

    @property
    def weights(self) -> Tensor:
        """E_q[pi_k], (..., K)."""
        return self.weighting.mean.detach()

    def check(self, some: Some) -> None:
        """Nothing may be missing."""
        _refuse(some.mask)

    def start(self, some: Some, generator: torch.Generator) -> None:
        """k-means++ and random centres."""
        seen = self._see(some)
        starts, components = self.family.beta.shape
        points = self.family.units.columns(some.x, None).x
        begun = min(components, int((some.weight > 0).sum()))  # there may be more components than examples
        guess = first_guess(points, starts, begun, some.weight, generator)
        self._maximize(seen, some.weight * F.pad(guess, (0, 0, 0, components - begun)))

    def _maximize(self, seen: Tensor, r: Tensor) -> None:
        self.maximize(self.arranged({"counts": r.sum(-1), **self.family.statistics(seen, r)}))

    def expect(self, some: Some) -> tuple[Tensor, Statistics]:
        """q(z), and the components' moments under it."""
        seen = self._see(some)
        value, r = shared_out(self._log_rho(seen), some.weight)
        return value, {"counts": r.sum(-1), **self.family.statistics(seen, r)}

    def maximize(self, statistics: Statistics) -> None:
        """q(pi) and q(theta)."""
        self.weighting.maximize(statistics["counts"])
        self.family.maximize(statistics)

    def arranged(self, statistics: Statistics) -> Statistics:
        """The components in the order that p(pi) finds likeliest."""
        order = self.weighting.order(statistics["counts"])
        return {
            "counts": statistics["counts"].take_along_dim(order, -1),
            "moments": statistics["moments"].take_along_dim(order.unsqueeze(-1), -2),
        }

    @property
    def cost(self) -> Tensor:
        """KL(q(pi) || p(pi)) + KL(q(theta) || p(theta))."""
        return self.weighting.cost + self.family.cost

    def width(self, starts: int, *, missing: bool) -> int:
        """T(x), and three numbers for each component."""
        d = self.x.features
        return 1 + d + d * (d + 1) // 2 + 3 * starts * self.family.components

    def _see(self, some: Some) -> Tensor:
        _refuse(some.mask)
        return self.family.see(some.x)

    def _log_rho(self, seen: Tensor) -> Tensor:
        """E[log pi_k] + E[log p(x_b | theta_k)], (..., K, B)."""
        return self.weighting.expected_log.unsqueeze(-1) + self.family.expected_log_prob(seen)


class DirichletProcessMixture(BayesianGaussianMixture):
    """A mixture of infinitely many Gaussians, cut off at K: q(pi) breaks a stick.

    Args:
        x: What is observed: vectors of real numbers.
        context: Must be None.
        components: K, the cut.
        concentration: Larger expects more components.
    """

    def __init__(
        self, x: Variable, context: Variable | None = None, components: int = 20, concentration: float = 1.0
    ) -> None:
        super().__init__(x, context, components, partial(StickBreaking, concentration=concentration))


def _refuse(mask: Tensor | None) -> None:
    if mask is not None and not mask.all():
        raise ValueError("x: a BayesianGaussianMixture can't marginalise missing entries; use GaussianMixture")
