"""The words of a command line, sorted into settings."""

from __future__ import annotations

from collections.abc import Sequence

from unveil.cli.errors import UsageError, near

SHORT = {"-n": "size", "-h": "help"}
TRUTHS = ("true", "false", "yes", "no")

Layer = dict[str, object]
"""Settings by key, as they were given: text from the command line, True where a flag stands alone, plain data from a
file."""


def read(words: Sequence[str], record: type, positional: str | None = None) -> Layer:
    """The settings on a command line: ``--key value``, ``--key=value``, ``--key`` and ``--no-key``.

    A flag that is either there or not takes a value only if that is a truth (``--compile false``).

    Args:
        words: The words after the command.
        record: The record of the command's flags.
        positional: The setting that the one word without a flag gives.

    Raises:
        UsageError: If a word belongs to nothing.
    """
    hints = {name: hint for cls in record.__mro__ for name, hint in vars(cls).get("__annotations__", {}).items()}
    alone = {"help", *(name for name, hint in hints.items() if hint == "bool")}
    rest, found = list(words), Layer()
    while rest:
        word = rest.pop(0)
        if not _is_flag(word):
            if positional is None or positional in found:
                raise UsageError(f"unexpected word {word!r}{near(word, hints, '--')}")
            found[positional] = word
            continue
        key, equals, value = (SHORT.get(word) or word.removeprefix("--")).partition("=")
        key = key.replace("-", "_")
        if key.startswith("no_") and not equals and key not in hints:
            found[key.removeprefix("no_")] = "false"
        elif equals:
            found[key] = value
        elif rest and not _is_flag(rest[0]) and (key not in alone or rest[0].lower() in TRUTHS):
            found[key] = rest.pop(0)
        else:
            found[key] = True
    return found


def _is_flag(word: str) -> bool:
    return word.startswith("--") or word in SHORT
