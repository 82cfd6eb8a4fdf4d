"""Progress on the terminal: a bar with speed and time left where it is one, a line now and then where it is not."""

from __future__ import annotations

import sys
import time
from typing import Any, Self

from unveil.progress import clock
from unveil.training.folder import Record


class Monitor:
    """Shows how training goes.

    Args:
        steps: Steps of the whole run.
        rows: Rows per step.
        start: Steps taken before.
        show: Whether to show anything.
    """

    def __init__(self, steps: int, rows: int, start: int = 0, *, show: bool = True) -> None:
        self.steps, self.rows, self.start, self.show = steps, rows, start, show
        self.began = self.shown = time.monotonic()
        self.bar: Any = None
        self.last: Record = {}

    def __enter__(self) -> Self:
        if self.show and sys.stderr.isatty():
            self.bar = _bar(self.steps, self.start)
            self.bar.start()
        return self

    def __exit__(self, *details: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def step(self, step: int) -> None:
        """After each step."""
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=step, speed=self._speed(step))

    def epoch(self, record: Record) -> None:
        """After each epoch."""
        self.last = record
        if not self.show:
            return
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], bounds=_bounds(record))
            return
        now = time.monotonic()
        done = record["step"] >= self.steps
        if done or now - self.shown > 10:
            self.shown = now
            left = (now - self.began) * (self.steps - record["step"]) / max(1, record["step"] - self.start)
            print(
                f"epoch {record['epoch']:>4}  {_bounds(record)}  {self._speed(record['step'])}  {clock(left)} left",
                file=sys.stderr,
                flush=True,
            )

    def _speed(self, step: int) -> str:
        seconds = max(1e-9, time.monotonic() - self.began)
        return f"{self.rows * (step - self.start) / seconds:,.0f} examples/s"


def _bounds(record: Record) -> str:
    found = [f"train ELBO {-record['distortion'] - record['rate']:.2f}"]
    if "validation" in record:
        found.append(f"validation bound {record['validation']:.2f}")
    return ", ".join(found) + " nats"


def _bar(steps: int, start: int) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("fitting"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn(),
        TextColumn("{task.fields[speed]}"), TextColumn("{task.fields[bounds]}"), console=Console(stderr=True),
    )  # fmt: skip
    bar.add_task("fitting", total=steps, completed=start, speed="", bounds="")
    return bar
