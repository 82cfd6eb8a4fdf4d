"""Tiny instances of every public concrete class, for the contract tests. A new class adds one line here.

``tests/contracts/test_registry.py`` fails if a class of these packages' ``__all__`` is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tests.supports import DOUBLE, Support, finite, levels, line, one_hots, plane, polar, simplex
from unveil import (
    components,
    distributions,
    flows,
    gradients,
    likelihoods,
    models,
    nets,
    objectives,
    posteriors,
    priors,
)
from unveil.variables import Batch, Variable

LATENT, CONTEXT = 2, 2
BINARY, FOUR, REAL = Variable((3,), levels=2), Variable((3,), levels=4), Variable((3,))
IMAGE, CLASSES = Variable((1, 5, 4), levels=4), Variable((CONTEXT,))
TINY = partial(nets.MLP, hidden=(6,))


class Leaves:
    """Seeded leaf tensors for the parameters of a distribution, remembered so that gradients can be read off.

    Args:
        dtype: Their dtype.
        spread: Their size; large ones make extreme distributions.
        seed: Where they come from.
    """

    def __init__(self, dtype: torch.dtype = DOUBLE, spread: float = 0.5, seed: int = 0) -> None:
        self.dtype, self.spread = dtype, spread
        self.generator = torch.Generator().manual_seed(seed)
        self.tensors: list[Tensor] = []

    def real(self, *shape: int) -> Tensor:
        """Any numbers."""
        noise = torch.randn(shape, generator=self.generator, dtype=DOUBLE)
        self.tensors.append((self.spread * noise).to(self.dtype).requires_grad_())
        return self.tensors[-1]

    def positive(self, *shape: int) -> Tensor:
        """Positive numbers, within e^-10 and e^10."""
        return self.real(*shape).clamp(-10, 10).exp()

    def power(self, *shape: int) -> Tensor:
        """Numbers between 1 and 10."""
        return 1 + self.positive(*shape).clamp(max=9)

    def lower(self, *shape: int) -> Tensor:
        """Lower triangular matrices with a positive diagonal, (\\*shape, d) -> (\\*shape, d, d)."""
        below = self.real(*shape, shape[-1]).tril(-1)
        return below + torch.diag_embed(self.positive(*shape))

    def fixed(self, *shape: int) -> Tensor:
        """Numbers that are no parameter: no gradient is expected to reach them."""
        return self.real(*shape).detach()


class Row(Leaves):
    """The parameters of one row of a batch that other leaves made.

    Args:
        leaves: Those of the whole batch.
        index: The row: an index of the batch axes.
    """

    def __init__(self, leaves: Leaves, index: object) -> None:
        super().__init__(leaves.dtype)
        self.recorded, self.index = iter(leaves.tensors), index

    def real(self, *shape: int) -> Tensor:
        """The recorded tensor's row; the tensor itself where all rows share it."""
        recorded = next(self.recorded)
        self.tensors.append(recorded.detach() if tuple(recorded.shape) == shape else recorded.detach()[self.index])
        return self.tensors[-1]


@dataclass(frozen=True)
class Density:
    """A registered distribution.

    Args:
        make: From leaves and a batch shape to the distribution.
        support: What it is summed or integrated over.
        knows: Which of its mean, variance, mode and entropy are defined.
        shared: Whether it has no batch axes.
    """

    make: Callable[..., distributions.Distribution]
    support: Callable[[distributions.Distribution], Support]
    knows: tuple[str, ...] = ()
    shared: bool = False


ALL = ("mean", "variance", "mode", "entropy")


def line_of(make: Callable[..., distributions.Distribution], knows: tuple[str, ...] = ALL) -> Density:
    """A registered distribution of one number."""
    return Density(make, line, knows)


def ordered(make: Callable[..., Any], start: Tensor, *steps: Tensor) -> Any:
    """A distribution of numbers in rising order: each further than the one before by 1 and what a step says."""
    return make(*torch.stack([start, *(1 + step for step in steps)]).cumsum(0))


