"""log p(x | k) of every family against SciPy's, of whole examples and of examples with holes, in the data's units."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from tests.components.reference import (
    FACTORS,
    GAUSSIAN,
    gaussian,
    holes,
    log_densities,
    made,
    moments,
    observations,
)
from tests.registry import COMPONENTS
from tests.supports import levels
from unveil.components import Anisotropic, Diagonal, Full
from unveil.variables import Variable

EVERY = pytest.mark.parametrize("name", COMPONENTS)
close = partial(torch.testing.assert_close, rtol=1e-7, atol=1e-7)


@EVERY
def test_log_densities_are_scipys(name):
    family, x = made(name), observations(COMPONENTS[name][1], 12, seed=1)
    close(family.log_prob(family.see(x)), log_densities(name, family, x))


@EVERY
def test_log_densities_of_examples_with_holes_are_the_marginals(name):
    family, x = made(name), observations(COMPONENTS[name][1], 12, seed=1)
    mask = holes(x)
    found = family.log_prob(family.see(x.where(mask, torch.nan), mask))
    close(found, log_densities(name, family, x, mask))
    assert torch.equal(found[:, 0], torch.zeros(3))
    close(found[:, 1], family.log_prob(family.see(x))[:, 1])


@EVERY
@pytest.mark.parametrize("hole", [torch.nan, torch.inf, 1e300])
def test_what_stands_in_a_hole_changes_nothing(name, hole):
    family, x = made(name), observations(COMPONENTS[name][1], 12, seed=1)
    mask, r = holes(x), torch.rand(3, 12)
    plain, filled = (family.see(x.where(mask, filling), mask) for filling in (0.0, hole))
    assert torch.equal(family.log_prob(plain), family.log_prob(filled))
    for name, total in family.statistics(plain, r).items():
        assert torch.equal(total, family.statistics(filled, r)[name])


@EVERY
def test_a_mask_without_holes_changes_nothing(name):
    family, x = made(name), observations(COMPONENTS[name][1], 12, seed=1)
    whole = family.see(x, torch.ones_like(x, dtype=torch.bool))
    close(family.log_prob(whole), family.log_prob(family.see(x)))


@EVERY
@pytest.mark.parametrize("shape", [(), (2,), (2, 3)], ids=str)
def test_the_distribution_of_a_component_scores_as_the_e_step_does(name, shape):
    family, x = made(name), observations(COMPONENTS[name][1], 12, seed=1)
    k = torch.randint(3, shape)
    p = family(k)
    assert p.batch_shape == shape
    assert p.event_shape == (3,)
    found = p.log_prob(x.reshape(12, *[1] * len(shape), 3)).detach()
    close(found, family.log_prob(family.see(x))[k].movedim(-1, 0).detach())


@pytest.mark.parametrize("name", ["Binomial", "Binomial of two", "Categorical"])
def test_probabilities_sum_to_one(name):
    family = made(name)
    everything = levels(COMPONENTS[name][1].levels, 3)
    close(family.log_prob(family.see(everything)).logsumexp(-1).detach(), torch.zeros(3))


def test_binomial_probabilities_of_many_levels_sum_to_one():
    family = COMPONENTS["Binomial"][0](Variable((1,), levels=256), 2).double()
    torch.nn.init.normal_(family.logits)
    everything = torch.arange(256.0).unsqueeze(1)
    close(family.log_prob(family.see(everything)).logsumexp(-1).detach(), torch.zeros(2))


@pytest.mark.parametrize("name", GAUSSIAN)
def test_means_and_covariances_are_in_the_datas_units(name):
    family = made(name)
    mu, sigma = moments(name, family, observations(COMPONENTS[name][1]))
    close(family.means, torch.from_numpy(mu), rtol=1e-9)
    close(family.covariances, torch.from_numpy(sigma), rtol=1e-9)


def test_means_and_probabilities_of_levels_are_those_of_their_distribution():
    for name in ("Binomial", "Binomial of two"):
        family = made(name)
        close(family.means, family(torch.arange(3)).mean.detach())
    family = made("Categorical")
    odds = family.logits.detach().exp()
    close(family.probabilities, odds / odds.sum(-1, keepdim=True))


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.long], ids=str)
def test_data_of_any_dtype_is_seen_in_double_precision(name, dtype):
    family, x = made(name), observations(COMPONENTS[name][1], 12, seed=1).to(dtype)
    found = family.log_prob(family.see(x))
    assert found.dtype == torch.float64
    assert torch.equal(found, family.log_prob(family.see(x.double())))


@pytest.mark.parametrize("name", GAUSSIAN)
def test_the_units_are_the_moments_of_what_is_observed(name):
    x = observations(COMPONENTS[name][1])
    holed = x.where(holes(x), torch.nan)
    family = made(name)
    family.initialize(holed, torch.Generator())
    mu, sigma = moments(name, family, holed)
    close(family.means, torch.from_numpy(mu))
    close(family.covariances, torch.from_numpy(sigma))


def test_an_entry_that_is_constant_keeps_its_own_unit():
    x = observations(Variable((3,)))
    x[:, 1] = 1e6 + 0.1
    family = Full(Variable((3,)), 2)
    family.initialize(x, torch.Generator())
    assert family.units.deviation[1] == 1
    assert family.log_prob(family.see(x)).isfinite().all()


@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_analyser_is_the_integral_over_its_factors(name):
    family = made(name, latent_dim=1)
    x = observations(Variable((3,)), 5, seed=1)
    z = torch.linspace(-12, 12, 4001).reshape(-1, 1, 1)
    for k in range(3):
        p = family.given(torch.full((5,), k), z.expand(-1, 5, 1))
        log_p = p.log_prob(x) - 0.5 * z.square().squeeze(-1) - 0.5 * np.log(2 * np.pi)
        integral = log_p.logsumexp(0) + np.log(24 / 4000)
        close(integral, family.log_prob(family.see(x))[k])


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("masked", [False, True])
def test_codes_are_the_conditional_of_the_joint_gaussian(name, masked):
    family, x = made(name), observations(Variable((3,)), 6, seed=1)
    mask = holes(x)
    codes = family.see(x, mask if masked else None).codes
    mu, sigma = moments(name, family, observations(Variable((3,))))
    deviation = family.units.deviation.numpy()
    for k in range(3):
        cross = deviation[:, None] * family.loading[k].detach().numpy()  # Cov(x, z)
        for b in range(6):
            on = mask[b].numpy() if masked else np.ones(3, bool)
            gain = cross[on].T @ np.linalg.inv(sigma[k][np.ix_(on, on)])
            mean = gain @ (x[b].numpy() - mu[k])[on]
            close(codes.mean[k, b].detach(), torch.from_numpy(mean))
            covariance = torch.from_numpy(np.eye(2) - gain @ cross[on])
            close(codes.covariance[k, b if masked else 0].detach(), covariance)


def test_data_of_any_shape_is_flattened_and_shaped_again():
    x = Variable((1, 2, 2))
    for family in (Diagonal(x, 2).double(), Anisotropic(x, 2).double()):
        values = torch.randn(10, 1, 2, 2) * 3 + 2
        family.initialize(values, torch.Generator())
        assert family.means.shape == (2, 1, 2, 2)
        mean, deviation = values.flatten(1).mean(0).numpy(), values.flatten(1).std(0, correction=0).numpy()
        expected = [gaussian(row, np.ones(4, bool), mean, np.diag(deviation**2)) for row in values.flatten(1).numpy()]
        found = family.log_prob(family.see(values)).detach()
        close(found, torch.tensor(expected).expand(2, 10))
    family = Diagonal(x, 2).double()
    assert family(torch.tensor([0, 1, 1])).sample().shape == (3, 1, 2, 2)
    scalar = Diagonal(Variable(()), 2).double()
    assert scalar(torch.tensor([0, 1, 1])).log_prob(torch.zeros(3)).shape == (3,)
    assert scalar.means.shape == (2,)
