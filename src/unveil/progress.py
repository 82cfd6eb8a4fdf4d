"""How far some work is: a bar where there is a terminal, a line now and then where there is none."""

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
def progress(asked: bool | Show = True, doing: str = "evaluating") -> Iterator[Show]:
    """A function that shows how far some work is: the one that is asked for, ours for True, silence for False."""
    if not isinstance(asked, bool):
        yield asked
        return
    if not asked:
        yield lambda what, done, total: None
        return
    if not sys.stderr.isatty():
        yield lines(doing)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=f"{doing}: {what}", completed=done, total=total)

        yield show


def lines(doing: str = "evaluating") -> Show:
    """Lines on standard error, for work that takes longer than that."""
    began: dict[str, tuple[float, int]] = {}
    shown = time.monotonic()

    def show(what: str, done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        start, first = began.setdefault(what, (now, done))
        if now - shown > QUIET and first < done < total:
            shown = now
            left = (now - start) * (total - done) / (done - first)
            print(f"{doing}: {what}  {done:,} of {total:,}  {clock(left)} left", file=sys.stderr, flush=True)

    return show


def clock(seconds: float) -> str:
    """A time left, h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
