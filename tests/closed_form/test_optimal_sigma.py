"""The optimal sigma of a Gaussian likelihood: the training data's mean squared error, settled and then frozen.

With it the distortion is (d/2) (log(2 pi sigma^2) + 1) on the training data, and no other sigma has less.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from unveil.gradients import Pathwise
from unveil.likelihoods import FixedGaussian, OptimalGaussian
from unveil.models import VAE, FromPosterior, Given, Trace
from unveil.nets import MLP
from unveil.objectives import ELBO
from unveil.parts import parts_of
from unveil.variables import Batch, Variable

SMALL = partial(MLP, hidden=(8,))
SHAPES = {"vector": (4,), "image": (1, 2, 3)}


@pytest.fixture(params=SHAPES)
def x(request) -> Tensor:
    """Correlated data whose features differ in scale."""
    shape = SHAPES[request.param]
    size = torch.Size(shape).numel()
    return (torch.randn(120, 2) @ torch.randn(2, size) + torch.randn(120, size) * torch.linspace(0.2, 1, size)).reshape(
        120, *shape
    )


@pytest.fixture
def model(x, generator) -> VAE:
    model = VAE(Variable(x.shape[1:]), latent_dim=2, likelihood=OptimalGaussian, encoder=SMALL, decoder=SMALL)
    model.initialize(Batch(x), generator)
    return model


def calibrate(model: VAE, traces: list[Trace]) -> None:
    """What the end of a fit does."""
    wanting = [part for part in parts_of(model) if part.begin_calibration(0)]
    for trace in traces:
        for part in wanting:
            part.observe(trace)
    for part in wanting:
        part.end_calibration()


def draws(model: VAE, x: Tensor, particles: int = 3) -> Trace:
    """The same draws at every call."""
    return model.trace(x, FromPosterior(particles, torch.Generator().manual_seed(5)))


def squared_error(model: VAE, trace: Trace) -> Tensor:
    """For each feature of a vector, for all of an image."""
    error = (trace["x"].value - trace["x"].p.mean).square()
    return error.mean((0, 1)) if error.dim() == 3 else error.mean()


def entropy(variance: Tensor, size: int) -> Tensor:
    """(d/2) (log(2 pi sigma^2) + 1), summed over the sigmas."""
    return (0.5 * size / variance.numel() * ((2 * torch.pi * variance).log() + 1)).sum()


def test_calibrated_sigma_is_the_mean_squared_error_of_the_training_data(model, x):
    trace = draws(model, x)
    expected = squared_error(model, trace)
    calibrate(model, [trace])
    assert torch.allclose(model.likelihood.sigma().square(), expected)


def test_calibrated_distortion_is_the_entropy_of_a_gaussian(model, x):
    calibrate(model, [draws(model, x)])
    distortion = draws(model, x).distortion.mean()
    variance = model.likelihood.sigma().square()
    assert torch.allclose(distortion, entropy(variance, x[0].numel()))


def test_no_other_sigma_has_less_distortion_and_the_gradient_there_is_zero(model, x):
    calibrate(model, [draws(model, x)])
    variance = model.likelihood.variance
    best = draws(model, x).distortion.mean()
    for factor in (0.8, 1.25):
        model.likelihood.variance = variance * factor
        assert draws(model, x).distortion.mean() > best + 1e-3
    model.likelihood.variance = variance.clone().requires_grad_()
    (slope,) = torch.autograd.grad(draws(model, x).distortion.mean(), model.likelihood.variance)
    assert slope.abs().max() < 1e-9


def test_calibration_over_batches_is_that_over_all(model, x, generator):
    whole = model.trace(x, FromPosterior(1, generator))
    z = whole["z"].value
    parts = [slice(0, 50), slice(50, 120)]
    traces = [model.trace(x[rows], Given({"z": z[:, rows]})) for rows in parts]
    calibrate(model, traces)
    assert torch.allclose(model.likelihood.variance, squared_error(model, whole))


def test_missing_entries_do_not_count(model, x):
    mask = torch.rand_like(x) < 0.6
    batch = Batch(torch.where(mask, x, 1e3), mask=mask)
    trace = draws(model, batch, particles=1)
    error = (x - trace["x"].p.mean[0]).square() * mask
    axes = (0,) if x.dim() == 2 else tuple(range(x.dim()))
    calibrate(model, [trace])
    assert torch.allclose(model.likelihood.variance, error.sum(axes) / mask.sum(axes))


def test_sigma_is_frozen_once_settled_whatever_is_evaluated(model, x):
    calibrate(model, [draws(model, x)])
    before = model.likelihood.sigma().clone()
    model.eval()
    draws(model, 10 * x)
    ELBO()(draws(model, 10 * x))
    assert torch.equal(model.likelihood.sigma(), before)
    # so that it is a density: far data is far from likely
    assert draws(model, 10 * x).distortion.mean() > entropy(before.square(), x[0].numel()) + 10


def test_running_sigma_follows_the_error_of_batches(model, x):
    error = squared_error(model, draws(model, x))
    start = model.likelihood.variance.clone()
    model.likelihood.observe(draws(model, x))
    assert torch.allclose(model.likelihood.variance, 0.95 * start + 0.05 * error)
    for _ in range(300):
        model.likelihood.observe(draws(model, x))
    assert torch.allclose(model.likelihood.variance, error, rtol=1e-4)


def test_decoder_gets_the_gradient_of_that_sigma_fixed(model, x):
    calibrate(model, [draws(model, x)])
    if model.likelihood.variance.numel() > 1:
        model.likelihood.variance = model.likelihood.variance.mean().expand(4).clone()
    scale = model.likelihood.sigma().flatten()[0].item()
    fixed = VAE(model.x, latent_dim=2, likelihood=partial(FixedGaussian, scale=scale), encoder=SMALL, decoder=SMALL)
    fixed.load_state_dict(model.state_dict(), strict=False)
    found = []
    for either in (model, fixed):
        step = Pathwise()(either, ELBO(), Batch(x), torch.Generator().manual_seed(1))
        found.append(torch.autograd.grad(step.loss.mean(), either.likelihood.net.output.weight)[0])
    assert torch.allclose(*found)
