"""Elliptical distributions: x = m + R A u, u uniform on the unit sphere of d dimensions, R >= 0 its distance.

With s = |A^-1 (x - m)|^2 the density is g(s) / |det A|, g the generator that the law of R makes. A draw is pathwise in
m, A and the parameters of R.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Size, Tensor

from unveil.distributions.noise import Generator, log_gamma_noise, normal
from unveil.distributions.normal import LOG_2PI, Triangle


class Radius(ABC):
    """The law of R.

    Args:
        dim: d.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    @abstractmethod
    def log_generator(self, s: Tensor) -> Tensor:
        """log g(s), the log-density at squared distance s where A is the identity."""

    @abstractmethod
    def draw(self, shape: Size, like: Tensor, generator: Generator) -> Tensor:
        """R, pathwise."""

    @property
    @abstractmethod
    def second_moment(self) -> Tensor:
        """E[R^2]; infinite or NaN where there is none."""

    @abstractmethod
    def entropy(self) -> Tensor:
        """-E[log g(R^2)], in nats."""


class NormalRadius(Radius):
    """R^2 chi-squared of d degrees of freedom: the multivariate normal."""

    def log_generator(self, s: Tensor) -> Tensor:
        """-s / 2 - d/2 log(2 pi)."""
        return -0.5 * (s + self.dim * LOG_2PI)

    def draw(self, shape: Size, like: Tensor, generator: Generator) -> Tensor:
        """sqrt(2 G(d / 2))."""
        half = torch.full_like(like, 0.5 * self.dim)
        return (0.5 * (math.log(2) + log_gamma_noise(half, shape, generator))).exp()

    @property
    def second_moment(self) -> Tensor:
        """d."""
        return torch.tensor(float(self.dim))

    def entropy(self) -> Tensor:
        """d/2 log(2 pi e)."""
        return torch.tensor(0.5 * self.dim * (1 + LOG_2PI))


class StudentRadius(Radius):
    """R^2 / d of an F distribution of d and n degrees of freedom: the multivariate t, for n = 1 the Cauchy.

    Args:
        dim: d.
        df: n > 0, () or the batch shape.
    """

    def __init__(self, dim: int, df: Tensor | float = 1.0) -> None:
        super().__init__(dim)
        self.df = torch.as_tensor(df)

    def log_generator(self, s: Tensor) -> Tensor:
        """log Gamma((n + d)/2) - log Gamma(n/2) - d/2 log(n pi) - (n + d)/2 log(1 + s/n)."""
        return self._log_at_zero - 0.5 * (self.df + self.dim) * (s / self.df).log1p()

    def draw(self, shape: Size, like: Tensor, generator: Generator) -> Tensor:
        """sqrt(n G(d/2) / G(n/2))."""
        above, below = torch.full_like(like, 0.5 * self.dim), (0.5 * self.df).to(like).expand(like.shape)
        log_ratio = log_gamma_noise(above, shape, generator) - log_gamma_noise(below, shape, generator)
        return (0.5 * (self.df.log() + log_ratio)).exp()

    @property
    def second_moment(self) -> Tensor:
        """d n / (n - 2) for n > 2, infinite below."""
        return torch.where(self.df > 2, self.dim * self.df / (self.df - 2), torch.inf)

    def entropy(self) -> Tensor:
        """-log g(0) + (n + d)/2 (psi((n + d)/2) - psi(n/2))."""
        both = 0.5 * (self.df + self.dim)
        return both * (torch.digamma(both) - torch.digamma(0.5 * self.df)) - self._log_at_zero

    @property
    def _log_at_zero(self) -> Tensor:
        half = 0.5 * self.df
        return torch.lgamma(half + 0.5 * self.dim) - torch.lgamma(half) - 0.5 * self.dim * (math.pi * self.df).log()


class PowerRadius(Radius):
    """R^b / 2 of a Gamma(d / b, 1) distribution: the power exponential, exp(-R^b / 2); for b = 1 the Laplace.

    Args:
        dim: d.
        exponent: b > 0, () or the batch shape; 2 is the normal.
    """

    def __init__(self, dim: int, exponent: Tensor | float = 1.0) -> None:
        super().__init__(dim)
        self.exponent = torch.as_tensor(exponent)

    def log_generator(self, s: Tensor) -> Tensor:
        """-s^(b/2) / 2 + log(b Gamma(d/2) / (2 pi^(d/2) 2^(d/b) Gamma(d/b)))."""
        positive = torch.where(s > 0, s, torch.finfo(s.dtype).tiny)  # the slope of 0^b is infinite
        return self._log_at_zero - 0.5 * positive ** (0.5 * self.exponent)

    def draw(self, shape: Size, like: Tensor, generator: Generator) -> Tensor:
        """(2 G(d / b))^(1 / b)."""
        shape_parameter = (self.dim / self.exponent).to(like).expand(like.shape)
        return ((math.log(2) + log_gamma_noise(shape_parameter, shape, generator)) / self.exponent).exp()

    @property
    def second_moment(self) -> Tensor:
        """2^(2/b) Gamma((d + 2)/b) / Gamma(d/b)."""
        b = self.exponent
        return (2 / b * math.log(2) + torch.lgamma((self.dim + 2) / b) - torch.lgamma(self.dim / b)).exp()

    def entropy(self) -> Tensor:
        """d / b - log g(0)."""
        return self.dim / self.exponent - self._log_at_zero

    @property
    def _log_at_zero(self) -> Tensor:
        shape, d = self.dim / self.exponent, self.dim
        log_sphere = math.log(2) + 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d)
        return self.exponent.log() - shape * math.log(2) - torch.lgamma(shape) - log_sphere


RadiusFactory = Callable[[int], Radius]
"""Makes the law of R from d: a class, or functools.partial of one."""


class Elliptical(Triangle):
    """x = m + R A u.

    Args:
        loc: m, (\\*batch, d).
        scale_tril: A, lower triangular with a positive diagonal, (\\*batch, d, d).
        radius: Makes the law of R: ``NormalRadius``, ``partial(StudentRadius, df=3)``, ``PowerRadius``, or your own.

    Example:
        >>> from functools import partial
        >>> p = Elliptical(torch.zeros(2), torch.eye(2), partial(StudentRadius, df=3.0))
        >>> p.log_prob(torch.zeros(5, 2)).shape
        torch.Size([5])
    """

    def __init__(self, loc: Tensor, scale_tril: Tensor, radius: RadiusFactory = NormalRadius) -> None:
        super().__init__(loc, scale_tril)
        self.radius = radius(loc.shape[-1])

    @property
    def variance(self) -> Tensor:
        """The diagonal of E[R^2] / d A A'."""
        spread = (self.radius.second_moment / self.radius.dim).to(self.loc)
        return spread.unsqueeze(-1) * self.scale_tril.square().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log g(|A^-1 (x - m)|^2) - log |det A|, in nats."""
        return self.radius.log_generator(self.whitened(value).square().sum(-1)) - self.log_det

    def entropy(self) -> Tensor:
        """-E[log g(R^2)] + log |det A|, (\\*batch,) in nats."""
        return self.radius.entropy().to(self.loc) + self.log_det

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        direction = normal(shape, self.loc, generator)
        direction = direction / direction.norm(dim=-1, keepdim=True)
        r = self.radius.draw(shape[:-1], self.loc[..., 0], generator).unsqueeze(-1)
        return self.loc + r * (self.scale_tril * direction.unsqueeze(-2)).sum(-1)
