"""Gradients through the root x of F(x; theta) = y, F triangular: y_i depends on x_1, ..., x_i and rises in x_i.

The implicit function theorem gives dx = J^-1 (dy - dF), J the Jacobian of F in x: whatever found the root, the gradient
is a triangular system, solved by vector-Jacobian products alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def differentiable_root(at: Tensor, reached: Tensor, y: Tensor, slopes: Tensor) -> Tensor:
    """The root as it is, with its gradients in y and in all that F depends on.

    Args:
        at: The root, (..., D), a leaf that requires a gradient.
        reached: F(at), (..., D), made from it.
        y: What it should be.
        slopes: dF_i/dx_i at the root.
    """
    return _Root.apply(at.detach(), reached - y, _Transposed(at, reached, slopes.detach()))


class _Transposed:
    """Solves J' v = g for the triangular Jacobian J of ``reached`` in ``at``, by products with J' alone."""

    def __init__(self, at: Tensor, reached: Tensor, slopes: Tensor) -> None:
        self.at, self.reached, self.slopes = at, reached, slopes

    def solve(self, g: Tensor) -> Tensor:
        """v <- v + (g - J' v) / diag J is right in at least one more entry each time."""
        v = g / self.slopes
        tolerance = 10 * torch.finfo(g.dtype).eps
        for _ in range(g.shape[-1]):
            (product,) = torch.autograd.grad(self.reached, self.at, v, retain_graph=True)
            step = (g - product) / self.slopes
            v = v + step
            if not (step.abs() > tolerance * (1 + v.abs())).any():
                break
        return v


class _Root(torch.autograd.Function):
    """The root of a residual, which stays what it is; the gradient to the residual is -J'^-1 g."""

    @staticmethod
    def forward(ctx: Any, root: Tensor, residual: Tensor, transposed: _Transposed) -> Tensor:
        ctx.transposed = transposed
        return root.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        with torch.enable_grad():
            return None, -ctx.transposed.solve(gradient), None
