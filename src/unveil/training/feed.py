"""Which rows each step sees: a pure function of the step, so that resuming needs no state."""

from __future__ import annotations

import torch

from unveil.data import Split, epoch_order
from unveil.distributions.noise import mixed_seed
from unveil.variables import Batch


class Feed:
    """The batches of a training run, for one of several processes.

    Every epoch is a new permutation; a global batch is cut into one piece per process.

    Args:
        split: The training rows.
        batch_size: The number of rows per process and step.
        seed: Decides the permutations.
        rank: This process's number.
        world: The number of processes.
    """

    def __init__(self, split: Split, batch_size: int, seed: int, rank: int = 0, world: int = 1) -> None:
        if len(split) < world:
            raise ValueError(f"data: expected at least a row for each of {world} processes, got {len(split)} rows")
        self.split, self.seed, self.rank, self.world = split, seed, rank, world
        self.global_size = min(batch_size * world, len(split))
        full, rest = divmod(len(split), self.global_size)
        self.steps_per_epoch = full + (rest >= world)  # a rest that can't serve every process waits for another epoch
        self._epoch, self._order = -1, torch.empty(0)

    def global_rows(self, step: int) -> torch.Tensor:
        """The row numbers of all processes together."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            order = epoch_order(len(self.split), self.seed, epoch)
            self._epoch, self._order = epoch, order.to(self.split.device)
        return self._order[position * self.global_size : (position + 1) * self.global_size]

    def batch(self, step: int, generator: torch.Generator) -> tuple[Batch, float]:
        """This process's rows, and the factor that makes the mean over processes of (factor x sum of losses) the mean
        over the global batch."""
        rows = self.global_rows(step)
        mine = rows.tensor_split(self.world)[self.rank]
        return self.split.batch(mine, generator), self.world / len(rows)

    def noise(self, step: int, device: torch.device) -> torch.Generator:
        """Where this process's random numbers of that step come from."""
        return torch.Generator(device).manual_seed(mixed_seed(self.seed, step * self.world + self.rank))

    def epoch(self, step: float) -> float:
        """The passes over the data after that many steps."""
        return step / self.steps_per_epoch
