"""What every likelihood is: a module whose call returns p(x | z, context)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from unveil.nets import MLP, Net, NetFactory, Shape
from unveil.parts import Part
from unveil.variables import Variable


class Likelihood(Part, ABC):
    """p(x | z, context): a decoder makes its parameters.

    Args:
        x: What is observed.
        latent_dim: The size of z.
        context: The number of features of the context, 0 without one.
        decoder: Makes the net from z (and context) to the parameters.

    Raises:
        ValueError: If this likelihood is not one for such data.
    """

    def __init__(self, x: Variable, latent_dim: int, context: int = 0, decoder: NetFactory = MLP) -> None:
        super().__init__()
        self.variable = self.x = x
        self.require(x)
        self.net: Net = decoder((latent_dim,), self.parameter_shape(), context)

    @property
    def levels(self) -> int:
        """The number of levels of the data."""
        if self.x.levels is None:
            raise ValueError(f"likelihood: {type(self).__name__} expects levels, got real numbers")
        return self.x.levels

    @abstractmethod
    def require(self, x: Variable) -> None:
        """Raise a ValueError if this likelihood is not one for such data."""

    @abstractmethod
    def parameter_shape(self) -> Shape:
        """The shape of the decoder's output."""

    @abstractmethod
    def distribution(self, parameters: Tensor) -> Distribution:
        """p with these parameters, (..., \\*parameter_shape)."""

    def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """p(x | z, context) with z's leading axes as batch shape."""
        return self.distribution(self.net(z, context).to(z.dtype))


LikelihoodFactory = Callable[[Variable, int, int, NetFactory], Likelihood]
"""Makes a likelihood from ``x, latent_dim, context, decoder``: a class, or functools.partial of a class."""


def logit(p: Tensor, smoothing: float) -> Tensor:
    """log p / (1 - p) of a frequency, drawn towards 1/2 by ``smoothing`` so that 0 and 1 stay finite."""
    return torch.logit(p * (1 - smoothing) + smoothing / 2)


def required_levels(likelihood: Likelihood, x: Variable, levels: range, instead: str) -> None:
    """Raise a ValueError unless x has a number of levels in that range."""
    if x.levels is None or x.levels not in levels:
        expected = f"{levels[0]}" if len(levels) == 1 else f"{levels[0]} or more"
        got = "real numbers" if x.levels is None else f"{x.levels} levels"
        raise ValueError(
            f"likelihood: {type(likelihood).__name__} expects data of {expected} levels 0, 1, ..., got {got}; {instead}"
        )
