"""Climbing a bound by turns, from several starts: the loop of EM and of coordinate ascent.

Each turn raises F = sum_n F_n - KL(q(theta) || p(theta)), to a local maximum. Several starts are made side by side, and
the better half goes on, and on, until one is left.
"""

from __future__ import annotations

import time
import warnings
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unveil.components import Statistics
from unveil.inference.comparing import SCREENED, Comparison, compare
from unveil.inference.rows import Rows
from unveil.inference.stopping import Verdict, verdict
from unveil.inference.turning import Turn, turn
from unveil.models.alternating import Alternating
from unveil.progress import Show
from unveil.progress import progress as shown

MEMORY = " memory"
"""The name of what is remembered of the rows, which no parameter has."""
FALL = 1e-8
"""A bound that falls by more than this share of it has not been rounded."""
FORGETTING = 0.7
"""Statistics of minibatches are forgotten by (t + 2) to minus this power at minibatch t (Liang & Klein 2009)."""


class Trouble(UserWarning):
    """Something went wrong with a fit that went on to its end; ``Climbed.troubles`` has it, too."""


@dataclass
class Climbed:
    """A model that was fitted by turns, and how it went.

    Args:
        model: The model.
        bounds: The bound at the beginning and after each step, in nats per row; it never falls.
        square: The mean over rows of their squared shares of the last bound, which tells its error.
        statistics: The expected statistics of the last bound.
        rows: The data.
        stopped: Why it ended, in words.
        converged: Whether it ended at a maximum, as far as the stop rule tells.
        interrupted: Whether Ctrl-C ended it; the model has the parameters of the last bound.
        starts: The bounds of each start after each step while they were compared, (steps, starts); NaN once a start
            was given up. Nothing where there was one.
        compared_on: The number of rows that starts were compared on.
        collapsed: How many starts were given up collapsed: they come after all that have not, whatever their bound.
        troubles: What went wrong, one sentence each.
        seconds: How long it took.
    """

    model: Alternating
    bounds: list[float]
    square: float
    statistics: Statistics
    rows: Rows
    stopped: str
    converged: bool
    interrupted: bool
    starts: Tensor
    compared_on: int
    collapsed: int
    troubles: list[str]
    seconds: float

    @property
    def free_energy(self) -> float:
        """Minus the bound of all rows together, in nats, as the literature on free energies has it."""
        return -self.bounds[-1] * self.rows.weight.sum().item()

    @property
    def story(self) -> list[str]:
        """How it went, a line each."""
        lines = [self.stopped]
        if len(self.starts):
            others = f" ({self.collapsed} of the others collapsed: these come after all that have not)"
            over = others if self.collapsed else ""
            reached = sorted((column[~column.isnan()][-1].item() for column in self.starts.mT), reverse=True)
            lines.append(
                f"the best of {len(reached)} starts{over}, compared on {self.compared_on:,} rows; where they were "
                f"given up: {', '.join(f'{value:.4g}' for value in reached)} nats per row"
            )
        return [*lines, *self.troubles]


def climb(
    model: Alternating,
    x: Any,
    *,
    doing: str,
    weight: Any = None,
    starts: int | None = None,
    steps: int = 1000,
    tolerance: float = 1e-5,
    batch_size: int | None = None,
    seed: int = 0,
    progress: bool | Show = True,
) -> Climbed:
    """Fit a model by turns; the arguments are those of :func:`unveil.inference.em.fit`.

    Args:
        model: What to fit.
        x: The data.
        doing: What this is called while it is shown.
        weight: How much each row counts.
        starts: How many starts to try.
        steps: The largest number of steps.
        tolerance: How far below its maximum the bound may stay, in nats per row.
        batch_size: Rows per minibatch.
        seed: Decides every random number.
        progress: Whether to show progress.

    Raises:
        ValueError: If an argument is out of range, or the data is not what the model is a model of.
        FloatingPointError: If the bound is not finite, or falls.
    """
    starts = model.starts if starts is None else starts
    check(model, starts, steps, tolerance, batch_size)
    began = time.monotonic()
    rows = Rows(x, weight)
    rows.check(model)
    if model.memory is not None:
        rows.memory = torch.zeros(len(rows), *model.memory, dtype=torch.double, device=model.device)
    generator = torch.Generator().manual_seed(seed)
    compared = rows.sample(SCREENED, generator)
    with model.at_rest(), shown(progress, doing) as show:
        begun = Comparison(torch.zeros(0, 1), 0)
        if starts:
            begun = compare(model, compared, starts, steps, tolerance, generator, show)
        bounds = begun.bounds[:, begun.best].tolist()
        for step in range(1, len(bounds)):
            require_risen(bounds[step - 1], bounds[step], step)
        bounds = bounds if compared is rows else []
        loop = Climb(model, rows, bounds, steps, tolerance, show)
        if begun.interrupted:
            last = loop.interrupt(begun.last if compared is rows else None)
        else:
            last = loop.run(batch_size, generator)
        model.settle()
    weight = rows.weight
    troubles = model.troubles(last.statistics, (weight.square().sum() / weight.sum()).item())
    for trouble in troubles:
        warnings.warn(trouble, Trouble, stacklevel=3)
    return Climbed(
        model.eval(),
        loop.bounds,
        last.square.item(),
        last.statistics,
        rows,
        loop.stopped.words,
        loop.stopped.converged,
        loop.interrupted,
        begun.bounds,
        len(compared),
        begun.collapsed,
        troubles,
        time.monotonic() - began,
    )


