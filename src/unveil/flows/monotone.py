"""Increasing maps of one number, y = f(x; theta): what couplings and autoregressive maps apply to each entry.

All are the identity at theta = 0, and their slopes are bounded away from zero and infinity, whatever theta is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from unveil.parts import Part

REACH = 1e4
"""The nets that make theta see numbers no larger than this. Where a sample strays far from all data, parameters and
entries would drive each other beyond what floating point holds; what is clamped is a net's input, so that the map stays
exactly invertible."""


def within_reach(x: Tensor) -> Tensor:
    """x, clamped for a net that makes parameters from it."""
    return F.hardtanh(x, -REACH, REACH)  # a clamp whose gradient is one operation instead of four


def bounded(a: Tensor, bound: float) -> Tensor:
    """b tanh(a / b), between -b and b and about a where that is small."""
    return bound * torch.tanh(a / bound)


class Monotone(Part, ABC):
    """y = f(x; theta), increasing in x."""

    parameters_per_entry: int
    """The number P of parameters."""

    @abstractmethod
    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """y and log f'(x), each shaped like x, for theta (P, \\*x.shape)."""

    @abstractmethod
    def inverse(self, y: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """x and log of the inverse's slope, -log f'(x)."""


class Shift(Monotone):
    """y = x + t (NICE: Dinh et al. 2015)."""

    parameters_per_entry = 1

    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """x + t, and 0."""
        (t,) = theta
        return x + t, torch.zeros_like(x)

    def inverse(self, y: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """y - t, and 0."""
        (t,) = theta
        return y - t, torch.zeros_like(y)


class Affine(Monotone):
    """y = e^s x + t, with s = b tanh(a / b) (RealNVP: Dinh et al. 2017).

    Args:
        bound: b, the largest |log-slope|.
    """

    parameters_per_entry = 2

    def __init__(self, bound: float = 5.0) -> None:
        super().__init__()
        if not bound > 0:
            raise ValueError(f"bound: expected a positive number, got {bound}")
        self.bound = bound

    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """e^s x + t, and s."""
        t, s = self._shift_and_log_slope(theta)
        return s.exp() * x + t, s

    def inverse(self, y: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """e^-s (y - t), and -s."""
        t, s = self._shift_and_log_slope(theta)
        return (-s).exp() * (y - t), -s

    def _shift_and_log_slope(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        t, a = theta
        return t, bounded(a, self.bound)


def implicitly(monotone: Monotone, x: Tensor, y: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """A solution x of f(x; theta) = y as it is, with the gradients of the inverse function, and its log-slope.

    dx/dy = 1 / f' and dx/dtheta = -(df/dtheta) / f', which (y - f(x; theta)) / f' has for constant x and f'.
    """
    x = x.detach()
    reached, log_slope = monotone(x, theta)
    if not torch.is_grad_enabled():
        return x, -log_slope
    miss = y - reached
    x = x + (miss - miss.detach()) * (-log_slope.detach()).exp()
    return x, -monotone(x, theta)[1]
