"""Priors p(z | context)."""

from unveil.priors.base import Prior, PriorFactory
from unveil.priors.gaussian import ConditionalGaussian, StandardLogistic, StandardNormal
from unveil.priors.mixture import MixtureOfGaussians, VampPrior

__all__ = [
    "ConditionalGaussian",
    "MixtureOfGaussians",
    "Prior",
    "PriorFactory",
    "StandardLogistic",
    "StandardNormal",
    "VampPrior",
]
