"""Numbers that follow the progress of training."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from unveil.parts import Part, Progress


class Schedule(Part, ABC):
    """A number that is a function of progress; its current value is a buffer, so that checkpoints hold it."""

    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(float(self.at(Progress(step=0, epoch=0.0, epochs=1.0)))))

    @abstractmethod
    def at(self, progress: Progress) -> float:
        """The value at that point of training."""

    def forward(self) -> Tensor:
        """The current value."""
        return self.value

    def after_step(self, progress: Progress) -> None:
        """Move on."""
        self.value.fill_(self.at(progress))


class Constant(Schedule):
    """The same number throughout.

    Args:
        level: That number.
    """

    def __init__(self, level: float) -> None:
        self.level = level
        super().__init__()

    def at(self, progress: Progress) -> float:
        """The level."""
        return self.level


class Linear(Schedule):
    """From ``start`` to ``end`` in a straight line, then constant (KL warm-up: Bowman et al. 2016).

    Args:
        start: The value before the first step.
        end: The value after ``epochs``.
        epochs: How long that takes.
    """

    def __init__(self, start: float = 0.0, end: float = 1.0, epochs: float = 10.0) -> None:
        if epochs <= 0:
            raise ValueError(f"epochs: expected a positive length of the schedule, got {epochs}")
        self.start, self.end, self.epochs = start, end, epochs
        super().__init__()

    def at(self, progress: Progress) -> float:
        """start + (end - start) min(epoch / epochs, 1)."""
        return self.start + (self.end - self.start) * min(progress.epoch / self.epochs, 1.0)


class WarmUp(Schedule):
    """From 0 to ``level`` in a straight line over the first share of training, then constant.

    A posterior that must pay for its rate from the first step, before the decoder can use z, often gives z up; this
    price comes in gradually.

    Args:
        share: The share of training that it takes.
        level: The value after it.
    """

    def __init__(self, share: float = 0.1, level: float = 1.0) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share: expected a share of training in (0, 1], got {share}")
        self.share, self.level = share, level
        super().__init__()

    def at(self, progress: Progress) -> float:
        """level min(epoch / (share epochs), 1)."""
        return self.level * min(progress.epoch / (self.share * progress.epochs), 1.0)


class Cyclical(Schedule):
    """Ramps from 0 to ``level`` over half of each period and stays there for the other half (Fu et al. 2019).

    Args:
        period: The epochs of one cycle.
        level: The value at the top.
    """

    def __init__(self, period: float = 10.0, level: float = 1.0) -> None:
        if period <= 0:
            raise ValueError(f"period: expected a positive number of epochs, got {period}")
        self.period, self.level = period, level
        super().__init__()

    def at(self, progress: Progress) -> float:
        """level min(2 (epoch mod period) / period, 1)."""
        return self.level * min(2 * (progress.epoch % self.period) / self.period, 1.0)


class Cosine(Schedule):
    """A linear warm-up to ``peak``, then half a cosine down to ``end`` at the last step (Loshchilov & Hutter 2017).

    Args:
        peak: The highest value.
        end: The value at the end of training.
        warmup: The share of training that the warm-up takes.
    """

    def __init__(self, peak: float = 1e-3, end: float = 0.0, warmup: float = 0.02) -> None:
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup: expected a share of training in [0, 1), got {warmup}")
        if not peak > 0 or not end >= 0:
            raise ValueError(f"peak, end: expected a positive peak and an end of at least 0, got {peak} and {end}")
        self.peak, self.end, self.warmup = peak, end, warmup
        super().__init__()

    def at(self, progress: Progress) -> float:
        """end + (peak - end) (1 + cos(pi t)) / 2, t the share of training after the warm-up."""
        share = progress.epoch / progress.epochs
        if share < self.warmup:
            return self.peak * share / self.warmup
        angle = math.pi * min((share - self.warmup) / (1 - self.warmup), 1.0)
        return self.end + (self.peak - self.end) * (1 + math.cos(angle)) / 2


def schedule(value: float | Schedule, argument: str) -> Schedule:
    """A schedule, from a schedule or a number that must not be negative."""
    if isinstance(value, Schedule):
        return value
    if not value >= 0:
        raise ValueError(f"{argument}: expected a number of at least 0, or a schedule, got {value}")
    return Constant(float(value))
