"""What densities are summed or integrated over: all values of finite supports, grids on the plane and the simplex."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution

DOUBLE = torch.float64


@dataclass(frozen=True)
class Support:
    """Values that a density is summed over, with the measure of each.

    Args:
        values: What ``log_prob`` takes, (n, \\*event).
        log_measure: The log of the measure that each value stands for, (n,); zero where the values are all there are.
        cell: The number of the cell that values (..., \\*event) fall into: the bins of a chi-square test.
    """

    values: Tensor
    log_measure: Tensor
    cell: Callable[[Tensor], Tensor]

    def log_mass(self, distribution: Distribution) -> Tensor:
        """The log-probability of what each value stands for, (n,)."""
        return distribution.log_prob(self.values.to(_dtype(distribution))).double() + self.log_measure

    def expectation(self, distribution: Distribution, function: Callable[[Tensor], Tensor]) -> Tensor:
        """sum over values of probability times function(value)."""
        return torch.tensordot(self.log_mass(distribution).exp(), function(self.values).to(DOUBLE), dims=1)


def finite(values: Tensor, compared: Tensor | None = None) -> Callable[[Distribution], Support]:
    """All values of a finite support; ``compared`` says which entries tell two values apart."""

    def support(distribution: Distribution) -> Support:
        def cell(drawn: Tensor) -> Tensor:
            same = (drawn.unsqueeze(drawn.dim() - values.dim() + 1) == values) | (
                torch.zeros(values.shape[1:], dtype=torch.bool) if compared is None else ~compared
            )
            same = same.flatten(drawn.dim() - values.dim() + 2).all(-1) if values.dim() > 1 else same
            assert same.any(-1).all(), "a draw lies outside the support"
            return same.double().argmax(-1)

        return Support(values, torch.zeros(len(values), dtype=DOUBLE), cell)

    return support


def levels(count: int, *shape: int) -> Tensor:
    """Every tensor of that shape with entries 0, ..., count - 1: (count ** entries, \\*shape)."""
    entries = math.prod(shape)
    grid = torch.cartesian_prod(*[torch.arange(count, dtype=DOUBLE)] * entries)
    return grid.reshape(-1, *shape)


def one_hots(count: int, variables: int) -> Tensor:
    """Every way to set that many one-hot vectors, (count ** variables, variables, count)."""
    return F.one_hot(levels(count, variables).long(), count).to(DOUBLE)


def plane(distribution: Distribution, points: int = 600, reach: float = 12.0) -> Support:
    """Midpoints of a grid over mean +- 12 standard deviations of a distribution on the plane."""
    return plane_about(distribution.mean.detach(), distribution.variance.detach().sqrt(), points, reach)


def plane_about(mean: Tensor, scale: Tensor, points: int = 600, reach: float = 12.0) -> Support:
    """Midpoints of a grid over mean +- reach times the scale of each axis."""
    mean, scale = mean.double(), scale.double()
    axis = ((torch.arange(points, dtype=DOUBLE) + 0.5) / points * 2 - 1) * reach
    values = mean + scale * torch.cartesian_prod(axis, axis)
    measure = (2 * reach / points) ** 2 * scale.prod()

    def cell(value: Tensor) -> Tensor:
        return _bins((value.double() - mean) / scale, low=-2.4, width=0.8, count=6)

    return Support(values, measure.log().expand(len(values)), cell)


def line(distribution: Distribution, panels: int = 400, order: int = 10) -> Support:
    """Gauss-Legendre panels over one number, on the scale that its support asks for; a kink at the mode is an edge.

    x = m + sinh(t) on the whole line, low + e^t on a half, low + (high - low) sigmoid(t) on an interval.
    """
    low, high, mode = (torch.as_tensor(end).double().detach().reshape(()) for end in _ends(distribution))
    if high < torch.inf:
        start, reach = torch.logit((mode - low) / (high - low)), 36.0
        start = start if start.isfinite() else torch.zeros(())
    else:
        start, reach = torch.zeros(()), 80.0
    nodes, weights = np.polynomial.legendre.leggauss(order)
    edges = torch.linspace(-reach, reach, panels + 1, dtype=DOUBLE)  # an even number: 0 is an edge
    half = (edges[1] - edges[0]) / 2
    t = (edges[:-1, None] + half * (1 + torch.from_numpy(nodes))).flatten() + start
    log_weight = (half * torch.from_numpy(weights)).log().repeat(panels)
    if high < torch.inf:
        values = low + (high - low) * torch.sigmoid(t)
        log_slope = (high - low).log() + F.logsigmoid(t) + F.logsigmoid(-t)
    elif low > -torch.inf:
        values, log_slope = low + t.exp(), t
    else:
        values, log_slope = mode + t.sinh(), t.cosh().log()

    def cell(value: Tensor) -> Tensor:
        return torch.searchsorted(inner, value.double().reshape(value.shape[:-1]).contiguous())

    log_measure = log_weight + log_slope
    log_mass = Support(values.unsqueeze(1), log_measure, cell).log_mass(distribution).detach()
    share = log_mass.exp().cumsum(0)[order - 1 :: order].contiguous()  # of all panels up to each
    ends = torch.searchsorted(share, torch.linspace(0.05, 0.95, 19, dtype=DOUBLE)).unique()
    inner = (values[order * ends + order - 1] + values[order * ends + order]) / 2
    possible = log_mass > -torch.inf
    return Support(values[possible].unsqueeze(1), log_measure[possible], cell)


def _ends(distribution: Distribution) -> tuple[Tensor | float, Tensor | float, Tensor]:
    """Where the support begins and ends, and where a kink might be."""
    return distribution.low, distribution.high, distribution.mode


def polar(distribution: Distribution, panels: int = 120, order: int = 10, angles: int = 64) -> Support:
    """Circles around m, as A turns and stretches them: x = m + e^t A (cos a, sin a)."""
    loc, tril = distribution.loc.detach().double(), distribution.scale_tril.detach().double()
    nodes, weights = np.polynomial.legendre.leggauss(order)
    edges = torch.linspace(-60, 60, panels + 1, dtype=DOUBLE)
    half = (edges[1] - edges[0]) / 2
    t = (edges[:-1, None] + half * (1 + torch.from_numpy(nodes))).flatten()
    log_weight = (half * torch.from_numpy(weights)).log().repeat(panels) + 2 * t + math.log(2 * math.pi / angles)
    angle = 2 * math.pi * (torch.arange(angles, dtype=DOUBLE) + 0.5) / angles
    around = torch.stack([angle.cos(), angle.sin()], -1)
    values = loc + (t.exp()[:, None, None] * around) @ tril.mT
    log_measure = (log_weight + tril.diagonal().log().sum())[:, None].expand(-1, angles)

    def cell(value: Tensor) -> Tensor:
        x = torch.linalg.solve_triangular(tril, (value.double() - loc).unsqueeze(-1), upper=False).squeeze(-1)
        ring = (x.norm(dim=-1).log() / (2 * half)).floor().clamp(-4, 4).long() + 4
        sector = (torch.atan2(x[..., 1], x[..., 0]) / (math.pi / 4)).floor().long() + 4
        return ring * 9 + sector

    return Support(values.flatten(0, 1), log_measure.flatten(), cell)


def simplex(distribution: Distribution, points: int = 768, reach: float = 48.0) -> Support:
    """A grid over (log y_1 / y_3, log y_2 / y_3), the measure that of (y_1, y_2): dy_1 dy_2 = y_1 y_2 y_3 da db."""
    axis = ((torch.arange(points, dtype=DOUBLE) + 0.5) / points * 2 - 1) * reach
    logits = F.pad(torch.cartesian_prod(axis, axis), (0, 1))
    log_y = logits.log_softmax(-1)

    def cell(value: Tensor) -> Tensor:
        log_value = value.double().log()
        return _bins(log_value[..., :2] - log_value[..., 2:], low=-6.0, width=2.0, count=6)

    return Support(log_y.exp(), 2 * math.log(2 * reach / points) + log_y.sum(-1), cell)


def _bins(value: Tensor, low: float, width: float, count: int) -> Tensor:
    """The number of the square that a point (..., 2) lies in, with everything beyond the edges in edge squares."""
    row, column = ((value - low) / width).floor().clamp(-1, count).long().unbind(-1)
    return (row + 1) * (count + 2) + column + 1


def _dtype(distribution: Distribution) -> torch.dtype:
    tensors = [value for value in vars(distribution).values() if isinstance(value, Tensor)]
    return next((value.dtype for value in tensors if value.is_floating_point()), DOUBLE)
