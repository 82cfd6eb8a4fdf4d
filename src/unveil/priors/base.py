"""What every prior is: a module whose call returns p(z | parents, context)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor
from torch.distributions import Distribution

from unveil.parts import Part
from unveil.variables import Variable


class Prior(Part, ABC):
    """p(z | context).

    Args:
        latent_dim: The size d of z.
        context: The number of features of the context, 0 without one.
        x: What the model observes; only priors made of pseudo-inputs look at it.
    """

    def __init__(self, latent_dim: int, context: int = 0, x: Variable | None = None) -> None:
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"latent_dim: expected at least 1, got {latent_dim}")
        self.latent_dim, self.context = latent_dim, context

    @abstractmethod
    def forward(
        self,
        parents: Tensor | None = None,
        context: Tensor | None = None,
        *,
        posterior: Callable[..., Distribution] | None = None,
    ) -> Distribution:
        """p(z), of batch shape () where it is the same for all examples.

        Args:
            parents: The variables that z depends on, (..., features).
            context: What the model is conditioned on, (B, features).
            posterior: q(z | .), for priors that are mixtures of it; handed over, never held.
        """


PriorFactory = Callable[[int, int, Variable], Prior]
"""Makes a prior from ``latent_dim, context, x``: a class, or functools.partial of a class."""
