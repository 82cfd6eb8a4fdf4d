"""A net whose outputs see the inputs before them only (MADE: Germain et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.nets.base import Net, Shape


class MaskedLinear(nn.Linear):
    """y = (M * W) x + b: an output is connected to the inputs where M is 1.

    Args:
        mask: M, (out, in), of booleans.
        gain: The variance of an output for inputs of variance 1, at the start (He et al. 2015).
    """

    mask: Tensor

    def __init__(self, mask: Tensor, gain: float = 2.0) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)
        fan_in = mask.sum(1, keepdim=True).clamp_min(1)
        with torch.no_grad():
            self.weight.normal_().mul_((gain / fan_in).sqrt())
            self.bias.zero_()

    @property
    def masked(self) -> Tensor:
        """M * W."""
        return self.mask * self.weight

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return F.linear(x, self.masked, self.bias)


class MaskedMLP(Net):
    """An MLP from (D,) to (P, D), whose outputs (., i) depend on the context and on the inputs ordered before i.

    A hidden unit has a degree m: it sees the inputs of rank below m, and the outputs of rank m or more see it.

    Args:
        in_shape: (D,).
        out_shape: (P, D), or (D,).
        context: The number of features of the context, which every unit may see.
        hidden: The widths of the hidden layers.
        order: The rank of each input, a permutation of 0, ..., D - 1; as they come by default.
    """

    rank: Tensor

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        context: int = 0,
        hidden: Sequence[int] = (256, 256),
        order: Sequence[int] | None = None,
    ) -> None:
        super().__init__(in_shape, out_shape, context)
        (features,) = self.in_shape
        rank = torch.arange(features) if order is None else torch.as_tensor(order)
        if self.out_shape[-1] != features:
            raise ValueError(f"out_shape: expected (..., {features}), outputs for every input, got {self.out_shape}")
        if sorted(rank.tolist()) != list(range(features)):
            raise ValueError(f"order: expected a permutation of 0, ..., {features - 1}, got {rank.tolist()}")
        self.register_buffer("rank", rank, persistent=False)
        # units of degree 0 see the context alone; those of degree D would be seen by nothing
        lowest = 0 if context else min(1, features - 1)
        self.degrees = [rank + 1, *(_spread(lowest, features, width) for width in hidden)]
        outputs = rank.repeat(prod(self.out_shape[:-1]))
        self.hidden = nn.ModuleList(MaskedLinear(after[:, None] >= before) for before, after in pairwise(self.degrees))
        self.output = MaskedLinear(outputs[:, None] >= self.degrees[-1], gain=1.0)
        first = [*self.hidden, self.output][0]
        self.conditioner = nn.Linear(context, first.out_features, bias=False) if context else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(..., D) -> (..., \\*out_shape)."""
        lead, layers = x.shape[:-1], [*self.hidden, self.output]
        h = layers[0](x.reshape(-1, x.shape[-1]))
        if self.conditioner is not None and context is not None:
            h = h.reshape(*lead, -1) + self.conditioner(context)  # once for each context, however many x share it
            lead = h.shape[:-1]
            h = h.reshape(-1, h.shape[-1])
        for layer in layers[1:]:
            h = layer(torch.relu_(h))
        return h.reshape(lead + self.out_shape)

    @torch.no_grad()
    def unroll(self, rows: int, decide: Callable[[int, Tensor], Tensor], context: Tensor | None = None) -> None:
        """Find the inputs one after the other, each from the outputs that those before it make.

        Every unit is computed once, when the inputs that it sees are known: all D outputs cost one pass together.

        Args:
            rows: The number N of inputs that are found side by side.
            decide: Takes i and its outputs, (P, N), and gives x_i, (N,), as the net shall see it.
            context: (N, features).
        """
        by_rank = self.rank.argsort()
        layers = [*self.hidden, self.output]
        weights, biases = [layer.masked for layer in layers], [layer.bias.unsqueeze(1) for layer in layers]
        weights[0] = weights[0][:, by_rank]
        if self.conditioner is not None and context is not None:
            biases[0] = biases[0] + self.conditioner(context).T
        weights[-1], biases[-1] = (each.unflatten(0, (-1, len(by_rank))) for each in (weights[-1], biases[-1]))
        values = [self.output.weight.new_empty(layer.in_features, rows) for layer in layers]
        known = [_counts(degrees, len(by_rank)) for degrees in self.degrees[1:]]
        for r, i in enumerate(by_rank.tolist()):
            ready = r
            for layer, counts in enumerate(known):
                new = slice(counts[r], counts[r + 1])
                if new.stop > new.start:
                    h = torch.addmm(biases[layer][new], weights[layer][new, :ready], values[layer][:ready])
                    values[layer + 1][new] = h.relu_()
                ready = new.stop
            values[0][r] = decide(i, torch.addmm(biases[-1][:, i], weights[-1][:, i, :ready], values[-1][:ready]))


def _spread(lowest: int, features: int, width: int) -> Tensor:
    """The degrees of a layer's units, ascending: lowest, ..., features - 1, each about equally often."""
    return torch.linspace(lowest, features, width + 1)[:-1].floor().long().clamp(max=max(lowest, features - 1))


def _counts(degrees: Tensor, features: int) -> list[int]:
    """How many units have a degree below r, for r = 0, ..., features."""
    return torch.searchsorted(degrees, torch.arange(features + 1, device=degrees.device)).tolist()
