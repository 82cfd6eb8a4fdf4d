"""Hidden Markov models: a chain of states, each of which emits an observation; fitted by EM (Baum & Welch).

p(z) = pi[z_1] prod_t A[z_t, z_t+1] and p(x | z) = prod_t p(x_t | z_t). log p(x) and the exact posterior, which is a
Markov chain again, are found by a forward and a backward pass (``unveil.models.passes``).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Self

import torch
from torch import Tensor, nn

from unveil.components import Categorical, ComponentsFactory, Full, Statistics, shares
from unveil.components.seeding import first_guess
from unveil.distributions import MarkovChain, Steps
from unveil.models.alternating import Some
from unveil.models.em import EMModel
from unveil.models.mixtures import made, troubles
from unveil.models.passes import Passes
from unveil.models.visit import Visit
from unveil.variables import Batch, Observed, Variable

STAYING = 0.5
"""How likely a state is to stay, at the start, beyond what all states share."""


class HiddenMarkov(EMModel):
    """p(x) = sum_z pi[z_1] prod_t A[z_t, z_t+1] prod_t p(x_t | z_t).

    An example is a sequence of T observations. Shorter sequences end in missing entries (NaN, or a mask): what is
    missing is marginalised, which leaves exactly the likelihood of the shorter one. ``encode`` gives the likeliest
    states (Viterbi).

    Args:
        x: What is observed: (T, \\*shape); of a grey image, (1, H, W), its rows.
        context: Must be None.
        states: K.
        family: Makes the emissions p(x_t | k): a class from ``unveil.components``; chosen from the data by default.

    Example:
        >>> model = HiddenMarkov(Variable((20, 2)), states=3)
        >>> model.encode(torch.zeros(5, 20, 2)).shape
        torch.Size([5, 20])
    """

    shared_over_steps = True

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        states: int = 5,
        family: ComponentsFactory | None = None,
    ) -> None:
        super().__init__(x, context)
        if not x.shape:
            raise ValueError("x: expected sequences, (T, *shape), got single numbers")
        if states < 1:
            raise ValueError(f"states: expected at least 1, got {states}")
        rows = x.shape[1:] if x.is_image and x.shape[0] == 1 else x.shape  # an image is the sequence of its rows
        self.length, self.step = rows[0], Variable(rows[1:] or (1,), x.levels)
        self.family = made(family, self.step, states)
        self.family.variable = None  # it is about an observation, not about the sequence
        self.log_initial = nn.Parameter(torch.zeros(states))
        self.log_transition = nn.Parameter(torch.zeros(states, states))
        self.double()

    def walk(self, visit: Visit, batch: Batch) -> None:
        """z, the sequence of states, then x."""
        x, mask = batch["x"], batch.mask_of("x")
        q = None if x is None else lambda: self.posterior(x, mask)
        z = visit("z", p=self.prior, q=q)
        visit("x", p=lambda: Steps(self.family(z), self.x.shape), value=x, mask=mask)

    def of_length(self, steps: int) -> Self:
        """The same chain for sequences of another length, which shares all parameters with this one."""
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps: expected a whole number of at least 1, got {steps!r}")
        other = copy(self)
        shape = self.x.shape
        shape = (1, steps, *shape[2:]) if self.x.is_image and shape[0] == 1 else (steps, *shape[1:])
        other.x, other.length = Variable(shape, self.x.levels), steps
        other.arguments = {**self.arguments, "x": other.x}  # what it is saved as
        return other

    def prior(self) -> MarkovChain:
        """p(z)."""
        after = self.log_transition.log_softmax(-1)
        return MarkovChain(self.log_initial.log_softmax(-1), after.expand(self.length - 1, *after.shape))

    def posterior(self, x: Tensor, mask: Tensor | None = None) -> MarkovChain:
        """q(z | x) = p(z | x), exactly."""
        return self._passes(x, mask).posterior()

    @torch.no_grad()
    def responsibilities(self, x: Observed | Batch) -> Tensor:
        """p(z_t = k | x), (B, T, K)."""
        some = self.some(x)
        return self._passes(some.x, some.mask).log_states.movedim(0, -2).exp()

    @property
    def initial(self) -> Tensor:
        """pi, (..., K)."""
        return self.log_initial.detach().softmax(-1)

    @property
    def transition(self) -> Tensor:
        """A[from, to], (..., K, K)."""
        return self.log_transition.detach().softmax(-1)

    def look(
        self, batch: Batch, generator: torch.Generator, x: Variable | Mapping[str, Variable] | None = None
    ) -> None:
        """Show the emissions the observations of all sequences."""
        super().look(batch, generator, x)
        some = self.some(batch)
        values, mask = self._steps(some.x, some.mask)
        self.family.initialize(values if mask is None else values.double().where(mask, torch.nan), generator)

    def start(self, some: Some, generator: torch.Generator) -> None:
        """Emissions by k-means++ and random centres of single observations; states that like to stay."""
        x, mask = self._steps(some.x, some.mask)
        starts, states = self.log_initial.shape
        weight = some.weight.repeat_interleave(self.length)
        if mask is not None:
            weight = weight * mask.flatten(1).any(1)
        guess = first_guess(self.family.coordinates(x, mask), starts, states, weight, generator)
        self.family.start(x, mask, weight * guess, generator)
        self.log_initial.zero_()
        staying = torch.full_like(self.log_transition, (1 - STAYING) / states)
        self.log_transition.copy_((staying + STAYING * torch.eye(states).to(staying)).log())

    def expect(self, some: Some) -> tuple[Tensor, Statistics]:
        """Forward and backward, and the emissions' statistics under the states' probabilities."""
        x, mask = self._steps(some.x, some.mask)
        seen = self.family.see(x, mask)
        passes = self._of_emissions(self.family.log_prob(seen))
        weight = self._weight(some, passes.log_states.dim() - 3)
        states = passes.log_states.exp() * weight.unsqueeze(-1)  # (T, ..., B, K)
        r = states.movedim(0, -1).transpose(-3, -2).flatten(-2)  # (..., K, B T)
        if mask is not None:
            r = r * mask.flatten(1).any(1)
        return passes.log_p, {
            "initial": states[0].sum(-2),
            "pairs": passes.pairs(weight[1:]),
            "counts": states.sum((0, -2)),
            **self.family.statistics(seen, r),
        }

    def maximize(self, statistics: Statistics) -> None:
        """pi and A in the shares of what was expected, and each state's emissions."""
        self.log_initial.copy_(shares(statistics["initial"], self.log_initial))
        self.log_transition.copy_(shares(statistics["pairs"], self.log_transition))
        self.family.maximize(statistics)

    def settle(self) -> None:
        """Those of the emissions."""
        self.family.settle()

    @property
    def free(self) -> int:
        """Those of the emissions, K - 1 of the beginning and K (K - 1) of the transitions."""
        states = self.family.components
        return self.family.free + states**2 - 1

    def observations(self, statistics: Statistics, weight: float) -> float:
        """Steps, up to the last observation of each sequence."""
        return statistics["counts"].sum().item()

    def width(self, starts: int, *, missing: bool) -> int:
        """What the emissions see of each observation, and the passes (of which more are held at once: their steps
        follow each other, so that each should do much)."""
        states, steps = self.family.components, self.length
        each = steps * (self.family.width(starts, missing=missing) + 8 * starts * states) + 3 * starts * states**2
        return each // 16 + 1

    def troubles(self, statistics: Statistics, row: float) -> list[str]:
        """States that died, whose emissions collapsed, or that never parted."""
        return troubles(self.family, statistics["counts"] / row, "state", "step")

    @property
    def collapsed(self) -> Tensor:
        """Whether any state's emissions are held from collapsing."""
        return self.family.collapsed.any(-1)

    def _weight(self, some: Some, axes: int) -> Tensor:
        """How much each step of each sequence counts, (T, (1,) * axes, B): nothing after its last observation, where
        the chain is as it would be without data, so that the shorter sequence is fitted, not its padding."""
        weight = some.weight.expand(self.length, -1)
        if some.mask is not None:
            seen = some.mask.reshape(len(some.x), self.length, -1).any(-1).mT
            weight = weight * (seen.flip(0).cumsum(0).flip(0) > 0)
        return weight.reshape(self.length, *(1,) * axes, -1)

    def _steps(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Sequences (B, T, ...) as single observations (B T, ...)."""
        shape = (-1, *self.step.shape)
        return x.reshape(shape), None if mask is None else mask.reshape(shape)

    def _passes(self, x: Tensor, mask: Tensor | None) -> Passes:
        return self._of_emissions(self.family.log_prob(self.family.see(*self._steps(x, mask))))

    def _of_emissions(self, log_b: Tensor) -> Passes:
        """The passes of log p(x_t | k), (..., K, B T)."""
        log_b = log_b.unflatten(-1, (-1, self.length)).movedim(-1, 0).mT
        return Passes(self.log_initial.log_softmax(-1), self.log_transition.log_softmax(-1), log_b)


class GaussianHMM(HiddenMarkov):
    """A hidden Markov model of real numbers, p(x_t | k) = N(x_t; mu_k, Sigma_k).

    Args:
        x: What is observed: (T, D) real numbers.
        context: Must be None.
        states: K.
        covariance: What the covariances are: ``Full``, ``Tied``, ``Diagonal`` or ``Spherical``.
    """

    def __init__(
        self, x: Variable, context: Variable | None = None, states: int = 5, covariance: ComponentsFactory = Full
    ) -> None:
        super().__init__(x, context, states, covariance)


class CategoricalHMM(HiddenMarkov):
    """A hidden Markov model of symbols, p(x_t | k) = p_k[x_t].

    Args:
        x: What is observed: (T,) whole numbers.
        context: Must be None.
        states: K.
    """

    def __init__(self, x: Variable, context: Variable | None = None, states: int = 5) -> None:
        super().__init__(x, context, states, Categorical)
