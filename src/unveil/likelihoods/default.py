"""Which likelihood fits which data, where the user does not say."""

from __future__ import annotations

from unveil.likelihoods.base import Likelihood
from unveil.likelihoods.gaussian import OptimalGaussian
from unveil.likelihoods.levels import Bernoulli, Categorical, DiscretizedLogistic
from unveil.variables import Variable

FEW_LEVELS = 32


def default_likelihood(x: Variable) -> type[Likelihood]:
    """Binary: Bernoulli; up to 32 levels: Categorical; more: DiscretizedLogistic; real: OptimalGaussian."""
    if x.levels is None:
        return OptimalGaussian
    if x.levels == 2:
        return Bernoulli
    return Categorical if x.levels <= FEW_LEVELS else DiscretizedLogistic
