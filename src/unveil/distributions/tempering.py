"""The same distribution, narrower or wider: what sampling at a temperature draws from."""

from __future__ import annotations

from functools import singledispatch

from torch.distributions import Distribution

from unveil.distributions.mixture import Mixture
from unveil.distributions.normal import MultivariateNormal, Normal


@singledispatch
def tempered(distribution: Distribution, temperature: float) -> Distribution:
    """The distribution with its spread (standard deviation) multiplied by ``temperature``.

    A mixture keeps its weights and means.

    Raises:
        ValueError: If distributions of this type have no such form; register a method for it.
    """
    if temperature == 1:
        return distribution
    raise ValueError(f"temperature: a {type(distribution).__name__} has no tempered form; sample without a temperature")


@tempered.register
def _(distribution: Normal, temperature: float) -> Normal:
    return Normal(distribution.loc, temperature * distribution.scale, len(distribution.event_shape))


@tempered.register
def _(distribution: MultivariateNormal, temperature: float) -> MultivariateNormal:
    return MultivariateNormal(distribution.loc, temperature * distribution.scale_tril)


@tempered.register
def _(distribution: Mixture, temperature: float) -> Mixture:
    return Mixture(distribution.log_weights, tempered(distribution.components, temperature))
