"""How the examples are walked over changes no number, and leaves nothing behind."""

import weakref

import pytest
import torch

from tests.evaluation.toys import Drawn, vae
from tests.systems import test_two_level_top_down as top_down
from tests.systems.diffusion import Diffusion, Optimal
from unveil.distributions import Normal
from unveil.evaluation import evaluate
from unveil.evaluation.examples import chosen
from unveil.evaluation.latents import LatentUse
from unveil.evaluation.streaming import Streaming
from unveil.models import FromPosterior, Term
from unveil.variables import Batch, Variable


def binary(n: int) -> torch.Tensor:
    return (torch.rand(n, 6) < 0.5).double()


@pytest.mark.parametrize("chunk", [1, 7, 30])
def test_numbers_do_not_depend_on_the_chunk_size(chunk):
    model, x = vae(), binary(30)
    expected, found = (evaluate(model, x, particles=300, chunk=size) for size in (None, chunk))
    for name, values in expected.per_example.items():
        assert torch.allclose(found.per_example[name], values, rtol=1e-10, atol=1e-12), name
    assert torch.allclose(found.kl_per_dim["z"], expected.kl_per_dim["z"])


def test_numbers_of_a_hierarchy_do_not_depend_on_it_either(generator):
    model, x = top_down.TopDown(top_down.X), torch.randn(20, 2)
    model.initialize(Batch(x), generator)
    expected, found = (evaluate(model, x, particles=20, chunk=size) for size in (None, 3))
    for name, values in expected.per_example.items():
        assert torch.allclose(found.per_example[name], values, rtol=1e-9, atol=1e-9), name


def test_particles_come_in_blocks_of_a_fixed_size():
    assert Streaming(torch.arange(3), 600, entries=784).blocks() == [250, 250, 100]
    assert Streaming(torch.arange(3), 5, entries=784).blocks() == [5]
    assert max(Streaming(torch.arange(3), 100, entries=2**20).blocks()) == 8


def test_seed_decides_everything():
    model, x = vae(), binary(10)
    first, again, other = (evaluate(model, x, particles=20, seed=seed).to_dict() for seed in (1, 1, 2))
    assert first == again
    assert first["elbo"] != other["elbo"]


def test_limits_are_nested_and_independent_of_the_seed():
    small, large = chosen(100, 10), chosen(100, 30)
    assert set(small.tolist()) < set(large.tolist())
    assert len(large.unique()) == 30
    assert torch.equal(chosen(100, None), torch.arange(100))
    assert torch.equal(chosen(100, 1000), torch.arange(100))


@pytest.mark.parametrize("training", [True, False])
def test_model_and_random_numbers_are_left_as_they_were(training):
    model = vae().train(training)
    model.likelihood.eval()
    x, before = binary(10), torch.get_rng_state()
    evaluate(model, x, particles=10)
    assert torch.equal(torch.get_rng_state(), before)
    assert (model.training, model.likelihood.training) == (training, False)
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_random_split_is_drawn_once_for_an_evaluation():
    model, split = vae(), Drawn(torch.rand(30, 6))
    whole = evaluate(model, split, particles=10)
    some = evaluate(model, split, particles=10, limit=9, chunk=2)
    again = evaluate(model, split, particles=10, seed=1)
    for name, values in some.per_example.items():
        assert torch.allclose(values, whole.per_example[name][some.index], rtol=0, atol=1e-9), name
    assert not torch.equal(again.per_example["rate"], whole.per_example["rate"])  # another draw of x


def test_a_long_chain_is_never_held(generator):
    alive, most = [], 0

    def record(term: Term) -> None:
        nonlocal most
        alive.append(weakref.ref(term.value))
        alive[:] = [reference for reference in alive if reference() is not None]
        most = max(most, len(alive))

    model = Diffusion(Optimal(1.0), levels=100)
    model.run(Batch(torch.randn(4, 1)), FromPosterior(2, generator), record)
    assert most <= 4
    found = evaluate(model, torch.randn(4, 1), particles=2)
    assert len(found.rate_per_latent) == found.units == 100


def test_progress_is_told_to_the_end_of_each_part():
    told: list[tuple[str, int, int]] = []
    evaluate(vae(), binary(30), particles=10, limit=20, progress=lambda *step: told.append(step))
    assert {what for what, done, of in told if done == of == 20} == {
        "importance sampling",
        "naive Monte Carlo",
        "mutual information",
        "marginal KL",
    }


def test_single_precision_model_takes_double_precision_data():
    found = evaluate(vae().float(), binary(10), particles=10)
    assert found.elbo.value < 0


def test_bytes_are_data_too():
    model, x = vae(), binary(10)
    assert evaluate(model, x.to(torch.uint8), particles=10).elbo == evaluate(model, x, particles=10).elbo


def test_a_latents_rate_is_averaged_over_all_particles():
    found = evaluate(top_down.TopDown(Variable((2,))), torch.randn(12, 2), particles=600, naive=False)
    assert sum(found.rate_per_latent.values()) == pytest.approx(found.rate.value, rel=1e-9)


def test_a_unit_is_not_active_by_the_noise_of_the_draws_above_it():
    # E_q[z | draws above] differs by the draws alone: their average of two varies, and means nothing
    loc = torch.randn(2, 100_000, 1)
    term = Term("z", loc, shape=(2, 100_000), p=Normal(torch.zeros(1), torch.ones(1)), q=Normal(loc, torch.ones(1)))
    use = LatentUse(term)
    use.add(term)
    assert not use.active.any()
    meaning = torch.randn(1, 100_000, 1)
    term = Term("z", loc, shape=(2, 100_000), p=term.p, q=Normal(loc + meaning, torch.ones(1)))
    use = LatentUse(term)
    use.add(term)
    assert use.active.all()
