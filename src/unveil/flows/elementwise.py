"""Fixed maps of each entry: where data is bounded, flows want it unbounded."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from unveil.flows.base import Bijection
from unveil.nets import Shape


class Logit(Bijection):
    """y = logit(a + (1 - 2 a) x / high), for entries of [0, high] (Dinh et al. 2017; Papamakarios et al. 2017).

    Args:
        shape: The shape of x.
        high: The top of the range.
        margin: a > 0, which keeps the ends finite.
    """

    def __init__(self, shape: Shape, high: float = 1.0, margin: float = 1e-6) -> None:
        super().__init__(shape)
        if not 0 < margin < 0.5:
            raise ValueError(f"margin: expected a number between 0 and 0.5, got {margin}")
        if not high > 0:
            raise ValueError(f"high: expected a positive number, got {high}")
        self.high, self.margin = high, margin
        self._log_slope = math.log((1 - 2 * margin) / high)

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The logit, and sum of log(1 - 2 a) - log high - log p - log(1 - p)."""
        eps = torch.finfo(x.dtype).eps  # what a sample beyond the range would be rounded to, 0 or 1, has no logit
        p = (self.margin + (1 - 2 * self.margin) * (x / self.high)).clamp(eps, 1 - eps)
        y = p.log() - (-p).log1p()
        return y, self._log_det(y)

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """high (sigmoid(y) - a) / (1 - 2 a)."""
        x = self.high * (torch.sigmoid(y) - self.margin) / (1 - 2 * self.margin)
        return x, -self._log_det(y)

    def _log_det(self, y: Tensor) -> Tensor:
        """-log p - log(1 - p) = softplus(y) + softplus(-y)."""
        slopes = self._log_slope + F.softplus(y) + F.softplus(-y)
        return slopes.sum(tuple(range(-len(self.shape), 0)))
