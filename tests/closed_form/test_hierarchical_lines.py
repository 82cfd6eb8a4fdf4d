"""Two latent levels, linear-Gaussian in one dimension each: what the formulas of one level get wrong.

Bottom-up: q(z1 | x) q(z2 | z1), so that E_q[log q(z1 | x) - log p(z1 | z2)] is no KL divergence.
Top-down: q(z2 | x) q(z1 | z2, x), so that z1's density depends on q's parameters through z2 too: a gradient that
detaches q must detach its parameters and keep z2 live.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.agreement import assert_mean, assert_other_mean, gradient, gradients
from unveil.distributions import Normal, closed_form_kl
from unveil.gradients import DReG, Pathwise, StickingTheLanding
from unveil.models import FromPosterior, Model, Trace, Visit
from unveil.objectives import ELBO, IWAE
from unveil.variables import Batch

X = torch.tensor([[0.8]], dtype=torch.float64)
LOG_2PI = torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))


class TwoLevels(Model):
    """p(z2) = N(0, 1), p(z1 | z2) = N(w2 z2, r2^2), p(x | z1) = N(w1 z1, r1^2)."""

    latents = ("z2", "z1")

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.3, 0.9]))  # of p(x | z1), p(z1 | z2)
        self.r = nn.Parameter(torch.tensor([0.7, 0.3]))
        self.a = nn.Parameter(torch.tensor([0.5, 0.8]))  # slopes of q, lower variable first
        self.c = nn.Parameter(torch.tensor([0.2, -0.1]))
        self.s = nn.Parameter(torch.tensor([0.9, 0.4]))
        self.extra = nn.Parameter(torch.tensor(1.5))  # the second slope of q(z1 | z2, x)

    def p2(self) -> Normal:
        return Normal(torch.zeros(1), torch.ones(1))

    def p1(self, z2: Tensor) -> Normal:
        return Normal(self.w[1] * z2, self.r[1])

    def observe(self, visit: Visit, batch: Batch, z1: Tensor) -> None:
        visit("x", p=lambda: Normal(self.w[0] * z1, self.r[0]), value=batch["x"])

    def evidence_less(self, entropy: Tensor, z1: tuple[Tensor, Tensor], z2: Tensor, gap: Tensor) -> Tensor:
        """The ELBO from q's entropy, (mean, E z1^2), E z2^2 and E (z1 - w2 z2)^2."""
        mean, square = z1
        x = X.squeeze() ** 2 - 2 * X.squeeze() * self.w[0] * mean + self.w[0] ** 2 * square
        log_p = -0.5 * (x / self.r[0] ** 2 + gap / self.r[1] ** 2 + z2) - self.r.log().sum() - 1.5 * LOG_2PI
        return log_p + entropy


class BottomUp(TwoLevels):
    """q(z1 | x) = N(a1 x + c1, s1^2), q(z2 | z1) = N(a2 z1 + c2, s2^2)."""

    def walk(self, visit: Visit, batch: Batch) -> None:
        z1 = visit.propose("z1", lambda: Normal(self.a[0] * batch["x"] + self.c[0], self.s[0]))
        z2 = visit("z2", p=self.p2, q=lambda: Normal(self.a[1] * z1 + self.c[1], self.s[1]))
        self.observe(visit, batch, visit("z1", p=lambda: self.p1(z2)))

    def gap(self) -> Tensor:
        """E_q (z1 - w2 z2)^2."""
        mean = self.a[0] * X.squeeze() + self.c[0]
        kept = 1 - self.w[1] * self.a[1]
        shift = kept * mean - self.w[1] * self.c[1]
        return shift**2 + kept**2 * self.s[0] ** 2 + self.w[1] ** 2 * self.s[1] ** 2

    def elbo(self) -> Tensor:
        """The ELBO at X in closed form."""
        mean = self.a[0] * X.squeeze() + self.c[0]
        z2 = (self.a[1] * mean + self.c[1]) ** 2 + self.a[1] ** 2 * self.s[0] ** 2 + self.s[1] ** 2
        entropy = self.s.log().sum() + 1 + LOG_2PI
        return self.evidence_less(entropy, (mean, mean**2 + self.s[0] ** 2), z2, self.gap())


