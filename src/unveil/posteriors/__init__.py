"""Posteriors q(z | x, context)."""

from unveil.posteriors.base import Posterior, PosteriorFactory
from unveil.posteriors.gaussian import DiagonalGaussian, FullGaussian

__all__ = ["DiagonalGaussian", "FullGaussian", "Posterior", "PosteriorFactory"]
