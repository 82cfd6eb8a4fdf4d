"""A VAE whose prior is the diffusion, spliced: p(x) is Gaussian where decoder and denoiser are linear."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from tests.agreement import assert_mean, gradient, gradients
from tests.systems.diffusion import Diffusion, Learned
from tests.systems.fitting import affine, fit, widen
from unveil.gradients import DReG, Pathwise, StickingTheLanding
from unveil.likelihoods import FixedGaussian
from unveil.models import VAE, FromPosterior, FromPrior, Given
from unveil.nets import MLP
from unveil.objectives import ELBO, IWAE, BetaELBO
from unveil.posteriors import DiagonalGaussian
from unveil.variables import Batch, Variable

LINEAR = partial(MLP, hidden=())
X = Variable((2,))
LEVELS = 10


def latent_diffusion() -> VAE:
    """The whole system: a constructor that picks parts."""
    return VAE(
        X,
        latent_dim=1,
        prior=lambda features, context, x: Diffusion(Learned(LEVELS), features, LEVELS),
        likelihood=partial(FixedGaussian, scale=0.5),
        posterior=partial(DiagonalGaussian, log_variance=(-6.0, 2.0)),
        encoder=LINEAR,
        decoder=LINEAR,
    )


@torch.no_grad()
def variance_of_prior(diffusion: Diffusion) -> Tensor:
    """Var(z), through the linear chain of reverse steps."""
    variance = torch.ones(())
    for t in range(diffusion.levels, 0, -1):
        slope, _, noise = affine(lambda z, t=t: diffusion.reverse(z, t), 1)
        variance = (slope**2 * variance + noise).squeeze()
    return variance


def marginal(model: VAE) -> MultivariateNormal:
    """p(x), exactly."""
    w, b, noise = affine(model.likelihood, 1)
    return MultivariateNormal(b, variance_of_prior(model.prior) * w @ w.mT + noise)


@pytest.fixture
def model() -> VAE:
    model = latent_diffusion()
    torch.nn.init.normal_(model.prior.denoiser.slope, mean=0.5, std=0.2)
    return model


@pytest.fixture
def x() -> Tensor:
    return torch.randn(300, 1) @ torch.tensor([[2.0, -1.0]]) + 0.5 * torch.randn(300, 2) + 1.0


def test_terms_of_the_prior_are_spliced_in_under_their_names(model, x, generator):
    training = model.trace(x, FromPosterior(2, generator, subsample=True))
    assert [term.name for term in training] == ["z", "z/z10", "z/z_s", "z/x", "x"]
    assert set(training.auxiliary) == {"z/t", "z/z_t", "z/z1"}
    every = model.trace(x, FromPosterior(2, generator))
    assert [term.name for term in every] == ["z", *(f"z/z{t}" for t in range(10, 0, -1)), "z/x", "x"]
    assert every["z/x"].value is every["z"].value
    assert every["z"].p is None
    assert every["z"].kl is None


def test_only_x_is_data_and_the_prior_is_rate_not_distortion(model, x, generator):
    trace = model.trace(x, FromPosterior(2, generator))
    assert [term.name for term in trace.data] == ["x"]
    assert torch.allclose(trace.distortion, -trace["x"].log_p)
    assert torch.allclose(trace.rate(closed_form=False) + trace.distortion, -trace.log_w)
    assert torch.allclose(
        BetaELBO(4.0, closed_form=False)(trace) - ELBO(closed_form=False)(trace),
        -3 * trace.rate(closed_form=False).mean(0),
    )


def test_log_w_refuses_in_training_and_averages_to_the_exact_evidence_in_evaluation(model, x, generator):
    training = model.trace(x, FromPosterior(2, generator, subsample=True))
    for refused in (lambda: training.log_w, lambda: training.log_joint, lambda: IWAE(2)(training)):
        with pytest.raises(ValueError, match="'z/z_s' stands for several terms"):
            refused()
    fit(model, Batch(x), generator, steps=150, lr=0.05)
    widen(model.posterior)
    exact = marginal(model).log_prob(x[:30])
    trace = model.trace(x[:30], FromPosterior(5000, generator))
    assert_mean((trace.log_w - exact).exp(), 1.0)
    assert (exact - ELBO()(trace)).min() > 0


def test_bound_of_one_random_level_is_that_of_all_and_below_the_exact_evidence(model, x, generator):
    one = ELBO()(model.trace(x.repeat(200, 1), FromPosterior(1, generator, subsample=True)))
    every = ELBO()(model.trace(x.repeat(200, 1), FromPosterior(1, generator)))
    assert_mean(one - every, 0.0)
    assert every.mean() < marginal(model).log_prob(x).mean()


def test_latent_diffusion_is_fitted_end_to_end(x, generator):
    model = latent_diffusion()
    model.initialize(Batch(x), generator)
    fit(model, Batch(x), generator, steps=500, lr=0.05)
    bound = ELBO()(model.trace(x, FromPosterior(50, generator))).mean()
    exact = marginal(model).log_prob(x).mean()
    best = MultivariateNormal(x.mean(0), x.mT.cov(correction=0)).log_prob(x).mean()
    assert best - 0.1 < bound < exact < best


def test_samples_are_of_the_marginal(model, generator):
    samples, exact = model.sample(20_000, generator=generator), marginal(model)
    assert samples.shape == (20_000, 2)
    assert_mean(samples, exact.mean)
    centred = samples - exact.mean
    assert_mean(centred.unsqueeze(2) * centred.unsqueeze(1), exact.covariance_matrix)


def test_code_decoding_and_reconstruction_are_those_of_a_vae(model, x, generator):
    code = model.encode(x)
    assert torch.allclose(code, model.posterior(x).mean)
    assert torch.allclose(model.decode(code).mean, model.likelihood(code).mean)
    assert torch.allclose(model.reconstruct(x, Given({"z": code[None]})), model.likelihood(code).mean)


def test_joint_density_of_x_and_z_alone_is_refused(model, x):
    # p(z) is an integral over the chain, and one draw of it is no density
    with pytest.raises(ValueError, match="z/z10"):
        model.log_joint(x, model.encode(x))


def test_naive_monte_carlo_draws_the_whole_chain_from_the_prior(model, x, generator):
    x = x[:5] * 0.3
    trace = model.trace(x, FromPrior(20_000, generator))
    assert_mean((trace.log_w - marginal(model).log_prob(x)).exp(), 1.0)


@pytest.mark.parametrize("estimator", [Pathwise(), StickingTheLanding()], ids=lambda part: type(part).__name__)
def test_gradient_through_the_spliced_prior_is_that_of_all_its_levels(model, x, generator, estimator):
    parameters = [model.posterior.net.output.bias, model.likelihood.net.output.weight, model.prior.denoiser.slope]
    exact = gradient(
        ELBO()(model.trace(x[:1].expand(200_000, 2), FromPosterior(1, generator, pathwise=True))).mean(), parameters
    )
    batch, objective = Batch(x[:1].expand(300, 2)), ELBO(closed_form=False)
    assert_mean(gradients(lambda: estimator(model, objective, batch, generator).loss, parameters, 150), exact)


def test_sticking_the_landing_scores_the_level_that_was_drawn_and_no_other(model, x, generator):
    calls, before = [], torch.random.get_rng_state()
    model.prior.denoiser.register_forward_hook(lambda *_: calls.append(1))
    StickingTheLanding()(model, ELBO(closed_form=False), Batch(x), generator)
    assert len(calls) == 4  # the random level and the first, drawn and scored
    assert torch.equal(before, torch.random.get_rng_state())


def test_doubly_reparametrised_weights_are_those_of_the_same_draws(model, x):
    batch, before = Batch(x), torch.random.get_rng_state()
    plain, doubly = (e(model, IWAE(3), batch, torch.Generator().manual_seed(3)) for e in (Pathwise(), DReG()))
    assert torch.allclose(plain.value, doubly.value)
    assert torch.equal(before, torch.random.get_rng_state())


def test_doubly_reparametrised_gradient_is_the_pathwise_one_on_average(model, x, generator):
    parameters = [model.posterior.net.output.bias, model.likelihood.net.output.weight, model.prior.denoiser.slope]
    batch = Batch(x[:1].expand(300, 2))
    plain, doubly = (
        gradients(lambda e=e: e(model, IWAE(3), batch, generator).loss, parameters, 60) for e in (Pathwise(), DReG())
    )
    assert_mean(plain - doubly, 0.0)
    assert (doubly.std(0) < plain.std(0) + 1e-9)[:4].all()  # of the posterior's parameters