class TopDown(TwoLevels):
    """q(z2 | x) = N(a2 x + c2, s2^2), q(z1 | z2, x) = N(a1 x + extra z2 + c1, s1^2)."""

    def q1(self, z2: Tensor, x: Tensor) -> Normal:
        return Normal(self.a[0] * x + self.extra * z2 + self.c[0], self.s[0])

    def walk(self, visit: Visit, batch: Batch) -> None:
        x = batch["x"]
        z2 = visit("z2", p=self.p2, q=lambda: Normal(self.a[1] * x + self.c[1], self.s[1]))
        z1 = visit("z1", p=lambda: self.p1(z2), q=lambda: self.q1(z2, x))
        self.observe(visit, batch, z1)

    def elbo(self) -> Tensor:
        """The ELBO at X in closed form."""
        x, above = X.squeeze(), self.a[1] * X.squeeze() + self.c[1]
        mean = self.a[0] * x + self.extra * above + self.c[0]
        variance = self.extra**2 * self.s[1] ** 2 + self.s[0] ** 2
        gap = (mean - self.w[1] * above) ** 2 + (self.extra - self.w[1]) ** 2 * self.s[1] ** 2 + self.s[0] ** 2
        entropy = self.s.log().sum() + 1 + LOG_2PI
        return self.evidence_less(entropy, (mean, mean**2 + variance), above**2 + self.s[1] ** 2, gap)

    def two_particles(self) -> Tensor:
        """The two-particle bound at X, by the trapezoid rule over the four noises."""
        eps = torch.linspace(-5.5, 5.5, 29)
        normal = -0.5 * eps.square() - 0.5 * LOG_2PI
        high, low = torch.meshgrid(eps, eps, indexing="ij")
        z2 = self.a[1] * X + self.c[1] + self.s[1] * high
        q1 = self.q1(z2, X)
        z1 = q1.loc + self.s[0] * low
        squares = z2**2 + ((z1 - self.w[1] * z2) / self.r[1]) ** 2 + ((X - self.w[0] * z1) / self.r[0]) ** 2
        log_w = -0.5 * squares - self.r.log().sum() - 0.5 * LOG_2PI + 0.5 * (high**2 + low**2) + self.s.log().sum()
        weight = (normal.unsqueeze(1) + normal).exp().flatten() * (eps[1] - eps[0]) ** 2
        log_w = log_w.flatten()
        pairs = torch.logaddexp(log_w.unsqueeze(0), log_w.unsqueeze(1)) - torch.tensor(2.0).log()
        return (weight.unsqueeze(0) * weight.unsqueeze(1) * pairs).sum()


def q_parameters(model: TwoLevels) -> list[Tensor]:
    """The parameters of q."""
    return [model.a, model.c, model.s, *([model.extra] if isinstance(model, TopDown) else [])]


def detached_distributions(trace: Trace) -> Trace:
    """The trace with log q under distributions that are detached whole, parents' values included."""
    frozen = {term.name: Normal(term.q.loc.detach(), term.q.scale.detach()) for term in trace.latents}
    return trace.with_log_q({name: q.log_prob(trace[name].value) for name, q in frozen.items()})


def test_bottom_up_term_of_the_lower_variable_has_no_closed_form():
    trace = BottomUp().trace(X)
    assert trace["z1"].kl is None
    assert trace["z2"].kl is not None


def test_bottom_up_term_is_sampled_and_a_closed_form_kl_gives_another_number_of_another_sign(generator):
    model = BottomUp()
    trace = model.trace(X, FromPosterior(20_000, generator))
    entropy = 0.5 * (1 + LOG_2PI) + model.s[0].log()
    cross = -0.5 * model.gap() / model.r[1] ** 2 - model.r[1].log() - 0.5 * LOG_2PI
    with torch.no_grad():  # q(z2 | z1) close to the inverse of p(z1 | z2)
        model.a[1], model.c[1], model.s[1] = 1 / model.w[1], 0.0, 0.05
    sharp = model.trace(X, FromPosterior(20_000, generator))
    for found, expected in ((trace, -entropy - cross), (sharp, -entropy - _cross(model))):
        term = found["z1"]
        assert_mean(term.rate(), expected)
        assert_other_mean(closed_form_kl(term.q, term.p), expected)
    assert sharp["z1"].rate().mean() < -0.5
    assert closed_form_kl(sharp["z1"].q, sharp["z1"].p).mean() > 0.5


def _cross(model: BottomUp) -> Tensor:
    return -0.5 * model.gap() / model.r[1] ** 2 - model.r[1].log() - 0.5 * LOG_2PI


@pytest.mark.parametrize("kind", [BottomUp, TopDown])
@pytest.mark.parametrize("closed_form", [True, False])
def test_elbo_agrees_with_its_closed_form(kind, closed_form, generator):
    model = kind()
    batch = Batch(X.expand(20_000, 1))
    assert_mean(ELBO(closed_form=closed_form)(model.trace(batch, FromPosterior(1, generator))), model.elbo())