OBSERVED = torch.tensor([True, False, True])
SEEN = torch.zeros(4, 3, dtype=DOUBLE).masked_scatter(OBSERVED, levels(2, 2))
d = distributions
DENSITIES: dict[str, Density] = {
    "Beta": line_of(lambda p, *b: d.Beta(1 + p.positive(*b, 1), 1 + p.positive(*b, 1))),
    "Cauchy": line_of(lambda p, *b: d.Cauchy(p.real(*b, 1), p.positive(*b, 1)), ("mode", "entropy")),
    "Chi2": line_of(lambda p, *b: d.Chi2(2 + p.positive(*b, 1))),
    "Dirichlet": Density(lambda p, *b: d.Dirichlet(1 + p.positive(*b, 3)), simplex, ALL),
    "Elliptical": Density(lambda p, *b: d.Elliptical(p.real(*b, 2), p.lower(*b, 2)), polar, ALL),
    "Elliptical of power": Density(
        lambda p, *b: d.Elliptical(p.real(*b, 2), p.lower(*b, 2), partial(d.PowerRadius, exponent=p.power(*b))),
        polar,
        ALL,
    ),
    "Elliptical of t": Density(
        lambda p, *b: d.Elliptical(p.real(*b, 2), p.lower(*b, 2), partial(d.StudentRadius, df=2.5 + p.positive(*b))),
        polar,
        ALL,
    ),
    "Erlang": line_of(lambda p, *b: d.Erlang(torch.full((*b, 1), 3), p.positive(*b, 1))),
    "Exponential": line_of(lambda p, *b: d.Exponential(p.positive(*b, 1))),
    "FisherSnedecor": line_of(
        lambda p, *b: d.FisherSnedecor(2 + p.positive(*b, 1), 8 + p.positive(*b, 1)),
        ("mean", "variance", "mode", "entropy"),
    ),
    "Gamma": line_of(lambda p, *b: d.Gamma(1 + p.positive(*b, 1), p.positive(*b, 1))),
    "Gompertz": line_of(lambda p, *b: d.Gompertz(p.positive(*b, 1), p.positive(*b, 1))),
    "Gumbel": line_of(lambda p, *b: d.Gumbel(p.real(*b, 1), p.positive(*b, 1))),
    "Laplace": line_of(lambda p, *b: d.Laplace(p.real(*b, 1), p.positive(*b, 1))),
    "LogNormal": line_of(lambda p, *b: d.LogNormal(p.real(*b, 1).clamp(-10, 10), p.positive(*b, 1).clamp(max=3))),
    "Pareto": line_of(lambda p, *b: d.Pareto(p.positive(*b, 1), 3 + p.positive(*b, 1))),
    "Rayleigh": line_of(lambda p, *b: d.Rayleigh(p.positive(*b, 1))),
    "Reciprocal": line_of(lambda p, *b: ordered(d.Reciprocal, p.positive(*b, 1), p.positive(*b, 1))),
    "StudentT": line_of(lambda p, *b: d.StudentT(3 + p.positive(*b, 1), p.real(*b, 1), p.positive(*b, 1))),
    "Triangular": line_of(lambda p, *b: ordered(d.Triangular, p.real(*b, 1), p.positive(*b, 1), p.positive(*b, 1))),
    "Uniform": line_of(lambda p, *b: ordered(d.Uniform, p.real(*b, 1), p.positive(*b, 1))),
    "Weibull": line_of(lambda p, *b: d.Weibull(p.positive(*b, 1), 1 + p.positive(*b, 1))),
    "Bernoulli": Density(lambda p, *b: d.Bernoulli(p.real(*b, 2)), finite(levels(2, 2)), ALL),
    "Bernoulli image": Density(lambda p, *b: d.Bernoulli(p.real(*b, 1, 3), 2), finite(levels(2, 1, 3)), ALL),
    "Binomial": Density(lambda p, *b: d.Binomial(4, p.real(*b, 2)), finite(levels(5, 2)), ("mean", "variance", "mode")),
    "Categorical": Density(
        lambda p, *b: d.Categorical(p.real(*b, 2, 3), 1), finite(levels(3, 2)), ("mean", "mode", "entropy")
    ),
    "Categorical scalar": Density(
        lambda p, *b: d.Categorical(p.real(*b, 4)), finite(levels(4)), ("mean", "mode", "entropy")
    ),
    "Coded": Density(lambda p, *b: d.Coded(d.Categorical(p.real(*b, 4)), p.real(4, 2)), finite(levels(4))),
    "DiscretizedLogistic": Density(
        lambda p, *b: d.DiscretizedLogistic(p.real(*b, 2), p.positive(*b, 2), 4), finite(levels(4, 2)), ("mean", "mode")
    ),
    "Logistic": Density(lambda p, *b: d.Logistic(p.real(*b, 2), p.positive(*b, 2)), plane, ALL),
    "MarkovChain of Categorical": Density(
        lambda p, *b: d.MarkovChain(p.real(*b, 3).log_softmax(-1), p.real(*b, 2, 3, 3).log_softmax(-1)),
        finite(levels(3, 3)),
        ("mode", "entropy"),
    ),
    "Masked": Density(lambda p, *b: d.masked(d.Bernoulli(p.real(*b, 3)), OBSERVED), finite(SEEN, OBSERVED)),
    "Mixture": Density(
        lambda p, *b: d.Mixture(p.real(3), d.Normal(p.real(3, 2), p.positive(3, 2))), plane, ("mean", "variance"), True
    ),
    "Mixture of each": Density(
        lambda p, *b: d.Mixture(p.real(*b, 3), d.Normal(p.real(*b, 3, 2), p.positive(*b, 3, 2))),
        plane,
        ("mean", "variance"),
    ),
    "Mixture of each, full": Density(
        lambda p, *b: d.Mixture(
            p.real(*b, 3), d.MultivariateNormal(p.real(*b, 3, 2).clamp(-10, 10), p.lower(*b, 3, 2).clamp(-10, 10))
        ),
        plane,
        ("mean", "variance"),
    ),
    "Mixture of full": Density(
        lambda p, *b: d.Mixture(p.real(3), d.MultivariateNormal(p.real(3, 2), p.lower(3, 2))),
        plane,
        ("mean", "variance"),
        True,
    ),
    "Multinomial": Density(
        lambda p, *b: d.Multinomial(torch.full(b, 4), p.real(*b, 3).log_softmax(-1)),
        finite(levels(5, 3)[levels(5, 3).sum(-1) == 4]),
        ("mean", "variance"),
    ),
    "MultivariateNormal": Density(lambda p, *b: d.MultivariateNormal(p.real(*b, 2), p.lower(*b, 2)), plane, ALL),
    "Normal": Density(lambda p, *b: d.Normal(p.real(*b, 2), p.positive(*b, 2)), plane, ALL),
    "OneHotCategorical": Density(
        lambda p, *b: d.OneHotCategorical(p.real(*b, 2, 3), 1), finite(one_hots(3, 2)), ("mean", "mode", "entropy")
    ),
    "Quantized": Density(lambda p, *b: d.Quantized(p.real(*b, 2), p.fixed(4, 2)), finite(levels(4)), ("entropy",)),
    "RelaxedOneHot": Density(lambda p, *b: d.RelaxedOneHot(p.real(*b, 3), 0.7), simplex),
    "Steps": Density(lambda p, *b: d.Steps(d.Normal(p.real(*b, 2, 1), p.positive(*b, 2, 1)), (2,)), plane, ALL),
    "Steps of Categorical": Density(
        lambda p, *b: d.Steps(d.Categorical(p.real(*b, 3, 4)), (3,)), finite(levels(4, 3)), ("mode", "entropy")
    ),
}

