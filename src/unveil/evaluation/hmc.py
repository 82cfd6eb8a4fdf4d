"""Hamiltonian Monte Carlo transitions that leave a given density invariant (Neal 2011).

With momentum r ~ N(0, I) and step size e, one leapfrog step for the log-density f is::

    r <- r + e/2 grad f(z)        z <- z + e r        r <- r + e/2 grad f(z)

and after L of them the move is accepted with probability min(1, exp(H(z, r) - H(z', r'))), H = -f(z) + |r|^2 / 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from unveil.distributions.base import sum_rightmost
from unveil.distributions.noise import Generator, normal, uniform


class State(NamedTuple):
    """Where the chains are.

    Args:
        z: (C, B, \\*event).
        log_prior: log p(z), (C, B).
        log_likelihood: log p(x | z), (C, B).
        gradient: Of the tempered log-density with respect to z, (C, B, \\*event).
    """

    z: Tensor
    log_prior: Tensor
    log_likelihood: Tensor
    gradient: Tensor

    def energy(self, beta: float, momentum: Tensor) -> Tensor:
        """H = -log p(z) - beta log p(x | z) + |r|^2 / 2, (C, B)."""
        kinetic = 0.5 * sum_rightmost(momentum.square(), momentum.dim() - 2)
        return kinetic - self.log_prior - beta * self.log_likelihood


At = Callable[[Tensor, float], State]
"""Makes the state at z for the density p(z) p(x | z)^beta."""


def transition(
    at: At, state: State, beta: float, step: Tensor, leapfrogs: int, generator: Generator
) -> tuple[State, Tensor]:
    """One transition of every chain.

    Args:
        at: Evaluates the density.
        state: Where the chains are; its gradient is that at ``beta``.
        beta: The power of the likelihood.
        step: The step size of each chain, (C, B).
        leapfrogs: The number L of leapfrog steps.
        generator: Where random numbers come from.

    Returns:
        The new state, and the probability with which each chain's move was accepted, (C, B).
    """
    size = step.reshape(*step.shape, *(1,) * (state.z.dim() - 2))
    start = momentum = normal(state.z.shape, state.z, generator)
    proposed = state
    for _ in range(leapfrogs):
        momentum = momentum + 0.5 * size * proposed.gradient
        proposed = at(proposed.z + size * momentum, beta)
        momentum = momentum + 0.5 * size * proposed.gradient
    change = state.energy(beta, start) - proposed.energy(beta, momentum)
    accepted = change.exp().clamp(max=1.0).nan_to_num(0.0)
    taken = uniform(accepted.shape, accepted, generator) < accepted

    def choose(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(taken.reshape(*taken.shape, *(1,) * (new.dim() - 2)), new, old)

    return State(*(choose(new, old) for new, old in zip(proposed, state, strict=True))), accepted
