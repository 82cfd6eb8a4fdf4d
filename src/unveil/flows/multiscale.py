"""Half of the channels leave early, the others go on: (a, b) -> (g(a), b) (Dinh et al. 2017).

Glow's prior of b given a, N(mu(a), sigma(a)^2), is an affine :class:`~unveil.flows.Coupling` before the branch: the
whole stays one invertible map from an image to a vector of standard noise, and nothing else need know of the scales.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from unveil.flows.base import Bijection
from unveil.flows.coupling import Selection


class Branch(Bijection):
    """(a, b) -> (g(a), b) as one vector, a the first channels.

    Args:
        inner: g, of the first channels of an image.
        channels: How many channels a and b have together; twice g's by default.
    """

    def __init__(self, inner: Bijection, channels: int | None = None) -> None:
        taken, *pixels = inner.shape
        channels = channels or 2 * taken
        shape = (channels, *pixels)
        super().__init__(shape, inner.context, out_shape=(prod(shape),))
        self.inner = inner
        self.selection = Selection(shape, [i < taken for i in range(channels)])

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(..., channels, height, width) -> (..., features)."""
        a, b = self.selection.split(x)
        done, log_det = self.inner(a, context)
        parts = done.flatten(-len(self.inner.out_shape)), b.flatten(-len(self.shape)).expand(*log_det.shape, -1)
        return torch.cat(parts, -1), log_det

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(..., features) -> (..., channels, height, width)."""
        _, left = self.selection.shapes
        done, b = y.split([y.shape[-1] - prod(left), prod(left)], -1)
        a, log_det = self.inner.inverse(done.unflatten(-1, self.inner.out_shape), context)
        b = b.unflatten(-1, left).expand(*log_det.shape, *left)
        return self.selection.join(a, b), log_det
