"""Components p(x | k), k = 1, ..., K, that EM fits: for mixtures and hidden Markov models."""

from unveil.components.base import Components, ComponentsFactory, Statistics, shares
from unveil.components.discrete import Binomial, Categorical
from unveil.components.factor import Anisotropic, FactorAnalyser, Isotropic
from unveil.components.full import Full, Tied
from unveil.components.gaussian import Diagonal, Gaussian, Spherical

__all__ = [
    "Anisotropic",
    "Binomial",
    "Categorical",
    "Components",
    "ComponentsFactory",
    "Diagonal",
    "FactorAnalyser",
    "Full",
    "Gaussian",
    "Isotropic",
    "Spherical",
    "Statistics",
    "Tied",
    "shares",
]
