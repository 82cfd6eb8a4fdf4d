"""When to stop climbing, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

AGREEING, SHARE = 3, 0.2
"""So many steps in a row, and this share of all of them, must say that the top is near: plateaus are left again."""
ROUNDING = 1e-12
"""Gains below this share of the bound are those of floating point numbers."""


def remaining(bounds: Sequence[float]) -> float:
    """How much further a bound will climb, if its gains go on shrinking as they do.

    With the last two gains g' and g, c = g / g', the gains to come are c g + c^2 g + ... = g c / (1 - c) (Aitken's
    rule; Boehning et al. 1994). Infinity where gains don't shrink.
    """
    before, gain = bounds[-2] - bounds[-3], bounds[-1] - bounds[-2]
    return gain * gain / (before - gain) if 0 < gain < before else 0.0 if gain <= 0 else float("inf")


class Verdict(NamedTuple):
    """A reason to stop.

    Args:
        words: Why.
        converged: Whether the top is reached, as far as can be told.
    """

    words: str
    converged: bool


def verdict(bounds: Sequence[float], tolerance: float, steps: int) -> Verdict | None:
    """Why to stop now; None where there is no reason.

    Args:
        bounds: The bound at the beginning and after each step, in nats per row.
        tolerance: How far below its top a bound may stay.
        steps: The largest number of steps.
    """
    done = len(bounds) - 1
    if done >= AGREEING and bounds[-1] - bounds[-2] <= ROUNDING * (1 + abs(bounds[-1])):
        return Verdict(f"converged after {done} steps: the last gained nothing", True)
    agreeing = max(AGREEING, round(SHARE * done))
    if done > agreeing + 1 and remaining(bounds) < tolerance:
        left = [remaining(bounds[: len(bounds) - back]) for back in range(agreeing)]
        if max(left) < tolerance:
            return Verdict(
                f"converged after {done} steps: about {left[0]:.1g} nats per row are left to gain, if gains go on "
                f"shrinking as they do; the tolerance is {tolerance:g}",
                True,
            )
    if done >= steps:
        gain = f": the last gained {bounds[-1] - bounds[-2]:.2g} nats per row" if done else ""
        return Verdict(f"not converged: stopped after {done} steps, the most allowed{gain}", False)
    return None
