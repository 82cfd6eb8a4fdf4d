"""Inputs brought to zero mean and unit variance by the training data's moments."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standardize(nn.Module):
    """(x - mean) / scale, with mean and scale of the training data.

    Per feature for vectors, and one number for all pixels of an image.

    Args:
        shape: The shape of one input.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        moments = tuple(shape) if len(shape) == 1 else (1,) * len(shape)
        self.register_buffer("mean", torch.zeros(moments))
        self.register_buffer("scale", torch.ones(moments))

    def forward(self, x: Tensor) -> Tensor:
        """(..., \\*shape) -> (..., \\*shape)."""
        return (x - self.mean) / self.scale

    def inverse(self, y: Tensor) -> Tensor:
        """mean + scale y, back in the data's units."""
        return self.mean + self.scale * y

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Take the moments of what is there (NaN is missing); a constant feature keeps scale 1."""
        axes = (0,) if self.mean.dim() == 1 else tuple(range(x.dim()))
        mean = mean_of(x, axes)
        scale = mean_of((x - mean).square(), axes).sqrt()
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(scale > 1e-6 * x.abs().nan_to_num().amax(axes), scale, 1))


def mean_of(x: Tensor, axes: tuple[int, ...] = (0,), otherwise: float = 0.0) -> Tensor:
    """The mean over axes of what is there (NaN is missing), or ``otherwise`` where nothing is."""
    mean = x.mean(axes)
    return mean if mean.isfinite().all() else x.nanmean(axes).nan_to_num(otherwise)  # which is far slower
