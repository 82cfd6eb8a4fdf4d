"""Interleaved rounds: every case once a round, in a shuffled order, so that a drift of the machine hits all alike."""

from __future__ import annotations

import platform
import random
import statistics
from collections.abc import Callable

import torch

Case = Callable[[], float]


def interleave(cases: dict[str, Case], rounds: int) -> dict[str, list[float]]:
    """Each case's figures (higher is better), one a round, after a round that is not counted."""
    shuffler = random.Random(0)
    figures: dict[str, list[float]] = {name: [] for name in cases}
    for i in range(rounds + 1):
        for name in shuffler.sample(list(cases), len(cases)):
            figure = cases[name]()
            if i:
                figures[name].append(figure)
        print(f"round {i}/{rounds}", end="\r", flush=True)
    return figures


def report(figures: dict[str, list[float]], unit: str, subject: str) -> None:
    """Medians with their spread, and the subject's ratio to every other case, taken round by round."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.processor() or platform.machine()}")
    for name, found in figures.items():
        middle, low, high = map(_figure, (statistics.median(found), min(found), max(found)))
        print(f"{name:24} {middle:>10} {unit} (from {low} to {high})")
    for name, found in figures.items():
        if name != subject:
            ratios = sorted(ours / theirs for ours, theirs in zip(figures[subject], found, strict=True))
            ratio = statistics.median(ratios)
            spread = f"{ratios[len(ratios) // 4]:.2f} to {ratios[-1 - len(ratios) // 4]:.2f}"
            print(f"{subject} / {name}: {ratio:.2f} (middle half of the rounds from {spread})")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
