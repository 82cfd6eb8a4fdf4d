"""Flows as models of data: exact for real numbers, true bounds for whole numbers, initialized once."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import Tensor

import unveil as uv
from tests.registry import DOUBLE, FLOW_MODELS, TINY, batch, make, noise
from unveil import flows
from unveil.evaluation import evaluate
from unveil.models import FlowModel, FromPosterior, Model
from unveil.models.saving import load, save
from unveil.variables import Batch, Variable

EVERY = pytest.mark.parametrize("name", FLOW_MODELS)
MAF = partial(flows.MAF, transforms=2, hidden=(8,))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fitted(x: Tensor, levels: int | None = None, seed: int = 0) -> FlowModel:
    """A model with random parameters that has looked at the data."""
    torch.manual_seed(seed)
    model = FlowModel(Variable(x.shape[1:], levels), flow=MAF).double()
    with torch.no_grad():
        for parameter in model.flow.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.initialize(Batch(x), seeded())
    return model


@EVERY
def test_samples_encodings_and_bounds_have_their_shapes(name):
    model: Model = make("flow models", name)
    examples = batch(model)
    model.initialize(examples, seeded())
    drawn = model.sample(5, context=examples.context, generator=seeded())
    assert drawn.shape == ((5, 6, *model.x.shape) if model.context else (5, *model.x.shape))
    assert model.encode(examples).flatten(1).shape == (6, model.x.features)
    assert model.trace(examples, FromPosterior(3, seeded())).log_w.shape == (3, 6)


def test_the_density_of_real_numbers_is_exact_in_the_datas_own_units():
    x = noise(200, 3) * torch.tensor([0.01, 1.0, 300.0]) + torch.tensor([5.0, 0.0, -1e4])
    model = fitted(x)
    standard = (x - x.mean(0)) / x.std(0, correction=0)
    expected = model.flow().log_prob(standard) - x.std(0, correction=0).log().sum()
    torch.testing.assert_close(model.log_prob(x), expected)
    found = evaluate(model, x, particles=3, progress=False)
    assert found.elbo.bound == found.log_likelihood.bound == "exact"
    assert found.elbo.monte_carlo_error == 0
    assert found.elbo.value == pytest.approx(expected.mean().item())
    assert found.bits_per_dim.bound == "exact"


def test_an_encoding_is_the_noise_that_the_data_comes_from():
    model = fitted(noise(50, 3))
    z = noise(7, 3, seed=5)
    with torch.no_grad():
        x = model.input.inverse(model.flow.bijection.inverse(z)[0])[0]
    torch.testing.assert_close(model.encode(x), z)


@pytest.mark.parametrize("levels", [None, 4])
def test_decoding_undoes_encoding(levels):
    x = noise(50, 3) if levels is None else torch.randint(levels, (50, 3), generator=seeded()).double()
    model = fitted(x, levels)
    torch.testing.assert_close(model.decode(model.encode(x)).mean, x)
    with pytest.raises(ValueError, match=r"z: expected a tensor, \(examples, 3\), got \(5, 2\)"):
        model.decode(noise(5, 2))


def test_what_needs_a_latent_says_that_a_flow_of_real_numbers_has_none():
    model, x = fitted(noise(50, 3)), noise(5, 3)
    with pytest.raises(ValueError, match="x: a FlowModel has no latent variable that x could be reconstructed from"):
        model.reconstruct(x)
    with pytest.raises(ValueError, match="z: a FlowModel has no latent variable; leave it out"):
        model.log_joint(x, noise(5, 3))
    torch.testing.assert_close(model.log_joint(x, {}), model.log_prob(x))


def cells(model: FlowModel, levels: int, points: int = 400) -> Tensor:
    """P(x) of every x of two entries, by integrating p(y) over its cell."""
    axis = (torch.arange(levels * points, dtype=DOUBLE) + 0.5) / points
    with torch.no_grad():
        log_p = model.density().log_prob(torch.cartesian_prod(axis, axis))
    mass = log_p.exp().reshape(levels, points, levels, points).sum((1, 3)) / points**2
    return mass.flatten()


def test_whole_numbers_have_probabilities_that_sum_to_one_and_bounds_below_them():
    levels = 3
    every = torch.cartesian_prod(torch.arange(levels), torch.arange(levels)).double()
    model = fitted(every, levels)
    model.input = flows.Chain([flows.Logit((2,), levels, margin=0.05), flows.ActNorm((2,), learned=False)])
    exact = cells(model, levels)
    beyond = 1 - exact.sum()  # the logit reaches a little past the first and the last level
    assert 0 < beyond < 0.2
    found = evaluate(model, every, particles=20_000, naive=False, progress=False)
    per_example = found.per_example
    torch.testing.assert_close(per_example["log_likelihood"], exact.log(), rtol=0, atol=0.03)
    assert (per_example["elbo"] < exact.log()).all()
    assert found.elbo.bound == found.log_likelihood.bound == "lower"
    assert found.bits_per_dim.bound == "upper"


def test_learned_noise_gives_a_bound_too_and_fits_it():
    levels = 3
    every = torch.cartesian_prod(torch.arange(levels), torch.arange(levels)).double()
    torch.manual_seed(0)
    noise_of = partial(flows.Variational, flow=partial(flows.RealNVP, transforms=2, net=TINY), net=TINY, features=4)
    model = FlowModel(Variable((2,), levels), flow=MAF, dequantization=noise_of, margin=0.05).double()
    with torch.no_grad():
        for part, spread in ((model.flow, 0.05), (model.dequantization, 0.2)):
            for parameter in part.parameters():
                parameter += spread * torch.randn_like(parameter)
    model.initialize(Batch(every), seeded())
    exact = cells(model, levels).log()
    before = evaluate(model, every, particles=20_000, naive=False, progress=False)
    torch.testing.assert_close(before.per_example["log_likelihood"], exact, rtol=0, atol=0.05)
    assert (before.per_example["elbo"] < exact).all()
    optimizer = torch.optim.Adam(model.dequantization.parameters(), lr=0.02)
    learner = uv.Learner(model, uv.objectives.ELBO(16))
    for step in range(150):
        loss = learner(Batch(every), seeded(step)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = evaluate(model, every, particles=20_000, naive=False, progress=False)
    assert after.elbo.value > before.elbo.value + 0.05
    assert (after.per_example["elbo"] < exact).all()


def test_learned_noise_is_scored_as_it_was_drawn_even_beside_large_numbers(monkeypatch):
    """E_q[1 / q(u)] = 1; one pass through each net, though an IAF could score another's draw by a search only."""
    levels = 65_536
    torch.manual_seed(0)
    noise_of = partial(flows.Variational, flow=partial(flows.IAF, transforms=2, hidden=(8,)), net=TINY, features=4)
    model = FlowModel(Variable((2,), levels), flow=MAF, dequantization=noise_of).float()
    with torch.no_grad():
        for parameter in model.dequantization.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    x = torch.full((1, 2), levels - 1.0)
    passes = []
    for module in model.dequantization.modules():
        if isinstance(module, uv.nets.MaskedMLP):
            module.register_forward_hook(lambda *_: passes.append(1))
    with torch.no_grad():
        term = model.trace(x, FromPosterior(20_000, seeded()))["y"]
    assert len(passes) == 2
    assert (-term.log_q).exp().mean().item() == pytest.approx(1, abs=0.05)


