"""What every distribution keeps: shapes, batching, broadcasting, gradients, dtypes, explicit generators."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.registry import DENSITIES, Leaves, Row
from unveil.distributions import Coded, Distribution, Factorized, RowGenerators, draw

EVERY = pytest.mark.parametrize("name", DENSITIES)
BATCHES = pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def drawn(distribution: Distribution, shape=(), generator=None) -> tuple[Tensor, Tensor]:
    """A draw (with a gradient where there is one), and what ``log_prob`` takes of it: for codes, the codes."""
    if isinstance(distribution, Coded):
        return distribution.draw_code(shape, generator)
    value = draw(distribution, shape, generator, pathwise=distribution.has_rsample)
    return value, value


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(name: str, batch=(), dtype=torch.float64, spread: float = 0.5) -> tuple[Distribution, Leaves, tuple]:
    """The distribution, its leaves, and its batch shape: () where it is shared by the whole batch."""
    leaves = Leaves(dtype, spread)
    return DENSITIES[name].make(leaves, *batch), leaves, () if DENSITIES[name].shared else batch


def statistics(name: str, distribution: Distribution) -> dict[str, Tensor]:
    """The moments, mode and entropy that are defined."""
    return {
        known: distribution.entropy() if known == "entropy" else getattr(distribution, known)
        for known in DENSITIES[name].knows
    }


@EVERY
@BATCHES
def test_shapes_are_sample_then_batch_then_event(name, batch, generator):
    distribution, _, batch = made(name, batch)
    alone, _, _ = made(name)
    assert tuple(distribution.batch_shape) == batch
    assert distribution.event_shape == alone.event_shape
    for shape in [(), (5,), (4, 5)]:
        value = distribution.sample(shape, generator)
        assert value.shape == (*shape, *batch, *distribution.event_shape)
        _, scored = drawn(distribution, shape, generator)
        log_prob = distribution.log_prob(scored)
        assert log_prob.shape == (*shape, *batch)
        assert log_prob.isfinite().all()
        if isinstance(distribution, Factorized):
            per_dim = distribution.log_prob_per_dim(scored)
            assert per_dim.shape == (*shape, *batch, *distribution.event_shape)


@EVERY
def test_moments_have_the_shape_of_a_draw_and_entropies_that_of_the_batch(name):
    distribution, _, batch = made(name, (2, 3))
    for statistic, found in statistics(name, distribution).items():
        assert found.shape == (batch if statistic == "entropy" else (*batch, *distribution.event_shape)), statistic


@EVERY
@BATCHES
def test_a_row_of_a_batch_is_the_distribution_with_that_rows_parameters(name, batch, generator):
    distribution, leaves, found = made(name, batch)
    _, value = drawn(distribution, (4,), generator)
    log_prob = distribution.log_prob(value)
    for index in torch.cartesian_prod(*map(torch.arange, found)).reshape(-1, len(found)).tolist() if found else [[]]:
        row = DENSITIES[name].make(Row(leaves, tuple(index)))
        at = (slice(None), *index)
        torch.testing.assert_close(row.log_prob(value[at]), log_prob[at])


@EVERY
def test_values_and_parameters_broadcast(name, generator):
    alone, leaves, _ = made(name)
    _, values = drawn(alone, (2, 3), generator)
    one_by_one = torch.stack([alone.log_prob(value) for value in values.flatten(0, 1)]).reshape(2, 3)
    torch.testing.assert_close(alone.log_prob(values), one_by_one)
    several, leaves, batch = made(name, (3,))
    rows = [several if DENSITIES[name].shared else DENSITIES[name].make(Row(leaves, i)) for i in range(3)]
    each = torch.stack([row.log_prob(values[0, 0]) for row in rows])
    torch.testing.assert_close(several.log_prob(values[0, 0]), each if batch else each[0])
    expanded = several.log_prob(values[:, :1].expand_as(values))
    torch.testing.assert_close(several.log_prob(values[:, :1]), expanded if batch else expanded[:, :1])


@EVERY
@DTYPES
def test_the_dtype_of_the_parameters_is_that_of_draws_and_densities(name, dtype, generator):
    distribution, _, _ = made(name, (3,), dtype)
    value, scored = drawn(distribution, (4,), generator)
    whole_numbers = torch.long if "Categorical" in name and "OneHot" not in name else dtype
    assert value.dtype == whole_numbers
    assert distribution.log_prob(scored).dtype == dtype
    for statistic, found in statistics(name, distribution).items():
        assert found.dtype == (whole_numbers if statistic == "mode" else dtype), statistic


@EVERY
def test_single_precision_agrees_with_double(name, generator):
    double, _, _ = made(name, (3,), torch.float64)
    single, _, _ = made(name, (3,), torch.float32)
    _, value = drawn(double, (4,), generator)
    in_single = value if value.dtype == torch.long else value.float()
    torch.testing.assert_close(single.log_prob(in_single).double(), double.log_prob(value), rtol=1e-4, atol=1e-4)


@EVERY
@DTYPES
def test_gradients_reach_every_parameter_and_are_finite(name, dtype, generator):
    distribution, leaves, _ = made(name, (3,), dtype)
    value, scored = drawn(distribution, (4,), generator)
    loss = distribution.log_prob(scored.detach()).sum() + (value.sum() if value.requires_grad else 0)
    for gradient in torch.autograd.grad(loss, leaves.tensors[: 1 if name == "Quantized" else None]):
        assert gradient.isfinite().all()
        assert gradient.any()


@EVERY
@DTYPES
@pytest.mark.parametrize("spread", [0.0, 5.0, 100.0, 1e4])
def test_nothing_is_nan_at_extreme_parameters(name, dtype, spread, generator):
    distribution, leaves, _ = made(name, (5,), dtype, spread)
    value, scored = drawn(distribution, (20,), generator)
    assert value.isfinite().all()
    log_prob = distribution.log_prob(scored.detach())
    assert not log_prob.isnan().any()
    loss = log_prob[log_prob.isfinite()].sum() + (value.sum() if value.requires_grad else 0)
    for statistic in statistics(name, distribution).values():
        assert statistic.isfinite().all()
        loss = loss + (statistic.sum() if statistic.requires_grad else 0)
    for gradient in torch.autograd.grad(loss, leaves.tensors, allow_unused=True):
        assert gradient is None or gradient.isfinite().all()


@EVERY
def test_draws_are_a_function_of_the_generator_alone(name):
    distribution, _, _ = made(name, (3,))
    before = torch.get_rng_state()
    first, again, other = (distribution.sample((50,), seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before), "torch's default generator was used"
    assert torch.equal(first, again)
    assert name == "Quantized" or not torch.equal(first, other)


@EVERY
def test_a_sample_has_no_gradient_and_a_reparametrised_one_equals_it(name):
    distribution, _, _ = made(name, (3,))
    sample = distribution.sample((5,), seeded())
    assert not sample.requires_grad
    if distribution.has_rsample:
        reparametrised = distribution.rsample((5,), seeded())
        assert reparametrised.requires_grad
        assert torch.equal(reparametrised, sample)
    else:
        with pytest.raises(NotImplementedError, match="no reparametrised draws"):
            distribution.rsample((5,))


@EVERY
def test_what_a_row_draws_does_not_depend_on_other_rows(name):
    everything, leaves, batch = made(name, (4,))
    shape = (3,) if batch else (3, 4)
    together = everything.sample(shape, RowGenerators(7, [10, 11, 12, 13]))
    for rows in ([2], [3, 0], [1, 1]):
        fewer = DENSITIES[name].make(Row(leaves, rows), len(rows)) if batch else everything
        apart = fewer.sample((3,) if batch else (3, len(rows)), RowGenerators(7, [10 + row for row in rows]))
        torch.testing.assert_close(apart, together[:, rows])
