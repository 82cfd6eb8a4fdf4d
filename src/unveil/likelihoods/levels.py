"""Likelihoods of whole numbers 0, 1, ..., L - 1: Bernoulli, categorical, binomial, discretized logistic."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from unveil import distributions
from unveil.likelihoods.base import Likelihood, logit, required_levels
from unveil.nets import MLP, NetFactory, Shape
from unveil.nets.standardize import mean_of
from unveil.variables import Variable


class Bernoulli(Likelihood):
    """p(x | z) = prod_i Bernoulli(x_i; sigmoid l_i(z)), for binary data. The output starts at the mean's logit."""

    def require(self, x: Variable) -> None:
        """Binary data only."""
        required_levels(self, x, range(2, 3), "binarize it, or use Categorical or OptimalGaussian")

    def parameter_shape(self) -> Shape:
        """A logit for each entry."""
        return self.x.shape

    def distribution(self, parameters: Tensor) -> distributions.Bernoulli:
        """A product of Bernoulli distributions."""
        return distributions.Bernoulli(parameters, len(self.x.shape))

    def initialize(self, x: Tensor, generator: torch.Generator) -> None:
        """Start at the logit of each entry's mean (Burda et al. 2016)."""
        self.net.start_at(logit(mean_of(x, otherwise=0.5), 1e-2))


class Categorical(Likelihood):
    """p(x | z) = prod_i softmax(l_i(z))[x_i]: any distribution over the levels of each entry."""

    def require(self, x: Variable) -> None:
        """Levels."""
        required_levels(self, x, range(2, sys.maxsize), "use OptimalGaussian")

    def parameter_shape(self) -> Shape:
        """A logit for each level of each entry."""
        return (*self.x.shape, self.levels)

    def distribution(self, parameters: Tensor) -> distributions.Categorical:
        """A product of categorical distributions."""
        return distributions.Categorical(parameters, len(self.x.shape))

    def initialize(self, x: Tensor, generator: torch.Generator) -> None:
        """Start at each entry's frequencies of levels, with one more example spread over all levels."""
        counts = torch.stack([(x == level).sum(0) for level in range(self.levels)], dim=-1)
        self.net.start_at((counts + 1 / self.levels).log())


class Binomial(Likelihood):
    """p(x | z) = prod_i Binomial(x_i; L - 1, sigmoid l_i(z)): counts of a fixed number of tries."""

    def require(self, x: Variable) -> None:
        """Levels."""
        required_levels(self, x, range(2, sys.maxsize), "use OptimalGaussian")

    def parameter_shape(self) -> Shape:
        """A logit for each entry."""
        return self.x.shape

    def distribution(self, parameters: Tensor) -> distributions.Binomial:
        """A product of binomial distributions."""
        return distributions.Binomial(self.levels - 1, parameters, len(self.x.shape))

    def initialize(self, x: Tensor, generator: torch.Generator) -> None:
        """Start at the logit of each entry's mean fraction."""
        self.net.start_at(logit(mean_of(x / (self.levels - 1), otherwise=0.5), 1e-2))


class DiscretizedLogistic(Likelihood):
    """p(x | z) = prod_i P(x_i; mu_i(z), s_i(z)), a logistic rounded to levels: for many ordered levels (grey images).

    mu = m + d h and s = d exp(g), with h and g from the decoder, m and d the training data's mean and deviation.

    Args:
        x: What is observed.
        latent_dim: The size of z.
        context: The number of features of the context.
        decoder: Makes the net.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, x: Variable, latent_dim: int, context: int = 0, decoder: NetFactory = MLP) -> None:
        super().__init__(x, latent_dim, context, decoder)
        self.register_buffer("centre", torch.tensor((self.levels - 1) / 2))
        self.register_buffer("spread", torch.tensor(self.levels / 4))

    def require(self, x: Variable) -> None:
        """Levels."""
        required_levels(self, x, range(2, sys.maxsize), "use OptimalGaussian")

    def parameter_shape(self) -> Shape:
        """h and g for each entry."""
        return (*self.x.shape, 2)

    def distribution(self, parameters: Tensor) -> distributions.DiscretizedLogistic:
        """A product of discretized logistic distributions."""
        h, g = parameters.unbind(-1)
        scale = self.spread * g.clamp(-7, 5).exp()
        return distributions.DiscretizedLogistic(self.centre + self.spread * h, scale, self.levels, len(self.x.shape))

    @torch.no_grad()
    def initialize(self, x: Tensor, generator: torch.Generator) -> None:
        """Start at each entry's mean and the deviation of all."""
        centre = mean_of(x, tuple(range(x.dim())))
        self.centre.copy_(centre)
        self.spread.copy_((x - centre).square().nanmean().sqrt().clamp_min(0.5))
        start = (mean_of(x, otherwise=float(centre)) - self.centre) / self.spread
        self.net.start_at(torch.stack([start, torch.full_like(start, -1.0)], dim=-1))