LAYERS = {
    "Dense": partial(nets.Dense, 3, 4),
    "Dense tanh": partial(nets.Dense, 3, 4, tanh=True),
    "GatedDense": partial(nets.GatedDense, 3, 4),
    "MaskedLinear": partial(nets.MaskedLinear, torch.ones(4, 3, dtype=torch.bool).tril()),
}
NETS = {
    "ConvDecoder": partial(nets.ConvDecoder, (3,), (1, 5, 4), CONTEXT, channels=(4, 3)),
    "ConvDecoder of levels": partial(nets.ConvDecoder, (3,), (2, 3, 7, 2), CONTEXT, channels=(4, 3)),
    "ConvEncoder": partial(nets.ConvEncoder, (2, 5, 7), (2, 3), CONTEXT, channels=(3, 4)),
    "ConvNet": partial(nets.ConvNet, (2, 3, 4), (2, 3, 3, 4), CONTEXT, hidden=(4, 5)),
    "GatedMLP": partial(nets.GatedMLP, (2, 3), (2, 2), CONTEXT, hidden=(5, 4)),
    "MLP": partial(nets.MLP, (2, 3), (2, 2), CONTEXT, hidden=(8, 6)),
    "MLP linear": partial(nets.MLP, (), (2,), CONTEXT, hidden=()),
    "MaskedMLP": partial(nets.MaskedMLP, (4,), (2, 4), CONTEXT, hidden=(9, 8), order=(2, 0, 3, 1)),
}
STANDARDIZERS = {
    "Standardize": partial(nets.Standardize, REAL.shape),
    "Standardize image": partial(nets.Standardize, IMAGE.shape),
}
PRIORS = {
    "ConditionalGaussian": partial(priors.ConditionalGaussian, net=TINY),
    "MixtureOfGaussians": partial(priors.MixtureOfGaussians, components=3),
    "StandardLogistic": priors.StandardLogistic,
    "StandardNormal": priors.StandardNormal,
    "VampPrior": partial(priors.VampPrior, components=3),
    "VampPrior weighted": partial(priors.VampPrior, components=3, weighted=True),
}
CONDITIONAL = {"ConditionalGaussian"}
"""The priors that need a context (those of pseudo-inputs refuse one)."""
POSTERIORS = {
    "DiagonalGaussian": posteriors.DiagonalGaussian,
    "DiagonalGaussian clamped": partial(posteriors.DiagonalGaussian, log_variance=(-6.0, 2.0)),
    "FullGaussian": posteriors.FullGaussian,
    "MixtureOfGaussians": partial(posteriors.MixtureOfGaussians, components=3),
}
LIKELIHOODS = {
    "Bernoulli": (likelihoods.Bernoulli, BINARY),
    "Binomial": (likelihoods.Binomial, FOUR),
    "Categorical": (likelihoods.Categorical, FOUR),
    "Categorical image": (likelihoods.Categorical, IMAGE),
    "DiscretizedLogistic": (likelihoods.DiscretizedLogistic, FOUR),
    "FixedGaussian": (partial(likelihoods.FixedGaussian, scale=0.7), REAL),
    "LearnedGaussian": (likelihoods.LearnedGaussian, REAL),
    "OptimalGaussian": (likelihoods.OptimalGaussian, REAL),
    "OptimalGaussian scalar": (likelihoods.OptimalGaussian, Variable(())),
}
SCHEDULES = {
    "Constant": partial(objectives.Constant, 0.5),
    "Cosine": objectives.Cosine,
    "Cyclical": objectives.Cyclical,
    "Linear": partial(objectives.Linear, 0.25, 1.0),
    "WarmUp": objectives.WarmUp,
}
OBJECTIVES = {
    "BetaELBO": lambda: objectives.BetaELBO(objectives.Linear(0.5)),
    "BetaELBO sampled": partial(objectives.BetaELBO, 2.0, 2, closed_form=False),
    "ELBO": objectives.ELBO,
    "ELBO sampled": partial(objectives.ELBO, 2, closed_form=False),
    "FreeBits": partial(objectives.FreeBits, 0.05, particles=2),
    "FreeBits whole": partial(objectives.FreeBits, 0.05, per_dimension=False),
    "Hybrid": partial(objectives.Hybrid, 0.3, 2),
    "IWAE": partial(objectives.IWAE, 3),
    "IWAE of one": partial(objectives.IWAE, 1),
}
GRADIENTS = {
    "DReG": gradients.DReG,
    "Pathwise": gradients.Pathwise,
    "RelaxedPathwise": gradients.RelaxedPathwise,
    "StickingTheLanding": gradients.StickingTheLanding,
}
MODELS = {
    "CVAE": partial(models.CVAE, BINARY, CLASSES, LATENT, PRIORS["ConditionalGaussian"], encoder=TINY, decoder=TINY),
    "GSNN": partial(models.GSNN, REAL, CLASSES, LATENT, PRIORS["ConditionalGaussian"], decoder=TINY),
    "VAE": partial(models.VAE, FOUR, None, LATENT, encoder=TINY, decoder=TINY),
    "VAE in a context": partial(models.VAE, REAL, CLASSES, LATENT, encoder=TINY, decoder=TINY),
    "VAE of images": partial(models.VAE, Variable((1, 33, 33)), None, LATENT),
}
MONOTONES = {"Affine": flows.Affine, "Shift": flows.Shift, "Spline": partial(flows.Spline, bins=4, bound=3.0)}
TINY_CONV, TINY_MASKED = partial(nets.ConvNet, hidden=(4,)), partial(nets.MaskedMLP, hidden=(8, 6), order=(1, 2, 0))


