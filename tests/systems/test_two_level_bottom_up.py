"""Two levels inferred bottom-up: p(z2) p(z1 | z2) p(x | z1), q(z1 | x) q(z2 | z1), against its Gaussian marginal."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from tests.agreement import assert_mean
from tests.systems.fitting import affine, fit, widen
from unveil.likelihoods import LearnedGaussian
from unveil.models import FromPosterior, FromPrior, Model, PerVariable, Visit
from unveil.nets import MLP
from unveil.objectives import ELBO
from unveil.posteriors import DiagonalGaussian
from unveil.priors import StandardNormal
from unveil.variables import Batch, Variable

LINEAR, SPREAD = partial(MLP, hidden=()), (-6.0, 1.5)
X = Variable((3,))


class BottomUp(Model):
    """All parts linear-Gaussian; z1 is proposed before the walk, which goes down, reaches it."""

    latents = ("z2", "z1")

    def __init__(self, x: Variable) -> None:
        super().__init__()
        self.x, z1 = x, Variable((1,))
        self.p2 = StandardNormal(1)
        self.p1 = LearnedGaussian(z1, 1, decoder=LINEAR)
        self.likelihood = LearnedGaussian(x, 1, decoder=LINEAR)
        self.q1 = DiagonalGaussian(x, 1, encoder=LINEAR, log_variance=SPREAD)
        self.q2 = DiagonalGaussian(z1, 1, encoder=LINEAR, log_variance=SPREAD)

    def walk(self, visit: Visit, batch: Batch) -> None:
        z1 = visit.propose("z1", lambda: self.q1(batch["x"]))
        z2 = visit("z2", p=self.p2, q=lambda: self.q2(z1))
        z1 = visit("z1", p=lambda: self.p1(z2))
        visit("x", p=lambda: self.likelihood(z1), value=batch["x"])


def marginal(model: BottomUp) -> MultivariateNormal:
    """p(x), exactly."""
    w2, b2, noise2 = affine(model.p1, 1)
    w1, b1, noise1 = affine(model.likelihood, 1)
    return MultivariateNormal(w1 @ b2 + b1, w1 @ (w2 @ w2.mT + noise2) @ w1.mT + noise1)


@pytest.fixture(scope="module")
def x() -> Tensor:
    """Data with one strong direction."""
    stream = torch.Generator().manual_seed(1)
    z, noise = (torch.randn(200, n, generator=stream, dtype=torch.float64) for n in (1, 3))
    return z @ torch.tensor([[1.5, -1.0, 0.5]], dtype=torch.float64) + 0.6 * noise + 0.5


@pytest.fixture
def model(x, generator) -> BottomUp:
    model = BottomUp(X)
    model.initialize(Batch(x), generator)
    return model


def test_bottom_up_hierarchy_is_fitted_to_its_optimum(model, x, generator):
    fit(model, Batch(x), generator, steps=400, lr=0.05)
    trace = model.trace(x, FromPosterior(200, generator))
    assert trace["z1"].kl is None
    assert trace["z2"].kl is not None
    bound, exact = ELBO()(trace).mean(), marginal(model).log_prob(x).mean()
    best = MultivariateNormal(x.mean(0), x.mT.cov(correction=0)).log_prob(x).mean()  # of any Gaussian marginal
    assert best - 0.02 < exact < best
    assert exact - 0.02 < bound < exact + 0.002  # 200 draws' Monte Carlo error


def test_bottom_up_weights_average_to_the_exact_evidence(model, x, generator):
    fit(model, Batch(x), generator, steps=150, lr=0.05)
    widen(model.q1, model.q2)
    x = x[:30]
    exact = marginal(model).log_prob(x)
    trace = model.trace(x, FromPosterior(5000, generator))
    assert_mean((trace.log_w - exact).exp(), 1.0)
    assert (trace.log_mean_exp(trace.log_w) - exact).abs().mean() < 0.06
    assert (exact - ELBO()(trace)).min() > 0


def test_bottom_up_samples_are_of_the_marginal(model, generator):
    samples, exact = model.sample(20_000, generator=generator), marginal(model)
    assert_mean(samples, exact.mean)
    centred = samples - exact.mean
    assert_mean(centred.unsqueeze(2) * centred.unsqueeze(1), exact.covariance_matrix)


def test_code_of_both_levels_is_deterministic(model, x):
    code = model.encode(x)
    assert code["z1"].shape == (200, 1)
    assert code["z2"].shape == (200, 1)
    assert all(torch.equal(value, model.encode(x)[name]) for name, value in code.items())
    assert torch.allclose(code["z1"], model.q1(x).mean)
    assert torch.allclose(code["z2"], model.q2(code["z1"]).mean)


def test_reconstruction_from_the_top_level_draws_the_lower_one_from_its_prior(model, x, generator):
    fit(model, Batch(x), generator, steps=150, lr=0.05)
    top = PerVariable({"z2": FromPosterior(500, generator)}, otherwise=FromPrior(500, generator))
    trace = model.trace(x, top)
    w2, b2, _ = affine(model.p1, 1)
    assert_mean(trace["z1"].value - trace["z2"].value @ w2.mT, b2.expand(200, 1))
    errors = [(model.reconstruct(x, source) - x).square().mean() for source in (top, FromPosterior(500, generator))]
    assert errors[0] > errors[1]


def test_joint_density_is_that_of_the_factors(model, x):
    z = {"z2": torch.randn(200, 1), "z1": torch.randn(200, 1)}
    by_hand = model.p2().log_prob(z["z2"]) + model.p1(z["z2"]).log_prob(z["z1"]) + model.likelihood(z["z1"]).log_prob(x)
    assert torch.allclose(model.log_joint(x, z), by_hand)


def test_decoding_draws_the_level_that_is_left_out(model):
    z1, z2 = torch.randn(2, 5, 1, dtype=torch.float64)
    both, top = model.decode({"z1": z1, "z2": z2}), model.decode(z2)
    assert both.batch_shape == top.batch_shape == (5,)
    assert torch.allclose(both.mean, model.likelihood(z1).mean)
    assert not torch.allclose(top.mean, model.decode(z2).mean)
