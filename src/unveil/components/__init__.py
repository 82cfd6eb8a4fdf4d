"""Components p(x | k), k = 1, ..., K, that EM fits: for mixtures and hidden Markov models."""

from unveil.components.base import Components, ComponentsFactory, Statistics, shares
from unveil.components.discrete import Binomial, Categorical
from unveil.components.factor import Anisotropic, FactorAnalyser, Isotropic
from unveil.components.full import Full, Tied
from unveil.components.gaussian import Diagonal, Gaussian, Spherical
from unveil.components.weighting import Dirichlet, StickBreaking, Weighting, WeightingFactory
from unveil.components.wishart import NormalWishart

__all__ = [
    "Anisotropic",
    "Binomial",
    "Categorical",
    "Components",
    "ComponentsFactory",
    "Diagonal",
    "Dirichlet",
    "FactorAnalyser",
    "Full",
    "Gaussian",
    "Isotropic",
    "NormalWishart",
    "Spherical",
    "Statistics",
    "StickBreaking",
    "Tied",
    "Weighting",
    "WeightingFactory",
    "shares",
]
