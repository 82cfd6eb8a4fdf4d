"""Fully connected nets, plain and gated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from unveil.nets.base import Net, Shape, flattened, he_normal, joined


class Dense(nn.Module):
    """h = act(W x + b).

    Args:
        in_features: The size of x.
        out_features: The size of h.
        tanh: Whether act is tanh rather than ReLU.
    """

    def __init__(self, in_features: int, out_features: int, *, tanh: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)
        self.activation = torch.tanh_ if tanh else torch.relu_  # neither needs its input again for the gradient
        he_normal(self.linear, gain=1.0 if tanh else 2.0)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return self.activation(self.linear(x))


class GatedDense(nn.Module):
    """h = (W x + b) * sigmoid(V x + c) (Dauphin et al. 2017): one matrix product makes both halves.

    Args:
        in_features: The size of x.
        out_features: The size of h.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, 2 * out_features)
        he_normal(self.linear)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return nn.functional.glu(self.linear(x), dim=-1)


class _Layered(Net, ABC):
    """Hidden layers and a linear output, over flattened inputs joined with the context."""

    def __init__(self, in_shape: Shape, out_shape: Shape, context: int, hidden: Sequence[int]) -> None:
        super().__init__(in_shape, out_shape, context)
        if any(width < 1 for width in hidden):
            raise ValueError(f"hidden: expected positive widths, got {list(hidden)}")
        widths = [prod(self.in_shape) + context, *hidden]
        self.hidden = nn.Sequential(*[self.layer(a, b) for a, b in pairwise(widths)])
        self.output = nn.Linear(widths[-1], prod(self.out_shape))
        he_normal(self.output, gain=1.0)

    @abstractmethod
    def layer(self, in_features: int, out_features: int) -> nn.Module:
        """One hidden layer."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(..., \\*in_shape) -> (..., \\*out_shape)."""
        h = joined(flattened(x, self.in_shape), context)
        rows = self.output(self.hidden(h.reshape(-1, h.shape[-1])))  # in place on a view, an activation copies
        return rows.reshape(h.shape[:-1] + self.out_shape)


class MLP(_Layered):
    """A fully connected net.

    Args:
        in_shape: The shape of one input.
        out_shape: The shape of one output.
        context: The number of features of the context, joined with the input.
        hidden: The widths of the hidden layers; none makes a linear map.
        tanh: Whether the activation is tanh rather than ReLU.

    Example:
        >>> MLP((1, 8, 8), (4,), hidden=(32,))(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 4])
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        context: int = 0,
        hidden: Sequence[int] = (300, 300),
        *,
        tanh: bool = False,
    ) -> None:
        self._tanh = tanh
        super().__init__(in_shape, out_shape, context, hidden)

    def layer(self, in_features: int, out_features: int) -> nn.Module:
        """One dense layer."""
        return Dense(in_features, out_features, tanh=self._tanh)


class GatedMLP(_Layered):
    """A fully connected net of gated layers, as in Tomczak & Welling (2018).

    Args:
        in_shape: The shape of one input.
        out_shape: The shape of one output.
        context: The number of features of the context, joined with the input.
        hidden: The widths of the hidden layers.
    """

    def __init__(self, in_shape: Shape, out_shape: Shape, context: int = 0, hidden: Sequence[int] = (300, 300)) -> None:
        super().__init__(in_shape, out_shape, context, hidden)

    def layer(self, in_features: int, out_features: int) -> nn.Module:
        """One gated layer."""
        return GatedDense(in_features, out_features)
