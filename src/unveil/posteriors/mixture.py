"""Posteriors with several modes, and of a discrete variable."""

from __future__ import annotations

from torch import Tensor

from unveil import distributions
from unveil.distributions import Mixture, Normal
from unveil.nets import MLP, NetFactory
from unveil.posteriors.base import Posterior, scale_of
from unveil.variables import Variable


class MixtureOfGaussians(Posterior):
    """q(z | x) = sum_k pi_k(x) N(z; mu_k(x), diag sigma_k(x)^2); its draws have pathwise gradients.

    Args:
        x: What is observed.
        latent_dim: The size of z.
        context: The number of features of the context.
        encoder: Makes the net from x to mu_k, log sigma_k^2 and log pi_k of each Gaussian.
        components: The number K of Gaussians.
    """

    def __init__(
        self, x: Variable, latent_dim: int, context: int = 0, encoder: NetFactory = MLP, components: int = 5
    ) -> None:
        if components < 1:
            raise ValueError(f"components: expected at least 1, got {components}")
        super().__init__(x, latent_dim, context, encoder, shape=(components * (2 * latent_dim + 1),))
        self.components = components

    def distribution(self, parameters: Tensor) -> Mixture:
        """The mixture."""
        d = self.latent_dim
        loc, log_variance, log_weight = parameters.unflatten(-1, (self.components, -1)).split([d, d, 1], -1)
        return Mixture(log_weight.squeeze(-1), Normal(loc, scale_of(0.5 * log_variance)))


class Categorical(Posterior):
    """q(z | x) = softmax(l(x))[z] of one number z in 0, ..., K - 1.

    Args:
        x: What is observed.
        latent_dim: K.
        context: The number of features of the context.
        encoder: Makes the net from x to the logits l, (K,).
    """

    def __init__(self, x: Variable, latent_dim: int, context: int = 0, encoder: NetFactory = MLP) -> None:
        super().__init__(x, latent_dim, context, encoder, shape=(latent_dim,))

    def distribution(self, parameters: Tensor) -> distributions.Categorical:
        """The categorical distribution."""
        return distributions.Categorical(parameters)
