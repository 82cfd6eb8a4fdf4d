"""From settings as they were given to typed values and parts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jsonargparse import ArgumentError, ArgumentParser

from unveil.cli.configuration import one_line
from unveil.cli.errors import UsageError, near, spoken
from unveil.cli.options import Choice
from unveil.cli.registry import NAMES, find, spelled
from unveil.cli.signatures import EMPTY, Argument, Slot, is_sequence, parameters

Record = TypeVar("Record")
GIVEN = ("x", "context")
"""Arguments of a part that its model or the data gives, not the user."""


class Resolved:
    """Settings, checked.

    Args:
        record: The record of a command's flags.
        settings: What was given, by key.
        where: Names a setting in a message: the flag, or the line of a file.
        trust: Whether parts of other packages may be named.

    Attributes:
        values: The typed value of each setting that is no part.
        parts: The class of each setting that is a part, with the number of arguments that its factory takes (None
            where a part itself is asked for); None where the choice is left to the program.
        config: Every setting as plain data, defaults included.

    Raises:
        UsageError: If a setting is unknown or of another type.
    """

    def __init__(
        self, record: type, settings: Mapping[str, Any], where: Callable[[str], str], *, trust: bool = False
    ) -> None:
        self.record, self.settings, self.where, self.trust = record, settings, where, trust
        self.values: dict[str, Any] = {}
        self.parts: dict[str, tuple[type, int | None] | None] = {}
        self.config: dict[str, Any] = {}
        for name, argument in parameters(record, NAMES).items():
            self._add(name, argument)
        for key in settings:
            if key not in self.config:
                self._refuse(key)

    def options(self, record: type[Record]) -> Record:
        """The record, its parts made (or their factories, where what they are made from is not known yet)."""
        return record(**{name: self._made(name) for name in parameters(self.record, NAMES)})

    def _add(self, key: str, argument: Argument) -> None:
        """Resolve one setting and, where it is a part, the settings of that part."""
        given, slot = self.settings.get(key, EMPTY), Slot.of(argument.hint)
        if given is EMPTY and argument.default is EMPTY:
            raise UsageError(f"{self.where(key)}: expected {slot}, got nothing")
        if given is True and argument.hint is not bool:
            raise UsageError(f"{self.where(key)}: expected {slot}, got nothing")
        chosen = argument.default if given is EMPTY else given
        if slot.kind is None or (slot.plain is not None and not _is_part(chosen)):
            try:
                self.values[key] = chosen if given is EMPTY else typed(slot.plain, given)
                self.config[key] = _plain(self.values[key])
                return
            except ArgumentError as error:
                if slot.kind is None:
                    raise UsageError(f"{self.where(key)}: expected {slot}, got {given!r}") from error
        if slot.optional and chosen in (None, "null"):
            self.parts[key] = self.config[key] = None
        else:
            self._add_part(key, slot.kind, slot.sizes, chosen)

    def _add_part(self, key: str, kind: type, sizes: int | None, chosen: Any) -> None:
        cls, preset = chosen, {}
        if isinstance(chosen, functools.partial):
            cls, preset = chosen.func, chosen.keywords
        elif isinstance(chosen, Choice):
            cls, preset = chosen
        if not isinstance(cls, type):
            cls = find(kind, str(chosen), self.where(key), trust=self.trust)
        self.parts[key], self.config[key] = (cls, sizes), spelled(cls)
        for name, argument in list(parameters(cls, NAMES).items())[sizes or 0 :]:
            if name not in GIVEN:
                self._add(f"{key}.{name}", Argument(argument.hint, preset.get(name, argument.default)))

    def _made(self, key: str) -> Any:
        """The value at a key: a part is an instance, or a class or a partial of one where a factory is asked for."""
        if key not in self.parts:
            return self.values[key]
        if (found := self.parts[key]) is None:
            return None
        cls, sizes = found
        names = list(parameters(cls, NAMES))[sizes or 0 :]
        given = {name: self._made(f"{key}.{name}") for name in names if f"{key}.{name}" in self.config}
        if sizes is not None:
            return functools.partial(cls, **given) if given else cls
        try:
            return cls(**given)
        except ValueError as error:
            message = spoken(str(error), self.under(key))
            raise UsageError(message if message.startswith("--") else f"--{key}: {message}") from error

    def under(self, key: str) -> list[str]:
        """The settings of the part at a key."""
        return [other for other in self.config if other.startswith(f"{key}.")]

    def _refuse(self, key: str) -> None:
        """Say what is wrong with a setting that nothing takes."""
        owner, _, name = key.rpartition(".")
        if owner in self.parts and self.parts[owner] is None:
            what = f"choose the part itself first, for instance --{owner} NAME"
            raise UsageError(f"{self.where(key)}: --{owner} is chosen from the data; {what}")
        if part := self.parts.get(owner):
            siblings = [other.rpartition(".")[2] for other in self.config if other.rpartition(".")[0] == owner]
            hint = near(name, siblings) or f"; see `unveil parts {part[0].__name__}`"
            raise UsageError(f"{self.where(key)}: {part[0].__name__} has no option {name!r}{hint}")
        raise UsageError(f"unknown option {self.where(key)}{near(key, self.config, '--')}")


def typed(hint: Any, given: Any) -> Any:
    """A value of a type, from text or plain data. Several values may be written ``300,300``.

    Raises:
        ArgumentError: If it is of another type.
    """
    text = given if isinstance(given, str) else one_line(given)
    parser = ArgumentParser(exit_on_error=False, print_config=None)
    parser.add_argument("--value", type=hint)
    several = is_sequence(hint) and not text.startswith("[") and text != "null"
    return parser.instantiate(parser.parse_args([f"--value={f'[{text}]' if several else text}"])).value


def _is_part(chosen: Any) -> bool:
    return isinstance(chosen, type | functools.partial | Choice)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