def test_samples_far_beyond_the_range_still_have_a_density():
    logit = flows.Logit((1,), 256.0)
    z = torch.tensor([[-80.0], [-14.5], [14.5], [80.0]])
    y, _ = logit.inverse(z)
    back, log_det = logit(y)
    assert back.isfinite().all()
    assert log_det.isfinite().all()


@pytest.mark.parametrize("solver", ["parallel", "sequential"])
def test_samples_that_stray_stay_finite(solver):
    """Entries and parameters that drive each other up: x_i is some hundred times the sum of those before it."""
    flow = flows.MAF((60,), transforms=3, hidden=(32,))
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(parameter.abs() + 3.0)
        for bijection in flow.bijection.bijections:
            bijection.solver = solver
            output = bijection.net.output
            output.weight[:60] *= -1  # the shift; log-slopes are at their least
            output.weight[60:] *= -1
    x, log_p = flow().rsample_and_log_prob((20,), seeded())
    assert x.isfinite().all()
    assert log_p.isfinite().all()
    assert x.abs().max() > 1e6, "nothing strays: nothing is tested"


def test_samples_of_whole_numbers_have_their_probabilities():
    levels = 3
    every = torch.cartesian_prod(torch.arange(levels), torch.arange(levels)).double()
    model = fitted(every, levels)
    exact = cells(model, levels)
    drawn = model.sample(20_000, generator=seeded())
    counts = torch.bincount((drawn[:, 0] * levels + drawn[:, 1]).long(), minlength=levels**2).double() / len(drawn)
    torch.testing.assert_close(counts, exact, rtol=0, atol=0.015)


