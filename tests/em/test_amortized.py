"""The mixture with a net for q, and sums over finite latent variables."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from tests.agreement import assert_mean
from unveil.components import Diagonal
from unveil.distributions import Normal
from unveil.gradients import Pathwise
from unveil.models import VAE, AmortizedMixture, Enumerate, GaussianMixture
from unveil.nets import MLP
from unveil.objectives import ELBO, SummedELBO
from unveil.posteriors import MixtureOfGaussians
from unveil.variables import Batch, Variable

LEVELS = {"z": 3}


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(40, 2) + 3 * torch.randint(3, (40, 1))


@pytest.fixture
def model(x, generator) -> AmortizedMixture:
    made = AmortizedMixture(Variable((2,)), components=3, family=Diagonal, encoder=partial(MLP, hidden=(8,)))
    made.initialize(Batch(x), generator)
    return made


def exact(model: AmortizedMixture) -> GaussianMixture:
    """The same mixture, with the exact posterior."""
    same = GaussianMixture(Variable((2,)), components=3, covariance=Diagonal)
    same.family.load_state_dict(model.family.state_dict())
    same.log_weights.data.copy_(model.log_weights.data)
    return same


def test_the_summed_bound_lies_below_the_likelihood_by_the_divergence_of_q(model, x):
    bound = SummedELBO(LEVELS)(model.trace(x, Enumerate(LEVELS, exact=False)))
    same = exact(model)
    q, p = model.posterior(x).logits, same.posterior(x).logits
    divergence = (q.exp() * (q - p)).sum(-1)
    torch.testing.assert_close(bound, same.log_prob(x) - divergence)
    assert (divergence > 1e-3).any()


def test_levels_are_the_models_where_nobody_says(model, x, generator):
    known, found = (model.trace(x, Enumerate(levels, exact=False)) for levels in (LEVELS, None))
    torch.testing.assert_close(found.log_w, known.log_w)
    one, other = (Pathwise()(model, SummedELBO(levels), Batch(x), generator).value for levels in (LEVELS, None))
    torch.testing.assert_close(one, other)


def test_the_summed_bound_is_what_sampled_bounds_average_to(model, x, generator):
    summed = SummedELBO(LEVELS)(model.trace(x, Enumerate(LEVELS, exact=False)))
    sampled = model.trace(x, next(iter(ELBO(4000).sources(generator, pathwise=False))))
    assert_mean(sampled.log_w - summed.detach(), 0.0)


def test_its_gradient_reaches_q_and_the_components(model, x, generator):
    step = Pathwise()(model, SummedELBO(LEVELS), Batch(x), generator)
    step.loss.mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_components_begin_apart(model):
    assert torch.pdist(model.family.means).min() > 0.5


def test_what_is_enumerated_under_q_keeps_the_exact_posterior_as_it_was(model, x):
    trace = model.trace(x, Enumerate(LEVELS))
    torch.testing.assert_close(trace.log_w, exact(model).log_prob(x).expand(3, -1))


def test_a_posterior_that_is_a_mixture_has_weights_with_a_gradient_and_trains(x, generator):
    posterior = partial(MixtureOfGaussians, components=4)
    small = partial(MLP, hidden=(8,))
    model = VAE(Variable((2,)), latent_dim=2, posterior=posterior, encoder=small, decoder=small)
    step = Pathwise()(model, ELBO(), Batch(x), generator)
    step.loss.mean().backward()
    weights = model.posterior.net.output.weight.grad.unflatten(0, (4, 5))[:, -1]
    assert weights.any()
    q = model.posterior(x)
    assert q.batch_shape == (40,)
    assert isinstance(q.components, Normal)
    assert q.log_weights.shape == (40, 4)
    with pytest.raises(ValueError, match="components: expected at least 1, got 0"):
        MixtureOfGaussians(Variable((2,)), 2, components=0)
