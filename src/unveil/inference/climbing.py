"""Climbing a bound by turns, from several starts: the loop of EM and of coordinate ascent.

Each turn raises F = sum_n F_n - KL(q(theta) || p(theta)), to a local maximum. Several starts are made side by side, and
the better half goes on, and on, until one is left.
"""

from __future__ import annotations

import math
import time
import warnings
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unveil.components import Statistics
from unveil.inference.rows import AT_ONCE, Rows
from unveil.inference.stopping import verdict
from unveil.models.alternating import Alternating, Some, pick, stack
from unveil.progress import Show
from unveil.progress import progress as shown
from unveil.variables import Batch

MEMORY = " memory"
"""The name of what is remembered of the rows, which no parameter has."""
FALL = 1e-8
"""A bound that falls by more than this share of it has not been rounded."""
SCREENED = 20_000
"""Starts are compared on so many rows at most."""
ROUND = 20
"""After so many steps the worse half of the starts is given up; then after twice as many, and so on."""
GUESSED = 2**26
"""Starts are guessed from so many numbers at most, and from a thousand rows at least."""
FORGETTING = 0.7
"""Statistics of minibatches are forgotten by (t + 2) to minus this power at minibatch t (Liang & Klein 2009)."""


@dataclass
class Climbed:
    """A model that was fitted by turns, and how it went.

    Args:
        model: The model.
        bounds: The bound at the beginning and after each step, in nats per row; it never falls.
        square: The mean over rows of their squared shares of the last bound, which tells its error.
        rows: The data.
        stopped: Why it ended, in words.
        converged: Whether it ended at a maximum, as far as the stop rule tells.
        interrupted: Whether Ctrl-C ended it; the model has the parameters of the last bound.
        starts: The bounds of each start after each step while they were compared, (steps, starts); NaN once a start
            was given up. Nothing where there was one.
        compared_on: The number of rows that starts were compared on.
        troubles: What went wrong, one sentence each.
        seconds: How long it took.
    """

    model: Alternating
    bounds: list[float]
    square: float
    rows: Rows
    stopped: str
    converged: bool
    interrupted: bool
    starts: Tensor
    compared_on: int
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
            reached = sorted((column[~column.isnan()][-1].item() for column in self.starts.mT), reverse=True)
            lines.append(
                f"the best of {len(reached)} starts, compared on {self.compared_on:,} rows; where they were given up: "
                f"{', '.join(f'{value:.4g}' for value in reached)} nats per row"
            )
        return [*lines, *self.troubles]


class Turn(NamedTuple):
    """The first turn over all rows.

    Args:
        bound: The bound in nats per row, for each start.
        square: The mean of the squares of what each row adds.
        statistics: The expected statistics.
    """

    bound: Tensor
    square: Tensor
    statistics: Statistics

    def of(self, start: int) -> Turn:
        """That of one start."""
        return Turn(self.bound[start], self.square[start], {name: v[start] for name, v in self.statistics.items()})


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
    check(starts, steps, tolerance, batch_size)
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
        bounds = begun.bounds[:, begun.best].tolist() if compared is rows else []
        loop = Climb(model, rows, bounds, steps, tolerance, show)
        if begun.interrupted:
            last = loop.interrupt(begun.last if compared is rows else None)
        else:
            last = loop.run(batch_size, generator)
    troubles = model.troubles(last.statistics)
    for trouble in troubles:
        warnings.warn(trouble, stacklevel=3)
    return Climbed(
        model.eval(),
        loop.bounds,
        last.square.item(),
        rows,
        loop.stopped,
        loop.stopped.startswith("converged"),
        loop.interrupted,
        begun.bounds,
        len(compared),
        troubles,
        time.monotonic() - began,
    )