@pytest.mark.parametrize("kind", [BottomUp, TopDown])
@pytest.mark.parametrize(
    ("estimator", "objective"),
    [
        (Pathwise(), ELBO()),
        (Pathwise(), ELBO(closed_form=False)),
        (StickingTheLanding(), ELBO(closed_form=False)),
        (StickingTheLanding(), ELBO(particles=2, closed_form=False)),
        (DReG(), IWAE(1)),
    ],
    ids=lambda part: f"{type(part).__name__}{getattr(part, 'particles', '')}{getattr(part, 'closed_form', '')}",
)
def test_gradient_of_the_elbo_agrees_with_its_closed_form(kind, estimator, objective, generator):
    model, batch = kind(), Batch(X.expand(300, 1))
    parameters = [model.w, model.r, *q_parameters(model)]
    found = gradients(lambda: estimator(model, objective, batch, generator).loss, parameters, 150)
    assert_mean(found, gradient(model.elbo(), parameters))


@pytest.mark.parametrize("estimator", [Pathwise(), DReG()], ids=lambda part: type(part).__name__)
def test_gradient_of_the_two_particle_bound_agrees_with_quadrature(estimator, generator):
    model, batch = TopDown(), Batch(X.expand(300, 1))
    parameters = [model.w, model.r, *q_parameters(model)]
    exact = model.two_particles()
    assert model.elbo() < exact
    found = gradients(lambda: estimator(model, IWAE(2), batch, generator).loss, parameters, 150)
    assert_mean(found, gradient(exact, parameters))


def test_dreg_that_detaches_the_distribution_rather_than_its_parameters_gives_another_gradient(generator):
    model, batch = TopDown(), Batch(X.expand(300, 1))
    exact = gradient(model.two_particles(), q_parameters(model))
    assert_mean(gradients(lambda: DReG()(model, IWAE(2), batch, generator).loss, q_parameters(model), 150), exact)
    assert_other_mean(gradients(_dreg_of_detached(model, batch, generator), q_parameters(model), 150), exact)


def _dreg_of_detached(model: TopDown, batch: Batch, generator: torch.Generator) -> Callable[[], Tensor]:
    """sum_k w~_k^2 (d log w_k / dz_k) dz_k with log q under wholly detached distributions."""

    def loss() -> Tensor:
        trace = model.trace(batch, FromPosterior(2, generator, pathwise=True))
        log_w = detached_distributions(trace).log_w
        return -(log_w.detach().softmax(0).square() * log_w).sum(0)

    return loss


@torch.no_grad()
def solve(model: TopDown) -> Tensor:
    """Make q the exact posterior, by conditioning the joint Gaussian of (z2, z1, x); log p(X) comes back."""
    w, r = model.w, model.r
    covariance = torch.eye(3)
    covariance[0, 1] = covariance[1, 0] = w[1]
    covariance[1, 1] = w[1] ** 2 + r[1] ** 2
    covariance[0, 2] = covariance[2, 0] = w[0] * w[1]
    covariance[1, 2] = covariance[2, 1] = w[0] * covariance[1, 1]
    covariance[2, 2] = w[0] ** 2 * covariance[1, 1] + r[0] ** 2
    gain = covariance[0, 2] / covariance[2, 2]
    slopes = covariance[1, [0, 2]] @ torch.linalg.inv(covariance[[0, 2]][:, [0, 2]])
    model.a.copy_(torch.stack([slopes[1], gain]))
    model.extra.copy_(slopes[0])
    model.c.zero_()
    variances = torch.stack([covariance[1, 1] - slopes @ covariance[[0, 2], 1], 1 - gain * covariance[0, 2]])
    model.s.copy_(variances.sqrt())
    return Normal(torch.zeros(1), covariance[2, 2:].sqrt()).log_prob(X)


def test_every_weight_is_the_evidence_under_the_exact_hierarchical_posterior(generator):
    model = TopDown()
    log_x = solve(model)
    assert torch.allclose(model.trace(X, FromPosterior(10, generator)).log_w, log_x.expand(10, 1), rtol=0, atol=1e-12)


def test_only_detached_parameters_leave_no_variance_at_the_exact_hierarchical_posterior(generator):
    # On average a detached distribution is right for the ELBO: what it cuts is E_q(z1|z2)[d log q(z1 | z2) / dz2] = 0.
    model, batch, sampled = TopDown(), Batch(X), ELBO(closed_form=False)
    solve(model)

    def largest(loss: Callable[[], Tensor]) -> Tensor:
        return gradients(loss, q_parameters(model), 20).abs().max()

    def detached() -> Tensor:
        return -sampled(detached_distributions(model.trace(batch, FromPosterior(1, generator, pathwise=True))))

    assert largest(lambda: StickingTheLanding()(model, sampled, batch, generator).loss) < 1e-10
    assert largest(lambda: DReG()(model, IWAE(3), batch, generator).loss) < 1e-10
    assert largest(lambda: Pathwise()(model, sampled, batch, generator).loss) > 0.1
    assert largest(detached) > 0.1
