"""q(pi): expectations, divergences and evidences of the shares of components."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from numpy import ndarray
from scipy import integrate, stats

from tests.agreement import assert_mean
from tests.cavi.brute import dirichlet_counts, stick_counts
from unveil.components import Dirichlet, StickBreaking
from unveil.components.weighting import Weighting
from unveil.models.alternating import stack

COUNTS = np.array([5.5, 0.0, 2.25, 1.0])
DRAWS = 20_000
EVERY = pytest.mark.parametrize("kind", [Dirichlet, StickBreaking])
CONCENTRATIONS = pytest.mark.parametrize("concentration", [0.05, 1.0, 3.0])
EVIDENCE = {Dirichlet: dirichlet_counts, StickBreaking: stick_counts}


@torch.no_grad()
def made(
    kind: type[Weighting], concentration: float, counts: ndarray | None = COUNTS, components: int = 4
) -> Weighting:
    """With q(pi) of these counts."""
    found = kind(components, concentration).double()
    if counts is not None:
        found.maximize(torch.from_numpy(counts))
    return found


def log_draws(kind: type[Weighting], concentration: float) -> torch.Tensor:
    """log pi under q(pi | COUNTS), (DRAWS, 4)."""
    random = np.random.default_rng(0)
    if kind is Dirichlet:  # log Gamma noise, which small concentrations don't round to 0
        a = COUNTS + concentration
        log_g = np.log(random.gamma(a + 1, size=(DRAWS, 4))) + np.log(random.random((DRAWS, 4))) / a
        return torch.from_numpy(log_g).log_softmax(-1)
    log_pi, left = [], np.zeros(DRAWS)
    for k in range(3):
        a, b = 1 + COUNTS[k], concentration + COUNTS[k + 1 :].sum()
        v = random.beta(a, b, DRAWS)
        log_pi.append(left + np.log(v))
        left = left + np.log1p(-v)
    return torch.from_numpy(np.stack([*log_pi, left], 1))


@EVERY
@pytest.mark.parametrize("concentration", [0.3, 1.0, 3.0])
def test_expected_shares_and_their_logarithms_are_means_over_draws(kind, concentration):
    weighting, log_pi = made(kind, concentration), log_draws(kind, concentration)
    assert_mean(log_pi, weighting.expected_log.detach())
    assert_mean(log_pi.exp(), weighting.mean.detach())
    assert weighting.mean.sum().item() == pytest.approx(1, abs=1e-12)


def divergence(a: float, b: float, a0: float, b0: float) -> float:
    """KL of Beta distributions, by quadrature over the logit."""
    q, p = stats.beta(a, b), stats.beta(a0, b0)

    def integrand(t: float) -> float:
        v = 1 / (1 + np.exp(-t))
        return q.pdf(v) * v * (1 - v) * (q.logpdf(v) - p.logpdf(v))

    return integrate.quad(integrand, -35, 35, limit=400, epsabs=1e-10)[0]


@CONCENTRATIONS
def test_the_cost_of_sticks_is_the_sum_of_their_divergences(concentration):
    exact = sum(
        divergence(1 + COUNTS[k], concentration + COUNTS[k + 1 :].sum(), 1, concentration)
        for k in range(len(COUNTS) - 1)
    )
    assert made(StickBreaking, concentration).cost.item() == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("concentration", [0.5, 1.0, 3.0])
def test_the_cost_of_a_dirichlet_is_its_divergence_from_the_prior(concentration):
    two = made(Dirichlet, concentration, np.array([2.5, 1.0]), 2)
    exact = divergence(2.5 + concentration, 1 + concentration, concentration, concentration)
    assert two.cost.item() == pytest.approx(exact, rel=1e-7)
    log_pi = log_draws(Dirichlet, concentration)
    weighting, a = made(Dirichlet, concentration), COUNTS + concentration
    draws = torch.from_numpy(log_density(log_pi.numpy(), a) - log_density(log_pi.numpy(), np.full(4, concentration)))
    assert_mean(draws, weighting.cost.detach())


def log_density(log_pi: ndarray, a: ndarray) -> ndarray:
    """SciPy's normaliser, and powers of what may be rounded to 0."""
    at = np.full(len(a), 1 / len(a))
    normaliser = stats.dirichlet(a).logpdf(at) - ((a - 1) * np.log(at)).sum()
    return normaliser + ((a - 1) * log_pi).sum(1)


