"""Shift and scale each entry of a vector, or each channel of an image, to what passes: y = e^s x + t.

log|det dy/dx| = sum_i s_i, times the number of pixels.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from unveil.flows.base import Bijection
from unveil.nets import Shape


class ActNorm(Bijection):
    """y = e^s x + t, which gives the first examples that pass zero mean and unit variance (Kingma & Dhariwal 2018).

    That is done once, when the model is shown its training data (``model.initialize``, which ``uv.fit`` calls); until
    then it is the identity.

    Args:
        shape: (D,), or (channels, height, width).
        learned: Whether s and t are trained from there.
    """

    def __init__(self, shape: Shape, *, learned: bool = True) -> None:
        super().__init__(shape)
        each = (self.shape[0], *(1,) * len(self.shape[1:]))
        self.log_scale = nn.Parameter(torch.zeros(each), requires_grad=learned)
        self.shift = nn.Parameter(torch.zeros(each), requires_grad=learned)
        self._waiting = False

    def begin_initialization(self) -> bool:
        """The next examples that pass decide s and t."""
        self._waiting = True
        return True

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """e^s x + t."""
        if self._waiting:
            mean, log_deviation = self._moments(x)
            self._start(-log_deviation, -mean * (-log_deviation).exp())
        return self.log_scale.exp() * x + self.shift, self._log_det(x)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """e^-s (y - t)."""
        if self._waiting:  # in the inverse of a flow it is the other side that passes first
            mean, log_deviation = self._moments(y)
            self._start(log_deviation, mean)
        return (-self.log_scale).exp() * (y - self.shift), -self._log_det(y)

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log of the standard deviation of each entry or channel; a constant one counts as of deviation 1."""
        rows = x.reshape(-1, self.shape[0], prod(self.shape[1:]))
        mean = rows.mean((0, 2), keepdim=True)
        deviation = (rows - mean).square().mean((0, 2)).sqrt()
        flat = deviation <= 1e-6 * rows.abs().amax((0, 2))
        log_deviation = torch.where(flat, 1, deviation).log()
        return mean.reshape(self.shift.shape), log_deviation.reshape(self.shift.shape)

    @torch.no_grad()
    def _start(self, log_scale: Tensor, shift: Tensor) -> None:
        self.log_scale.copy_(log_scale)
        self.shift.copy_(shift)
        self._waiting = False

    def _log_det(self, x: Tensor) -> Tensor:
        pixels = prod(self.shape[1:])
        return (pixels * self.log_scale.sum()).expand(x.shape[: x.dim() - len(self.shape)])
