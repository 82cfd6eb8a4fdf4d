"""A masked product of factors is the marginal of what is observed."""

from __future__ import annotations

import pytest
import torch

from tests.registry import DENSITIES, Leaves
from tests.supports import levels
from unveil.distributions import Bernoulli, Binomial, Categorical, DiscretizedLogistic, Distribution, Normal, masked

SHAPE = (2, 3)
DISCRETE = {
    "Bernoulli": (lambda p: Bernoulli(p.real(*SHAPE)), 2),
    "Binomial": (lambda p: Binomial(4, p.real(*SHAPE)), 5),
    "Categorical": (lambda p: Categorical(p.real(*SHAPE, 4), 1), 4),
    "DiscretizedLogistic": (lambda p: DiscretizedLogistic(p.real(*SHAPE), p.positive(*SHAPE), 6), 6),
}
MASK = torch.tensor([[True, False, True], [False, True, False]])


@pytest.mark.parametrize("name", DISCRETE)
def test_a_missing_entry_is_summed_out(name):
    make, count = DISCRETE[name]
    base = make(Leaves())
    value = torch.ones(SHAPE)
    found = masked(base, MASK).log_prob(value)
    for row in range(2):
        missing = ~MASK[row]
        filled = value.repeat(count ** int(missing.sum()), 1, 1)
        filled[:, row, missing] = levels(count, int(missing.sum()))
        torch.testing.assert_close(found[row], base.log_prob(filled)[:, row].logsumexp(0))


def test_a_missing_entry_is_integrated_out():
    leaves = Leaves()
    base = Normal(leaves.real(3), leaves.positive(3))
    value = torch.zeros(2000, 3)
    value[:, 1] = torch.linspace(-40, 40, 2000)
    integral = base.log_prob(value).logsumexp(0) + torch.tensor(80 / 1999).log()
    marginal = masked(base, torch.tensor([True, False, True]))
    torch.testing.assert_close(marginal.log_prob(torch.zeros(3)), integral)


@pytest.mark.parametrize("name", DISCRETE)
@pytest.mark.parametrize("hole", [torch.nan, torch.inf, -1.0, 1e9])
def test_what_stands_in_a_missing_entry_changes_neither_value_nor_gradient(name, hole):
    make, _ = DISCRETE[name]
    results = []
    for filling in (0.0, hole):
        base = make(leaves := Leaves())
        log_prob = masked(base, MASK).log_prob(torch.ones(SHAPE).where(MASK, filling))
        results.append((log_prob.detach(), *torch.autograd.grad(log_prob.sum(), leaves.tensors)))
    torch.testing.assert_close(*results)
    assert all(tensor.isfinite().all() for tensor in results[0])


def test_with_all_entries_observed_nothing_changes_and_with_none_the_log_probability_is_zero():
    base = DENSITIES["Normal"].make(Leaves(), 4)
    value = torch.randn(4, 2)
    torch.testing.assert_close(masked(base, torch.ones(2, dtype=torch.bool)).log_prob(value), base.log_prob(value))
    assert torch.equal(masked(base, torch.zeros(4, 2, dtype=torch.bool)).log_prob(value), torch.zeros(4))


@pytest.mark.parametrize("name", ["Elliptical", "Mixture", "OneHotCategorical"])
def test_a_density_that_does_not_factorise_is_refused(name):
    base: Distribution = DENSITIES[name].make(Leaves())
    with pytest.raises(TypeError, match="mask: expected a likelihood that factorises"):
        masked(base, torch.tensor([True, False]))
