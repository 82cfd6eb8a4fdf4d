"""``unveil demo``: small shows of what the library does."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from unveil.cli.errors import UsageError, breakdowns, near, user_errors
from unveil.cli.helping import POSITIONAL
from unveil.cli.line import read
from unveil.cli.loaded import flag
from unveil.cli.options import DemoOptions
from unveil.cli.screen import block, say

DEMOS = ("em",)


def demo(words: list[str]) -> int:
    """Run the command.

    Returns:
        The exit status.
    """
    line = read(words, DemoOptions, POSITIONAL["demo"])
    from unveil.cli.resolve import Resolved

    options = Resolved(DemoOptions, line, flag).options(DemoOptions)
    if options.demo not in DEMOS:
        raise UsageError(f"DEMO: expected one of {', '.join(DEMOS)}, got {options.demo!r}{near(options.demo, DEMOS)}")
    folder = Path(options.out or f"runs/demo-{options.demo}")
    with user_errors(), breakdowns():
        written = import_module(f"unveil.demos.{options.demo}").show(folder, options.seed, say)
    say(block("Written", [f"to {folder}: {', '.join(path.name for path in written)}"]))
    return 0
