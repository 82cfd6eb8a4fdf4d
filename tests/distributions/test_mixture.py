"""Mixtures, pairs of points and components, selected components, and tempered distributions."""

from __future__ import annotations

import pytest
import torch
from torch import distributions as reference

from tests.registry import DENSITIES, Leaves
from unveil.distributions import Bernoulli, Mixture, MultivariateNormal, Normal, pairwise_log_prob, select, tempered


def components(kind: str, k: int = 4, spread: float = 0.5):
    leaves = Leaves(spread=spread)
    loc, scale = leaves.real(k, 2), leaves.positive(k, 2)
    if kind == "normal":
        return Normal(loc, scale)
    if kind == "full":
        return MultivariateNormal(loc, leaves.lower(k, 2))
    if kind == "bernoulli":
        return Bernoulli(loc)
    if kind == "image":
        return Normal(leaves.real(k, 1, 2, 3), leaves.positive(k, 1, 2, 3), 3)
    return reference.Independent(reference.Normal(loc, scale), 1)


KINDS = ["normal", "full", "bernoulli", "image", "torch"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (5,), (3, 5)], ids=str)
def test_pairs_of_points_and_components_equal_broadcasting(kind, shape, generator):
    p = components(kind)
    value = 3 * torch.randn(*shape, *p.event_shape, generator=generator)
    value = (value > 0).double() if kind == "bernoulli" else value
    one_by_one = torch.stack([p.log_prob(point) for point in value.reshape(-1, *p.event_shape)]).reshape(*shape, 4)
    torch.testing.assert_close(pairwise_log_prob(p, value), one_by_one, rtol=1e-9, atol=1e-9)


def test_pairs_keep_single_precisions_digits_for_narrow_components_far_out():
    leaves = Leaves(torch.float32)
    p = Normal(100 + leaves.real(4, 8), 1e-2 * leaves.positive(4, 8))
    value = p.loc.detach() + 1e-2
    exact = Normal(p.loc.double(), p.scale.double()).log_prob(value.double().unsqueeze(1))
    found = pairwise_log_prob(p, value)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-4)


def test_pairs_are_differentiable_in_points_and_components():
    leaves = Leaves()
    p = Normal(leaves.real(4, 2), leaves.positive(4, 2))
    value = torch.randn(5, 2, requires_grad=True)
    inputs = [*leaves.tensors, value]
    weight = torch.randn(5, 4)
    found = torch.autograd.grad((weight * pairwise_log_prob(p, value)).sum(), inputs, retain_graph=True)
    expected = torch.autograd.grad((weight * p.log_prob(value.unsqueeze(1))).sum(), inputs)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kind", ["normal", "full"])
def test_a_mixture_is_torchs_mixture(kind, generator):
    ours = components(kind)
    weights = torch.randn(4, generator=generator)
    mixture = Mixture(weights, ours)
    theirs = (
        reference.Independent(reference.Normal(ours.loc, ours.scale), 1)
        if kind == "normal"
        else reference.MultivariateNormal(ours.loc, scale_tril=ours.scale_tril)
    )
    expected = reference.MixtureSameFamily(reference.Categorical(logits=weights), theirs)
    value = 2 * torch.randn(3, 5, 2, generator=generator)
    torch.testing.assert_close(mixture.log_prob(value), expected.log_prob(value))
    torch.testing.assert_close(mixture.mean, expected.mean)
    torch.testing.assert_close(mixture.variance, expected.variance)


def test_responsibilities_are_the_posterior_over_components(generator):
    p = components("normal")
    weights = torch.randn(4, generator=generator)
    value = torch.randn(6, 2, generator=generator)
    joint = weights.softmax(0) * p.log_prob(value.unsqueeze(1)).exp()
    found = Mixture(weights, p).log_responsibilities(value).exp()
    torch.testing.assert_close(found, joint / joint.sum(-1, keepdim=True))


def test_a_component_without_weight_is_never_drawn(generator):
    p = Mixture(torch.tensor([0.0, -torch.inf]), Normal(torch.tensor([[0.0], [1e3]]), torch.ones(2, 1)))
    assert (p.sample((1000,), generator) < 100).all()
    assert p.log_prob(torch.tensor([1e3])) < -1e5


def test_a_mixture_refuses_another_number_of_weights_than_components():
    with pytest.raises(ValueError, match=r"components: expected batch shape \(3,\).*got \(4,\)"):
        Mixture(torch.zeros(3), components("normal"))


@pytest.mark.parametrize("kind", ["normal", "full", "image"])
def test_selected_components_are_those_of_the_numbers(kind):
    p = components(kind)
    k = torch.tensor([[3, 0, 0], [1, 2, 3]])
    chosen = select(p, k)
    assert chosen.batch_shape == (2, 3)
    value = torch.randn(2, 3, *p.event_shape)
    every = pairwise_log_prob(p, value)
    torch.testing.assert_close(chosen.log_prob(value), every.gather(-1, k.unsqueeze(-1)).squeeze(-1))


def test_components_that_can_not_be_selected_are_refused_by_name():
    with pytest.raises(TypeError, match="mixture of Bernoulli"):
        Mixture(torch.zeros(4), components("bernoulli")).sample((2,))


@pytest.mark.parametrize("name", ["Normal", "MultivariateNormal"])
def test_a_temperature_multiplies_the_spread_and_keeps_the_mean(name):
    p = DENSITIES[name].make(Leaves(), 3)
    half = tempered(p, 0.5)
    torch.testing.assert_close(half.mean, p.mean)
    torch.testing.assert_close(half.variance, p.variance / 4)
    torch.testing.assert_close(tempered(p, 1.0).log_prob(p.mean + 0.3), p.log_prob(p.mean + 0.3))


def test_a_tempered_mixture_keeps_its_weights_and_means(generator):
    p = DENSITIES["Mixture"].make(Leaves())
    cold = tempered(p, 1e-6)
    torch.testing.assert_close(cold.mean, p.mean)
    draws = cold.sample((4000,), generator)
    nearest = (draws.unsqueeze(1) - p.components.mean).abs().sum(-1)
    assert nearest.min(-1).values.max() < 1e-4
    share = torch.bincount(nearest.argmin(-1), minlength=3) / 4000
    torch.testing.assert_close(share.double(), p.log_weights.detach().exp(), atol=0.04, rtol=0)


@pytest.mark.parametrize("name", ["Bernoulli", "Categorical", "RelaxedOneHot"])
def test_what_has_no_tempered_form_says_so(name):
    with pytest.raises(ValueError, match=f"temperature: a {name} has no tempered form"):
        tempered(DENSITIES[name].make(Leaves()), 0.5)
