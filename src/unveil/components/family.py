"""Components of an exponential family: log p(x | k) = eta_k . T(x).

T(x) holds a one, by which eta_k says the normaliser, and what is sufficient: x, its square, which of the levels it is.
One matrix product gives all log-densities, another the statistics sum_n r_nk T(x_n), for all starts at once. Where
entries are missing there is a one for each entry instead, 0 where it is missing: entries are independent given k, so
that leaving an entry's terms out marginalises it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from unveil.components.base import Components, Statistics


class ExponentialFamily(Components[Any], ABC):
    """log p(x | k) = eta_k . T(x): what is seen of an example is T(x), (F, B)."""

    @abstractmethod
    def natural(self) -> tuple[Tensor, Tensor]:
        """eta: what goes with the ones, for each entry, (..., K, D), and all else, (..., K, F - D)."""

    @abstractmethod
    def from_moments(self, total: Tensor) -> None:
        """Take the parameters that maximise eta_k . total_k, total = sum_n r_nk T(x_n), (..., K, F)."""

    def log_prob(self, seen: Tensor) -> Tensor:
        """eta_k . T(x_b), (..., K, B)."""
        constant, others = self.natural()
        if seen.shape[-2] == 1 + others.shape[-1]:
            constant = constant.sum(-1, keepdim=True)
        return torch.cat([constant, others], -1) @ seen

    def statistics(self, seen: Tensor, r: Tensor) -> Statistics:
        """sum_b r_kb T(x_b), (..., K, F)."""
        return {"moments": r @ seen.mT}

    def maximize(self, statistics: Statistics) -> None:
        """The maximum-likelihood parameters."""
        self.from_moments(statistics["moments"])
