"""Rational-quadratic splines (Durkan et al. 2019).

Between the knots (x_0, y_0), of slope d_0, and (x_1, y_1), of slope d_1, with xi = (x - x_0) / (x_1 - x_0), the bin's
height h = y_1 - y_0 and its mean slope s = h / (x_1 - x_0)::

    y = y_0 + h (s xi^2 + d_0 xi (1 - xi)) / (s + (d_0 + d_1 - 2 s) xi (1 - xi))
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from unveil.flows.monotone import Monotone, bounded, implicitly


class _Knots(NamedTuple):
    """Positions and slopes, knots first: (K + 1, ...), or those at both ends of one bin each, (2, ...)."""

    x: Tensor
    y: Tensor
    slope: Tensor


class Spline(Monotone):
    """A rational-quadratic spline on [-B, B], the identity outside.

    The slopes at the knots lie in [1/r, r], the mean slopes of the bins in [1/r^2, r^2].

    Args:
        bins: The number K of bins.
        bound: B.
        steepest: r, the largest slope of a knot; no bin is r times as wide, or as high, as another.
    """

    def __init__(self, bins: int = 8, bound: float = 5.0, steepest: float = 30.0) -> None:
        super().__init__()
        if bins < 2:
            raise ValueError(f"bins: expected at least 2, got {bins}")
        if not bound > 0:
            raise ValueError(f"bound: expected a positive number, got {bound}")
        if not steepest > 1:
            raise ValueError(f"steepest: expected a slope above 1, got {steepest}")
        self.bins, self.bound, self.steepest = bins, bound, steepest
        self.parameters_per_entry = 3 * bins - 1
        self._largest_log = math.log(steepest)

    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """The spline and its log-slope inside [-B, B]; x and 0 outside."""
        x = x.expand(torch.broadcast_shapes(x.shape, theta.shape[1:]))
        inside = x.abs() < self.bound
        within = torch.where(inside, x, 0)
        knots = self._knots(theta)
        y, log_slope = _evaluated(_bin(knots, knots.x, within), within)
        return torch.where(inside, y, x), torch.where(inside, log_slope, 0)

    def inverse(self, y: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """The root of a quadratic equation inside [-B, B]; y and 0 outside."""
        y = y.expand(torch.broadcast_shapes(y.shape, theta.shape[1:]))
        with torch.no_grad():
            inside = y.abs() < self.bound
            within = torch.where(inside, y, 0)
            knots = self._knots(theta)
            x = torch.where(inside, _solved(_bin(knots, knots.y, within), within), y)
        return implicitly(self, x, y, theta)

    def _knots(self, theta: Tensor) -> _Knots:
        widths, heights, slopes = theta.split([self.bins, self.bins, self.bins - 1])
        inner = bounded(slopes, self._largest_log).exp()
        ends = torch.ones_like(theta[:1])  # the slope of the identity outside
        return _Knots(self._positions(widths), self._positions(heights), torch.cat([ends, inner, ends]))

    def _positions(self, shares: Tensor) -> Tensor:
        shares = bounded(shares, self._largest_log / 2).softmax(0)
        inner = self.bound * (2 * shares[:-1].cumsum(0) - 1)
        ends = torch.full_like(shares[:1], self.bound)
        return torch.cat([-ends, inner, ends])


def _bin(knots: _Knots, positions: Tensor, value: Tensor) -> _Knots:
    """The knots on both sides of a value, by their positions on its axis."""
    index = (value >= positions[1:-1]).sum(0)
    both = torch.stack([index, index + 1])
    return _Knots(*(each.expand(len(each), *value.shape).gather(0, both) for each in knots))


def _evaluated(ends: _Knots, x: Tensor) -> tuple[Tensor, Tensor]:
    """y and the log-slope at x between two knots."""
    (x0, x1), (y0, y1), (d0, d1) = ends
    width, height = x1 - x0, y1 - y0
    s = height / width
    xi = ((x - x0) / width).clamp(0, 1)
    both = xi * (1 - xi)
    denominator = s + (d0 + d1 - 2 * s) * both
    y = y0 + height * (s * xi.square() + d0 * both) / denominator
    slope = d1 * xi.square() + 2 * s * both + d0 * (1 - xi).square()
    return y, 2 * (s.log() - denominator.log()) + slope.log()


def _solved(ends: _Knots, y: Tensor) -> Tensor:
    """x between two knots: the root of a xi^2 + b xi + c in [0, 1], in the form that does not cancel."""
    (x0, x1), (y0, y1), (d0, d1) = ends
    width, height, above = x1 - x0, y1 - y0, y - y0
    s = height / width
    curvature = above * (d0 + d1 - 2 * s)
    a = height * (s - d0) + curvature
    b = height * d0 - curvature
    c = -s * above
    xi = -2 * c / (b + (b.square() - 4 * a * c).clamp_min(0).sqrt())
    x = x0 + width * xi.clamp(0, 1)
    reached, log_slope = _evaluated(ends, x)
    return (x + (y - reached) * (-log_slope).exp()).clamp(x0, x1)  # a Newton step sharpens it, inside the bin
