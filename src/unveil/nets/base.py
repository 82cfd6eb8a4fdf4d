"""What every net is: a function of tensors, with no probability in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor, nn

from unveil.parts import Part

Shape = Sequence[int]


class Net(Part, ABC):
    """A map (..., \\*in_shape), (..., context) -> (..., \\*out_shape); any number of leading axes.

    Args:
        in_shape: The shape of one input.
        out_shape: The shape of one output.
        context: The number of features of the context, 0 without one.
    """

    output: nn.Linear
    """The last map, where there is one."""

    def __init__(self, in_shape: Shape, out_shape: Shape, context: int = 0) -> None:
        super().__init__()
        self.in_shape, self.out_shape, self.context = tuple(in_shape), tuple(out_shape), context

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The output for each input."""

    @torch.no_grad()
    def start_at(self, value: Tensor, *, everywhere: bool = False) -> None:
        """Set the last bias so that a zero last activation gives ``value``.

        A net that does not end in the linear map ``output`` writes this anew.

        Args:
            value: Broadcastable to ``out_shape``.
            everywhere: Whether every input shall give it at first: the last weights become zero, too.

        Raises:
            NotImplementedError: If there is no such map.
        """
        if not isinstance(getattr(self, "output", None), nn.Linear):
            raise NotImplementedError(
                f"net: {type(self).__name__} is asked to start at the data's mean and has no torch.nn.Linear named "
                "output, whose bias would do it; name its last map so, or write start_at"
            )
        self.output.bias.copy_(value.expand(self.out_shape).reshape(-1))
        if everywhere:
            self.output.weight.zero_()


NetFactory = Callable[[Shape, Shape, int], Net]
"""Makes a net from ``in_shape, out_shape, context``: a class, or functools.partial of a class."""


def joined(x: Tensor, context: Tensor | None) -> Tensor:
    """x and the context side by side on the last axis, leading axes broadcast: (..., d), (..., c) -> (..., d + c)."""
    if context is None:
        return x
    lead = torch.broadcast_shapes(x.shape[:-1], context.shape[:-1])
    return torch.cat([x.expand(*lead, -1), context.expand(*lead, -1)], dim=-1)


def flattened(x: Tensor, shape: Shape) -> Tensor:
    """The last axes of that shape made one: (..., \\*shape) -> (..., features)."""
    return x.reshape(*x.shape[: x.dim() - len(shape)], prod(shape))


def he_normal(linear: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, *, gain: float = 2.0) -> None:
    """Weights ~ N(0, gain / fan_in), bias zero (He et al. 2015)."""
    fan_in = linear.weight[0].numel()
    nn.init.normal_(linear.weight, std=(gain / fan_in) ** 0.5)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)
