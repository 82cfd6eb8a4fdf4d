"""What went wrong where a loss is not finite."""

from __future__ import annotations

from pathlib import Path

import torch

from unveil.models import Term
from unveil.training.learner import Learner
from unveil.variables import Batch


class NonFiniteError(RuntimeError):
    """A loss is NaN or infinite; the message names the term, the rows and the last good checkpoint."""


@torch.no_grad()
def diagnose(
    learner: Learner, batch: Batch, generator: torch.Generator, where: str, checkpoint: Path | None
) -> NonFiniteError:
    """Repeat a pass and find the term that is not finite.

    Args:
        learner: With the weights before the step.
        batch: The batch.
        generator: In the state that it had before the pass.
        where: The step, in words.
        checkpoint: Where checkpoints go.
    """
    learner.model.eval()
    step = learner.step(batch, generator)
    learner.model.train()
    culprits = [found for trace in step.traces for term in trace for found in _non_finite(term)]
    what = "; ".join(culprits) or "every term is finite: the objective overflows"
    rows = torch.nonzero(~torch.isfinite(step.loss)).flatten().tolist()
    index = batch.index[rows].tolist() if batch.index is not None and rows else rows
    saved = f"last good checkpoint: {checkpoint}" if checkpoint and checkpoint.is_file() else "no checkpoint yet"
    return NonFiniteError(
        f"the loss is not finite at {where}: {what}. Data rows {_few(index)}. {saved}. Try a lower learning rate, "
        "gradient clipping (clip=1), or check these rows"
    )


def _non_finite(term: Term) -> list[str]:
    found = []
    for name, value in (("log p", term.log_p), ("log q", term.log_q), ("value", term.value)):
        if value is None or (name == "log q" and term.q is None):
            continue
        value = value if value.is_floating_point() else value.float()
        if bad := int((~torch.isfinite(value)).sum()):
            found.append(f"term {term.name!r} has {bad} non-finite entries in its {name}")
    return found


def _few(rows: list[int]) -> str:
    shown = ", ".join(map(str, rows[:10]))
    return shown + (f" (and {len(rows) - 10} more)" if len(rows) > 10 else "") if rows else "unknown"
