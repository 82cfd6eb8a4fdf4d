"""Annealed importance sampling holds log p(x) between its two bounds."""

import pytest
import torch

from tests.closed_form.linear_gaussian import LinearGaussian
from tests.evaluation.toys import SplicedLikelihood, Tabled, vae
from tests.systems import test_enumerated_mixture as mixture
from unveil.evaluation import ais, evaluate, simulate
from unveil.evaluation.annealed import temperatures


@pytest.fixture(scope="module")
def annealed():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    model = LinearGaussian()
    x, z = simulate(model, 80)
    found = ais(model, x, posterior=z, chains=8, distributions=80, leapfrogs=5)
    return model, x, found


def test_sandwich_contains_the_truth(annealed):
    model, x, found = annealed
    truth = model.log_evidence(x).mean().item()
    lower, upper = found.lower.mean(), found.upper.mean()
    assert (lower.bound, upper.bound) == ("lower", "upper")
    assert lower.value < truth + 3 * lower.monte_carlo_error
    assert upper.value > truth - 3 * upper.monte_carlo_error
    assert upper.value - lower.value < 0.3
    assert "lower bound" in str(found)


def test_average_weight_is_the_evidence_in_both_directions(annealed):
    model, x, found = annealed
    truth = model.log_evidence(x).detach()
    assert (found.lower.value - truth).exp().mean().item() == pytest.approx(1.0, abs=0.15)
    assert (truth - found.upper.value).exp().mean().item() == pytest.approx(1.0, abs=0.15)


def test_step_sizes_adapt_and_the_last_states_are_posterior_samples(annealed):
    model, x, found = annealed
    assert 0.5 < found.acceptance < 0.8
    with torch.no_grad():
        posterior = model.posterior(x)
    whitened = (found.z - posterior.mean) @ torch.linalg.inv(posterior.scale_tril[0]).mT
    assert whitened.mean().abs() < 0.15
    assert whitened.std().item() == pytest.approx(1.0, abs=0.1)


def test_examples_do_not_disturb_each_other(annealed):
    model, x, _ = annealed
    both, one = (ais(model, rows, chains=2, distributions=5, leapfrogs=2) for rows in (x[:2], x[:1]))
    assert torch.allclose(both.lower.value[:1], one.lower.value)


def test_lower_bound_gives_the_gap_of_an_evaluation(annealed):
    model, x, _ = annealed
    gap = evaluate(
        model,
        x[:10],
        particles=50,
        exact=lambda batch: ais(model, batch, chains=4, distributions=10).lower,
        split_rate=False,
        naive=False,
    ).gap
    assert gap.bound == "lower"
    assert gap.value > 0


def test_a_vae_is_annealed_and_given_back(generator):
    model = vae()
    found = ais(model, torch.zeros(5, 6), chains=2, distributions=5, leapfrogs=2)
    assert found.upper is None
    assert found.log_likelihood.examples == 5
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_temperatures_rise_from_prior_to_posterior():
    betas = temperatures(50)
    assert (betas[0], betas[-1], len(betas)) == (0.0, 1.0, 51)
    assert betas == sorted(betas)


@pytest.mark.parametrize(
    ("model", "x", "words"),
    [
        (SplicedLikelihood(), torch.zeros(2, 2).double(), "annealing moves one latent variable, got 2: z, x/w"),
        (mixture.Mixture(3, 2), torch.zeros(2, 2).double(), "annealing moves a continuous latent variable"),
        (Tabled("lower"), torch.ones(2, 2).double(), "log_joint: the term 'z' is only a bound"),
    ],
)
def test_models_that_can_not_be_annealed_are_refused(model, x, words):
    with pytest.raises(ValueError, match=words):
        ais(model, x)


def test_numbers_below_one_are_refused():
    with pytest.raises(ValueError, match="chains: expected at least 1, got 0"):
        ais(vae(), torch.zeros(2, 6), chains=0)