@EVERY
@CONCENTRATIONS
def test_nothing_is_paid_at_the_prior(kind, concentration):
    assert abs(made(kind, concentration, None).cost.item()) < 1e-10
    assert abs(made(kind, concentration, 0 * COUNTS).cost.item()) < 1e-10
    assert made(kind, concentration).cost.item() > 0.01


@EVERY
@CONCENTRATIONS
def test_expected_logarithms_less_cost_are_the_evidence_of_the_counts_and_lower_elsewhere(kind, concentration):
    weighting, counts = made(kind, concentration), torch.from_numpy(COUNTS)
    exact = EVIDENCE[kind](COUNTS, concentration)

    def bound() -> float:
        return (counts @ weighting.expected_log - weighting.cost).item()

    assert bound() == pytest.approx(exact, rel=1e-10)
    with torch.no_grad():
        (parameter,) = weighting.parameters()
        before = parameter.clone()
        for entry in range(parameter.numel()):
            for factor in (0.9, 1.1):
                parameter.flatten()[entry] *= factor
                assert bound() < exact - 1e-6
                parameter.copy_(before)


@pytest.mark.parametrize("concentration", [0.3, 3.0])
def test_the_evidence_of_the_counts_is_the_mean_of_their_probability(concentration):
    """Of the reference itself."""
    random, counts = np.random.default_rng(0), np.array([2, 0, 1])
    pi = random.dirichlet(np.full(3, concentration), 200_000)
    assert_mean(torch.from_numpy((pi**counts).prod(1)), np.exp(dirichlet_counts(counts, concentration)))
    v = random.beta(1, concentration, (200_000, 2))
    pi = np.stack([v[:, 0], (1 - v[:, 0]) * v[:, 1], (1 - v[:, 0]) * (1 - v[:, 1])], 1)
    assert_mean(torch.from_numpy((pi**counts).prod(1)), np.exp(stick_counts(counts, concentration)))


@pytest.mark.parametrize(
    "concentration",
    [
        0.05,
        1.0,
        4.0,
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_no_order_of_the_components_is_likelier_than_the_one_that_is_taken(concentration, seed):
    counts = np.random.default_rng(seed).gamma(0.7, 8, 4)
    order = made(StickBreaking, concentration, None).order(torch.from_numpy(counts)).tolist()
    best = max(stick_counts(counts[list(other)], concentration) for other in permutations(range(4)))
    assert stick_counts(counts[order], concentration) == pytest.approx(best, abs=1e-9)
    assert min(stick_counts(counts[list(other)], concentration) for other in permutations(range(4))) < best - 0.1


def test_components_of_a_dirichlet_stay_where_they_are():
    order = made(Dirichlet, 1.0).order(torch.tensor([[1.0, 3.0, 2.0, 0.0], [5.0, 6.0, 7.0, 8.0]]))
    assert order.tolist() == [[0, 1, 2, 3]] * 2


def test_components_that_are_as_large_keep_their_order():
    assert made(StickBreaking, 1.0).order(torch.tensor([1.0, 3.0, 1.0, 3.0])).tolist() == [1, 3, 0, 2]


@EVERY
def test_starts_side_by_side_are_each_by_itself(kind):
    counts, both = np.stack([COUNTS, COUNTS[::-1]]), made(kind, 0.5, None)
    stack(both, 2)
    with torch.no_grad():
        both.maximize(torch.from_numpy(counts))
    for index in range(2):
        alone = made(kind, 0.5, counts[index].copy())
        for what in ("expected_log", "mean", "cost"):
            torch.testing.assert_close(getattr(both, what)[index], getattr(alone, what))


@EVERY
def test_a_single_component_has_everything_and_costs_nothing(kind):
    weighting = made(kind, 0.5, np.array([7.0]), 1)
    assert weighting.mean.tolist() == [1.0]
    assert weighting.expected_log.abs().item() < 1e-12
    assert abs(weighting.cost.item()) < 1e-12


@EVERY
@pytest.mark.parametrize("concentration", [0.0, -1.0, float("nan")])
def test_a_concentration_that_is_not_positive_is_refused(kind, concentration):
    with pytest.raises(ValueError, match="concentration: expected a positive number"):
        kind(3, concentration)


def test_a_dirichlet_expects_one_example_in_all_by_default():
    assert Dirichlet(8).concentration == 1 / 8
