"""The parts that there are, by kind and name."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable

from unveil.cli.errors import UsageError, near
from unveil.cli.signatures import a_kind
from unveil.components import Components, ComponentsFactory, Weighting, WeightingFactory
from unveil.config import Configurable, class_path, locate
from unveil.flows import Dequantization, DequantizationFactory, Flow, FlowFactory, Monotone, MonotoneFactory
from unveil.gradients import Gradient
from unveil.likelihoods import Likelihood, LikelihoodFactory
from unveil.models import Model
from unveil.nets import Net, NetFactory
from unveil.objectives import Objective, Schedule
from unveil.posteriors import Posterior, PosteriorFactory
from unveil.priors import Prior, PriorFactory
from unveil.variables import Variable

ModelFactory = Callable[[Variable, Variable | None], Model]
"""Makes a model from ``x, context``: a class, or functools.partial of a class."""

KINDS: dict[type, str] = {
    Model: "unveil.models",
    Prior: "unveil.priors",
    Likelihood: "unveil.likelihoods",
    Posterior: "unveil.posteriors",
    Components: "unveil.components",
    Weighting: "unveil.components",
    Net: "unveil.nets",
    Flow: "unveil.flows",
    Monotone: "unveil.flows",
    Dequantization: "unveil.flows",
    Objective: "unveil.objectives",
    Gradient: "unveil.gradients",
    Schedule: "unveil.objectives",
}
"""The kinds of parts, and the package that each lives in."""

FACTORIES = (
    ModelFactory, PriorFactory, LikelihoodFactory, PosteriorFactory, NetFactory, FlowFactory, MonotoneFactory,
    DequantizationFactory, ComponentsFactory, WeightingFactory,
)  # fmt: skip
SIZES: dict[type, int] = {typing.get_args(factory)[1]: len(typing.get_args(factory)[0]) for factory in FACTORIES}
"""How many arguments the factories of a kind are called with; they are not the user's to give."""

NAMES = {base.__name__: base for base in KINDS} | {"ModelFactory": ModelFactory, "PriorFactory": PriorFactory}
"""The names that the records of options use in their annotations."""


def named(base: type) -> dict[str, type]:
    """The parts of a kind, by name."""
    module = importlib.import_module(KINDS[base])
    public = {name: getattr(module, name) for name in module.__all__}
    return {
        name: value
        for name, value in public.items()
        if inspect.isclass(value) and issubclass(value, base) and value is not base and not inspect.isabstract(value)
    }


def kind_of(cls: type) -> type:
    """The kind of a part's class."""
    return next(base for base in KINDS if issubclass(cls, base))


def word(base: type) -> str:
    """A kind in a sentence: ``"prior"``."""
    return base.__name__.lower()


def find(base: type, name: str, where: str, *, trust: bool) -> type:
    """The part of a kind that a name means: one of this package's, or a dotted path where that is trusted.

    Args:
        base: The kind.
        name: The name.
        where: The setting, for messages.
        trust: Whether other packages' code may be run.

    Raises:
        UsageError: If there is no such part.
    """
    known = named(base)
    if name in known:
        return known[name]
    if "." not in name:
        hint = near(name, known) or f"; expected one of {', '.join(known)}"
        raise UsageError(f"{where}: unknown {word(base)} {name!r}{hint}")
    try:
        found = locate(name, trust=trust)
    except ValueError as error:
        raise UsageError(f"{where}: {_reason(name, error, trust=trust)}") from error
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise UsageError(f"{where}: expected {a_kind(base)}, got {name}")
    return found


def spelled(cls: type[Configurable]) -> str:
    """The name that :func:`find` finds this class by."""
    return cls.__name__ if named(kind_of(cls)).get(cls.__name__) is cls else class_path(cls)


def _reason(name: str, error: ValueError, *, trust: bool) -> str:
    if trust or name.startswith("unveil."):
        return str(error).removeprefix("class_path: ")
    return f"{name} is not of this package, and its code would be run; add --trust if you trust it"
