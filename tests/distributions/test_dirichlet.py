"""Dirichlet and multinomial distributions against quadrature, enumeration, SciPy and torch."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from numpy import ndarray
from scipy import integrate, stats
from torch import Tensor

from tests.agreement import assert_mean
from unveil.distributions import Dirichlet, Multinomial, RowGenerators

ALPHAS = {
    "even": (1.0, 1.0, 1.0),
    "peaked": (4.0, 2.5, 7.0),
    "sparse": (0.3, 0.6, 0.2),
    "mixed": (0.5, 3.0, 1.0),
}
EVERY = pytest.mark.parametrize("alpha", ALPHAS.values(), ids=ALPHAS)
DRAWS = 40_000


def density(alpha: tuple[float, ...], p: ndarray) -> float:
    return Dirichlet(torch.tensor(alpha)).log_prob(torch.from_numpy(p)).exp().item()


@pytest.mark.parametrize("alpha", [(1.0, 1.0), (3.0, 5.5), (0.4, 2.0), (0.3, 0.2)])
def test_the_density_of_two_integrates_to_one(alpha):
    def integrand(t: float) -> float:
        """Over the logit: dp = p (1 - p) dt."""
        p = 1 / (1 + np.exp(-t))
        q = 1 / (1 + np.exp(t))
        return density(alpha, np.array([p, q])) * p * q

    assert integrate.quad(integrand, -200, 200, points=[0], limit=500)[0] == pytest.approx(1, abs=1e-8)


@EVERY
def test_the_density_of_three_integrates_to_one(alpha):
    axis = torch.linspace(-80, 80, 1601)
    logits = torch.cat([torch.cartesian_prod(axis, axis), torch.zeros(1601**2, 1)], 1)
    p = logits.softmax(-1)
    mass = Dirichlet(torch.tensor(alpha)).log_prob(p) + p.log().sum(-1)
    total = mass.exp().sum() * (axis[1] - axis[0]) ** 2
    assert total.item() == pytest.approx(1, abs=1e-6)


@EVERY
def test_densities_moments_and_entropies_are_scipys(alpha):
    mine, its = Dirichlet(torch.tensor(alpha)), stats.dirichlet(alpha)
    p = np.random.default_rng(0).dirichlet(np.ones(3), 20)
    assert mine.log_prob(torch.from_numpy(p)).numpy() == pytest.approx(its.logpdf(p.T), abs=1e-10)
    assert mine.mean.numpy() == pytest.approx(its.mean(), abs=1e-12)
    assert mine.variance.numpy() == pytest.approx(its.var(), abs=1e-12)
    assert mine.entropy().item() == pytest.approx(its.entropy(), abs=1e-10)


@EVERY
def test_entropies_and_divergences_are_means_over_draws(alpha, generator):
    q = Dirichlet(torch.tensor(alpha))
    p = Dirichlet(torch.tensor([2.0, 0.7, 1.3]))
    log_p = torch.from_numpy(np.log(np.random.default_rng(0).dirichlet(alpha, DRAWS)))
    mine = ((q.concentration - 1) * log_p).sum(-1) - torch.lgamma(q.concentration).sum()
    mine = mine + torch.lgamma(q.concentration.sum())
    assert_mean(-mine, q.entropy())
    other = ((p.concentration - 1) * log_p).sum(-1) - torch.lgamma(p.concentration).sum()
    other = other + torch.lgamma(p.concentration.sum())
    assert_mean(mine - other, torch.distributions.kl_divergence(q, p))


@EVERY
def test_divergences_are_torchs(alpha):
    others = torch.tensor([[2.0, 0.7, 1.3], [0.1, 0.1, 0.1], [30.0, 1.0, 5.0]])
    alpha = torch.tensor(alpha)
    mine = torch.distributions.kl_divergence(Dirichlet(alpha.expand(3, -1)), Dirichlet(others))
    torches = torch.distributions.Dirichlet
    its = torch.distributions.kl_divergence(torches(alpha.expand(3, -1)), torches(others))
    torch.testing.assert_close(mine, its)
    assert torch.distributions.kl_divergence(Dirichlet(alpha), Dirichlet(alpha)).abs() < 1e-12


@EVERY
def test_draws_have_the_moments_and_each_share_is_of_its_beta(alpha, generator):
    q, drawn = Dirichlet(torch.tensor(alpha)), Dirichlet(torch.tensor(alpha)).sample((DRAWS,), generator)
    assert drawn.sum(-1).numpy() == pytest.approx(np.ones(DRAWS), abs=1e-12)
    assert (drawn >= 0).all()
    assert_mean(drawn, torch.tensor(alpha) / sum(alpha))
    assert_mean((drawn - q.mean).square(), torch.from_numpy(stats.dirichlet(alpha).var()))
    products = (drawn[:, 0] * drawn[:, 1]).unsqueeze(-1)
    total = sum(alpha)
    assert_mean(products, alpha[0] * alpha[1] / (total * (total + 1)))
    for share, a in zip(drawn.numpy().T, alpha, strict=True):
        uniform = stats.beta(a, total - a).cdf(share)
        counts = np.histogram(uniform, bins=20, range=(0, 1))[0]
        assert stats.chisquare(counts).pvalue > 1e-4


@EVERY
def test_the_mode_is_where_the_density_is_highest(alpha):
    q = Dirichlet(torch.tensor(alpha))
    if min(alpha) <= 1:
        torch.testing.assert_close(q.mode, q.mean)
        return
    p = torch.from_numpy(np.random.default_rng(0).dirichlet(alpha, 20_000))
    assert q.log_prob(q.mode) >= q.log_prob(p).max()
    assert q.log_prob(p).max() > q.log_prob(q.mode) - 1e-2


@EVERY
def test_pathwise_gradients_are_those_of_expectations(alpha, generator):
    """Of E[p_1^2] and E[p_1 p_2], whose closed forms torch differentiates."""
    leaf = torch.tensor(alpha, requires_grad=True)
    total = leaf.sum()
    exact = [leaf[0] * (leaf[0] + 1) / (total * (total + 1)), leaf[0] * leaf[1] / (total * (total + 1))]
    rows = torch.tensor(alpha).repeat(DRAWS, 1).requires_grad_()
    drawn = Dirichlet(rows).rsample((), generator)
    for function, expected in ((drawn[:, 0] ** 2, exact[0]), (drawn[:, 0] * drawn[:, 1], exact[1])):
        (gradient,) = torch.autograd.grad(expected, leaf, retain_graph=True)
        (found,) = torch.autograd.grad(function.sum(), rows, retain_graph=True)
        assert gradient.abs().max() > 1e-3
        assert_mean(found, gradient)


def test_gradients_of_log_prob_entropy_and_divergence_are_torchs():
    mine, its = (torch.tensor(ALPHAS["mixed"], requires_grad=True) for _ in range(2))
    p, other = torch.tensor([0.2, 0.3, 0.5]), torch.tensor([2.0, 0.7, 1.3])
    divergence, torches = torch.distributions.kl_divergence, torch.distributions.Dirichlet
    found = (
        Dirichlet(mine).log_prob(p) + 2 * Dirichlet(mine).entropy() + 3 * divergence(Dirichlet(mine), Dirichlet(other))
    )
    exact = torches(its).log_prob(p) + 2 * torches(its).entropy() + 3 * divergence(torches(its), torches(other))
    torch.testing.assert_close(torch.autograd.grad(found, mine), torch.autograd.grad(exact, its))


@pytest.mark.parametrize("size", [1e-3, 1e-2, 1e4, 1e8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_tiny_and_huge_concentrations_draw_points_of_the_simplex(size, dtype, generator):
    alpha = (size * torch.tensor([1.0, 2.0, 0.5], dtype=dtype)).requires_grad_()
    drawn = Dirichlet(alpha).rsample((4000,), generator)
    assert drawn.dtype == dtype
    assert drawn.isfinite().all()
    assert (drawn.sum(-1) - 1).abs().max() < 1e-5
    mean = torch.tensor([2.0, 4.0, 1.0]) / 7
    if size > 1:
        assert (drawn.double() - mean).abs().max() < 6 / size**0.5
    else:  # nearly one-hot
        assert (drawn.amax(-1) > 0.99).double().mean() > 0.9
        assert_mean(drawn.detach().double(), mean)
    (gradient,) = torch.autograd.grad(drawn.square().sum(), alpha)
    assert gradient.isfinite().all()
    assert Dirichlet(alpha).entropy().isfinite()
    kl = torch.distributions.kl_divergence(Dirichlet(alpha), Dirichlet(torch.ones(3, dtype=dtype)))
    assert kl.isfinite()
    assert kl > 0


@pytest.mark.parametrize("size", [1e-3, 1e5])
def test_densities_at_tiny_and_huge_concentrations_are_scipys(size):
    alpha = size * np.array([1.0, 2.0, 0.5])
    p = np.array([0.3, 0.5, 0.2])
    found = Dirichlet(torch.from_numpy(alpha)).log_prob(torch.from_numpy(p)).item()
    assert found == pytest.approx(stats.dirichlet(alpha).logpdf(p), rel=1e-9)


def test_shares_of_zero_are_impossible_likely_or_neither():
    p = torch.tensor([0.0, 0.4, 0.6])
    for first, expected in ((2.0, -torch.inf), (0.5, torch.inf)):
        assert Dirichlet(torch.tensor([first, 1.0, 2.0])).log_prob(p) == expected
    exact = stats.dirichlet([1.0, 1.0, 2.0]).logpdf([1e-300, 0.4, 0.6])
    assert Dirichlet(torch.tensor([1.0, 1.0, 2.0])).log_prob(p).item() == pytest.approx(exact, abs=1e-10)


def test_an_example_draws_the_same_whatever_is_beside_it():
    alpha = torch.rand(5, 3) + 0.2
    drawn = Dirichlet(alpha).sample((4,), RowGenerators(7, range(5)))
    some = Dirichlet(alpha[2:4]).sample((4,), RowGenerators(7, [2, 3]))
    assert torch.equal(drawn[:, 2:4], some)


def compositions(total: int, outcomes: int) -> Tensor:
    """Every way to count so many draws."""
    every = product(range(total + 1), repeat=outcomes)
    return torch.tensor([counts for counts in every if sum(counts) == total], dtype=torch.float64)


@pytest.mark.parametrize("total", [0, 1, 4])
@pytest.mark.parametrize("outcomes", [1, 2, 4])
@pytest.mark.parametrize("spread", [0.5, 5.0, 1000.0])
def test_probabilities_of_all_counts_sum_to_one(total, outcomes, spread):
    log_p = (spread * torch.randn(outcomes)).log_softmax(-1)
    log_prob = Multinomial(torch.tensor(total), log_p).log_prob(compositions(total, outcomes))
    assert log_prob.logsumexp(0).item() == pytest.approx(0, abs=1e-9)
    assert not log_prob.isnan().any()


def test_probabilities_and_moments_are_scipys():
    p, x = np.array([0.1, 0.25, 0.6, 0.05]), compositions(6, 4)
    mine, its = Multinomial(torch.tensor(6), torch.from_numpy(p).log()), stats.multinomial(6, p)
    assert mine.log_prob(x).numpy() == pytest.approx(its.logpmf(x.numpy()), abs=1e-10)
    assert mine.log_prob(x.long()).numpy() == pytest.approx(its.logpmf(x.numpy()), abs=1e-10)
    assert mine.mean.numpy() == pytest.approx(6 * p, abs=1e-12)
    assert mine.variance.numpy() == pytest.approx(np.diag(its.cov()), abs=1e-12)
    large = np.array([300, 800, 1800, 100])
    found = Multinomial(torch.tensor(3000), torch.from_numpy(p).log()).log_prob(torch.from_numpy(large))
    assert found.item() == pytest.approx(stats.multinomial(3000, p).logpmf(large), abs=1e-7)


def test_counts_of_another_total_are_impossible_and_those_of_what_never_comes():
    log_p = torch.tensor([0.5, 0.5, 0.0]).log()
    found = Multinomial(torch.tensor(3), log_p).log_prob(torch.tensor([[1.0, 1, 0], [2, 1, 0], [2, 0, 1], [2, 2, 0]]))
    assert found.tolist() == [-torch.inf, pytest.approx(np.log(3 / 8)), -torch.inf, -torch.inf]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_totals_of_a_batch_may_vary_and_draws_have_their_moments(dtype, generator):
    total = torch.tensor([0, 1, 7, 40])
    log_p = torch.tensor([0.1, 0.25, 0.6, 0.05], dtype=dtype).log()
    q = Multinomial(total, log_p)
    drawn = q.sample((8000,), generator)
    assert drawn.dtype == dtype
    assert drawn.shape == (8000, 4, 4)
    assert (drawn.sum(-1) == total).all()
    p = log_p.double().exp()
    assert_mean(drawn.double(), total.unsqueeze(-1) * p)
    centred = drawn.double() - total.unsqueeze(-1) * p
    cov = centred.unsqueeze(-1) * centred.unsqueeze(-2)
    assert_mean(cov, total[:, None, None] * (torch.diag(p) - p[:, None] * p))
    assert q.log_prob(drawn).isfinite().all()


def test_draws_are_of_the_probabilities(generator):
    log_p, every = torch.tensor([0.2, 0.3, 0.5]).log(), compositions(4, 3)
    drawn = Multinomial(torch.tensor(4), log_p).sample((DRAWS,), generator)
    counts = (drawn.unsqueeze(1) == every).all(-1).sum(0).numpy()
    expected = stats.multinomial(4, [0.2, 0.3, 0.5]).pmf(every.numpy()) * DRAWS
    assert stats.chisquare(counts, expected).pvalue > 1e-4


def test_each_row_of_a_batch_is_drawn_from_its_own_probabilities(generator):
    log_p = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]).log()
    drawn = Multinomial(torch.tensor([5, 3]), log_p).sample((1000,), generator)
    assert (drawn[:, 0] == torch.tensor([5.0, 0, 0])).all()
    assert (drawn[:, 1, 0] == 0).all()
    assert_mean(drawn[:, 1], torch.tensor([0.0, 1.5, 1.5]))


def test_a_total_of_nothing_draws_nothing(generator):
    q = Multinomial(torch.zeros(2), torch.tensor([0.5, 0.5]).log())
    assert q.sample((3,), generator).tolist() == [[[0.0, 0.0]] * 2] * 3
    assert q.log_prob(torch.zeros(2, 2)).tolist() == [0.0, 0.0]
