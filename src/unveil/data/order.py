"""The order in which an epoch visits its rows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """A random permutation of the rows 0, ..., n - 1 that depends on the seed and the epoch, and on nothing else.

    A run that resumes in the middle of an epoch asks for the same order again: there is no state to save.

    Args:
        n: The number of rows.
        seed: The run's seed, at least 0.
        epoch: The number of the epoch, at least 0.

    Returns:
        The row numbers, (n,), int64, on the CPU.

    Raises:
        ValueError: Where ``n`` is below 1, or ``seed`` or ``epoch`` below 0.

    Example:
        >>> sorted(epoch_order(5, seed=0, epoch=3).tolist())
        [0, 1, 2, 3, 4]
    """
    for argument, value, least in (("n", n, 1), ("seed", seed, 0), ("epoch", epoch, 0)):
        if value < least:
            raise ValueError(f"{argument}: expected a whole number of at least {least}, got {value}")
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(n))
