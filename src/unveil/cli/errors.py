"""Mistakes of the user: one message each, in the words of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

ASSIGNMENT = re.compile(r"\b([a-z_]+)=('[^']*'|\d[\w.]*|True|False)")
ARGUMENT = re.compile(r"([a-z_]+):")


class UsageError(Exception):
    """What the user asked for can't be done; the message says what to do instead."""


def near(word: str, words: Iterable[str]) -> str:
    """``"; did you mean VampPrior?"`` where a word is close, nothing otherwise."""
    lower = {known.lower(): known for known in words}
    close = get_close_matches(word.lower(), lower, 1, 0.5)
    return f"; did you mean {lower[close[0]]}?" if close else ""


def at_least_one(**counts: int | None) -> None:
    """Refuse a count below one; None is no count.

    Raises:
        UsageError: Naming the flag.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UsageError(f"--{name}: expected at least 1, got {count}")


def spoken(message: str, keys: Iterable[str] = ()) -> str:
    """A message of the library in the words of the command line: arguments become flags.

    Args:
        message: ``"latent_dim: expected ..."`` or ``"..., pass context='label'"``.
        keys: The settings that there are, such as ``model.latent_dim``; a name that several end in stays as it is.
    """
    keys = list(keys)

    def flag(name: str) -> str | None:
        found = [name] if name in keys else [key for key in keys if key.endswith(f".{name}")]
        return f"--{found[0]}" if len(found) == 1 else None

    def assigned(match: re.Match[str]) -> str:
        name, value = flag(match[1]), match[2].strip("'").replace("True", "").replace("False", "false")
        return f"{name} {value}".strip() if name else match[0]

    message = ASSIGNMENT.sub(assigned, message)
    start = ARGUMENT.match(message)
    name = flag(start[1]) if start else None
    return f"{name}{message[start.end() - 1 :]}" if start and name else message


@contextmanager
def user_errors(keys: Iterable[str] = ()) -> Iterator[None]:
    """Turn the errors with which the library refuses bad input into a :class:`UsageError`.

    Args:
        keys: The settings that there are.
    """
    try:
        yield
    except (ValueError, TypeError, FileNotFoundError, ModuleNotFoundError) as error:
        raise UsageError(spoken(str(error), keys)) from error
    except PermissionError as error:
        raise UsageError(f"{error.filename}: {error.strerror}; choose a place that you may write to") from error
