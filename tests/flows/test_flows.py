"""A flow is an exact density: it integrates to one, its samples are its own, and it can become what it should."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.distributions import Independent, VonMises

import unveil as uv
from tests.distributions.test_densities import assert_drawn_from
from tests.registry import DOUBLE, TINY, TINY_CONV, noise
from tests.supports import plane_about
from unveil import flows
from unveil.distributions import MultivariateNormal, Transformed
from unveil.flows import Flow
from unveil.priors import ConditionalGaussian, MixtureOfGaussians, StandardLogistic
from unveil.variables import Variable

PLANE = {
    "IAF": partial(flows.IAF, (2,), transforms=2, hidden=(8,)),
    "MAF": partial(flows.MAF, (2,), transforms=2, hidden=(8,)),
    "MAF of a mixture": partial(
        flows.MAF, (2,), transforms=2, hidden=(8,), base=partial(MixtureOfGaussians, components=3)
    ),
    "MAF of splines": partial(flows.MAF, (2,), transforms=2, hidden=(8,), monotone=flows.Spline),
    "NICE": partial(flows.NICE, (2,), transforms=2, net=TINY),
    "NSF": partial(flows.NSF, (2,), transforms=2, net=TINY),
    "RealNVP": partial(flows.RealNVP, (2,), transforms=2, net=TINY),
    "Glow": partial(flows.Glow, (2, 2, 2), steps=1, net=TINY_CONV),
}
ON_PLANE = pytest.mark.parametrize("name", [name for name in PLANE if name != "Glow"])


def wild(name: str, context: int = 0, spread: float = 0.2) -> Flow:
    """A flow with random parameters."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = PLANE[name](context=context).double()
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter += spread * torch.randn(parameter.shape, dtype=DOUBLE)
    return flow


@ON_PLANE
@pytest.mark.parametrize("context", [0, 2])
def test_a_density_on_the_plane_integrates_to_one_and_samples_are_drawn_from_it(name, context, generator):
    c = noise(context) if context else None
    distribution = wild(name, context, spread=0.1)(c)
    drawn = distribution.sample((20_000,), generator)
    grid = plane_about(drawn.mean(0), drawn.std(0), points=1000)
    with torch.no_grad():
        log_mass = grid.log_mass(distribution)
    torch.testing.assert_close(log_mass.logsumexp(0), torch.tensor(0.0), rtol=0, atol=1e-3)  # the grid is coarse
    assert_drawn_from(log_mass, grid.cell(grid.values), grid.cell(drawn))


