"""How far an evaluation is: a bar where there is a terminal, a line now and then where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Show = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""
QUIET = 10.0
"""Seconds between two lines."""


@contextmanager
def progress() -> Iterator[Show]:
    """A function that shows how far an evaluation is."""
    if not sys.stderr.isatty():
        yield lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("evaluating")

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=f"evaluating: {what}", completed=done, total=total)

        yield show


def lines() -> Show:
    """Lines on standard error, for work that takes longer than that."""
    from unveil.training.monitor import clock

    began: dict[str, tuple[float, int]] = {}
    shown = time.monotonic()

    def show(what: str, done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        start, first = began.setdefault(what, (now, done))
        if now - shown > QUIET and first < done < total:
            shown = now
            left = (now - start) * (total - done) / (done - first)
            print(f"evaluating: {what}  {done:,} of {total:,}  {clock(left)} left", file=sys.stderr, flush=True)

    return show
