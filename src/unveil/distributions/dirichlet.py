"""Distributions on the simplex, and counts drawn from it."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import register_kl

from unveil.distributions.base import Distribution
from unveil.distributions.discrete import inverse_cdf
from unveil.distributions.noise import Generator, log_gamma_noise, uniform


def dirichlet_log(alpha: Tensor) -> Tensor:
    """E[log p_k] under Dirichlet(alpha), psi(alpha_k) - psi(sum alpha), shaped like alpha."""
    return torch.digamma(alpha) - torch.digamma(alpha.sum(-1, keepdim=True))


def dirichlet_kl(alpha: Tensor, prior: Tensor) -> Tensor:
    """KL(Dirichlet(alpha) || Dirichlet(prior)) over the last axis.

    log B(prior) - log B(alpha) + sum_k (alpha_k - prior_k) (psi(alpha_k) - psi(sum alpha)), B the normaliser.
    """
    return log_beta_of(prior) - log_beta_of(alpha) + ((alpha - prior) * dirichlet_log(alpha)).sum(-1)


def log_beta_of(alpha: Tensor) -> Tensor:
    """log B(alpha) = sum_k log Gamma(alpha_k) - log Gamma(sum alpha)."""
    return torch.lgamma(alpha).sum(-1) - torch.lgamma(alpha.sum(-1))


class Dirichlet(Distribution):
    """f(p) = prod_k p_k^(alpha_k - 1) / B(alpha) on the simplex, with respect to its first K - 1 coordinates.

    A draw is Gamma noise, *normalised*: p_k = g_k / sum g, g_k ~ Gamma(alpha_k, 1).

    Args:
        concentration: alpha > 0, (\\*batch, K).

    Example:
        >>> Dirichlet(torch.ones(3)).log_prob(torch.tensor([0.2, 0.3, 0.5])).exp().round(decimals=4)
        tensor(2.)
    """

    has_rsample = True

    def __init__(self, concentration: Tensor) -> None:
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:])

    @property
    def mean(self) -> Tensor:
        """alpha_k / sum alpha."""
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def variance(self) -> Tensor:
        """m_k (1 - m_k) / (1 + sum alpha), m the mean."""
        mean = self.mean
        return mean * (1 - mean) / (1 + self.concentration.sum(-1, keepdim=True))

    @property
    def mode(self) -> Tensor:
        """(alpha_k - 1) / (sum alpha - K) where all alpha > 1; the mean elsewhere, since the density has no maximum."""
        above = self.concentration - 1
        inside = (above > 0).all(-1, keepdim=True)
        return torch.where(inside, above / above.sum(-1, keepdim=True), self.mean)

    def log_prob(self, value: Tensor) -> Tensor:
        """sum_k (alpha_k - 1) log p_k - log B(alpha), in nats."""
        return torch.special.xlogy(self.concentration - 1, value).sum(-1) - log_beta_of(self.concentration)

    def entropy(self) -> Tensor:
        """log B(alpha) - sum_k (alpha_k - 1) E[log p_k], in nats."""
        return log_beta_of(self.concentration) - ((self.concentration - 1) * dirichlet_log(self.concentration)).sum(-1)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        p = log_gamma_noise(self.concentration, shape, generator).softmax(-1)
        return p.clamp_min(torch.finfo(p.dtype).tiny)  # a share rounded to 0 would have an infinite density


@register_kl(Dirichlet, Dirichlet)
def _(q: Dirichlet, p: Dirichlet) -> Tensor:
    return dirichlet_kl(q.concentration, p.concentration)


class Multinomial(Distribution):
    """How often each of V outcomes comes among n draws: n! prod_v p_v^x_v / x_v!.

    Args:
        total: n, (\\*batch).
        log_p: Normalised log p_v, (\\*batch, V).
    """

    def __init__(self, total: Tensor, log_p: Tensor) -> None:
        batch = torch.broadcast_shapes(total.shape, log_p.shape[:-1])
        self.total, self.log_p = total.expand(batch), log_p.expand(*batch, -1)
        super().__init__(batch, log_p.shape[-1:])

    @property
    def mean(self) -> Tensor:
        """n p_v."""
        return self.total.unsqueeze(-1) * self.log_p.exp()

    @property
    def variance(self) -> Tensor:
        """n p_v (1 - p_v)."""
        p = self.log_p.exp()
        return self.total.unsqueeze(-1) * p * (1 - p)

    def log_prob(self, value: Tensor) -> Tensor:
        """log n! - sum_v log x_v! + sum_v x_v log p_v; -inf where the counts don't add up to n."""
        value = value.to(self.log_p.dtype)
        kept = torch.where(value > 0, value * self.log_p, 0)
        log_p = multinomial_coefficient(value) + kept.sum(-1)
        return torch.where(value.sum(-1) == self.total, log_p, -torch.inf)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        most = int(self.total.max().item()) if self.total.numel() else 0
        u = uniform(Size((*shape[:-1], most)), self.log_p, generator)
        which = inverse_cdf(self.log_p.exp().unsqueeze(-2), u)
        counted = (torch.arange(most, device=u.device) < self.total.unsqueeze(-1)).expand_as(which)
        zeros = torch.zeros(shape, dtype=self.log_p.dtype, device=u.device)
        return zeros.scatter_add_(-1, which, counted.to(zeros.dtype))


def multinomial_coefficient(counts: Tensor) -> Tensor:
    """log (n! / prod_v x_v!) of counts, (..., V)."""
    return torch.lgamma(counts.sum(-1) + 1) - torch.lgamma(counts + 1).sum(-1)
