"""A diffusion of Gaussian data, one random level in training and all in evaluation, with two denoisers.

q is the fixed noising chain z_t = sqrt(alpha_bar_t) x + sqrt(1 - alpha_bar_t) eps. What the denoiser believes of x
given z_t, a mean and a variance, makes the reverse step: the bridge q(z_{t-1} | z_t, x) averaged over that belief.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unveil.distributions import Normal
from unveil.models import Model, Visit
from unveil.variables import Batch


class Diffusion(Model):
    """p(z_T) prod_t p(z_{t-1} | z_t) p(x | z_1), of T levels."""

    def __init__(self, denoiser: nn.Module, features: int = 1, levels: int = 10) -> None:
        super().__init__()
        self.denoiser, self.features, self.levels = denoiser, features, levels
        kept = 1 - torch.linspace(0.05, 0.5, levels)
        self.register_buffer("alpha_bar", torch.cat([torch.ones(1), kept.cumprod(0)]).unsqueeze(1))

    def noised(self, x: Tensor, t: int | Tensor) -> Normal:
        """q(z_t | x)."""
        alpha_bar = self.alpha_bar[t]
        return Normal(alpha_bar.sqrt() * x, (1 - alpha_bar).sqrt())

    def bridge(self, x: Tensor, z: Tensor, t: int | Tensor, variance: Tensor | float = 0.0) -> Normal:
        """q(z_{t-1} | z_t, x), for an x that is known up to a variance."""
        alpha_bar, above = self.alpha_bar[t - 1], self.alpha_bar[t]
        alpha = above / alpha_bar
        c1, c2 = alpha_bar.sqrt() * (1 - alpha) / (1 - above), alpha.sqrt() * (1 - alpha_bar) / (1 - above)
        return Normal(c1 * x + c2 * z, (c2 / alpha.sqrt() * (1 - alpha) + c1**2 * variance).sqrt())

    def reverse(self, z: Tensor, t: int | Tensor) -> Normal:
        """p(z_{t-1} | z_t)."""
        mean, variance = self.denoiser(z, t, self.alpha_bar[t])
        return self.bridge(mean, z, t, variance)

    def walk(self, visit: Visit, batch: Batch) -> None:
        x, top = batch["x"], Normal(torch.zeros(self.features), torch.ones(self.features))
        z = visit(f"z{self.levels}", p=lambda: top, q=lambda: self.noised(x, self.levels))
        if visit.subsample:
            t = visit.choose("t", 2, self.levels)
            z = visit.propose("z_t", lambda: self.noised(x, t))
            visit("z_s", p=lambda: self.reverse(z, t), q=lambda: self.bridge(x, z, t), weight=self.levels - 1)
            z = visit.propose("z1", lambda: self.noised(x, 1))
        else:
            for t in range(self.levels, 1, -1):
                z = visit(f"z{t - 1}", p=lambda t=t, z=z: self.reverse(z, t), q=lambda t=t, z=z: self.bridge(x, z, t))
        visit("x", p=lambda: self.reverse(z, 1), value=x)


class Optimal(nn.Module):
    """E[x | z_t] and Var(x | z_t) of data N(0, v)."""

    def __init__(self, v: float) -> None:
        super().__init__()
        self.v = v

    def forward(self, z: Tensor, t: int | Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
        total = alpha_bar * self.v + 1 - alpha_bar
        return alpha_bar.sqrt() * self.v / total * z, self.v * (1 - alpha_bar) / total


class Learned(nn.Module):
    """A line and a variance for each level."""

    def __init__(self, levels: int = 10) -> None:
        super().__init__()
        self.slope, self.log_variance = (
            nn.Parameter(torch.zeros(levels + 1, 1)),
            nn.Parameter(torch.zeros(levels + 1, 1)),
        )

    def forward(self, z: Tensor, t: int | Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
        return self.slope[t] * z, self.log_variance[t].exp()
