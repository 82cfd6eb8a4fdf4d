"""Maps that only move entries about: log|det| = 0."""

from __future__ import annotations

from math import prod

from torch import Tensor

from unveil.flows.base import Bijection
from unveil.nets import Shape


class Reshape(Bijection):
    """The same entries in another shape.

    Args:
        shape: The shape of x.
        out_shape: The shape of y; one axis by default.
    """

    def __init__(self, shape: Shape, out_shape: Shape | None = None) -> None:
        super().__init__(shape, out_shape=(prod(shape),) if out_shape is None else out_shape)

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """x as ``out_shape``."""
        lead = self.lead(x)
        return x.reshape(*lead, *self.out_shape), x.new_zeros(lead)

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """y as ``shape``."""
        lead = y.shape[: y.dim() - len(self.out_shape)]
        return y.reshape(*lead, *self.shape), y.new_zeros(lead)


class Squeeze(Bijection):
    """Each block of n x n pixels becomes n^2 channels of one pixel (Dinh et al. 2017).

    The channels of one place in the blocks stand together: 0, ..., C - 1 hold the upper left pixels.

    Args:
        shape: (channels, height, width), height and width divisible by n.
        factor: n.
    """

    def __init__(self, shape: Shape, factor: int = 2) -> None:
        if len(shape) != 3 or shape[1] % factor or shape[2] % factor:
            raise ValueError(
                f"shape: expected (channels, height, width) with sides divisible by {factor}, got {tuple(shape)}"
            )
        channels, height, width = shape
        super().__init__(shape, out_shape=(factor**2 * channels, height // factor, width // factor))
        self.factor = factor

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(..., C, n H, n W) -> (..., n^2 C, H, W)."""
        lead, n = x.shape[:-3], self.factor
        channels, height, width = self.shape
        blocks = x.reshape(-1, channels, height // n, n, width // n, n)
        return blocks.permute(0, 3, 5, 1, 2, 4).reshape(*lead, *self.out_shape), x.new_zeros(lead)

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(..., n^2 C, H, W) -> (..., C, n H, n W)."""
        lead, n = y.shape[:-3], self.factor
        channels, height, width = self.shape
        blocks = y.reshape(-1, n, n, channels, height // n, width // n)
        return blocks.permute(0, 3, 4, 1, 5, 2).reshape(*lead, *self.shape), y.new_zeros(lead)
