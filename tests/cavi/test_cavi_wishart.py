"""q(mu, Lambda) of a Gaussian component, in the units of data that is badly scaled and far from 0."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy import ndarray
from scipy import integrate, stats

from tests.agreement import assert_mean
from tests.cavi.brute import normal_wishart, prior_scatter
from unveil.components import NormalWishart
from unveil.models.alternating import stack
from unveil.variables import Variable

SCALE, SHIFT = np.array([1e-3, 1.0, 1e5]), np.array([50.0, 0.0, -1e7])
STRENGTH, FREEDOM = 0.7, 1.5
DRAWS = 4000


def data(rows: int = 12, d: int = 3) -> ndarray:
    random = np.random.default_rng(1)
    return (random.normal(size=(rows, d)) @ (np.eye(d) + 0.5 * np.tri(d, k=-1))) * SCALE[:d] + SHIFT[:d]


def shares(rows: int = 12) -> ndarray:
    """Of two components."""
    r = np.random.default_rng(2).random(rows)
    return np.stack([r, 1 - r])


@torch.no_grad()
def made(x: ndarray, r: ndarray | None) -> NormalWishart:
    """With the prior of this data; with the posterior where there are shares."""
    found = NormalWishart(Variable((x.shape[1],)), 2, STRENGTH, FREEDOM).double()
    found.initialize(torch.from_numpy(x), torch.Generator())
    if r is not None:
        found.maximize(found.statistics(found.see(torch.from_numpy(x)), torch.from_numpy(r)))
    return found


class Posterior:
    """Bishop's (10.60) to (10.63) in the data's own units."""

    def __init__(self, x: ndarray, r: ndarray) -> None:
        self.d, count, mean = x.shape[1], r.sum(), r @ x / r.sum()
        self.beta, self.nu = STRENGTH + count, x.shape[1] + FREEDOM + count
        self.loc = (STRENGTH * x.mean(0) + count * mean) / self.beta
        centred = x - mean
        shift = np.outer(mean - x.mean(0), mean - x.mean(0))
        scatter = centred.T @ (centred * r[:, None])
        self.scatter = prior_scatter(x) + scatter + STRENGTH * count / self.beta * shift

    def draws(self, count: int = DRAWS, seed: int = 3) -> tuple[ndarray, ndarray]:
        """mu, (count, D), and Lambda, (count, D, D)."""
        random, scale = np.random.default_rng(seed), np.sqrt(np.diag(self.scatter))
        inverse = np.linalg.inv(self.scatter / np.outer(scale, scale)) / np.outer(scale, scale)
        precision = stats.wishart(self.nu, inverse).rvs(count, random_state=random).reshape(count, self.d, self.d)
        roots = np.linalg.cholesky(np.linalg.inv(precision * self.beta))
        return self.loc + (roots @ random.normal(size=(count, self.d, 1)))[..., 0], precision


def log_normal(x: ndarray, loc: ndarray, precision: ndarray) -> ndarray:
    error = x - loc
    square = np.einsum("...i,...ij,...j", error, precision, error)
    return 0.5 * (np.linalg.slogdet(precision)[1] - x.shape[-1] * np.log(2 * np.pi) - square)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_posterior_is_bishops_in_the_units_of_the_data(d):
    x, r = data(d=d), shares()
    family = made(x, r)
    for k in range(2):
        expected = Posterior(x, r[k])
        assert family.beta[k].item() == pytest.approx(expected.beta, rel=1e-12)
        assert family.nu[k].item() == pytest.approx(expected.nu, rel=1e-12)
        assert ((family.means[k].numpy() - expected.loc) / SCALE[:d]) == pytest.approx(np.zeros(d), abs=1e-8)
        unit = np.outer(SCALE[:d], SCALE[:d])
        assert family.covariances[k].numpy() / unit == pytest.approx(expected.scatter / expected.nu / unit, rel=1e-7)


@pytest.mark.parametrize("d", [1, 3])
def test_the_expected_log_density_is_the_mean_over_draws_of_the_parameters(d):
    x, r = data(d=d), shares()
    family = made(x, r)
    found = family.expected_log_prob(family.see(torch.from_numpy(x))).detach()
    for k in range(2):
        loc, precision = Posterior(x, r[k]).draws()
        log_p = np.stack([log_normal(row, loc, precision) for row in x], 1)
        assert_mean(torch.from_numpy(log_p), found[k])


@pytest.mark.parametrize("d", [1, 3])
def test_the_cost_is_the_mean_over_draws_of_the_posterior_against_the_prior(d):
    x, r = data(d=d), shares()
    prior = Posterior(x, np.full(len(x), 1e-12))
    total = torch.zeros(DRAWS)
    for k in range(2):
        q = Posterior(x, r[k])
        loc, precision = q.draws(seed=k)
        log_q = log_normal(loc, q.loc, q.beta * precision) + log_wishart(precision, q)
        log_p = log_normal(loc, prior.loc, STRENGTH * precision) + log_wishart(precision, prior)
        total = total + torch.from_numpy(log_q - log_p)
    assert_mean(total, made(x, r).cost.detach())


def log_wishart(precision: ndarray, of: Posterior) -> ndarray:
    """SciPy's, in units where the matrices are well scaled."""
    scale = np.sqrt(np.diag(of.scatter))
    unit = np.outer(scale, scale)
    found = stats.wishart(of.nu, np.linalg.inv(of.scatter / unit)).logpdf(np.moveaxis(precision * unit, 0, -1))
    return found + (of.d + 1) * np.log(scale).sum()


