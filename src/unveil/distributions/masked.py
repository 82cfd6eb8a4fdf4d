"""Missing entries, marginalised: log p(x_observed).

Of a product of factors it is the sum over observed factors; of a normal distribution with correlations it is that of
the observed entries' means and covariances.
"""

from __future__ import annotations

from abc import ABC
from functools import singledispatch

import torch
from torch import Size, Tensor
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import LowRankMultivariateNormal

from unveil.distributions.base import Distribution, Factorized, draw
from unveil.distributions.noise import Generator
from unveil.distributions.normal import LOG_2PI, MultivariateNormal
from unveil.distributions.steps import Steps


class Masked(Distribution, ABC):
    """A distribution of which some entries are not observed: ``log_prob`` leaves them out, draws are whole.

    Args:
        base: The distribution of all entries.
        mask: True where an entry is observed, broadcastable with ``base``'s shape.
    """

    def __init__(self, base: TorchDistribution, mask: Tensor) -> None:
        self.base, self.mask = base, mask
        Distribution.__init__(self, base.batch_shape, base.event_shape)  # the factors' is of another signature

    @property
    def mean(self) -> Tensor:
        """The mean of all entries."""
        return self.base.mean

    @property
    def mode(self) -> Tensor:
        """The mode of all entries."""
        return self.base.mode

    def _present(self, value: Tensor) -> Tensor:
        """The value, 0 where it is missing."""
        return torch.where(self.mask, value, torch.zeros((), dtype=value.dtype, device=value.device))

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        count = len(shape) - len(self.batch_shape) - len(self.event_shape)
        return draw(self.base, shape[:count], generator)


class MaskedFactors(Masked, Factorized):
    """A product of factors of which some are not observed."""

    base: Factorized

    def log_prob_per_dim(self, value: Tensor) -> Tensor:
        """log p_i(x_i) where observed and 0 where missing, whatever ``value`` holds there."""
        return torch.where(self.mask, self.base.log_prob_per_dim(self._present(value)), 0)


class MaskedNormal(Masked):
    """A multivariate normal of which some entries are not observed."""

    base: MultivariateNormal

    def log_prob(self, value: Tensor) -> Tensor:
        """log N(x_o; mu_o, Sigma_oo)."""
        m = self.mask.to(self.base.loc.dtype)
        beside = MultivariateNormal(m * self.base.loc, observed_root(self.base.covariance_matrix, m))
        return beside.log_prob(self._present(value)) + 0.5 * LOG_2PI * (1 - m).sum(-1)


def observed_root(covariance: Tensor, m: Tensor) -> Tensor:
    """The triangle of M Sigma M + I - M, M = diag(m): the covariance of what is observed, in its place, beside ones.

    Args:
        covariance: Sigma, (..., D, D).
        m: 1 where an entry is observed, 0 elsewhere, (..., D).
    """
    return torch.linalg.cholesky(m.unsqueeze(-1) * covariance * m.unsqueeze(-2) + torch.diag_embed(1 - m))


class MaskedSteps(Masked):
    """A sequence of which some entries are not observed."""

    base: Steps

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum over steps of each one's."""
        whole = (*self.mask.shape[: self.mask.dim() - len(self.event_shape)], *self.event_shape)
        each = self.mask.expand(whole).reshape(*whole[: len(whole) - len(self.event_shape)], *self._step)
        return Steps(masked(self.base.base, each), self.event_shape).log_prob(value)

    @property
    def _step(self) -> tuple[int, ...]:
        return (self.base.base.batch_shape[-1], *self.base.base.event_shape)


@singledispatch
def masked(base: TorchDistribution, mask: Tensor) -> Masked:
    """The distribution of which only the entries in the mask are observed.

    Args:
        base: The distribution of all entries.
        mask: True where an entry is observed, broadcastable with ``base``'s shape.

    Raises:
        TypeError: If ``base`` neither factorises over its entries nor is normal: leaving entries out would not
            marginalise them.
    """
    raise TypeError(
        f"mask: expected a likelihood that factorises over entries, or a multivariate normal, got "
        f"{type(base).__name__}, whose missing entries can't be marginalised by leaving them out"
    )


@masked.register
def _(base: Factorized, mask: Tensor) -> Masked:
    return MaskedFactors(base, mask)


@masked.register
def _(base: MultivariateNormal, mask: Tensor) -> Masked:
    return MaskedNormal(base, mask)


@masked.register
def _(base: LowRankMultivariateNormal, mask: Tensor) -> Masked:
    return MaskedNormal(MultivariateNormal(base.loc, torch.linalg.cholesky(base.covariance_matrix)), mask)


@masked.register
def _(base: Steps, mask: Tensor) -> Masked:
    return MaskedSteps(base, mask)
