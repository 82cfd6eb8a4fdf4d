"""The shares of components as random variables: Dirichlet, and a truncated stick-breaking process.

With N_k examples expected in component k, q(pi) has a closed form of the same kind as p(pi); the first turn needs
E_q[log pi_k], the bound KL(q(pi) || p(pi)).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from unveil.components.base import require_components
from unveil.distributions.dirichlet import dirichlet_kl, dirichlet_log
from unveil.parts import Part


class Weighting(Part, ABC):
    """q(pi) of the shares pi_1, ..., pi_K.

    Args:
        components: K.
        concentration: How much each share expects before it has seen an example.
    """

    def __init__(self, components: int, concentration: float) -> None:
        super().__init__()
        require_components(components)
        if not concentration > 0:
            raise ValueError(f"concentration: expected a positive number, got {concentration}")
        self.components, self.concentration = components, concentration

    @property
    @abstractmethod
    def expected_log(self) -> Tensor:
        """E_q[log pi_k], (..., K)."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """E_q[pi_k], (..., K)."""

    @property
    @abstractmethod
    def cost(self) -> Tensor:
        """KL(q(pi) || p(pi)), (...)."""

    @abstractmethod
    def maximize(self, counts: Tensor) -> None:
        """Take the q(pi) that maximises the bound, for N_k examples in each component, (..., K)."""

    @abstractmethod
    def order(self, counts: Tensor) -> Tensor:
        """The order of the components that the prior finds likeliest, (..., K): those of a Dirichlet are all alike."""


class Dirichlet(Weighting):
    """p(pi) = Dirichlet(a, ..., a), q(pi) = Dirichlet(a + N_1, ..., a + N_K).

    Args:
        components: K.
        concentration: a; 1 / K by default, which empties components that are not needed.
    """

    def __init__(self, components: int, concentration: float | None = None) -> None:
        super().__init__(components, 1 / max(components, 1) if concentration is None else concentration)
        self.alpha = nn.Parameter(torch.full((components,), self.concentration))

    @property
    def expected_log(self) -> Tensor:
        """psi(alpha_k) - psi(sum alpha)."""
        return dirichlet_log(self.alpha)

    @property
    def mean(self) -> Tensor:
        """alpha_k / sum alpha."""
        return self.alpha / self.alpha.sum(-1, keepdim=True)

    @property
    def cost(self) -> Tensor:
        """KL between Dirichlet distributions."""
        return dirichlet_kl(self.alpha, torch.full_like(self.alpha, self.concentration))

    def maximize(self, counts: Tensor) -> None:
        """alpha_k = a + N_k."""
        self.alpha.copy_(self.concentration + counts)

    def order(self, counts: Tensor) -> Tensor:
        """As they are."""
        return torch.arange(self.components, device=counts.device).expand(counts.shape)


class StickBreaking(Weighting):
    """A Dirichlet process, cut off at K components: pi_k = v_k prod_{j<k} (1 - v_j), v_k ~ Beta(1, g), v_K = 1.

    q(v_k) = Beta(1 + N_k, g + N_k+1 + ... + N_K) (Blei & Jordan 2006). The prior expects large components first: they
    are put in the order that it finds likeliest, which raises the bound.

    Args:
        components: K, the largest number of components.
        concentration: g: larger expects more components.
    """

    def __init__(self, components: int, concentration: float = 1.0) -> None:
        super().__init__(components, concentration)
        self.sticks = nn.Parameter(torch.tensor([1.0, self.concentration]).repeat(components - 1, 1))

    @property
    def expected_log(self) -> Tensor:
        """E[log v_k] + sum_{j<k} E[log (1 - v_j)]."""
        taken, left = dirichlet_log(self.sticks).unbind(-1)
        zero = torch.zeros_like(self.sticks.sum((-2, -1), keepdim=True).squeeze(-1))
        return torch.cat([taken, zero], -1) + torch.cat([zero, left.cumsum(-1)], -1)

    @property
    def mean(self) -> Tensor:
        """E[v_k] prod_{j<k} E[1 - v_j]: sticks are independent."""
        taken, left = (self.sticks / self.sticks.sum(-1, keepdim=True)).unbind(-1)
        one = torch.ones_like(self.sticks.sum((-2, -1), keepdim=True).squeeze(-1))
        return torch.cat([taken, one], -1) * torch.cat([one, left.cumprod(-1)], -1)

    @property
    def cost(self) -> Tensor:
        """The sum of the sticks' KL."""
        return dirichlet_kl(self.sticks, torch.tensor([1.0, self.concentration]).to(self.sticks)).sum(-1)

    def maximize(self, counts: Tensor) -> None:
        """Beta(1 + N_k, g + sum_{j>k} N_j)."""
        after = counts.flip(-1).cumsum(-1).flip(-1)[..., 1:]
        self.sticks.copy_(torch.stack([1 + counts[..., :-1], self.concentration + after], -1))

    def order(self, counts: Tensor) -> Tensor:
        """The largest first, but for the last, which takes what is left: the one that makes the counts likeliest."""
        order = counts.argsort(dim=-1, descending=True, stable=True)
        every = torch.arange(self.components, device=counts.device)
        moved = every + (every >= every.unsqueeze(-1)).to(every)  # row i: i is left out, ...
        moved[:, -1] = every  # ... and comes last
        sorted_counts = counts.take_along_dim(order, -1)
        arranged = sorted_counts[..., moved]
        after = arranged.flip(-1).cumsum(-1).flip(-1)[..., 1:]
        a, b = 1 + arranged[..., :-1], self.concentration + after
        evidence = (torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)).sum(-1)
        likeliest = evidence >= evidence.amax(-1, keepdim=True) - 1e-9  # of those as likely, the one that moves least
        return order.take_along_dim(moved[(likeliest * every).argmax(-1)], -1)


WeightingFactory = Callable[[int], Weighting]
"""Makes a weighting from K: a class, or functools.partial of a class."""
