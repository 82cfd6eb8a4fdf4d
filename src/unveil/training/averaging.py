"""A moving average of weights (Polyak & Juditsky 1992): what is validated, kept and saved where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """theta_bar <- d theta_bar + (1 - d) theta, with d = min(decay, (1 + t) / (10 + t)) at step t.

    Args:
        module: Whose parameters are averaged; buffers are taken as they are.
        decay: d, in (0, 1); 0 turns averaging off.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.shadow = [parameter.detach().clone() for parameter in module.parameters()] if decay else []

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the weights after a step."""
        if self.decay:
            weight = 1 - min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self.shadow, list(self.module.parameters()), weight)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module with the averaged weights, inside the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def install(self) -> None:
        """Give the module the averaged weights for good."""
        for parameter, average in zip(self.module.parameters(), self.shadow, strict=True):
            parameter.copy_(average)

    def tensors(self) -> dict[str, Tensor]:
        """The averaged weights, by number."""
        return {str(i): tensor for i, tensor in enumerate(self.shadow)}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take up averaged weights that :meth:`tensors` gave."""
        for name, tensor in tensors.items():
            self.shadow[int(name)].copy_(tensor)

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, average in zip(self.module.parameters(), self.shadow, strict=bool(self.shadow)):
            current = parameter.clone()
            parameter.copy_(average)
            average.copy_(current)
