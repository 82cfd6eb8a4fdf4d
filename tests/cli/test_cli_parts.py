"""Every part can be named, described and put where its kind goes."""

from __future__ import annotations

import typing

import pytest

from unveil.cli.documented import arguments
from unveil.cli.parts import own_options
from unveil.cli.registry import KINDS, NAMES, SIZES, find, named, spelled, word
from unveil.cli.signatures import Slot, parameters
from unveil.components import Components, Weighting
from unveil.flows import Dequantization, Flow
from unveil.likelihoods import Likelihood
from unveil.models import Model
from unveil.nets import Net, NetFactory
from unveil.posteriors import Posterior
from unveil.priors import Prior

PARTS = [(base, name) for base in KINDS for name in named(base)]
SIZE_NAMES = {
    Model: ["x", "context"],
    Prior: ["latent_dim", "context", "x"],
    Likelihood: ["x", "latent_dim", "context", "decoder"],
    Posterior: ["x", "latent_dim", "context", "encoder"],
    Net: ["in_shape", "out_shape", "context"],
    Flow: ["shape", "context"],
    Dequantization: ["x"],
    Components: ["x", "components"],
    Weighting: ["components"],
}


@pytest.mark.parametrize(("base", "name"), PARTS)
def test_a_parts_annotations_mean_something_when_it_runs(base, name):
    cls = named(base)[name]
    assert set(parameters(cls, NAMES)) <= set(typing.get_type_hints(cls.__init__, localns=NAMES))
    assert all(str(Slot.of(argument.hint)) for argument in parameters(cls, NAMES).values())


@pytest.mark.parametrize(("base", "name"), PARTS)
def test_a_factory_takes_the_sizes_first_and_in_order(base, name):
    expected = SIZE_NAMES.get(base, [])
    assert list(parameters(named(base)[name], NAMES))[: SIZES.get(base, 0)] == expected


@pytest.mark.parametrize(("base", "name"), PARTS)
def test_every_option_of_a_part_is_described_in_its_docstring(base, name):
    cls = named(base)[name]
    assert set(own_options(cls)) <= set(arguments(cls))


@pytest.mark.parametrize(("base", "name"), PARTS)
def test_a_parts_name_leads_back_to_it(base, name):
    assert find(base, spelled(named(base)[name]), "--part", trust=False) is named(base)[name]


def test_a_slot_says_what_goes_in_it():
    assert Slot.of(NetFactory | None) == Slot(Net, 3, None, optional=True)
    assert Slot.of(float) == Slot(None, None, float, optional=False)


def test_the_list_shows_every_part(unveil):
    listed = unveil("parts").out
    assert all(name in listed for _, name in PARTS)
    assert all(word(base).capitalize() in listed for base in KINDS)


def test_a_part_is_shown_with_its_options(unveil):
    shown = unveil("parts VampPrior").out
    assert "--model.prior VampPrior" in shown
    assert "--model.prior.components" in shown
    assert "default 500" in shown
    assert "pseudo-inputs" in shown


def test_a_kind_can_be_asked_for(unveil):
    assert "VampPrior" in unveil("parts prior").out
    assert "VampPrior" not in unveil("parts nets").out


def test_an_unknown_part(unveil):
    result = unveil("parts VampPriror")
    assert (result.status, result.err) == (2, "unveil: unknown part 'VampPriror'; did you mean VampPrior?\n")
