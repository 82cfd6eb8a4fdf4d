"""The M-step takes the maximum of the expected log-density, within its limits."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.components.reference import (
    FACTORS,
    GAUSSIAN,
    INDEPENDENT,
    holes,
    in_units,
    made,
    moments,
    observations,
    responsibilities,
    units,
)
from tests.registry import COMPONENTS
from unveil.components import Components
from unveil.components.full import raised_triangle

EVERY = pytest.mark.parametrize("name", COMPONENTS)
PLAIN = pytest.mark.parametrize("name", [name for name in COMPONENTS if name not in FACTORS])
close = partial(torch.testing.assert_close, rtol=1e-7, atol=1e-7)


@torch.no_grad()
def maximize(family: Components, x: Tensor, r: Tensor, mask: Tensor | None = None) -> None:
    family.maximize(family.statistics(family.see(x, mask), r))


def gradients(family: Components, x: Tensor, r: Tensor, mask: Tensor | None = None) -> list[Tensor]:
    """Of the expected log-density, by the parameters."""
    value = (r * family.log_prob(family.see(x, mask))).sum()
    return list(torch.autograd.grad(value, list(family.parameters())))


@PLAIN
def test_the_gradient_of_the_expected_log_density_vanishes_at_the_maximum(name):
    family, x = made(name, floor=1e-9), observations(COMPONENTS[name][1])
    r = responsibilities(3, len(x))
    assert any(gradient.abs().max() > 1e-2 for gradient in gradients(family, x, r))
    maximize(family, x, r)
    assert all(gradient.abs().max() < 1e-7 for gradient in gradients(family, x, r))


@pytest.mark.parametrize("name", INDEPENDENT)
def test_it_vanishes_with_holes_too_where_entries_are_independent(name):
    family, x = made(name, floor=1e-9), observations(COMPONENTS[name][1])
    r, mask = responsibilities(3, len(x)), holes(x)
    maximize(family, x, r, mask)
    assert all(gradient.abs().max() < 1e-7 for gradient in gradients(family, x, r, mask))


@PLAIN
def test_no_other_parameters_are_better(name, generator):
    family, x = made(name, floor=1e-9), observations(COMPONENTS[name][1])
    r = responsibilities(3, len(x))
    maximize(family, x, r)
    best = (r * family.log_prob(family.see(x))).sum()
    state = {key: value.clone() for key, value in family.state_dict().items()}
    for size in (0.01, 0.1, 1.0) * 5:
        with torch.no_grad():
            for parameter in family.parameters():
                parameter += size * torch.randn(parameter.shape, generator=generator)
        assert (r * family.log_prob(family.see(x))).sum() < best
        family.load_state_dict(state)


@pytest.mark.parametrize("name", ["Full", "Tied", "Diagonal", "Spherical"])
def test_the_maximum_is_weighted_means_and_scatters(name):
    family, x = made(name), observations(COMPONENTS[name][1])
    r = responsibilities(3, len(x))
    maximize(family, x, r)
    weight, rows = r.numpy(), x.numpy()
    mean = weight @ rows / weight.sum(1, keepdims=True)
    scatter = np.stack([((rows - mean[k]).T * weight[k]) @ (rows - mean[k]) for k in range(3)])
    counts = weight.sum(1)[:, None, None]
    if name == "Tied":
        scatter, counts = scatter.sum(0, keepdims=True), counts.sum(0, keepdims=True)
    covariance = np.broadcast_to(scatter / counts, (3, 3, 3)).copy()
    if name == "Diagonal":
        covariance *= np.eye(3)
    if name == "Spherical":
        covariance = np.stack([np.eye(3) * np.trace(c) / 3 for c in covariance])
    close(family.means, torch.from_numpy(mean))
    close(in_units(family.covariances, rows.std(0)), in_units(torch.from_numpy(covariance), rows.std(0)))


def completed(x: np.ndarray, on: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E[x | what is observed] and Cov[x | what is observed], by the formulas for a partition."""
    mean, covariance = np.where(on, x, 0.0), np.zeros_like(sigma)
    off = ~on
    gain = sigma[np.ix_(off, on)] @ np.linalg.inv(sigma[np.ix_(on, on)])
    mean[off] = mu[off] + gain @ (x - mu)[on]
    covariance[np.ix_(off, off)] = sigma[np.ix_(off, off)] - gain @ sigma[np.ix_(on, off)]
    return mean, covariance


