"""Regularized incomplete gamma and beta functions with gradients in every argument.

P(a, x) = gamma(a, x) / Gamma(a), and I_x(a, b) = B(x; a, b) / B(a, b): the distribution functions of Gamma and Beta,
and what Student's t is made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

STEP = 1e-3
"""The step of the five-point rule, relative to the parameter: its error is of order STEP^4."""
FRACTIONS = 300
"""Terms of the continued fraction of I; it takes some sqrt(max(a, b))."""

Function = Callable[..., Tensor]


def normal_cdf(a: Tensor) -> Tensor:
    """Phi(a) = erfc(-a / sqrt 2) / 2, which keeps its digits in the lower tail."""
    return 0.5 * torch.erfc(-a * math.sqrt(0.5))


def gamma_cdf(x: Tensor, a: Tensor) -> Tensor:
    """P(a, x) for x >= 0."""
    return _with_gradients(torch.special.gammainc, _gamma_density, x, a)


def beta_cdf(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """I_x(a, b) for x in [0, 1]."""
    return _with_gradients(_incomplete_beta, _beta_density, x, a, b)


def student_cdf(t: Tensor, n: Tensor) -> Tensor:
    """F(t) of Student's t with n degrees of freedom."""
    return _with_gradients(_student, _student_density, t, n)


def _gamma_density(a: Tensor, x: Tensor) -> Tensor:
    return (torch.special.xlogy(a - 1, x) - x - torch.lgamma(a)).exp()


def _beta_density(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    return (torch.special.xlogy(a - 1, x) + torch.special.xlog1py(b - 1, -x) - log_beta(a, b)).exp()


def _student_density(n: Tensor, t: Tensor) -> Tensor:
    half = torch.full_like(n, 0.5)
    return (-0.5 * (n + 1) * (t.square() / n).log1p() - 0.5 * n.log() - log_beta(half, n / 2)).exp()


def log_beta(a: Tensor, b: Tensor) -> Tensor:
    """log B(a, b)."""
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


def _incomplete_beta(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """By the continued fraction (Abramowitz & Stegun 26.5.8), on the side of the mode where it converges fast."""
    turned = x > (a + 1) / (a + b + 2)
    a, b, y = torch.where(turned, b, a), torch.where(turned, a, b), torch.where(turned, 1 - x, x)
    front = torch.special.xlogy(a, y) + torch.special.xlog1py(b, -y) - log_beta(a, b) - a.log()
    value = front.exp() * _fraction(a, b, y)
    return torch.where(turned, 1 - value, value)


def _student(n: Tensor, t: Tensor) -> Tensor:
    """By I of t^2 / (n + t^2) near 0, of n / (n + t^2) in the tails: what is small keeps its digits."""
    half, square = torch.full_like(n, 0.5), t.square()
    near = square < n
    a, b = torch.where(near, half, n / 2), torch.where(near, n / 2, half)
    mass = 0.5 * _incomplete_beta(a, b, torch.where(near, square, n) / (n + square))
    tail = torch.where(near, 0.5 - mass, mass)
    return torch.where(t < 0, tail, 1 - tail)


def _fraction(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """1 / (1 + d_1 / (1 + d_2 / (1 + ...))), by Lentz's recurrence."""
    tiny = torch.full_like(x, 1e-300)

    def away_from_zero(value: Tensor) -> Tensor:
        return torch.where(value.abs() < tiny, tiny, value)

    c = torch.ones_like(x)
    d = 1 / away_from_zero(1 - (a + b) * x / (a + 1))
    h = d
    for m in range(1, FRACTIONS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / away_from_zero(1 + term * d)
            c = away_from_zero(1 + term / c)
            h = h * d * c
        if not ((d * c - 1).abs() > 1e-15).any():
            break
    return h


def _with_gradients(function: Function, density: Function, x: Tensor, *theta: Tensor) -> Tensor:
    x, *theta = torch.broadcast_tensors(x, *theta)
    return _Distribution.apply(function, density, x, *theta)


class _Distribution(torch.autograd.Function):
    """F(theta, x) in double precision; its derivative in x is the density, in theta a five-point rule's."""

    @staticmethod
    def forward(ctx: Any, function: Function, density: Function, x: Tensor, *theta: Tensor) -> Tensor:
        ctx.function, ctx.density = function, density
        ctx.save_for_backward(x, *theta)
        return function(*(each.double() for each in theta), x.double()).to(x.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *theta = (each.double() for each in ctx.saved_tensors)
        needed = ctx.needs_input_grad[2:]
        slopes: list[Tensor | None] = [ctx.density(*theta, x) if needed[0] else None]
        for i, needs in enumerate(needed[1:]):
            slopes.append(_five_points(ctx.function, x, theta, i) if needs else None)
        return None, None, *(None if slope is None else (gradient * slope).to(gradient.dtype) for slope in slopes)


def _five_points(function: Function, x: Tensor, theta: list[Tensor], i: int) -> Tensor:
    """dF/dtheta_i = (8 (F_1 - F_-1) - (F_2 - F_-2)) / (12 h)."""
    h = STEP * theta[i]

    def at(steps: int) -> Tensor:
        return function(*(each + steps * h if j == i else each for j, each in enumerate(theta)), x)

    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)
