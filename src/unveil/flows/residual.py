"""y = x + something of low rank: planar and orthogonal Sylvester maps, and Householder reflections.

All three were made for posteriors: their parameters may come from a context (an encoder's output), and their forward
direction is the cheap one, so that a sampler uses ``Inverse`` of them. The way back is a scalar equation, or M of them
one after the other, each increasing in its unknown::

    a + c tanh(a + b) = given,    c > -1
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.distributions import full_precision
from unveil.flows.base import Bijection
from unveil.flows.monotone import Monotone, implicitly
from unveil.nets import Shape

BISECTIONS = 60
MARGIN = 1e-3
"""How far the slopes of these maps keep from zero."""
TINY = 1e-12
"""What the square of a vector's length is taken for at least: a vector of no length has no direction."""


def above_minus_one(c: Tensor) -> Tensor:
    """An increasing map to (-1 + m, infinity) that keeps 0: softplus(c + log(e^(1 - m) - 1)) - 1 + m."""
    return F.softplus(c + math.log(math.expm1(1 - MARGIN))) - (1 - MARGIN)


class Bent(Monotone):
    """y = x + c tanh(x + b), for theta = (c, b) with c > -1."""

    parameters_per_entry = 2

    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """The sum, and log(1 + c (1 - tanh^2))."""
        c, b = theta
        h = torch.tanh(x + b)
        return x + c * h, torch.log1p(c * (1 - h.square()))

    def inverse(self, y: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """By bisection: the root lies within |c| of y."""
        with torch.no_grad():
            c, b = theta
            low, high = y - c.abs(), y + c.abs()
            for _ in range(BISECTIONS):
                middle = (low + high) / 2
                beyond = middle + c * torch.tanh(middle + b) > y
                low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
        return implicitly(self, (low + high) / 2, y, theta)


class Parameters(nn.Module):
    """Numbers that are learned, or a linear function of a context; zero at the start unless said otherwise.

    Args:
        size: How many.
        context: The number of features of the context, 0 without one.
        start: What they are at the start, for every context.
    """

    def __init__(self, size: int, context: int = 0, start: Tensor | None = None) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(size) if start is None else start.clone())
        self.weight = nn.Parameter(torch.zeros(size, context)) if context else None

    def forward(self, context: Tensor | None) -> Tensor:
        """(..., size)."""
        if self.weight is None or context is None:
            return self.bias
        return F.linear(context, self.weight, self.bias).to(self.bias.dtype)