@pytest.mark.parametrize("name", ["Full", "Tied"])
def test_holes_are_filled_by_their_conditional_means_and_covariances(name):
    x, r = observations(COMPONENTS[name][1]), responsibilities(3, 40)
    family, mask = made(name), holes(x)
    mean, deviation = units(name, x)
    mu, sigma = moments(name, family, x)
    u, nu = (x.numpy() - mean) / deviation, (mu - mean) / deviation
    rho = sigma / np.outer(deviation, deviation)
    maximize(family, x, r, mask)
    found, pooled = [], np.zeros((3, 3))
    for k in range(3):
        parts = [completed(row, on, nu[k], rho[k]) for row, on in zip(u, mask.numpy(), strict=True)]
        share = r[k].numpy()
        loc = sum(w * m for w, (m, _) in zip(share, parts, strict=True)) / share.sum()
        spread = sum(w * (np.outer(m - loc, m - loc) + c) for w, (m, c) in zip(share, parts, strict=True))
        close(family.loc[k].detach(), torch.from_numpy(loc))
        found.append(spread / share.sum())
        pooled += spread
    expected = np.stack(found) if name == "Full" else np.stack([pooled / r.sum().item()] * 3)
    close(in_units(family.covariances, deviation), torch.from_numpy(expected))


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("masked", [False, True])
def test_factor_analysers_regress_each_entry_on_its_factors(name, masked):
    x, r = observations(COMPONENTS[name][1]), responsibilities(3, 40)
    family = made(name)
    mask = holes(x) if masked else torch.ones_like(x, dtype=torch.bool)
    mean, deviation = units(name, x)
    u = (x.numpy() - mean) / deviation
    old = {key: value.detach().clone().numpy() for key, value in family.named_parameters()}
    maximize(family, x, r, mask if masked else None)
    for k in range(3):
        W, psi = old["loading"][k], np.broadcast_to(np.exp(2 * old["log_scale"][k]), 3)
        gram, product, square, count = np.zeros((3, 3, 3)), np.zeros((3, 3)), np.zeros(3), np.zeros(3)
        total = np.zeros((3, 3))
        for row, on, weight in zip(u, mask.numpy(), r[k].numpy(), strict=True):
            V = np.linalg.inv(np.eye(2) + (W[on].T / psi[on]) @ W[on])
            m = V @ (W[on].T / psi[on]) @ (row - old["loc"][k])[on]
            one = np.append(m, 1)
            second = np.outer(one, one)
            second[:2, :2] += V
            total += weight * second
            gram[on] += weight * second
            product[on] += weight * np.outer(row[on], one)
            square[on] += weight * row[on] ** 2
            count[on] += weight
        beta = np.stack([np.linalg.solve(gram[d], product[d]) for d in range(3)])
        residual = square - (beta * product).sum(1)
        noise = residual / count if name == "Anisotropic" else np.full(3, residual.sum() / count.sum())
        mean_z = total[:2, 2] / total[2, 2]
        spread_z = total[:2, :2] / total[2, 2] - np.outer(mean_z, mean_z)
        expected = beta[:, :2] @ spread_z @ beta[:, :2].T + np.diag(noise)
        close(family.loc[k].detach(), torch.from_numpy(beta[:, 2] + beta[:, :2] @ mean_z))
        close(in_units(family.covariances[k], deviation), torch.from_numpy(expected))


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("masked", [False, True])
def test_the_step_of_factor_analysers_raises_the_log_density_of_each(name, masked):
    x, r = observations(COMPONENTS[name][1]), responsibilities(3, 40)
    family, mask = made(name), holes(x) if masked else None
    for _ in range(5):
        before = (r * family.log_prob(family.see(x, mask))).sum(-1)
        maximize(family, x, r, mask)
        assert ((r * family.log_prob(family.see(x, mask))).sum(-1) > before).all()


@EVERY
@pytest.mark.parametrize("masked", [False, True])
def test_statistics_of_parts_of_the_examples_add(name, masked):
    family, x = made(name), observations(COMPONENTS[name][1])
    r, mask = responsibilities(3, len(x)), holes(x) if masked else None
    whole = family.statistics(family.see(x, mask), r)
    parts = [
        family.statistics(family.see(x[rows], None if mask is None else mask[rows]), r[:, rows])
        for rows in (slice(0, 1), slice(1, 25), slice(25, 40))
    ]
    for key, total in whole.items():
        assert total.dtype == torch.float64
        close(sum(part[key] for part in parts), total)


@EVERY
@pytest.mark.parametrize("masked", [False, True])
def test_a_weight_of_two_is_an_example_that_comes_twice_and_of_none_one_that_does_not_come(name, masked):
    family, x = made(name), observations(COMPONENTS[name][1])
    r, mask = responsibilities(3, len(x)), holes(x) if masked else None
    times = torch.arange(len(x)) % 3
    weighted = family.statistics(family.see(x, mask), r * times)
    again = torch.arange(len(x)).repeat_interleave(times)
    repeated = family.statistics(family.see(x[again], None if mask is None else mask[again]), r[:, again])
    for key, total in weighted.items():
        close(total, repeated[key])


