"""Distributions of any real number; the normal and the logistic have files of their own."""

from __future__ import annotations

import math

import torch
from torch import Size, Tensor
from torch import distributions as td

from unveil.distributions.noise import Generator, log_gamma_noise, normal
from unveil.distributions.special import student_cdf
from unveil.distributions.univariate import Factors, root

REAL = (-709.0, 709.0)
"""Hyperbolic areas, asinh, of the largest numbers in double precision."""


class Laplace(Factors):
    """f(x) = exp(-|x - m| / s) / (2 s); x = m - s sign(u - 1/2) log(1 - 2 |u - 1/2|).

    Args:
        loc: m, (\\*batch, \\*event).
        scale: s > 0, broadcastable with ``loc``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, loc: Tensor, scale: Tensor, event_dims: int = 1) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        super().__init__(td.Laplace(self.loc, self.scale, validate_args=False), event_dims)

    def _cdf(self, x: Tensor) -> Tensor:
        a = (x - self.loc) / self.scale
        tail = 0.5 * (-a.abs()).exp()
        return torch.where(a < 0, tail, 1 - tail)

    def _icdf(self, u: Tensor) -> Tensor:
        tail = (2 * torch.minimum(u, 1 - u)).log()
        return self.loc + self.scale * torch.where(u < 0.5, tail, -tail)


class Cauchy(Factors):
    """f(x) = 1 / (pi s (1 + ((x - m) / s)^2)); x = m + s tan(pi (u - 1/2)). It has no mean.

    Args:
        loc: m, (\\*batch, \\*event).
        scale: s > 0, broadcastable with ``loc``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, loc: Tensor, scale: Tensor, event_dims: int = 1) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        super().__init__(td.Cauchy(self.loc, self.scale, validate_args=False), event_dims)

    def _cdf(self, x: Tensor) -> Tensor:
        return torch.atan2(self.scale, self.loc - x) / math.pi  # keeps its digits in the lower tail

    def _icdf(self, u: Tensor) -> Tensor:
        upper = u > 0.5
        distance = 1 / (math.pi * torch.where(upper, 1 - u, u)).tan()  # near 0, where tan(pi (u - 1/2)) would cancel
        return self.loc + self.scale * torch.where(upper, distance, -distance)


class Gumbel(Factors):
    """F(x) = exp(-exp(-(x - m) / s)), the limit of a largest value; x = m - s log(-log u).

    Args:
        loc: m, (\\*batch, \\*event).
        scale: s > 0, broadcastable with ``loc``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, loc: Tensor, scale: Tensor, event_dims: int = 1) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        super().__init__(td.Gumbel(self.loc, self.scale, validate_args=False), event_dims)

    def _log_density(self, x: Tensor) -> Tensor:
        a = (x - self.loc) / self.scale
        return torch.where(a > -torch.inf, -a - (-a).exp() - self.scale.log(), -torch.inf)

    def _cdf(self, x: Tensor) -> Tensor:
        return (-((self.loc - x) / self.scale).exp()).exp()

    def _icdf(self, u: Tensor) -> Tensor:
        return self.loc - self.scale * (-u.log()).log()


class StudentT(Factors):
    """f(x) = (1 + a^2 / n)^(-(n + 1) / 2) / (s sqrt(n) B(1/2, n/2)), a = (x - m) / s.

    Args:
        df: n > 0, the degrees of freedom, (\\*batch, \\*event).
        loc: m, broadcastable with ``df``.
        scale: s > 0, broadcastable with ``df``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, df: Tensor, loc: Tensor, scale: Tensor, event_dims: int = 1) -> None:
        self.df, self.loc, self.scale = torch.broadcast_tensors(df, loc, scale)
        super().__init__(td.StudentT(self.df, self.loc, self.scale, validate_args=False), event_dims)

    def _cdf(self, x: Tensor) -> Tensor:
        return student_cdf((x - self.loc) / self.scale, self.df)

    def _icdf(self, u: Tensor) -> Tensor:
        return self.loc + self.scale * root(self._standard, u, torch.sinh, REAL)

    @property
    def _standard(self) -> StudentT:
        return StudentT(self.df, torch.zeros_like(self.df), torch.ones_like(self.df), len(self.event_shape))

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        log_chi2 = log_gamma_noise(self.df / 2, shape, generator) + math.log(2)
        return self.loc + self.scale * normal(shape, self.loc, generator) * (0.5 * (self.df.log() - log_chi2)).exp()
