"""Expectation maximisation (Dempster, Laird & Rubin 1977).

For any q, log p(x) >= F(q, theta) = E_q[log p(x, z | theta)] + H[q], the negative free energy (Neal & Hinton 1998)::

    E-step    q(z | x) = p(z | x, theta): F = log p(x | theta), the gap is zero
    M-step    theta = argmax_theta E_q[log p(x, z | theta)], from expected statistics summed over examples

Neither lowers F, so that log p(x) never falls. It climbs to a local maximum: several starts are made side by side, and
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
from unveil.evaluation import Estimate
from unveil.inference.rows import AT_ONCE, Rows
from unveil.inference.stopping import verdict
from unveil.models.em import EMModel, pick, stack
from unveil.progress import Show
from unveil.progress import progress as shown
from unveil.variables import Batch

FALL = 1e-8
"""A bound that falls by more than this share of it has not been rounded."""
SCREENED = 20_000
"""Starts are compared on so many rows at most."""
ROUND = 10
"""After so many steps the worse half of the starts is given up."""
FORGETTING = 0.7
"""Stepwise EM forgets its statistics by (t + 2) to minus this power at minibatch t (Liang & Klein 2009)."""


@dataclass
class Fitted:
    """A model that EM has fitted, and how it went.

    Args:
        model: The model.
        log_likelihood: The mean of log p(x) over the rows that it was fitted to.
        bounds: That mean at the beginning and after each step, in nats per row; it never falls.
        stopped: Why it ended, in words.
        converged: Whether it ended at a maximum, as far as the stop rule tells.
        interrupted: Whether Ctrl-C ended it; the model has the parameters of the last bound.
        starts: The means of each start after each step while they were compared, (steps, starts); NaN once a start was
            given up. Nothing where there was one.
        compared_on: The number of rows that starts were compared on.
        troubles: What went wrong, one sentence each.
        seconds: How long it took.
    """

    model: EMModel
    log_likelihood: Estimate
    bounds: list[float]
    stopped: str
    converged: bool
    interrupted: bool
    starts: Tensor
    compared_on: int
    troubles: list[str]
    seconds: float

    def __str__(self) -> str:
        lines = [f"log-likelihood {self.log_likelihood} of the {self.log_likelihood.examples:,} rows", self.stopped]
        if len(self.starts):
            reached = sorted(_reached(self.starts), reverse=True)
            lines.append(
                f"the best of {len(reached)} starts, compared on {self.compared_on:,} rows; where they were given up: "
                f"{', '.join(f'{value:.4g}' for value in reached)} nats"
            )
        return "\n".join([*lines, *self.troubles])


class EStep(NamedTuple):
    """An E-step over all rows.

    Args:
        bound: The mean of log p(x), in nats per row, for each start.
        square: The mean of its square.
        statistics: The expected statistics.
    """

    bound: Tensor
    square: Tensor
    statistics: Statistics


def fit(
    model: EMModel,
    x: Any,
    *,
    weight: Any = None,
    starts: int | None = None,
    steps: int = 1000,
    tolerance: float = 1e-5,
    batch_size: int | None = None,
    seed: int = 0,
    progress: bool | Show = True,
) -> Fitted:
    """Fit a model by expectation maximisation.

    Args:
        model: What to fit; its parameters are changed.
        x: The data: a tensor or an array (N, \\*shape), a Batch, a Split, or Data, of which the training rows are
            taken. NaN is missing, and marginalised. It is looked at a few rows at a time: a ``numpy.memmap`` need not
            fit into memory.
        weight: How much each row counts, (N,); 1 by default.
        starts: How many starts to try, half of them by k-means++ and half by random centres; 0 goes on from the
            parameters that the model has. By default 8 where maxima are many, 1 where they are not.
        steps: The largest number of steps, those by which starts were compared included.
        tolerance: How far below its maximum the mean log-likelihood may stay, in nats per row, as far as its gains
            tell; 0 to go on until a step gains nothing.
        batch_size: Rows per M-step, for stepwise EM (Cappe & Moulines 2009), where data is large: a step of ``steps``
            is then a pass over all rows. All rows by default.
        seed: Decides every random number.
        progress: Whether to show progress; or what to call with what is being done, how much of it is done, and of how
            much.

    Returns:
        The model with how it went; ``print`` it.

    Raises:
        TypeError: If the model is none that EM can fit, or the data none of these.
        ValueError: If an argument is out of range, or the data is not what the model is a model of.
        FloatingPointError: If the bound is not finite, or falls.

    Example:
        >>> from unveil.models import GaussianMixture
        >>> from unveil.variables import Variable
        >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
        >>> fit(GaussianMixture(Variable((2,)), components=2), x, progress=False).log_likelihood.bound
        'exact'
    """
    if not isinstance(model, EMModel):
        raise TypeError(
            "model: expected one whose posterior and M-step have closed forms (an EMModel, such as GaussianMixture), "
            f"got {type(model).__name__}; fit it by gradients: uv.fit"
        )
    starts = model.starts if starts is None else starts
    _check(starts=(starts, 0), steps=(steps, 1), tolerance=(tolerance, 0), batch_size=(batch_size, 1))
    began = time.monotonic()
    rows = Rows(x, weight)
    rows.check(model)
    generator = torch.Generator().manual_seed(seed)
    compared = rows.sample(SCREENED, generator)
    with model.at_rest(), shown(progress, "EM") as show:
        history, best = _compare(model, compared, starts, generator, show) if starts else (torch.zeros(0, 1), 0)
        bounds = history[:, best].tolist() if compared is rows else []
        climb = Climb(model, rows, bounds, steps, tolerance, show)
        last = climb.run(batch_size, generator)
    troubles = model.troubles(last.statistics)
    for trouble in troubles:
        warnings.warn(trouble, stacklevel=2)
    return Fitted(
        model.eval(),
        _estimate(last, rows.weight),
        climb.bounds,
        climb.stopped,
        climb.stopped.startswith("converged"),
        climb.interrupted,
        history,
        len(compared),
        troubles,
        time.monotonic() - began,
    )


def e_step(model: EMModel, rows: Rows, starts: int = 1) -> EStep:
    """The E-step over all rows, a few at a time.

    Raises:
        FloatingPointError: If log p(x) of a row is not finite.
    """
    most = AT_ONCE.get(model.device.type, AT_ONCE["cuda"])
    at_once = max(1, min(len(rows), most // model.width(max(starts, 1), missing=rows.missing)))
    bound = square = torch.zeros((), dtype=torch.double, device=model.device)
    statistics: Statistics = {}
    for x, mask, weight in rows.chunks(at_once, model.device):
        log_p, found = model.expect(x, mask, weight)
        bound, square = bound + log_p @ weight, square + log_p.square() @ weight
        statistics = {name: statistics[name] + value if statistics else value for name, value in found.items()}
    total = rows.weight.sum().item()
    if not bound.isfinite().all():
        raise FloatingPointError(_not_finite(model, rows, at_once))
    return EStep(bound / total, square / total, statistics)


class Climb:
    """EM from the parameters that a model has.

    Args:
        model: The model.
        rows: The data.
        bounds: The bounds of the steps that were made before.
        steps: The largest number of steps.
        tolerance: How far below its maximum the bound may stay.
        show: Told how far it is.
    """

    def __init__(
        self, model: EMModel, rows: Rows, bounds: list[float], steps: int, tolerance: float, show: Show
    ) -> None:
        self.model, self.rows, self.bounds = model, rows, bounds
        self.steps, self.tolerance, self.show = steps, tolerance, show
        self.stopped, self.interrupted = "", False

    def run(self, batch_size: int | None, generator: torch.Generator) -> EStep:
        """Steps until the verdict, or Ctrl-C; the E-step that is returned is of the parameters that the model has."""
        found, minibatch = e_step(self.model, self.rows), 0
        while not self._done(found):
            before = deepcopy(self.model.state_dict())
            try:
                if batch_size is None:
                    self.model.maximize(found.statistics)
                    found = e_step(self.model, self.rows)
                else:
                    found, minibatch = self._stepwise(found, before, batch_size, minibatch, generator)
            except KeyboardInterrupt:
                self.model.load_state_dict(before)
                self.stopped, self.interrupted = f"interrupted after {len(self.bounds) - 1} steps", True
                break
        return found

    def _stepwise(
        self, found: EStep, before: dict[str, Tensor], batch_size: int, minibatch: int, generator: torch.Generator
    ) -> tuple[EStep, int]:
        """A pass of minibatches; one that lowers the bound is undone, and a step of EM made in its place."""
        minibatch = self._pass(found.statistics, batch_size, minibatch, generator)
        after = e_step(self.model, self.rows)
        if after.bound < found.bound:
            self.model.load_state_dict(before)
            self.model.maximize(found.statistics)
            after = e_step(self.model, self.rows)
        return after, minibatch

    def _pass(self, statistics: Statistics, batch_size: int, minibatch: int, generator: torch.Generator) -> int:
        """All rows in random order: statistics are moving averages of each minibatch's, scaled to all rows."""
        total = self.rows.weight.sum().item()
        for index in torch.randperm(len(self.rows), generator=generator).split(batch_size):
            x, mask, weight = self.rows.take(index, self.model.device)
            if weight.sum() > 0:
                scale = total / weight.sum().item()
                found, gamma = self.model.expect(x, mask, weight)[1], (minibatch + 2) ** -FORGETTING
                statistics = {
                    name: (1 - gamma) * value + gamma * scale * found[name] for name, value in statistics.items()
                }
                self.model.maximize(statistics)
                minibatch += 1
        return minibatch

    def _done(self, found: EStep) -> bool:
        """Note a bound, and judge."""
        bound = found.bound.item()
        if self.bounds and bound < self.bounds[-1] - FALL * (1 + abs(self.bounds[-1])):
            raise FloatingPointError(
                f"the bound fell from {self.bounds[-1]:.9g} to {bound:.9g} nats at step {len(self.bounds)}, which EM "
                "never does: some variance is too small for floating point numbers; take a larger floor"
            )
        self.bounds.append(bound)
        self.show("steps", len(self.bounds) - 1, self.steps)
        self.stopped = verdict(self.bounds, self.tolerance, self.steps)
        return bool(self.stopped)


