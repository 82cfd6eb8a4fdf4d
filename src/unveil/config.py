"""What a thing was made of, written down and made again.

Parts and models remember the arguments they were constructed with. :func:`describe` turns them into plain data (for
YAML and for the weights file), :func:`build` makes the thing again. Nothing is executed but the constructors of this
package's own classes, unless the caller trusts others.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

from unveil.variables import Variable

PACKAGE = __name__.partition(".")[0]


class Configurable:
    """A class whose instances remember their constructor's arguments."""

    arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note the arguments before the constructor sees them."""
        self = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        arguments = dict(list(signature.bind_partial(self, *args, **kwargs).arguments.items())[1:])
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments |= arguments.pop(parameter.name, {})
        # a list may be changed by its owner afterwards
        object.__setattr__(self, "arguments", {k: list(v) if isinstance(v, list) else v for k, v in arguments.items()})
        return self


def describe(value: Any) -> Any:
    """Plain data (mappings, lists, numbers, strings) from which :func:`build` makes ``value`` again.

    Raises:
        TypeError: If the value is a function or an object that can't be named in a configuration.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, Variable):
        return {"class_path": class_path(Variable), "init_args": describe(asdict(value))}
    if isinstance(value, Configurable):
        return {"class_path": class_path(type(value)), "init_args": describe(value.arguments)}
    if isinstance(value, functools.partial) and inspect.isclass(value.func) and not value.args:
        return {"factory": class_path(value.func), "init_args": describe(value.keywords)}
    if inspect.isclass(value):
        return {"factory": class_path(value), "init_args": {}}
    raise TypeError(
        f"configuration: can't write down {value!r}; expected numbers, strings, parts, classes of parts or "
        "functools.partial of a class with keywords. A model made of anything else can be fitted, not saved"
    )


def build(description: Any, *, trust: bool = False) -> Any:
    """Make again what :func:`describe` wrote down.

    Args:
        description: Plain data.
        trust: Whether classes of other packages may be imported and called.

    Raises:
        ValueError: If a class of another package is named and ``trust`` is false, or if a name is unknown.
    """
    if isinstance(description, list):
        return tuple(build(item, trust=trust) for item in description)
    if not isinstance(description, Mapping):
        return description
    arguments = {key: build(item, trust=trust) for key, item in description.get("init_args", {}).items()}
    if "class_path" in description:
        return locate(description["class_path"], trust=trust)(**arguments)
    if "factory" in description:
        made = locate(description["factory"], trust=trust)
        return functools.partial(made, **arguments) if arguments else made
    return {key: build(item, trust=trust) for key, item in description.items()}


def class_path(cls: type) -> str:
    """The public path of a class: ``unveil.priors.VampPrior``, not the file that defines it."""
    parts = cls.__module__.split(".")
    return ".".join([*(parts[:2] if parts[0] == PACKAGE else parts), cls.__qualname__])


def locate(path: str, *, trust: bool = False) -> type:
    """The class of that path.

    Raises:
        ValueError: If it is unknown, or not a part of this package and not trusted.
    """
    module_name, _, name = path.rpartition(".")
    if not trust and module_name.partition(".")[0] != PACKAGE:
        raise ValueError(
            f"class_path: {path} is not of this package, and loading runs its code; pass trust=True if you trust "
            "where the file comes from, or hand over the model object"
        )
    try:
        cls = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"class_path: no class {path} ({error})") from error
    if not trust and not (inspect.isclass(cls) and issubclass(cls, Configurable | Variable)):
        raise ValueError(f"class_path: {path} is not a part or a model")
    return cls
