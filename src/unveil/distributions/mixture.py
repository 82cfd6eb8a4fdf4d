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


class Mixture(Distribution):
    """A mixture of K components that is shared by the whole batch.

    Args:
        log_weights: Unnormalised log pi_k, (K,).
        components: A distribution of batch shape (K,).
    """

    def __init__(self, log_weights: Tensor, components: TorchDistribution) -> None:
        if tuple(components.batch_shape) != tuple(log_weights.shape) or log_weights.dim() != 1:
            raise ValueError(
                f"components: expected batch shape {tuple(log_weights.shape)}, one component per weight, got "
                f"{tuple(components.batch_shape)}"
            )
        self.log_weights = log_weights.log_softmax(0)
        self.components = components
        super().__init__(Size(), components.event_shape)

    @property
    def mean(self) -> Tensor:
        """sum_k pi_k mu_k."""
        return torch.tensordot(self.log_weights.exp(), self.components.mean, dims=1)

    @property
    def variance(self) -> Tensor:
        """sum_k pi_k (sigma_k^2 + mu_k^2) - mean^2."""
        second = self.components.variance + self.components.mean.square()
        return torch.tensordot(self.log_weights.exp(), second, dims=1) - self.mean.square()

    def log_responsibilities(self, value: Tensor) -> Tensor:
        """log p(k | value), (\\*sample, K)."""
        return self._log_joint(value).log_softmax(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log sum_k pi_k p_k(value)."""
        return self._log_joint(value).logsumexp(-1)

    def _log_joint(self, value: Tensor) -> Tensor:
        return self.log_weights + pairwise_log_prob(self.components, value)

    @property
    def has_rsample(self) -> bool:
        """Whether draws are differentiable: of normals, diagonal or full."""
        return type(self.components) in _WHITENED

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        sample_shape = shape[: len(shape) - len(self.event_shape)]
        with torch.no_grad():
            k = inverse_cdf(self.log_weights.exp(), uniform(sample_shape, self.log_weights, generator))
            x = draw(select(self.components, k), (), generator)
        return self._pathwise(x) if torch.is_grad_enabled() and self.has_rsample else x

    def _pathwise(self, x: Tensor) -> Tensor:
        """The draws as they are, with the gradients of the root of T(x) = u."""
        at = x.flatten(x.dim() - len(self.event_shape)).double().requires_grad_()
        e, log_scales = _WHITENED[type(self.components)](self.components, at.unsqueeze(-2))
        log_p = -0.5 * (e.square() + LOG_2PI) - log_scales  # of each entry given those before it, (..., K, D)
        before = self.log_weights.double().unsqueeze(-1) + log_p.cumsum(-1) - log_p
        log_w = before.log_softmax(-2)
        reached = (log_w.exp() * normal_cdf(e)).sum(-2)
        slopes = (log_w + log_p).logsumexp(-2).exp()
        return differentiable_root(at, reached, reached.detach(), slopes).to(x.dtype).reshape(x.shape)


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
    loc, scale = (each.flatten(1).double() for each in (components.loc, components.scale))
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
        components: A distribution of batch shape (K,).
        k: Component numbers, (\\*batch,).

    Returns:
        A distribution of batch shape (\\*batch,).

    Raises:
        TypeError: If components of this type can't be selected; register a method for it.
    """
    raise TypeError(
        f"components: can't draw from a mixture of {type(components).__name__}; expected a distribution registered "
        "with unveil.distributions.select"
    )


@select.register
def _(components: Normal, k: Tensor) -> Normal:
    return Normal(components.loc[k], components.scale[k], len(components.event_shape))


@select.register
def _(components: MultivariateNormal, k: Tensor) -> MultivariateNormal:
    return MultivariateNormal(components.loc[k], components.scale_tril[k])
