"""y_i = f(x_i; theta_i(x_<i, c)): all of y at once from x, and x from y one entry after the other.

The Jacobian is triangular, so that log|det dy/dx| = sum_i log f'(x_i). A masked net makes all theta_i in one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from unveil.distributions import differentiable_root, full_precision
from unveil.flows.base import Bijection
from unveil.flows.monotone import Affine, Monotone, within_reach
from unveil.nets import MaskedMLP, Shape

MaskedNetFactory = Callable[[Shape, Shape, int], MaskedMLP]
MonotoneFactory = Callable[[], Monotone]
Solver = Literal["auto", "parallel", "sequential"]
MANY = 300_000
"""Where rows times weights exceed so many times D, finding one entry after the other is faster on a processor (measured
for 64 and 784 entries: the lines cross at 280,000 and 410,000); a graphics card has passes to spare."""


class MaskedAutoregressive(Bijection):
    """A masked autoregressive map of vectors (Papamakarios et al. 2017; Kingma et al. 2016 for its inverse).

    Args:
        shape: (D,).
        context: The number of features of the context, 0 without one.
        monotone: Makes f, the map of one entry.
        net: Makes the net from x to all theta.
        solver: How the inverse is found: ``"parallel"`` repeats x <- f^-1(y; theta(x)), which is right in at least one
            more entry each time, until nothing changes; ``"sequential"`` finds one entry after the other, each unit of
            the net computed once; ``"auto"`` takes what is faster for the size.
    """

    def __init__(
        self,
        shape: Shape,
        context: int = 0,
        monotone: MonotoneFactory = Affine,
        net: MaskedNetFactory = MaskedMLP,
        solver: Solver = "auto",
    ) -> None:
        super().__init__(shape, context)
        if len(self.shape) != 1:
            raise ValueError(f"shape: expected vectors, (D,), got {self.shape}; put a Reshape before this map")
        if solver not in ("auto", "parallel", "sequential"):
            raise ValueError(f"solver: expected 'auto', 'parallel' or 'sequential', got {solver!r}")
        self.solver = solver
        self.monotone = monotone()
        self.net = net(self.shape, (self.monotone.parameters_per_entry, *self.shape), context)
        self.net.start_at(torch.zeros(()), everywhere=True)

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """All entries at once."""
        y, log_slopes = self._entries(x, context)
        return y, log_slopes.sum(-1)

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The root x of f(x) = y, and its log-determinant; gradients are the implicit function theorem's."""
        with full_precision(y):  # one unit after the other, a product is rounded in other ways than all at once
            with torch.no_grad():
                x, log_det = self._solved(y, context)
            if not torch.is_grad_enabled():
                return x, log_det
            x = self._differentiable(x, y, context)
            return x, -self._forward(x, context)[1]

    def _entries(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """y and each entry's log-slope."""
        return self.monotone(x, self._theta(x, context))

    def _theta(self, x: Tensor, context: Tensor | None) -> Tensor:
        """(P, ..., D)."""
        return self.net(within_reach(x), context).to(x.dtype).movedim(-2, 0)

    def _solved(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        lead = y.shape[:-1] if context is None else torch.broadcast_shapes(y.shape[:-1], context.shape[:-1])
        rows = y.expand(*lead, -1).reshape(-1, y.shape[-1])
        if context is not None:
            context = context.expand(*lead, -1).reshape(-1, context.shape[-1])
        sequential = self.solver == "sequential" or (self.solver == "auto" and self._many(rows))
        x, log_det = (self._sequential if sequential else self._parallel)(rows, context)
        return x.reshape(*lead, -1), log_det.reshape(lead)

    def _many(self, rows: Tensor) -> bool:
        """Whether a dozen passes of so many rows take longer than one unit after the other."""
        weights = sum(parameter.numel() for parameter in self.net.parameters())
        return rows.device.type == "cpu" and len(rows) * weights > MANY * self.shape[0]

    def _parallel(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Repeat x <- f^-1(y; theta(x)) for the rows that still change, at most D times."""
        x, found, active = torch.zeros_like(y), torch.empty_like(y), torch.arange(len(y), device=y.device)
        log_det = torch.empty_like(y[:, 0])
        tolerance = 10 * torch.finfo(y.dtype).eps
        for _ in range(self.shape[0]):
            new, log_slopes = self.monotone.inverse(y, self._theta(x, context))
            found[active], log_det[active] = new, log_slopes.sum(-1)
            moving = ((new - x).abs() > tolerance * (1 + new.abs())).any(-1)
            if not moving.any():
                break
            if not moving.all():
                active, new, y = active[moving], new[moving], y[moving]
                context = None if context is None else context[moving]
            x = new
        return found, log_det

    def _sequential(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """One entry after the other, in the net's order."""
        columns = y.t().contiguous()
        x, log_slopes = torch.empty_like(columns), torch.empty_like(columns)

        def decide(i: int, theta: Tensor) -> Tensor:
            x[i], log_slopes[i] = self.monotone.inverse(columns[i], theta)
            return within_reach(x[i])

        self.net.unroll(len(y), decide, context)
        return x.t(), log_slopes.sum(0)

    def _differentiable(self, root: Tensor, y: Tensor, context: Tensor | None) -> Tensor:
        """The root with gradients: dx = J^-1 (dy - df), J the Jacobian of f in x."""
        at = root.detach().requires_grad_()
        reached, log_slopes = self._entries(at, context)
        return differentiable_root(at, reached, y, log_slopes.exp())
