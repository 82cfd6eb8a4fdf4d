"""The same distribution, narrower or wider: what sampling at a temperature draws from."""

from __future__ import annotations

from functools import singledispatch

from torch.distributions import Distribution

from unveil.distributions.logistic import Logistic
from unveil.distributions.mixture import Mixture
from unveil.distributions.normal import MultivariateNormal, Normal
from unveil.distributions.point import Point
from unveil.distributions.transformed import Transformed


@singledispatch
def tempered(distribution: Distribution, temperature: float) -> Distribution:
    """The distribution with its spread (standard deviation) multiplied by ``temperature``.

    A mixture keeps its weights and means; of a flow it is the noise that is narrower (Kingma & Dhariwal 2018).

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
def _(distribution: Logistic, temperature: float) -> Logistic:
    return Logistic(distribution.loc, temperature * distribution.scale, len(distribution.event_shape))


@tempered.register
def _(distribution: MultivariateNormal, temperature: float) -> MultivariateNormal:
    return MultivariateNormal(distribution.loc, temperature * distribution.scale_tril)


@tempered.register
def _(distribution: Point, temperature: float) -> Point:
    return distribution


@tempered.register
def _(distribution: Mixture, temperature: float) -> Mixture:
    return Mixture(distribution.log_weights, tempered(distribution.components, temperature))


@tempered.register
def _(distribution: Transformed, temperature: float) -> Transformed:
    return Transformed(tempered(distribution.base, temperature), distribution.bijection, distribution.context)
