"""A mixture whose component is enumerated: EM in three lines, since the source is the E-step."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical as Reference
from torch.distributions import Independent, MixtureSameFamily
from torch.distributions import Normal as ReferenceNormal

from tests.agreement import assert_mean
from tests.systems.fitting import fit
from unveil.distributions import Categorical, Generator, Normal, OneHotCategorical
from unveil.gradients import Pathwise
from unveil.likelihoods import OptimalGaussian
from unveil.models import VAE, Enumerate, FromPosterior, FromPrior, Given, Model, PerVariable, Source, Trace, Visit
from unveil.nets import MLP
from unveil.objectives import ELBO, IWAE, FreeBits
from unveil.variables import Batch, Variable

COMPONENTS = 3


class Mixture(Model):
    """p(z) p(x | z), with neither a posterior nor a net."""

    def __init__(self, components: int, features: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.randn(components))
        self.loc = nn.Parameter(torch.randn(components, features))
        self.log_scale = nn.Parameter(torch.zeros(components, features))

    def walk(self, visit: Visit, batch: Batch) -> None:
        z = visit("z", p=lambda: Categorical(self.logits))
        visit("x", p=lambda: Normal(self.loc[z], self.log_scale[z].exp()), value=batch["x"])


class Grid(Model):
    """Two enumerated variables, the second given the first."""

    latents = ("row", "column")

    def __init__(self) -> None:
        super().__init__()
        self.row, self.column = nn.Parameter(torch.randn(2)), nn.Parameter(torch.randn(2, 3))
        self.loc = nn.Parameter(torch.randn(2, 3, 2))

    def walk(self, visit: Visit, batch: Batch) -> None:
        row = visit("row", p=lambda: Categorical(self.row))
        column = visit("column", p=lambda: Categorical(self.column[row]))
        visit("x", p=lambda: Normal(self.loc[row, column], torch.ones(2)), value=batch["x"])


@pytest.fixture
def x() -> Tensor:
    centres = torch.tensor([[3.0, 0.0], [-1.0, 2.0], [-1.0, -3.0]])
    return centres[torch.randint(3, (300,))] + torch.randn(300, 2)


@pytest.fixture
def model() -> Mixture:
    return Mixture(COMPONENTS, 2)


def log_evidence(model: Mixture, x: Tensor) -> Tensor:
    components = Independent(ReferenceNormal(model.loc, model.log_scale.exp()), 1)
    return MixtureSameFamily(Reference(logits=model.logits), components).log_prob(x)


@torch.no_grad()
def maximize(model: Mixture, trace: Trace) -> None:
    """The closed-form M-step, given the particles' weights."""
    r, x = trace.log_weight.exp(), trace["x"].value  # (K, B), (B, d)
    share = r.sum(1, keepdim=True)
    loc = r @ x / share
    model.logits.copy_(share.squeeze(1).log())
    model.loc.copy_(loc)
    model.log_scale.copy_(0.5 * (r @ x.square() / share - loc.square()).log())


def test_every_particle_has_the_exact_evidence_and_the_exact_responsibility(model, x):
    trace = model.trace(x, Enumerate({"z": COMPONENTS}))
    exact = log_evidence(model, x)
    assert torch.allclose(trace.log_w, exact.expand(COMPONENTS, 300))
    assert torch.allclose(ELBO()(trace), exact)
    assert torch.allclose(IWAE(COMPONENTS)(trace), exact)
    joint = model.logits.log_softmax(0)[:, None] + Normal(model.loc[:, None], model.log_scale[:, None].exp()).log_prob(
        x
    )
    assert torch.allclose(trace.log_weight, joint.log_softmax(0))
    assert torch.allclose(trace["z"].log_q, joint.log_softmax(0))


def test_gradient_of_the_enumerated_bound_is_that_of_the_evidence(model, x):
    bound = ELBO()(model.trace(x, Enumerate({"z": COMPONENTS}))).mean()
    parameters = list(model.parameters())
    found = torch.autograd.grad(bound, parameters)
    expected = torch.autograd.grad(log_evidence(model, x).mean(), parameters)
    assert all(torch.allclose(a, b) for a, b in zip(found, expected, strict=True))


class Exact(ELBO):
    """The bound under the exact posterior, which is the evidence."""

    def sources(self, generator: Generator, *, pathwise: bool) -> tuple[Source, ...]:
        return (Enumerate({"z": COMPONENTS}),)


def test_evidence_is_an_objective_like_any_other(model, x, generator):
    before = log_evidence(model, x).mean()
    step = Pathwise()(model, Exact(), Batch(x), generator)
    assert torch.allclose(step.value, log_evidence(model, x))
    fit(model, Batch(x), generator, Exact(), steps=100, lr=0.1)
    assert log_evidence(model, x).mean() > before + 1.0


def test_enumeration_follows_the_model_to_its_device(model):
    trace = model.to("meta").trace(torch.zeros(5, 2, device="meta"), Enumerate({"z": COMPONENTS}))
    assert {trace["z"].value.device, trace.log_w.device} == {torch.device("meta")}


