"""Data of any type goes into a model of any precision, and gives the same numbers."""

from __future__ import annotations

import pytest
import torch

import unveil as uv
from unveil.distributions import OneHotCategorical
from unveil.gradients import DReG
from unveil.models import Enumerate, FromPosterior, Given
from unveil.objectives import IWAE

X = uv.Variable((6,), levels=2)
TYPES = [torch.uint8, torch.bool, torch.int32, torch.int64, torch.float32, torch.float64]


@pytest.fixture(autouse=True)
def _single_precision(_double_precision_and_fixed_seed: None) -> None:
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(60, 6) < 0.3


@pytest.mark.parametrize("data", TYPES)
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_every_type_of_data_is_fitted_evaluated_and_coded(x, data, precision):
    found = []
    for values in (x.to(precision), x.to(data)):
        torch.manual_seed(0)
        model = uv.VAE(X, latent_dim=2).to(precision)
        run = uv.fit(model, uv.Batch(values), epochs=2, progress=False, objective=IWAE(3), gradient=DReG())
        evaluation = uv.evaluate(run.model, values, particles=5, progress=False)
        z = run.model.encode(values)
        assert z.dtype == precision
        joint = run.model.log_joint(values, z.float())  # what is handed over is brought to the model's precision
        found.append((evaluation.elbo.value, evaluation.log_likelihood.value, *joint.tolist()))
        assert run.model.reconstruct(values).dtype == precision
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_loaded_data_is_fitted_in_any_precision(x, precision):
    data = uv.data.load(x.numpy(), test="none")
    run = uv.fit(uv.VAE(data.variable, latent_dim=2).to(precision), data, epochs=1, progress=False)
    trace = run.model.trace(run.data.train.batch(slice(0, 5)), FromPosterior(2))
    assert trace.log_w.dtype == precision


class OneHots(uv.Model):
    """p(z) p(x | z) in double precision with one-hot z."""

    def __init__(self) -> None:
        super().__init__()
        self.likelihood = uv.likelihoods.Bernoulli(X, 3)

    def walk(self, visit, batch):
        z = visit("z", p=lambda: OneHotCategorical(torch.zeros(3, dtype=self.dtype)))
        visit("x", p=lambda: self.likelihood(z), value=batch["x"])


def test_enumerated_one_hot_vectors_have_the_models_precision(x):
    model = OneHots().double()
    trace = model.trace(x, Enumerate({"z": 3}, one_hot=True))
    assert trace["z"].value.dtype == trace.log_w.dtype == torch.float64
    again = model.trace(x, Given({"z": trace["z"].value.float()}))
    torch.testing.assert_close(again.log_joint, trace.log_joint)
