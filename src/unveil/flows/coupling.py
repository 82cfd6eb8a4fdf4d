"""Some entries stay, the others are transformed as those that stay say: (a, b) -> (a, f(b; theta(a, c)))."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unveil.flows.autoregressive import MonotoneFactory
from unveil.flows.base import Bijection
from unveil.flows.monotone import Affine, within_reach
from unveil.nets import MLP, NetFactory, Shape


class Selection(nn.Module):
    """The entries of a vector, or the channels of an image, in two groups.

    Args:
        shape: (D,), or (channels, height, width).
        first: Which of the first axis belong to the first group.
    """

    order: Tensor
    back: Tensor

    def __init__(self, shape: Shape, first: Sequence[bool]) -> None:
        super().__init__()
        if len(first) != shape[0]:
            raise ValueError(f"keep: expected {shape[0]} booleans, one for each entry or channel, got {len(first)}")
        if all(first) or not any(first):
            raise ValueError(f"keep: expected at least one entry of each kind, got {list(first)}")
        self.axis = -len(shape)
        mask = torch.tensor([bool(one) for one in first])
        groups = [mask.nonzero().flatten(), (~mask).nonzero().flatten()]
        self.shapes = [(len(group), *shape[1:]) for group in groups]
        self.turned = not mask[0]  # the group that comes first in x is the second
        order = torch.cat(groups[::-1] if self.turned else groups)
        self.sizes = [len(group) for group in (groups[::-1] if self.turned else groups)]
        self.contiguous = bool((order.diff() == 1).all())
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", order.argsort(), persistent=False)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both groups."""
        x = x if self.contiguous else x.index_select(x.dim() + self.axis, self.order)
        one, other = x.split(self.sizes, self.axis)
        return (other, one) if self.turned else (one, other)

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """The whole again."""
        x = torch.cat([second, first] if self.turned else [first, second], self.axis)
        return x if self.contiguous else x.index_select(x.dim() + self.axis, self.back)


GAIN = 0.3
"""What a net's output is multiplied by. It starts at zero, and an optimizer like Adam moves all of the last weights at
once: in a chain of dozens of couplings, each multiplying what the others do, the first steps would go far astray."""


def parameters_of(net: nn.Module, kept: Tensor, context: Tensor | None, event_dims: int) -> Tensor:
    """theta, (P, ..., \\*shape), of what stays."""
    return GAIN * net(within_reach(kept), context).to(kept.dtype).movedim(-1 - event_dims, 0)


class Coupling(Bijection):
    """A coupling map of vectors, or of images by channels (Dinh et al. 2015, 2017; Durkan et al. 2019).

    log|det dy/dx| = sum over the moved entries of log f'(x_i), in both directions from one pass of the net.

    Args:
        shape: (D,), or (channels, height, width).
        context: The number of features of the context, 0 without one.
        keep: Which entries, or channels, stay; the first half by default.
        monotone: Makes f, the map of one entry.
        net: Makes the net from what stays to theta of what moves.
    """

    def __init__(
        self,
        shape: Shape,
        context: int = 0,
        keep: Sequence[bool] | None = None,
        monotone: MonotoneFactory = Affine,
        net: NetFactory = MLP,
    ) -> None:
        super().__init__(shape, context)
        size = self.shape[0]
        self.selection = Selection(self.shape, [i < size // 2 for i in range(size)] if keep is None else keep)
        self.monotone = monotone()
        kept, moved = self.selection.shapes
        self.net = net(kept, (self.monotone.parameters_per_entry, *moved), context)
        self.net.start_at(torch.zeros(()), everywhere=True)

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(a, f(b; theta(a, c)))."""
        kept, moved = self.selection.split(x)
        return self._joined(kept, self.monotone(moved, self._theta(kept, context)))

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(a, f^-1(b; theta(a, c)))."""
        kept, moved = self.selection.split(y)
        return self._joined(kept, self.monotone.inverse(moved, self._theta(kept, context)))

    def _theta(self, kept: Tensor, context: Tensor | None) -> Tensor:
        return parameters_of(self.net, kept, context, len(self.shape))

    def _joined(self, kept: Tensor, moved: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        value, log_slopes = moved
        kept = kept.expand(*value.shape[: value.dim() - len(self.shape)], *kept.shape[-len(self.shape) :])
        return self.selection.join(kept, value), log_slopes.sum(tuple(range(-len(self.shape), 0)))


class MaskedCoupling(Bijection):
    """A coupling map by any mask: what stays is shown to the net among zeros, what moves is read off its output.

    It serves masks that are no whole entries of the first axis, such as :func:`checkerboard`; where they are,
    :class:`Coupling` spares the net half of its work.

    Args:
        shape: The shape of x.
        keep: Which entries stay, booleans nested as the shape says.
        context: The number of features of the context, 0 without one.
        monotone: Makes f, the map of one entry.
        net: Makes the net from x to theta.
    """

    keep: Tensor

    def __init__(
        self,
        shape: Shape,
        keep: Sequence[Any],
        context: int = 0,
        monotone: MonotoneFactory = Affine,
        net: NetFactory = MLP,
    ) -> None:
        super().__init__(shape, context)
        mask = torch.tensor(keep)
        if mask.dtype != torch.bool or mask.shape != self.shape or mask.all() or not mask.any():
            raise ValueError(
                f"keep: expected booleans nested as {self.shape}, some of them true and some false, got {mask.dtype} "
                f"of shape {tuple(mask.shape)}"
            )
        self.register_buffer("keep", mask)
        self.monotone = monotone()
        self.net = net(self.shape, (self.monotone.parameters_per_entry, *self.shape), context)
        self.net.start_at(torch.zeros(()), everywhere=True)

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """x where it stays, f(x; theta(x_kept, c)) elsewhere."""
        return self._joined(x, self.monotone(x, self._theta(x, context)))

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """y where it stayed, f^-1(y; theta(y_kept, c)) elsewhere."""
        return self._joined(y, self.monotone.inverse(y, self._theta(y, context)))

    def _theta(self, x: Tensor, context: Tensor | None) -> Tensor:
        return parameters_of(self.net, torch.where(self.keep, x, 0), context, len(self.shape))

    def _joined(self, kept: Tensor, moved: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        value, log_slopes = moved
        log_det = torch.where(self.keep, 0, log_slopes).sum(tuple(range(-len(self.shape), 0)))
        return torch.where(self.keep, kept, value), log_det


def checkerboard(shape: Shape) -> list[list[list[bool]]]:
    """The fields of one colour of images, (channels, height, width): true where row + column is even."""
    channels, height, width = shape
    return [[[(row + column) % 2 == 0 for column in range(width)] for row in range(height)] for _ in range(channels)]
