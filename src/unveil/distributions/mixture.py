"""Finite mixtures, and one log-density of many points under many components.

log p(x) = log sum_k pi_k p_k(x)

A draw of a mixture of normals is differentiable, though the choice of a component is not: x is the root of T(x) = u, u
uniform, with T_i the distribution function of x_i given the entries before it (Graves 2016; Figurnov et al. 2018)::

    T_i(x) = sum_k w_ki Phi(e_ki),    w_ki ~ pi_k prod_{j<i} p_k(x_j | x_<j),    e_k = L_k^-1 (x - mu_k)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution as TorchDistribution

from unveil.distributions.base import Distribution, draw
from unveil.distributions.discrete import inverse_cdf
from unveil.distributions.implicit import differentiable_root
from unveil.distributions.noise import Generator, uniform
from unveil.distributions.normal import LOG_2PI, MultivariateNormal, Normal
from unveil.distributions.special import normal_cdf

SMALLEST_LOG = -600.0
"""The logarithm of the smallest density that a draw's gradient is divided by, in double precision."""


class Mixture(Distribution):
    """A mixture of K components, one for the whole batch or one for each of its elements.

    Args:
        log_weights: Unnormalised log pi_k, (\\*batch, K).
        components: A distribution of batch shape (\\*batch, K).
    """

    def __init__(self, log_weights: Tensor, components: TorchDistribution) -> None:
        if tuple(components.batch_shape) != tuple(log_weights.shape) or not log_weights.dim():
            raise ValueError(
                f"components: expected batch shape {tuple(log_weights.shape)}, one component per weight, got "
                f"{tuple(components.batch_shape)}"
            )
        self.log_weights = log_weights.log_softmax(-1)
        self.components = components
        super().__init__(log_weights.shape[:-1], components.event_shape)

    @property
    def mean(self) -> Tensor:
        """sum_k pi_k mu_k."""
        return self._average(self.components.mean)

    @property
    def variance(self) -> Tensor:
        """sum_k pi_k (sigma_k^2 + mu_k^2) - mean^2."""
        second = self.components.variance + self.components.mean.square()
        return self._average(second) - self.mean.square()

    def _average(self, values: Tensor) -> Tensor:
        """sum_k pi_k v_k of (\\*batch, K, \\*event)."""
        weights = self.log_weights.exp().reshape(*self.log_weights.shape, *(1,) * len(self.event_shape))
        return (weights * values).sum(len(self.batch_shape))

    def log_responsibilities(self, value: Tensor) -> Tensor:
        """log p(k | value), (\\*sample, \\*batch, K)."""
        return self._log_joint(value).log_softmax(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log sum_k pi_k p_k(value)."""
        return self._log_joint(value).logsumexp(-1)

    def _log_joint(self, value: Tensor) -> Tensor:
        if not self.batch_shape:
            return self.log_weights + pairwise_log_prob(self.components, value)
        if type(self.components) not in _WHITENED:
            return self.log_weights + _by_broadcasting(self.components, value)
        log_p = self._log_entries(value.flatten(value.dim() - len(self.event_shape)).double())[0].sum(-1)
        return self.log_weights + log_p.to(value.dtype)

    @property
    def has_rsample(self) -> bool:
        """Whether draws are differentiable: of normals, diagonal or full."""
        return type(self.components) in _WHITENED

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        lead = shape[: len(shape) - len(self.event_shape)]
        with torch.no_grad():
            k = inverse_cdf(self.log_weights.exp(), uniform(lead, self.log_weights, generator))
            x = draw(select(self.components, k), (), generator)
        return self._pathwise(x) if torch.is_grad_enabled() and self.has_rsample else x

    def _pathwise(self, x: Tensor) -> Tensor:
        """The draws as they are, with the gradients of the root of T(x) = u."""
        at = x.flatten(x.dim() - len(self.event_shape)).double().requires_grad_()
        log_p, e = self._log_entries(at)
        before = self.log_weights.double().unsqueeze(-1) + log_p.cumsum(-1) - log_p
        log_w = before.log_softmax(-2)
        reached = (log_w.exp() * normal_cdf(e)).sum(-2)
        # a draw that was rounded to where the density underflows has no gradient rather than 0 / 0
        slopes = (log_w + log_p).logsumexp(-2).clamp_min(SMALLEST_LOG).exp()
        return differentiable_root(at, reached, reached.detach(), slopes).to(x.dtype).reshape(x.shape)

    def _log_entries(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """log p_k(x_i | x_<i) of each entry given those before it, (..., K, D), of x, (..., D) in double; and e."""
        e, log_scales = _WHITENED[type(self.components)](self.components, x.unsqueeze(-2))
        return -0.5 * (e.square() + LOG_2PI) - log_scales, e


def _by_broadcasting(components: TorchDistribution, value: Tensor) -> Tensor:
    axis = value.dim() - len(components.event_shape)
    return components.log_prob(value.unsqueeze(axis))


def _of_normals(components: Normal, value: Tensor) -> Tensor:
    # The square is expanded, so that all pairs are two matrix products and no (points, components, d) array is made.
    # What cancels in the expansion would cost float32 its digits: it is done in double.
    k = components.loc.shape[0]
    loc = components.loc.reshape(k, -1).double()
    precision = components.scale.reshape(k, -1).double().square().reciprocal()
    x = value.reshape(*value.shape[: value.dim() - len(components.event_shape)], -1).double()
    constant = (loc.square() * precision - precision.log() + LOG_2PI).sum(-1)
    quadratic = x.square() @ precision.mT - 2 * x @ (loc * precision).mT
    return (-0.5 * (quadratic + constant)).to(value.dtype)


def _of_multivariate_normals(components: MultivariateNormal, value: Tensor) -> Tensor:
    # (x - mu)' P (x - mu) with P = (L L')^-1, expanded as above: <x x', P> - 2 x' P mu + mu' P mu.
    loc, lower = components.loc.double(), components.scale_tril.double()
    inverse = torch.linalg.solve_triangular(lower, torch.eye(loc.shape[-1]).to(lower).expand_as(lower), upper=False)
    precision = inverse.mT @ inverse
    shift = (precision @ loc.unsqueeze(-1)).squeeze(-1)
    x = value.double()
    squares = (x.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2)
    quadratic = squares @ precision.flatten(-2).mT - 2 * x @ shift.mT + (shift * loc).sum(-1)
    return (-0.5 * (quadratic + loc.shape[-1] * LOG_2PI) - components.log_det.double()).to(value.dtype)


def _whitened_by_scales(components: Normal, x: Tensor) -> tuple[Tensor, Tensor]:
    """e_k, (..., K, D), and the logarithms of its scales."""
    axis = len(components.batch_shape)
    loc, scale = (each.flatten(axis).double() for each in (components.loc, components.scale))
    return (x - loc) / scale, scale.log()


def _whitened_by_triangles(components: MultivariateNormal, x: Tensor) -> tuple[Tensor, Tensor]:
    tril = components.scale_tril.double()
    delta = (x - components.loc.double()).unsqueeze(-1)
    e = torch.linalg.solve_triangular(tril, delta, upper=False).squeeze(-1)
    return e, tril.diagonal(dim1=-2, dim2=-1).log()


_WHITENED: dict[type[TorchDistribution], Callable[[Any, Tensor], tuple[Tensor, Tensor]]] = {
    Normal: _whitened_by_scales,
    MultivariateNormal: _whitened_by_triangles,
}
_PAIRWISE: dict[type[TorchDistribution], Callable[[Any, Tensor], Tensor]] = {
    Normal: _of_normals,
    MultivariateNormal: _of_multivariate_normals,
}  # no singledispatch, which torch.compile can't see through


def pairwise_log_prob(components: TorchDistribution, value: Tensor) -> Tensor:
    """log p_k(value) of every value under every component.

    Args:
        components: A distribution of batch shape (K,).
        value: Points, (\\*sample, \\*event).

    Returns:
        (\\*sample, K).
    """
    return _PAIRWISE.get(type(components), _by_broadcasting)(components, value)


@singledispatch
def select(components: TorchDistribution, k: Tensor) -> TorchDistribution:
    """The distribution that has component k[...] at each place.

    Args:
        components: A distribution of batch shape (\\*batch, K).
        k: Component numbers, (\\*sample, \\*batch).

    Returns:
        A distribution of batch shape (\\*sample, \\*batch).

    Raises:
        TypeError: If components of this type can't be selected; register a method for it.
    """
    raise TypeError(
        f"components: can't draw from a mixture of {type(components).__name__}; expected a distribution registered "
        "with unveil.distributions.select"
    )


@select.register
def _(components: Normal, k: Tensor) -> Normal:
    loc, scale = (_picked(each, k, len(components.batch_shape)) for each in (components.loc, components.scale))
    return Normal(loc, scale, len(components.event_shape))


@select.register
def _(components: MultivariateNormal, k: Tensor) -> MultivariateNormal:
    axes = len(components.batch_shape)
    return MultivariateNormal(_picked(components.loc, k, axes), _picked(components.scale_tril, k, axes))


def _picked(parameter: Tensor, k: Tensor, axes: int) -> Tensor:
    """The k-th of the last of so many axes, (\\*sample, \\*batch, ...) from (\\*batch, K, ...)."""
    if axes == 1:
        return parameter[k]
    rest = parameter.shape[axes:]
    every = parameter.expand(*k.shape, *parameter.shape[axes - 1 :])
    index = k.reshape(*k.shape, 1, *(1,) * len(rest)).expand(*k.shape, 1, *rest)
    return every.gather(k.dim(), index).squeeze(k.dim())
