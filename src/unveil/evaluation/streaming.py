"""Walking over many examples with many particles in little memory, with numbers that do not depend on how.

Examples come in chunks; their particles come in blocks. An example's random numbers come from a stream of its own
(:class:`~unveil.distributions.RowGenerators`), which is read one block at a time; the size of a block is a function of
the model alone. So what an example draws is the same for every chunk size and every limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from unveil.distributions import RowGenerators
from unveil.models import Trace
from unveil.progress import Show

BLOCK = 250
"""Particles of a block: their random numbers are drawn at once."""
ELEMENTS = {"cpu": 2**21, "cuda": 2**26}
"""The entries of the largest tensor of one walk that run fastest (a CPU's caches hold them)."""
LARGEST_BLOCK = 2**23
"""Entries that one example's block may have."""


class Stream(IntEnum):
    """What random numbers are for: each purpose has streams of its own."""

    POSTERIOR = 0
    PRIOR = 1
    INFORMATION = 2
    MARGINAL = 3
    ENCODING = 4
    PILOT = 5
    ANNEALING = 6
    SIMULATION = 7


@dataclass(frozen=True)
class Streaming:
    """How the examples are walked over.

    Args:
        index: The row numbers that are evaluated.
        particles: Latent draws per example.
        entries: How many entries of the largest tensor one draw of one example makes.
        seed: Decides all random numbers.
        chunk: Examples per walk; None chooses.
        progress: Told how far it is.

    Raises:
        ValueError: If a number is below 1.
    """

    index: Tensor
    particles: int
    entries: int
    seed: int = 0
    chunk: int | None = None
    progress: Show | None = None

    def __post_init__(self) -> None:
        for name in ("particles", "chunk"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: expected at least 1, got {value}")

    def blocks(self) -> list[int]:
        """The sizes of the blocks that the particles come in."""
        block = min(self.particles, BLOCK, max(LARGEST_BLOCK // self.entries, 1))
        whole, rest = divmod(self.particles, block)
        return [block] * whole + [rest] * (rest > 0)

    def chunks(self, device: torch.device, what: str) -> Iterator[Tensor]:
        """The row numbers in chunks."""
        fitting = ELEMENTS.get(device.type, ELEMENTS["cuda"]) // (self.blocks()[0] * self.entries)
        if device.type == "cpu":
            keep_freed_memory()
        done = 0
        for rows in self.index.split(self.chunk or min(max(fitting, 1), 1024)):
            yield rows
            done += len(rows)
            if self.progress is not None:
                self.progress(what, done, len(self.index))

    def streams(self, rows: Tensor, purpose: Stream, device: torch.device) -> RowGenerators:
        """The examples' own streams of random numbers for one purpose."""
        return RowGenerators(seed_of(self.seed, purpose), rows.tolist(), device)


def keep_freed_memory() -> None:
    """Let the C library keep what a walk frees for the next walk.

    glibc's malloc hands freed memory back to the system, whose pages must then be cleared and mapped anew, until it has
    seen a block about as large being freed (mallopt(3), M_MMAP_THRESHOLD). An untouched block of 32 MiB, the most that
    it learns from, costs nothing and makes large evaluations a third faster.
    """
    torch.empty(2**25 - 2**14, dtype=torch.uint8)


def entries_of_a_draw(trace: Trace, features: int) -> int:
    """How many entries of the largest tensor one latent draw of one example makes.

    Args:
        trace: Two draws of a single example.
        features: The number of its observed entries.
    """
    distributions = [one for term in trace for one in (term.p, term.q) if one is not None]
    tensors = [tensor for one in distributions for tensor in vars(one).values() if isinstance(tensor, Tensor)]
    return max(features, *(tensor[0].numel() for tensor in tensors if tensor.shape[:2] == (2, 1)), 1)


def seed_of(seed: int, purpose: Stream) -> int:
    """A seed for one purpose."""
    return seed * len(Stream) + purpose
