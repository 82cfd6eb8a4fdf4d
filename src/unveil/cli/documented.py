"""What docstrings say: the first paragraph, and the lines of ``Args``."""

from __future__ import annotations

import inspect
import re

MARKUP = ((re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`"), r"\1"), (re.compile(r"`+"), ""), (re.compile(r"\\"), ""))
SECTION = re.compile(r"^(\w+):$")
ARGUMENT = re.compile(r"^    (\w+): (.*)$")


def summary(cls: type) -> str:
    """The first paragraph of a class's docstring, on one line."""
    return _plain((inspect.getdoc(cls) or cls.__name__).partition("\n\n")[0])


def arguments(cls: type) -> dict[str, str]:
    """What the docstrings of a class and its bases say of each argument; the class's own words win."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        found |= _args(inspect.cleandoc(base.__doc__ or ""))
    return {name: _plain(text) for name, text in found.items()}


def _args(doc: str) -> dict[str, str]:
    section, name, found = "", "", dict[str, str]()
    for line in doc.splitlines():
        if heading := SECTION.match(line):
            section = heading[1]
        elif section == "Args" and (argument := ARGUMENT.match(line)):
            name = argument[1]
            found[name] = argument[2]
        elif section == "Args" and name and line.startswith(" " * 8):
            found[name] += f" {line.strip()}"
    return found


def _plain(text: str) -> str:
    for pattern, replacement in MARKUP:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())
