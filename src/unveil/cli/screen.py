"""What a command says: aligned lines on the terminal, from the main process only."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from torch import nn

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


def described_model(model: nn.Module, config: Mapping[str, Any]) -> list[str]:
    """A model in a few lines: its name and size, its parts, and which of them were chosen from the data.

    Args:
        model: The model.
        config: The settings, where a part that nobody named is None.
    """
    from unveil.parts import Part

    parameters = sum(parameter.numel() for parameter in model.parameters())
    lines = [f"{type(model).__name__}, {parameters:,} parameters"]
    parts = {name: part for name, part in model.named_children() if isinstance(part, Part)}
    width = max(map(len, parts), default=0)
    lines += [f"  {name:{width}}  {_with_nets(part)}" for name, part in parts.items()]
    chosen = [key.removeprefix("model.") for key, value in config.items() if key.startswith("model.") and value is None]
    if chosen:
        lines.append(f"  chosen for {model.x}: {', '.join(chosen)}")
    return lines


def _with_nets(part: Part) -> str:
    from unveil.nets import Net

    nets = [brief(child) for child in part.children() if isinstance(child, Net)]
    return type(part).__name__ + (f", by {' and '.join(nets)}" if nets else _brackets(_arguments(part)))


def brief(part: Part) -> str:
    """A part and the numbers that it was made with: ``MLP(hidden 300, 300)``."""
    return type(part).__name__ + _brackets(_arguments(part))


def _brackets(arguments: Mapping[str, Any]) -> str:
    told = [f"{name} {_figures(value)}" for name, value in arguments.items()]
    return f"({'; '.join(told)})" if told else ""


def _figures(value: Any) -> str:
    several = isinstance(value, list | tuple)
    return ", ".join(map(str, value)) if several else f"{value:g}" if isinstance(value, float) else str(value)


def _arguments(part: Part) -> dict[str, Any]:
    """A part's numbers, defaults included; not the sizes that its model gave it, nor what is off or is a part."""
    from unveil.cli.parts import own_options
    from unveil.config import Configurable

    own = own_options(type(part))
    values = {name: part.arguments.get(name, argument.default) for name, argument in own.items()}
    plain = {name: value for name, value in values.items() if isinstance(value, int | float | str | list | tuple)}
    shown = {name: brief(value) for name, value in values.items() if isinstance(value, Configurable)}
    return {name: value for name, value in {**plain, **shown}.items() if value is not False and value != ()}
