"""Some entries stay, the others are transformed as those that stay say: (a, b) -> (a, f(b; theta(a, c)))."""

from __future__ import annotations

from collections.abc import Sequence

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

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(a, f(b; theta(a, c)))."""
        kept, moved = self.selection.split(x)
        return self._joined(kept, self.monotone(moved, self._theta(kept, context)))

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(a, f^-1(b; theta(a, c)))."""
        kept, moved = self.selection.split(y)
        return self._joined(kept, self.monotone.inverse(moved, self._theta(kept, context)))

    def _theta(self, kept: Tensor, context: Tensor | None) -> Tensor:
        return GAIN * self.net(within_reach(kept), context).to(kept.dtype).movedim(-1 - len(self.shape), 0)

    def _joined(self, kept: Tensor, moved: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        value, log_slopes = moved
        kept = kept.expand(*value.shape[: value.dim() - len(self.shape)], *kept.shape[-len(self.shape) :])
        return self.selection.join(kept, value), log_slopes.sum(tuple(range(-len(self.shape), 0)))
