"""Convolutional nets for images of any size: an encoder that halves, a decoder that doubles."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.nets.base import Net, Shape, he_normal, joined


class ConvEncoder(Net):
    """Stride-2 convolutions, then a linear map: (channels, height, width) -> features.

    Args:
        in_shape: (channels, height, width), any size.
        out_shape: The shape of one output.
        context: The number of features of the context, joined before the linear map.
        channels: The channels after each halving.
    """

    def __init__(self, in_shape: Shape, out_shape: Shape, context: int = 0, channels: Sequence[int] = (32, 64)) -> None:
        super().__init__(_image(in_shape, "in_shape"), out_shape, context)
        sizes = [self.in_shape[0], *channels]
        layers = [nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(sizes)]
        for layer in layers:
            he_normal(layer)
        self.layers = nn.ModuleList(layers)
        height, width = _halved(self.in_shape[1:], len(channels))[-1]
        features = sizes[-1] * height * width + context
        self.output = nn.Linear(features, torch.Size(self.out_shape).numel())
        he_normal(self.output, gain=1.0)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(..., channels, height, width) -> (..., \\*out_shape)."""
        lead = x.shape[:-3]
        h = x.reshape(-1, *self.in_shape)
        for layer in self.layers:
            # an odd side is padded to even, so that a side n becomes ceil(n / 2)
            h = F.relu(layer(F.pad(h, (0, h.shape[-1] % 2, 0, h.shape[-2] % 2))))
        h = self.output(joined(h.reshape(*lead, -1), context))
        return h.reshape(h.shape[:-1] + self.out_shape)


class ConvDecoder(Net):
    """A linear map, then stride-2 transposed convolutions: features -> (..., height, width).

    Args:
        in_shape: The shape of one input.
        out_shape: (channels, height, width), or with more axes after, such as (channels, height, width, levels).
        context: The number of features of the context, joined with the input.
        channels: The channels before each doubling.
    """

    def __init__(self, in_shape: Shape, out_shape: Shape, context: int = 0, channels: Sequence[int] = (64, 32)) -> None:
        super().__init__(in_shape, out_shape, context)
        colours, *size = _image(out_shape[:3], "out_shape")
        self.extra = self.out_shape[3:]
        self.sizes = _halved(size, len(channels))[::-1]
        self.start = (channels[0], *self.sizes[0])
        self.input = nn.Linear(torch.Size(self.in_shape).numel() + context, torch.Size(self.start).numel())
        he_normal(self.input)
        outputs = [*channels[1:], colours * torch.Size(self.extra).numel()]
        layers = [nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in zip(channels, outputs, strict=True)]
        for layer in layers:  # each output pixel sees 2 x 2 of the kernel's 4 x 4
            gain = 1.0 if layer is layers[-1] else 2.0
            nn.init.normal_(layer.weight, std=(gain / (4 * layer.in_channels)) ** 0.5)
        self.layers = nn.ModuleList(layers)
        self.bias = nn.Parameter(torch.zeros(self.out_shape))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(..., \\*in_shape) -> (..., \\*out_shape)."""
        h = F.relu(self.input(joined(x.flatten(x.dim() - len(self.in_shape)), context)))
        lead = h.shape[:-1]
        h = h.reshape(-1, *self.start)
        for i, (layer, (height, width)) in enumerate(zip(self.layers, self.sizes[1:], strict=True)):
            h = layer(F.relu(h) if i else h)[..., :height, :width]
        colours, *size = self.out_shape[:3]
        h = h.reshape(*lead, colours, *(self.extra or (1,)), *size)
        return self.bias + h.movedim(-3, -1).reshape(*lead, *self.out_shape)

    @torch.no_grad()
    def start_at(self, value: Tensor, *, everywhere: bool = False) -> None:
        """Set the bias of every output."""
        if everywhere:
            for parameter in self.layers[-1].parameters():
                parameter.zero_()
        self.bias.copy_(value.expand(self.out_shape))


def _image(shape: Shape, argument: str) -> Shape:
    if len(shape) != 3:
        raise ValueError(
            f"{argument}: a convolutional net expects (channels, height, width), got {tuple(shape)}; use an MLP"
        )
    return shape


def _halved(size: Sequence[int], times: int) -> list[tuple[int, ...]]:
    """The sizes of an image as it is halved, rounding up, that many times."""
    sizes = [tuple(size)]
    for _ in range(times):
        sizes.append(tuple(ceil(side / 2) for side in sizes[-1]))
    return sizes
