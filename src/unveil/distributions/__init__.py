"""Densities that torch lacks, or has without what this library needs: explicit generators and per-factor terms."""

from unveil.distributions.base import Distribution, Factorized, draw, sum_rightmost
from unveil.distributions.bounded import Beta, Reciprocal, Triangular, Uniform
from unveil.distributions.coded import Coded, Quantized
from unveil.distributions.dequantized import Dequantized, Floor
from unveil.distributions.dirichlet import Dirichlet, Multinomial
from unveil.distributions.discrete import Bernoulli, Binomial, Categorical, OneHotCategorical, RelaxedOneHot
from unveil.distributions.elliptical import Elliptical, NormalRadius, PowerRadius, Radius, RadiusFactory, StudentRadius
from unveil.distributions.implicit import differentiable_root
from unveil.distributions.kl import closed_form_kl, kl_per_dim
from unveil.distributions.logistic import DiscretizedLogistic, Logistic
from unveil.distributions.markov import MarkovChain
from unveil.distributions.masked import Masked, masked
from unveil.distributions.mixture import Mixture, pairwise_log_prob, select
from unveil.distributions.noise import Generator, RowGenerators
from unveil.distributions.normal import MultivariateNormal, Normal
from unveil.distributions.point import Point
from unveil.distributions.positive import (
    Chi2,
    Erlang,
    Exponential,
    FisherSnedecor,
    Gamma,
    Gompertz,
    LogNormal,
    Pareto,
    Rayleigh,
    Weibull,
)
from unveil.distributions.precision import full_precision
from unveil.distributions.real import Cauchy, Gumbel, Laplace, StudentT
from unveil.distributions.steps import Steps
from unveil.distributions.tempering import tempered
from unveil.distributions.transformed import Transformed
from unveil.distributions.univariate import Factors, Univariate

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "Coded",
    "Dequantized",
    "Dirichlet",
    "DiscretizedLogistic",
    "Distribution",
    "Elliptical",
    "Erlang",
    "Exponential",
    "Factorized",
    "Factors",
    "FisherSnedecor",
    "Floor",
    "Gamma",
    "Generator",
    "Gompertz",
    "Gumbel",
    "Laplace",
    "LogNormal",
    "Logistic",
    "MarkovChain",
    "Masked",
    "Mixture",
    "Multinomial",
    "MultivariateNormal",
    "Normal",
    "NormalRadius",
    "OneHotCategorical",
    "Pareto",
    "Point",
    "PowerRadius",
    "Quantized",
    "Radius",
    "RadiusFactory",
    "Rayleigh",
    "Reciprocal",
    "RelaxedOneHot",
    "RowGenerators",
    "Steps",
    "StudentRadius",
    "StudentT",
    "Transformed",
    "Triangular",
    "Uniform",
    "Univariate",
    "Weibull",
    "closed_form_kl",
    "differentiable_root",
    "draw",
    "full_precision",
    "kl_per_dim",
    "masked",
    "pairwise_log_prob",
    "select",
    "sum_rightmost",
    "tempered",
]