def test_nothing_is_paid_at_the_prior_and_something_away_from_it():
    family = made(data(), None)
    assert abs(family.cost.item()) < 1e-10
    with torch.no_grad():
        for parameter in (family.loc, family.beta, family.nu, family.root):
            before = parameter.clone()
            parameter.mul_(1.1) if parameter.any() else parameter.add_(0.1)
            assert family.cost.item() > 1e-3
            parameter.copy_(before)


def test_expected_log_density_less_cost_is_the_evidence_at_the_posterior_and_lower_elsewhere():
    x, r = data(), shares()
    family, seen_r = made(x, r), torch.from_numpy(r)
    seen = family.see(torch.from_numpy(x))
    scatter = prior_scatter(x)

    def bound() -> float:
        return ((seen_r * family.expected_log_prob(seen)).sum() - family.cost).item()

    exact = sum(normal_wishart(x, each, x.mean(0), STRENGTH, 3 + FREEDOM, scatter) for each in r)
    assert bound() == pytest.approx(exact, rel=1e-9)
    with torch.no_grad():
        for parameter in (family.loc, family.beta, family.nu, family.root):
            before = parameter.clone()
            for factor in (0.97, 1.03):
                parameter.mul_(factor)
                assert bound() < exact - 1e-6
                parameter.copy_(before)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_predictive_is_scipys_student_t(d):
    x, r = data(d=d), shares()
    found = made(x, r)(torch.arange(2)).log_prob(torch.from_numpy(x).unsqueeze(1)).detach()
    for k in range(2):
        q = Posterior(x, r[k])
        freedom = q.nu - d + 1
        unit = np.outer(SCALE[:d], SCALE[:d])  # SciPy takes badly scaled matrices for singular ones
        scale = (q.beta + 1) / (q.beta * freedom) * q.scatter / unit
        log_t = stats.multivariate_t(np.zeros(d), scale, freedom).logpdf((x - q.loc) / SCALE[:d])
        assert found[:, k].numpy() == pytest.approx(log_t - np.log(SCALE[:d]).sum(), abs=1e-6)


def test_the_predictive_is_the_mean_density_over_draws_of_the_parameters():
    x, r = data(), shares()
    found = made(x, r)(torch.arange(2)).log_prob(torch.from_numpy(x).unsqueeze(1)).detach().exp()
    for k in range(2):
        loc, precision = Posterior(x, r[k]).draws()
        densities = np.stack([np.exp(log_normal(row, loc, precision)) for row in x], 1)
        ratio = torch.from_numpy(densities) / found[:, k]
        assert_mean(ratio, torch.ones(len(x)))


def test_the_predictive_integrates_to_one():
    x = data(d=1)
    t = made(x, shares())(torch.tensor(0))

    def density(u: float) -> float:
        return t.log_prob(torch.tensor([u * 1e-3 + 50.0])).exp().item() * 1e-3

    assert integrate.quad(density, -np.inf, np.inf)[0] == pytest.approx(1, abs=1e-6)


def test_starts_side_by_side_are_each_by_itself():
    x, r = data(), shares()
    alone, other, both = made(x, r), made(x, r[::-1].copy() ** 2), made(x, None)
    stack(both, 2)
    seen = both.see(torch.from_numpy(x))
    with torch.no_grad():
        both.maximize(both.statistics(seen, torch.from_numpy(np.stack([r, r[::-1] ** 2]))))
        for index, one in enumerate((alone, other)):
            torch.testing.assert_close(both.expected_log_prob(seen)[index], one.expected_log_prob(seen))
            torch.testing.assert_close(both.cost[index], one.cost)


@pytest.mark.parametrize(("name", "value"), [("strength", 0.0), ("strength", -1.0), ("freedom", -1.0)])
def test_a_prior_that_is_none_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}: expected a number above"):
        NormalWishart(Variable((2,)), 2, **{name: value})


def test_other_data_than_vectors_of_real_numbers_is_refused():
    with pytest.raises(ValueError, match="expects real numbers"):
        NormalWishart(Variable((2,), levels=3), 2)
    with pytest.raises(ValueError, match="expected vectors"):
        NormalWishart(Variable((2, 2)), 2)
