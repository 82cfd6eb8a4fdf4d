"""The plain loop that fits every toy, and what their tests share."""

from __future__ import annotations

import torch
from torch import Tensor

from unveil.gradients import Gradient, Pathwise
from unveil.models import Model
from unveil.objectives import ELBO, Objective
from unveil.posteriors import DiagonalGaussian
from unveil.variables import Batch


def fit(
    model: Model,
    batch: Batch,
    generator: torch.Generator,
    objective: Objective | None = None,
    gradient: Gradient | None = None,
    *,
    steps: int = 300,
    lr: float = 0.02,
) -> None:
    """Full-batch Adam, its rate falling to zero."""
    objective, gradient = objective or ELBO(), gradient or Pathwise()
    gradient.check(objective)
    optimizer = torch.optim.Adam(model.parameters(), lr)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for _ in range(steps):
        optimizer.zero_grad()
        gradient(model, objective, batch, generator).loss.mean().backward()
        optimizer.step()
        decay.step()


def affine(part: torch.nn.Module, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """W, b and Cov of a linear-Gaussian part y | z ~ N(W z + b, Cov), read off its means."""
    with torch.no_grad():
        bias, columns = part(torch.zeros(size)), part(torch.eye(size)).mean
        return (columns - bias.mean).mT, bias.mean, torch.diag(bias.variance)


@torch.no_grad()
def widen(*posteriors: DiagonalGaussian) -> None:
    """Double the spread of fitted posteriors, which are narrow: then importance weights have a finite variance."""
    for posterior in posteriors:
        posterior.net.output.bias.view(2, -1)[1] += torch.tensor(4.0).log()
