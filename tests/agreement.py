"""Agreement of Monte Carlo estimates with exact numbers, judged by the estimates' own standard errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

SIGMAS = 4.5
"""How many standard errors an estimate may be off: seeds are fixed, so a passing test keeps passing."""


def standard_error(draws: Tensor) -> Tensor:
    """The standard error of the mean over the first axis."""
    return draws.std(0) / len(draws) ** 0.5


def assert_mean(draws: Tensor, expected: Tensor | float) -> None:
    """The mean over the first axis is ``expected``, entry by entry, within its own standard error."""
    error = (draws.mean(0) - torch.as_tensor(expected)).abs()
    allowed = SIGMAS * standard_error(draws) + 1e-9
    assert (error < allowed).all(), f"mean {draws.mean(0)}, expected {expected}, allowed error {allowed}"


def assert_other_mean(draws: Tensor, expected: Tensor | float) -> None:
    """The mean over the first axis is *not* ``expected``: some entry is far outside its standard error."""
    error = (draws.mean(0) - torch.as_tensor(expected)).abs()
    distance = error / (standard_error(draws) + 1e-12)
    assert distance.max() > 3 * SIGMAS, f"mean {draws.mean(0)} agrees with {expected}: {distance} standard errors"


def gradients(loss: Callable[[], Tensor], parameters: Sequence[Tensor], repeats: int) -> Tensor:
    """Independent estimates of minus the gradient of a loss' batch mean, (repeats, entries of all parameters)."""
    rows = []
    for _ in range(repeats):
        found = torch.autograd.grad(loss().mean(), list(parameters), allow_unused=True)
        rows.append(flat([torch.zeros_like(p) if g is None else -g for g, p in zip(found, parameters, strict=True)]))
    return torch.stack(rows)


def gradient(value: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """The exact gradient of a number, (entries of all parameters,)."""
    return flat(torch.autograd.grad(value, list(parameters), retain_graph=True))


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All entries in one row."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
