"""From the words of the command line to a command and its exit status."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module

from unveil.cli.errors import CommandError, UsageError, near
from unveil.cli.helping import PAGES, USAGE, page
from unveil.cli.screen import say

FAILED, INTERRUPTED = 1, 130


def main(words: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        words: The words after ``unveil``; the process's own by default.

    Returns:
        The exit status: 0, 1 where numbers broke down, 2 for a mistake of the user's, 130 for an interruption.
    """
    words = list(sys.argv[1:] if words is None else words)
    try:
        return run(words)
    except CommandError as error:
        say(f"unveil: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        say("\nunveil: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return FAILED


def run(words: list[str]) -> int:
    """Run a command, or show help."""
    if not words or words[0] in ("-h", "--help", "help"):
        say(USAGE.rstrip())
        return 0
    if words[0] == "--version":
        from unveil import __version__

        say(f"unveil {__version__}")
        return 0
    name, *rest = words
    if name not in PAGES:
        hint = near(name, PAGES) or f"; expected one of {', '.join(PAGES)}"
        raise UsageError(f"unknown command {name!r}{hint}")
    if {"-h", "--help"} & set(rest):
        say(page(name).rstrip())
        return 0
    if "--trust" in rest and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # so that --model.prior mine.MyPrior finds ./mine.py
    command: Callable[[list[str]], int] = getattr(import_module(f"unveil.cli.{name}"), name)
    with warnings.catch_warnings():
        warnings.showwarning = _told
        return command(rest)


def _told(message: Warning | str, *place: object, **more: object) -> None:
    """A warning as a message: where in the library it came from is nothing that a user can do something about."""
    say(f"unveil: {message}", file=sys.stderr)
