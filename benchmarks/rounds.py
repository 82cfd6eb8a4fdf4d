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
        print(f"{name:24} {statistics.median(found):>10,.0f} {unit} (from {min(found):,.0f} to {max(found):,.0f})")
    for name, found in figures.items():
        if name != subject:
            ratios = sorted(ours / theirs for ours, theirs in zip(figures[subject], found, strict=True))
            low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
            middle = statistics.median(ratios)
            print(f"{subject} / {name}: {middle:.2f} (middle half of the rounds from {low:.2f} to {high:.2f})")
