"""Markov chains over finitely many states."""

from __future__ import annotations

import torch
from torch import Size, Tensor

from unveil.distributions.base import Distribution
from unveil.distributions.discrete import entropy_terms, inverse_cdf
from unveil.distributions.noise import Generator, uniform


class MarkovChain(Distribution):
    """p(z) = pi[z_1] prod_t A_t[z_t, z_t+1] of sequences of states 0, ..., K - 1, event shape (T,).

    Args:
        log_initial: Normalised log pi, (\\*batch, K).
        log_transitions: Normalised log A_t[from, to], (\\*batch, T - 1, K, K); one A for all t is expanded to that.
    """

    def __init__(self, log_initial: Tensor, log_transitions: Tensor) -> None:
        batch = torch.broadcast_shapes(log_initial.shape[:-1], log_transitions.shape[:-3])
        self.log_initial = log_initial.expand(*batch, -1)
        self.log_transitions = log_transitions.expand(*batch, -1, -1, -1)
        super().__init__(batch, Size((log_transitions.shape[-3] + 1,)))

    def log_prob(self, value: Tensor) -> Tensor:
        """log pi[z_1] + sum_t log A_t[z_t, z_t+1]."""
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        value = value.long().expand(*shape, -1)
        first = self.log_initial.expand(*shape, -1).gather(-1, value[..., :1]).squeeze(-1)
        after = self.log_transitions.expand(*shape, -1, -1, -1)
        rows = after.gather(-2, _indexing(value[..., :-1], after.shape[-1])).squeeze(-2)
        return first + rows.gather(-1, value[..., 1:].unsqueeze(-1)).squeeze(-1).sum(-1)

    @property
    def mode(self) -> Tensor:
        """The likeliest sequence (Viterbi)."""
        best, steps = self.log_initial, []
        for t in range(self.event_shape[0] - 1):
            best, came = (best.unsqueeze(-1) + self.log_transitions[..., t, :, :]).max(-2)
            steps.append(came)
        path = [best.argmax(-1, keepdim=True)]
        for came in reversed(steps):
            path.append(came.gather(-1, path[-1]))
        return torch.cat(path[::-1], -1)

    def marginals(self) -> Tensor:
        """log p(z_t), (\\*batch, T, K)."""
        log_p = [self.log_initial]
        for t in range(self.event_shape[0] - 1):
            log_p.append((log_p[-1].unsqueeze(-1) + self.log_transitions[..., t, :, :]).logsumexp(-2))
        return torch.stack(log_p, -2)

    def entropy(self) -> Tensor:
        """H = H[z_1] + sum_t H[z_t+1 | z_t], in nats."""
        log_p = self.marginals()
        after = entropy_terms(self.log_transitions).sum(-1)
        return entropy_terms(self.log_initial).sum(-1) + (log_p[..., :-1, :].exp() * after).sum((-2, -1))

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        u = uniform(shape, self.log_initial, generator)
        states = [inverse_cdf(self.log_initial.exp(), u[..., 0])]
        transitions = self.log_transitions.exp().expand(*shape[:-1], -1, -1, -1)
        for t in range(shape[-1] - 1):
            rows = transitions[..., t, :, :].gather(-2, _indexing(states[-1], transitions.shape[-1])).squeeze(-2)
            states.append(inverse_cdf(rows, u[..., t + 1]))
        return torch.stack(states, -1)


def _indexing(states: Tensor, levels: int) -> Tensor:
    """Indices that take the rows of these states, (..., 1, K)."""
    return states[..., None, None].expand(*states.shape, 1, levels)
