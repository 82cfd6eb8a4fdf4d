"""What constructors ask for, read off their signatures."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unveil.config import Configurable

EMPTY = inspect.Parameter.empty
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class Argument:
    """One argument of a constructor.

    Args:
        hint: Its type.
        default: Its default; ``inspect.Parameter.empty`` where it has none.
    """

    hint: Any
    default: Any


@dataclass(frozen=True)
class Slot:
    """What may be put where a type stands.

    Args:
        kind: The kind of part; None where no part goes.
        sizes: The number of arguments that a factory of the part is called with; None where a part itself goes.
        plain: The type of plain values; None where only a part goes.
        optional: Whether it may be left to the program (None).
    """

    kind: type | None
    sizes: int | None
    plain: Any
    optional: bool

    @classmethod
    def of(cls, hint: Any) -> Slot:
        """Read a type such as ``float | Schedule`` or ``Callable[[Shape, Shape, int], Net] | None``."""
        kind, sizes, plain = None, None, []
        for option in _options(hint):
            made = typing.get_args(option)[1] if typing.get_origin(option) is Callable else option
            if inspect.isclass(made) and issubclass(made, Configurable):
                kind = made
                sizes = None if made is option else len(typing.get_args(option)[0])
            else:
                plain.append(option)
        optional = types.NoneType in typing.get_args(hint)
        if kind is None:
            return cls(None, None, hint, optional)
        return cls(kind, sizes, typing.Union[tuple(plain)] if plain else None, optional)  # noqa: UP007

    def __str__(self) -> str:
        words = [_plain_words(self.plain)] if self.plain is not None else []
        return " or ".join(words + ([a_kind(self.kind)] if self.kind else []))


def parameters(cls: type, names: Mapping[str, Any] | None = None) -> dict[str, Argument]:
    """A class's arguments, those of the bases that it forwards ``**kwargs`` to included; keyword-only ones last.

    Args:
        cls: The class.
        names: What names in its annotations mean, beside those of its module.
    """
    found: dict[str, Argument] = {}
    named: dict[str, Argument] = {}
    for base in cls.__mro__:
        if base is object or "__init__" not in vars(base):
            continue
        constructor = vars(base)["__init__"]
        hints = typing.get_type_hints(constructor, localns=dict(names or {}))
        own = list(inspect.signature(constructor).parameters.values())[1:]
        for parameter in own:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                place = named if parameter.kind is parameter.KEYWORD_ONLY else found
                place.setdefault(parameter.name, Argument(hints.get(parameter.name, Any), parameter.default))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
            break
    return found | named


def a_kind(base: type) -> str:
    """A kind of part with its article: ``"an objective"``."""
    name = base.__name__.lower()
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def is_sequence(hint: Any) -> bool:
    """Whether values of a type are several values, such as ``Sequence[int]``; None aside."""
    origins = map(typing.get_origin, _options(hint))
    return any(inspect.isclass(origin) and issubclass(origin, Sequence) for origin in origins)


def _options(hint: Any) -> list[Any]:
    """The types of a union, None aside; or the one type."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return [option for option in (typing.get_args(hint) if union else (hint,)) if option is not types.NoneType]


def _plain_words(hint: Any) -> str:
    if hint in WORDS:
        return WORDS[hint]
    if len(options := _options(hint)) > 1 or options[0] is not hint:
        return " or ".join(map(_plain_words, options))
    if not is_sequence(hint):
        return str(hint).replace("typing.", "")
    inner = [option for option in typing.get_args(hint) if option is not Ellipsis]
    several = {int: "whole numbers", float: "numbers"}.get(inner[0], "values")
    return f"{several} such as {','.join(str(i) for i in range(len(inner))) if len(inner) > 1 else '300,300'}"
