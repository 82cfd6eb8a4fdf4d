"""A user's own log density with no data: the bound is the log of its normaliser less KL(q || target)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal as Reference
from torch.distributions import kl_divergence

from tests.agreement import assert_mean, gradient, gradients
from tests.systems.fitting import fit
from unveil.distributions import MultivariateNormal
from unveil.gradients import DReG, Pathwise, StickingTheLanding
from unveil.models import FromPosterior, FromPrior, Model, Visit
from unveil.objectives import ELBO, IWAE
from unveil.variables import Batch

LOG_Z = 1.7
MEAN, COVARIANCE = torch.tensor([1.0, -2.0]).double(), torch.tensor([[2.0, 0.9], [0.9, 0.5]]).double()
TARGET = Reference(MEAN, COVARIANCE)


def log_density(theta: Tensor) -> Tensor:
    """A Gaussian's, times e^1.7."""
    return LOG_Z + TARGET.log_prob(theta)


class Target(Model):
    """Any log density, (..., d) -> (...), approximated by a Gaussian of full rank."""

    latents = ("theta",)

    def __init__(self, log_density: Callable[[Tensor], Tensor], features: int) -> None:
        super().__init__()
        self.log_density = log_density
        self.loc, self.L = nn.Parameter(torch.zeros(features)), nn.Parameter(torch.eye(features))

    def q(self) -> MultivariateNormal:
        return MultivariateNormal(self.loc, self.L.tril())

    def walk(self, visit: Visit, batch: Batch) -> None:
        theta = visit("theta", q=self.q)
        visit.factor("log_density", lambda: self.log_density(theta))


@pytest.fixture
def model() -> Target:
    return Target(log_density, 2)


def bound(model: Target) -> Tensor:
    """log Z - KL(q || target), exactly."""
    return LOG_Z - kl_divergence(Reference(model.loc, scale_tril=model.L.tril(), validate_args=False), TARGET)


def test_bound_is_the_log_normaliser_less_the_divergence(model, generator):
    trace = model.trace(source=FromPosterior(20_000, generator))
    assert trace.shape == (20_000, 1)
    assert trace["theta"].kl is None
    assert_mean(trace.log_w, bound(model))
    assert torch.allclose(ELBO()(trace), trace.log_w.mean(0))


@pytest.mark.parametrize(
    ("estimator", "objective"),
    [(Pathwise(), ELBO()), (StickingTheLanding(), ELBO(closed_form=False)), (DReG(), IWAE(1))],
    ids=["pathwise", "sticking", "dreg"],
)
def test_gradient_agrees_with_its_closed_form(model, estimator, objective, generator):
    parameters = list(model.parameters())
    exact = gradient(bound(model), parameters)
    found = gradients(lambda: estimator(model, objective, Batch(size=100), generator).loss, parameters, 100)
    assert_mean(found, exact)


def test_fitted_bound_is_the_log_normaliser_and_q_has_the_target_moments(model, generator):
    assert bound(model) < LOG_Z - 1
    fit(model, Batch(size=10), generator, ELBO(closed_form=False), StickingTheLanding(), steps=1000, lr=0.1)
    trace = model.trace(source=FromPosterior(100, generator))
    assert torch.allclose(trace.log_w, torch.tensor(LOG_Z), atol=1e-3)
    assert torch.allclose(model.loc, MEAN, atol=1e-3)
    assert torch.allclose(model.q().covariance_matrix, COVARIANCE, atol=1e-3)
    assert torch.allclose(model.encode(None), MEAN.expand(1, 2), atol=1e-3)


def test_weights_average_to_the_normaliser(model, generator):
    with torch.no_grad():
        model.loc.copy_(MEAN)
        model.L.copy_(1.5 * torch.eye(2))
    trace = model.trace(source=FromPosterior(50_000, generator))
    assert_mean((trace.log_w - LOG_Z).exp(), 1.0)


def test_flat_density_has_no_prior_to_draw_from(model, generator):
    with pytest.raises(ValueError, match="theta: has no p to draw from"):
        model.trace(source=FromPrior(1, generator))
    with pytest.raises(ValueError, match="theta: has no p to draw from"):
        model.sample(generator=generator)


def test_joint_is_the_density(model):
    theta = torch.randn(5, 2)
    assert torch.allclose(model.log_joint(Batch(size=5), {"theta": theta}), log_density(theta))
