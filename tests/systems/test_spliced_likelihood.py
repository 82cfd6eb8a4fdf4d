"""A VAE whose likelihood is itself a model with a latent of its own, spliced: p(x) is Gaussian, all being linear."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from tests.agreement import assert_mean
from unveil.distributions import Normal
from unveil.gradients import DReG, Pathwise, StickingTheLanding
from unveil.models import VAE, FromPosterior, Model, Visit
from unveil.nets import MLP
from unveil.objectives import ELBO, IWAE
from unveil.posteriors import DiagonalGaussian
from unveil.variables import Batch, Variable

X = Variable((2,))


class Decoder(Model):
    """p(u) p(x | z, u), z being what it is conditioned on."""

    def __init__(self) -> None:
        super().__init__()
        self.z, self.u, self.q = nn.Linear(1, 2), nn.Linear(1, 2, bias=False), nn.Linear(3, 1)

    def walk(self, visit: Visit, batch: Batch) -> None:
        x, z = batch["x"], batch.context
        q = lambda: Normal(self.q(torch.cat([x.expand(*z.shape[:-1], 2), z], -1)), torch.ones(1))  # noqa: E731
        u = visit("u", p=lambda: Normal(torch.zeros(1), torch.ones(1)), q=q)
        visit("x", p=lambda: Normal(self.z(z) + self.u(u), torch.tensor(0.7)), value=x, mask=batch.mask)


@pytest.fixture
def model() -> VAE:
    linear = partial(MLP, hidden=())
    return VAE(
        X,
        latent_dim=1,
        likelihood=lambda *_: Decoder(),
        posterior=partial(DiagonalGaussian, log_variance=(0.0, 1.0)),
        encoder=linear,
    )


def marginal(model: VAE) -> MultivariateNormal:
    """p(x), exactly."""
    decoder = model.likelihood
    w = torch.cat([decoder.z.weight, decoder.u.weight], 1)
    return MultivariateNormal(decoder.z.bias, w @ w.mT + 0.7**2 * torch.eye(2))


def test_terms_are_spliced_in_and_only_the_inner_x_is_data(model, generator):
    trace = model.trace(torch.randn(5, 2), FromPosterior(3, generator))
    assert [term.name for term in trace] == ["z", "x/u", "x/x"]
    assert [term.name for term in trace.observed] == ["x/x"]
    assert torch.allclose(trace.distortion, -trace["x/x"].log_p)
    assert torch.allclose(trace.rate(), trace["z"].rate() + trace["x/u"].rate())


def test_weights_average_to_the_exact_evidence(model, generator):
    x = torch.randn(10, 2)
    trace = model.trace(x, FromPosterior(50_000, generator))
    assert_mean((trace.log_w - marginal(model).log_prob(x)).exp(), 1.0)
    assert (ELBO()(trace) < marginal(model).log_prob(x)).all()


def test_missing_entries_are_marginalised_inside(model, generator):
    x, mask = torch.randn(10, 2), torch.tensor([True, False])
    batch = Batch(torch.where(mask, x, 1e3), mask=mask.expand(10, 2))
    trace = model.trace(batch, FromPosterior(2, generator))
    p = trace["x/x"].p.base
    assert torch.allclose(trace["x/x"].log_p, p.log_prob_per_dim(x)[..., 0])


def test_samples_are_of_the_marginal(model, generator):
    samples: Tensor = model.sample(20_000, generator=generator)
    assert_mean(samples, marginal(model).mean)
    centred = samples - marginal(model).mean
    assert_mean(centred.unsqueeze(2) * centred.unsqueeze(1), marginal(model).covariance_matrix)


def test_what_a_spliced_model_is_conditioned_on_is_joined(model):
    z, c = torch.randn(3, 5, 1), torch.randn(5, 4)
    both = model.likelihood(z, c).context
    assert torch.equal(both[..., :1], z)
    assert torch.equal(both[..., 1:], c.expand(3, 5, 4))
    assert model.likelihood(context=c).context is c
    assert model.likelihood(z).context is z
    assert model.likelihood().context is None


@pytest.mark.parametrize("estimator", [DReG(), StickingTheLanding()], ids=lambda part: type(part).__name__)
def test_estimators_that_score_q_again_see_the_inner_latent(model, estimator):
    batch, objective = Batch(torch.randn(6, 2)), IWAE(1)
    plain, other = (e(model, objective, batch, torch.Generator().manual_seed(3)) for e in (Pathwise(), estimator))
    assert torch.allclose(plain.value, other.value)
    q = list(model.likelihood.q.parameters())
    found = [torch.cat([g.reshape(-1) for g in torch.autograd.grad(s.loss.mean(), q)]) for s in (plain, other)]
    # the score of q(u | x, z) at fixed u is left out, so that the same draws give another number
    assert found[1].abs().max() > 0
    assert not torch.allclose(*found)
