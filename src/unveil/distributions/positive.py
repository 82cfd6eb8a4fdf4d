"""Distributions of positive numbers."""

from __future__ import annotations

import math

import torch
from torch import Size, Tensor
from torch import distributions as td

from unveil.distributions.noise import Generator, log_gamma_noise, open_uniform
from unveil.distributions.normal import LOG_2PI
from unveil.distributions.quadrature import expectation
from unveil.distributions.special import beta_cdf, gamma_cdf, log_beta, normal_cdf
from unveil.distributions.univariate import Factors, Univariate, root

EULER = 0.57721566490153286
"""Euler's constant."""
POSITIVE = (-745.0, 709.0)
"""The logarithms of the smallest and the largest number in double precision."""


class Exponential(Factors):
    """f(x) = r e^(-r x) for x >= 0; x = -log(1 - u) / r.

    Args:
        rate: r > 0, (\\*batch, \\*event).
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, rate: Tensor, event_dims: int = 1) -> None:
        self.rate = rate
        super().__init__(td.Exponential(rate, validate_args=False), event_dims, low=0.0)

    def _cdf(self, x: Tensor) -> Tensor:
        return -torch.expm1(-self.rate * x)  # 1 - e^(-r x) would cancel near 0

    def _icdf(self, u: Tensor) -> Tensor:
        return -(-u).log1p() / self.rate


class Weibull(Factors):
    """F(x) = 1 - exp(-(x / s)^k) for x >= 0; x = s (-log(1 - u))^(1 / k).

    Args:
        scale: s > 0, (\\*batch, \\*event).
        concentration: k > 0, broadcastable with ``scale``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, scale: Tensor, concentration: Tensor, event_dims: int = 1) -> None:
        self.scale, self.concentration = torch.broadcast_tensors(scale, concentration)
        super().__init__(td.Weibull(self.scale, self.concentration, validate_args=False), event_dims, low=0.0)

    @property
    def mode(self) -> Tensor:
        """s ((k - 1) / k)^(1 / k), 0 for k <= 1."""
        k = self.concentration
        return self.scale * ((k - 1) / k).clamp_min(0) ** (1 / k)

    def _log_density(self, x: Tensor) -> Tensor:
        k, ratio = self.concentration, x / self.scale
        return (k / self.scale).log() + torch.special.xlogy(k - 1, ratio) - ratio**k

    def _cdf(self, x: Tensor) -> Tensor:
        return -torch.expm1(-((x / self.scale) ** self.concentration))

    def _icdf(self, u: Tensor) -> Tensor:
        return self.scale * (-(-u).log1p()) ** (1 / self.concentration)


class Rayleigh(Univariate):
    """f(x) = x / s^2 exp(-x^2 / (2 s^2)) for x >= 0, the length of a vector of two normals of deviation s.

    Args:
        scale: s > 0, (\\*batch, \\*event).
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, scale: Tensor, event_dims: int = 1) -> None:
        self.scale = scale
        super().__init__(scale, event_dims, low=0.0)

    @property
    def mean(self) -> Tensor:
        """s sqrt(pi / 2)."""
        return self.scale * math.sqrt(math.pi / 2)

    @property
    def variance(self) -> Tensor:
        """(2 - pi / 2) s^2."""
        return (2 - math.pi / 2) * self.scale.square()

    @property
    def mode(self) -> Tensor:
        """s."""
        return self.scale

    def entropy_per_dim(self) -> Tensor:
        """1 + log(s / sqrt 2) + gamma / 2, gamma Euler's constant."""
        return 1 + (self.scale / math.sqrt(2)).log() + EULER / 2

    def _log_density(self, x: Tensor) -> Tensor:
        return x.log() - 2 * self.scale.log() - 0.5 * (x / self.scale).square()

    def _cdf(self, x: Tensor) -> Tensor:
        return -torch.expm1(-0.5 * (x / self.scale).square())

    def _icdf(self, u: Tensor) -> Tensor:
        return self.scale * (-2 * (-u).log1p()).sqrt()


