"""Gaussian likelihoods of real numbers, p(x | z) = N(x; mu(z), sigma^2), which differ in where sigma comes from.

mu = m + s h, with h from the decoder, m and s the training data's mean and deviation, so that densities are in the
data's own units. The negative log-likelihood per entry is (x - mu)^2 / (2 sigma^2) + log sigma + 0.5 log(2 pi); at the
optimal sigma^2, the mean squared error, it is 0.5 log(2 pi sigma^2) + 0.5 on average (Rybkin et al. 2021).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unveil import distributions
from unveil.likelihoods.base import Likelihood
from unveil.nets import MLP, NetFactory, Shape, Standardize
from unveil.nets.standardize import mean_of
from unveil.variables import Variable

if TYPE_CHECKING:
    from unveil.models.trace import Trace


class _Gaussian(Likelihood, ABC):
    """N(x; m + s h(z), sigma^2)."""

    def __init__(self, x: Variable, latent_dim: int, context: int = 0, decoder: NetFactory = MLP) -> None:
        super().__init__(x, latent_dim, context, decoder)
        self.units = Standardize(x.shape)

    @abstractmethod
    def sigma(self) -> Tensor:
        """The standard deviation in the data's units, broadcastable to one observation."""

    def require(self, x: Variable) -> None:
        """Real numbers: a density of whole numbers has no upper limit and compares with nothing."""
        if x.levels is not None:
            raise ValueError(
                f"likelihood: {type(self).__name__} expects real numbers, got {x.levels} levels, whose density can "
                "be made as high as you like; use Bernoulli, Categorical, Binomial or DiscretizedLogistic"
            )

    def parameter_shape(self) -> Shape:
        """A mean for each entry."""
        return self.x.shape

    def distribution(self, parameters: Tensor) -> distributions.Normal:
        """A product of normal distributions."""
        return distributions.Normal(self.units.inverse(parameters), self.sigma(), len(self.x.shape))

    def initialize(self, x: Tensor, generator: torch.Generator) -> None:
        """Start at each entry's mean, in units of the data's deviation."""
        self.units.initialize(x)
        self.net.start_at(mean_of(self.units(x)))


class FixedGaussian(_Gaussian):
    """N(x; mu(z), sigma^2) with sigma chosen by you.

    Args:
        x: What is observed.
        latent_dim: The size of z.
        context: The number of features of the context.
        decoder: Makes the net.
        scale: sigma, in the data's units.
    """

    scale: Tensor

    def __init__(
        self, x: Variable, latent_dim: int, context: int = 0, decoder: NetFactory = MLP, scale: float = 1.0
    ) -> None:
        super().__init__(x, latent_dim, context, decoder)
        if not scale > 0:
            raise ValueError(f"scale: expected a positive standard deviation, got {scale}")
        self.register_buffer("scale", torch.tensor(float(scale)))

    def sigma(self) -> Tensor:
        """The chosen sigma."""
        return self.scale


class LearnedGaussian(_Gaussian):
    """N(x; mu(z), diag sigma^2) with sigma learned by gradient, one for each feature of a vector, one for an image.

    Args:
        x: What is observed.
        latent_dim: The size of z.
        context: The number of features of the context.
        decoder: Makes the net.
        smallest: The smallest sigma in units of the data's deviation; below it a density can run away to infinity.
    """

    def __init__(
        self, x: Variable, latent_dim: int, context: int = 0, decoder: NetFactory = MLP, smallest: float = 1e-4
    ) -> None:
        super().__init__(x, latent_dim, context, decoder)
        self.log_scale = nn.Parameter(torch.zeros(self.units.mean.shape))
        self.smallest = smallest

    def sigma(self) -> Tensor:
        """The learned sigma."""
        return self.units.scale * (self.smallest + self.log_scale.clamp(max=10).exp())


