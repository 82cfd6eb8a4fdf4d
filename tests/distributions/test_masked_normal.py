"""Of a normal distribution with correlations, what is observed has the marginal's mean and covariance."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import LowRankMultivariateNormal

from unveil.distributions import MultivariateNormal, masked

LOC = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
TRIL = torch.tensor([[1.0, 0, 0], [0.8, 0.5, 0], [-0.6, 0.3, 2.0]], dtype=torch.float64)
X = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
PATTERNS = [list(pattern) for pattern in itertools.product([True, False], repeat=3)]


def marginal(on: list[bool]) -> float:
    """log N of what is observed, by SciPy."""
    if not any(on):
        return 0.0
    covariance = (TRIL @ TRIL.mT).numpy()[np.ix_(on, on)]
    return float(stats.multivariate_normal(LOC.numpy()[on], covariance).logpdf(X.numpy()[on]))


@pytest.mark.parametrize("on", PATTERNS, ids=str)
@pytest.mark.parametrize("hole", [0.0, torch.nan, torch.inf])
def test_the_density_is_scipys_of_the_marginal(on, hole):
    mask = torch.tensor(on)
    found = masked(MultivariateNormal(LOC, TRIL), mask).log_prob(X.where(mask, hole))
    torch.testing.assert_close(found, torch.tensor(marginal(on)))


@pytest.mark.parametrize("on", PATTERNS, ids=str)
def test_so_it_is_of_few_factors_and_noise(on):
    loading, noise = torch.tensor([[1.0], [0.5], [-2.0]]), torch.tensor([0.3, 1.0, 2.0])
    p = masked(LowRankMultivariateNormal(LOC, loading, noise), torch.tensor(on))
    covariance = (loading @ loading.mT + noise.diag()).numpy()[np.ix_(on, on)]
    expected = stats.multivariate_normal(LOC.numpy()[on], covariance).logpdf(X.numpy()[on]) if any(on) else 0.0
    torch.testing.assert_close(p.log_prob(X), torch.tensor(float(expected)))


def test_each_row_of_a_batch_has_a_mask_of_its_own(generator):
    p = masked(MultivariateNormal(LOC, TRIL), torch.tensor(PATTERNS))
    torch.testing.assert_close(p.log_prob(X), torch.tensor([marginal(on) for on in PATTERNS]))
    several = MultivariateNormal(LOC.expand(8, -1), TRIL)
    torch.testing.assert_close(masked(several, torch.tensor(PATTERNS)).log_prob(X), p.log_prob(X))
    assert masked(several, torch.tensor(PATTERNS)).sample((4,), generator).shape == (4, 8, 3)


def test_a_missing_entry_is_integrated_out():
    base, grid = MultivariateNormal(LOC, TRIL), torch.linspace(-30, 30, 4001)
    values = X.repeat(4001, 1)
    values[:, 1] = grid
    integral = base.log_prob(values).logsumexp(0) + np.log(60 / 4000)
    torch.testing.assert_close(masked(base, torch.tensor([True, False, True])).log_prob(X), integral)


def test_gradients_reach_what_is_observed_alone():
    loc, tril = LOC.clone().requires_grad_(), TRIL.clone().requires_grad_()
    p = masked(MultivariateNormal(loc, tril), torch.tensor([True, False, True]))
    p.log_prob(torch.tensor([0.3, torch.nan, 2.0])).backward()
    assert loc.grad.ne(0).tolist() == [True, False, True]
    assert tril.grad.isfinite().all()
    assert tril.grad[0, 0] != 0
    assert tril.grad[1].tolist() == [0, 0, 0]


def test_draws_and_means_are_whole(generator):
    base = MultivariateNormal(LOC, TRIL)
    p = masked(base, torch.tensor([True, False, True]))
    assert torch.equal(p.mean, LOC)
    assert torch.equal(p.mode, LOC)
    assert p.sample((5,), generator).isfinite().all()
