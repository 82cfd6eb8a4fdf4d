"""Fixed priors, standard normal and logistic; and a Gaussian whose moments depend on parents or context."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from unveil.distributions import Logistic, Normal
from unveil.nets import MLP, NetFactory, joined
from unveil.priors.base import Prior
from unveil.variables import Variable


class _Standard(Prior, ABC):
    """A fixed product of distributions of location 0 and scale 1."""

    loc: Tensor
    scale: Tensor

    def __init__(self, latent_dim: int, context: int = 0, x: Variable | None = None) -> None:
        super().__init__(latent_dim, context, x)
        self.register_buffer("loc", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("scale", torch.ones(latent_dim), persistent=False)


class StandardNormal(_Standard):
    """p(z) = N(0, I)."""

    def forward(
        self,
        parents: Tensor | None = None,
        context: Tensor | None = None,
        *,
        posterior: Callable[..., Distribution] | None = None,
    ) -> Normal:
        """N(0, I), batch shape ()."""
        return Normal(self.loc, self.scale)


class StandardLogistic(_Standard):
    """p(z) = prod_i sigmoid'(z_i): heavier tails than the normal's, as NICE has them (Dinh et al. 2015)."""

    def forward(
        self,
        parents: Tensor | None = None,
        context: Tensor | None = None,
        *,
        posterior: Callable[..., Distribution] | None = None,
    ) -> Logistic:
        """The logistic distribution, batch shape ()."""
        return Logistic(self.loc, self.scale)


class ConditionalGaussian(Prior):
    """p(z | c) = N(mu(c), diag sigma(c)^2), with a net for mu and log sigma; at the start it is N(0, I).

    Args:
        latent_dim: The size of z.
        context: The number of features of what z depends on (parents and context together); at least 1.
        x: Not looked at.
        net: Makes the net from c to (mu, log sigma).

    Raises:
        ValueError: If there is nothing to depend on.
    """

    def __init__(self, latent_dim: int, context: int = 0, x: Variable | None = None, net: NetFactory = MLP) -> None:
        super().__init__(latent_dim, context, x)
        if context < 1:
            raise ValueError(
                "context: a ConditionalGaussian prior expects at least one feature to depend on, got 0; give the model "
                "a context, or use StandardNormal"
            )
        self.net = net((context,), (2, latent_dim), 0)
        self.net.start_at(torch.zeros(()), everywhere=True)

    def forward(
        self,
        parents: Tensor | None = None,
        context: Tensor | None = None,
        *,
        posterior: Callable[..., Distribution] | None = None,
    ) -> Normal:
        """N(mu, diag sigma^2) with the batch shape of what it depends on."""
        given = context if parents is None else joined(parents, context)
        if given is None:
            raise ValueError("context: a ConditionalGaussian expects parents or a context to depend on, got neither")
        loc, log_scale = self.net(given).to(given.dtype).unbind(-2)
        return Normal(loc, log_scale.clamp(-10, 5).exp())
