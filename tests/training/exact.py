"""A model without latent variables, as a program: fitted by one process or several, its weights must be the same.

Run as ``python exact.py FOLDER BATCH_SIZE``.
"""

from __future__ import annotations

import sys

import torch
from torch import nn

import unveil as uv
from unveil.distributions import Normal
from unveil.training.fit import leave_processes


class Regression(uv.Model):
    """p(x | c) = N(x; W c + b, 1)."""

    def __init__(self, x: uv.Variable, context: uv.Variable) -> None:
        super().__init__()
        self.x, self.context = x, context
        self.mean = nn.Linear(context.features, x.features)

    def walk(self, visit, batch):
        mean = self.mean(batch.context)
        visit("x", p=lambda: Normal(mean, torch.ones_like(mean)), value=batch["x"])


def fitted(folder: str, batch_size: int) -> uv.Run:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    context = torch.randn(101, 3)
    data = uv.data.load((context @ torch.randn(3, 2), context), context="label", validation="none", test="none")
    model = Regression(data.variable, data.context)
    return uv.fit(model, data, epochs=3, batch_size=batch_size, lr=0.01, out=folder, overwrite=True, progress=False)


if __name__ == "__main__":
    fitted(sys.argv[1], int(sys.argv[2]))
    leave_processes()
