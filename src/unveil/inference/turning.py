"""The first turn over all rows, a few at a time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unveil.components import Statistics
from unveil.inference.rows import AT_ONCE, Rows
from unveil.models.alternating import Alternating


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


def turn(model: Alternating, rows: Rows, starts: int = 1) -> Turn:
    """The first turn over all rows, a few at a time.

    Raises:
        FloatingPointError: If what a row adds is not finite.
    """
    most = AT_ONCE.get(model.device.type, AT_ONCE["cuda"])
    at_once = max(1, min(len(rows), most // model.width(starts, missing=rows.missing)))
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
