"""What every posterior is: a module whose call returns q(z | x, context)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from unveil.nets import MLP, Net, NetFactory, Shape, Standardize
from unveil.parts import Part
from unveil.variables import Variable


class Posterior(Part, ABC):
    """An amortized q(z | x, context): an encoder makes its parameters.

    Args:
        x: What is observed.
        latent_dim: The size d of z.
        context: The number of features of the context, 0 without one.
        encoder: Makes the net from x (and context) to the parameters.
        shape: The shape of the parameters, which the encoder gives.
    """

    def __init__(
        self, x: Variable, latent_dim: int, context: int = 0, encoder: NetFactory = MLP, *, shape: Shape
    ) -> None:
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"latent_dim: expected at least 1, got {latent_dim}")
        self.variable, self.latent_dim = x, latent_dim
        self.standardize = None if x.levels == 2 else Standardize(x.shape)
        self.net: Net = encoder(x.shape, shape, context)

    @abstractmethod
    def distribution(self, parameters: Tensor) -> Distribution:
        """q with these parameters, (..., \\*shape)."""

    def initialize(self, x: Tensor, generator: torch.Generator) -> None:
        """Take the moments that inputs are standardized with; ones and zeros stay as they are."""
        if self.standardize is not None:
            self.standardize.initialize(x)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Distribution:
        """q(z | x, context) with x's leading axes as batch shape.

        Args:
            x: (..., \\*shape).
            context: (..., features).
            mask: True where an entry of x is observed; the net sees a missing one as 0, the mean of real numbers.
        """
        if self.standardize is not None:
            x = self.standardize(x)
        elif not x.is_floating_point():
            x = x.to(next(self.parameters()).dtype)
        if mask is not None:
            x = torch.where(mask, x, 0)
        return self.distribution(self.net(x, context).to(x.dtype))


PosteriorFactory = Callable[[Variable, int, int, NetFactory], Posterior]
"""Makes a posterior from ``x, latent_dim, context, encoder``: a class, or functools.partial of a class."""


def scale_of(log_scale: Tensor) -> Tensor:
    """exp(log sigma), kept where float32 can hold its square and its inverse's."""
    return torch.exp(nn.functional.hardtanh(log_scale, -15, 10))  # clamp, with a cheaper gradient
