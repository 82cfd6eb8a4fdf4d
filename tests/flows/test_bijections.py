"""What every invertible map keeps: round trips, exact log-determinants, a context per row, honest dependence."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from tests.registry import BIJECTIONS, CONTEXT, DOUBLE, MONOTONES, make, noise
from unveil.flows import Bijection, Chain, Coupling, Linear, Logit, MaskedAutoregressive, Monotone
from unveil.nets import MaskedMLP

EVERY = pytest.mark.parametrize("name", BIJECTIONS)
EVERY_MONOTONE = pytest.mark.parametrize("name", MONOTONES)
CONDITIONED = pytest.mark.parametrize("name", [name for name in BIJECTIONS if make("bijections", name).context])
TOLERANCE = {torch.float32: 1e-4, DOUBLE: 1e-10}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


def inputs(bijection: Bijection, *lead: int, dtype: torch.dtype = DOUBLE, seed: int = 1) -> Tensor:
    x = 1.5 * noise(*lead, *bijection.shape, dtype=dtype, seed=seed)
    return x.sigmoid() if isinstance(bijection, Logit) else x


def context(bijection: Bijection, *lead: int, dtype: torch.dtype = DOUBLE) -> Tensor | None:
    return noise(*lead, CONTEXT, dtype=dtype, seed=2) if bijection.context else None


@EVERY
@DTYPES
def test_the_inverse_undoes_the_map_and_its_log_determinant(name, dtype):
    bijection = make("bijections", name, dtype)
    x, c = inputs(bijection, 50, dtype=dtype), context(bijection, 50, dtype=dtype)
    y, log_det = bijection(x, c)
    back, log_det_back = bijection.inverse(y, c)
    assert y.shape == (50, *bijection.out_shape)
    assert log_det.shape == log_det_back.shape == (50,)
    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(back, x, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(log_det_back, -log_det, rtol=tolerance, atol=10 * tolerance)


@EVERY
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_log_determinant_is_autodiffs_jacobians(name, direction):
    bijection = make("bijections", name)
    x, c = inputs(bijection, 4), context(bijection, 4)
    if direction == "inverse":
        x = bijection(x, c)[0].detach()
    found = getattr(bijection, direction)(x, c)[1]
    for i in range(4):
        row = None if c is None else c[i]
        square = jacobian(lambda one, row=row: getattr(bijection, direction)(one, row)[0].flatten(), x[i])
        expected = square.reshape(x[i].numel(), -1).slogdet().logabsdet
        torch.testing.assert_close(found[i], expected, rtol=1e-9, atol=1e-9)


@EVERY
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)
def test_leading_axes_pass_through_and_rows_are_independent(name, lead):
    bijection = make("bijections", name)
    x, c = inputs(bijection, *lead), context(bijection, *lead)
    for direction, value in ((bijection, x), (bijection.inverse, bijection(x, c)[0].detach())):
        y, log_det = direction(value, c)
        assert log_det.shape == lead
        event = value.shape[len(lead) :]
        rows = [
            direction(one, None if c is None else c.reshape(-1, CONTEXT)[i])
            for i, one in enumerate(value.reshape(-1, *event))
        ]
        torch.testing.assert_close(torch.stack([row for row, _ in rows]).reshape(y.shape), y)
        torch.testing.assert_close(torch.stack([one for _, one in rows]).reshape(lead), log_det)


@CONDITIONED
def test_a_context_per_row_broadcasts_over_many_samples_and_matters(name):
    bijection = make("bijections", name)
    c = context(bijection, 3)
    for direction, shape in ((bijection, bijection.shape), (bijection.inverse, bijection.out_shape)):
        x = noise(5, 3, *shape)
        y, log_det = direction(x, c)
        expected, expected_log_det = direction(x, c.expand(5, 3, CONTEXT))
        torch.testing.assert_close(y, expected)
        torch.testing.assert_close(log_det, expected_log_det)
        one = direction(x[:, :1], c)
        torch.testing.assert_close(one[0], direction(x[:, :1].expand_as(x), c)[0])
        assert not torch.allclose(y, direction(x, c + 1)[0])


@EVERY
def test_gradients_of_both_directions_are_those_of_finite_differences(name):
    bijection = make("bijections", name)
    x, c = inputs(bijection, 2).requires_grad_(), context(bijection, 2)
    wanted = [p for p in bijection.parameters() if p.requires_grad] + ([c.requires_grad_()] if c is not None else [])
    assert torch.autograd.gradcheck(lambda x, *_: bijection(x, c), (x, *wanted))
    y = bijection(x, c)[0].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda y, *_: bijection.inverse(y, c), (y, *wanted))


@pytest.mark.parametrize(
    "name", [name for name in BIJECTIONS if name.startswith(("Coupling", "Masked", "Inverse", "Planar", "Sylvester"))]
)
def test_maps_made_of_nets_start_as_the_identity(name):
    bijection = BIJECTIONS[name]().double()
    x, c = inputs(bijection, 6), context(bijection, 6)
    y, log_det = bijection(x, c)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_det, torch.zeros(6))


def test_a_chain_of_maps_that_do_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"Coupling gives the shape \(3,\) and Coupling takes \(2,\)"):
        Chain([Coupling((3,)), Coupling((2,))])


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1)])
@pytest.mark.parametrize("size", [4, 1])
@pytest.mark.parametrize("features", [0, CONTEXT])
def test_an_autoregressive_map_sees_earlier_entries_all_of_them_and_no_others(order, size, features):
    order = order[:size] if size > 1 else (0,)
    torch.manual_seed(0)
    bijection = MaskedAutoregressive((size,), features, net=partial(MaskedMLP, hidden=(30, 20), order=order)).double()
    for parameter in bijection.parameters():
        torch.nn.init.normal_(parameter)
    x, c = noise(size), noise(features) if features else None
    sees = jacobian(lambda x: bijection(x, c)[0], x) != 0
    rank = torch.tensor(order)
    assert torch.equal(sees, rank.unsqueeze(1) >= rank)
    if c is not None:
        assert (jacobian(lambda c: bijection(x, c)[0], c) != 0).all(), "an entry does not see the context"


@pytest.mark.parametrize("name", [name for name in BIJECTIONS if name.startswith("Coupling")])
def test_a_coupling_keeps_what_it_says(name):
    bijection = make("bijections", name)
    x, c = inputs(bijection, 5), context(bijection, 5)
    y, _ = bijection(x, c)
    kept, moved = bijection.selection.split(x)
    kept_after, moved_after = bijection.selection.split(y)
    assert torch.equal(kept, kept_after)
    assert not torch.isclose(moved, moved_after).any()


@pytest.mark.parametrize("spline", ["", " spline"])
def test_all_solvers_find_the_same_root(spline):
    bijection = make("bijections", "MaskedAutoregressive spline" if spline else "MaskedAutoregressive")
    y, c = inputs(bijection, 40), context(bijection, 40)
    found = []
    for solver in ("parallel", "sequential", "auto"):
        bijection.solver = solver
        found.append(bijection.inverse(y, c)[0])
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found[0], found[2], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("solver", ["parallel", "sequential"])
def test_the_root_of_forty_entangled_entries_is_exact_and_so_is_its_gradient(solver):
    """Against the Jacobian's dense inverse: J^-1 in y."""
    net = partial(MaskedMLP, hidden=(64,))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bijection = MaskedAutoregressive((40,), net=net, solver=solver).double()
        with torch.no_grad():
            for parameter in bijection.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
    y = noise(3, 40).requires_grad_()
    x, log_det = bijection.inverse(y)
    torch.testing.assert_close(bijection(x.detach())[0], y.detach(), rtol=1e-11, atol=1e-11)
    inner = jacobian(lambda x: bijection(x)[0], x[0].detach())
    assert (inner.tril(-1).abs() > 0.1).any(), "nothing is entangled"
    weight = noise(40, seed=1)
    (found,) = torch.autograd.grad(x[0] @ weight, y, retain_graph=True)
    torch.testing.assert_close(found[0], torch.linalg.solve(inner.mT, weight), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(log_det[0].detach(), -inner.diagonal().log().sum())


@EVERY
def test_under_lower_precision_of_nets_a_map_still_undoes_itself(name):
    bijection: Bijection = make("bijections", name).float()
    with torch.no_grad():
        for parameter in bijection.parameters():
            parameter += 0.3 * noise(*parameter.shape, dtype=torch.float32)
    bijection.eval()
    x, c = inputs(bijection, 5).float(), context(bijection, 5)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        y, log_det = bijection(x, None if c is None else c.float())
        back, log_det_back = bijection.inverse(y, None if c is None else c.float())
    assert {value.dtype for value in (y, log_det, back, log_det_back)} == {torch.float32}
    torch.testing.assert_close(back, x, rtol=1e-3, atol=5e-2 if "utoregressive" in name or name == "Inverse" else 1e-3)


def test_a_chain_hands_the_context_to_the_maps_that_have_one():
    chain = Chain([Coupling((3,)), Coupling((3,), 2)])
    assert chain.context == 2
    assert chain(torch.zeros(5, 3), torch.zeros(5, 2))[0].shape == (5, 3)
    with pytest.raises(ValueError, match=r"bijections: expected the same number of features .*, got \[2, 3\]"):
        Chain([Coupling((3,), 3), Coupling((3,), 2)])


def test_wrong_shapes_and_contexts_are_refused():
    with pytest.raises(ValueError, match=r"x: Linear expected \(..., 3\), got \(5, 4\)"):
        Linear((3,))(torch.zeros(5, 4))
    with pytest.raises(ValueError, match=r"y: Linear expected \(..., 3\), got \(5, 4\)"):
        Linear((3,)).inverse(torch.zeros(5, 4))
    for given, got in ((None, "none"), (torch.zeros(5, 3), r"\(5, 3\)")):
        with pytest.raises(ValueError, match=rf"context: Coupling expected \(..., 2\), got {got}"):
            Coupling((3,), 2)(torch.zeros(5, 3), given)


@EVERY_MONOTONE
@DTYPES
@pytest.mark.parametrize("spread", [0.0, 1.0, 10.0, 100.0])
def test_a_monotone_map_increases_and_is_finite_with_its_gradients(name, dtype, spread):
    monotone: Monotone = MONOTONES[name]()
    theta = (spread * noise(monotone.parameters_per_entry, 1, dtype=dtype)).expand(-1, 999).clone().requires_grad_()
    ends = torch.tensor([-3.0, 3.0], dtype=dtype)
    edges = torch.cat([ends, torch.nextafter(ends, torch.zeros(2, dtype=dtype)), ends * 1e4])
    x = torch.cat([torch.linspace(-4, 4, 993, dtype=dtype), edges]).sort().values.requires_grad_()
    y, log_slope = monotone(x, theta)
    assert (y.diff() >= -1e-5).all()
    back, log_slope_back = monotone.inverse(y.detach(), theta)
    reached = monotone(back, theta)[0].detach()
    rtol, atol = (1e-5, 2e-3) if dtype == torch.float32 else (1e-12, 1e-10)
    torch.testing.assert_close(reached, y.detach(), rtol=rtol, atol=atol)
    for value in (y, log_slope, back, log_slope_back):
        assert value.isfinite().all()
        if not value.requires_grad:  # a shift's slope
            continue
        gradients = torch.autograd.grad(value.sum(), (x, theta), retain_graph=True, allow_unused=True)
        assert all(one is None or one.isfinite().all() for one in gradients)


@EVERY_MONOTONE
def test_a_monotone_map_is_the_identity_at_zero(name):
    monotone: Monotone = MONOTONES[name]()
    x = torch.linspace(-5, 5, 101, dtype=DOUBLE)
    y, log_slope = monotone(x, torch.zeros(monotone.parameters_per_entry, 101, dtype=DOUBLE))
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_slope, torch.zeros(101, dtype=DOUBLE))


@pytest.mark.parametrize("shape", [(5,), (5, 2, 3)])
def test_a_linear_map_is_one_matrix_for_few_rows_and_for_many(shape):
    linear, x = Linear(shape).double(), noise(40, *shape)
    expected = torch.einsum("ij,nj...->ni...", linear.weight, x)
    torch.testing.assert_close(linear(x)[0], expected)
    torch.testing.assert_close(torch.cat([linear(row)[0] for row in x.split(1)]), expected)
