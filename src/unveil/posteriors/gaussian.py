"""Gaussian posteriors, diagonal and with a full covariance."""

from __future__ import annotations

import torch
from torch import Tensor

from unveil.distributions import MultivariateNormal, Normal
from unveil.nets import MLP, NetFactory
from unveil.posteriors.base import Posterior, scale_of
from unveil.variables import Variable


class DiagonalGaussian(Posterior):
    """q(z | x) = N(mu(x), diag sigma(x)^2).

    Args:
        x: What is observed.
        latent_dim: The size of z.
        context: The number of features of the context.
        encoder: Makes the net from x to (mu, log sigma^2).
        log_variance: The range that log sigma^2 is clamped to; None leaves it free (within float32's range).
    """

    def __init__(
        self,
        x: Variable,
        latent_dim: int,
        context: int = 0,
        encoder: NetFactory = MLP,
        log_variance: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(x, latent_dim, context, encoder, shape=(2, latent_dim))
        self.log_variance = log_variance

    def distribution(self, parameters: Tensor) -> Normal:
        """N(mu, diag sigma^2)."""
        loc, log_variance = parameters.unbind(-2)
        if self.log_variance is not None:
            log_variance = log_variance.clamp(*self.log_variance)
        return Normal(loc, scale_of(0.5 * log_variance))


class FullGaussian(Posterior):
    """q(z | x) = N(mu(x), L(x) L(x)') with L = diag(s) (I + N), N strictly lower triangular.

    Args:
        x: What is observed.
        latent_dim: The size d of z.
        context: The number of features of the context.
        encoder: Makes the net from x to mu, log s, and the d (d - 1) / 2 entries of N.
    """

    def __init__(self, x: Variable, latent_dim: int, context: int = 0, encoder: NetFactory = MLP) -> None:
        below = latent_dim * (latent_dim - 1) // 2
        super().__init__(x, latent_dim, context, encoder, shape=(2 * latent_dim + below,))

    def distribution(self, parameters: Tensor) -> MultivariateNormal:
        """N(mu, L L')."""
        d = self.latent_dim
        loc, log_diagonal, below = parameters.split([d, d, parameters.shape[-1] - 2 * d], dim=-1)
        row, column = torch.tril_indices(d, d, offset=-1, device=parameters.device)
        scale = scale_of(log_diagonal)
        unit = torch.eye(d, dtype=loc.dtype, device=loc.device).repeat(*loc.shape[:-1], 1, 1)
        unit[..., row, column] = below
        return MultivariateNormal(loc, scale.unsqueeze(-1) * unit)
