"""Several starts side by side, of which the worse half is given up, and again, until one is left."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor

from unveil.inference.rows import Rows
from unveil.inference.turning import Turn, turn
from unveil.models.alternating import Alternating, Some, pick, stack
from unveil.progress import Show
from unveil.variables import Batch

SCREENED = 20_000
"""Starts are compared on so many rows at most."""
ROUND = 20
"""After so many steps the worse half of the starts is given up; then after twice as many, and so on."""
GUESSED = 2**26
"""Starts are guessed from so many numbers at most, and from a thousand rows at least."""


class Comparison(NamedTuple):
    """Starts, compared.

    Args:
        bounds: After each step, (steps, starts); NaN once a start was given up. Nothing of a single start.
        best: The start that the model was left with.
        interrupted: Whether Ctrl-C came.
        last: The turn of its parameters then, if one was made.
        collapsed: How many starts were given up since one of their components had collapsed.
    """

    bounds: Tensor
    best: int
    interrupted: bool = False
    last: Turn | None = None
    collapsed: int = 0


def compare(
    model: Alternating, rows: Rows, starts: int, steps: int, tolerance: float, generator: torch.Generator, show: Show
) -> Comparison:
    """Make several starts, and leave the model with the one that is best after some steps, or when Ctrl-C comes."""
    original = deepcopy(model.state_dict())
    enough = max(1000, GUESSED // model.width(starts, missing=rows.missing))
    some = rows.sample(enough, generator).take(slice(None), model.device)
    model.look(represented(some), generator)
    stack(model, starts)
    alive, history, passed = list(range(starts)), torch.zeros(0, starts, dtype=torch.double), 0
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
            flags = model.collapsed.expand(len(alive)).tolist()
            passed += sum(flags) - sum(flags[start] for start in kept)
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
    return Comparison(history, alive[0], collapsed=passed)


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
