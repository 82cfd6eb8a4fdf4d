"""A diffusion of T = 10 on data N(0, v): its bound is known for the optimal denoiser, and a learned one finds it.

For v = 1 the reverse chain is the forward chain's exact reversal: every weight is p(x), and the bound's mean over the
data is minus the entropy, 0.5 log(2 pi e) = 1.41893853 nats.
"""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from tests.agreement import assert_mean, gradient, gradients
from tests.systems.diffusion import Diffusion, Learned, Optimal
from tests.systems.fitting import fit
from unveil.gradients import DReG, Pathwise, StickingTheLanding
from unveil.models import FromPosterior, Given, Term
from unveil.objectives import ELBO, IWAE
from unveil.variables import Batch

ENTROPY = 1.41893853


def gap(model: Diffusion, v: float) -> Tensor:
    """How far the bound's mean is below minus the entropy: the prior of the last level is not q's marginal."""
    total = model.alpha_bar[-1] * v + 1 - model.alpha_bar[-1]
    return 0.5 * (total - 1 - total.log()).squeeze()


def gaussian(v: float, size: int) -> Tensor:
    return v**0.5 * torch.randn(size, 1)


@pytest.mark.parametrize("levels", [2, 10, 100])
def test_every_weight_is_the_evidence_under_the_optimal_denoiser_of_unit_variance(levels, generator):
    x = gaussian(1.0, 20)
    trace = Diffusion(Optimal(1.0), levels=levels).trace(x, FromPosterior(3, generator))
    assert len(trace) == levels + 1
    assert torch.allclose(trace.log_w, Normal(0.0, 1.0).log_prob(x).sum(-1).expand(3, 20), rtol=0, atol=1e-10)


@pytest.mark.parametrize("v", [1.0, 0.25])
@pytest.mark.parametrize("subsample", [False, True])
@pytest.mark.parametrize("closed_form", [False, True])
def test_bound_of_all_levels_and_of_one_random_level_is_the_entropy_on_average(v, subsample, closed_form, generator):
    model = Diffusion(Optimal(v))
    trace = model.trace(gaussian(v, 40_000), FromPosterior(1, generator, subsample=subsample))
    expected = -ENTROPY - 0.5 * torch.tensor(v).log() - gap(model, v)
    assert_mean(ELBO(closed_form=closed_form)(trace), expected)


def test_level_by_level_one_stands_for_all_of_them(generator):
    model, x = Diffusion(Optimal(0.25)), gaussian(0.25, 1).expand(20_000, 1)
    every = ELBO()(model.trace(x, FromPosterior(1, generator)))
    given = []
    for t in range(2, 11):
        level = Given({"t": torch.full((1, 1), t)}, FromPosterior(1, generator), subsample=True, scores="pq")
        given.append(ELBO()(model.trace(x, level)))
    assert_mean(torch.stack(given).mean(0) - every, 0.0)


def test_walk_of_training_visits_one_random_level_and_says_which(generator):
    model, x = Diffusion(Learned()), gaussian(1.0, 2000)
    trace = model.trace(x, FromPosterior(2, generator, subsample=True))
    assert [term.name for term in trace] == ["z10", "z_s", "x"]
    t = trace.auxiliary["t"]
    assert t.shape == (2, 2000)
    assert t.unique().tolist() == list(range(2, 11))
    assert_mean(t.double().reshape(-1), 6.0)
    noise = (trace.auxiliary["z_t"] - model.alpha_bar[t].sqrt() * x) / (1 - model.alpha_bar[t]).sqrt()
    assert_mean(noise.reshape(-1).square(), 1.0)


def test_log_w_refuses_a_subsampled_level(generator):
    model, x = Diffusion(Optimal(1.0)), gaussian(1.0, 5)
    trace = model.trace(x, FromPosterior(2, generator, subsample=True))
    for refused in (lambda: trace.log_w, lambda: trace.log_joint, lambda: IWAE(2)(trace)):
        with pytest.raises(ValueError, match="'z_s' stands for several terms"):
            refused()
    assert trace.bound == "unbiased"
    assert model.trace(x, FromPosterior(2, generator)).bound == "exact"


def test_importance_weighted_objective_walks_all_levels(generator):
    # which has no bound over one random level: "an importance-weighted bound" over those lies above log p
    model, x = Diffusion(Optimal(1.0)), gaussian(1.0, 5)
    for estimator in (Pathwise(), DReG()):
        step = estimator(model, IWAE(2), Batch(x), generator)
        assert torch.allclose(step.value, Normal(0.0, 1.0).log_prob(x).sum(-1))


def test_samples_are_of_the_data(generator):
    model = Diffusion(Optimal(0.25), levels=50)
    samples = model.sample(20_000, generator=generator)
    assert samples.shape == (20_000, 1)
    assert_mean(samples, 0.0)
    assert_mean(samples.square(), 0.25)


def test_learned_denoiser_reaches_the_entropy_from_one_random_level_a_step(generator):
    model, v = Diffusion(Learned()), 0.25
    x = gaussian(v, 2000)
    before = ELBO()(model.trace(x, FromPosterior(1, generator))).mean()
    fit(model, Batch(x), generator, steps=400, lr=0.05)
    v = x.square().mean()
    best = -ENTROPY - 0.5 * v.log() - gap(model, v)
    after = ELBO()(model.trace(x, FromPosterior(20, generator))).mean()
    assert before < best - 0.5
    assert best - 0.02 < after < best + 0.02
    slope, _ = Optimal(v)(torch.ones(1), 5, model.alpha_bar[5])
    assert (model.denoiser.slope[5] - slope).abs() < 0.05


@pytest.mark.parametrize("estimator", [Pathwise(), StickingTheLanding()], ids=lambda part: type(part).__name__)
def test_gradient_of_one_random_level_is_that_of_all(estimator, generator):
    model, x = Diffusion(Learned(levels=4), levels=4), gaussian(1.0, 1).expand(300, 1)
    objective = ELBO(closed_form=False)
    parameters = list(model.parameters())
    for parameter in parameters:
        torch.nn.init.normal_(parameter, std=0.3)
    exact = gradient(ELBO()(model.trace(x[:1].expand(200_000, 1), FromPosterior(1, generator))).mean(), parameters)
    assert_mean(gradients(lambda: estimator(model, objective, Batch(x), generator).loss, parameters, 150), exact)


def test_long_chain_is_scored_without_holding_its_terms(generator):
    model, x = Diffusion(Optimal(1.0), levels=200), gaussian(1.0, 3)
    total, alive, most = torch.zeros(1, 3), [], 0

    def record(term: Term) -> None:
        nonlocal total, most
        total = total + term.log_p - (0 if term.observed else term.log_q)
        alive.append(weakref.ref(term))
        alive[:] = [reference for reference in alive if reference() is not None]
        most = max(most, len(alive))

    model.run(Batch(x), FromPosterior(1, generator), record)
    assert torch.allclose(total, Normal(0.0, 1.0).log_prob(x).mT)
    assert most <= 2
