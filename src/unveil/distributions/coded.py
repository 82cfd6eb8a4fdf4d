"""Distributions over the vectors of a codebook.

A draw is a vector *and* the integer code that it belongs to; log-probabilities are those of the codes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Size, Tensor

from unveil.distributions.base import Distribution, sum_rightmost
from unveil.distributions.discrete import Categorical
from unveil.distributions.noise import Generator
from unveil.distributions.precision import full_precision


class Coded(Distribution):
    """A distribution over a codebook's vectors, given by one over its codes.

    Args:
        codes: A distribution over codes 0, 1, ..., C - 1.
        codebook: The codes' vectors, (C, d).
    """

    def __init__(self, codes: Distribution, codebook: Tensor) -> None:
        self.codes, self.codebook = codes, codebook
        super().__init__(codes.batch_shape, Size((*codes.event_shape, codebook.shape[-1])))

    def log_prob(self, value: Tensor) -> Tensor:
        """The codes' log-probability; ``value`` holds codes, not vectors."""
        return self.codes.log_prob(value)

    def draw_code(self, sample_shape: Sequence[int], generator: Generator) -> tuple[Tensor, Tensor]:
        """A vector and its code."""
        code = self.codes.sample(sample_shape, generator)
        return self.codebook[code], code

    @property
    def mode_code(self) -> tuple[Tensor, Tensor]:
        """The likeliest code's vector, and that code."""
        code = self.codes.mode
        return self.codebook[code], code

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        sample_shape = shape[: len(shape) - len(self.batch_shape) - len(self.event_shape)]
        return self.draw_code(sample_shape, generator)[0]


class Quantized(Coded):
    """All mass on the code nearest to an encoding: a vector-quantizing posterior (van den Oord et al. 2017).

    Its draw is the code's vector, with the gradient passed straight through to the encoding.

    Args:
        encoding: What is quantized, (\\*batch, \\*event, d).
        codebook: The codes' vectors, (C, d).
        event_dims: How many axes of codes make one event.
    """

    has_rsample = True

    def __init__(self, encoding: Tensor, codebook: Tensor, event_dims: int = 0) -> None:
        self.encoding = encoding
        distance = squared_distance(encoding, codebook)
        self.code = distance.argmin(-1)
        certain = torch.full_like(distance, -torch.inf).scatter(-1, self.code.unsqueeze(-1), 0.0)
        super().__init__(Categorical(certain, event_dims), codebook)

    def draw_code(self, sample_shape: Sequence[int], generator: Generator = None) -> tuple[Tensor, Tensor]:
        """The nearest vector, straight-through, and its code."""
        vector, code = self.mode_code
        return vector.expand(Size((*sample_shape, *vector.shape))), code.expand(Size((*sample_shape, *code.shape)))

    @property
    def mode_code(self) -> tuple[Tensor, Tensor]:
        """The nearest vector, straight-through, and its code."""
        return self.encoding + (self.codebook[self.code] - self.encoding).detach(), self.code

    def entropy(self) -> Tensor:
        """Zero: there is no choice."""
        zero = torch.zeros(self.code.shape, dtype=self.encoding.dtype, device=self.encoding.device)
        return sum_rightmost(zero, len(self.codes.event_shape))


@torch.no_grad()
def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Between vectors (\\*lead, d) and vectors (C, d): (\\*lead, C).

    |a|^2 + |b|^2 - 2 a.b loses digits where vectors are long beside their distances, so both are centred on b's mean
    first (in float32, codes are told apart whose distance is more than a thousandth of the codebook's extent); low
    precision, which autocast would choose for the product, is kept out.
    """
    centre = b.mean(0)
    a, b = a - centre, b - centre
    with full_precision(a):
        product = a @ b.to(a.dtype).mT
    return a.square().sum(-1, keepdim=True) + b.square().sum(-1) - 2 * product