def batch_norm(*shape: int) -> flows.BatchNorm:
    """In evaluation, with some moments."""
    module = flows.BatchNorm(shape)
    module.mean.normal_()
    module.variance.uniform_(0.5, 2)
    return module.eval()


BIJECTIONS = {
    "ActNorm": partial(flows.ActNorm, (3,)),
    "ActNorm image": partial(flows.ActNorm, (2, 2, 2)),
    "BatchNorm": partial(batch_norm, 3),
    "BatchNorm image": partial(batch_norm, 2, 2, 1),
    "Branch": lambda: flows.Branch(flows.Coupling((2, 2, 2), CONTEXT, net=TINY_CONV)),
    "Chain": lambda: flows.Chain([flows.Reshape((3, 1)), flows.Linear((3,)), flows.Coupling((3,), CONTEXT, net=TINY)]),
    "Coupling": partial(flows.Coupling, (3,), CONTEXT, net=TINY),
    "Coupling image": partial(flows.Coupling, (3, 2, 2), CONTEXT, (True, False, True), net=TINY_CONV),
    "Coupling spline": partial(flows.Coupling, (3,), CONTEXT, (False, True, False), MONOTONES["Spline"], TINY),
    "MaskedCoupling": partial(flows.MaskedCoupling, (3,), (True, False, True), CONTEXT, net=TINY),
    "MaskedCoupling checkerboard": partial(
        flows.MaskedCoupling, (2, 3, 3), flows.checkerboard((2, 3, 3)), CONTEXT, net=TINY_CONV
    ),
    "Householder": partial(flows.Householder, (3,)),
    "Householder amortized": partial(flows.Householder, (3,), CONTEXT),
    "Inverse": lambda: flows.Inverse(flows.MaskedAutoregressive((3,), CONTEXT, net=TINY_MASKED)),
    "Linear": partial(flows.Linear, (2,)),
    "Linear image": partial(flows.Linear, (3, 2, 2)),
    "Logit": partial(flows.Logit, (3,), 2.0, 0.05),
    "MaskedAutoregressive": partial(flows.MaskedAutoregressive, (3,), CONTEXT, net=TINY_MASKED),
    "MaskedAutoregressive sequential": partial(
        flows.MaskedAutoregressive, (3,), CONTEXT, net=TINY_MASKED, solver="sequential"
    ),
    "MaskedAutoregressive spline": partial(
        flows.MaskedAutoregressive, (3,), CONTEXT, MONOTONES["Spline"], TINY_MASKED, "parallel"
    ),
    "Permutation": partial(flows.Permutation, (3,), (1, 2, 0)),
    "Permutation image": partial(flows.Permutation, (3, 2, 1)),
    "Planar": partial(flows.Planar, (3,)),
    "Planar amortized": partial(flows.Planar, (3,), CONTEXT),
    "Reshape": partial(flows.Reshape, (1, 2, 2)),
    "Squeeze": partial(flows.Squeeze, (1, 2, 4)),
    "Sylvester": partial(flows.Sylvester, (3,)),
    "Sylvester amortized": partial(flows.Sylvester, (3,), CONTEXT, columns=2),
}
DEQUANTIZATIONS = {
    "Uniform": partial(flows.Uniform, FOUR),
    "Variational": partial(
        flows.Variational, FOUR, partial(flows.RealNVP, transforms=2, net=TINY), net=TINY, features=2
    ),
}
FLOWS = {
    "Flow": lambda: flows.Flow(
        flows.Coupling((3,), CONTEXT, net=TINY), partial(priors.MixtureOfGaussians, components=2)
    ),
    "Glow": partial(flows.Glow, (1, 4, 4), CONTEXT, steps=1, net=TINY_CONV),
    "IAF": partial(flows.IAF, (1, 3), CONTEXT, transforms=2, hidden=(6,)),
    "MAF": partial(flows.MAF, (3,), CONTEXT, transforms=2, hidden=(6,)),
    "NICE": partial(flows.NICE, (3,), CONTEXT, transforms=2, net=TINY),
    "NSF": partial(flows.NSF, (3,), CONTEXT, transforms=2, bins=3, net=TINY),
    "RealNVP": partial(flows.RealNVP, (3,), CONTEXT, transforms=2, net=TINY),
    "RealNVP image": partial(flows.RealNVP, (1, 4, 4), CONTEXT, transforms=1, net=TINY_CONV),
}
FLOW_MODELS = {
    "FlowModel": lambda: models.FlowModel(REAL, CLASSES, partial(flows.MAF, transforms=2, hidden=(6,))),
    "Glow": partial(models.Glow, Variable((1, 4, 4)), CLASSES, steps=1, net=TINY_CONV),
    "IAF": partial(models.IAF, REAL, CLASSES, transforms=2, hidden=(6,)),
    "MAF": partial(models.MAF, FOUR, CLASSES, transforms=2, hidden=(6,)),
    "NICE": partial(models.NICE, REAL, None, transforms=2, net=TINY),
    "NSF": partial(models.NSF, REAL, None, transforms=2, bins=3, net=TINY),
    "NICE dequantized": partial(
        models.NICE,
        FOUR,
        None,
        transforms=2,
        net=TINY,
        dequantization=partial(
            flows.Variational, flow=partial(flows.RealNVP, transforms=2, net=TINY), net=TINY, features=2
        ),
    ),
    "RealNVP": partial(models.RealNVP, FOUR, None, transforms=2, net=TINY),
}
COMPONENTS: dict[str, tuple[components.ComponentsFactory, Variable]] = {
    "Anisotropic": (components.Anisotropic, REAL),
    "Binomial": (components.Binomial, FOUR),
    "Binomial of two": (components.Binomial, BINARY),
    "Categorical": (components.Categorical, FOUR),
    "Diagonal": (components.Diagonal, REAL),
    "Full": (components.Full, REAL),
    "Isotropic": (components.Isotropic, REAL),
    "Spherical": (components.Spherical, REAL),
    "Tied": (components.Tied, REAL),
}
"""What EM fits components of, with what they are components of."""
EM_MODELS: dict[str, Callable[[], models.EMModel]] = {
    "BernoulliMixture": partial(models.BernoulliMixture, BINARY, components=2),
    "CategoricalHMM": partial(models.CategoricalHMM, Variable((4,), levels=3), states=2),
    "CategoricalMixture": partial(models.CategoricalMixture, FOUR, components=2),
    "FactorAnalysis": partial(models.FactorAnalysis, REAL, latent_dim=1),
    "GaussianHMM": partial(models.GaussianHMM, Variable((4, 2)), states=2),
    "GaussianHMM diagonal": partial(models.GaussianHMM, Variable((4, 2)), states=2, covariance=components.Diagonal),
    "GaussianMixture": partial(models.GaussianMixture, REAL, components=2),
    "GaussianMixture diagonal": partial(models.GaussianMixture, REAL, components=2, covariance=components.Diagonal),
    "GaussianMixture spherical": partial(models.GaussianMixture, REAL, components=2, covariance=components.Spherical),
    "GaussianMixture tied": partial(models.GaussianMixture, REAL, components=2, covariance=components.Tied),
    "HiddenMarkov": partial(models.HiddenMarkov, Variable((4,), levels=2), states=2),
    "MixtureModel": partial(models.MixtureModel, Variable((2,), levels=50), components=2),
    "MixtureOfFactorAnalysers": partial(
        models.MixtureOfFactorAnalysers, REAL, components=2, family=partial(components.Anisotropic, latent_dim=1)
    ),
    "MixtureOfFactorAnalysers isotropic": partial(
        models.MixtureOfFactorAnalysers, REAL, components=2, family=partial(components.Isotropic, latent_dim=1)
    ),
    "ProbabilisticPCA": partial(models.ProbabilisticPCA, REAL, latent_dim=1),
}
"""The models that EM fits, which stay in double precision: ``tests/em`` holds their contracts."""
ELSEWHERE: dict[str, Callable[[], object]] = {
    "AmortizedMixture": partial(models.AmortizedMixture, REAL, components=2, encoder=TINY),
    "BayesianGaussianMixture": partial(models.BayesianGaussianMixture, REAL, components=2),
    "BayesianLinearRegression": partial(models.BayesianLinearRegression, Variable((1,)), Variable((2,))),
    "Categorical": partial(posteriors.Categorical, REAL, 3, 0, TINY),
    "DirichletProcessMixture": partial(models.DirichletProcessMixture, REAL, components=2),
    "LatentDirichletAllocation": partial(models.LatentDirichletAllocation, Variable((4,), levels=9), topics=2),
    "SummedELBO": partial(objectives.SummedELBO, {"z": 3}),
}
"""What has tests of its own: models in double precision, and parts of discrete latent variables."""
SOURCES = {
    "Enumerate": lambda g: models.Enumerate({"z": 3}),
    "Given": lambda g: models.Given({"z": torch.zeros(3, 1, LATENT)}),
    "Mode": lambda g: models.Mode(3, g),
    "PerVariable": lambda g: models.PerVariable({"z": models.FromPosterior(3, g)}, models.FromPrior(3, g)),
    "FromPosterior": lambda g: models.FromPosterior(3, g, pathwise=True),
    "FromPrior": lambda g: models.FromPrior(3, g),
    "Relaxed": lambda g: models.Relaxed(0.5, 3, g),
    "Tempered": lambda g: models.Tempered(0.5, 3, g),
}
MODULES: dict[str, dict[str, Callable[[], nn.Module]]] = {
    "layers": LAYERS,
    "nets": NETS,
    "standardizers": STANDARDIZERS,
    "priors": {
        name: partial(make, LATENT, CONTEXT if name in CONDITIONAL else 0, REAL) for name, make in PRIORS.items()
    },
    "posteriors": {name: partial(make, REAL, LATENT, CONTEXT, TINY) for name, make in POSTERIORS.items()},
    "likelihoods": {name: partial(make, x, LATENT, CONTEXT, TINY) for name, (make, x) in LIKELIHOODS.items()},
    "schedules": SCHEDULES,
    "objectives": OBJECTIVES,
    "gradients": GRADIENTS,
    "models": MODELS,
    "monotones": MONOTONES,
    "bijections": BIJECTIONS,
    "flows": FLOWS,
    "dequantizations": DEQUANTIZATIONS,
    "flow models": FLOW_MODELS,
}
"""Every registered module by concept: what makes one."""
RECORDS = {
    "Conditioned", "Dequantized", "Floor", "NormalRadius", "Point", "PowerRadius", "RowGenerators", "Some", "Step",
    "StudentRadius", "Term", "Trace", "Transformed", "Visit",
}  # fmt: skip
"""Records, noise streams, and distributions that are made of data or of modules rather than of parameters: the tests of
what makes them cover them."""


