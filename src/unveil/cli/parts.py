"""``unveil parts``: what models are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from unveil.cli.documented import arguments, summary
from unveil.cli.errors import UsageError, near
from unveil.cli.helping import POSITIONAL, entry
from unveil.cli.line import read
from unveil.cli.options import FitOptions, PartsOptions
from unveil.cli.screen import say

if TYPE_CHECKING:
    from unveil.cli.signatures import Argument


def parts(words: list[str]) -> int:
    """Run the command.

    Returns:
        The exit status.
    """
    line = read(words, PartsOptions, POSITIONAL["parts"])
    from unveil.cli.registry import KINDS, named, word
    from unveil.cli.resolve import Resolved

    name = Resolved(PartsOptions, line, "--{}".format).options(PartsOptions).name
    kinds = {word(base): base for base in KINDS}
    known = {part: base for base in reversed(KINDS) for part in named(base)}  # MAF is a model before it is a flow
    if name is None:
        say("\n".join(listing(base) for base in KINDS) + "\n`unveil parts NAME` shows the options of a part.")
    elif (kind := name.lower().removesuffix("s")) in kinds:
        say(listing(kinds[kind]).rstrip())
    elif name in known:
        say(described(name, known[name]).rstrip())
    else:
        hint = near(name, [*known, *kinds]) or "; `unveil parts` lists all parts"
        raise UsageError(f"unknown part {name!r}{hint}")
    return 0


def listing(base: type) -> str:
    """The parts of a kind, a line each, and where they go."""
    from unveil.cli.registry import named, word

    heading = f"{word(base).capitalize()}  ({', '.join(f'--{place}' for place in places(base))})\n"
    return heading + "".join(entry(name, summary(cls)) for name, cls in named(base).items())


def described(name: str, base: type) -> str:
    """A part and its options."""
    from unveil.cli.registry import named
    from unveil.cli.signatures import a_kind

    cls = named(base)[name]
    spots = places(base)
    spot = max(spots, key=lambda place: place.rpartition(".")[2] in name.lower())  # ConvDecoder: --model.decoder
    said = arguments(cls)
    own = own_options(cls)
    lines = [entry(f"--{spot}.{option}", _option(said.get(option, ""), argument)) for option, argument in own.items()]
    others = [f"--{place}" for place in spots if place != spot]
    also = f"\nIt also goes with {', '.join(others)}.\n" if others else ""
    opening = f"{name}, {a_kind(base)}: {summary(cls)}\n\n  --{spot} {name}\n"
    return opening + "".join(lines) + ("" if own else "\nIt has no options.\n") + also


def places(base: type) -> list[str]:
    """The settings that parts of a kind are chosen by, such as ``model.prior``, those near the top first."""
    from unveil.cli.registry import NAMES, named
    from unveil.cli.signatures import Slot, parameters

    def under(prefix: str, found: dict[str, Argument], above: tuple[type, ...]) -> Iterator[str]:
        for name, argument in found.items():
            kind = Slot.of(argument.hint).kind
            if kind is base:
                yield prefix + name
            elif kind is not None and kind not in above:
                for part in named(kind).values():
                    yield from under(f"{prefix}{name}.", own_options(part), (*above, kind))

    found = dict.fromkeys(under("", parameters(FitOptions, NAMES), ()))
    return sorted(found, key=lambda place: place.count("."))


def own_options(cls: type) -> dict[str, Argument]:
    """A part's arguments without those that its model gives it."""
    from unveil.cli.registry import NAMES, SIZES
    from unveil.cli.signatures import parameters

    given = next((sizes for base, sizes in SIZES.items() if issubclass(cls, base)), 0)
    return dict(list(parameters(cls, NAMES).items())[given:])


def _option(said: str, argument: Argument) -> str:
    from unveil.cli.signatures import EMPTY, Slot

    default = "required" if argument.default is EMPTY else f"default {_shown(argument.default)}"
    return f"{said} [{Slot.of(argument.hint)}; {default}]".lstrip()


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else getattr(value, "__name__", str(value))
