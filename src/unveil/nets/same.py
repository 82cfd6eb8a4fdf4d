"""A convolutional net from an image to an image of the same size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from unveil.nets.base import Net, Shape, he_normal


class ConvNet(Net):
    """3x3 convolutions around 1x1 convolutions: (channels, height, width) -> (\\*P, channels', height, width).

    Args:
        in_shape: (channels, height, width).
        out_shape: (channels', height, width), or with more axes before.
        context: The number of features of the context, which moves every pixel of the first hidden layer alike.
        hidden: The channels of the hidden layers.
    """

    output: nn.Conv2d  # type: ignore[assignment]

    def __init__(self, in_shape: Shape, out_shape: Shape, context: int = 0, hidden: Sequence[int] = (128, 128)) -> None:
        super().__init__(in_shape, out_shape, context)
        if len(self.in_shape) != 3 or self.in_shape[1:] != self.out_shape[-2:] or not hidden:
            raise ValueError(
                f"in_shape, out_shape: expected images of the same size and at least one hidden layer, got "
                f"{self.in_shape}, {self.out_shape} and {list(hidden)}"
            )
        widths = [self.in_shape[0], *hidden]
        kernels = [3] + [1] * (len(hidden) - 1)
        hidden_layers = [
            nn.Conv2d(a, b, k, padding=k // 2) for (a, b), k in zip(pairwise(widths), kernels, strict=True)
        ]
        self.hidden = nn.ModuleList(hidden_layers)
        self.output = nn.Conv2d(widths[-1], prod(self.out_shape[:-2]), 3, padding=1)
        for layer in hidden_layers:
            he_normal(layer)
        he_normal(self.output, gain=1.0)
        self.conditioner = nn.Linear(context, hidden[0], bias=False) if context else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(..., channels, height, width) -> (..., \\*out_shape)."""
        lead = x.shape[:-3]
        h = self.hidden[0](x.reshape(-1, *self.in_shape))
        if self.conditioner is not None and context is not None:
            h = h.reshape(*lead, *h.shape[1:]) + self.conditioner(context)[..., None, None]
            lead = h.shape[:-3]
            h = h.reshape(-1, *h.shape[-3:])
        h = torch.relu_(h)
        for layer in self.hidden[1:]:
            h = torch.relu_(layer(h))
        return self.output(h).reshape(lead + self.out_shape)

    @torch.no_grad()
    def start_at(self, value: Tensor, *, everywhere: bool = False) -> None:
        """Set the bias of every output channel; a value that differs between pixels can't be started at."""
        each = value.expand(self.out_shape).reshape(-1, *self.out_shape[-2:])
        if not (each == each[:, :1, :1]).all():
            raise ValueError("value: expected the same for all pixels, which a convolution's bias is")
        if everywhere:
            self.output.weight.zero_()
        self.get_parameter("output.bias").copy_(each[:, 0, 0])
