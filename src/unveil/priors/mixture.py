"""Mixture priors: free Gaussians, and the posteriors of pseudo-inputs (VampPrior)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from unveil.distributions import Mixture, Normal
from unveil.nets.standardize import mean_of
from unveil.priors.base import Prior
from unveil.variables import Variable


class MixtureOfGaussians(Prior):
    """p(z) = sum_k pi_k N(z; mu_k, diag sigma_k^2), all learned.

    Args:
        latent_dim: The size of z.
        context: Not looked at.
        x: Not looked at.
        components: The number K of Gaussians.
        spread: The standard deviation of the initial means, which are drawn at random.
    """

    def __init__(
        self,
        latent_dim: int,
        context: int = 0,
        x: Variable | None = None,
        components: int = 50,
        spread: float = 1.0,
    ) -> None:
        super().__init__(latent_dim, context, x)
        _at_least_one(components)
        self.log_weights = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(spread * torch.randn(components, latent_dim))
        self.log_scale = nn.Parameter(torch.zeros(components, latent_dim))

    def forward(
        self,
        parents: Tensor | None = None,
        context: Tensor | None = None,
        *,
        posterior: Callable[..., Distribution] | None = None,
    ) -> Mixture:
        """The mixture, batch shape ()."""
        return Mixture(self.log_weights, Normal(self.loc, self.log_scale.clamp(-10, 5).exp()))


class VampPrior(Prior):
    """p(z) = sum_k pi_k q(z | u_k): a mixture of posteriors at learned pseudo-inputs u_k (Tomczak & Welling 2018).

    The posterior is handed over at each call; this part owns the pseudo-inputs only. They start at training examples,
    drawn a tenth of the way to the middle of the data's range so that clamping to that range leaves them a gradient.

    Args:
        latent_dim: The size of z.
        context: Must be 0.
        x: What the model observes: a pseudo-input has its shape.
        components: The number K of pseudo-inputs.
        weighted: Whether the weights pi_k are learned; 1/K as in the paper otherwise.

    Raises:
        ValueError: If x is missing, or if there is a context.
    """

    low: Tensor
    high: Tensor

    def __init__(
        self,
        latent_dim: int,
        context: int = 0,
        x: Variable | None = None,
        components: int = 500,
        *,
        weighted: bool = False,
    ) -> None:
        super().__init__(latent_dim, context, x)
        _at_least_one(components)
        if x is None:
            raise ValueError("x: a VampPrior expects the Variable whose shape its pseudo-inputs have, got None")
        if context:
            raise ValueError(
                f"context: a VampPrior is the same for all examples and expects no context, got {context} features; "
                "use ConditionalGaussian"
            )
        self.variable = x
        noise = torch.randn if x.levels is None else torch.rand  # apart from each other even where no data is seen
        self.pseudo_inputs = nn.Parameter(((x.levels or 2) - 1) * noise(components, *x.shape))
        self.log_weights = nn.Parameter(torch.zeros(components), requires_grad=weighted)
        ends = tuple(x.shape) if len(x.shape) == 1 else (1,) * len(x.shape)  # of each feature, or of all pixels
        self.register_buffer("low", torch.full(ends, -torch.inf))
        self.register_buffer("high", torch.full(ends, torch.inf))

    @torch.no_grad()
    def initialize(self, x: Tensor, generator: torch.Generator) -> None:
        """Start at training examples, missing entries at the mean; some come twice where there are fewer than K."""
        axes = (0,) if x.dim() == 2 else tuple(range(x.dim()))
        x = torch.where(x.isnan(), mean_of(x, axes), x)
        low, high = x.amin(axes).expand_as(self.low), x.amax(axes).expand_as(self.high)
        self.low.copy_(low)
        self.high.copy_(high)
        order = torch.randperm(len(x), generator=generator, device=generator.device).to(x.device)
        rows = order[torch.arange(len(self.pseudo_inputs), device=x.device) % len(x)]
        self.pseudo_inputs.copy_(x[rows] + 0.1 * ((low + high) / 2 - x[rows]))

    def forward(
        self,
        parents: Tensor | None = None,
        context: Tensor | None = None,
        *,
        posterior: Callable[..., Distribution] | None = None,
    ) -> Mixture:
        """The mixture of ``posterior(u_k)``, batch shape ()."""
        if posterior is None:
            raise ValueError("posterior: a VampPrior is a mixture of posteriors and expects to be handed one, got None")
        return Mixture(self.log_weights, posterior(self.pseudo_inputs.clamp(self.low, self.high)))


def _at_least_one(components: int) -> None:
    if components < 1:
        raise ValueError(f"components: expected at least 1, got {components}")
