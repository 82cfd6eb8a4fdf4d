"""A VAE of one-hot latents, fitted through Gumbel-softmax relaxations and evaluated hard, against enumeration."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from tests.agreement import assert_mean
from tests.systems.fitting import fit
from unveil.distributions import OneHotCategorical
from unveil.gradients import DReG, Pathwise, RelaxedPathwise
from unveil.likelihoods import Bernoulli
from unveil.models import Enumerate, FromPosterior, Mode, Model, Relaxed, Visit
from unveil.nets import MLP
from unveil.objectives import ELBO, IWAE, Hybrid
from unveil.variables import Batch, Variable

X = Variable((6,), levels=2)
LEVELS = {"a": 3, "b": 2}


class Gumbel(Model):
    """Two one-hot latents, b given a, and binary x given both."""

    latents = ("a", "b")

    def __init__(self, x: Variable, a: int = 3, b: int = 2) -> None:
        super().__init__()
        self.x, linear = x, partial(MLP, hidden=())
        self.prior_a = nn.Parameter(torch.zeros(a))
        self.prior_b = linear((a,), (b,))
        self.posterior_a, self.posterior_b = (
            MLP(x.shape, (a,), hidden=(16,)),
            MLP(x.shape, (b,), context=a, hidden=(16,)),
        )
        self.likelihood = Bernoulli(x, a + b, decoder=linear)

    def walk(self, visit: Visit, batch: Batch) -> None:
        x = batch["x"]
        a = visit(
            "a",
            p=lambda: OneHotCategorical(self.prior_a),
            q=lambda: OneHotCategorical(self.posterior_a(x)),
        )
        b = visit(
            "b",
            p=lambda: OneHotCategorical(self.prior_b(a)),
            q=lambda: OneHotCategorical(self.posterior_b(x, a)),
        )
        visit("x", p=lambda: self.likelihood(torch.cat([a, b], -1)), value=x)


@pytest.fixture
def x() -> Tensor:
    """Six noisy patterns."""
    patterns = (torch.rand(6, 6) < 0.5).double()
    which = torch.randint(6, (300,))
    flips = (torch.rand(300, 6) < 0.05).double()
    return (patterns[which] - flips).abs()


@pytest.fixture
def model() -> Gumbel:
    return Gumbel(X)


def log_evidence(model: Gumbel, x: Tensor) -> Tensor:
    """log p(x) by a sum that knows nothing of walks."""
    total = []
    for i in range(3):
        for j in range(2):
            a, b = torch.eye(3)[i], torch.eye(2)[j]
            log_prior = model.prior_a.log_softmax(0)[i] + model.prior_b(a).log_softmax(0)[j]
            total.append(log_prior + model.likelihood(torch.cat([a, b])).log_prob(x))
    return torch.stack(total).logsumexp(0)


def test_enumeration_gives_the_exact_evidence_in_every_particle(model, x):
    trace = model.trace(x, Enumerate(LEVELS, one_hot=True))
    assert trace.particles == 6
    assert torch.allclose(trace.log_w, log_evidence(model, x).expand(6, 300))
    assert torch.allclose(ELBO()(trace), log_evidence(model, x))
    assert torch.allclose(trace.log_weight.exp().sum(0), torch.ones(300))


def test_relaxed_trace_is_marked_and_has_no_weights(model, x, generator):
    trace = model.trace(x, Relaxed(0.5, 2, generator))
    assert trace.bound == trace["a"].bound == trace["b"].bound == "relaxed"
    assert trace["x"].bound == "exact"
    assert trace["a"].value.shape == (2, 300, 3)
    assert torch.allclose(trace["a"].value.sum(-1), torch.ones(2, 300))
    assert trace["a"].value.max(-1).values.min() < 0.9
    for refused in (lambda: trace.log_w, lambda: trace.log_joint, lambda: IWAE(2)(trace)):
        with pytest.raises(ValueError, match="'a' has a relaxed value"):
            refused()
    assert model.trace(x, FromPosterior(2, generator)).bound == "exact"


def test_relaxed_value_passes_a_gradient_and_a_hard_one_refuses_to(model, x, generator):
    step = RelaxedPathwise(0.5)(model, ELBO(), Batch(x), generator)
    (found,) = torch.autograd.grad(step.loss.mean(), model.posterior_a.output.weight)
    assert found.abs().max() > 0
    with pytest.raises(ValueError, match="OneHotCategorical has no reparametrised draw"):
        Pathwise()(model, ELBO(), Batch(x), generator)


def test_relaxation_sharpens_to_hard_draws_as_its_temperature_falls(model, x, generator):
    hard = ELBO(closed_form=False)(model.trace(x.repeat(50, 1), FromPosterior(1, generator))).mean()
    sharp = model.trace(x.repeat(50, 1), Relaxed(1e-3, 1, generator))
    assert sharp["a"].value.max(-1).values.mean() > 0.99
    assert_mean(
        nn.functional.one_hot(sharp["a"].value[0].argmax(-1), 3) - model.posterior_a(x).softmax(-1).repeat(50, 1), 0.0
    )
    assert (ELBO(closed_form=False)(sharp).mean() - hard).abs() < 0.05


@pytest.mark.parametrize("objective", [IWAE(2), Hybrid()], ids=lambda part: type(part).__name__)
def test_objectives_that_a_relaxation_makes_no_sense_for_are_refused(objective):
    with pytest.raises(ValueError, match=type(objective).__name__):
        RelaxedPathwise().check(objective)


def test_fitted_relaxed_and_evaluated_hard_the_bound_is_below_the_exact_evidence(model, x, generator):
    model.initialize(Batch(x), generator)
    independent = -nn.functional.binary_cross_entropy(x.mean(0).expand_as(x), x, reduction="none").sum(-1).mean()
    fit(model, Batch(x), generator, ELBO(), RelaxedPathwise(0.5), steps=400, lr=0.05)
    hard = model.trace(x, FromPosterior(200, generator))
    exact = log_evidence(model, x)
    assert independent + 0.5 < ELBO()(hard).mean() < exact.mean()
    assert exact.mean() - ELBO()(hard).mean() < 0.3
    rates = ELBO(closed_form=False)(model.trace(x.repeat(100, 1), FromPosterior(1, generator)))
    assert_mean(rates.reshape(100, 300).mean(1) - ELBO()(hard).mean(), 0.0)


def test_hard_weights_average_to_the_exact_evidence(model, x, generator):
    trace = model.trace(x[:30], FromPosterior(20_000, generator))
    assert_mean((trace.log_w - log_evidence(model, x[:30])).exp(), 1.0)


def test_samples_have_the_enumerated_frequencies(model, generator):
    every = torch.cartesian_prod(*[torch.arange(2.0)] * 6)
    probabilities = log_evidence(model, every).exp()
    assert torch.allclose(probabilities.sum(), torch.ones(()))
    samples = model.sample(20_000, generator=generator)
    number = (samples * 2 ** torch.arange(5, -1, -1)).sum(-1).long()
    assert_mean(nn.functional.one_hot(number, 64).double(), probabilities)


def test_code_is_the_likeliest_one_hot_vector(model, x):
    code = model.encode(x)
    assert torch.equal(code["a"], nn.functional.one_hot(model.posterior_a(x).argmax(-1), 3).double())
    assert torch.equal(code["b"], model.trace(x, Mode())["b"].value[0])
    assert model.decode(code).mean.shape == (300, 6)


def test_doubly_reparametrised_gradient_of_hard_draws_is_refused(model, x, generator):
    with pytest.raises(ValueError, match="no reparametrised draw"):
        DReG()(model, IWAE(2), Batch(x), generator)
