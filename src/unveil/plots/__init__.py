"""Figures of models, of how they were fitted, and of what they were found to be worth.

Every function returns a :class:`matplotlib.figure.Figure`; :func:`save_all` writes what makes sense for a run.
"""

from unveil.plots.components import ellipses, means_as_images
from unveil.plots.curves import training_curve
from unveil.plots.images import reconstructions, reconstructions_and_samples, samples
from unveil.plots.information import rates
from unveil.plots.latents import latent_space
from unveil.plots.saving import save_all
from unveil.plots.tables import marginals, pairs

__all__ = [
    "ellipses",
    "latent_space",
    "marginals",
    "means_as_images",
    "pairs",
    "rates",
    "reconstructions",
    "reconstructions_and_samples",
    "samples",
    "save_all",
    "training_curve",
]
