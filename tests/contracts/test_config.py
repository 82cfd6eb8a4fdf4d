"""Configurations: what can't be written down or must not be run is refused in words."""

from __future__ import annotations

import subprocess
from functools import partial

import pytest
import torch

from tests.registry import BINARY, REAL, TINY
from unveil.config import Configurable, build, class_path, describe, locate
from unveil.models import VAE
from unveil.nets import MLP
from unveil.priors import StandardNormal, VampPrior
from unveil.variables import Variable


class Users(Configurable):
    """A class of a user's own."""

    def __init__(self, size: int, scale: float = 1.0, **options: float) -> None:
        self.size, self.scale, self.options = size, scale, options


def function(in_shape, out_shape, context):
    return MLP(in_shape, out_shape, context)


def test_plain_data_stays_as_it_is():
    value = {"a": [1, 2.5, "three", None, True], "b": {"c": [[]]}}
    assert describe(value) == value


@pytest.mark.parametrize("value", [BINARY, REAL, Variable(()), Variable((1, 2, 3), levels=256)], ids=str)
def test_a_variable_is_built_equal(value):
    assert build(describe(value)) == value


def test_parts_are_named_by_their_public_path():
    assert class_path(VampPrior) == "unveil.priors.VampPrior"
    assert class_path(Variable) == "unveil.variables.Variable"
    assert locate("unveil.priors.VampPrior") is VampPrior


def test_a_factory_keeps_its_keywords_and_what_it_makes():
    again = build(describe(partial(VampPrior, components=3)))
    assert isinstance(again, partial)
    assert (again.func, again.keywords) == (VampPrior, {"components": 3})
    assert build(describe(StandardNormal)) is StandardNormal
    nested = build(describe(partial(VAE, encoder=TINY)))
    assert nested.keywords["encoder"].keywords == {"hidden": (6,)}


def test_only_what_was_given_is_written_down():
    assert describe(MLP((3,), (2,), tanh=True))["init_args"] == {"in_shape": [3], "out_shape": [2], "tanh": True}


@pytest.mark.parametrize(
    "value", [function, lambda: None, torch.zeros(2), {1, 2}, partial(function, context=0), partial(MLP, (3,))]
)
def test_what_can_not_be_written_down_is_refused_and_named(value):
    with pytest.raises(TypeError, match="configuration: can't write down"):
        describe({"encoder": value})


@pytest.mark.parametrize(
    "path",
    [
        "subprocess.Popen",
        "os.system",
        "torch.nn.Linear",
        "tests.contracts.test_config.Users",
        "unveil.config.importlib.import_module",
        "unveil.config.build",
        "unveil.config.inspect",
        "unveil.distributions.Normal",
        "unveil.priors.Nothing",
        "unveil.nothing.Nothing",
        "unveil",
        "",
    ],
)
@pytest.mark.parametrize("key", ["class_path", "factory"])
def test_loading_runs_nothing_but_this_packages_parts(path, key, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("was run"))
    with pytest.raises(ValueError, match="class_path: "):
        build({"prior": [{key: path, "init_args": {"x": 1}}]})


def test_a_trusted_class_of_a_users_own_is_built_with_all_of_its_arguments():
    value = Users(3, scale=2.0, warmth=4.0)
    again = build(describe(value), trust=True)
    assert type(again) is Users
    assert vars(again) == vars(value)


def test_arguments_are_remembered_as_given_not_as_changed():
    widths = [4, 5]
    net = MLP((3,), (2,), hidden=widths)
    widths.append(6)
    assert describe(net)["init_args"]["hidden"] == [4, 5]
