"""Two levels inferred top-down along a shared path, a VampPrior on top, fitted by DReG.

The lower part is linear-Gaussian, so that p(x) is a mixture of Gaussians, one for each pseudo-input.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from tests.agreement import assert_mean
from tests.systems.fitting import affine, fit, widen
from unveil.gradients import DReG
from unveil.likelihoods import FixedGaussian
from unveil.models import FromPosterior, Mode, Model, Visit
from unveil.nets import MLP
from unveil.objectives import IWAE
from unveil.posteriors import DiagonalGaussian
from unveil.priors import ConditionalGaussian, VampPrior
from unveil.variables import Batch, Variable

LINEAR, SMALL = partial(MLP, hidden=()), partial(MLP, hidden=(8,))
X = Variable((2,))


class TopDown(Model):
    """What z2 says goes through one path, to the prior of z1 and, joined with x, to its posterior."""

    latents = ("z2", "z1")

    def __init__(self, x: Variable, path: int = 3) -> None:
        super().__init__()
        self.x = x
        self.prior = VampPrior(1, x=x, components=4)
        self.q2 = DiagonalGaussian(x, 1, encoder=SMALL)
        self.path = nn.Linear(1, path)
        self.p1 = FixedGaussian(Variable((2,)), path, decoder=LINEAR, scale=0.3)
        self.q1 = ConditionalGaussian(2, path + x.features, net=SMALL)
        self.likelihood = FixedGaussian(x, 2, decoder=LINEAR, scale=0.2)

    def walk(self, visit: Visit, batch: Batch) -> None:
        x = batch["x"]
        z2 = visit("z2", p=lambda: self.prior(posterior=self.q2), q=lambda: self.q2(x))
        h = self.path(z2)
        z1 = visit("z1", p=lambda: self.p1(h), q=lambda: self.q1(h, x))
        visit("x", p=lambda: self.likelihood(z1), value=x)


def marginal(model: TopDown) -> MixtureSameFamily:
    """p(x), exactly."""
    with torch.no_grad():
        top = model.q2(model.prior.pseudo_inputs)
    w2, b2, noise2 = affine(nn.Sequential(model.path, model.p1), 1)
    w1, b1, noise1 = affine(model.likelihood, 2)
    w, b, noise = w1 @ w2, w1 @ b2 + b1, w1 @ noise2 @ w1.mT + noise1
    components = MultivariateNormal(top.loc @ w.mT + b, w @ torch.diag_embed(top.variance) @ w.mT + noise)
    return MixtureSameFamily(Categorical(logits=model.prior.log_weights), components)


@pytest.fixture(scope="module")
def x() -> Tensor:
    """Three clusters on a line."""
    stream = torch.Generator().manual_seed(1)
    centre = torch.randint(-1, 2, (300, 1), generator=stream) * torch.tensor([[2.0, 1.0]], dtype=torch.float64)
    return centre + 0.3 * torch.randn(300, 2, generator=stream, dtype=torch.float64)


@pytest.fixture
def model(x, generator) -> TopDown:
    model = TopDown(X)
    model.initialize(Batch(x), generator)
    return model


def test_parts_are_shown_the_data_that_they_are_about_and_no_other(model, x):
    moments = [part.mean for part in (model.q2.standardize, model.likelihood.units)]
    assert all(torch.allclose(mean, x.mean(0)) for mean in moments)
    assert torch.equal(model.p1.units.mean, torch.zeros(2))  # of z1, which has the shape of x
    assert torch.equal(model.prior.low, x.amin(0))


def test_top_down_hierarchy_fits_clusters_that_no_gaussian_fits(model, x, generator):
    fit(model, Batch(x), generator, IWAE(5), DReG(), steps=400, lr=0.05)
    bound, exact = IWAE(50)(model.trace(x, FromPosterior(50, generator))).mean(), marginal(model).log_prob(x).mean()
    gaussian = MultivariateNormal(x.mean(0), x.mT.cov(correction=0)).log_prob(x).mean()
    assert gaussian + 0.2 < bound < exact < bound + 0.2


def test_top_down_weights_average_to_the_exact_evidence(model, x, generator):
    fit(model, Batch(x), generator, IWAE(5), DReG(), steps=150, lr=0.05)
    widen(model.q2, model.q1)
    x = x[:30]
    exact = marginal(model).log_prob(x)
    trace = model.trace(x, FromPosterior(5000, generator))
    assert_mean((trace.log_w - exact).exp(), 1.0)
    assert (trace.log_mean_exp(trace.log_w) - exact).abs().mean() < 0.06


def test_top_down_samples_are_of_the_marginal(model, generator):
    samples, exact = model.sample(20_000, generator=generator), marginal(model)
    assert_mean(samples, exact.mean)
    assert_mean(exact.log_prob(samples), exact.log_prob(exact.sample((200_000,))).mean())
    assert_mean((samples.abs() > 1.2).double(), (exact.sample((200_000,)).abs() > 1.2).double().mean(0))


def test_prior_is_the_posterior_at_the_pseudo_inputs_and_shares_its_parameters(model, x, generator):
    trace = model.trace(x, FromPosterior(3, generator))
    components = trace["z2"].p.components
    assert torch.equal(components.loc, model.q2(model.prior.pseudo_inputs).loc)
    assert len(list(model.parameters())) == len(set(model.parameters()))
    assert not any(name.startswith("prior.") and "q2" in name for name, _ in model.named_parameters())
    found = torch.autograd.grad(trace["z2"].log_p.sum(), [model.prior.pseudo_inputs, model.q2.net.output.weight])
    assert all(gradient.abs().max() > 0 for gradient in found)


def test_shared_path_is_computed_once_in_a_pass_and_not_the_decoder_when_encoding(model, x):
    calls = []
    for part in (model.path, model.p1, model.likelihood, model.prior):
        part.register_forward_hook(lambda module, *_: calls.append(module))
    model.trace(x)
    assert calls.count(model.path) == 1
    calls.clear()
    model.trace(x, Mode())
    assert calls == [model.path]