class OptimalGaussian(_Gaussian):
    """N(x; mu(z), sigma^2) with sigma^2 at its optimum, the training data's mean squared error.

    In training it follows the error of past batches (the first process's, where several train together); at the end of
    a fit it is settled on the whole training set with the final weights and then frozen. Computed on the data that is
    evaluated, the formula would not be a density. One sigma for each feature of a vector, one for an image.

    Args:
        x: What is observed.
        latent_dim: The size of z.
        context: The number of features of the context.
        decoder: Makes the net.
        momentum: How much of the old estimate a step keeps.
    """

    variance: Tensor
    total: Tensor
    count: Tensor

    def __init__(
        self, x: Variable, latent_dim: int, context: int = 0, decoder: NetFactory = MLP, momentum: float = 0.95
    ) -> None:
        super().__init__(x, latent_dim, context, decoder)
        self.momentum = momentum
        self.register_buffer("variance", torch.ones(self.units.mean.shape))
        self.register_buffer("total", torch.zeros(self.units.mean.shape, dtype=torch.float64), persistent=False)
        self.register_buffer("count", torch.zeros((), dtype=torch.float64), persistent=False)
        self.calibrating = False

    def sigma(self) -> Tensor:
        """The square root of the tracked mean squared error."""
        return self.variance.sqrt()

    def distribution(self, parameters: Tensor) -> distributions.Normal:
        """A product of normal distributions that can be traced back to this part."""
        mean = self.units.inverse(parameters)
        return _Tracked(mean, self.sigma(), len(self.x.shape), self)

    @torch.no_grad()
    def initialize(self, x: Tensor, generator: torch.Generator) -> None:
        """Start at the data's variance: the error of predicting the mean."""
        super().initialize(x, generator)
        self.variance.copy_(self.units.scale.square())

    @torch.no_grad()
    def observe(self, trace: Trace) -> None:
        """Follow the squared error of this part's own term."""
        for term in trace:
            base = term.p.base if isinstance(term.p, distributions.Masked) else term.p
            if isinstance(base, _Tracked) and base.owner is self and term.observed and term.value is not None:
                mask = term.p.mask if isinstance(term.p, distributions.Masked) else None
                self._follow(trace, (term.value - base.loc).square(), mask)

    def begin_calibration(self, turn: int) -> bool:
        """Forget the running estimate; sum over the training set, once."""
        if turn > 0:
            return False
        self.calibrating = True
        self.total.zero_()
        self.count.zero_()
        return True

    def end_calibration(self) -> None:
        """Freeze the training set's mean squared error."""
        self.calibrating = False
        self._settle(self._known(self.total, self.count))

    def _follow(self, trace: Trace, error: Tensor, mask: Tensor | None) -> None:
        """Average squared errors, (K, B, \\*shape) or (B, \\*shape), over examples and, by their weights, particles."""
        error = error.expand(*trace.shape, *self.x.shape)
        share = error.new_tensor(1 / trace.particles) if trace.log_weight is None else trace.log_weight.exp()
        share = share.expand(trace.shape).reshape(*trace.shape, *(1,) * len(self.x.shape)).expand_as(error)
        if mask is not None:
            share = share * mask
        axes = tuple(range(2)) if self.variance.dim() == 1 else tuple(range(error.dim()))
        total = (share * torch.where(share > 0, error, 0)).sum(axes).reshape(self.variance.shape)
        count = share.sum(axes).reshape(self.variance.shape)
        if self.calibrating:
            self.total += total
            self.count = self.count + count
        else:
            known = self._known(total, count)
            self._settle(self.momentum * self.variance + (1 - self.momentum) * known)

    def _known(self, total: Tensor, count: Tensor) -> Tensor:
        """The mean squared error, or what is known of it so far where nothing was observed."""
        return torch.where(count > 0, total / count, self.variance).to(self.variance.dtype)

    def _settle(self, variance: Tensor) -> None:
        self.variance.copy_(torch.maximum(variance, 1e-8 * self.units.scale.square()))


class _Tracked(distributions.Normal):
    """A normal distribution that knows which part made it."""

    def __init__(self, loc: Tensor, scale: Tensor, event_dims: int, owner: OptimalGaussian) -> None:
        super().__init__(loc, scale, event_dims)
        self.owner = owner
