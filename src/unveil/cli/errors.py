"""Mistakes of the user: one message each, in the words of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from unveil.hints import did_you_mean

ASSIGNMENT = re.compile(r"\b([a-z_]+)=('[^']*'|\d[\w.]*|True|False)")
ARGUMENT = re.compile(r"([a-z_]+):")


class CommandError(Exception):
    """A command can't go on; the message says why, and what to do."""

    status = 1
    """The exit status."""


class UsageError(CommandError):
    """What the user asked for can't be done; the message says what to do instead."""

    status = 2


def near(word: str, words: Iterable[str], prefix: str = "") -> str:
    """``"; did you mean VampPrior?"`` where a word is close, nothing otherwise; with a prefix such as ``--``."""
    return did_you_mean(word, words, lambda known: f"{prefix}{known}")


def at_least_one(**counts: int | None) -> None:
    """Refuse a count below one; None is no count.

    Raises:
        UsageError: Naming the flag.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UsageError(f"--{name}: expected at least 1, got {count}")


def flag_of(name: str, keys: Iterable[str]) -> str | None:
    """The flag of an argument: ``--model.latent_dim`` for ``latent_dim``; None unless exactly one setting ends so."""
    keys = list(keys)
    found = [name] if name in keys else [key for key in keys if key.endswith(f".{name}")]
    return f"--{found[0]}" if len(found) == 1 else None


def in_flags(text: str, keys: Iterable[str]) -> str:
    """A sentence of the library in which ``context='label'`` becomes ``--context label``.

    Args:
        text: The sentence.
        keys: The settings that there are, such as ``model.latent_dim``.
    """
    keys = list(keys)

    def assigned(match: re.Match[str]) -> str:
        flag, value = flag_of(match[1], keys), match[2].strip("'").replace("True", "").replace("False", "false")
        return f"{flag} {value}".strip() if flag else match[0]

    return ASSIGNMENT.sub(assigned, text)


def spoken(message: str, keys: Iterable[str] = ()) -> str:
    """An error's message in the words of the command line: the argument that it begins with becomes a flag, too.

    Args:
        message: ``"latent_dim: expected ..."``.
        keys: The settings that there are.
    """
    keys = list(keys)
    message = in_flags(message, keys)
    start = ARGUMENT.match(message)
    flag = flag_of(start[1], keys) if start else None
    return f"{flag}{message[start.end() - 1 :]}" if start and flag else message


@contextmanager
def user_errors(keys: Iterable[str] = ()) -> Iterator[None]:
    """Turn the errors with which the library refuses bad input into a :class:`UsageError`.

    Args:
        keys: The settings that there are.
    """
    try:
        yield
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.strerror else str(error)  # the system's, or the library's
        raise UsageError(spoken(told, keys)) from error
    except (ValueError, TypeError, ModuleNotFoundError) as error:
        raise UsageError(spoken(str(error), keys)) from error


@contextmanager
def breakdowns(keys: Iterable[str] = ()) -> Iterator[None]:
    """Turn numbers that are not finite into a :class:`CommandError`.

    Args:
        keys: The settings that there are.
    """
    from unveil.training import NonFiniteError

    try:
        yield
    except (NonFiniteError, FloatingPointError) as error:
        raise CommandError(spoken(str(error), keys)) from error
