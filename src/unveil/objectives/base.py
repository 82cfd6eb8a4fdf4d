"""What every objective is: a function of traces, with one value per example.

An objective is maximised. It says from which sources its traces come; a gradient estimator makes them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from unveil.distributions import Generator
from unveil.models import FromPosterior, Source, Trace
from unveil.parts import Part


class Objective(Part, ABC):
    """Traces -> one value per example, (B,) in nats.

    Args:
        particles: The number K of latent values for each example.
    """

    linear_in_log_q: bool = False
    """Whether log q enters linearly, with a weight that does not depend on it: then E_q[d log q] = 0 can be used."""
    function_of_log_w: bool = False
    """Whether the traces enter through log w alone."""

    def __init__(self, particles: int = 1) -> None:
        super().__init__()
        if particles < 1:
            raise ValueError(f"particles: expected at least 1, got {particles}")
        self.particles = particles

    @property
    def validation(self) -> Objective:
        """The bound on log p(x) that judges the model on validation data: the ELBO, where a class does not say."""
        from unveil.objectives.bounds import ELBO

        return ELBO(self.particles)

    def sources(self, generator: Generator, *, pathwise: bool) -> tuple[Source, ...]:
        """The sources of the traces that :meth:`forward` takes, in order."""
        subsample = not self.function_of_log_w  # one level of a chain has no importance weight
        return (FromPosterior(self.particles, generator, pathwise=pathwise, subsample=subsample),)

    @abstractmethod
    def forward(self, *traces: Trace) -> Tensor:
        """One value per example, (B,)."""
