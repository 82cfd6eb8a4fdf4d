"""Models whose posterior is exact, and whose parameters EM finds.

With q(z | x) = p(z | x), the ELBO is log p(x): the gap is zero. What is called the free energy elsewhere (Neal & Hinton
1998) is minus that bound.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from unveil.components import Statistics
from unveil.models.alternating import Alternating, no_context
from unveil.variables import Batch, Observed, Variable


class EMModel(Alternating, ABC):
    """A model whose posterior is exact, and whose M-step has a closed form.

    Args:
        x: What is observed.
        context: Must be None: p(x) depends on nothing.
    """

    exact_posterior = True

    def __init__(self, x: Variable, context: Variable | None = None) -> None:
        no_context(self, context)
        super().__init__(x)

    @property
    @abstractmethod
    def free(self) -> int:
        """The number of free parameters, which information criteria count."""

    def observations(self, statistics: Statistics, weight: float) -> float:
        """How many observations examples of these statistics, which weigh so much together, are: N of the BIC."""
        return weight

    @torch.no_grad()
    def log_prob(self, x: Observed | Batch) -> Tensor:
        """log p(x), (B,) in nats, exactly; of what is observed, where a Batch with a mask says that some is missing."""
        return self.expect(self.some(x))[0]
