"""q(y | x) of whole numbers made continuous, y = x + u: what a flow of whole numbers is fitted and judged through.

    log P(x) >= E_q(u | x)[log p(x + u) - log q(u | x)]

The looser the noise fits p within a cell, the lower the bound: learned noise raises it (Ho et al. 2019).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from unveil.distributions import Dequantized, Logistic, Transformed
from unveil.flows.elementwise import Logit
from unveil.flows.flow import Flow
from unveil.flows.named import RealNVP
from unveil.nets import MLP, NetFactory, Shape
from unveil.parts import Part
from unveil.variables import Variable

FlowFactory = Callable[[Shape, int], Flow]
"""Makes a flow from ``shape, context``: a class of ``unveil.flows``, or functools.partial of one."""


class Dequantization(Part, ABC):
    """q(y | x).

    Args:
        x: What is observed: whole numbers.
    """

    def __init__(self, x: Variable) -> None:
        super().__init__()
        if x.levels is None:
            raise ValueError(f"x: expected whole numbers to dequantize, got {x}")
        self.x = x

    @abstractmethod
    def forward(self, x: Tensor) -> Dequantized:
        """q(y | x) with x's leading axes as batch shape."""


class Uniform(Dequantization):
    """u uniform on [0, 1) (Theis et al. 2016)."""

    def forward(self, x: Tensor) -> Dequantized:
        """x + u."""
        return Dequantized(x, len(self.x.shape))


class Variational(Dequantization):
    """u by a flow on the unit cube, given what a net makes of x (Ho et al. 2019); uniform at the start.

    The base is logistic, whatever the flow's own is: u = sigmoid(f^-1(e)) is then uniform where f is the identity.

    Args:
        x: What is observed: whole numbers.
        flow: Makes the flow from u, as real numbers, to noise; it should draw as fast as it scores.
        net: Makes the net from x to what the flow is conditioned on.
        features: How many numbers that is. They are the same for all pixels of an image.
    """

    def __init__(
        self,
        x: Variable,
        flow: FlowFactory = RealNVP,
        net: NetFactory = MLP,
        features: int = 32,
    ) -> None:
        super().__init__(x)
        if features < 1:
            raise ValueError(f"features: expected at least 1, got {features}")
        self.net = net(x.shape, (features,), 0)
        self.flow = flow(x.shape, features)
        self.unbounded = Logit(x.shape, margin=1e-7)

    def forward(self, x: Tensor) -> Dequantized:
        """x + u."""
        centred = 2 * (x + 0.5) / (self.x.levels or 1) - 1
        context = self.net(centred).to(x.dtype)
        unit = torch.ones(self.flow.bijection.out_shape, dtype=x.dtype, device=x.device)
        base = Logistic(torch.zeros_like(unit), unit, unit.dim())  # whose sigmoid is uniform
        noise = Transformed(Transformed(base, self.flow.bijection, context), self.unbounded)
        return Dequantized(x, len(self.x.shape), noise)


DequantizationFactory = Callable[[Variable], Dequantization]
"""Makes a dequantization from ``x``: a class, or functools.partial of one."""
