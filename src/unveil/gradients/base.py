"""What every gradient estimator is: a pass through the model that ends in a surrogate loss.

The surrogate's *gradient* estimates minus the gradient of the objective's expectation; its value may mean nothing. The
objective's own value comes beside it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor

from unveil.distributions import Generator
from unveil.models import Model, Trace
from unveil.objectives import Objective
from unveil.parts import Part
from unveil.variables import Batch


class Step(NamedTuple):
    """What one pass gives: the surrogate loss and the objective's value, (B,) each, and the traces."""

    loss: Tensor
    value: Tensor
    traces: tuple[Trace, ...]


class Gradient(Part, ABC):
    """An estimator of an objective's gradient. Its own state (baselines, temperatures) is in the checkpoint."""

    @abstractmethod
    def check(self, objective: Objective) -> None:
        """Raise a ValueError, with the reason, if this estimator is wrong for that objective."""

    @abstractmethod
    def forward(self, model: Model, objective: Objective, batch: Batch, generator: Generator = None) -> Step:
        """One pass."""
