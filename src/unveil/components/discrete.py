"""Components of whole numbers: products of binomial and of categorical distributions.

A probability is kept from 0 and 1: an example that one component has never seen would be impossible otherwise. The
maximum within these limits is known in closed form, so that the likelihood still never falls.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil import distributions
from unveil.components.base import columns, shaped, shares
from unveil.components.family import ExponentialFamily
from unveil.variables import Variable

FLOOR = 1e-4
"""The smallest probability of a level."""


def _require_levels(name: str, x: Variable) -> None:
    if x.levels is None:
        raise ValueError(f"x: {name} expects whole numbers 0, 1, ..., got real numbers; use Full or Diagonal")


def _check_floor(floor: float, levels: int) -> None:
    if not 0 < floor < 1 / levels:
        raise ValueError(f"floor: expected a probability above 0 and below 1/{levels}, got {floor}")


class Binomial(ExponentialFamily):
    """p(x | k) = prod_d C(L - 1, x_d) p_kd^x_d (1 - p_kd)^(L - 1 - x_d), x_d in 0, ..., L - 1; Bernoulli for L = 2.

    Args:
        x: What is observed.
        components: K.
        floor: The smallest p_kd and 1 - p_kd.

    Raises:
        ValueError: For real numbers.
    """

    def __init__(self, x: Variable, components: int, floor: float = FLOOR) -> None:
        super().__init__(x, components)
        _check_floor(floor, 2)
        self.floor = floor
        self.logits = nn.Parameter(torch.zeros(components, x.features))

    def require(self, x: Variable) -> None:
        """Whole numbers."""
        _require_levels(type(self).__name__, x)

    @property
    def total(self) -> int:
        """The number of tries, L - 1."""
        return (self.x.levels or 2) - 1

    def forward(self, k: Tensor) -> distributions.Factorized:
        """A product of binomial (of Bernoulli) distributions."""
        logits = shaped(self.logits[k], self.x.shape)
        if self.total == 1:
            return distributions.Bernoulli(logits, len(self.x.shape))
        return distributions.Binomial(self.total, logits, len(self.x.shape))

    def see(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Ones, log C(L - 1, x) and x."""
        seen = columns(x, mask)
        n, counts = seen.x.new_tensor(float(self.total)), seen.x
        choices = torch.lgamma(n + 1) - torch.lgamma(counts + 1) - torch.lgamma(n - counts + 1)
        return torch.cat([seen.ones, choices.sum(0, keepdim=True), counts])

    def natural(self) -> tuple[Tensor, Tensor]:
        """n log(1 - p), and 1, log p/(1 - p)."""
        logits = self.logits
        return self.total * F.logsigmoid(-logits), torch.cat([torch.ones_like(logits[..., :1]), logits], -1)

    def from_moments(self, total: Tensor) -> None:
        """p = sum r x / (n sum r), kept from 0 and 1."""
        d = self.x.features
        ones, x = total[..., : -d - 1], total[..., -d:]
        p = (x / (self.total * ones)).clamp(self.floor, 1 - self.floor)
        self.logits.copy_(torch.where(ones > 0, p.logit(), self.logits))

    def coordinates(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x itself."""
        return columns(x, mask).x

    @property
    def means(self) -> Tensor:
        """E[x | k], (..., K, \\*shape)."""
        return shaped(self.total * self.logits.detach().sigmoid(), self.x.shape)

    @property
    def collapsed(self) -> Tensor:
        """None: probabilities have an upper limit."""
        return torch.zeros(self.logits.shape[:-1], dtype=torch.bool, device=self.logits.device)

    @property
    def free(self) -> int:
        """K D."""
        return self.logits.numel()

    def width(self, starts: int, *, missing: bool) -> int:
        """T(x)."""
        return 2 + self.x.features


class Categorical(ExponentialFamily):
    """p(x | k) = prod_d p_kd[x_d], x_d in 0, ..., L - 1.

    Args:
        x: What is observed.
        components: K.
        floor: The smallest p_kd[l].

    Raises:
        ValueError: For real numbers.
    """

    def __init__(self, x: Variable, components: int, floor: float = FLOOR) -> None:
        super().__init__(x, components)
        _check_floor(floor, self.levels)
        self.floor = floor
        self.logits = nn.Parameter(torch.zeros(components, x.features, self.levels))

    def require(self, x: Variable) -> None:
        """Whole numbers."""
        _require_levels(type(self).__name__, x)

    @property
    def levels(self) -> int:
        """The number L of values."""
        return self.x.levels or 2

    def forward(self, k: Tensor) -> distributions.Categorical:
        """A product of categorical distributions."""
        logits = self.logits[k]
        return distributions.Categorical(logits.reshape(*k.shape, *self.x.shape, self.levels), len(self.x.shape))

    def see(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Which level each entry is, one-hot; all 0 where it is missing."""
        seen = columns(x, mask)
        one_hot = torch.zeros(*seen.x.shape, self.levels, dtype=torch.double, device=x.device)
        one_hot.scatter_(-1, seen.x.long().unsqueeze(-1), 1.0)
        if mask is not None:
            one_hot *= seen.ones.unsqueeze(-1)
        return one_hot.transpose(1, 2).flatten(0, 1).contiguous()

    def natural(self) -> tuple[Tensor, Tensor]:
        """log p of each level: no constant goes with them."""
        logits = self.logits.log_softmax(-1).flatten(-2)
        return logits[..., :0], logits

    def from_moments(self, total: Tensor) -> None:
        """p[l] = sum r [x = l] / sum r, with none below the floor."""
        counts = total.unflatten(-1, (self.x.features, self.levels))
        self.logits.copy_(_raised(shares(counts, self.logits.log_softmax(-1)), self.floor))

    def coordinates(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Which level each entry is: levels are as far from each other as any two."""
        return self.see(x, mask)

    @property
    def means(self) -> Tensor:
        """E[x | k], (..., K, \\*shape)."""
        return self.probabilities @ torch.arange(self.levels).to(self.logits)

    @property
    def probabilities(self) -> Tensor:
        """p_kd[l], (..., K, \\*shape, L)."""
        p = self.logits.detach().softmax(-1)
        return p.reshape(*p.shape[:-2], *self.x.shape, self.levels)

    @property
    def collapsed(self) -> Tensor:
        """None: probabilities have an upper limit."""
        return torch.zeros(self.logits.shape[:-2], dtype=torch.bool, device=self.logits.device)

    @property
    def free(self) -> int:
        """K D (L - 1)."""
        return self.components * self.x.features * (self.levels - 1)

    def width(self, starts: int, *, missing: bool) -> int:
        """T(x)."""
        return self.x.features * self.levels


def _raised(log_p: Tensor, floor: float) -> Tensor:
    """The maximum of sum_l n_l log p_l among p_l >= floor, from the shares n_l: those below the floor are raised to it,
    the others share what is left."""
    p = log_p.exp()
    low = torch.zeros_like(p, dtype=torch.bool)
    while (below := (p < floor) & ~low).any():  # at most L - 1 turns
        low |= below
        rest = 1 - floor * low.sum(-1, keepdim=True)
        kept = log_p.exp().masked_fill(low, 0)
        p = torch.where(low, floor, rest * kept / kept.sum(-1, keepdim=True))
    return p.log()
