"""Models whose posterior is exact, and whose parameters are found by turns with it.

With q(z | x) = p(z | x), the ELBO is log p(x): the gap is zero. What is called the free energy elsewhere (Neal & Hinton
1998) is that bound, F(q, theta) = E_q[log p(x, z)] + H[q]. EM raises it by turns: the E-step by q, to log p(x); the
M-step by theta, for which it needs the data only through expected statistics, sums over examples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from unveil.components import Statistics
from unveil.models.model import Model
from unveil.variables import Batch, Observed, Variable


class EMModel(Model, ABC):
    """A model whose posterior is exact, and whose M-step has a closed form.

    Its parameters are in double precision. While EM fits several starts side by side, each parameter has one more axis,
    the first: the methods here work with and without it; the walk is without.

    Args:
        x: What is observed.
        context: Must be None: p(x) depends on nothing.
    """

    x: Variable
    exact_posterior = True
    starts = 8
    """How many starts EM tries where nobody says."""

    def __init__(self, x: Variable, context: Variable | None = None) -> None:
        super().__init__()
        if not isinstance(x, Variable):
            raise TypeError(
                f"x: expected a Variable, which says what the data is (data.variable, or Variable((3,))), got {x!r}"
            )
        if context is not None:
            raise ValueError(f"context: a {type(self).__name__} is conditioned on nothing; leave the context out")
        self.x = x

    @abstractmethod
    def start(self, x: Tensor, mask: Tensor | None, weight: Tensor, generator: torch.Generator) -> None:
        """Take first guesses of the parameters, one for each start, from some examples.

        Args:
            x: The examples, (B, \\*shape).
            mask: True where an entry is observed, shaped like x; None where all are.
            weight: How much each counts, (B,).
            generator: Where random numbers come from.
        """

    @abstractmethod
    def expect(self, x: Tensor, mask: Tensor | None, weight: Tensor) -> tuple[Tensor, Statistics]:
        """The E-step of some examples.

        Args:
            x: The examples, (B, \\*shape).
            mask: True where an entry is observed, shaped like x; None where all are.
            weight: How much each counts, (B,).

        Returns:
            log p(x), (..., B) in nats, and the expected statistics, weighted and summed over the examples.
        """

    @abstractmethod
    def maximize(self, statistics: Statistics) -> None:
        """The M-step: take the parameters that maximise E_q[log p(x, z)]."""

    @abstractmethod
    def width(self, starts: int, *, missing: bool) -> int:
        """About how many numbers an E-step of so many starts holds for each example."""

    def troubles(self, statistics: Statistics) -> list[str]:
        """What went wrong with the fit, one sentence each."""
        return []

    @property
    def collapsed(self) -> Tensor:
        """Which starts have a component that is held from collapsing, (...)."""
        return torch.zeros((), dtype=torch.bool)

    @torch.no_grad()
    def log_prob(self, x: Observed | Batch) -> Tensor:
        """log p(x), (B,) in nats, exactly; of what is observed, where a Batch with a mask says that some is missing."""
        values, mask = self.seen(x)
        return self.expect(values, mask, torch.ones(len(values), dtype=torch.double, device=self.device))[0]

    def seen(self, x: Observed | Batch) -> tuple[Tensor, Tensor | None]:
        """Data and its mask, checked."""
        batch = self._batch(x, None).to_precision(self.dtype)
        values = batch["x"]
        if values is None:
            raise ValueError("x: expected data, got none")
        return values, batch.mask_of("x")


def stack(model: nn.Module, starts: int) -> None:
    """Give each parameter a first axis of so many starts, all alike."""
    for parameter in model.parameters():
        parameter.data = parameter.data.expand(starts, *parameter.shape).clone()


def pick(model: nn.Module, index: Tensor | int) -> None:
    """Keep these starts; of a number, that one alone, without the axis."""
    for parameter in model.parameters():
        parameter.data = parameter.data[index].clone()