def modules(*concepts: str) -> list[tuple[str, str]]:
    """(concept, name) of every registered module of these concepts, of all without any."""
    return [(concept, name) for concept in concepts or MODULES for name in MODULES[concept]]


def make(concept: str, name: str, dtype: torch.dtype = DOUBLE, seed: int = 0) -> nn.Module:
    """A registered module of that dtype, its parameters away from where they start (a zero weight blocks gradients)."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = MODULES[concept][name]().to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            size = 0.3 / max(parameter[0].numel() if parameter.dim() else 1, 1) ** 0.5
            parameter += size * torch.randn(parameter.shape, generator=generator, dtype=DOUBLE).to(dtype)
    return module


def data(x: Variable, rows: int = 6, dtype: torch.dtype = DOUBLE, seed: int = 0) -> Tensor:
    """Random observations of a variable, (rows, \\*shape)."""
    generator = torch.Generator().manual_seed(seed)
    if x.levels is None:
        return (1 + 3 * torch.randn((rows, *x.shape), generator=generator, dtype=DOUBLE)).to(dtype)
    return torch.randint(x.levels, (rows, *x.shape), generator=generator).to(dtype)


def noise(*shape: int, dtype: torch.dtype = DOUBLE, seed: int = 1) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE).to(dtype)


def batch(model: models.Model, rows: int = 6, dtype: torch.dtype = DOUBLE) -> Batch:
    """A batch for that model, with a context where it wants one."""
    return Batch(x=data(model.x, rows, dtype), context=noise(rows, CONTEXT, dtype=dtype) if model.context else None)


def pseudo_posterior(u: Tensor) -> distributions.Normal:
    """A posterior to hand to priors that are mixtures of it."""
    return distributions.Normal(u.flatten(1)[:, :LATENT].tanh(), 0.5 + u.flatten(1)[:, -LATENT:].sigmoid())


def run(concept: str, module: nn.Module, dtype: torch.dtype = DOUBLE, extreme: float = 1.0) -> Tensor:
    """What the module computes from fixed inputs of that dtype, differentiable in its parameters.

    Args:
        concept: The key of :data:`MODULES`.
        module: One of that concept.
        dtype: That of the inputs.
        extreme: What real inputs are multiplied by.
    """
    generator = torch.Generator().manual_seed(0)
    z, c = extreme * noise(6, LATENT, dtype=dtype), extreme * noise(6, CONTEXT, dtype=dtype, seed=2)
    if concept == "layers":
        return module(extreme * noise(6, 3, dtype=dtype))
    if concept == "nets":
        return module(extreme * noise(6, *module.in_shape, dtype=dtype), c)
    if concept == "standardizers":
        return module(extreme * noise(6, *module.mean.shape, dtype=dtype))
    if concept == "priors":
        return module(context=c if module.context else None, posterior=pseudo_posterior).log_prob(z)
    if concept == "posteriors":
        q = module(extreme * data(REAL, dtype=dtype), c)
        return q.log_prob(q.rsample((), generator).detach())
    if concept == "likelihoods":
        return module(z, c).log_prob(data(module.x, dtype=dtype))
    if concept == "schedules":
        return module()
    if concept == "monotones":
        y, log_slope = module(noise(6, dtype=dtype), noise(module.parameters_per_entry, 6, dtype=dtype, seed=2))
        return y + log_slope
    if concept == "bijections":
        x = noise(6, *module.shape, dtype=dtype)
        y, log_det = module.eval()(x.sigmoid() if isinstance(module, flows.Logit) else x, c)
        return y.flatten(1) + log_det.unsqueeze(1)
    if concept == "dequantizations":
        x = data(FOUR, dtype=dtype)
        return module(x).log_prob(x + 0.3)
    if concept == "flows":
        return module(c).log_prob(noise(6, *module.shape, dtype=dtype))
    if concept == "flow models":
        examples = batch(module, dtype=dtype)
        y = {} if module.x.levels is None else {"y": examples.x.unsqueeze(0) + 0.4}
        return module.trace(examples, models.Given(y, scores="pq")).log_w
    model = module if concept == "models" else make("models", "VAE in a context", dtype)
    if concept in ("models", "objectives"):
        particles = module.particles if concept == "objectives" else 2
        z = noise(particles, 6, LATENT, dtype=dtype)
        trace = model.trace(batch(model, dtype=dtype), models.Given({"z": z}, scores="pq"))
        if concept == "models":
            return trace.log_joint + trace.log_w
        return module(*[trace for _ in module.sources(generator, pathwise=True)])
    objective = next(made for made in (objectives.ELBO(), objectives.IWAE(1)) if accepts(module, made))
    return module(model, objective, batch(model, dtype=dtype), generator).loss


def accepts(gradient: gradients.Gradient, objective: objectives.Objective) -> bool:
    """Whether the estimator is one for that objective."""
    try:
        gradient.check(objective)
    except ValueError:
        return False
    return True
