"""Expectations of one-dimensional distributions that have no closed form, through their quantile function.

E[g(x)] = integral over (0, 1) of g(F^-1(u)) du, by the tanh-sinh rule, which ends that run to infinity don't disturb.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from unveil.distributions.univariate import Univariate

POINTS, REACH = 201, 3.3


def expectation(of: Univariate, function: Callable[[Tensor], Tensor]) -> Tensor:
    """E[function(x_i)] of each factor, differentiable in the parameters.

    Args:
        of: A distribution with light tails: the rule ends where 1 - u is 1e-16.
        function: Of x, (points, \\*batch, \\*event).
    """
    like = of.mode
    t = torch.linspace(-REACH, REACH, POINTS, dtype=torch.float64, device=like.device)
    u = torch.sigmoid(math.pi * t.sinh())
    weight = math.pi * t.cosh() * u * torch.sigmoid(-math.pi * t.sinh()) * (2 * REACH / (POINTS - 1))
    shape = (-1, *(1,) * like.dim())
    values = function(of.icdf(u.clamp(1e-300, 1 - 1e-16).reshape(shape)))
    return (weight.reshape(shape) * values).sum(0).to(like.dtype)