def test_em_raises_the_evidence_at_every_iteration_to_a_stationary_point(model, x):
    evidence = []
    for _ in range(60):
        trace = model.trace(x, Enumerate({"z": COMPONENTS}))
        evidence.append(ELBO()(trace).mean().item())
        maximize(model, trace)
    assert all(later > earlier - 1e-12 for earlier, later in pairwise(evidence))
    assert evidence[-1] > evidence[0] + 1.0
    gradients = torch.autograd.grad(log_evidence(model, x).mean(), list(model.parameters()))
    assert all(gradient.abs().max() < 1e-3 for gradient in gradients)


def test_draws_from_the_prior_estimate_the_same_evidence(model, x, generator):
    trace = model.trace(x[:10], FromPosterior(20_000, generator))
    assert_mean((trace.log_w - log_evidence(model, x[:10])).exp(), 1.0)


def test_samples_are_of_the_mixture(model, generator):
    samples = model.sample(20_000, generator=generator)
    assert_mean(samples, model.logits.softmax(0) @ model.loc)
    second = model.loc.square() + (2 * model.log_scale).exp()
    assert_mean(samples.square(), model.logits.softmax(0) @ second)


def test_two_enumerated_variables_give_the_exact_evidence_by_the_chain_rule(x):
    model = Grid()
    trace = model.trace(x, Enumerate({"row": 2, "column": 3}))
    prior = model.row.log_softmax(0)[:, None] + model.column.log_softmax(1)
    joint = prior[..., None] + Normal(model.loc[:, :, None], torch.ones(2)).log_prob(x)
    exact = joint.logsumexp((0, 1))
    assert torch.allclose(trace.log_w, exact.expand(6, 300))
    assert torch.allclose(ELBO()(trace), exact)
    assert torch.allclose(trace.log_weight, joint.reshape(6, 300) - exact)
    rows = (joint - exact).logsumexp(1)
    assert torch.allclose(trace["row"].log_q.reshape(2, 3, 300), rows[:, None].expand(2, 3, 300))
    assert torch.allclose(trace["row"].log_q + trace["column"].log_q, trace.log_weight)


def test_variable_that_is_not_enumerated_is_named(x):
    with pytest.raises(ValueError, match="'column'"):
        Grid().trace(x, Enumerate({"row": 2}))


def test_expectations_are_weighted_by_the_posterior(model, x):
    trace = model.trace(x, Enumerate({"z": COMPONENTS}))
    r = trace.log_weight.exp()
    assert torch.allclose(trace.expectation(trace["x"].log_p), (r * trace["x"].log_p).sum(0))
    assert torch.allclose(trace.expectation(trace.distortion + trace.rate()), -log_evidence(model, x))


def test_enumeration_decides_all_variables_or_none():
    for mixed in (
        lambda: PerVariable({"z": Enumerate({"z": 3})}, FromPrior(3)),
        lambda: Given({}, Enumerate({"z": 3})),
    ):
        with pytest.raises(ValueError, match="got Enumerate, which weighs whole traces"):
            mixed()


@pytest.mark.parametrize("objective", [ELBO(), IWAE(COMPONENTS), FreeBits(0.0)])
def test_an_impossible_component_changes_no_gradient(x, objective):
    bounds, gradients = [], []
    for components in (2, 3):
        torch.manual_seed(1)
        mixture = Mixture(3, 2)
        mixture.logits = nn.Parameter(mixture.logits[:components].detach())
        bounds.append(objective(Forbidding(mixture).trace(x, Enumerate({"z": components}))))
        gradients.append(torch.autograd.grad(bounds[-1].mean(), (mixture.loc, mixture.log_scale, mixture.logits)))
    assert torch.allclose(*bounds)
    for two, three in zip(*gradients, strict=True):
        assert torch.allclose(three[: len(two)], two)
        assert (three[len(two) :] == 0).all()


def test_an_impossible_row_costs_no_gradient(x):
    model = Grid()
    forbidden = torch.tensor([0.0, -torch.inf])
    model.row.data.add_(forbidden)
    bound = ELBO()(model.trace(x, Enumerate({"row": 2, "column": 3})))
    alone = Normal(model.loc[0].unsqueeze(1), torch.ones(2)).log_prob(x) + model.column[0].log_softmax(0).unsqueeze(1)
    assert torch.allclose(bound, alone.logsumexp(0))
    found = torch.autograd.grad(bound.mean(), (model.loc, model.column))
    expected = torch.autograd.grad(alone.logsumexp(0).mean(), (model.loc, model.column))
    assert all(torch.allclose(a, b) for a, b in zip(found, expected, strict=True))


class Forbidding(Model):
    """A mixture whose third component, if it has one, has probability zero."""

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        self.mixture = mixture

    def walk(self, visit: Visit, batch: Batch) -> None:
        mixture = self.mixture
        forbidden = torch.tensor([0.0, 0.0, -torch.inf])[: len(mixture.logits)]
        z = visit("z", p=lambda: Categorical(mixture.logits + forbidden))
        visit("x", p=lambda: Normal(mixture.loc[z], mixture.log_scale[z].exp()), value=batch["x"])