@EVERY
@pytest.mark.parametrize("masked", [False, True])
def test_a_component_without_examples_keeps_its_parameters(name, masked):
    family, x = made(name), observations(COMPONENTS[name][1])
    r = responsibilities(3, len(x))
    r[1] = 0
    before = {key: value.detach().clone() for key, value in family.named_parameters()}
    density = family.log_prob(family.see(x)).detach()
    maximize(family, x, r, holes(x) if masked else None)
    for key, value in family.named_parameters():
        assert value.isfinite().all(), key
        assert len(value) == 1 or torch.equal(value[1], before[key][1]) or name == "Categorical", key
        assert not torch.equal(value[0], before[key][0]), key
    if name != "Tied":  # which shares its covariance with the others
        close(family.log_prob(family.see(x))[1].detach(), density[1])


@pytest.mark.parametrize("name", INDEPENDENT)
def test_an_entry_that_a_component_never_sees_keeps_its_parameters(name):
    family, x = made(name), observations(COMPONENTS[name][1])
    mask, r = torch.ones_like(x, dtype=torch.bool), responsibilities(3, len(x))
    mask[:, 2] = False
    only = torch.zeros_like(mask)
    only[:, 2] = True
    before = family.log_prob(family.see(x, only)).detach()
    maximize(family, x, r, mask)
    after = family.log_prob(family.see(x, only)).detach()
    if name == "Spherical":  # one variance for all entries
        assert after.isfinite().all()
    else:
        close(after, before)


@EVERY
@pytest.mark.parametrize("masked", [False, True])
def test_starts_side_by_side_are_the_starts_one_by_one(name, masked):
    apart = [made(name, seed=seed) for seed in range(3)]
    x = observations(COMPONENTS[name][1])
    mask = holes(x) if masked else None
    r = torch.stack([responsibilities(3, len(x), seed) for seed in range(3)])
    beside = made(name)
    for key, parameter in beside.named_parameters():
        parameter.data = torch.stack([family.get_parameter(key).data for family in apart])
    close(beside.log_prob(beside.see(x, mask)), torch.stack([family.log_prob(family.see(x, mask)) for family in apart]))
    maximize(beside, x, r, mask)
    for s, family in enumerate(apart):
        maximize(family, x, r[s], mask)
    for key, parameter in beside.named_parameters():
        close(parameter, torch.stack([family.get_parameter(key) for family in apart]))
    assert torch.equal(beside.collapsed, torch.stack([family.collapsed for family in apart]))
    close(
        beside.means if hasattr(beside, "means") else beside.probabilities,
        torch.stack([family.means if hasattr(family, "means") else family.probabilities for family in apart]),
    )
    if name in GAUSSIAN:
        close(beside.covariances, torch.stack([family.covariances for family in apart]))


@EVERY
def test_a_start_is_a_function_of_the_generator_alone(name):
    x, r = observations(COMPONENTS[name][1]), responsibilities(3, 40)
    before, found = torch.get_rng_state(), []
    for seed in (1, 1, 2):
        family = made(name)
        with torch.no_grad():
            family.start(x, None, r, torch.Generator().manual_seed(seed))
        found.append(family.log_prob(family.see(x)))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2]) == (name not in FACTORS)


class TestSmallestEigenvalue:
    @pytest.fixture
    def covariance(self) -> Tensor:
        """With an eigenvalue of 1e-5 and one of -1e-12, as rounding makes them."""
        q, _ = torch.linalg.qr(torch.randn(5, 4, 4))
        return q @ torch.diag(torch.tensor([2.0, 0.3, 1e-5, -1e-12])) @ q.mT

    def test_eigenvalues_below_the_floor_are_raised_to_it_and_others_stay(self, covariance):
        triangle = raised_triangle(covariance, 1e-2)
        values, vectors = np.linalg.eigh(covariance.numpy())
        expected = vectors * np.maximum(values, 1e-2)[:, None, :] @ vectors.swapaxes(-1, -2)
        close(triangle @ triangle.mT, torch.from_numpy(expected), rtol=1e-10, atol=1e-12)
        assert torch.equal(triangle, triangle.tril())
        assert (triangle.diagonal(dim1=-2, dim2=-1) > 0).all()

    def test_that_is_the_maximum_among_covariances_without_smaller_ones(self, covariance, generator):
        found = raised_triangle(covariance, 1e-2)
        raised = found @ found.mT

        def value(candidate: Tensor) -> Tensor:
            trace = torch.linalg.solve(candidate, covariance).diagonal(dim1=-2, dim2=-1).sum(-1)
            return -0.5 * (torch.linalg.slogdet(candidate).logabsdet + trace)

        for size in (1e-3, 1e-2, 0.1, 1.0) * 20:
            noise = size * torch.randn(covariance.shape, generator=generator)
            values, vectors = torch.linalg.eigh(raised + noise + noise.mT)
            feasible = vectors @ torch.diag_embed(values.clamp_min(1e-2)) @ vectors.mT
            assert (value(feasible) < value(raised) + 1e-9).all()

    def test_what_has_none_below_is_left_to_the_bit(self, covariance):
        fine = covariance + 0.1 * torch.eye(4)
        assert torch.equal(raised_triangle(fine, 1e-2), torch.linalg.cholesky(fine))
