"""Missing entries, marginalised: log p(x_observed) of a product of factors is the sum over observed factors."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Distribution as TorchDistribution

from unveil.distributions.base import Factorized
from unveil.distributions.noise import Generator


class Masked(Factorized):
    """A product of factors of which some are not observed.

    Args:
        base: The distribution of all entries, a product of factors.
        mask: True where an entry is observed, broadcastable with ``base``'s shape.

    Raises:
        TypeError: If ``base`` does not factorise over its entries: leaving factors out would not marginalise.
    """

    def __init__(self, base: TorchDistribution, mask: Tensor) -> None:
        if not isinstance(base, Factorized):
            raise TypeError(
                f"mask: expected a likelihood that factorises over entries, got {type(base).__name__}, whose missing "
                "entries can't be marginalised by leaving them out"
            )
        self.base, self.mask = base, mask
        super().__init__(Size((*base.batch_shape, *base.event_shape)), len(base.event_shape))

    @property
    def mean(self) -> Tensor:
        """The mean of all entries."""
        return self.base.mean

    @property
    def mode(self) -> Tensor:
        """The mode of all entries."""
        return self.base.mode

    def log_prob_per_dim(self, value: Tensor) -> Tensor:
        """log p_i(x_i) where observed and 0 where missing, whatever ``value`` holds there."""
        value = torch.where(self.mask, value, torch.zeros((), dtype=value.dtype, device=value.device))
        return torch.where(self.mask, self.base.log_prob_per_dim(value), 0)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        return self.base._draw(shape, generator)
