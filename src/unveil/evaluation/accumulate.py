"""Running sums over blocks of particles, so that thousands of them are never held at once.

For draws a_1, ..., a_K the mean and its variance are merged block by block (Chan et al. 1979). For importance weights
w_k = exp(log w_k), the log of their average l = log 1/K sum_k w_k has the error that the jackknife finds when it leaves
out one of G groups of draws at a time (Quenouille 1956, Tukey 1958)::

    Var[l] = (G - 1) / G sum_g (l_(-g) - mean_g l_(-g))^2        ESS = (sum_k w_k)^2 / sum_k w_k^2

Where a few weights outweigh all others it sees how far l falls without them, which the delta method (at most one nat)
does not. An effective sample size ESS of a few still says that the largest weight has not been met: trust neither.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

GROUPS = 25
"""Into how many groups the particles are dealt."""


class Moments:
    """The mean of each column of (K, B) values that come in blocks, and the variance of that mean."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self.squares = torch.zeros((), dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Take in a block, (k, B)."""
        values = values.double()
        k, total = len(values), self.count + len(values)
        mean = values.mean(0)
        shift = mean - self.mean
        self.squares = self.squares + (values - mean).square().sum(0) + shift.square() * (self.count * k / total)
        self.mean = self.mean + shift * (k / total)
        self.count = total

    @property
    def variance_of_mean(self) -> Tensor:
        """The variance of the mean, (B,); NaN for a single particle."""
        if self.count < 2:
            return torch.full_like(self.mean, torch.nan)
        return self.squares / ((self.count - 1) * self.count)


class LogMean:
    """log 1/K sum_k w_k of each column of (K, B) log-weights that come in blocks, with its error."""

    def __init__(self) -> None:
        self.counts = torch.zeros(GROUPS, dtype=torch.int64)
        self.log_sums = torch.full((GROUPS, 1), -torch.inf, dtype=torch.float64)
        self.log_sum_squares = torch.full((), -torch.inf, dtype=torch.float64)

    def add(self, log_w: Tensor) -> None:
        """Take in a block, (k, B), dealt out to the groups one by one."""
        k = len(log_w)
        log_w = functional.pad(log_w.double(), (0, 0, 0, -k % GROUPS), value=-torch.inf)
        dealt = log_w.reshape(-1, GROUPS, log_w.shape[1])
        self.counts += torch.bincount(torch.arange(k) % GROUPS, minlength=GROUPS)
        self.log_sums = torch.logaddexp(self.log_sums.to(log_w), dealt.logsumexp(0))
        self.log_sum_squares = torch.logaddexp(self.log_sum_squares, (2 * log_w).logsumexp(0))

    @property
    def value(self) -> Tensor:
        """log 1/K sum_k w_k, (B,)."""
        return self.log_sums.logsumexp(0) - math.log(self.counts.sum())

    @property
    def effective_sample_size(self) -> Tensor:
        """(sum_k w_k)^2 / sum_k w_k^2, (B,), between 1 and K; 0 where all weights are zero."""
        return (2 * self.log_sums.logsumexp(0) - self.log_sum_squares).exp().nan_to_num(0.0)

    @property
    def variance(self) -> Tensor:
        """The variance of :attr:`value`, (B,); infinite where one group has all the weight, NaN for one particle."""
        used = self.counts > 0
        g = int(used.sum())
        if g < 2:
            return torch.full_like(self.log_sum_squares, torch.nan)
        log_sums = self.log_sums[used.to(self.log_sums.device)]
        left_out = torch.eye(g, dtype=torch.bool, device=log_sums.device).unsqueeze(-1)
        others = log_sums.expand(g, *log_sums.shape).masked_fill(left_out, -torch.inf).logsumexp(1)  # (G, B)
        without = others - (self.counts.sum() - self.counts[used]).log().to(others).unsqueeze(1)
        return ((g - 1) / g * (without - without.mean(0)).square().sum(0)).nan_to_num(torch.inf)