class Climb:
    """The climb from the parameters that a model has.

    Args:
        model: The model.
        rows: The data.
        bounds: The bounds of the steps that were made before.
        steps: The largest number of steps.
        tolerance: How far below its maximum the bound may stay.
        show: Told how far it is.
    """

    def __init__(
        self, model: Alternating, rows: Rows, bounds: list[float], steps: int, tolerance: float, show: Show
    ) -> None:
        self.model, self.rows, self.bounds = model, rows, bounds
        self.steps, self.tolerance, self.show = steps, tolerance, show
        self.stopped, self.interrupted = Verdict("", False), False

    def run(self, batch_size: int | None, generator: torch.Generator) -> Turn:
        """Steps until the verdict, or Ctrl-C; the turn that is returned is of the parameters that the model has."""
        found: Turn | None = None
        sound, minibatch = self._state(), 0
        try:
            found = turn(self.model, self.rows)
            while not self._done(found):
                if batch_size is None:
                    self.model.maximize(self.model.arranged(found.statistics))
                    after = turn(self.model, self.rows)
                else:
                    after, minibatch = self._stepwise(found, sound, batch_size, minibatch, generator)
                found, sound = after, self._state()
        except KeyboardInterrupt:
            self._restore(sound)
            return self.interrupt(found)
        return found

    def interrupt(self, found: Turn | None) -> Turn:
        """The end, where Ctrl-C came: the turn of the parameters that the model has."""
        found = found or turn(self.model, self.rows)
        bound = found.bound.item()
        if not self.bounds or self.bounds[-1] != bound:
            self.bounds.append(bound)
        self.stopped, self.interrupted = Verdict(f"interrupted after {len(self.bounds) - 1} steps", False), True
        return found

    def _stepwise(
        self, found: Turn, before: dict[str, Tensor], batch_size: int, minibatch: int, generator: torch.Generator
    ) -> tuple[Turn, int]:
        """A pass of minibatches; one that lowers the bound is undone, and a step with all rows made in its place."""
        minibatch = self._pass(found.statistics, batch_size, minibatch, generator)
        after = turn(self.model, self.rows)
        if after.bound < found.bound:
            self._restore(before)
            self.model.maximize(self.model.arranged(found.statistics))
            after = turn(self.model, self.rows)
        return after, minibatch

    def _pass(self, statistics: Statistics, batch_size: int, minibatch: int, generator: torch.Generator) -> int:
        """All rows in random order: statistics are moving averages of each minibatch's, scaled to all rows."""
        total = self.rows.weight.sum().item()
        for index in torch.randperm(len(self.rows), generator=generator).split(batch_size):
            some = self.rows.take(index, self.model.device)
            if some.weight.sum() > 0:
                scale = total / some.weight.sum().item()
                found, gamma = self.model.expect(some)[1], (minibatch + 2) ** -FORGETTING
                statistics = {
                    name: (1 - gamma) * value + gamma * scale * found[name] for name, value in statistics.items()
                }
                statistics = self.model.arranged(statistics)
                self.model.maximize(statistics)
                minibatch += 1
        return minibatch

    def _state(self) -> dict[str, Tensor]:
        """What a step changes: parameters, and what is remembered of the rows."""
        memory = {} if self.rows.memory is None else {MEMORY: self.rows.memory.clone()}
        return {**deepcopy(self.model.state_dict()), **memory}

    def _restore(self, state: dict[str, Tensor]) -> None:
        """Undo what was done since."""
        self.model.load_state_dict({name: value for name, value in state.items() if name != MEMORY})
        if self.rows.memory is not None:
            self.rows.memory.copy_(state[MEMORY])

    def _done(self, found: Turn) -> bool:
        """Note a bound, and judge."""
        bound = found.bound.item()
        if self.bounds:
            require_risen(self.bounds[-1], bound, len(self.bounds))
        self.bounds.append(bound)
        self.show("steps", len(self.bounds) - 1, self.steps)
        reason = verdict(self.bounds, self.tolerance, self.steps)
        self.stopped = reason or self.stopped
        return reason is not None


def require_risen(before: float, bound: float, step: int) -> None:
    """Raise a FloatingPointError where a bound has fallen."""
    if bound < before - FALL * (1 + abs(before)):
        raise FloatingPointError(
            f"the bound fell from {before:.9g} to {bound:.9g} nats at step {step}, which it never does: the data is "
            "too badly scaled for floating point numbers, or some variance too small"
        )


def check(model: Alternating, starts: int, steps: int, tolerance: float, batch_size: int | None) -> None:
    """Raise a ValueError for a number below its smallest, a TypeError for what is no such number."""
    given = {"starts": (starts, 0), "steps": (steps, 1), "tolerance": (tolerance, 0), "batch_size": (batch_size, 1)}
    for name, (value, smallest) in given.items():
        kinds = int | float if name == "tolerance" else int | None if name == "batch_size" else int
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise TypeError(f"{name}: expected a{' whole' * (name != 'tolerance')} number, got {value!r}")
        if value is not None and not value >= smallest:
            raise ValueError(f"{name}: expected at least {smallest}, got {value}")
    if model.memory is not None and starts > 1:
        raise ValueError(
            f"starts: expected 1 for a {type(model).__name__}, which remembers every row, got {starts}; try other seeds"
        )
