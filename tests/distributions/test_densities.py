"""Every density sums or integrates to one, its sampler agrees with it, and its moments are those of brute force."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor

from tests.contracts.test_distributions import drawn
from tests.registry import DENSITIES, Leaves
from tests.supports import DOUBLE, Support, finite
from unveil.distributions import Distribution, Univariate

EVERY = pytest.mark.parametrize("name", DENSITIES)
KNOWN = [(name, statistic) for name, density in DENSITIES.items() for statistic in density.knows]
DRAWS = 20_000


def instance(name: str, spread: float = 0.5, seed: int = 0) -> tuple[Distribution, Support]:
    distribution = DENSITIES[name].make(Leaves(spread=spread, seed=seed))
    return distribution, DENSITIES[name].support(distribution)


def is_finite(name: str) -> bool:
    """Whether a registered distribution has a finite support, so that no grid limits how extreme it may be."""
    return DENSITIES[name].support.__qualname__.startswith(finite.__name__)


def assert_drawn_from(log_mass: Tensor, cells: Tensor, drawn_cells: Tensor) -> None:
    """A chi-square test of draws against the cells' probabilities; cells that expect few draws are joined."""
    mass = torch.zeros(int(cells.max()) + 1, dtype=DOUBLE).index_add(0, cells, log_mass.exp())
    counts = torch.bincount(drawn_cells, minlength=len(mass)).double()
    assert len(counts) == len(mass), "a draw lies where the density was not evaluated"
    assert not counts[mass == 0].any(), "a draw lies where the probability is zero"
    expected = mass * counts.sum()
    few = expected < 10
    expected = torch.cat([expected[~few], expected[few].sum(0, keepdim=True)])
    counts = torch.cat([counts[~few], counts[few].sum(0, keepdim=True)])
    statistic = ((counts - expected).square() / expected)[expected > 0].sum()
    freedom = int((expected > 0).sum()) - 1
    assert stats.chi2.sf(float(statistic.detach()), max(freedom, 1)) > 1e-4


@EVERY
@pytest.mark.parametrize("seed", [0, 1])
def test_the_density_sums_or_integrates_to_one(name, seed):
    distribution, support = instance(name, seed=seed)
    torch.testing.assert_close(support.log_mass(distribution).logsumexp(0), torch.tensor(0.0), rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", [name for name in DENSITIES if is_finite(name)])
@pytest.mark.parametrize("spread", [0.0, 5.0, 30.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_probabilities_sum_to_one_at_extreme_parameters(name, spread, dtype):
    distribution = DENSITIES[name].make(Leaves(dtype, spread), 20)
    support = DENSITIES[name].support(distribution)
    log_prob = distribution.log_prob(support.values.unsqueeze(1).to(dtype))
    tolerance = 1e-8 if dtype == DOUBLE else 2e-4
    torch.testing.assert_close(log_prob.double().logsumexp(0), torch.zeros(20), rtol=0, atol=tolerance)


@EVERY
@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_the_sampler_agrees_with_the_density(name, spread, generator):
    distribution, support = instance(name, spread if is_finite(name) else 0.5, seed=int(spread))
    _, scored = drawn(distribution, (DRAWS,), generator)
    assert_drawn_from(support.log_mass(distribution), support.cell(support.values), support.cell(scored))


@EVERY
def test_the_sampler_agrees_with_the_density_in_single_precision(name, generator):
    distribution = DENSITIES[name].make(Leaves(torch.float32))
    support = DENSITIES[name].support(distribution)
    _, scored = drawn(distribution, (DRAWS,), generator)
    assert_drawn_from(support.log_mass(distribution), support.cell(support.values), support.cell(scored))


def test_a_chi_square_test_notices_a_sampler_that_is_slightly_off(generator):
    fair, support = instance("Categorical scalar")
    biased = type(fair)(fair.logits + torch.tensor([0.1, 0.0, 0.0, 0.0]))
    cells = support.cell(support.values)
    assert_drawn_from(support.log_mass(fair), cells, support.cell(fair.sample((DRAWS,), generator)))
    with pytest.raises(AssertionError):
        assert_drawn_from(support.log_mass(fair), cells, support.cell(biased.sample((DRAWS,), generator)))


@pytest.mark.parametrize(("name", "statistic"), [case for case in KNOWN if case[1] in ("mean", "variance")])
@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_moments_are_sums_over_the_support(name, statistic, spread):
    distribution, support = instance(name, spread if is_finite(name) else 0.5)
    mean = support.expectation(distribution, lambda value: value)
    if statistic == "variance":
        expected = support.expectation(distribution, lambda value: (value - mean).square())
    else:
        expected = mean
    torch.testing.assert_close(getattr(distribution, statistic), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(("name", "statistic"), [case for case in KNOWN if case[1] == "entropy"])
@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_entropies_are_sums_over_the_support(name, statistic, spread):
    distribution, support = instance(name, spread if is_finite(name) else 0.5)
    log_mass = support.log_mass(distribution)
    terms = torch.where(log_mass > -torch.inf, log_mass.exp() * (log_mass - support.log_measure), 0)
    torch.testing.assert_close(distribution.entropy(), -terms.sum(), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(("name", "statistic"), [case for case in KNOWN if case[1] == "mode"])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_no_value_is_likelier_than_the_mode(name, statistic, seed, spread):
    distribution, support = instance(name, spread if is_finite(name) else 0.5, seed)
    highest = (support.log_mass(distribution) - support.log_measure).max()
    at_mode = distribution.log_prob(distribution.mode.to(support.values.dtype))
    assert at_mode >= highest - 1e-9


MOVING = {"Pareto", "Reciprocal", "Uniform"}
"""Densities that jump at an end which is a parameter: an expectation's gradient is none of the density alone."""
SMOOTH = [name for name in DENSITIES if isinstance(instance(name)[0], Univariate) and name not in MOVING]
SMOOTH += ["Elliptical", "Elliptical of power", "Elliptical of t"]
SMOOTH += [
    "Dirichlet",
    "Mixture",
    "Mixture of each",
    "Mixture of each, full",
    "Mixture of full",
    "MultivariateNormal",
    "RelaxedOneHot",
    "Steps",
]


def test_every_reparametrised_density_is_checked():
    straight_through = {"Quantized"}
    assert {*SMOOTH, *MOVING} | straight_through == {name for name in DENSITIES if instance(name)[0].has_rsample}


@pytest.mark.parametrize("name", SMOOTH)
def test_reparametrised_draws_carry_the_gradient_of_an_expectation(name, generator):
    def function(value: Tensor) -> Tensor:
        along = (value * torch.tensor([1.0, -2.0, 0.5])[: value.shape[-1]]).sum(-1)
        return (2 * along + 1).sigmoid()

    leaves = Leaves()
    distribution = DENSITIES[name].make(leaves)
    support = DENSITIES[name].support(distribution)
    exact = torch.autograd.grad(support.expectation(distribution, function), leaves.tensors)
    rows = []
    for _ in range(40):
        distribution = DENSITIES[name].make(leaves := Leaves())
        loss = function(distribution.rsample((500,), generator)).mean()
        rows.append(torch.autograd.grad(loss, leaves.tensors))
    for found, expected in zip(zip(*rows, strict=True), exact, strict=True):
        found = torch.stack(found)
        error = found.std(0) / len(found) ** 0.5
        assert ((found.mean(0) - expected).abs() <= 4.5 * error + 1e-9).all()
        assert (expected.abs() > 10 * error).any(), "too noisy to tell"
