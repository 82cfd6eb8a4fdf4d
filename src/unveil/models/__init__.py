"""Models: one walk each, under interchangeable sources; and the named systems."""

from unveil.models.alternating import Alternating, Some
from unveil.models.amortized import AmortizedMixture
from unveil.models.bayes import BayesianGaussianMixture, DirichletProcessMixture
from unveil.models.em import EMModel
from unveil.models.enumeration import Enumerate
from unveil.models.exact import FlowModel
from unveil.models.factors import FactorAnalysis, ProbabilisticPCA
from unveil.models.flat import CVAE, GSNN, VAE
from unveil.models.flows import IAF, MAF, NICE, NSF, Glow, RealNVP
from unveil.models.hmm import CategoricalHMM, GaussianHMM, HiddenMarkov
from unveil.models.mixtures import (
    BernoulliMixture,
    CategoricalMixture,
    GaussianMixture,
    MixtureModel,
    MixtureOfFactorAnalysers,
)
from unveil.models.model import Model
from unveil.models.regression import BayesianLinearRegression
from unveil.models.saving import load, save
from unveil.models.sources import (
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
from unveil.models.topics import LatentDirichletAllocation
from unveil.models.trace import Trace
from unveil.models.visit import Conditioned, Visit

__all__ = [
    "CVAE",
    "GSNN",
    "IAF",
    "MAF",
    "NICE",
    "NSF",
    "VAE",
    "Alternating",
    "AmortizedMixture",
    "BayesianGaussianMixture",
    "BayesianLinearRegression",
    "BernoulliMixture",
    "CategoricalHMM",
    "CategoricalMixture",
    "Conditioned",
    "DirichletProcessMixture",
    "EMModel",
    "Enumerate",
    "FactorAnalysis",
    "FlowModel",
    "FromPosterior",
    "FromPrior",
    "GaussianHMM",
    "GaussianMixture",
    "Given",
    "Glow",
    "HiddenMarkov",
    "LatentDirichletAllocation",
    "MixtureModel",
    "MixtureOfFactorAnalysers",
    "Mode",
    "Model",
    "PerVariable",
    "ProbabilisticPCA",
    "RealNVP",
    "Relaxed",
    "Some",
    "Source",
    "Tempered",
    "Term",
    "Trace",
    "Visit",
    "load",
    "save",
]