def _compare(model: EMModel, rows: Rows, starts: int, generator: torch.Generator, show: Show) -> tuple[Tensor, int]:
    """Make several starts, and leave the model with the one that is best after some steps.

    Returns:
        The bounds, (steps, starts), NaN once a start was given up (nothing of a single start); and which was the best.
    """
    x, mask, weight = rows.take(slice(None), model.device)
    model.initialize(Batch(x=x, mask=mask), generator)
    stack(model, starts)
    model.start(x, mask, weight, generator)
    alive, history = list(range(starts)), torch.zeros(0, starts, dtype=torch.double)
    while len(alive) > 1:
        for _ in range(ROUND):
            found = e_step(model, rows, len(alive))
            line = torch.full((1, starts), torch.nan, dtype=torch.double)
            line[0, alive] = found.bound.cpu()
            history = torch.cat([history, line])
            model.maximize(found.statistics)
            show("steps, several starts", len(history), ROUND * math.ceil(math.log2(starts)))
        worth = list(zip((~model.collapsed).tolist(), found.bound.tolist(), strict=True))
        kept = sorted(range(len(alive)), key=worth.__getitem__, reverse=True)[: (len(alive) + 1) // 2]
        pick(model, torch.tensor(kept, device=model.device))
        alive = [alive[start] for start in kept]
    pick(model, 0)
    return history, alive[0]


def _estimate(last: EStep, weight: Tensor) -> Estimate:
    """The mean log-likelihood with its error over the data; with weights, of the rows that they are as good as."""
    variance = max((last.square - last.bound.square()).item(), 0.0)
    effective = (weight.sum().square() / weight.square().sum()).item()
    error = math.sqrt(variance / (effective - 1)) if effective > 1 else math.nan
    return Estimate(last.bound.item(), 0.0, error, 0, len(weight), "exact")


def _reached(starts: Tensor) -> list[float]:
    """The last bound of each start."""
    return [column[~column.isnan()][-1].item() for column in starts.mT]


def _not_finite(model: EMModel, rows: Rows, at_once: int) -> str:
    """Which rows have no finite log-likelihood, in words."""
    first = 0
    for x, mask, weight in rows.chunks(at_once, model.device):
        log_p = model.expect(x, mask, weight)[0].reshape(-1, len(weight))
        bad = (~log_p.isfinite()).any(0).nonzero().flatten()
        if len(bad):
            named = ", ".join(str(first + row) for row in bad[:5].tolist())
            return (
                f"log p(x) of rows {named} is {log_p[:, bad[0]].min().item()}: the model finds them impossible, or "
                "some variance is too small for floating point numbers; take a larger floor"
            )
        first += len(weight)
    return "the sum of log p(x) over the rows is not finite"


def _check(**arguments: tuple[float | None, float]) -> None:
    """Refuse numbers below their smallest."""
    for name, (value, smallest) in arguments.items():
        if value is not None and not value >= smallest:
            raise ValueError(f"{name}: expected at least {smallest}, got {value}")
