"""What every model keeps: one walk under every source, explicit draws, calls that agree with its parts."""

from __future__ import annotations

import pytest
import torch

from tests.registry import CONTEXT, LATENT, MODELS, SOURCES, batch, data, make, noise
from unveil.distributions import RowGenerators, masked
from unveil.models import FromPosterior, FromPrior, Given, Mode, Model
from unveil.variables import Batch

EVERY = pytest.mark.parametrize("name", MODELS)
INFERRING = pytest.mark.parametrize("name", [name for name in MODELS if name != "GSNN"])
CONTINUOUS = [name for name in SOURCES if name != "Enumerate"]
"""The sources for latents that are real numbers."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(name: str) -> Model:
    made = make("models", name)
    made.initialize(batch(made, 20), seeded())
    return made


@EVERY
@pytest.mark.parametrize("source", CONTINUOUS)
def test_under_every_source_each_term_has_a_value_for_each_particle_and_example(name, source, generator):
    made = model(name)
    trace = made.trace(batch(made), SOURCES[source](generator))
    assert trace.shape == (3, 6)
    assert [term.name for term in trace] == ["z", "x"]
    assert torch.broadcast_shapes(trace["z"].value.shape, (3, 6, LATENT)) == (3, 6, LATENT)
    for term in trace:
        assert term.log_p.shape == term.log_q.shape == (3, 6) or term.observed
        assert term.log_p.isfinite().all() if term.p is not None else True
    assert torch.equal(trace["x"].value, batch(made)["x"])


@EVERY
def test_without_data_the_walk_generates_it(name, generator):
    made = model(name)
    context = batch(made).context
    trace = made.trace(Batch(context=context, size=6), FromPrior(3, generator))
    assert trace["x"].value.shape == (3, 6, *made.x.shape)
    assert not trace.observed
    assert made.sample(5, context=context, generator=generator).shape == (
        (5, *made.x.shape) if context is None else (5, 6, *made.x.shape)
    )


@EVERY
def test_every_draw_is_a_function_of_the_generator_alone(name):
    made = model(name)
    examples = batch(made)
    calls = {
        "sample": lambda g: made.sample(5, context=examples.context, generator=g),
        "tempered": lambda g: made.sample(5, context=examples.context, temperature=0.7, generator=g),
        "trace": lambda g: made.trace(examples, FromPosterior(3, g)).log_joint,
        "reconstruct": lambda g: made.reconstruct(examples, FromPosterior(1, g)),
    }
    for call, function in calls.items():
        before = torch.get_rng_state()
        first, again, other = (function(seeded(seed)) for seed in (1, 1, 2))
        assert torch.equal(torch.get_rng_state(), before), call
        assert torch.equal(first, again), call
        assert not torch.equal(first, other), call


@EVERY
def test_an_examples_importance_weights_do_not_depend_on_the_examples_beside_it(name):
    made = model(name)
    examples = batch(made)
    together = made.trace(examples, FromPosterior(4, RowGenerators(0, range(6)))).log_w
    for rows in ([2], [5, 0]):
        apart = made.trace(examples.rows(torch.tensor(rows)), FromPosterior(4, RowGenerators(0, rows))).log_w
        torch.testing.assert_close(apart, together[:, rows])


@EVERY
def test_log_joint_is_the_priors_and_the_likelihoods_log_probability(name):
    made = model(name)
    examples, z = batch(made), noise(6, LATENT)
    prior = made.prior(context=examples.context, posterior=made.posterior)
    expected = prior.log_prob(z) + made.likelihood(z, examples.context).log_prob(examples["x"])
    torch.testing.assert_close(made.log_joint(examples, z), expected)
    torch.testing.assert_close(made.log_joint(examples["x"], z, context=examples.context), expected)


@INFERRING
def test_log_w_is_the_joint_over_the_posterior(name, generator):
    made = model(name)
    examples = batch(made)
    trace = made.trace(examples, FromPosterior(3, generator))
    q = made.posterior(examples["x"], examples.context)
    expected = torch.stack([made.log_joint(examples, z) - q.log_prob(z) for z in trace["z"].value])
    torch.testing.assert_close(trace.log_w, expected)


@INFERRING
def test_the_code_of_data_is_the_posteriors_mode_each_time(name):
    made = model(name)
    examples = batch(made)
    code = made.encode(examples)
    assert torch.equal(code, made.encode(examples["x"], context=examples.context))
    torch.testing.assert_close(code, made.posterior(examples["x"], examples.context).mode)


@EVERY
def test_decoding_gives_the_likelihood_and_a_reconstruction_its_mean(name):
    made = model(name)
    examples, z = batch(made), noise(6, LATENT)
    p = made.decode(z, context=examples.context)
    torch.testing.assert_close(p.mean, made.likelihood(z, examples.context).mean)
    found = made.reconstruct(examples, Given({"z": z.unsqueeze(0)}))
    torch.testing.assert_close(found, made.likelihood(z, examples.context).mean)


@INFERRING
def test_a_reconstruction_at_the_mode_is_that_of_the_deterministic_code(name):
    made = model(name)
    examples = batch(made)
    expected = made.decode(made.encode(examples), context=examples.context).mean
    torch.testing.assert_close(made.reconstruct(examples, Mode()), expected)


@EVERY
def test_the_mean_of_samples_means_is_the_mean_of_samples(name, generator):
    made = model(name)
    context = noise(1, CONTEXT) if made.context else None
    size = 200 if name == "VAE of images" else 4000
    found = [
        made.sample(size, context=context, generator=generator, mean=mean).flatten(1).double() for mean in (True, False)
    ]
    error = sum(draws.var(0) / size for draws in found).sqrt()
    assert ((found[0].mean(0) - found[1].mean(0)).abs() < 5 * error).all()


@EVERY
def test_a_masked_entry_is_left_out_of_the_likelihood_alone(name, generator):
    made = model(name)
    examples, z = batch(made), noise(1, 6, LATENT)
    mask = torch.rand(6, *made.x.shape, generator=generator) < 0.5
    holed = Batch(x=examples.x, context=examples.context, mask=mask)
    trace = made.trace(holed, Given({"z": z}))
    p = made.likelihood(z, examples.context)
    torch.testing.assert_close(trace["x"].log_p, masked(p, mask).log_prob(examples["x"]))
    torch.testing.assert_close(trace["z"].log_p, made.trace(examples, Given({"z": z}))["z"].log_p)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_models_dtype_is_that_of_what_it_draws(name, dtype, generator):
    made = make("models", name, dtype)
    examples = batch(made, dtype=dtype)
    trace = made.trace(examples, FromPosterior(2, generator))
    assert trace["z"].value.dtype == trace.log_w.dtype == trace.distortion.dtype == trace.rate().dtype == dtype
    assert made.decode(trace["z"].value[0], context=examples.context).mean.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.long, torch.uint8], ids=str)
@pytest.mark.parametrize("name", [name for name in MODELS if make("models", name).x.levels])
def test_whole_numbers_of_any_dtype_are_the_same_data(name, dtype):
    made = model(name)
    examples = batch(made)
    whole = Batch(x=examples.x.to(dtype), context=examples.context)
    given = Given({"z": noise(3, 6, LATENT)}, scores="pq")
    torch.testing.assert_close(made.trace(whole, given).log_w, made.trace(examples, given).log_w)
    torch.testing.assert_close(made.encode(whole), made.encode(examples))


@INFERRING
def test_what_is_sampled_can_be_encoded(name, generator):
    made = model(name)
    context = noise(1, CONTEXT) if made.context else None
    drawn = made.sample(4, context=context, generator=generator)
    drawn = drawn if context is None else drawn[:, 0]
    code = made.encode(drawn, context=context)
    assert code.shape == (4, LATENT)
    torch.testing.assert_close(code, made.encode(drawn.double(), context=context))


def test_the_data_of_the_registry_is_of_its_variables_kind():
    for name in MODELS:
        x = make("models", name).x
        rows = data(x, 50)
        if x.levels is not None:
            assert set(rows.unique().tolist()) == set(range(x.levels)), name


@EVERY
def test_what_is_handed_over_at_the_prompt_is_checked(name):
    made = model(name)
    examples = batch(made)
    x, context = examples["x"], examples.context
    with pytest.raises(ValueError, match=r"x: expected \(examples"):
        made.trace(x[0], context=None if context is None else context[:1])
    with pytest.raises(TypeError, match="x: expected a tensor, got ndarray"):
        made.trace(x.numpy())
    with pytest.raises(ValueError, match="x: expected"):
        made.trace(x / 7 if made.x.levels else x * torch.nan, context=context)
    with pytest.raises(ValueError, match=r"context: (expected none|the model is conditioned on)"):
        made.trace(x, context=torch.zeros(6, CONTEXT) if context is None else None)
    with pytest.raises(ValueError, match="size: expected at least 1, got 0"):
        made.sample(0, context=context)