def test_dequantized_numbers_round_down_to_themselves_in_single_precision():
    from unveil.distributions import Dequantized, Floor

    x = torch.tensor([0.0, 1.0, 254.0, 255.0]).repeat(2_000_000 // 4, 1)
    q = Dequantized(x)
    y = q.sample((), seeded())
    assert torch.equal(y.floor(), x)
    assert (q.log_prob(y) == 0).all()
    assert (Floor(y, 256).log_prob(x) == 0).all()


def test_dequantization_noise_is_no_code_and_the_prior_no_proposal():
    x = torch.randint(4, (30, 3), generator=seeded()).double()
    found = evaluate(fitted(x, 4), x, progress=False)
    assert found.particles == 5, "more draws of noise as large as the data hardly help"
    assert found.units == 0
    assert found.mutual_information is None
    assert found.log_likelihood_prior is None
    assert "never rounds to the very x" in found.reasons["log_likelihood_prior"]


def test_activation_norm_is_initialized_once_and_saved(tmp_path):
    x = 3 + 2 * noise(500, 1, 4, 4)
    torch.manual_seed(0)
    model = uv.Glow(Variable((1, 4, 4)), steps=2, net=partial(uv.nets.ConvNet, hidden=(4,)))
    norms = [module for module in model.modules() if isinstance(module, flows.ActNorm)]
    untouched = copy.deepcopy(model.state_dict())
    model.eval()
    model.trace(x.float())
    model.train()
    model.trace(x.float())
    assert all(torch.equal(value, untouched[key]) for key, value in model.state_dict().items()), "a pass changed it"
    model.initialize(Batch(x.float()), seeded())
    assert all(norm.log_scale.abs().max() > 0 for norm in norms[:1])
    with torch.no_grad():
        y, _ = flows.Chain(list(model.flow.bijection.bijections[:2]))(model.input(x.float())[0])
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(y.std((0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)
    started = copy.deepcopy(model.state_dict())
    model.trace(1 + x.float())
    assert all(torch.equal(value, started[key]) for key, value in model.state_dict().items()), "initialized twice"
    save(model, tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    torch.testing.assert_close(loaded.log_prob(x.float()), model.log_prob(x.float()))


def test_batch_norm_has_the_whole_training_sets_moments_at_every_depth():
    x = (
        noise(2730, 3) @ noise(3, 3, seed=9) + torch.linspace(0, 5, 2730)[:, None]
    )  # its batches have means of their own
    torch.manual_seed(0)
    data = uv.data.load(x.numpy(), test="none")
    model = uv.MAF(data.variable, transforms=3, hidden=(8,), batch_norm=True)
    run = uv.fit(model, data, epochs=3, progress=False)
    maps = list(run.model.flow.bijection.bijections)
    rows = data.train.rows(slice(None)).x
    with torch.no_grad():
        y, _ = run.model.input(rows)
        for bijection in maps:
            y, _ = bijection(y)
            if isinstance(bijection, flows.BatchNorm):
                torch.testing.assert_close(y.mean(0), bijection.beta, rtol=0, atol=1e-4)
                torch.testing.assert_close(y.std(0, correction=0), bijection.log_gamma.exp(), rtol=1e-3, atol=0)
    assert sum(isinstance(bijection, flows.BatchNorm) for bijection in maps) == 3


def test_batch_norm_follows_the_batches_in_training_only():
    norm = flows.BatchNorm((2,)).double()
    x = 3 + noise(100, 2)
    y, log_det = norm(x)
    torch.testing.assert_close(y.mean(0), torch.zeros(2))
    torch.testing.assert_close(log_det[0], -0.5 * (x.var(0, correction=0) + norm.eps).log().sum())
    moved = norm.mean.clone()
    torch.testing.assert_close(moved, 0.1 * x.mean(0))
    norm.eval()
    assert not torch.allclose(norm(x)[0].mean(0), torch.zeros(2))
    assert torch.equal(norm.mean, moved)


@pytest.mark.parametrize("levels", [None, 4])
def test_a_temperature_multiplies_the_noise(levels):
    x = noise(300, 3) if levels is None else torch.randint(levels, (300, 3), generator=seeded()).double()
    model = fitted(x, levels)
    at_one, cold = (model.sample(500, temperature=t, generator=seeded()) for t in (1.0, 0.25))
    assert torch.equal(at_one, model.sample(500, generator=seeded()))
    z = model.flow().base.sample((500,), seeded())
    torch.testing.assert_close(cold, model.decode(0.25 * z).mean)


def test_a_batch_of_one_row_has_no_moments_and_training_no_inverse():
    norm = flows.BatchNorm((2,)).double()
    norm(3 + noise(100, 2))
    y, log_det = norm(noise(1, 2))
    norm.eval()
    torch.testing.assert_close((y, log_det), norm(noise(1, 2)))
    norm.train()
    with pytest.raises(ValueError, match="BatchNorm: has no inverse in training"):
        norm.inverse(noise(5, 2))


def test_data_is_standardized_whatever_order_its_rows_are_stored_in():
    data = uv.data.load(
        torch.linspace(0, 100, 10_000)[:, None] + torch.randn(10_000, 2, generator=seeded()), test="none"
    )
    model = uv.NICE(data.variable, net=TINY)
    uv.fit(model, data, epochs=1, progress=False)
    z, _ = model.input(data.train.rows(slice(None)).x)
    torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=0.1, rtol=0)
    torch.testing.assert_close(z.std(0), torch.ones(2), atol=0.1, rtol=0)


def test_wrong_arguments_are_refused_by_name():
    with pytest.raises(TypeError, match="context: expected a Variable, which says what the data is"):
        uv.NSF(Variable((3,)), context=3)
    with pytest.raises(ValueError, match=r"context: expected \(examples, 3\), got shape \(5,\); classes are one-hot"):
        uv.NSF(Variable((3,)), Variable((3,), 2), net=TINY).log_prob(torch.zeros(5, 3), torch.zeros(5))
    with pytest.raises(ValueError, match="mean: a FlowModel has no latent variable given which x has a mean"):
        fitted(noise(50, 3)).sample(3, mean=True)


def test_missing_entries_are_refused():
    x = noise(5, 3)
    with pytest.raises(ValueError, match="mask: a flow can't marginalise missing entries"):
        fitted(x).trace(Batch(x, mask=torch.ones(3, dtype=torch.bool)))


def test_the_probability_of_whole_numbers_is_not_called_exact():
    x = torch.randint(4, (30, 3), generator=seeded()).double()
    with pytest.raises(ValueError, match=r"log_prob: log P\(x\) of whole numbers is an integral"):
        fitted(x, 4).log_prob(x)


def test_a_fitted_flow_beats_the_gaussian_of_the_data(generator):
    angle = 6.28 * torch.rand(2000, generator=generator)
    x = torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(2000, 2, generator=generator)
    torch.manual_seed(0)
    data = uv.data.load(x)
    model = uv.NSF(data.variable, transforms=3, net=partial(uv.nets.MLP, hidden=(32,)))
    uv.fit(model, data, epochs=15, lr=5e-3, progress=False)
    gaussian = torch.distributions.Normal(x.mean(0), x.std(0))
    assert uv.evaluate(model, data.test, particles=1, progress=False).elbo.value > (
        gaussian.log_prob(data.test.rows(slice(None)).x).sum(1).mean() + 0.8
    )


def test_nets_of_couplings_are_the_users_choice():
    model = uv.RealNVP(Variable((4,)), net=TINY, transforms=2)
    assert sum(isinstance(module, uv.nets.MLP) for module in model.modules()) == 2
