"""What has no importance weight refuses to give one, and estimators refuse objectives that they are wrong for.

Each refusal beside the number that would have been wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal as Reference

from tests.closed_form.linear_gaussian import LinearGaussian
from tests.systems.diffusion import Diffusion, Optimal
from unveil.distributions import Normal, OneHotCategorical
from unveil.gradients import DReG, Gradient, Pathwise, RelaxedPathwise, StickingTheLanding
from unveil.models import VAE, FromPosterior, Given, Model, Relaxed, Trace, Visit
from unveil.models.term import Bound
from unveil.objectives import ELBO, IWAE, BetaELBO, FreeBits, Hybrid, Objective
from unveil.variables import Batch, Variable


class Bounded(Model):
    """A model whose prior gives a lower bound where a log-probability is asked for."""

    def __init__(self, bound: Bound) -> None:
        super().__init__()
        self.bound: Bound = bound

    def walk(self, visit: Visit, batch: Batch) -> None:
        standard = Normal(torch.zeros(1), torch.ones(1))
        z = visit("z", p=lambda: standard, q=lambda: standard, bound=self.bound)
        visit("x", p=lambda: Normal(z, torch.ones(1)), value=batch["x"])


class Switch(Model):
    """z is one of two one-hot vectors; x is at -1 or at 1."""

    def walk(self, visit: Visit, batch: Batch) -> None:
        z = visit("z", p=lambda: OneHotCategorical(torch.zeros(2)), q=lambda: OneHotCategorical(torch.zeros(2)))
        x = z @ torch.tensor([[-1.0], [1.0]])
        visit("x", p=lambda: Normal(x, torch.tensor(0.1)), value=batch["x"])


X = torch.zeros(1, 1, dtype=torch.float64)


def refuses(trace: Trace, reason: str) -> None:
    questions: list[Callable[[], Tensor]] = [lambda: trace.log_w, lambda: trace.log_joint, lambda: IWAE()(trace)]
    for question in questions:
        with pytest.raises(ValueError, match=reason):
            question()


def test_subsampled_level_has_no_weight_and_one_would_lie_above_the_evidence(generator):
    model = Diffusion(Optimal(1.0))
    trace = model.trace(X, FromPosterior(5000, generator, subsample=True))
    refuses(trace, "log_.*: the term 'z_s' stands for several terms, of which it is one taken at random")
    assert model.trace(X, FromPosterior(2, generator)).bound == "exact"
    weighted = sum(term.weighted(term.log_p - term.log_q) for term in trace)
    evidence = Reference(0.0, 1.0).log_prob(X).sum()
    assert trace.log_mean_exp(weighted) > evidence + 1
    assert ELBO()(trace) < evidence + 0.2


def test_relaxed_value_has_no_weight_and_a_relaxed_elbo_can_lie_above_the_evidence(generator):
    trace = Switch().trace(X, Relaxed(5.0, 5000, generator))
    refuses(trace, "log_.*: the term 'z' has a relaxed value")
    assert trace.bound == "relaxed"
    evidence = Reference(1.0, 0.1).log_prob(X).sum()
    assert torch.allclose(ELBO()(Switch().trace(X, FromPosterior(10, generator))), evidence)
    assert ELBO()(trace) > evidence + 10


@pytest.mark.parametrize("bound", ["lower", "upper", "unbiased", "consistent"])
def test_bounded_term_has_no_weight(bound, generator):
    trace = Bounded(bound).trace(X, FromPosterior(2, generator))
    refuses(trace, rf"log_.*: the term 'z' is only a bound \({bound}\)")
    assert trace.bound == bound
    assert ELBO()(trace).isfinite().all()
    assert Bounded("exact").trace(X, FromPosterior(2, generator)).log_w.shape == (2, 1)


def test_trace_that_left_p_or_q_out_has_no_weight(generator):
    model, x = LinearGaussian(), torch.randn(4, 3)
    with pytest.raises(ValueError, match="log_w: this trace was made without evaluating p"):
        _ = model.trace(x, FromPosterior(2, generator, scores="q")).log_w
    with pytest.raises(ValueError, match="log_w: this trace was made without evaluating q"):
        _ = model.trace(x, Given({"z": torch.randn(2, 4, 2)})).log_w


def test_joint_density_wants_every_latent_by_its_name():
    model, x, z = LinearGaussian(), torch.randn(4, 3), torch.randn(4, 2)
    assert torch.allclose(model.log_joint(x, z), model.log_joint(x, {"z": z}))
    with pytest.raises(ValueError, match=r"no latent variable Z; expected some of z$"):
        model.log_joint(x, {"Z": z})


class Twice(Model):
    def walk(self, visit: Visit, batch: Batch) -> None:
        for _ in range(2):
            visit("z", p=lambda: Normal(torch.zeros(1), torch.ones(1)))


def test_variable_that_is_visited_twice_is_named(generator):
    with pytest.raises(ValueError, match="z: visited twice"):
        Twice().trace(Batch(size=3), FromPosterior(1, generator))


RIGHT: list[tuple[Gradient, Objective]] = [
    (StickingTheLanding(), ELBO(closed_form=False)),
    (StickingTheLanding(), BetaELBO(2.0, closed_form=False)),
    (StickingTheLanding(), IWAE(1)),
    (DReG(), IWAE(1)),
    (DReG(), IWAE(3)),
    (RelaxedPathwise(), ELBO()),
    (RelaxedPathwise(), BetaELBO(2.0)),
    (RelaxedPathwise(), FreeBits()),
    *((Pathwise(), objective) for objective in (ELBO(), BetaELBO(2.0), FreeBits(), IWAE(3), Hybrid())),
]
WRONG: list[tuple[Gradient, Objective]] = [
    (StickingTheLanding(), ELBO()),
    (StickingTheLanding(), BetaELBO(2.0)),
    (StickingTheLanding(), IWAE(2)),
    (StickingTheLanding(), FreeBits()),
    (StickingTheLanding(), Hybrid()),
    (DReG(), ELBO()),
    (DReG(), ELBO(closed_form=False)),
    (DReG(), BetaELBO(2.0)),
    (DReG(), FreeBits()),
    (DReG(), Hybrid()),
    (RelaxedPathwise(), IWAE(3)),
    (RelaxedPathwise(), Hybrid()),
]


def named(part: Gradient | Objective) -> str:
    form = getattr(part, "closed_form", None)
    return f"{type(part).__name__}{getattr(part, 'particles', '')}{'' if form is None else f'closed={form}'}"


@pytest.mark.parametrize(("estimator", "objective"), RIGHT, ids=named)
def test_sensible_pair_makes_a_finite_loss_for_each_example(estimator, objective, generator):
    estimator.check(objective)
    step = estimator(LinearGaussian(), objective, Batch(torch.randn(4, 3)), generator)
    assert step.loss.shape == step.value.shape == (4,)
    assert step.loss.isfinite().all()


@pytest.mark.parametrize(("estimator", "objective"), WRONG, ids=named)
def test_senseless_pair_is_refused_by_name_before_and_in_a_step(estimator, objective, generator):
    with pytest.raises(ValueError, match=f"gradient: .*{type(objective).__name__}.*; use "):
        estimator.check(objective)
    with pytest.raises(ValueError, match=f"gradient: .*{type(objective).__name__}.*; use "):
        estimator(LinearGaussian(), objective, Batch(torch.randn(4, 3)), generator)


class Sloppy(Model):
    """A walk with the distributions that a test gives it."""

    def __init__(self, p, q=None):
        super().__init__()
        self.p, self.q = p, q

    def walk(self, visit, batch):
        z = visit("z", p=self.p, q=self.q)
        visit("x", p=lambda: Normal(z, torch.ones(3)), value=batch["x"])


def test_a_distribution_in_the_place_of_a_function_is_refused():
    with pytest.raises(TypeError, match="z: p: expected a function, p=lambda"):
        Sloppy(Normal(torch.zeros(3), torch.ones(3))).trace(torch.zeros(4, 3))


def test_event_axes_that_are_not_declared_are_refused():
    undeclared = torch.distributions.Normal(torch.zeros(4, 3), 1.0)
    with pytest.raises(ValueError, match=r"here \(2, 4\), got \(4, 3\); declare the event axes"):
        Sloppy(lambda: Normal(torch.zeros(3), torch.ones(3)), lambda: undeclared).trace(
            torch.zeros(4, 3), FromPosterior(2)
        )


@pytest.mark.parametrize("name", ["prior", "likelihood", "posterior", "encoder", "decoder"])
def test_an_object_in_the_place_of_a_factory_is_refused(name):
    with pytest.raises(
        TypeError, match=f"{name}: expected a class, or functools.partial of one.*got an object of type Linear"
    ):
        VAE(Variable((3,)), **{name: torch.nn.Linear(2, 3)})


def test_a_shape_is_no_variable():
    with pytest.raises(TypeError, match=r"x: expected a Variable.*got \(3,\)"):
        VAE((3,))
