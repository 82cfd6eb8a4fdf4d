"""A label that is observed in one pass, inferred in another and generated in a third: one walk."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.agreement import assert_mean
from unveil import evaluate
from unveil.distributions import OneHotCategorical
from unveil.likelihoods import OptimalGaussian
from unveil.models import Enumerate, FromPosterior, FromPrior, Given, Model, Visit
from unveil.nets import MLP
from unveil.objectives import ELBO, IWAE, FreeBits
from unveil.variables import Batch, Variable

X, CLASSES = Variable((2,)), 3


class Labelled(Model):
    """p(y) p(x | y), with q(y | x) where there is no label."""

    latents = ("y",)

    def __init__(self) -> None:
        super().__init__()
        self.x = {"x": X, "y": Variable((CLASSES,), levels=2)}
        self.likelihood = OptimalGaussian(X, CLASSES, decoder=lambda *sizes: MLP(*sizes, hidden=()))
        self.q = torch.nn.Linear(2, CLASSES)

    def walk(self, visit: Visit, batch: Batch) -> None:
        y = visit(
            "y",
            p=lambda: OneHotCategorical(torch.tensor([0.0, 1.0, -1.0])),
            q=lambda: OneHotCategorical(self.q(batch["x"])),
            value=batch["y"],
        )
        visit("x", p=lambda: self.likelihood(y), value=batch["x"])


@pytest.fixture
def x() -> Tensor:
    return torch.randn(50, 2)


@pytest.fixture
def model(x, generator) -> Labelled:
    model = Labelled()
    model.initialize(Batch({"x": x}), generator)
    return model


def exact(model: Labelled, x: Tensor) -> Tensor:
    """log p(x)."""
    prior = torch.tensor([0.0, 1.0, -1.0]).log_softmax(0)
    return (prior[:, None] + model.likelihood(torch.eye(CLASSES).unsqueeze(1)).log_prob(x)).logsumexp(0)


def weights(model: Labelled, x: Tensor) -> Tensor:
    """log p(x, y) - log q(y | x) of each label, (3, B)."""
    prior = torch.tensor([0.0, 1.0, -1.0]).log_softmax(0)
    log_joint = prior[:, None] + model.likelihood(torch.eye(CLASSES).unsqueeze(1)).log_prob(x)
    return log_joint - model.q(x).log_softmax(-1).T


def test_an_inferred_label_has_a_rate(model, x, generator):
    trace = model.trace({"x": x}, FromPosterior(20_000, generator))
    assert [term.name for term in trace.latents] == ["y"]
    assert not trace.generated
    assert_mean(trace.log_w.exp(), exact(model, x).exp())
    elbo = (model.q(x).softmax(-1).T * weights(model, x)).sum(0)
    assert torch.allclose(ELBO()(trace), elbo, atol=0.05)
    assert torch.allclose(ELBO()(trace), FreeBits(0.0, per_dimension=False)(trace))
    assert (ELBO()(trace) < exact(model, x)).all()
    assert model.encode({"x": x}).shape == (50, CLASSES)
    assert evaluate(model, {"x": x}, particles=200, progress=False).rate_per_latent["y"] > 0


@pytest.mark.parametrize("objective", [ELBO(), IWAE(CLASSES), FreeBits(0.0)])
def test_every_label_enumerated_gives_the_evidence(model, x, objective):
    trace = model.trace({"x": x}, Enumerate({"y": CLASSES}, one_hot=True))
    assert torch.allclose(objective(trace), exact(model, x))


def test_an_observed_label_is_data(model, x):
    y = torch.eye(CLASSES)[torch.randint(CLASSES, (50,))]
    trace = model.trace({"x": x, "y": y})
    assert not trace.latents
    assert torch.allclose(trace.log_w, trace.log_likelihood)
    assert torch.allclose(FreeBits(1.0)(trace), trace.log_likelihood[0])


def test_the_optimal_sigma_follows_data_alone(model, x, generator):
    before = model.likelihood.variance.clone()
    for source in (FromPrior(1, generator), Given({"y": torch.eye(CLASSES).unsqueeze(1)})):
        model.likelihood.observe(model.trace(Batch(size=3), source))
    assert torch.equal(model.likelihood.variance, before)


def test_a_feature_that_is_never_observed_keeps_its_sigma(model, x):
    part, mask = model.likelihood, torch.tensor([True, False])
    before = part.variance.clone()

    class Masking(Labelled):
        def walk(self, visit, batch):
            y = visit("y", p=lambda: OneHotCategorical(torch.zeros(CLASSES)))
            visit("x", p=lambda: self.likelihood(y), value=batch["x"], mask=mask)

    masking = Masking()
    masking.likelihood = part
    part.begin_calibration(0)
    part.observe(masking.trace({"x": x}))
    part.end_calibration()
    assert part.variance[1] == before[1]
    assert part.variance[0] != before[0]
