"""Bounds and gradient estimators on the linear-Gaussian model, against its closed forms."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from tests.agreement import assert_mean, assert_other_mean, flat, gradient, gradients, standard_error
from tests.closed_form.linear_gaussian import LinearGaussian
from unveil.gradients import DReG, Gradient, Pathwise, StickingTheLanding
from unveil.models import FromPosterior
from unveil.objectives import ELBO, IWAE, BetaELBO, FreeBits, Hybrid, Objective
from unveil.variables import Batch

SAMPLED = ELBO(closed_form=False)


@pytest.fixture
def model() -> LinearGaussian:
    return LinearGaussian()


@pytest.fixture
def x() -> Tensor:
    return torch.tensor([[0.5, -1.0, 2.0]])


def many(x: Tensor, copies: int) -> Batch:
    """One example, many times: independent draws side by side."""
    return Batch(x.expand(copies, -1))


def estimates(
    model: LinearGaussian, estimator: Gradient, objective: Objective, batch: Batch, of: list[Tensor], repeats: int = 150
) -> Tensor:
    """Independent gradient estimates, (repeats, entries)."""
    stream = torch.Generator().manual_seed(1)
    return gradients(lambda: estimator(model, objective, batch, stream).loss, of, repeats)


@pytest.mark.parametrize("particles", [1, 2, 7])
def test_every_weight_is_the_evidence_under_the_exact_posterior(model, generator, particles):
    model.solve()
    x = torch.randn(5, 3)
    trace = model.trace(x, FromPosterior(particles, generator))
    assert torch.allclose(trace.log_w, model.log_evidence(x).expand(particles, 5), rtol=0, atol=1e-12)
    assert torch.allclose(SAMPLED(trace), model.log_evidence(x), rtol=0, atol=1e-12)
    assert torch.allclose(IWAE(particles)(trace), model.log_evidence(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("closed_form", [True, False])
def test_elbo_is_the_evidence_less_the_divergence_from_the_posterior(model, x, generator, closed_form):
    trace = model.trace(x, FromPosterior(20_000, generator))
    draws = -trace.distortion - trace.rate(closed_form=closed_form)
    assert_mean(draws, model.elbo(x))
    assert torch.allclose(ELBO(closed_form=closed_form)(trace), draws.mean(0))
    assert model.elbo(x) < model.log_evidence(x) - 0.1  # q is not the posterior: the test could fail


def test_weights_average_to_the_evidence(model, x, generator):
    trace = model.trace(x, FromPosterior(50_000, generator))
    assert_mean((trace.log_w - model.log_evidence(x)).exp(), 1.0)


def test_importance_weighted_bound_rises_with_particles_towards_the_evidence(model, x, generator):
    bounds = []
    for particles in (1, 5, 50):
        values = IWAE(particles)(model.trace(many(x, 4000), FromPosterior(particles, generator)))
        bounds.append((values.mean(), standard_error(values)))
    assert_mean(IWAE(1)(model.trace(many(x, 4000), FromPosterior(1, generator))), model.elbo(x))
    for (lower, a), (higher, b) in pairwise(bounds):
        assert higher - lower > 4 * (a + b)
    top, error = bounds[-1]
    assert model.log_evidence(x) - 0.1 < top < model.log_evidence(x) + 4 * error


@pytest.mark.parametrize(
    ("estimator", "objective"),
    [
        (Pathwise(), ELBO()),
        (Pathwise(), ELBO(closed_form=False)),
        (Pathwise(), ELBO(particles=3)),
        (Pathwise(), IWAE(1)),
        (StickingTheLanding(), ELBO(closed_form=False)),
        (StickingTheLanding(), ELBO(particles=3, closed_form=False)),
        (StickingTheLanding(), IWAE(1)),
        (DReG(), IWAE(1)),
    ],
    ids=lambda part: f"{type(part).__name__}{getattr(part, 'particles', '')}{getattr(part, 'closed_form', '')}",
)
def test_gradient_of_the_elbo_agrees_with_its_closed_form(model, x, estimator, objective):
    parameters = model.theta + model.phi
    exact = gradient(model.elbo(x).mean(), parameters)
    assert_mean(estimates(model, estimator, objective, many(x, 100), parameters), exact)


@pytest.mark.parametrize("estimator", [Pathwise(), StickingTheLanding()], ids=lambda part: type(part).__name__)
@pytest.mark.parametrize("beta", [0.3, 4.0])
def test_gradient_of_beta_elbo_agrees_with_its_closed_form(model, x, estimator, beta):
    parameters = model.theta + model.phi
    rate = model.trace(x, FromPosterior()).rate().squeeze()
    distortion = -model.elbo(x).squeeze() - rate
    exact = gradient(-distortion - beta * rate, parameters)
    objective = BetaELBO(beta, closed_form=False)
    assert_mean(estimates(model, estimator, objective, many(x, 100), parameters), exact)


def reconstruction_from_prior(model: LinearGaussian, x: Tensor) -> Tensor:
    """E_p(z)[log p(x | z)], exactly."""
    error = (x - model.b).square().sum(-1) + model.W.square().sum()
    variance = (2 * model.log_sigma).exp()
    return -0.5 * error / variance - 0.5 * len(model.b) * (2 * torch.pi * variance).log()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_hybrid_is_the_mixture_of_the_elbo_and_of_draws_from_the_prior(model, x, alpha):
    parameters = model.theta + (model.phi if alpha else [])
    exact = alpha * model.elbo(x) + (1 - alpha) * reconstruction_from_prior(model, x)
    step = Pathwise()(model, Hybrid(alpha), many(x, 20_000), torch.Generator().manual_seed(1))
    assert_mean(step.value, exact)
    found = estimates(model, Pathwise(), Hybrid(alpha), many(x, 100), parameters)
    assert_mean(found, gradient(exact.mean(), parameters))


def test_free_bits_cost_nothing_below_their_number_and_the_whole_rate_above(model, x):
    rate = model.trace(x, FromPosterior()).rate().squeeze()
    distortion = -model.elbo(x).squeeze() - rate
    parameters = model.theta + model.phi
    for nats, exact in ((0.9 * rate.item(), -distortion - rate), (1.1 * rate.item(), -distortion - 1.1 * rate.item())):
        step = Pathwise()(model, FreeBits(nats), many(x, 20_000), torch.Generator().manual_seed(1))
        assert_mean(step.value, exact)
        found = estimates(model, Pathwise(), FreeBits(nats), many(x, 100), parameters)
        assert_mean(found, gradient(exact, parameters))


def test_sticking_the_landing_has_no_variance_at_the_posterior_and_pathwise_has(model, x):
    model.solve()
    sticking = estimates(model, StickingTheLanding(), SAMPLED, Batch(x), model.phi, repeats=20)
    assert sticking.abs().max() < 1e-10
    assert estimates(model, Pathwise(), SAMPLED, Batch(x), model.phi, repeats=20).std(0).max() > 0.1


def test_sticking_the_landing_loses_its_variance_as_q_reaches_the_posterior(model, x):
    start, spread = [parameter.detach().clone() for parameter in model.phi], []
    for share in (0.0, 0.9, 0.99):
        model.solve()
        with torch.no_grad():
            for parameter, first in zip(model.phi, start, strict=True):
                parameter.lerp_(first, 1 - share)
        spread.append(estimates(model, StickingTheLanding(), SAMPLED, Batch(x), model.phi, repeats=50).std(0).norm())
    assert spread[0] > 5 * spread[1] > 25 * spread[2]


class TestImportanceWeightedGradient:
    """Of one latent dimension and two particles, whose bound is a two-dimensional integral."""

    @pytest.fixture
    def model(self) -> LinearGaussian:
        return LinearGaussian(features=2, latent_dim=1)

    @pytest.fixture
    def x(self) -> Tensor:
        return torch.tensor([[0.7, -0.4]])

    @staticmethod
    def quadrature(model: LinearGaussian, x: Tensor) -> Tensor:
        """E log (w_1 + w_2) / 2 over z = mu + L eps, by the trapezoid rule over both eps."""
        eps = torch.linspace(-8, 8, 161)
        log_weight = -0.5 * eps.square() - torch.tensor(2 * torch.pi).sqrt().log() + (eps[1] - eps[0]).log()
        z = (x @ model.A.mT + model.c) + model.L * eps.unsqueeze(1)  # (E, 1)
        residual = (x - z @ model.W.mT - model.b) / model.log_sigma.exp()
        log_x = (-0.5 * residual.square() - model.log_sigma - 0.5 * torch.tensor(2 * torch.pi).log()).sum(-1)
        log_w = log_x - 0.5 * z.squeeze(1).square() + 0.5 * eps.square() + model.L.squeeze().log()
        pairs = torch.logaddexp(log_w.unsqueeze(0), log_w.unsqueeze(1)) - torch.tensor(2.0).log()
        return ((log_weight.unsqueeze(0) + log_weight.unsqueeze(1)).exp() * pairs).sum()

    def test_bound_agrees_with_quadrature(self, model, x, generator):
        exact = self.quadrature(model, x)
        assert_mean(IWAE(2)(model.trace(many(x, 50_000), FromPosterior(2, generator))), exact)
        assert model.elbo(x) + 0.01 < exact < model.log_evidence(x)

    @pytest.mark.parametrize("estimator", [Pathwise(), DReG()], ids=lambda part: type(part).__name__)
    def test_gradient_agrees_with_quadrature(self, model, x, estimator):
        parameters = model.theta + model.phi
        exact = gradient(self.quadrature(model, x), parameters)
        assert_mean(estimates(model, estimator, IWAE(2), many(x, 200), parameters), exact)

    def test_sticking_the_landing_would_be_wrong_here(self, model, x):
        exact = gradient(self.quadrature(model, x), model.phi)
        wrong = gradients(self._surrogate(model, x), model.phi, 150)
        assert_other_mean(wrong, exact)

    @staticmethod
    def _surrogate(model: LinearGaussian, x: Tensor) -> Callable[[], Tensor]:
        """IWAE with q's parameters detached, which StickingTheLanding refuses to be used for."""
        stream = torch.Generator().manual_seed(1)
        batch = many(x, 200)
        frozen = {name: parameter.detach() for name, parameter in model.named_parameters()}

        def loss() -> Tensor:
            trace = model.trace(batch, FromPosterior(2, stream, pathwise=True))
            loc = batch["x"] @ frozen["A"].mT + frozen["c"]
            q = type(model.q(x))(loc, frozen["L"])
            return -IWAE(2)(trace.with_log_q({"z": q.log_prob(trace["z"].value)}))

        return loss


