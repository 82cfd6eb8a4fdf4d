"""Closed-form KL divergences: brute force, Monte Carlo, and the terms that they are sums of."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from tests.agreement import assert_mean
from tests.contracts.test_distributions import drawn
from tests.registry import DENSITIES, Leaves
from unveil.distributions import Distribution, Normal, closed_form_kl, kl_per_dim, masked

CLOSED = {
    (name, name)
    for name in (
        "Bernoulli",
        "Bernoulli image",
        "Categorical",
        "Categorical scalar",
        "Coded",
        "Dirichlet",
        "MultivariateNormal",
        "Normal",
        "OneHotCategorical",
        "Quantized",
    )
} | {("MultivariateNormal", "Normal"), ("Quantized", "Coded"), ("Coded", "Quantized")}
CHAIN = "MarkovChain of Categorical"
CLOSED |= {(CHAIN, CHAIN)}
GAMMAS = ("Chi2", "Erlang", "Gamma")
CLOSED |= set(product(GAMMAS, repeat=2)) | {
    (name, name)
    for name in (
        "Beta",
        "Cauchy",
        "Exponential",
        "Gumbel",
        "Laplace",
        "LogNormal",
        "Pareto",
        "Rayleigh",
        "Reciprocal",
        "Uniform",
        "Weibull",
    )
}
"""The pairs of registered distributions that have a closed form."""
FACTORIZED = {pair for pair in CLOSED if pair[0] == pair[1] or pair[0] in GAMMAS} - {
    (name, name) for name in ("Coded", "Dirichlet", CHAIN, "MultivariateNormal", "Quantized")
}


def pair(q: str, p: str, *batch: int) -> tuple[Distribution, Distribution]:
    return DENSITIES[q].make(Leaves(seed=1), *batch), DENSITIES[p].make(Leaves(seed=2), *batch)


def test_the_pairs_with_a_closed_form_are_those_named_here():
    found = set()
    for name_q, name_p in product(DENSITIES, repeat=2):
        q, p = pair(name_q, name_p)
        if q.event_shape == p.event_shape and closed_form_kl(q, p) is not None:
            found.add((name_q, name_p))
    assert found == CLOSED


@pytest.mark.parametrize(("name_q", "name_p"), sorted(CLOSED))
def test_a_closed_form_is_the_expectation_of_the_log_ratio(name_q, name_p):
    q, p = pair(name_q, name_p)
    support = DENSITIES[name_q].support(q)
    log_q, log_p = (support.log_mass(distribution) for distribution in (q, p))
    expected = torch.where(log_q.exp() > 0, log_q.exp() * (log_q - log_p), 0).sum()
    # the kink of a Laplace p lies inside a panel of the quadrature
    torch.testing.assert_close(closed_form_kl(q, p), expected, rtol=5e-3 if name_p == "Laplace" else 1e-7, atol=1e-7)


@pytest.mark.parametrize(("name_q", "name_p"), sorted(pair for pair in CLOSED if pair[1] != "Quantized"))
def test_a_closed_form_agrees_with_monte_carlo(name_q, name_p, generator):
    q, p = pair(name_q, name_p, 3)
    _, value = drawn(q, (10_000,), generator)
    log_ratio, kl = (q.log_prob(value) - p.log_prob(value)).detach(), closed_form_kl(q, p).detach()
    possible = kl < torch.inf  # p is 0 where q is not
    assert (log_ratio.amax(0)[~possible] == torch.inf).all()
    assert_mean(log_ratio[:, possible], kl[possible])


@pytest.mark.parametrize(("name_q", "name_p"), sorted(CLOSED))
def test_a_divergence_from_itself_is_zero_and_batches_broadcast(name_q, name_p):
    q, p = pair(name_q, name_p, 2, 3)
    alone = DENSITIES[name_p].make(Leaves(seed=2))
    kl = closed_form_kl(q, alone)
    assert kl.shape == (2, 3)
    assert (kl >= -1e-12).all()
    if name_q == name_p:
        torch.testing.assert_close(closed_form_kl(q, q), torch.zeros(2, 3))
    assert closed_form_kl(q, p).shape == (2, 3)


@pytest.mark.parametrize(("name_q", "name_p"), sorted(FACTORIZED))
def test_the_terms_per_dimension_sum_to_the_divergence(name_q, name_p):
    q, p = pair(name_q, name_p, 4)
    terms, kl = kl_per_dim(q, p), closed_form_kl(q, p)
    assert terms.shape[:1] == (4,)
    torch.testing.assert_close(terms.flatten(1).sum(1) if terms.dim() > 1 else terms, kl)
    assert (terms >= -1e-12).all()


def test_a_normals_terms_are_the_divergences_of_its_one_dimensional_factors():
    q, p = pair("Normal", "Normal", 4)
    for i in range(2):
        one_q, one_p = (Normal(each.loc[:, i : i + 1], each.scale[:, i : i + 1]) for each in (q, p))
        torch.testing.assert_close(kl_per_dim(q, p)[:, i], closed_form_kl(one_q, one_p))


def test_what_does_not_factorise_alike_has_no_terms_per_dimension():
    for name_q, name_p in product(DENSITIES, repeat=2):
        q, p = pair(name_q, name_p)
        if q.event_shape == p.event_shape:
            assert (kl_per_dim(q, p) is not None) == ((name_q, name_p) in FACTORIZED), (name_q, name_p)


def test_a_mixture_and_a_masked_density_have_no_closed_form():
    q, mixture = pair("Normal", "Mixture")
    assert closed_form_kl(q, mixture) is None
    assert closed_form_kl(mixture, q) is None
    marginal = masked(q, torch.tensor([True, False]))
    assert closed_form_kl(marginal, q) is None
