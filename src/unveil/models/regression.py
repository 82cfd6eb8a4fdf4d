"""Bayesian linear regression, with relevances of features that are found from the data.

p(y | v, w, t) = N(y; w'v, 1 / t), p(w | t, a) = N(0, (t diag a)^-1), t and each a_d Gamma (Drugowitsch 2013). The
posterior of (w, t) given a is exact, normal-gamma; q(w, t) q(a) is found by turns::

    w given t:  V^-1 = diag E[a] + sum v v',  m = V sum v y
    t:          shape s0 + N / 2,  rate r0 + 0.5 (sum y^2 - m' V^-1 m)
    a_d:        shape c0 + 1 / 2,  rate d0 + 0.5 (E[t] m_d^2 + V_dd)

A feature that does not help gets a large a_d, and a weight near 0: automatic relevance determination (MacKay 1994).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributions import kl_divergence

from unveil import distributions
from unveil.components import Statistics
from unveil.components.units import Units, require_real
from unveil.distributions.normal import LOG_2PI
from unveil.models.alternating import Alternating, Some
from unveil.models.visit import Visit
from unveil.variables import Batch, Variable

VAGUE = (1e-3, 1e-3)
"""Shape and rate of a Gamma prior that says next to nothing."""


class BayesianLinearRegression(Alternating):
    """p(y | features): y is what is observed, x, and its features are the context.

    Features and y are standardized, and a constant feature is added; weights are given in the data's own units.

    Args:
        x: What is predicted: one real number, shape (1,).
        context: The features.
        ard: Whether each feature has a relevance of its own; one for all otherwise.
        precision: a, where it is known: then q is exact, and the bound is the evidence.
        noise: Shape and rate of the Gamma prior on the noise's precision t, in units of y's.
        relevance: Shape and rate of the Gamma prior on a.
    """

    latents = ()
    starts = 1

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        ard: bool = True,
        precision: float | None = None,
        noise: tuple[float, float] = VAGUE,
        relevance: tuple[float, float] = VAGUE,
    ) -> None:
        if context is None:
            raise ValueError(
                "context: expected the features that y is predicted from, got None; of a table, say which column is "
                "predicted: target='y'"
            )
        super().__init__(x, context)
        require_real(type(self).__name__, x)
        if x.features != 1:
            raise ValueError(f"x: expected one real number to predict, got {x}")
        if precision is not None and not precision > 0:
            raise ValueError(f"precision: expected a positive number, got {precision}")
        for name, (shape, rate) in (("noise", noise), ("relevance", relevance)):
            if not (shape > 0 and rate > 0):
                raise ValueError(f"{name}: expected a positive shape and rate, got {(shape, rate)}")
        self.precision, self.noise_prior, self.relevance_prior = precision, noise, relevance
        size = context.features + 1
        self.target, self.features = Units(x), Units(context)
        self.loc = nn.Parameter(torch.zeros(size))
        self.root = nn.Parameter(torch.eye(size))
        """The triangle R with V^-1 = R R'."""
        self.noise = nn.Parameter(torch.tensor(noise))
        """Shape and rate of q(t)."""
        self.relevance = nn.Parameter(torch.tensor(relevance).repeat(size if ard else 1, 1))
        """Shape and rate of each q(a_d)."""
        self.double()

    def walk(self, visit: Visit, batch: Batch) -> None:
        """x as q predicts it: Student's t."""
        context = batch.context
        if context is None:
            raise ValueError("context: expected the features, got None")
        visit("x", p=lambda: self.predict(context), value=batch["x"])

    @torch.no_grad()
    def predict(self, context: Tensor) -> distributions.StudentT:
        """p(y | features, data) under q, of batch shape (B,).

        Args:
            context: The features, (B, D).
        """
        if self.context is not None and context.shape[1:] != self.context.shape:
            expected = tuple(self.context.shape)
            raise ValueError(f"context: expected features of shape {expected}, got {tuple(context.shape[1:])}")
        v = self._features(context)
        shape, rate = self.noise.unbind(-1)
        scale = (rate / shape * (1 + self._spread(v))).sqrt().unsqueeze(-1)
        loc = self.target.location(v.mT @ self.loc.unsqueeze(-1))
        return distributions.StudentT((2 * shape).expand_as(loc), loc, self.target.scale(scale))

    def look(
        self, batch: Batch, generator: torch.Generator, x: Variable | Mapping[str, Variable] | None = None
    ) -> None:
        """Take the units of the data."""
        super().look(batch, generator, x)
        for units, values in ((self.target, batch["x"]), (self.features, batch.context)):
            if values is None:
                raise ValueError("x: expected a Batch(x=..., context=features)")
            units.initialize(values)

    def check(self, some: Some) -> None:
        """Features, and nothing missing."""
        if some.context is None or (some.mask is not None and not some.mask.all()):
            raise ValueError("x: expected a Batch(x=..., context=features) in which nothing is missing")

    def start(self, some: Some, generator: torch.Generator) -> None:
        """At the prior."""

    def expect(self, some: Some) -> tuple[Tensor, Statistics]:
        """E_q[log p(y_b | v_b, w, t)], and the moments of v and y."""
        if some.mask is not None or some.context is None:
            raise ValueError("x: expected a Batch(x=..., context=features) in which nothing is missing")
        v, y = self._features(some.context), self.target.columns(some.x, None).x[0]
        t, log_t = self._gamma(self.noise)
        error = (y - self.loc @ v).square()
        value = 0.5 * (log_t.unsqueeze(-1) - LOG_2PI - t.unsqueeze(-1) * error - self._spread(v))
        weighted = some.weight * v
        return value + self.target.log_det.sum(), {
            "gram": weighted @ v.mT,
            "products": weighted @ y,
            "squares": some.weight @ y.square(),
            "counts": some.weight.sum(),
        }

    def maximize(self, statistics: Statistics) -> None:
        """q(w, t) given q(a), then q(a) given it."""
        a, _ = self._relevances
        inverse = torch.diag_embed(a) + statistics["gram"]
        root = torch.linalg.cholesky(inverse)
        loc = torch.cholesky_solve(statistics["products"].unsqueeze(-1).expand(*a.shape, 1), root).squeeze(-1)
        shape, rate = self.noise_prior
        explained = (loc * statistics["products"]).sum(-1)
        self.root.copy_(root)
        self.loc.copy_(loc)
        total = rate + 0.5 * (statistics["squares"] - explained)
        self.noise.copy_(torch.stack([(shape + 0.5 * statistics["counts"]).expand_as(total), total], -1))
        if self.precision is None:
            self.relevance.copy_(self._relevance_of(self._squares))

    def _relevance_of(self, squares: Tensor) -> Tensor:
        """Shape and rate of q(a), from E[t w_d^2], (..., D)."""
        shape, rate = self.relevance_prior
        each = self.relevance.shape[-2] > 1
        found = squares if each else squares.sum(-1, keepdim=True)
        count = 1 if each else squares.shape[-1]
        return torch.stack([torch.full_like(found, shape + 0.5 * count), rate + 0.5 * found], -1)

    @property
    def _squares(self) -> Tensor:
        """E[t w_d^2] = E[t] m_d^2 + V_dd, (..., D)."""
        t, _ = self._gamma(self.noise)
        variance = torch.cholesky_inverse(self.root).diagonal(dim1=-2, dim2=-1)
        return t.unsqueeze(-1) * self.loc.square() + variance

    @property
    def _relevances(self) -> tuple[Tensor, Tensor]:
        """E[a_d] and E[log a_d], (..., D)."""
        if self.precision is not None:
            a = torch.full_like(self.loc, self.precision)
            return a, a.log()
        a, log_a = self._gamma(self.relevance)
        return a.expand_as(self.loc), log_a.expand_as(self.loc)

    @staticmethod
    def _gamma(parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and mean logarithm of Gamma distributions of shape and rate, (..., 2)."""
        shape, rate = parameters.unbind(-1)
        return shape / rate, torch.digamma(shape) - rate.log()

    @property
    def cost(self) -> Tensor:
        """E_q(a)[KL(q(w, t) || p(w, t | a))] + KL(q(a) || p(a))."""
        a, log_a = self._relevances
        log_det = 2 * self.root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        of_weights = 0.5 * ((a * self._squares).sum(-1) - self.loc.shape[-1] - log_a.sum(-1) + log_det)
        cost = of_weights + _gamma_kl(self.noise, self.noise_prior)
        return cost if self.precision is not None else cost + _gamma_kl(self.relevance, self.relevance_prior).sum(-1)

    def width(self, starts: int, *, missing: bool) -> int:
        """The features."""
        return 3 * self.loc.shape[-1]

    def _features(self, context: Tensor) -> Tensor:
        """v: the features in their units, and a one, (D, B)."""
        u = self.features.columns(context, None).x
        return torch.cat([u, torch.ones_like(u[:1])])

    def _spread(self, v: Tensor) -> Tensor:
        """v' V v, (..., B)."""
        v = v.expand(*self.root.shape[:-1], -1)
        return torch.linalg.solve_triangular(self.root, v, upper=False).square().sum(-2)

    @property
    def weights(self) -> Tensor:
        """E[w] in the data's units: what a unit of each feature adds to y, (D,)."""
        return self.loc.detach()[..., :-1] * self.target.deviation / self.features.deviation

    @property
    def intercept(self) -> Tensor:
        """E[y] where all features are 0."""
        centre = self.target.mean + self.target.deviation * self.loc.detach()[..., -1:]
        return (centre - (self.weights * self.features.mean).sum(-1, keepdim=True)).squeeze(-1)


def _gamma(parameters: Tensor) -> distributions.Gamma:
    """A Gamma distribution of shape and rate, (..., 2)."""
    shape, rate = parameters.unbind(-1)
    return distributions.Gamma(shape, rate, event_dims=0)


def _gamma_kl(q: Tensor, prior: tuple[float, float]) -> Tensor:
    """KL between Gamma distributions of shape and rate, (..., 2)."""
    return kl_divergence(_gamma(q), _gamma(q.new_tensor(prior)))
