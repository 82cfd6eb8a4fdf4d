"""Priors, posteriors, likelihoods, objectives and gradients in every combination: it trains, or it says why not.

The default run takes a set of combinations in which every *pair* of choices occurs; ``-m exhaustive`` takes them all.
"""

from __future__ import annotations

from itertools import combinations, product

import pytest
import torch

from tests.registry import (
    CLASSES,
    CONDITIONAL,
    GRADIENTS,
    LATENT,
    LIKELIHOODS,
    OBJECTIVES,
    POSTERIORS,
    PRIORS,
    TINY,
    batch,
    make,
)
from unveil.gradients import Gradient, Step
from unveil.models import VAE, Model
from unveil.objectives import Objective
from unveil.variables import Batch

CHOICES = [list(PRIORS), list(POSTERIORS), list(LIKELIHOODS), list(OBJECTIVES), list(GRADIENTS)]
EVERYTHING = list(product(*CHOICES))

MEANT_FOR = {
    "Pathwise": set(OBJECTIVES),
    "RelaxedPathwise": {"ELBO", "ELBO sampled", "BetaELBO", "BetaELBO sampled", "FreeBits", "FreeBits whole"},
    "StickingTheLanding": {"ELBO sampled", "BetaELBO sampled", "IWAE of one"},
    "DReG": {"IWAE", "IWAE of one"},
}
"""The objectives of which each estimator estimates the gradient (or a relaxed one's)."""


def pairwise(choices: list[list[str]]) -> list[tuple[str, ...]]:
    """Few combinations in which every pair of two positions' choices occurs (greedily chosen)."""

    def pairs(row: tuple[str, ...]) -> set[tuple]:
        return set(combinations(enumerate(row), 2))

    everything = [(row, pairs(row)) for row in product(*choices)]
    missing = set().union(*(found for _, found in everything))
    rows = []
    while missing:
        row, found = max(everything, key=lambda candidate: len(candidate[1] & missing))
        rows.append(row)
        missing -= found
    return rows


PAIRWISE = pairwise(CHOICES)


def refused(objective: str, gradient: str) -> bool:
    return objective not in MEANT_FOR[gradient]


def built(prior: str, posterior: str, likelihood: str) -> VAE:
    part, x = LIKELIHOODS[likelihood]
    torch.manual_seed(0)
    context = CLASSES if prior in CONDITIONAL else None
    return VAE(x, context, LATENT, PRIORS[prior], part, POSTERIORS[posterior], TINY, TINY)


def trained(
    model: Model, objective: Objective, gradient: Gradient, examples: Batch, generator: torch.Generator
) -> Step:
    gradient.check(objective)
    return gradient(model, objective, examples, generator)


def check(model: Model, objective: Objective, gradient: Gradient, *, refuses: bool) -> None:
    """One step of training: finite values of the right shape and a gradient for every parameter; or a refusal."""
    examples, generator = batch(model), torch.Generator().manual_seed(0)
    model.initialize(examples, generator)
    if refuses:
        with pytest.raises(ValueError, match=r"^gradient: |has no reparametrised draw"):
            trained(model, objective, gradient, examples, generator)
        return
    before = torch.get_rng_state()
    step = trained(model, objective, gradient, examples, generator)
    assert torch.equal(torch.get_rng_state(), before), "torch's default generator was used"
    assert step.loss.shape == step.value.shape == (len(examples),)
    assert step.loss.isfinite().all()
    assert step.value.isfinite().all()
    step.loss.mean().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} has no gradient"
            assert parameter.grad.isfinite().all(), f"{name} has a gradient that is not finite"
    for trace in step.traces:
        for part in model.own_parts():
            part.observe(trace)


def check_combination(prior: str, posterior: str, likelihood: str, objective: str, gradient: str) -> None:
    model = built(prior, posterior, likelihood)
    check(model, OBJECTIVES[objective](), GRADIENTS[gradient](), refuses=refused(objective, gradient))


@pytest.mark.parametrize("parts", PAIRWISE, ids="-".join)
def test_every_pair_of_parts_trains_or_is_refused(parts):
    check_combination(*parts)


@pytest.mark.exhaustive
@pytest.mark.parametrize("parts", sorted(set(EVERYTHING) - set(PAIRWISE)), ids="-".join)
def test_every_combination_of_parts_trains_or_is_refused(parts):
    check_combination(*parts)


def test_the_default_combinations_hold_every_pair():
    for one, other in combinations(range(len(CHOICES)), 2):
        assert {(row[one], row[other]) for row in PAIRWISE} == set(product(CHOICES[one], CHOICES[other]))
    assert len(PAIRWISE) < len(EVERYTHING) / 10


def test_every_estimator_says_for_which_objectives_it_is_meant():
    assert set(MEANT_FOR) == set(GRADIENTS)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("model", ["CVAE", "GSNN"])
def test_conditional_models_train_under_every_objective_and_gradient_or_are_refused(model, objective, gradient):
    refuses = refused(objective, gradient)
    check(make("models", model), OBJECTIVES[objective](), GRADIENTS[gradient](), refuses=refuses)
