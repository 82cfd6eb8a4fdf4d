"""Standard noise from an explicit generator.

Every random number of the library is a transform of what these functions return, so that a draw is a function of a
generator's state and of nothing else.

Two kinds of generator are accepted. A :class:`torch.Generator` is one stream for a whole tensor. A
:class:`RowGenerators` has one stream per example, so that what an example draws does not depend on which other examples
are evaluated with it: a streamed evaluation then gives the same numbers for every chunk size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


class RowGenerators:
    """One stream of random numbers per example.

    Noise of shape (particles, batch, ...) is drawn row by row along the batch axis.

    Args:
        seed: The seed of the whole evaluation.
        rows: The examples' row numbers; equal row numbers (and seeds) give equal noise.
        device: Where noise is drawn.
    """

    def __init__(self, seed: int, rows: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.streams = [torch.Generator(self.device).manual_seed(mixed_seed(seed, int(row))) for row in rows]

    def draw(self, sampler: Callable[..., Tensor], shape: torch.Size, **options: Any) -> Tensor:
        """Noise of shape (particles, batch, ...), each row from its own stream."""
        if len(shape) < 2 or shape[1] != len(self.streams):
            raise ValueError(
                f"shape: expected (particles, {len(self.streams)}, ...), one row per stream, got {tuple(shape)}"
            )
        row = (shape[0], *shape[2:])
        return torch.stack([sampler(row, generator=stream, **options) for stream in self.streams], dim=1)


Generator = torch.Generator | RowGenerators | None
"""Where random numbers come from; ``None`` is torch's default generator."""


def normal(shape: Sequence[int], like: Tensor, generator: Generator = None) -> Tensor:
    """Standard normal noise with the dtype and device of ``like``."""
    return _noise(torch.randn, shape, like, generator)


def uniform(shape: Sequence[int], like: Tensor, generator: Generator = None) -> Tensor:
    """Uniform noise on [0, 1) with the dtype and device of ``like``."""
    return _noise(torch.rand, shape, like, generator)


def open_uniform(shape: Sequence[int], like: Tensor, generator: Generator = None) -> Tensor:
    """Uniform noise kept inside (0, 1), so that what has an infinite value at the ends stays finite."""
    info = torch.finfo(like.dtype)
    return uniform(shape, like, generator).clamp(info.tiny, 1 - info.eps)


def gumbel(shape: Sequence[int], like: Tensor, generator: Generator = None) -> Tensor:
    """Standard Gumbel noise, -log(-log u)."""
    return -torch.log(-torch.log(open_uniform(shape, like, generator)))


def log_gamma_noise(concentration: Tensor, shape: Sequence[int], generator: Generator = None) -> Tensor:
    """The logarithm of standard Gamma noise, differentiable in the concentration a.

    log G(a) = log G(a + 1) + log(u) / a (Marsaglia & Tsang 2000): finite where G(a) would be rounded to 0.
    """
    a = concentration.expand(tuple(shape))
    if isinstance(generator, RowGenerators):
        rows = [
            torch._standard_gamma(row + 1, generator=stream)
            for row, stream in zip(a.unbind(1), generator.streams, strict=True)
        ]
        above = torch.stack(rows, dim=1)
    else:
        above = torch._standard_gamma(a + 1, generator=generator)
    return above.log() + open_uniform(shape, concentration, generator).log() / a


def integers(high: int, shape: Sequence[int], device: torch.device, generator: Generator = None) -> Tensor:
    """Integers drawn uniformly from 0, 1, ..., high - 1."""

    def sampler(shape: Sequence[int], **options: Any) -> Tensor:
        return torch.randint(high, tuple(shape), **options)

    if isinstance(generator, RowGenerators):
        return generator.draw(sampler, torch.Size(shape), device=device)
    return sampler(shape, device=device, generator=generator)


def _noise(sampler: Callable[..., Tensor], shape: Sequence[int], like: Tensor, generator: Generator) -> Tensor:
    if isinstance(generator, RowGenerators):
        return generator.draw(sampler, torch.Size(shape), dtype=like.dtype, device=like.device)
    return sampler(tuple(shape), dtype=like.dtype, device=like.device, generator=generator)


def mixed_seed(seed: int, row: int) -> int:
    """A 63-bit hash of two integers (SplitMix64's finalizer, Steele et al. 2014): neighbours get unrelated streams."""
    mask = (1 << 64) - 1
    h = (seed * 0x9E3779B97F4A7C15 + row * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) & mask
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & mask
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & mask
    return (h ^ (h >> 31)) >> 1
