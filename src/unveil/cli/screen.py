"""What a command says: aligned lines on the terminal, from the main process only."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from unveil.models import Model
    from unveil.parts import Part

RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
"""Where launchers say which of several processes this one is."""
LABEL, LINE = 12, 120


def is_main_process() -> bool:
    """Whether this process is the one that prints and writes."""
    return all(os.environ.get(name, "0") in ("0", "-1") for name in RANKS)


def say(text: str = "", file: TextIO | None = None) -> None:
    """Print, if this is the main process."""
    if is_main_process():
        print(text, file=file or sys.stdout, flush=True)


def block(label: str, lines: Iterable[str]) -> str:
    """Lines behind a label, wrapped with a hanging indent."""
    wrapped: list[str] = []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        wrapped += textwrap.wrap(line, LINE - LABEL, subsequent_indent=" " * (indent + 2), break_on_hyphens=False)
    return "\n".join(f"{label if i == 0 else '':{LABEL}}{line}" for i, line in enumerate(wrapped))


def described_model(model: Model, chosen: Sequence[str] = ()) -> list[str]:
    """A model in a few lines: its name and size, its parts, and which of them were chosen from the data.

    Args:
        model: The model.
        chosen: The settings of the parts that nobody named, such as ``model.likelihood``.
    """
    from unveil.parts import Part

    parameters = sum(parameter.numel() for parameter in model.parameters())
    lines = [f"{type(model).__name__}, {parameters:,} parameters"]
    parts = {name: part for name, part in model.named_children() if isinstance(part, Part)}
    width = max(map(len, parts), default=0)
    lines += [f"  {name:{width}}  {_with_nets(part)}" for name, part in parts.items()]
    if chosen:
        names = ", ".join(key.removeprefix("model.") for key in chosen)
        lines.append(f"  chosen for data of {model.x}: {names}")
    return lines


def _with_nets(part: Part) -> str:
    from unveil.nets import Net

    nets = [f"by {brief(child)}" for child in part.children() if isinstance(child, Net)]
    return type(part).__name__ + _brackets(_arguments(part)) + "".join(f", {net}" for net in nets)


def brief(part: Part) -> str:
    """A part and what it was made with: ``MLP (hidden 300,300)``."""
    return type(part).__name__ + _brackets(_arguments(part))


def _brackets(arguments: Mapping[str, Any]) -> str:
    told = [f"{name.replace('_', ' ')}{_figures(value)}" for name, value in arguments.items()]
    return f" ({', '.join(told)})" if told else ""


def _figures(value: Any) -> str:
    if value is True:
        return ""
    if isinstance(value, list | tuple):
        return f" {','.join(map(str, value))}"
    return f" {value:g}" if isinstance(value, float) else f" {value}"


def _arguments(part: Part) -> dict[str, Any]:
    """A part's numbers, defaults included; not the sizes that its model gave it, nor what is off or is a part."""
    from unveil.cli.parts import own_options
    from unveil.parts import Part

    own = own_options(type(part))
    values = {name: part.arguments.get(name, argument.default) for name, argument in own.items()}
    plain = {name: value for name, value in values.items() if isinstance(value, int | float | str | list | tuple)}
    shown = {name: brief(value) for name, value in values.items() if isinstance(value, Part)}
    return {name: value for name, value in {**plain, **shown}.items() if value is not False and value != ()}
