"""Models: one walk each, under interchangeable sources; and the named systems."""

from unveil.models.flat import CVAE, GSNN, VAE
from unveil.models.model import Model
from unveil.models.saving import load, save
from unveil.models.sources import (
    Enumerate,
    FromPosterior,
    FromPrior,
    Given,
    Mode,
    PerVariable,
    Relaxed,
    Source,
    Tempered,
)
from unveil.models.term import Term
from unveil.models.trace import Trace
from unveil.models.visit import Conditioned, Visit

__all__ = [
    "CVAE",
    "GSNN",
    "VAE",
    "Conditioned",
    "Enumerate",
    "FromPosterior",
    "FromPrior",
    "Given",
    "Mode",
    "Model",
    "PerVariable",
    "Relaxed",
    "Source",
    "Tempered",
    "Term",
    "Trace",
    "Visit",
    "load",
    "save",
]
