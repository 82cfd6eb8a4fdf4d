"""Likelihoods p(x | z, context)."""

from unveil.likelihoods.base import Likelihood, LikelihoodFactory
from unveil.likelihoods.default import default_likelihood
from unveil.likelihoods.gaussian import FixedGaussian, LearnedGaussian, OptimalGaussian
from unveil.likelihoods.levels import Bernoulli, Binomial, Categorical, DiscretizedLogistic

__all__ = [
    "Bernoulli",
    "Binomial",
    "Categorical",
    "DiscretizedLogistic",
    "FixedGaussian",
    "LearnedGaussian",
    "Likelihood",
    "LikelihoodFactory",
    "OptimalGaussian",
    "default_likelihood",
]
