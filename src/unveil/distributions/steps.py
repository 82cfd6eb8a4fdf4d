"""Sequences of independent observations."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Size, Tensor
from torch.distributions import Distribution as TorchDistribution

from unveil.distributions.base import Distribution, draw
from unveil.distributions.noise import Generator


class Steps(Distribution):
    """p(x) = prod_t p_t(x_t).

    Args:
        base: The p_t, of batch shape (\\*batch, T).
        shape: The shape of a sequence, (T, \\*event), or another of as many entries: (T,) where an observation is one
            number.
    """

    def __init__(self, base: TorchDistribution, shape: Sequence[int]) -> None:
        self.base = base
        super().__init__(base.batch_shape[:-1], Size(shape))

    @property
    def mean(self) -> Tensor:
        """The means."""
        return self._joined(self.base.mean)

    @property
    def mode(self) -> Tensor:
        """The modes."""
        return self._joined(self.base.mode)

    @property
    def variance(self) -> Tensor:
        """The variances of all entries."""
        return self._joined(self.base.variance)

    @property
    def has_rsample(self) -> bool:
        """Whether draws are differentiable."""
        return self.base.has_rsample

    def log_prob(self, value: Tensor) -> Tensor:
        """sum_t log p_t(x_t)."""
        lead = value.shape[: value.dim() - len(self.event_shape)]
        return self.base.log_prob(value.reshape(*lead, self.base.batch_shape[-1], *self.base.event_shape)).sum(-1)

    def entropy(self) -> Tensor:
        """sum_t H_t, in nats."""
        return self.base.entropy().sum(-1)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        count = len(shape) - len(self.batch_shape) - len(self.event_shape)
        return self._joined(draw(self.base, shape[:count], generator, pathwise=self.has_rsample))

    def _joined(self, value: Tensor) -> Tensor:
        """Observations (..., T, \\*event) as sequences."""
        lead = value.shape[: value.dim() - len(self.base.event_shape) - 1]
        return value.reshape(*lead, *self.event_shape)
