"""Closed-form Kullback-Leibler divergences, registered with torch.

KL(q || p) = E_q[log q(x) - log p(x)], in nats.
"""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import kl_divergence, register_kl

from unveil.distributions.base import sum_rightmost
from unveil.distributions.bounded import Reciprocal
from unveil.distributions.coded import Coded
from unveil.distributions.discrete import Bernoulli, Categorical, OneHotCategorical
from unveil.distributions.markov import MarkovChain
from unveil.distributions.normal import MultivariateNormal, Normal
from unveil.distributions.positive import EULER, Rayleigh, Weibull
from unveil.distributions.univariate import Factors


def closed_form_kl(q: TorchDistribution, p: TorchDistribution) -> Tensor | None:
    """KL(q || p) per batch element in nats, or None where no closed form is registered."""
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


@singledispatch
def kl_per_dim(q: TorchDistribution, p: TorchDistribution) -> Tensor | None:
    """KL(q_i || p_i) of each factor, (\\*batch, \\*event); None where q or p is not a product of such factors."""
    return None


@kl_per_dim.register
def _(q: Normal, p: TorchDistribution) -> Tensor | None:
    # log(sigma_p / sigma_q) + (sigma_q^2 + (mu_q - mu_p)^2) / (2 sigma_p^2) - 1/2
    if not isinstance(p, Normal):
        return None
    shift, ratio = (q.loc - p.loc) / p.scale, q.scale / p.scale
    return 0.5 * (ratio.square() + shift.square() - 1) - ratio.log()


@kl_per_dim.register
def _(q: Bernoulli, p: TorchDistribution) -> Tensor | None:
    if not isinstance(p, Bernoulli):
        return None
    ones, zeros = torch.nn.functional.logsigmoid, lambda logits: torch.nn.functional.logsigmoid(-logits)
    return q.mean * (ones(q.logits) - ones(p.logits)) + (1 - q.mean) * (zeros(q.logits) - zeros(p.logits))


@kl_per_dim.register
def _(q: Categorical, p: TorchDistribution) -> Tensor | None:
    return between_logits(q.logits, p.logits) if isinstance(p, Categorical) else None


@kl_per_dim.register
def _(q: OneHotCategorical, p: TorchDistribution) -> Tensor | None:
    return between_logits(q.logits, p.logits) if isinstance(p, OneHotCategorical) else None


@kl_per_dim.register
def _(q: Factors, p: TorchDistribution) -> Tensor | None:
    return closed_form_kl(q.base, p.base) if isinstance(p, Factors) and type(q.base) is type(p.base) else None


@kl_per_dim.register
def _(q: Weibull, p: TorchDistribution) -> Tensor | None:
    # with k the concentrations and s the scales: E[(x / s_p)^k_p] = (s_q / s_p)^k_p Gamma(1 + k_p / k_q)
    if not isinstance(p, Weibull):
        return None
    k, ratio = p.concentration / q.concentration, (q.scale / p.scale).log()
    mean_log = -EULER / q.concentration  # E[log(x / s_q)]
    log_ratio = -k.log() + (q.concentration - p.concentration) * mean_log - p.concentration * ratio
    return log_ratio - 1 + (p.concentration * ratio + torch.lgamma(1 + k)).exp()


@kl_per_dim.register
def _(q: Rayleigh, p: TorchDistribution) -> Tensor | None:
    if not isinstance(p, Rayleigh):
        return None
    ratio = (q.scale / p.scale).square()
    return ratio - 1 - ratio.log()


@kl_per_dim.register
def _(q: Reciprocal, p: TorchDistribution) -> Tensor | None:
    if not isinstance(p, Reciprocal):
        return None
    inside = torch.as_tensor((q.low >= p.low) & (q.high <= p.high))
    return torch.where(inside, p.log_ratio.log() - q.log_ratio.log(), torch.inf)


def between_logits(q: Tensor, p: Tensor) -> Tensor:
    """sum_l q_l (log q_l - log p_l) of normalised logits, (..., L); 0 log 0 = 0."""
    # the difference is masked, not the product: a masked 0 * inf would still have a gradient of nan
    return (q.exp() * torch.where(q > -torch.inf, q - p, 0)).sum(-1)


def _summed(q: TorchDistribution, p: TorchDistribution, axes: int) -> Tensor:
    per_dim = kl_per_dim(q, p)
    if per_dim is None:
        raise NotImplementedError
    return sum_rightmost(per_dim, axes)


@register_kl(Normal, Normal)
@register_kl(Factors, Factors)
@register_kl(Rayleigh, Rayleigh)
@register_kl(Reciprocal, Reciprocal)
@register_kl(Bernoulli, Bernoulli)
@register_kl(Categorical, Categorical)
def _factorized(q: TorchDistribution, p: TorchDistribution) -> Tensor:
    return _summed(q, p, len(q.event_shape))


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(q: OneHotCategorical, p: OneHotCategorical) -> Tensor:
    return _summed(q, p, len(q.event_shape) - 1)


@register_kl(Coded, Coded)
def _coded(q: Coded, p: Coded) -> Tensor:
    return kl_divergence(q.codes, p.codes)


@register_kl(MarkovChain, MarkovChain)
def _chains(q: MarkovChain, p: MarkovChain) -> Tensor:
    # KL of the first states, and of each transition, averaged over the states that q is in
    weight = q.marginals()[..., :-1, :].exp()
    after = between_logits(q.log_transitions, p.log_transitions).masked_fill(weight == 0, 0)  # q is never there
    return between_logits(q.log_initial, p.log_initial) + (weight * after).sum((-2, -1))


@register_kl(MultivariateNormal, Normal)
def _full_from_diagonal(q: MultivariateNormal, p: Normal) -> Tensor:
    variance = ((q.variance + (q.loc - p.loc).square()) / p.variance).sum(-1)
    return 0.5 * (variance - q.loc.shape[-1]) + p.scale.log().sum(-1) - q.log_det


@register_kl(MultivariateNormal, MultivariateNormal)
def _full(q: MultivariateNormal, p: MultivariateNormal) -> Tensor:
    shape = torch.broadcast_shapes(q.scale_tril.shape, p.scale_tril.shape)
    lower = p.scale_tril.expand(shape)
    spread = torch.linalg.solve_triangular(lower, q.scale_tril.expand(shape), upper=False)
    shift = torch.linalg.solve_triangular(lower, (q.loc - p.loc).unsqueeze(-1).expand(*shape[:-1], 1), upper=False)
    square = spread.square().sum((-2, -1)) + shift.square().sum((-2, -1))
    return 0.5 * (square - q.loc.shape[-1]) + p.log_det - q.log_det
