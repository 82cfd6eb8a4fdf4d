"""Models whose evaluation is known."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from unveil.distributions import Normal
from unveil.models import VAE, Conditioned, Model, Visit
from unveil.models.term import Bound
from unveil.nets import MLP
from unveil.variables import Batch, Variable


def vae(levels: int = 2, features: int = 6, latent_dim: int = 2) -> VAE:
    """A small VAE of vectors."""
    small = partial(MLP, hidden=(8,))
    return VAE(Variable((features,), levels), latent_dim=latent_dim, encoder=small, decoder=small)


class Tabled(Model):
    """Data that is its own code: x_n = (mu_n, s_n) has q(z | x_n) = N(mu_n, s_n^2); p(z) = N(0, 1).

    Args:
        bound: What p's log-density is said to be.
        shift: How far all q are moved away from p.
    """

    def __init__(self, bound: Bound = "exact", shift: float = 0.0) -> None:
        super().__init__()
        self.bound, self.shift = bound, shift

    def q(self, x: Tensor) -> Distribution:
        return Normal(x[:, :1] + self.shift, x[:, 1:])

    def walk(self, visit: Visit, batch: Batch) -> None:
        z = visit("z", p=lambda: Normal(torch.zeros(1), torch.ones(1)), q=lambda: self.q(batch["x"]), bound=self.bound)
        visit("x", p=lambda: Normal(torch.cat([z, z], -1), torch.ones(2)), value=batch["x"])


class Foreign(Tabled):
    """The same, with a distribution of torch's own."""

    def q(self, x: Tensor) -> Distribution:
        return torch.distributions.Independent(torch.distributions.Normal(x[:, :1], x[:, 1:]), 1)


class Noise(Model):
    """p(x | c) with a latent of its own: p(w) p(x | w, c), q(w | x, c)."""

    def walk(self, visit: Visit, batch: Batch) -> None:
        x, c = batch["x"], batch.context
        one = torch.ones(1)
        w = visit("w", p=lambda: Normal(0 * one, one), q=lambda: Normal(0.5 * x[..., :1] - c, 0.9 * one))
        visit("x", p=lambda: Normal(torch.cat([w + c, w], -1), torch.ones(2)), value=x)


class SplicedLikelihood(Model):
    """p(z), and x from a model with a latent of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.likelihood = Noise()

    def walk(self, visit: Visit, batch: Batch) -> None:
        x = batch["x"]
        z = visit("z", p=lambda: Normal(torch.zeros(1), torch.ones(1)), q=lambda: Normal(x[:, :1], torch.ones(1)))
        visit("x", p=lambda: Conditioned(self.likelihood, z), value=x)


class Marginal(Model):
    """p(x) without a latent variable."""

    def __init__(self, features: int = 3) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.randn(features))

    def walk(self, visit: Visit, batch: Batch) -> None:
        visit("x", p=lambda: Normal(self.loc, torch.ones_like(self.loc)), value=batch["x"])


class Drawn:
    """A split whose every batch is a new draw around stored rows."""

    def __init__(self, stored: Tensor) -> None:
        self.stored = stored

    def __len__(self) -> int:
        return len(self.stored)

    def batch(self, index: Tensor, generator: torch.Generator) -> Batch:
        noise = torch.rand(len(index), self.stored.shape[1], generator=generator)
        return Batch((noise < self.stored[index]).to(self.stored), index=index)
