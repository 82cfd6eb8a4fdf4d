"""Linear maps of the entries of a vector, or of the channels of an image at each pixel: y = W x.

log|det dy/dx| is log|det W|, times the number of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unveil.distributions import full_precision
from unveil.flows.base import Bijection
from unveil.nets import Shape


class Permutation(Bijection):
    """The entries of a vector, or the channels of an image, in another order.

    Args:
        shape: (D,), or (channels, height, width).
        order: y_i = x_order[i]; backwards by default.
    """

    order: Tensor
    back: Tensor

    def __init__(self, shape: Shape, order: Sequence[int] | None = None) -> None:
        super().__init__(shape)
        size = self.shape[0]
        found = torch.arange(size).flip(0) if order is None else torch.as_tensor(order)
        if sorted(found.tolist()) != list(range(size)):
            raise ValueError(f"order: expected a permutation of 0, ..., {size - 1}, got {found.tolist()}")
        self.register_buffer("order", found)
        self.register_buffer("back", found.argsort())

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """x in the new order, and 0."""
        return self._ordered(x, self.order)

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """y in the old order, and 0."""
        return self._ordered(y, self.back)

    def _ordered(self, x: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        return x.index_select(x.dim() - len(self.shape), order), x.new_zeros(self.lead(x))


class Linear(Bijection):
    """y = P L U x, with a fixed permutation P, L unit lower triangular, and U upper triangular of diagonal +-e^s.

    For images it is Glow's invertible 1x1 convolution, parametrised by its LU decomposition (Kingma & Dhariwal 2018).
    log|det dy/dx| = sum_i s_i, times the number of pixels.

    Args:
        shape: (D,), or (channels, height, width).
        rotated: Whether it starts at a random rotation rather than at the identity.
    """

    order: Tensor
    back: Tensor
    signs: Tensor

    def __init__(self, shape: Shape, *, rotated: bool = True) -> None:
        super().__init__(shape)
        size = self.shape[0]
        start = torch.linalg.qr(torch.randn(size, size))[0] if rotated else torch.eye(size)
        permutation, lower, upper = torch.linalg.lu(start)
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_diagonal = nn.Parameter(upper.diagonal().abs().log())
        self.register_buffer("signs", upper.diagonal().sign())
        self.register_buffer("order", permutation.argmax(1))
        self.register_buffer("back", permutation.argmax(0))

    @property
    def weight(self) -> Tensor:
        """W = P L U."""
        lower, upper = self._factors()
        return (lower @ upper)[self.order]

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """W x."""
        columns = self._columns(x)
        with full_precision(x):
            if columns.numel() > 2 * len(self.order) ** 2:
                columns = self.weight @ columns
            else:  # fewer columns than it takes to make up for the product L U
                lower, upper = self._factors()
                columns = (lower @ (upper @ columns))[..., self.order, :]
        return self._entries(columns, x), self.same_for_all(self.log_diagonal, x)

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """U^-1 L^-1 P' y, by two triangular systems."""
        lower, upper = self._factors()
        columns = self._columns(y)[..., self.back, :]
        columns = torch.linalg.solve_triangular(lower, columns, upper=False, unitriangular=True)
        columns = torch.linalg.solve_triangular(upper, columns, upper=True)
        return self._entries(columns, y), -self.same_for_all(self.log_diagonal, y)

    def _factors(self) -> tuple[Tensor, Tensor]:
        identity = torch.eye(len(self.lower), dtype=self.lower.dtype, device=self.lower.device)
        diagonal = (self.signs * self.log_diagonal.exp()).diag()
        return self.lower.tril(-1) + identity, self.upper.triu(1) + diagonal

    def _columns(self, x: Tensor) -> Tensor:
        """Vectors as (D, rows), images as (..., channels, pixels)."""
        return x.flatten(1 - len(self.shape)) if self.shape[1:] else x.reshape(-1, self.shape[0]).mT

    def _entries(self, columns: Tensor, like: Tensor) -> Tensor:
        """The columns in the places where :meth:`_columns` found them."""
        return (columns if self.shape[1:] else columns.mT).reshape(like.shape)
