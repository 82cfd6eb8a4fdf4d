"""Bounds on log p(x), and weighted relatives that are none.

With D the distortion E_q[-log p(x | z)] and R the rate KL(q(z | x) || p(z)) of one example::

    ELBO = -D - R                      beta-VAE = -D - beta R
    IWAE_K = E log 1/K sum_k w_k       w_k = p(x, z_k) / q(z_k | x)
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from unveil.distributions import Generator, kl_per_dim
from unveil.models import Enumerate, FromPrior, Source, Trace
from unveil.models.term import Term
from unveil.objectives.base import Objective
from unveil.objectives.schedules import Schedule, schedule


class ELBO(Objective):
    """The evidence lower bound, E_q[log p(x | z)] - KL(q(z | x) || p(z)) <= log p(x).

    Args:
        particles: The number K of draws that the expectation is averaged over.
        closed_form: Whether to use the KL's closed form where there is one, which has less variance in most places;
            the sample of log q - log p otherwise.
    """

    def __init__(self, particles: int = 1, *, closed_form: bool = True) -> None:
        super().__init__(particles)
        self.closed_form = closed_form
        self.linear_in_log_q = not closed_form

    @property
    def validation(self) -> Objective:
        """Itself."""
        return self

    def forward(self, trace: Trace) -> Tensor:
        """-D - R, (B,)."""
        return trace.expectation(trace.log_likelihood - trace.rate(closed_form=self.closed_form))


class SummedELBO(ELBO):
    """The ELBO of finite latent variables, its expectation a sum over all their values: no Monte Carlo error.

    Args:
        levels: The number of values of each latent variable, in the order of the walk: ``{"z": 10}``; by default as
            many as the model has, which takes a walk over an example more.
    """

    def __init__(self, levels: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.levels = None if levels is None else dict(levels)

    def sources(self, generator: Generator, *, pathwise: bool) -> tuple[Source, ...]:
        """Every value, weighted by q."""
        return (Enumerate(self.levels, exact=False),)


class BetaELBO(Objective):
    """-D - beta R: the beta-VAE's objective (Higgins et al. 2017); a lower bound on log p(x) for beta >= 1.

    Args:
        beta: The price of a nat of rate: a number, or a schedule (KL warm-up).
        particles: The number K of draws that the expectation is averaged over.
        closed_form: Whether to use the KL's closed form where there is one.
    """

    def __init__(self, beta: float | Schedule = 1.0, particles: int = 1, *, closed_form: bool = True) -> None:
        super().__init__(particles)
        self.beta = schedule(beta, "beta")
        self.closed_form = closed_form
        self.linear_in_log_q = not closed_form

    @property
    def validation(self) -> ELBO:
        """The ELBO: beta = 1, whatever the training's is."""
        return ELBO(self.particles, closed_form=self.closed_form)

    def forward(self, trace: Trace) -> Tensor:
        """-D - beta R, (B,)."""
        return trace.expectation(trace.log_likelihood - self.beta() * trace.rate(closed_form=self.closed_form))


class FreeBits(Objective):
    """The ELBO in which a group's rate costs nothing below ``nats`` (Kingma et al. 2016).

    sum_j max(nats, mean over the batch of R_j), with one group per latent dimension where q and p factorise alike, one
    per latent variable otherwise. It is no bound. Several processes that train together take the means of
    their own rows.

    Args:
        nats: The free rate of a group.
        per_dimension: Whether a group is a dimension rather than a whole variable.
        particles: The number K of draws.
    """

    def __init__(self, nats: float = 0.1, *, per_dimension: bool = True, particles: int = 1) -> None:
        super().__init__(particles)
        if not nats >= 0:
            raise ValueError(f"nats: expected a free rate of at least 0, got {nats}")
        self.nats, self.per_dimension = nats, per_dimension

    def forward(self, trace: Trace) -> Tensor:
        """-D - sum_j R_j where the batch's mean R_j is above ``nats``, and -D - nats per group elsewhere, (B,)."""
        value = trace.expectation(trace.log_likelihood)
        for term in trace.codes:
            value = value - self._clamped(trace, term)
        return value

    def _clamped(self, trace: Trace, term: Term) -> Tensor:
        per_example = trace.expectation(self._groups(term))
        priced = per_example.mean(0, keepdim=True) > self.nats
        return torch.where(priced, per_example, self.nats).sum(-1)

    def _groups(self, term: Term) -> Tensor:
        """The rates of the term's groups, (K, B, groups)."""
        q, p = term.q, term.p
        dims = None if q is None or p is None or term.kl is None else kl_per_dim(q, p)
        if dims is None or q is None or p is None or not self.per_dimension:
            return term.rate().unsqueeze(-1)
        factors = dims.shape[max(len(q.batch_shape), len(p.batch_shape)) :]
        rates = dims.expand(*term.shape, *factors).reshape(*term.shape, -1)
        return rates if term.weight is None else term.weight.unsqueeze(-1) * rates


class IWAE(Objective):
    """The importance-weighted bound, E log 1/K sum_k p(x, z_k) / q(z_k | x) <= log p(x) (Burda et al. 2016).

    Args:
        particles: K; with K = 1 it is the ELBO.
    """

    function_of_log_w = True

    def __init__(self, particles: int = 5) -> None:
        super().__init__(particles)
        self.linear_in_log_q = particles == 1

    @property
    def validation(self) -> Objective:
        """Itself, a bound as it is."""
        return self

    def forward(self, trace: Trace) -> Tensor:
        """log 1/K sum_k w_k, (B,)."""
        return trace.log_mean_exp(trace.log_w)


class Hybrid(Objective):
    """alpha CVAE + (1 - alpha) GSNN (Sohn et al. 2015): the ELBO, and the likelihood under z from the prior net.

    Both are lower bounds on log p(x | c), so their mixture is one too.

    Args:
        alpha: The CVAE's share, in [0, 1].
        particles: The number K of draws of each.
        closed_form: Whether to use the KL's closed form where there is one.
    """

    def __init__(self, alpha: float = 0.5, particles: int = 1, *, closed_form: bool = True) -> None:
        super().__init__(particles)
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha: expected the CVAE's share in [0, 1], got {alpha}")
        self.alpha, self.closed_form = alpha, closed_form

    def sources(self, generator: Generator, *, pathwise: bool) -> tuple[Source, ...]:
        """A trace from q and one from the prior."""
        prior = FromPrior(self.particles, generator, pathwise=pathwise)
        return (*super().sources(generator, pathwise=pathwise), prior)

    @property
    def validation(self) -> Objective:
        """Itself: a mixture of two bounds."""
        return self

    def forward(self, cvae: Trace, gsnn: Trace) -> Tensor:
        """alpha (-D - R) - (1 - alpha) D', (B,)."""
        elbo = cvae.expectation(cvae.log_likelihood - cvae.rate(closed_form=self.closed_form))
        return self.alpha * elbo + (1 - self.alpha) * gsnn.expectation(gsnn.log_likelihood)