@pytest.mark.parametrize("name", PLANE)
@pytest.mark.parametrize("context", [0, 2])
def test_draws_come_with_their_own_density(name, context, generator):
    distribution = wild(name, context)(noise(3, context) if context else None)
    lead = (5, 3) if context else (5,)
    x, log_p = distribution.rsample_and_log_prob((5,), generator)
    assert log_p.shape == lead
    torch.testing.assert_close(log_p, distribution.log_prob(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", PLANE)
def test_draws_are_reproducible_and_differentiable(name):
    flow = wild(name)
    first, again = (flow().sample((4,), torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    first = flow().rsample((4,), torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(first.square().sum(), [p for p in flow.parameters() if p.requires_grad])
    assert all(one.isfinite().all() for one in gradients)
    assert any(one.any() for one in gradients)


@ON_PLANE
def test_a_new_flow_is_its_base_but_for_rotations(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = PLANE[name]().double()
    base = flow().base
    x = noise(6, 2)
    if name == "NSF":
        torch.testing.assert_close(flow().log_prob(x), base.log_prob(x), rtol=1e-5, atol=1e-5)
    else:
        torch.testing.assert_close(flow().log_prob(x), base.log_prob(x))


def test_a_context_that_is_missing_or_not_expected_is_refused():
    with pytest.raises(ValueError, match="context: expected 2 features to be conditioned on, got none"):
        flows.MAF((2,), context=2, hidden=(8,))()
    with pytest.raises(ValueError, match="context: expected no features to be conditioned on, got 2"):
        flows.MAF((2,), hidden=(8,))(torch.zeros(1, 2))


def test_a_linear_autoregressive_flow_recovers_a_gaussian_exactly():
    """The maximum of the likelihood is closed form: the entropy of the data's Gaussian."""
    torch.manual_seed(0)
    scale_tril = torch.tensor([[2.0, 0, 0], [1.5, 0.5, 0], [-0.3, 0.2, 1.1]], dtype=DOUBLE)
    x = noise(500, 3) @ scale_tril.T + torch.tensor([1.0, -2.0, 0.5], dtype=DOUBLE)
    centred = x - x.mean(0)
    best = MultivariateNormal(x.mean(0), torch.linalg.cholesky(centred.T @ centred / len(x)))
    flow = flows.MAF((3,), transforms=1, hidden=()).double()
    optimizer = torch.optim.LBFGS(flow.parameters(), max_iter=2000, tolerance_grad=1e-10, tolerance_change=1e-14)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = -flow().log_prob(x).mean()
        # a Gaussian has slopes that do not depend on x: leave the log-slopes' weights at zero
        value.backward()
        flow.bijection.bijections[0].net.output.weight.grad[3:] = 0
        return value

    optimizer.step(loss)
    torch.testing.assert_close(flow().log_prob(x), best.log_prob(x), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(flow().log_prob(x).mean(), -best.entropy(), rtol=1e-9, atol=1e-9)


def test_an_affine_flow_recovers_a_gaussian_exactly():
    """The same of y = P L U (e^s x + t), with nothing held fixed."""
    torch.manual_seed(0)
    x = noise(500, 3) @ noise(3, 3, seed=1).T + 3.0
    centred = x - x.mean(0)
    best = MultivariateNormal(x.mean(0), torch.linalg.cholesky(centred.T @ centred / len(x)))
    flow = Flow(flows.Chain([flows.ActNorm((3,)), flows.Linear((3,))])).double()
    flow.start_from(x)
    optimizer = torch.optim.LBFGS(flow.parameters(), max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-16)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = -flow().log_prob(x).mean()
        value.backward()
        return value

    optimizer.step(loss)
    torch.testing.assert_close(flow().log_prob(x), best.log_prob(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in PLANE if name != "IAF"])
def test_a_density_compiles_without_a_break(name):
    flow = wild(name).float()
    x = noise(8, *flow.shape, dtype=torch.float32)
    compiled = torch.compile(lambda x: flow().log_prob(x), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), flow().log_prob(x))


@pytest.mark.parametrize("model", [lambda: uv.NSF(Variable((3,))), lambda: uv.RealNVP(Variable((1, 4, 4)))])
def test_a_model_of_real_numbers_compiles_without_a_break(model):
    model = model().float().eval()
    x = noise(8, *model.x.shape, dtype=torch.float32)
    compiled = torch.compile(lambda x: model.log_prob(x), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), model.log_prob(x))


@pytest.mark.parametrize("name", PLANE)
def test_noise_far_from_all_data_gives_finite_samples_and_gradients(name):
    flow = wild(name, spread=1.0).float()
    z = 1e3 * noise(20, *flow.bijection.out_shape, dtype=torch.float32)
    x, log_det = flow.bijection.inverse(z)
    assert x.isfinite().all()
    assert log_det.isfinite().all()
    gradients = torch.autograd.grad(
        (x.tanh().sum() + log_det.sum()), list(flow.bijection.parameters()), allow_unused=True
    )
    assert all(one is None or one.isfinite().all() for one in gradients)


def test_activation_norms_of_a_bare_flow_start_from_data_once():
    flow = flows.Glow((1, 4, 4), steps=2, net=TINY_CONV)
    x = 3 + 5 * noise(200, 1, 4, 4, dtype=torch.float32)
    before = flow().log_prob(x).mean()
    flow.start_from(x)
    started = flow().log_prob(x).mean()
    assert started > before + 10
    flow.start_from(100 * x)
    assert flow().log_prob(x).mean() == started


def test_a_base_of_vectors_serves_maps_of_images_and_may_depend_on_the_context():
    image = Flow(flows.ActNorm((3, 2, 2)), StandardLogistic)
    assert image().log_prob(torch.zeros(5, 3, 2, 2)).shape == (5,)
    assert image().sample((5,)).shape == (5, 3, 2, 2)
    conditional = flows.MAF((3,), context=2, hidden=(4,), base=ConditionalGaussian)
    assert conditional(torch.zeros(5, 2)).log_prob(torch.zeros(5, 3)).shape == (5,)


def test_draws_whose_base_has_no_gradient_say_so():
    base = Independent(VonMises(torch.zeros(2), torch.ones(2)), 1)
    flow = Transformed(base, flows.Linear((2,)))
    with pytest.raises(NotImplementedError, match="the base has no reparametrised draws"):
        flow.rsample_and_log_prob((3,))
    with torch.no_grad():
        x, log_p = flow.rsample_and_log_prob((3,))
    torch.testing.assert_close(log_p, flow.log_prob(x))


def test_images_of_odd_sides_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"images of even sides.*pad the images, or use MAF or NSF"):
        flows.Glow((1, 5, 5))
    with pytest.raises(ValueError, match="Glow expects images"):
        flows.Glow((5,))
    with pytest.raises(ValueError, match="a coupling expects at least 2 entries, got 1; use MAF"):
        flows.RealNVP((1,))