@pytest.mark.parametrize("shape", [(2,), (1, 2, 1)])
def test_the_optimal_sigma_weighs_particles_as_the_trace_does(x, shape, generator):
    x = x.reshape(-1, *shape)
    variable = Variable(shape)
    part = OptimalGaussian(variable, COMPONENTS, decoder=partial(MLP, hidden=()))
    model = OneHot(part)
    model.initialize(Batch(x), generator, variable)
    trace = model.trace(x, Enumerate({"z": COMPONENTS}, one_hot=True))
    part.begin_calibration(0)
    part.observe(trace)
    part.end_calibration()
    axes = (0, 1) if len(shape) == 1 else (0, 1, 2, 3, 4)
    weight = trace.log_weight.exp().reshape(COMPONENTS, -1, *(1,) * len(shape))
    error = weight * (x - trace["x"].p.mean).square()
    assert torch.allclose(part.variance, error.sum(axes) / (len(x) if len(shape) == 1 else x.numel()))


class OneHot(Model):
    """p(z) p(x | z) with a one-hot z."""

    def __init__(self, likelihood: OptimalGaussian) -> None:
        super().__init__()
        self.likelihood = likelihood

    def walk(self, visit: Visit, batch: Batch) -> None:
        z = visit("z", p=lambda: OneHotCategorical(torch.zeros(COMPONENTS)))
        visit("x", p=lambda: self.likelihood(z), value=batch["x"])


def test_another_number_of_values_than_the_variable_has_is_refused(model, x):
    with pytest.raises(ValueError, match="levels: expected 3 for 'z', as its distribution has, got 2"):
        model.trace(x, Enumerate({"z": 2}))


def test_levels_that_nobody_gives_are_those_of_the_walk(model, x):
    given, found = (model.trace(x, Enumerate(levels)) for levels in ({"z": COMPONENTS}, None))
    torch.testing.assert_close(found.log_w, given.log_w)
    grid = Grid()
    both = grid.trace(x, Enumerate())
    torch.testing.assert_close(both.log_w, grid.trace(x, Enumerate({"row": 2, "column": 3})).log_w)


def test_one_hot_vectors_are_found_where_nobody_says(x):
    model = OneHot(OptimalGaussian(Variable((2,)), latent_dim=COMPONENTS))
    torch.testing.assert_close(
        model.trace(x, Enumerate()).log_w, model.trace(x, Enumerate({"z": COMPONENTS}, one_hot=True)).log_w
    )


def test_what_is_not_finite_can_not_be_enumerated():
    model = VAE(Variable((2,)), latent_dim=2)
    with pytest.raises(ValueError, match="levels: expected latent variables of finitely many values, got 'z'"):
        model.trace(torch.zeros(3, 2), Enumerate())


class Both(Model):
    """A number and a one-hot vector."""

    latents = ("row", "column")

    def walk(self, visit: Visit, batch: Batch) -> None:
        row = visit("row", p=lambda: Categorical(torch.tensor([0.2, 0.5])))
        column = visit("column", p=lambda: OneHotCategorical(torch.tensor([0.3, -0.2, 0.1])))
        loc = row.double().unsqueeze(-1) + column[..., :2]
        visit("x", p=lambda: Normal(loc, torch.ones(2)), value=batch["x"])


def test_numbers_and_one_hot_vectors_may_stand_side_by_side(x):
    trace = Both().trace(x, Enumerate())
    assert (trace["row"].value.shape, trace["column"].value.shape) == ((6, 1), (6, 1, 3))
    p = torch.tensor([0.2, 0.5]).softmax(0).unsqueeze(1) * torch.tensor([0.3, -0.2, 0.1]).softmax(0)
    expected = torch.stack([
        p[i, j].log() + Normal(i + torch.eye(3)[j, :2], torch.ones(2)).log_prob(x) for i in range(2) for j in range(3)
    ]).logsumexp(0)  # fmt: skip
    torch.testing.assert_close(trace.log_w[0], expected)


def test_the_first_look_leaves_a_net_as_it_was(x):
    class Normed(Mixture):
        def __init__(self) -> None:
            super().__init__(COMPONENTS, 2)
            self.net = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, COMPONENTS))

        def walk(self, visit: Visit, batch: Batch) -> None:
            z = visit("z", p=lambda: Categorical(self.logits), q=lambda: Categorical(self.net(batch["x"])))
            visit("x", p=lambda: Normal(self.loc[z], self.log_scale[z].exp()), value=batch["x"])

    model, state = Normed(), torch.get_rng_state()
    once, twice = (model.trace(x, Enumerate(levels, exact=False)).log_w for levels in ({"z": COMPONENTS}, None))
    torch.testing.assert_close(once, twice)
    assert model.net[0].num_batches_tracked == 2
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