def test_signal_of_dreg_does_not_drown_as_particles_grow(model, x):
    def signal_to_noise(estimator: Gradient, particles: int) -> Tensor:
        found = estimates(model, estimator, IWAE(particles), Batch(x), model.phi, repeats=200)
        used = found.std(0) > 0  # the upper triangle of L is not
        return (found.mean(0).abs()[used] / found.std(0)[used]).mean()

    assert signal_to_noise(DReG(), 64) > 1.5 * signal_to_noise(DReG(), 4)
    assert signal_to_noise(DReG(), 64) > 3 * signal_to_noise(Pathwise(), 64)


@pytest.mark.parametrize(
    ("estimator", "objective"), [(StickingTheLanding(), SAMPLED), (DReG(), IWAE(4))], ids=["sticking", "dreg"]
)
def test_value_beside_the_surrogate_is_the_objective_on_the_same_draws(model, estimator, objective):
    batch = Batch(torch.randn(6, 3))
    plain = Pathwise()(model, objective, batch, torch.Generator().manual_seed(3))
    other = estimator(model, objective, batch, torch.Generator().manual_seed(3))
    assert torch.allclose(plain.value, other.value)
    assert other.loss.shape == other.value.shape == (6,)


def test_parameters_of_p_get_the_same_gradient_from_every_estimator_on_the_same_draws(model):
    batch = Batch(torch.randn(6, 3))
    found = []
    for estimator in (Pathwise(), StickingTheLanding(), DReG()):
        step = estimator(model, IWAE(1), batch, torch.Generator().manual_seed(3))
        found.append(flat(torch.autograd.grad(step.loss.sum(), model.theta)))
    assert torch.allclose(found[0], found[1])
    assert torch.allclose(found[0], found[2])
