"""Densities, entropies and draws where numbers are very large, very small, or zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from unveil.distributions import (
    Bernoulli,
    Beta,
    Binomial,
    Categorical,
    DiscretizedLogistic,
    FisherSnedecor,
    Mixture,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    RelaxedOneHot,
    Triangular,
    Weibull,
    closed_form_kl,
)


def midpoints(low: float, high: float, points: int) -> tuple[Tensor, float]:
    step = (high - low) / points
    return low + step * (torch.arange(points) + 0.5), step


@pytest.mark.parametrize("loc", [0.0, -1e3, 1e6])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_normal_integrates_to_one_at_any_location_and_scale(loc, scale):
    u, step = midpoints(-12, 12, 400)
    values = loc + scale * u
    exactly = (values - loc) / scale  # what is left of u after rounding
    mass = Normal(torch.tensor([loc]), torch.tensor([scale])).log_prob(values.unsqueeze(-1)).exp() * scale * step
    reference = torch.exp(-0.5 * exactly.square()) / (2 * torch.pi) ** 0.5 * step
    torch.testing.assert_close(mass, reference)
    assert float(mass.sum()) == pytest.approx(1, abs=1e-4 if scale < 1e-3 * abs(loc) else 1e-9)


def test_a_full_normal_integrates_to_one_when_almost_singular():
    tril = torch.tensor([[1e3, 0.0], [999.0, 1e-3]])
    u = torch.cartesian_prod(*[midpoints(-10, 10, 200)[0]] * 2)
    log_prob = MultivariateNormal(torch.tensor([5.0, -5.0]), tril).log_prob(torch.tensor([5.0, -5.0]) + u @ tril.mT)
    log_mass = log_prob + tril.diagonal().log().sum() + 2 * np.log(20 / 200)
    assert float(log_mass.logsumexp(0)) == pytest.approx(0, abs=1e-6)


def test_a_mixture_of_narrow_components_far_apart_integrates_to_one():
    mixture = Mixture(torch.tensor([0.0, -20.0]), Normal(torch.tensor([[-1e2], [1e3]]), torch.tensor([[1e-2], [1e2]])))
    total = 0.0
    for loc, scale in [(-1e2, 1e-2), (1e3, 1e2)]:
        values, step = midpoints(loc - 12 * scale, loc + 12 * scale, 400)
        total += float((mixture.log_prob(values.unsqueeze(-1)).exp() * step).sum())
    assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("logits", [[0.0, 0.0], [20.0, -20.0], [-3.0, 1.0]])
def test_a_relaxed_one_hot_integrates_to_one_at_extreme_temperatures_and_logits(temperature, logits):
    centre = (logits[0] - logits[1]) / temperature
    a, step = midpoints(centre - 60 / temperature, centre + 60 / temperature, 4000)
    a = a[a.abs() < 600]  # beyond, y or 1 - y is zero
    y = torch.stack([a, torch.zeros_like(a)], -1).softmax(-1)
    log_prob = RelaxedOneHot(torch.tensor(logits), temperature).log_prob(y)
    mass = (log_prob + torch.nn.functional.logsigmoid(a) + torch.nn.functional.logsigmoid(-a)).exp() * step
    assert float(mass.sum()) == pytest.approx(1, abs=1e-8)


LOGISTIC = [
    (0.0, 1e-4),
    (127.5, 1e-8),
    (3.2, 1e6),
    (-1e5, 0.5),
    (1e5, 3.0),
    (255.0, 1e-3),
    (100.49, 0.02),
    (128.0, 40.0),
]


@pytest.mark.parametrize(("loc", "scale"), LOGISTIC)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_discretized_logistic_sums_to_one_with_finite_gradients(loc, scale, dtype):
    parameters = [torch.tensor([value], dtype=dtype, requires_grad=True) for value in (loc, scale)]
    log_prob = DiscretizedLogistic(*parameters, 256).log_prob(torch.arange(256, dtype=dtype).unsqueeze(-1))
    assert log_prob.isfinite().all()
    assert float(log_prob.detach().double().logsumexp(0)) == pytest.approx(
        0, abs=1e-9 if dtype == torch.float64 else 1e-3
    )
    for gradient in torch.autograd.grad(log_prob.sum(), parameters):
        assert gradient.isfinite().all()


def test_a_discretized_logistic_is_the_mass_that_the_logistic_puts_on_a_level():
    loc, scale, levels = 3.3, 1.7, 8
    edges = stats.logistic(loc, scale).cdf(np.arange(levels - 1) + 0.5)
    expected = np.diff(np.concatenate([[0.0], edges, [1.0]]))
    found = DiscretizedLogistic(torch.tensor([loc]), torch.tensor([scale]), levels).log_prob(torch.arange(8.0)[:, None])
    np.testing.assert_allclose(found.exp(), expected, rtol=1e-10)


@pytest.mark.parametrize("scale", [1e-4, 0.3, 1e5])
def test_a_discretized_logistic_keeps_its_slope_far_in_the_tail(scale):
    loc = torch.tensor([1000.0], requires_grad=True)
    log_prob = DiscretizedLogistic(loc, torch.tensor([scale]), 256).log_prob(torch.tensor([3.0]))
    (gradient,) = torch.autograd.grad(log_prob, loc)
    # the slope of the logistic's log-density; levels are narrow against 1e5, and far out all that counts is the tail
    assert float(gradient) == pytest.approx(np.tanh((3 - 1000) / (2 * scale)) / scale, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("logit", [-1e4, -50.0, -17.0, 0.0, 17.0, 30.0, 1e4])
def test_a_binomial_agrees_with_its_exact_log_probabilities(logit, dtype):
    total = 255
    counts = torch.arange(total + 1, dtype=dtype)
    found = Binomial(total, torch.tensor([logit], dtype=dtype)).log_prob(counts.unsqueeze(-1)).double()
    log_p, log_not_p = -np.logaddexp(0, -logit), -np.logaddexp(0, logit)
    choices = stats.binom.logpmf(np.arange(total + 1), total, 0.5) + total * np.log(2)
    expected = torch.from_numpy(choices + np.arange(total + 1) * log_p + np.arange(total, -1, -1) * log_not_p)
    precise = dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-10 if precise else 2e-6, atol=1e-9 if precise else 1e-3)


def test_a_bernoulli_at_a_certain_logit_is_certain(generator):
    logits = torch.tensor([-1e4, 1e4])
    p = Bernoulli(logits)
    certain = torch.tensor([0.0, 1.0])
    assert float(p.log_prob(certain)) == 0
    assert float(p.log_prob(1 - certain)) == -2e4
    assert torch.equal(p.sample((100,), generator), certain.expand(100, 2))
    assert float(p.entropy()) == 0


@pytest.mark.parametrize("family", [Categorical, OneHotCategorical])
def test_impossible_levels_are_never_drawn_and_leave_gradients_finite(family, generator):
    logits = torch.tensor([0.3, -torch.inf, -0.5, -torch.inf], requires_grad=True)
    p = family(logits)
    drawn = p.sample((2000,), generator)
    level = drawn if family is Categorical else drawn.argmax(-1)
    assert set(level.tolist()) == {0, 2}
    entropy = p.entropy()
    probs = logits.detach().softmax(0)[[0, 2]]
    torch.testing.assert_close(entropy, -(probs * probs.log()).sum())
    (gradient,) = torch.autograd.grad(p.log_prob(drawn).sum() + entropy, logits)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("family", [Categorical, OneHotCategorical])
def test_a_divergence_is_infinite_exactly_where_q_allows_what_p_does_not(family):
    p = family(torch.tensor([0.0, 0.0, -torch.inf]))
    within, beyond = torch.tensor([0.5, -torch.inf, -torch.inf], requires_grad=True), torch.zeros(3)
    assert float(closed_form_kl(family(beyond), p)) == torch.inf
    kl = closed_form_kl(family(within), p)
    torch.testing.assert_close(kl, torch.tensor(2.0).log())
    (gradient,) = torch.autograd.grad(kl, within)
    assert gradient.isfinite().all()


def test_relaxed_draws_stay_on_the_simplex_at_a_low_temperature(generator):
    p = RelaxedOneHot(torch.tensor([2.0, -1.0, 0.0]), 1e-3)
    y = p.sample((1000,), generator)
    torch.testing.assert_close(y.sum(-1), torch.ones(1000))
    assert p.log_prob(y).isfinite().all()


@pytest.mark.parametrize("peak", [0.0, 1.0])
def test_a_triangle_may_lean_on_either_end(peak):
    p, x = Triangular(*(torch.tensor([each]) for each in (0.0, peak, 1.0))), torch.linspace(0, 1, 11)
    slope = x if peak else 1 - x
    torch.testing.assert_close(p.log_prob(x[:, None]), (2 * slope).log())
    torch.testing.assert_close(p.cdf(x[:, None])[:, 0], x**2 if peak else 1 - (1 - x) ** 2)
    torch.testing.assert_close(p.icdf(p.cdf(x[:, None]))[:, 0], x)


@pytest.mark.parametrize(
    ("p", "mode"),
    [
        (Weibull(torch.tensor([2.0]), torch.tensor([0.7])), 0.0),
        (Weibull(torch.tensor([2.0]), torch.tensor([3.0])), 2 * (2 / 3) ** (1 / 3)),
        (FisherSnedecor(torch.tensor([1.0]), torch.tensor([3.0])), 0.0),
        (FisherSnedecor(torch.tensor([6.0]), torch.tensor([4.0])), (4 / 6) * 4 / 6),
        (Beta(torch.tensor([1.0]), torch.tensor([0.5])), 1.0),
        (Beta(torch.tensor([0.5]), torch.tensor([1.0])), 0.0),
        (Beta(torch.tensor([2.0]), torch.tensor([1.0])), 1.0),
        (Beta(torch.tensor([1.0]), torch.tensor([1.0])), 0.5),
        (Beta(torch.tensor([3.0]), torch.tensor([2.0])), 2 / 3),
    ],
    ids=str,
)
def test_modes_are_where_densities_are_largest(p, mode):
    assert p.mode.item() == pytest.approx(mode, abs=1e-6)
    near = torch.linspace(0.001, 0.999, 999)[:, None]
    assert p.log_prob(near).max() <= p.log_prob(torch.tensor([[mode]])).max() + 1e-4
