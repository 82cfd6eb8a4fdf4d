"""The forward and the backward pass over chains of states.

With b_t[k] = p(x_t | z_t = k), two recursions, which are one and the same with time and A turned around::

    alpha_1 = pi b_1,    alpha_t+1[j] = b_t+1[j] sum_i alpha_t[i] A[i, j],    p(x) = sum_k alpha_T[k]
    omega_T = b_T,       omega_t[i]   = b_t[i] sum_j A[i, j] omega_t+1[j]

say all that is asked of the chain: with beta_t[i] = sum_j A[i, j] omega_t+1[j] (and beta_T = 1),

    p(z_t = k | x) = alpha_t[k] beta_t[k] / p(x)
    p(z_t = i, z_t+1 = j | x) = alpha_t[i] A[i, j] omega_t+1[j] / p(x)
    p(z_t+1 = j | z_t = i, x) = A[i, j] omega_t+1[j] / beta_t[i]

All is done in logarithms: states that are impossible (left-to-right models) and surprising observations need no care.
(Gradients are not defined where something is impossible; EM needs none.)
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from unveil.distributions import MarkovChain

NARROW, LONG = 2**12, 32
"""Where a step works on fewer numbers than NARROW, once for each state that it may come from, steps are made in blocks
of a sequence side by side, if there are more than LONG."""
AT_ONCE = 2**20
"""How many numbers pairs of states are summed of at a time."""


class Passes:
    """The forward and the backward pass over a batch of sequences.

    Args:
        log_initial: log pi, (..., K).
        log_transition: log A, (..., K, K).
        log_b: log p(x_t | k), (T, ..., B, K).
    """

    def __init__(self, log_initial: Tensor, log_transition: Tensor, log_b: Tensor) -> None:
        self.log_transition, self.log_b = log_transition.unsqueeze(-3), log_b
        first = torch.stack([log_initial, torch.zeros_like(log_initial)]).unsqueeze(-2)
        turned = torch.stack([self.log_transition, self.log_transition.mT])
        self.log_alpha, backward = messages(first, turned, torch.stack([log_b, log_b.flip(0)], 1)).unbind(1)
        self.log_omega = backward.flip(0)
        self.log_p = self.log_alpha[-1].logsumexp(-1)
        """log p(x), (..., B)."""

    @cached_property
    def log_states(self) -> Tensor:
        """log p(z_t | x), (T, ..., B, K)."""
        log_joint = self.log_alpha + self.log_omega - self.log_b - self.log_p.unsqueeze(-1)
        return torch.where(self.log_b > -torch.inf, log_joint, -torch.inf)

    def pairs(self, weight: Tensor) -> Tensor:
        """sum_tb w_tb p(z_t = i, z_t+1 = j | x_b), (..., K, K), for weights (T - 1, ..., B), or (B,)."""
        total = torch.zeros_like(self.log_transition.squeeze(-3))
        before = self.log_alpha[:-1] + (weight.log() - self.log_p).unsqueeze(-1)
        at_once = max(1, AT_ONCE // (before[:1].numel() * before.shape[-1] or 1))
        for one, other in zip(before.split(at_once), self.log_omega[1:].split(at_once), strict=True):
            log_pairs = one.unsqueeze(-1) + self.log_transition + other.unsqueeze(-2)
            total = total + log_pairs.exp_().sum((0, -3))
        return total

    def posterior(self) -> MarkovChain:
        """p(z | x), a Markov chain; uniform after a state that is impossible."""
        log_joint = self.log_transition + self.log_omega[1:].unsqueeze(-2)
        log_beta = log_joint.logsumexp(-1, keepdim=True)
        after = torch.where(log_beta > -torch.inf, log_joint - log_beta, -math.log(log_joint.shape[-1]))
        return MarkovChain(self.log_states[0], after.movedim(0, -3))


def messages(log_first: Tensor, log_transition: Tensor, log_b: Tensor) -> Tensor:
    """log m_t, where m_1 = first b_1 and m_t+1[j] = b_t+1[j] sum_i m_t[i] A[i, j], (T, ..., B, K).

    Where a step is too small to keep a machine busy, the sequence is cut into blocks. What each block makes of every
    state that it may begin in is found for all blocks side by side; then only the beginnings follow each other. That is
    about 2 sqrt(T) steps for T, of K times as many numbers.

    Args:
        log_first: (..., B or 1, K).
        log_transition: log A, (..., B or 1, K, K).
        log_b: (T, ..., B, K).
    """
    length, states = log_b.shape[0], log_b.shape[-1]
    if length > LONG and log_b[0].numel() * states**2 < NARROW:
        return _blocks(log_first, log_transition, log_b)
    found = [log_first + log_b[0]]
    for b in log_b[1:]:
        found.append(b + _product(found[-1], log_transition))
    return torch.stack(found)


def _blocks(log_first: Tensor, log_transition: Tensor, log_b: Tensor) -> Tensor:
    """The messages, by blocks side by side."""
    after = len(log_b) - 1
    blocks = math.isqrt(after)
    size = -(-after // blocks)
    padded = torch.cat([log_b[1:], log_b.new_zeros(blocks * size - after, *log_b.shape[1:])])
    each = padded.unflatten(0, (blocks, size)).transpose(0, 1).unsqueeze(-2)  # (size, blocks, ..., B, 1, K)
    within = [log_transition + each[0]]  # [i, j]: from state i before the block to j
    for b in each[1:]:
        within.append(b + _product(within[-1], log_transition.unsqueeze(-3)))
    paths = torch.stack(within)
    begin = [log_first + log_b[0]]
    for block in paths[-1]:
        begin.append(_product(begin[-1], block))
    found = _product(torch.stack(begin[:-1]), paths).transpose(0, 1).flatten(0, 1)
    return torch.cat([begin[0].unsqueeze(0), found[:after]])


def _product(log_m: Tensor, log_a: Tensor) -> Tensor:
    """log sum_i m[i] A[i, j], (..., K)."""
    return (log_m.unsqueeze(-1) + log_a).logsumexp(-2)
