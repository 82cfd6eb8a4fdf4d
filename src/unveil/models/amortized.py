"""A mixture whose responsibilities are a net's: the same model as EM fits, with an amortized q instead."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from unveil import distributions, posteriors
from unveil.components import ComponentsFactory
from unveil.components.seeding import first_guess
from unveil.models.alternating import no_context
from unveil.models.mixtures import made
from unveil.models.model import Model
from unveil.models.visit import Visit
from unveil.nets import MLP, NetFactory
from unveil.variables import Batch, Variable


class AmortizedMixture(Model):
    """p(x) = sum_k pi_k p(x | k) with q(k | x) = softmax(net(x))_k: a VAE with a categorical latent variable.

    Its ELBO, sum_k q(k | x) (log pi_k p(x | k) - log q(k | x)), lies below log p(x) by KL(q(k | x) || p(k | x)), a gap
    that EM does not have. Fit it with ``SummedELBO()``.

    Args:
        x: What is observed.
        context: Must be None.
        components: K.
        family: Makes the components p(x | k); chosen from the data by default.
        encoder: Makes the net.
    """

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        components: int = 10,
        family: ComponentsFactory | None = None,
        encoder: NetFactory = MLP,
    ) -> None:
        super().__init__()
        no_context(self, context)
        self.x = x
        self.family = made(family, x, components)
        self.log_weights = nn.Parameter(torch.zeros(components))
        self.posterior = posteriors.Categorical(x, components, 0, encoder)
        self.double()

    def initialize(
        self, batch: Batch, generator: torch.Generator, x: Variable | Mapping[str, Variable] | None = None
    ) -> None:
        """Components begin at the clusters of k-means, as EM's do."""
        super().initialize(batch, generator, x)
        values, mask = batch["x"], batch.mask_of("x")
        if values is not None:
            weight = torch.ones(len(values), dtype=torch.double, device=values.device)
            points = self.family.coordinates(values, mask)
            with torch.no_grad():
                r = first_guess(points, 1, self.family.components, weight, generator)[0]
                self.family.start(values, mask, r, generator)

    def walk(self, visit: Visit, batch: Batch) -> None:
        """z, the component's number, then x."""
        x, mask = batch["x"], batch.mask_of("x")
        q = None if x is None else lambda: self.posterior(x, None, mask)
        z = visit("z", p=lambda: distributions.Categorical(self.log_weights), q=q)
        visit("x", p=lambda: self.family(z), value=x, mask=mask)
