"""Figures of models, of how they were fitted, and of what they were found to be worth.

Every function returns a :class:`matplotlib.figure.Figure`; :func:`save_all` writes what makes sense for a run.
"""

from unveil.plots.chains import chain
from unveil.plots.components import ellipses, means_as_images
from unveil.plots.curves import training_curve
from unveil.plots.factors import loadings, loadings_as_images
from unveil.plots.histograms import densities
from unveil.plots.images import reconstructions, reconstructions_and_samples, samples
from unveil.plots.information import rates
from unveil.plots.latents import latent_space
from unveil.plots.levels import level_probabilities, profiles
from unveil.plots.regression import weights
from unveil.plots.saving import save_all
from unveil.plots.tables import marginals, pairs
from unveil.plots.words import topics

__all__ = [
    "chain",
    "densities",
    "ellipses",
    "latent_space",
    "level_probabilities",
    "loadings",
    "loadings_as_images",
    "marginals",
    "means_as_images",
    "pairs",
    "profiles",
    "rates",
    "reconstructions",
    "reconstructions_and_samples",
    "samples",
    "save_all",
    "topics",
    "training_curve",
    "weights",
]
