"""The density of a variable that an invertible map turns into another: a normalizing flow.

p(x) = p_Z(f(x)) |det df/dx|,        x = f^-1(z), z ~ p_Z
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Size, Tensor
from torch.distributions import Distribution as TorchDistribution

from unveil.distributions.base import Distribution, draw
from unveil.distributions.noise import Generator


class Invertible(Protocol):
    """A map with its log-determinant, in both directions."""

    shape: tuple[int, ...]

    def __call__(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """f(x) and log|det df/dx|."""
        ...

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """f^-1(y) and log|det df^-1/dy|."""
        ...


class Transformed(Distribution):
    """The distribution of x = f^-1(z), z ~ p_Z (Rezende & Mohamed 2015).

    Args:
        base: p_Z, of batch shape () or one that broadcasts with the context's.
        bijection: f, from x to z, with log|det df/dx|.
        context: What f depends on, (\\*batch, features).
    """

    def __init__(self, base: TorchDistribution, bijection: Invertible, context: Tensor | None = None) -> None:
        self.base, self.bijection, self.context = base, bijection, context
        lead = Size() if context is None else context.shape[:-1]
        super().__init__(torch.broadcast_shapes(base.batch_shape, lead), Size(bijection.shape))

    scores_draws = True

    @property
    def has_rsample(self) -> bool:
        """Whether the base has reparametrised draws."""
        return bool(self.base.has_rsample)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p_Z(f(x)) + log|det df/dx|, in nats."""
        z, log_det = self.bijection(value, self.context)
        return self.base.log_prob(z) + log_det

    def rsample_and_log_prob(
        self, sample_shape: Sequence[int] = (), generator: Generator = None
    ) -> tuple[Tensor, Tensor]:
        """Reparametrised draws and their log-density from one pass: log p(x) = log p_Z(z) - log|det df^-1/dz|.

        Raises:
            NotImplementedError: Where gradients are wanted and the base's draws have none.
        """
        if torch.is_grad_enabled() and not self.has_rsample:
            raise NotImplementedError("the base has no reparametrised draws; call it under torch.no_grad()")
        z = self._noise(self._extended_shape(Size(sample_shape)), generator, pathwise=self.has_rsample)
        x, log_det = self.bijection.inverse(z, self.context)
        return x, self.base.log_prob(z) - log_det

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        z = self._noise(shape, generator, pathwise=self.has_rsample and torch.is_grad_enabled())
        return self.bijection.inverse(z, self.context)[0]

    def _noise(self, shape: Size, generator: Generator, *, pathwise: bool) -> Tensor:
        lead = shape[: len(shape) - len(self.event_shape)]
        sample_shape = lead[: len(lead) - len(self.base.batch_shape)]
        return draw(self.base, sample_shape, generator, pathwise=pathwise)
