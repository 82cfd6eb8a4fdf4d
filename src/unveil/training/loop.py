"""The training loop. It knows no kind of model."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast

from unveil.parts import Progress
from unveil.training.diagnosis import NonFiniteError, diagnose
from unveil.training.feed import Feed
from unveil.training.folder import Record
from unveil.training.settings import Plan
from unveil.training.state import State


class Loop:
    """Takes steps until the plan ends.

    Args:
        state: The run as it stands; it is changed.
        plan: What to do.
        feed: The training batches.
        accelerator: Devices and processes.
        validate: Gives the validation bound of the model as it stands, in nats per example; None for no validation.
        record: Called with a line of metrics after each epoch.
        tick: Called after each step with the steps taken.
        checkpoint: The file that checkpoints go to; None for none.
    """

    def __init__(
        self,
        state: State,
        plan: Plan,
        feed: Feed,
        accelerator: Accelerator,
        validate: Callable[[], float] | None,
        record: Callable[[Record], None],
        tick: Callable[[int], None],
        checkpoint: Path | None = None,
    ) -> None:
        self.state, self.plan, self.feed, self.accelerator = state, plan, feed, accelerator
        self.validate, self.record, self.tick, self.checkpoint = validate, record, tick, checkpoint
        self.module = accelerator.prepare_model(state.learner, device_placement=False)

    def run(self) -> bool:
        """Take steps until the end, or until somebody interrupts.

        Returns:
            Whether the plan came to its end.

        Raises:
            NonFiniteError: If a loss is NaN or infinite.
        """
        counters, feed = self.state.counters, self.feed
        total = self.plan.epochs * feed.steps_per_epoch
        began = saved = time.monotonic()
        self.state.learner.train()
        self._follow_progress()
        with _interruptible() as interrupted:
            while counters.step < total and not self._exhausted():
                self.step()
                counters.step += 1
                self._follow_progress()
                self.state.average.update(counters.step)
                if counters.step % feed.steps_per_epoch == 0:
                    self._end_epoch()
                self.tick(counters.step)
                stop = bool(self._agreed(interrupted()))
                now = time.monotonic()
                counters.seconds, began = counters.seconds + now - began, now
                if now - saved > self.plan.checkpoint_seconds or stop:
                    self.save()
                    saved = now
                if stop:
                    return False
        self.state.require_sound()
        return True

    def step(self) -> None:
        """One optimizer step on one batch."""
        state, step = self.state, self.state.counters.step
        noise = self.feed.noise(step, self.plan.device)
        batch, factor = self.feed.batch(step, noise)
        loss = factor * self.module(batch, noise).sum()
        if not math.isfinite(loss.item()):
            raise self._non_finite()
        self.accelerator.backward(loss)
        if self.plan.clip is not None:
            self.accelerator.clip_grad_norm_(self.module.parameters(), self.plan.clip)
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.add(state.learner.monitored, len(batch))

    def save(self) -> None:
        """Write a checkpoint, if there is a place for it."""
        if self.checkpoint is not None:
            self.state.save(self.checkpoint)

    def _follow_progress(self) -> None:
        step = self.state.counters.step
        epochs, middle = self.plan.epochs, self.feed.epoch(step + 0.5)
        self.state.learner.after_step(Progress(step, self.feed.epoch(step), epochs))
        self.plan.lr.after_step(Progress(step, middle, epochs))  # no step has the rate 0 that a warm-up starts with
        for group in self.state.optimizer.param_groups:
            group["lr"] = float(self.plan.lr())

    def _end_epoch(self) -> None:
        counters, means = self.state.counters, self.state.take_means()
        line: Record = {"epoch": round(self.feed.epoch(counters.step)), "step": counters.step}
        line |= {"objective": means["objective"], "distortion": -means["log_likelihood"], "rate": means["rate"]}
        if self.validate is not None:
            with self.state.average.applied():
                line["validation"] = self._agreed(self.validate())
                if math.isnan(line["validation"]):
                    self.state.require_sound()
                    raise FloatingPointError(f"the validation bound is NaN after epoch {line['epoch']}")
                if line["validation"] > counters.best:
                    self.state.keep_best(line["validation"])
        self.record({**line, "lr": float(self.plan.lr()), "seconds": round(counters.seconds, 3)})

    def _exhausted(self) -> bool:
        counters, patience = self.state.counters, self.plan.patience
        waited = (counters.step - counters.best_step) / self.feed.steps_per_epoch
        return patience is not None and self.validate is not None and waited >= patience

    def _non_finite(self) -> NonFiniteError:
        step = self.state.counters.step
        noise = self.feed.noise(step, self.plan.device)
        batch, _ = self.feed.batch(step, noise)
        where = f"step {step + 1} (epoch {self.feed.epoch(step):.2f})"
        return diagnose(self.state.learner, batch, noise, where, self.checkpoint)

    def _agreed(self, value: float) -> float:
        """The first process's value, on all: what they decide by must be the same number."""
        if self.accelerator.num_processes == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.plan.device)
        return float(broadcast(shared))


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C (or termination signal) into an answer; the second one interrupts as usual."""
    seen: list[int] = []

    def note(number: int, frame: Any) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    try:
        old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: signals are somebody else's
        old = {}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
