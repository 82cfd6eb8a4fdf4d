"""Running sums over blocks of particles, so that thousands of them are never held at once.

For draws a_1, ..., a_K the mean and its variance are merged block by block (Chan et al. 1979). For importance weights
w_k = exp(log w_k) the log of the average is kept with its error by the delta method, and the effective sample size::

    log 1/K sum_k w_k        Var = sum_k w_k^2 / (sum_k w_k)^2 - 1/K        ESS = (sum_k w_k)^2 / sum_k w_k^2

ESS / K near 1 says that the draws fit the integrand; an ESS of a few says that neither the value nor its error can be
trusted: the largest weight has not been met.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """The mean of each column of (K, B) values that come in blocks, and the variance of that mean."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

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
        self.count = 0
        self.log_sum: Tensor | None = None
        self.log_sum_squares: Tensor | None = None

    def add(self, log_w: Tensor) -> None:
        """Take in a block, (k, B)."""
        log_w = log_w.double()
        self.count += len(log_w)
        self.log_sum = _joined(self.log_sum, log_w.logsumexp(0))
        self.log_sum_squares = _joined(self.log_sum_squares, (2 * log_w).logsumexp(0))

    @property
    def value(self) -> Tensor:
        """log 1/K sum_k w_k, (B,)."""
        return self.log_sum - torch.tensor(float(self.count), dtype=torch.float64).log().to(self.log_sum)

    @property
    def effective_sample_size(self) -> Tensor:
        """(sum_k w_k)^2 / sum_k w_k^2, (B,), between 1 and K; 0 where all weights are zero."""
        return (2 * self.log_sum - self.log_sum_squares).exp().nan_to_num(0.0)

    @property
    def variance(self) -> Tensor:
        """The variance of :attr:`value` by the delta method, (B,); NaN for a single particle."""
        if self.count < 2:
            return torch.full_like(self.log_sum, torch.nan)
        return ((self.log_sum_squares - 2 * self.log_sum).exp() - 1 / self.count).clamp_min(0.0)


def _joined(before: Tensor | None, block: Tensor) -> Tensor:
    return block if before is None else torch.logaddexp(before, block)