class Gompertz(Univariate):
    """F(x) = 1 - exp(-eta (e^(r x) - 1)) for x >= 0: a hazard that grows exponentially.

    Args:
        concentration: eta > 0, (\\*batch, \\*event).
        rate: r > 0, broadcastable with ``concentration``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, concentration: Tensor, rate: Tensor, event_dims: int = 1) -> None:
        self.concentration, self.rate = torch.broadcast_tensors(concentration, rate)
        super().__init__(self.rate, event_dims, low=0.0)

    @property
    def mean(self) -> Tensor:
        """E[x], by quadrature."""
        return expectation(self, lambda x: x)

    @property
    def variance(self) -> Tensor:
        """E[(x - mean)^2], by quadrature."""
        mean = self.mean
        return expectation(self, lambda x: (x - mean).square())

    @property
    def mode(self) -> Tensor:
        """-log(eta) / r, or 0 where that is negative."""
        return (-self.concentration.log() / self.rate).clamp_min(0)

    def entropy_per_dim(self) -> Tensor:
        """1 - log(eta r) - r E[x], since eta (e^(r x) - 1) is a standard exponential."""
        return 1 - (self.concentration * self.rate).log() - self.rate * self.mean

    def _log_density(self, x: Tensor) -> Tensor:
        growth = self.rate * x
        return (self.concentration * self.rate).log() + growth - self.concentration * growth.expm1()

    def _cdf(self, x: Tensor) -> Tensor:
        return -torch.expm1(-self.concentration * (self.rate * x).expm1())

    def _icdf(self, u: Tensor) -> Tensor:
        return (-(-u).log1p() / self.concentration).log1p() / self.rate


class LogNormal(Factors):
    """e^y, y normal.

    Args:
        loc: The mean of y, (\\*batch, \\*event).
        scale: The standard deviation of y, broadcastable with ``loc``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, loc: Tensor, scale: Tensor, event_dims: int = 1) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        super().__init__(td.LogNormal(self.loc, self.scale, validate_args=False), event_dims, low=0.0)

    def _log_density(self, x: Tensor) -> Tensor:
        tiny = torch.finfo(x.dtype).tiny  # at 0 the density is 0, which the logarithm of the least number says too
        y = x.clamp_min(tiny).log()
        return -0.5 * ((y - self.loc) / self.scale).square() - y - self.scale.log() - 0.5 * LOG_2PI

    def _cdf(self, x: Tensor) -> Tensor:
        return normal_cdf((x.log() - self.loc) / self.scale)

    def _icdf(self, u: Tensor) -> Tensor:
        return (self.loc + self.scale * torch.special.ndtri(u)).exp()


class Pareto(Factors):
    """f(x) = a m^a / x^(a + 1) for x >= m; x = m (1 - u)^(-1 / a).

    Args:
        scale: m > 0, (\\*batch, \\*event).
        alpha: a > 0, broadcastable with ``scale``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, scale: Tensor, alpha: Tensor, event_dims: int = 1) -> None:
        self.scale, self.alpha = torch.broadcast_tensors(scale, alpha)
        super().__init__(td.Pareto(self.scale, self.alpha, validate_args=False), event_dims, low=self.scale)

    def _log_density(self, x: Tensor) -> Tensor:
        return self.alpha.log() + self.alpha * (self.scale / x).log() - x.log()

    def _cdf(self, x: Tensor) -> Tensor:
        return -torch.expm1(self.alpha * (self.scale / x).log())

    def _icdf(self, u: Tensor) -> Tensor:
        return self.scale * (-(-u).log1p() / self.alpha).exp()


class Gamma(Factors):
    """f(x) = r^a x^(a - 1) e^(-r x) / Gamma(a) for x >= 0.

    Args:
        concentration: a > 0, (\\*batch, \\*event).
        rate: r > 0, broadcastable with ``concentration``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, concentration: Tensor, rate: Tensor, event_dims: int = 1) -> None:
        self.concentration, self.rate = torch.broadcast_tensors(concentration, rate)
        super().__init__(td.Gamma(self.concentration, self.rate, validate_args=False), event_dims, low=0.0)

    def _cdf(self, x: Tensor) -> Tensor:
        return gamma_cdf(self.rate * x, self.concentration)

    def _icdf(self, u: Tensor) -> Tensor:
        return root(self, u, torch.exp, POSITIVE)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        return log_gamma_noise(self.concentration, shape, generator).exp() / self.rate