class Planar(Bijection):
    """y = x + u tanh(w'x + b), with w'u > -1 (Rezende & Mohamed 2015); the identity at the start.

    Forwards is one pass, backwards a bisection: what shall sample fast takes its ``Inverse``.

    log|det dy/dx| = log(1 + w'u (1 - tanh^2)).

    Args:
        shape: (D,).
        context: The number of features of the context that u, w and b depend on, 0 without one.
    """

    def __init__(self, shape: Shape, context: int = 0) -> None:
        super().__init__(shape, context)
        (size,) = self.shape
        start = torch.cat([torch.zeros(size), torch.randn(size) / size**0.5, torch.zeros(1)])
        self.parameters_of = Parameters(2 * size + 1, context, start)
        self.bent = Bent()

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """In one pass."""
        u, w, b, c = self._along(context)
        h = torch.tanh((w * x).sum(-1) + b)
        return x + u * h.unsqueeze(-1), torch.log1p(c * (1 - h.square()))

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """By the scalar equation for a = w'x: a + c tanh(a + b) = w'y."""
        u, w, b, c = self._along(context)
        a, log_det = self.bent.inverse((w * y).sum(-1), torch.stack([c, b]))
        return y - u * torch.tanh(a + b).unsqueeze(-1), log_det

    def _along(self, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """u, moved along w so that c = w'u > -1; w, b and c."""
        size = self.shape[0]
        u, w, b = self.parameters_of(context).split([size, size, 1], -1)
        free = (w * u).sum(-1, keepdim=True)
        c = above_minus_one(free)
        u = u + (c - free) * w / w.square().sum(-1, keepdim=True).clamp_min(TINY)
        return u, w, b.squeeze(-1), c.squeeze(-1)


class Householder(Bijection):
    """A product of reflections, y = H_K ... H_1 x with H_k x = x - 2 v_k v_k'x / |v_k|^2; the log-determinant is 0.

    Tomczak & Welling (2016) use it to turn a diagonal Gaussian posterior into one with a full covariance.

    Args:
        shape: (D,).
        context: The number of features of the context that the v_k depend on, 0 without one.
        reflections: K.
    """

    def __init__(self, shape: Shape, context: int = 0, reflections: int = 2) -> None:
        super().__init__(shape, context)
        (size,) = self.shape
        if reflections < 1:
            raise ValueError(f"reflections: expected at least 1, got {reflections}")
        self.parameters_of = Parameters(reflections * size, context, torch.randn(reflections * size))

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """One reflection after the other."""
        return self._reflected(x, self._vectors(context).unbind(-2))

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The same reflections, the last one first."""
        return self._reflected(y, self._vectors(context).unbind(-2)[::-1])

    def _vectors(self, context: Tensor | None) -> Tensor:
        return self.parameters_of(context).unflatten(-1, (-1, self.shape[0]))

    def _reflected(self, x: Tensor, vectors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        for v in vectors:
            x = reflected(x, v)
        return x, x.new_zeros(x.shape[:-1])


def reflected(x: Tensor, v: Tensor) -> Tensor:
    """x - 2 v v'x / |v|^2."""
    return x - 2 * v * ((v * x).sum(-1, keepdim=True) / v.square().sum(-1, keepdim=True).clamp_min(TINY))


class Sylvester(Bijection):
    """y = x + Q R tanh(S Q'x + b), Q orthonormal, R and S upper triangular (van den Berg et al. 2018).

    Q is a product of M Householder reflections, cut to M columns; the diagonals of R and S lie in (-1, 1), so that
    log|det dy/dx| = sum_i log(1 + R_ii S_ii (1 - tanh_i^2)) exists. It is the identity at the start.

    Forwards is one pass, backwards M bisections: what shall sample fast takes its ``Inverse``.

    Args:
        shape: (D,).
        context: The number of features of the context that all parameters depend on, 0 without one.
        columns: M; all D by default.
    """

    def __init__(self, shape: Shape, context: int = 0, columns: int | None = None) -> None:
        super().__init__(shape, context)
        (size,) = self.shape
        self.columns = m = size if columns is None else columns
        if not 1 <= m <= size:
            raise ValueError(f"columns: expected from 1 to {size}, got {columns}")
        start = torch.cat([torch.zeros(m * m), 0.1 * torch.randn(m * m), torch.zeros(m), torch.randn(m * size)])
        self.parameters_of = Parameters(len(start), context, start)
        self.bent = Bent()

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """In one pass."""
        r, s, b, q = self._factors(context)
        with full_precision(x):
            h = torch.tanh((s @ (q.mT @ x.unsqueeze(-1))).squeeze(-1) + b)
            y = x + (q @ (r @ h.unsqueeze(-1))).squeeze(-1)
        c = r.diagonal(dim1=-2, dim2=-1) * s.diagonal(dim1=-2, dim2=-1)
        return y, torch.log1p(c * (1 - h.square())).sum(-1)

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """By M scalar equations, the last row first: v_i + R_ii tanh(S_ii v_i + k_i) = g_i for v = Q'x."""
        r, s, b, q = self._factors(context)
        with full_precision(y):
            given = (q.mT @ y.unsqueeze(-1)).squeeze(-1)
        found: list[Tensor] = []  # v_i and h_i, of the rows below
        bent: list[Tensor] = []
        log_slopes: list[Tensor] = []
        for i in reversed(range(self.columns)):
            g, k = given[..., i], b[..., i]
            for j, (v, h) in enumerate(zip(found, bent, strict=True)):
                below = self.columns - 1 - j
                g, k = g - r[..., i, below] * h, k + s[..., i, below] * v
            c = r[..., i, i] * s[..., i, i]
            g, k, c = torch.broadcast_tensors(g, k, c)
            a, log_slope = self.bent.inverse(s[..., i, i] * g, torch.stack([c, k]))
            bent.append(torch.tanh(a + k))
            found.append(g - r[..., i, i] * bent[-1])
            log_slopes.append(log_slope)
        h = torch.stack(bent[::-1], -1)
        with full_precision(y):
            return y - (q @ (r @ h.unsqueeze(-1))).squeeze(-1), torch.stack(log_slopes).sum(0)

    def _factors(self, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """R, S, b and Q."""
        m, size = self.columns, self.shape[0]
        r, s, b, v = self.parameters_of(context).split([m * m, m * m, m, m * size], -1)
        vectors = v.unflatten(-1, (m, size))
        q = torch.eye(m, size, dtype=v.dtype, device=v.device)  # its rows are Q's columns
        for one in vectors.unbind(-2):
            q = reflected(q, one.unsqueeze(-2))
        return self._triangular(r), self._triangular(s), b, q.mT

    def _triangular(self, entries: Tensor) -> Tensor:
        square = entries.unflatten(-1, (self.columns, self.columns))
        diagonal = (1 - MARGIN) * torch.tanh(square.diagonal(dim1=-2, dim2=-1))
        return square.triu(1) + torch.diag_embed(diagonal)
