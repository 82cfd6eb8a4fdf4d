"""The life of a part.

A part is a module that a model is made of. Beside its forward pass it may want to look at the data before the first
step, at the traces that pass by, and at the progress of training. Each of these does nothing unless a part says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unveil.config import Configurable
from unveil.variables import Variable

if TYPE_CHECKING:
    from unveil.models.trace import Trace


@dataclass(frozen=True)
class Progress:
    """How far training is.

    Args:
        step: Optimizer steps taken.
        epoch: Passes over the training data, a fraction within one.
        epochs: How many passes there will be.
    """

    step: int
    epoch: float
    epochs: float


class Part(Configurable, nn.Module):
    """A module with a life: `initialize` once, `observe` and `after_step` at every step, calibration at the end.

    State that these keep must be a buffer or a parameter, so that checkpoints hold it.
    """

    variable: Variable | None = None
    """The observed variable that this part is about, and whose training data it wants to look at; None for none."""

    def initialize(self, x: Tensor, generator: torch.Generator) -> None:
        """Look at training data before the first step (output biases, pseudo-inputs, scales of inputs).

        Args:
            x: Many training examples of :attr:`variable`, (N, \\*shape), as floating point numbers: NaN where an entry
                is missing.
            generator: Where random choices come from.
        """

    starts_from_data: bool = False
    """Whether it takes its start from what passes through it before the first step, as :meth:`begin_initialization`
    prepares."""

    def begin_initialization(self) -> bool:
        """Prepare to see many training examples pass through this part in one walk, before the first step.

        Returns:
            Whether this part wants that.
        """
        return False

    def observe(self, trace: Trace) -> None:
        """Look at a training trace (moving averages). Called inside the step, without a gradient."""

    def after_step(self, progress: Progress) -> None:
        """Follow the progress of training (schedules, dead codes)."""

    def begin_calibration(self, turn: int) -> bool:
        """Prepare to see every training example once more, in passing and through :meth:`observe`, the weights at rest.

        Args:
            turn: How often that was done already: what depends on other parts' calibration may want it again.

        Returns:
            Whether this part wants that.
        """
        return False

    def end_calibration(self) -> None:
        """Settle what calibration found."""


def parts_of(module: nn.Module) -> Iterator[Part]:
    """Every part inside a module, the module itself included."""
    return (part for part in module.modules() if isinstance(part, Part))
