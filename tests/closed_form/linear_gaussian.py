"""The linear-Gaussian model, p(z) = N(0, I), p(x | z) = N(W z + b, sigma^2 I), of which everything is known.

log p(x) = log N(x; b, W W' + sigma^2 I), and p(z | x) = N(M^-1 W'(x - b) / sigma^2, M^-1) with M = I + W'W / sigma^2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal as Reference
from torch.distributions import kl_divergence

from unveil.distributions import MultivariateNormal, Normal
from unveil.models import Model, Visit
from unveil.variables import Batch


class LinearGaussian(Model):
    """The model, with q(z | x) = N(A x + c, L L') of full covariance, free of the model's parameters."""

    def __init__(self, features: int = 3, latent_dim: int = 2) -> None:
        super().__init__()
        self.W, self.b = nn.Parameter(torch.randn(features, latent_dim)), nn.Parameter(torch.randn(features))
        self.log_sigma = nn.Parameter(torch.tensor(-0.4))
        self.A, self.c = nn.Parameter(0.3 * torch.randn(latent_dim, features)), nn.Parameter(torch.randn(latent_dim))
        self.L = nn.Parameter(0.3 * torch.randn(latent_dim, latent_dim).tril(-1) + 0.7 * torch.eye(latent_dim))

    @property
    def theta(self) -> list[Tensor]:
        """The parameters of p."""
        return [self.W, self.b, self.log_sigma]

    @property
    def phi(self) -> list[Tensor]:
        """The parameters of q."""
        return [self.A, self.c, self.L]

    def q(self, x: Tensor) -> MultivariateNormal:
        """q(z | x)."""
        return MultivariateNormal(x @ self.A.mT + self.c, self.L.tril())

    def walk(self, visit: Visit, batch: Batch) -> None:
        """z, then x."""
        size = self.W.shape[1]
        z = visit("z", p=lambda: Normal(torch.zeros(size), torch.ones(size)), q=lambda: self.q(batch["x"]))
        visit("x", p=lambda: Normal(z @ self.W.mT + self.b, self.log_sigma.exp()), value=batch["x"])

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x), exactly."""
        noise = (2 * self.log_sigma).exp() * torch.eye(len(self.b))
        return Reference(self.b, self.W @ self.W.mT + noise, validate_args=False).log_prob(x)

    def posterior(self, x: Tensor) -> Reference:
        """p(z | x), exactly."""
        precision = (-2 * self.log_sigma).exp()
        covariance = torch.linalg.inv(torch.eye(self.W.shape[1]) + self.W.mT @ self.W * precision)
        return Reference((x - self.b) @ self.W @ covariance * precision, covariance, validate_args=False)

    def elbo(self, x: Tensor) -> Tensor:
        """log p(x) - KL(q(z | x) || p(z | x)), exactly."""
        q = Reference(x @ self.A.mT + self.c, scale_tril=self.L.tril(), validate_args=False)
        return self.log_evidence(x) - kl_divergence(q, self.posterior(x))

    @torch.no_grad()
    def solve(self) -> None:
        """Make q the exact posterior."""
        exact = self.posterior(torch.zeros_like(self.b))
        gain = exact.covariance_matrix @ self.W.mT * (-2 * self.log_sigma).exp()
        self.A.copy_(gain)
        self.c.copy_(-gain @ self.b)
        self.L.copy_(exact.scale_tril)
