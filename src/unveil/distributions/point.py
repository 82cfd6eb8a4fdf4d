"""A value that is certain, as a distribution: what a deterministic map makes of its argument."""

from __future__ import annotations

import torch
from torch import Size, Tensor

from unveil.distributions.base import Factorized
from unveil.distributions.noise import Generator


class Point(Factorized):
    """One value for certain: P(x) = 1 at it, and 0 elsewhere.

    Args:
        value: (\\*batch, \\*event).
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, value: Tensor, event_dims: int = 1) -> None:
        super().__init__(value.shape, event_dims)
        self.value = value

    @property
    def mean(self) -> Tensor:
        """The value itself."""
        return self.value

    @property
    def mode(self) -> Tensor:
        """The value itself."""
        return self.value

    def log_prob_per_dim(self, value: Tensor) -> Tensor:
        """0 where it is this value, -inf elsewhere: the log of a probability, no density."""
        return torch.where(value == self.value, 0.0, -torch.inf).to(self.value.dtype)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        return self.value.expand(shape)
