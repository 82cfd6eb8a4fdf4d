"""Every random number comes from the generator that was handed over."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import distributions as reference

from tests.registry import Leaves
from unveil.distributions import Bernoulli, MultivariateNormal, Normal, RelaxedOneHot, RowGenerators, draw
from unveil.distributions.discrete import inverse_cdf
from unveil.distributions.noise import gumbel, integers, normal, uniform

FOREIGN = {
    "Gamma": lambda: reference.Gamma(torch.tensor([0.5, 2.0]), torch.ones(2)),
    "Poisson": lambda: reference.Poisson(torch.tensor([0.5, 20.0])),
    "Dirichlet": lambda: reference.Dirichlet(torch.ones(2, 3)),
    "Independent": lambda: reference.Independent(reference.Normal(torch.zeros(2, 3), 1.0), 1),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_distribution_draws_from_the_generator_and_leaves_torchs_own_alone(name):
    p = FOREIGN[name]()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (draw(p, (20,), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    one = seeded(1)
    assert not torch.equal(draw(p, (20,), one), draw(p, (20,), one)), "the generator did not move on"


def test_torchs_own_generator_is_given_back_after_an_error():
    class Failing(reference.Normal):
        def sample(self, sample_shape=()):
            torch.rand(3)
            raise RuntimeError

    before = torch.get_rng_state()
    with pytest.raises(RuntimeError):
        draw(Failing(0.0, 1.0), (2,), seeded())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_draw_on_the_cpu_leaves_the_generators_of_other_devices_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda _: pytest.fail("other devices were reseeded"))
    draw(FOREIGN["Gamma"](), (2,), seeded())


def test_without_a_generator_torchs_own_is_used():
    torch.manual_seed(5)
    first = [draw(p, (3,)) for p in (Normal(torch.zeros(2), torch.ones(2)), FOREIGN["Gamma"]())]
    torch.manual_seed(5)
    again = [draw(p, (3,)) for p in (Normal(torch.zeros(2), torch.ones(2)), FOREIGN["Gamma"]())]
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))


def test_torchs_independent_of_ours_draws_from_the_generator():
    ours = Normal(torch.zeros(4, 2), torch.ones(4, 2), 1)
    wrapped = reference.Independent(ours, 1)
    assert torch.equal(draw(wrapped, (3,), seeded()), draw(ours, (3,), seeded()))


def test_a_pathwise_draw_of_a_foreign_distribution_has_a_gradient():
    rate = torch.tensor(2.0, requires_grad=True)
    assert draw(reference.Gamma(3.0, rate), (5,), seeded(), pathwise=True).requires_grad
    assert not draw(reference.Gamma(3.0, rate), (5,), seeded()).requires_grad


@pytest.mark.parametrize("p", [Bernoulli(torch.zeros(2)), reference.Poisson(torch.ones(2))])
def test_a_pathwise_draw_of_what_has_none_is_refused(p):
    with pytest.raises(ValueError, match=f"{type(p).__name__} has no reparametrised draw"):
        draw(p, pathwise=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_standard_noise_has_its_distribution_and_dtype(dtype, generator):
    like = torch.zeros((), dtype=dtype)
    for function, cdf in [(normal, stats.norm.cdf), (uniform, stats.uniform.cdf), (gumbel, stats.gumbel_r.cdf)]:
        noise = function((20_000,), like, generator)
        assert noise.dtype == dtype
        assert stats.kstest(noise.double().numpy(), cdf).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("u", [0.0, 1.0])
def test_gumbel_noise_is_finite_where_the_uniform_is_at_its_end(dtype, u, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda shape, **options: torch.full(shape, u, dtype=options["dtype"]))
    assert gumbel((3,), torch.zeros((), dtype=dtype)).isfinite().all()


def test_the_inverse_of_a_cdf_skips_levels_of_no_probability_at_both_ends():
    probs = torch.tensor([0.0, 0.25, 0.0, 0.75, 0.0])
    u = torch.tensor([0.0, 0.2499, 0.25, 0.5, 1 - 2**-53])
    assert inverse_cdf(probs, u).tolist() == [1, 1, 3, 3, 3]
    assert inverse_cdf(4 * probs, u).tolist() == [1, 1, 3, 3, 3], "probabilities need not be normalised"


def test_integers_are_uniform(generator):
    counts = torch.bincount(integers(5, (10_000,), torch.device("cpu"), generator), minlength=5)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_rows_are_streams_of_their_own():
    like = torch.zeros(())
    rows = RowGenerators(3, range(500))
    noise = normal((40, 500), like, rows)
    assert stats.kstest(noise.flatten().numpy(), stats.norm.cdf).pvalue > 1e-3
    neighbours = (noise[:, 1:] * noise[:, :-1]).mean(0)
    assert stats.kstest(neighbours.numpy() * 40**0.5, stats.norm.cdf).pvalue > 1e-3, "neighbouring rows are correlated"


def test_rows_are_decided_by_seed_and_row_number():
    like = torch.zeros(())
    noise = uniform((3, 4), like, RowGenerators(3, [8, 9, 8, 7]))
    assert torch.equal(noise[:, 0], noise[:, 2])
    assert not torch.equal(noise[:, 0], noise[:, 1])
    other_seed = uniform((3, 4), like, RowGenerators(4, [8, 9, 8, 7]))
    assert not (noise == other_seed).any()
    swapped = uniform((3, 1), like, RowGenerators(8, [3]))
    assert not (swapped == noise[:, :1]).any(), "seed and row number are interchangeable"


def test_rows_move_on_from_draw_to_draw():
    like = torch.zeros(())
    together, apart = RowGenerators(3, [1, 2]), RowGenerators(3, [2])
    for _ in range(3):
        torch.testing.assert_close(normal((2, 2, 5), like, together)[:, 1:], normal((2, 1, 5), like, apart))


def test_whole_numbers_are_drawn_row_by_row():
    device = torch.device("cpu")
    together = integers(100, (6, 3), device, RowGenerators(3, [0, 1, 2]))
    assert torch.equal(integers(100, (6, 1), device, RowGenerators(3, [1])), together[:, 1:2])


@pytest.mark.parametrize("shape", [(4,), (), (2, 4)])
def test_noise_without_a_row_for_each_stream_is_refused(shape):
    with pytest.raises(ValueError, match=r"shape: expected \(particles, 3, \.\.\.\)"):
        uniform(shape, torch.zeros(()), RowGenerators(0, [0, 1, 2]))


@pytest.mark.parametrize("variables", [0, 1])
def test_the_relaxed_density_is_torchs(variables, generator):
    leaves = Leaves()
    logits = leaves.real(4, 2, 3)
    ours = RelaxedOneHot(logits, 0.7, variables)
    theirs = reference.RelaxedOneHotCategorical(torch.tensor(0.7), logits=logits)
    theirs = reference.Independent(theirs, variables)
    value = ours.sample((5,), generator)
    torch.testing.assert_close(ours.log_prob(value), theirs.log_prob(value))


def test_gaussian_densities_are_torchs(generator):
    leaves = Leaves()
    loc, scale, tril = leaves.real(4, 3), leaves.positive(4, 3), leaves.lower(4, 3)
    value = torch.randn(5, 4, 3, generator=generator)
    theirs = reference.Independent(reference.Normal(loc, scale), 1)
    torch.testing.assert_close(Normal(loc, scale).log_prob(value), theirs.log_prob(value))
    theirs = reference.MultivariateNormal(loc, scale_tril=tril)
    ours = MultivariateNormal(loc, tril)
    torch.testing.assert_close(ours.log_prob(value), theirs.log_prob(value))
    torch.testing.assert_close(ours.covariance_matrix, theirs.covariance_matrix)