class Chi2(Gamma):
    """The sum of n squares of standard normals: Gamma(n / 2, 1 / 2).

    Args:
        df: n > 0, the degrees of freedom, (\\*batch, \\*event).
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, df: Tensor, event_dims: int = 1) -> None:
        self.df = df
        super().__init__(0.5 * df, torch.full_like(df, 0.5), event_dims)


class Erlang(Gamma):
    """The sum of k exponentials: Gamma(k, r) for a whole number k, drawn as x = -log(u_1 ... u_k) / r.

    Args:
        k: 1, 2, ..., (\\*batch, \\*event).
        rate: r > 0, broadcastable with ``k``.
        event_dims: How many of the last axes make one event.

    Raises:
        ValueError: If k is no whole number above 0.
    """

    def __init__(self, k: Tensor, rate: Tensor, event_dims: int = 1) -> None:
        if not ((k >= 1) & (k == k.round())).all():
            raise ValueError(f"k: expected whole numbers from 1, got {k.tolist()}; use Gamma")
        self.k = k
        super().__init__(k.to(rate.dtype), rate, event_dims)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        total = torch.zeros(shape, dtype=self.rate.dtype, device=self.rate.device)
        for i in range(int(self.k.max())):
            total = total - torch.where(self.k > i, open_uniform(shape, self.rate, generator).log(), 0)
        return total / self.rate


class FisherSnedecor(Factors):
    """The ratio of two chi-squared variables, each divided by its degrees of freedom, m and n (the F distribution).

    Args:
        df1: m > 0, (\\*batch, \\*event).
        df2: n > 0, broadcastable with ``df1``.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, df1: Tensor, df2: Tensor, event_dims: int = 1) -> None:
        self.df1, self.df2 = torch.broadcast_tensors(df1, df2)
        super().__init__(td.FisherSnedecor(self.df1, self.df2, validate_args=False), event_dims, low=0.0)

    @property
    def mode(self) -> Tensor:
        """(m - 2) / m n / (n + 2), 0 for m <= 2."""
        return ((self.df1 - 2) / self.df1).clamp_min(0) * self.df2 / (self.df2 + 2)

    def entropy_per_dim(self) -> Tensor:
        """log(n / m) + log B(a, b) - (a - 1) (psi(a) - psi(b)) + (a + b) (psi(a + b) - psi(b)), a = m/2, b = n/2."""
        a, b = self.df1 / 2, self.df2 / 2
        at_a, at_b, at_both = map(torch.digamma, (a, b, a + b))
        return (b / a).log() + log_beta(a, b) - (a - 1) * (at_a - at_b) + (a + b) * (at_both - at_b)

    def _cdf(self, x: Tensor) -> Tensor:
        share = self.df1 * x / (self.df1 * x + self.df2)
        return beta_cdf(torch.where(x == torch.inf, 1, share), self.df1 / 2, self.df2 / 2)

    def _icdf(self, u: Tensor) -> Tensor:
        return root(self, u, torch.exp, POSITIVE)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        above, below = (log_gamma_noise(df / 2, shape, generator) for df in (self.df1, self.df2))
        return (above - below).exp() * self.df2 / self.df1
