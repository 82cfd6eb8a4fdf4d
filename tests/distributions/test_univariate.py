"""Distributions of one number: scipy's values, the ends, what lies outside, and gradients through F and F^-1."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import special, stats
from torch import Tensor

from tests.registry import DENSITIES, DOUBLE, Leaves
from unveil import distributions as d
from unveil.distributions import Univariate
from unveil.distributions.special import beta_cdf, gamma_cdf, student_cdf


def of(*values: float) -> list[Tensor]:
    return [torch.tensor([value], dtype=DOUBLE) for value in values]


KNOWN = {
    "Beta": (d.Beta(*of(0.8, 3.0)), stats.beta(0.8, 3.0)),
    "Beta, large": (d.Beta(*of(300.0, 4000.0)), stats.beta(300.0, 4000.0)),
    "Cauchy": (d.Cauchy(*of(0.5, 3.0)), stats.cauchy(0.5, 3.0)),
    "Chi2": (d.Chi2(*of(3.0)), stats.chi2(3.0)),
    "Erlang": (d.Erlang(torch.tensor([3]), *of(2.0)), stats.erlang(3, scale=0.5)),
    "Exponential": (d.Exponential(*of(2.0)), stats.expon(scale=0.5)),
    "FisherSnedecor": (d.FisherSnedecor(*of(3.0, 7.0)), stats.f(3.0, 7.0)),
    "Gamma": (d.Gamma(*of(0.3, 2.0)), stats.gamma(0.3, scale=0.5)),
    "Gamma, large": (d.Gamma(*of(3000.0, 2.0)), stats.gamma(3000.0, scale=0.5)),
    "Gompertz": (d.Gompertz(*of(0.3, 2.0)), stats.gompertz(0.3, scale=0.5)),
    "Gompertz, steep": (d.Gompertz(*of(3.0, 2.0)), stats.gompertz(3.0, scale=0.5)),
    "Gumbel": (d.Gumbel(*of(0.5, 3.0)), stats.gumbel_r(0.5, 3.0)),
    "Laplace": (d.Laplace(*of(0.5, 3.0)), stats.laplace(0.5, 3.0)),
    "Logistic": (d.Logistic(*of(0.5, 3.0)), stats.logistic(0.5, 3.0)),
    "LogNormal": (d.LogNormal(*of(0.3, 0.7)), stats.lognorm(0.7, scale=math.exp(0.3))),
    "Normal": (d.Normal(*of(0.3, 0.7)), stats.norm(0.3, 0.7)),
    "Pareto": (d.Pareto(*of(2.0, 3.0)), stats.pareto(3.0, scale=2.0)),
    "Rayleigh": (d.Rayleigh(*of(2.0)), stats.rayleigh(scale=2.0)),
    "Reciprocal": (d.Reciprocal(*of(0.1, 3.0)), stats.loguniform(0.1, 3.0)),
    "StudentT": (d.StudentT(*of(2.5, 0.5, 3.0)), stats.t(2.5, 0.5, 3.0)),
    "StudentT of one": (d.StudentT(*of(0.9, 0.5, 3.0)), stats.t(0.9, 0.5, 3.0)),
    "Triangular": (d.Triangular(*of(-1.0, 0.0, 3.0)), stats.triang(0.25, -1.0, 4.0)),
    "Triangular, falling": (d.Triangular(*of(-1.0, -1.0, 3.0)), stats.triang(0.0, -1.0, 4.0)),
    "Uniform": (d.Uniform(*of(-1.0, 3.0)), stats.uniform(-1.0, 4.0)),
    "Weibull": (d.Weibull(*of(2.0, 0.5)), stats.weibull_min(0.5, scale=2.0)),
}
EVERY = pytest.mark.parametrize("name", KNOWN)
SHARES = torch.tensor([1e-12, 1e-3, 0.1, 0.5, 0.9, 0.999], dtype=DOUBLE)[:, None]


def test_every_distribution_of_one_number_is_compared_with_scipy():
    univariate = {name for name in DENSITIES if isinstance(DENSITIES[name].make(Leaves()), Univariate)}
    assert univariate == {type(ours).__name__ for ours, _ in KNOWN.values()}


@EVERY
def test_quantiles_shares_and_densities_are_scipys(name):
    ours, theirs = KNOWN[name]
    x = ours.icdf(SHARES)
    torch.testing.assert_close(x, torch.from_numpy(theirs.ppf(SHARES.numpy())), rtol=1e-7, atol=0)
    torch.testing.assert_close(ours.cdf(x), torch.from_numpy(theirs.cdf(x.numpy())), rtol=1e-8, atol=1e-15)
    torch.testing.assert_close(ours.cdf(x), SHARES, rtol=1e-8, atol=1e-15)
    torch.testing.assert_close(ours.log_prob(x), torch.from_numpy(theirs.logpdf(x.numpy()))[:, 0], rtol=1e-9, atol=1e-9)


@EVERY
def test_moments_and_entropies_are_scipys(name):
    ours, theirs = KNOWN[name]
    expected = torch.tensor([float(theirs.entropy()), float(theirs.mean()), float(theirs.var())], dtype=DOUBLE)
    found = torch.stack([ours.entropy(), ours.mean[0], ours.variance[0]])
    if name in ("Cauchy", "StudentT of one"):  # NaN or infinity is said of a mean that there is not
        expected, found = expected[:1], found[:1]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9, equal_nan=True)


@EVERY
def test_the_ends_are_those_of_the_support_and_nothing_lies_beyond(name):
    ours, theirs = KNOWN[name]
    low, high = theirs.support()
    ends = ours.icdf(torch.tensor([[0.0], [1.0]], dtype=DOUBLE)).flatten()
    torch.testing.assert_close(ends, torch.tensor([low, high], dtype=DOUBLE))
    assert ours.icdf(torch.tensor([[-0.1], [1.1]], dtype=DOUBLE)).isnan().all()
    beyond = torch.tensor([[low - 1.0], [high + 1.0]], dtype=DOUBLE)
    assert (ours.log_prob(beyond) == -torch.inf).all()
    torch.testing.assert_close(ours.cdf(beyond).flatten(), torch.tensor([0.0, 1.0], dtype=DOUBLE))


@pytest.mark.parametrize("name", [name for name in DENSITIES if isinstance(DENSITIES[name].make(Leaves()), Univariate)])
def test_quantiles_move_with_the_parameters_as_the_implicit_function_theorem_says(name):
    """dx/dtheta = -(dF/dtheta) / f(x), with dF/dtheta by central differences."""
    leaves = Leaves()
    ours = DENSITIES[name].make(leaves)
    x = ours.icdf(torch.tensor([0.03, 0.4, 0.8], dtype=DOUBLE)[:, None].expand(3, *ours.event_shape))
    inside = x.detach()
    for leaf in leaves.tensors:
        (found,) = torch.autograd.grad(x.sum(), leaf, retain_graph=True)
        step = 1e-5
        with torch.no_grad():
            ends = []
            for sign in (1, -1):
                leaf += sign * step
                again = DENSITIES[name].make(_Fixed(leaves))
                ends.append(again.cdf(inside))
                leaf -= sign * step
        slope = (ends[0] - ends[1]) / (2 * step)
        expected = (-slope / ours.log_prob_per_dim(inside).exp()).detach().sum(0)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


class _Fixed(Leaves):
    """The leaves as they are now, without a gradient."""

    def __init__(self, leaves: Leaves) -> None:
        self.recorded = iter([one.detach() for one in leaves.tensors])
        self.tensors = []

    def real(self, *shape: int) -> Tensor:
        return next(self.recorded)


def test_distribution_functions_have_the_gradients_of_their_parameters():
    a, b, x, n, t = (torch.tensor(value, dtype=DOUBLE, requires_grad=True) for value in (0.7, 2.5, 0.3, 3.5, -0.4))
    assert torch.autograd.gradcheck(gamma_cdf, (x, a))
    assert torch.autograd.gradcheck(beta_cdf, (x, a, b))
    assert torch.autograd.gradcheck(student_cdf, (t, n))
    at_zero = torch.zeros((), dtype=DOUBLE, requires_grad=True)
    (slope,) = torch.autograd.grad(student_cdf(at_zero, n), at_zero)
    torch.testing.assert_close(slope, torch.tensor(float(stats.t(3.5).pdf(0)), dtype=DOUBLE))


def test_the_incomplete_beta_function_is_scipys_over_many_magnitudes(generator):
    a, b = (2 * torch.randn(2, 3000, generator=generator, dtype=DOUBLE)).exp()
    x = torch.rand(3000, generator=generator, dtype=DOUBLE)
    expected = torch.from_numpy(special.betainc(a.numpy(), b.numpy(), x.numpy()))
    torch.testing.assert_close(beta_cdf(x, a, b), expected, rtol=1e-11, atol=1e-300)


def test_an_erlang_of_no_whole_number_is_refused():
    with pytest.raises(ValueError, match=r"k: expected whole numbers from 1, got \[2.5\]; use Gamma"):
        d.Erlang(torch.tensor([2.5]), torch.tensor([1.0]))
