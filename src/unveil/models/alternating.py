"""Models that are fitted by turns: what is latent given the parameters, and the parameters given what is latent.

Both turns raise one bound, F = E_q[log p(x, z, theta)] + H[q]. With parameters that are points, and an exact q(z), this
is EM; with a distribution q(theta) over them, mean-field coordinate ascent (variational Bayes). All that the second
turn needs of the data are expected statistics, sums over examples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unveil.components import Statistics
from unveil.models.checking import check_values
from unveil.models.model import Model
from unveil.variables import Batch, Observed, Variable


class Some(NamedTuple):
    """Some examples.

    Args:
        x: (B, \\*shape).
        weight: How much each counts, (B,).
        mask: True where an entry is observed, shaped like x; None where all examples of the data are whole.
        context: What each is conditioned on, (B, features); None without.
        memory: What the model keeps of each example from turn to turn, (B, \\*memory), to be written into.
    """

    x: Tensor
    weight: Tensor
    mask: Tensor | None = None
    context: Tensor | None = None
    memory: Tensor | None = None


class Alternating(Model, ABC):
    """A model that is fitted by turns, in double precision.

    While several starts are fitted side by side, each parameter has one more axis, the first: the methods here work
    with and without it; the walk is without.

    Args:
        x: What is observed.
        context: What it is conditioned on, if anything.
    """

    x: Variable
    starts = 8
    """How many starts are tried where nobody says."""
    memory: tuple[int, ...] | None = None
    """The shape of what is kept of each example from turn to turn; None for nothing."""
    shared_over_steps = False
    """Whether entries of the first axis of an example are described alike: none of them need ever be observed."""

    def __init__(self, x: Variable, context: Variable | None = None) -> None:
        super().__init__()
        if not isinstance(x, Variable):
            raise TypeError(
                f"x: expected a Variable, which says what the data is (data.variable, or Variable((3,))), got {x!r}"
            )
        self.x, self.context = x, context

    def some(self, x: Observed | Batch) -> Some:
        """Data, checked, as examples that count one each; NaN in a tensor is missing, as it is in a fit."""
        if isinstance(x, Tensor) and x.is_floating_point() and x.isnan().any():
            x = Batch(x=x.where(~x.isnan(), 0.0), mask=~x.isnan())
        batch = x if isinstance(x, Batch) else Batch(x=x)
        check_values(self, batch)
        batch = batch.to_precision(self.dtype)
        values = batch["x"]
        if values is None:
            raise ValueError("x: expected data, got none")
        weight = torch.ones(len(values), dtype=torch.double, device=self.device)
        return Some(values, weight, batch.mask_of("x"), batch.context)

    def check(self, some: Some) -> None:
        """Raise a ValueError for examples that this is no model of, beyond what their shape and support say."""

    def look(
        self, batch: Batch, generator: torch.Generator, x: Variable | Mapping[str, Variable] | None = None
    ) -> None:
        """Show the parts training data, before starts are made; the arguments are those of :meth:`initialize`."""
        super().initialize(batch, generator, x)

    def initialize(
        self, batch: Batch, generator: torch.Generator, x: Variable | Mapping[str, Variable] | None = None
    ) -> None:
        """Show the parts training data, and take a first guess: components that begin alike would stay so."""
        self.look(batch, generator, x)
        stack(self, 1)
        try:
            with torch.no_grad():
                self.start(self.some(batch), generator)
        finally:
            pick(self, 0)

    @abstractmethod
    def start(self, some: Some, generator: torch.Generator) -> None:
        """Take first guesses of the parameters, one for each start, from some examples."""

    @abstractmethod
    def expect(self, some: Some) -> tuple[Tensor, Statistics]:
        """The first turn, for some examples.

        Returns:
            E_q[log p(x, z | theta)] + H[q(z)] of each example, (..., B) in nats (its expectation where theta has a
            distribution); and the expected statistics, weighted and summed over the examples.
        """

    @abstractmethod
    def maximize(self, statistics: Statistics) -> None:
        """The second turn: take the parameters that maximise the bound."""

    def arranged(self, statistics: Statistics) -> Statistics:
        """The statistics with what has no names of its own, such as components, in the order that raises the bound."""
        return statistics

    @property
    def cost(self) -> Tensor:
        """KL(q(theta) || p(theta)), (...): the bound is the sum over examples less this; 0 where theta is a point."""
        return torch.zeros((), dtype=torch.double, device=self.device)

    def settle(self) -> None:
        """Bring what the likelihood leaves open, such as rotations of factors, into a standard form."""

    @abstractmethod
    def width(self, starts: int, *, missing: bool) -> int:
        """About how many numbers the first turn of so many starts holds for each example."""

    def troubles(self, statistics: Statistics, row: float) -> list[str]:
        """What went wrong with the fit, one sentence each.

        Args:
            statistics: The last turn's.
            row: How much a row weighs.
        """
        return []

    @property
    def collapsed(self) -> Tensor:
        """Which starts have a component that is held from collapsing, (...)."""
        return torch.zeros((), dtype=torch.bool)


def stack(model: nn.Module, starts: int) -> None:
    """Give each parameter a first axis of so many starts, all alike."""
    for parameter in model.parameters():
        parameter.data = parameter.data.expand(starts, *parameter.shape).clone()


def pick(model: nn.Module, index: Tensor | int) -> None:
    """Keep these starts; of a number, that one alone, without the axis."""
    for parameter in model.parameters():
        parameter.data = parameter.data[index].clone()


def no_context(model: Model, context: Variable | None) -> None:
    """Raise a ValueError where there is a context."""
    if context is not None:
        raise ValueError(f"context: a {type(model).__name__} is conditioned on nothing; leave the context out")
