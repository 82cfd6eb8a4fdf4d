"""Posteriors q(z | x, context)."""

from unveil.posteriors.base import Posterior, PosteriorFactory
from unveil.posteriors.gaussian import DiagonalGaussian, FullGaussian
from unveil.posteriors.mixture import Categorical, MixtureOfGaussians

__all__ = ["Categorical", "DiagonalGaussian", "FullGaussian", "MixtureOfGaussians", "Posterior", "PosteriorFactory"]
