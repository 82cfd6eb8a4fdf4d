"""The registry is complete: no class escapes the contract tests."""

from __future__ import annotations

import inspect

import pytest
from torch import nn

import unveil.distributions
import unveil.flows
import unveil.gradients
import unveil.likelihoods
import unveil.models
import unveil.nets
import unveil.objectives
import unveil.posteriors
import unveil.priors
from tests.registry import DENSITIES, ELSEWHERE, EM_MODELS, MODULES, RECORDS, SOURCES, Leaves, make, modules

PACKAGES = [
    unveil.distributions,
    unveil.flows,
    unveil.gradients,
    unveil.likelihoods,
    unveil.models,
    unveil.nets,
    unveil.objectives,
    unveil.posteriors,
    unveil.priors,
]


def registered() -> set[type]:
    instances: list[object] = [make(*case) for case in modules()]
    instances += [density.make(Leaves()) for density in DENSITIES.values()]
    instances += [source(None) for source in SOURCES.values()]
    instances += [made() for made in (*EM_MODELS.values(), *ELSEWHERE.values())]
    return {type(instance) for instance in instances}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_concrete_class_is_registered(package):
    public = [getattr(package, name) for name in package.__all__]
    concrete = {thing for thing in public if inspect.isclass(thing) and not inspect.isabstract(thing)}
    found = registered()
    missing = {cls.__name__ for cls in concrete - found if cls.__name__ not in RECORDS}
    assert not missing, f"add one line each to tests/registry.py: {sorted(missing)}"


def test_every_record_left_out_is_still_public():
    assert {name for package in PACKAGES for name in package.__all__} >= RECORDS


@pytest.mark.parametrize("concept", MODULES)
def test_registered_modules_are_tiny(concept):
    for name in MODULES[concept]:
        module = make(concept, name)
        assert isinstance(module, nn.Module)
        limit = 300_000 if name == "VAE of images" else 2_000
        assert sum(parameter.numel() for parameter in module.parameters()) < limit, name