def turn(model: Alternating, rows: Rows, starts: int = 1) -> Turn:
    """The first turn over all rows, a few at a time.

    Raises:
        FloatingPointError: If what a row adds is not finite.
    """
    most = AT_ONCE.get(model.device.type, AT_ONCE["cuda"])
    at_once = max(1, min(len(rows), most // model.width(max(starts, 1), missing=rows.missing)))
    bound = square = torch.zeros((), dtype=torch.double, device=model.device)
    statistics: Statistics = {}
    for some in rows.chunks(at_once, model.device):
        value, found = model.expect(some)
        bound, square = bound + value @ some.weight, square + value.square() @ some.weight
        statistics = {name: statistics[name] + value if statistics else value for name, value in found.items()}
    total = rows.weight.sum().item()
    if not bound.isfinite().all():
        raise FloatingPointError(_not_finite(model, rows, at_once))
    return Turn((bound - model.cost) / total, square / total, statistics)


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
        self.stopped, self.interrupted = "", False

    def run(self, batch_size: int | None, generator: torch.Generator) -> Turn:
        """Steps until the verdict, or Ctrl-C; the turn that is returned is of the parameters that the model has."""
        found, minibatch = turn(self.model, self.rows), 0
        sound = self._state()
        try:
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
        self.stopped, self.interrupted = f"interrupted after {len(self.bounds) - 1} steps", True
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
        if self.bounds and bound < self.bounds[-1] - FALL * (1 + abs(self.bounds[-1])):
            raise FloatingPointError(
                f"the bound fell from {self.bounds[-1]:.9g} to {bound:.9g} nats at step {len(self.bounds)}, which it "
                "never does: the data is too badly scaled for floating point numbers, or some variance too small"
            )
        self.bounds.append(bound)
        self.show("steps", len(self.bounds) - 1, self.steps)
        self.stopped = verdict(self.bounds, self.tolerance, self.steps)
        return bool(self.stopped)


class Comparison(NamedTuple):
    """Starts, compared.

    Args:
        bounds: After each step, (steps, starts); NaN once a start was given up. Nothing of a single start.
        best: The start that the model was left with.
        interrupted: Whether Ctrl-C came.
        last: The turn of its parameters then, if one was made.
    """

    bounds: Tensor
    best: int
    interrupted: bool = False
    last: Turn | None = None


def compare(
    model: Alternating, rows: Rows, starts: int, steps: int, tolerance: float, generator: torch.Generator, show: Show
) -> Comparison:
    """Make several starts, and leave the model with the one that is best after some steps, or when Ctrl-C comes."""
    original = deepcopy(model.state_dict())
    enough = max(1000, GUESSED // model.width(starts, missing=rows.missing))
    some = rows.sample(enough, generator).take(slice(None), model.device)
    model.initialize(represented(some), generator)
    stack(model, starts)
    alive, history = list(range(starts)), torch.zeros(0, starts, dtype=torch.double)
    found: Turn | None = None
    sound = deepcopy(model.state_dict())
    try:
        model.start(some, generator)
        while len(alive) > 1:
            for _ in range(min(ROUND * starts // len(alive), max(1, steps - len(history)))):
                turned = turn(model, rows, len(alive))
                found, sound = turned, deepcopy(model.state_dict())
                line = torch.full((1, starts), torch.nan, dtype=torch.double)
                line[0, alive] = found.bound.cpu()
                history = torch.cat([history, line])
                model.maximize(model.arranged(found.statistics))
                show("steps, several starts", len(history), min(steps, ROUND * (2 ** math.ceil(math.log2(starts)) - 1)))
                if tolerance and len(history) > 1 and (history[-1] - history[-2])[alive].max() < tolerance:
                    break
            kept = _ranked(model, turned)[: (len(alive) + 1) // 2 if len(history) < steps else 1]
            pick(model, torch.tensor(kept, device=model.device))
            alive, found, sound = [alive[start] for start in kept], None, deepcopy(model.state_dict())
    except KeyboardInterrupt:
        for name, parameter in model.named_parameters():
            parameter.data = sound[name]
        best = 0 if found is None else _ranked(model, found)[0]
        pick(model, best)
        return Comparison(history, alive[best], True, None if found is None else found.of(best))
    except BaseException:
        pick(model, 0)
        model.load_state_dict(original)
        raise
    pick(model, 0)
    return Comparison(history, alive[0])


def rehearse(model: Alternating, rows: Rows) -> None:
    """Try one start with a copy of the model, so that what does not go together says so.

    Raises:
        ValueError: If rows and model don't go together.
    """
    rows.check(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        compare(deepcopy(model), rows.sample(SCREENED, generator), 1, 1, 0.0, generator, lambda what, done, total: None)


def represented(some: Some) -> Batch:
    """Rows that come as often as their weights say: whole weights exactly, others as nearly as so many rows can."""
    batch = Batch(x=some.x, mask=some.mask, context=some.context)
    if (some.weight == some.weight[0]).all():
        return batch
    total = some.weight.sum()
    count = int(total) if (some.weight == some.weight.round()).all() and total <= SCREENED else SCREENED
    steps = (torch.arange(count, device=total.device) + 0.5) * (total / count)
    return batch.rows(torch.searchsorted(some.weight.cumsum(0), steps).clamp(max=len(some.weight) - 1))


def _ranked(model: Alternating, found: Turn) -> list[int]:
    """Starts, the best first: those that have collapsed come after all others."""
    worth = list(zip((~model.collapsed.expand(len(found.bound))).tolist(), found.bound.tolist(), strict=True))
    return sorted(range(len(worth)), key=worth.__getitem__, reverse=True)


def _not_finite(model: Alternating, rows: Rows, at_once: int) -> str:
    """Which rows have no finite log-likelihood, in words."""
    first = 0
    for some in rows.chunks(at_once, model.device):
        log_p = model.expect(some)[0].reshape(-1, len(some.weight))
        bad = (~log_p.isfinite()).any(0).nonzero().flatten()
        if len(bad):
            named = ", ".join(str(first + row) for row in bad[:5].tolist())
            return (
                f"the bound of rows {named} is {log_p[:, bad[0]].min().item()}: the model finds them impossible, or "
                "some variance is too small for floating point numbers; take a larger floor"
            )
        first += len(some.weight)
    return "the sum of log p(x) over the rows is not finite"


def check(starts: int, steps: int, tolerance: float, batch_size: int | None) -> None:
    """Raise a ValueError for a number below its smallest."""
    given = {"starts": (starts, 0), "steps": (steps, 1), "tolerance": (tolerance, 0), "batch_size": (batch_size, 1)}
    for name, (value, smallest) in given.items():
        if value is not None and not value >= smallest:
            raise ValueError(f"{name}: expected at least {smallest}, got {value}")
