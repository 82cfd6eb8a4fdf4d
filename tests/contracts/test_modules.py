"""What every module keeps: dtype, device, gradients, copies, weights files, initialization, configuration."""

from __future__ import annotations

import copy
import json

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

from tests.registry import (
    CONTEXT,
    LATENT,
    LIKELIHOODS,
    MODULES,
    PRIORS,
    REAL,
    TINY,
    batch,
    data,
    make,
    modules,
    noise,
    pseudo_posterior,
    run,
)
from unveil.config import build, describe
from unveil.models import Model
from unveil.parts import Part, Progress
from unveil.variables import Variable

EVERY = pytest.mark.parametrize(("concept", "name"), modules())
PARTS = pytest.mark.parametrize(
    ("concept", "name"), [case for case in modules() if case[0] not in ("layers", "standardizers")]
)
TRAINED = pytest.mark.parametrize(
    ("concept", "name"), [case for case in modules() if any(p.requires_grad for p in make(*case).parameters())]
)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def equal(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def initialize(module: Part | Model, seed: int, dtype: torch.dtype = torch.float64) -> None:
    generator = torch.Generator().manual_seed(seed)
    if isinstance(module, Model):
        module.initialize(batch(module, 20, dtype), generator)
    else:
        module.initialize(data(module.variable or REAL, 20, dtype), generator)


@EVERY
@DTYPES
def test_the_dtype_of_the_inputs_is_that_of_the_result(concept, name, dtype):
    assert run(concept, make(concept, name, dtype), dtype).dtype == dtype


OTHER_NOISE = [("posteriors", "MixtureOfGaussians")]
"""Torch draws other uniform numbers in single precision, so that another component is chosen."""


@pytest.mark.parametrize(
    ("concept", "name"), [case for case in modules() if case[0] != "gradients" and case not in OTHER_NOISE]
)
def test_single_precision_agrees_with_double(concept, name):
    single = run(concept, make(concept, name, torch.float32), torch.float32)
    torch.testing.assert_close(single.double(), run(concept, make(concept, name)), rtol=2e-3, atol=2e-3)


@TRAINED
@DTYPES
def test_gradients_reach_every_parameter_and_are_finite(concept, name, dtype):
    module = make(concept, name, dtype)
    run(concept, module, dtype).square().sum().backward()
    for parameter_name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        assert parameter.grad is not None, f"{parameter_name} has no gradient"
        assert parameter.grad.isfinite().all(), f"{parameter_name} has a gradient that is not finite"
        assert parameter.grad.any(), f"{parameter_name} has a gradient of zero"


@pytest.mark.parametrize(("concept", "name"), modules("nets", "priors", "posteriors", "likelihoods"))
@DTYPES
@pytest.mark.parametrize("extreme", [0.0, 1e2, 1e4])
def test_nothing_is_infinite_or_nan_at_extreme_inputs(concept, name, dtype, extreme):
    module = make(concept, name, dtype)
    found = run(concept, module, dtype, extreme)
    assert found.isfinite().all()
    if found.requires_grad:
        found.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


@EVERY
@pytest.mark.parametrize("device", DEVICES)
def test_a_move_to_a_device_moves_every_tensor(concept, name, device):
    module = make(concept, name).to(device)
    assert {tensor.device.type for tensor in (*module.parameters(), *module.buffers())} <= {device}


@EVERY
def test_a_copy_computes_the_same_and_shares_nothing(concept, name):
    module = make(concept, name)
    expected = run(concept, module).detach()
    twin = copy.deepcopy(module)
    assert equal(module, twin)
    torch.testing.assert_close(run(concept, twin).detach(), expected)
    with torch.no_grad():
        for tensor in (*twin.parameters(), *twin.buffers()):
            tensor.fill_(3)
    torch.testing.assert_close(run(concept, module).detach(), expected)
    if isinstance(module, Part | Model):
        assert describe(twin) == describe(module)


@EVERY
def test_weights_saved_and_loaded_compute_the_same(concept, name, tmp_path):
    module, other = make(concept, name), make(concept, name, seed=1)
    expected = run(concept, module)
    if any(parameter.requires_grad for parameter in module.parameters()):
        assert not torch.allclose(run(concept, other), expected), "another seed computes the same: nothing is tested"
    save_file(module.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert equal(module, other)
    assert torch.equal(run(concept, other), expected)


@PARTS
@DTYPES
def test_initializing_again_with_the_same_data_and_seed_changes_nothing(concept, name, dtype):
    module = make(concept, name, dtype)
    before = torch.get_rng_state()
    initialize(module, seed=3, dtype=dtype)
    once = copy.deepcopy(module)
    initialize(module, seed=3, dtype=dtype)
    assert equal(module, once)
    assert torch.equal(torch.get_rng_state(), before), "torch's default generator was used"
    assert all(tensor.isfinite().all() for tensor in module.state_dict().values())
    assert {tensor.dtype for tensor in module.state_dict().values() if tensor.is_floating_point()} <= {dtype}
    run(concept, module, dtype)


@pytest.mark.parametrize("name", [name for name in PRIORS if "VampPrior" in name])
def test_data_and_seed_decide_the_pseudo_inputs(name):
    one, other = make("priors", name, seed=0), make("priors", name, seed=1)
    for module in (one, other):
        initialize(module, seed=3)
    assert torch.equal(one.pseudo_inputs, other.pseudo_inputs)
    initialize(other, seed=4)
    assert not torch.equal(one.pseudo_inputs, other.pseudo_inputs)


@PARTS
@pytest.mark.parametrize("through", ["yaml", "json"])
def test_a_description_builds_an_equal_module(concept, name, through):
    module = MODULES[concept][name]()
    description = describe(module)
    text = yaml.safe_dump(description) if through == "yaml" else json.dumps(description)
    read = yaml.safe_load(text) if through == "yaml" else json.loads(text)
    assert read == description
    again = build(read)
    assert type(again) is type(module)
    assert describe(again) == description
    shapes = [{key: tensor.shape for key, tensor in m.state_dict().items()} for m in (module, again)]
    assert shapes[0] == shapes[1]
    again.load_state_dict(make(concept, name).state_dict())
    torch.testing.assert_close(run(concept, again), run(concept, make(concept, name)))


@PARTS
def test_a_description_does_not_change_with_use(concept, name):
    module = make(concept, name)
    description = copy.deepcopy(describe(module))
    initialize(module, seed=3)
    run(concept, module)
    assert describe(module) == description


@pytest.mark.parametrize(("concept", "name"), modules("priors"))
def test_a_prior_is_a_density_over_its_latents_for_each_context(concept, name, generator):
    prior = make(concept, name)
    context = noise(5, CONTEXT) if prior.context else None
    p = prior(context=context, posterior=pseudo_posterior)
    assert p.event_shape == (LATENT,)
    assert p.batch_shape == ((5,) if prior.context else ())
    assert p.log_prob(noise(4, 5, LATENT)).shape == (4, 5)
    if prior.context:
        torch.testing.assert_close(prior(parents=context).mean, p.mean)
        particles = prior(noise(4, 5, 1), context[:, :1])
        assert particles.batch_shape == (4, 5)


@pytest.mark.parametrize(("concept", "name"), modules("posteriors"))
def test_a_posterior_has_a_row_for_each_observation(concept, name):
    posterior = make(concept, name)
    for lead in [(), (5,), (4, 5)]:
        q = posterior(noise(*lead, *REAL.shape), noise(*lead, CONTEXT, seed=2))
        assert q.batch_shape == lead
        assert q.event_shape == (LATENT,)


@pytest.mark.parametrize(("concept", "name"), modules("posteriors", "likelihoods"))
def test_every_number_that_the_net_makes_shapes_the_distribution(concept, name):
    module = make(concept, name)
    parameters = (noise(5, *module.net.out_shape) / 2).requires_grad_()
    p = module.distribution(parameters)
    assert p.batch_shape == (5,)
    value = noise(5, LATENT, seed=3) if concept == "posteriors" else data(module.x, 5)
    (gradient,) = torch.autograd.grad(p.log_prob(value).sum(), parameters)
    assert gradient.ne(0).all()


@pytest.mark.parametrize(
    ("concept", "name"), [*modules("posteriors", "likelihoods"), ("priors", "ConditionalGaussian")]
)
def test_the_distribution_depends_on_the_context(concept, name):
    module, c = make(concept, name), noise(5, CONTEXT, seed=2).requires_grad_()
    if concept == "priors":
        p = module(context=c)
    else:
        p = module(noise(5, *REAL.shape) if concept == "posteriors" else noise(5, LATENT), c)
    value = noise(5, LATENT, seed=3) if concept != "likelihoods" else data(module.x, 5)
    (gradient,) = torch.autograd.grad(p.log_prob(value).sum(), c)
    assert gradient.any()


@pytest.mark.parametrize(("concept", "name"), modules("likelihoods"))
def test_a_likelihood_has_a_row_for_each_latent_value_and_scores_broadcast_data(concept, name, generator):
    likelihood = make(concept, name)
    for lead in [(), (5,), (4, 5)]:
        p = likelihood(noise(*lead, LATENT), noise(*lead, CONTEXT, seed=2))
        assert p.batch_shape == lead
        assert p.event_shape == likelihood.x.shape
    x, c = data(likelihood.x, 5), noise(5, CONTEXT, seed=2)
    p = likelihood(noise(4, 5, LATENT), c)
    log_prob = p.log_prob(x)
    assert log_prob.shape == (4, 5)
    torch.testing.assert_close(log_prob[2], likelihood(noise(4, 5, LATENT)[2], c).log_prob(x))
    assert p.sample((), generator).shape == (4, 5, *likelihood.x.shape)


@pytest.mark.parametrize("name", [name for name, (_, x) in LIKELIHOODS.items() if x.levels])
@pytest.mark.parametrize("dtype", [torch.long, torch.uint8], ids=str)
def test_a_likelihood_of_levels_scores_whole_numbers_of_any_dtype(name, dtype):
    part, x = LIKELIHOODS[name]
    p = part(Variable(x.shape, levels=x.levels if x.levels == 2 else 256), LATENT, decoder=TINY)(noise(5, LATENT))
    value = torch.full((5, *x.shape), 1.0 if x.levels == 2 else 255.0)
    found = p.log_prob(value.to(dtype))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, p.log_prob(value))


@pytest.mark.parametrize(("concept", "name"), modules("likelihoods"))
def test_an_initialized_likelihood_starts_near_the_datas_mean(concept, name):
    likelihood = MODULES[concept][name]()
    x = data(likelihood.x, 4000)
    likelihood.initialize(x, torch.Generator().manual_seed(0))
    with torch.no_grad():
        net = likelihood.net
        for parameter in net.output.weight, *net.hidden.parameters():
            parameter.zero_()
        p = likelihood(noise(1, LATENT), noise(1, CONTEXT))
    torch.testing.assert_close(p.mean[0].to(x), x.mean(0), rtol=0.03, atol=0.05)


@pytest.mark.parametrize(("concept", "name"), modules("schedules"))
def test_a_schedules_value_is_in_its_weights(concept, name):
    one, other = MODULES[concept][name](), MODULES[concept][name]()
    progress = Progress(step=7, epoch=3.0, epochs=10.0)
    one.after_step(progress)
    assert float(one()) == pytest.approx(one.at(progress))
    other.load_state_dict(one.state_dict())
    assert torch.equal(other(), one())
