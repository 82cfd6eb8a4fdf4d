"""What a number is: its value, its errors, and whether it is a bound.

An estimate over N examples averages what is estimated for each. Two errors are told apart::

    Monte Carlo   sqrt(sum_n Var[a_n]) / N     would vanish with infinitely many latent draws of the same examples
    data          sd_n(a_n) / sqrt(N)          would vanish with infinitely many examples (it contains the other)

with a_n the estimate for example n and Var[a_n] its variance over the latent draws. The finite size of the split is
not taken into account in the second: it is the error with respect to the population that the examples come from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unveil.models.term import Bound

ROUNDING = 1e-6
"""Errors below this are those of floating point numbers, not of an estimate."""

WORDS: dict[Bound, str] = {
    "exact": "exact",
    "lower": "lower bound",
    "upper": "upper bound",
    "unbiased": "unbiased",
    "consistent": "consistent",
    "relaxed": "not a bound",
}


@dataclass(frozen=True)
class Estimate:
    """One number, its errors, and what it is to the quantity that it stands for.

    Args:
        value: The number.
        monte_carlo_error: The standard error from finitely many latent draws; 0 where there is no randomness.
        standard_error: The standard error over the data; NaN of a single example.
        particles: Latent draws per example; 0 where there are none.
        examples: How many examples were averaged over.
        bound: ``"exact"``; ``"lower"`` or ``"upper"``: the expectation lies on that side; ``"unbiased"``: the
            expectation is the quantity; ``"consistent"``: the limit of many draws is; ``"relaxed"``: none of these.
        unit: What it is measured in.

    Example:
        >>> print(Estimate(-84.312, 0.05, 0.27, particles=5000, examples=10000, bound="lower"))
        -84.31 nats (lower bound, 5000 particles; +-0.05 Monte Carlo, +-0.27 data)
    """

    value: float
    monte_carlo_error: float
    standard_error: float
    particles: int
    examples: int
    bound: Bound
    unit: str = "nats"

    @property
    def digits(self) -> int:
        """How many decimals are worth printing: the first of the smallest error."""
        errors = [error for error in (self.monte_carlo_error, self.standard_error) if ROUNDING < error < math.inf]
        return max(-math.floor(math.log10(min(errors))), 0) if errors else 2

    def figure(self) -> str:
        """The value with its decimals; two more than its error where it is exact: models on the same rows compare."""
        known = self.bound == "exact" and ROUNDING < self.standard_error < math.inf
        return _fixed(self.value, min(self.digits + 2, 6) if known else self.digits)

    def error(self, number: float) -> str:
        """An error with this estimate's decimals; empty where there is none."""
        return f"+-{_fixed(number, self.digits)}" if number > ROUNDING else ""

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return WORDS[self.bound]

    def __str__(self) -> str:
        particles = f", {self.particles} particle{'s' if self.particles > 1 else ''}" if self.particles else ""
        errors = ((self.error(self.monte_carlo_error), "Monte Carlo"), (self.error(self.standard_error), "data"))
        known = ", ".join(f"{error} {source}" for error, source in errors if error)
        known = f"; {known}" if known else ""
        return f"{self.figure()} {self.unit} ({self.kind}{particles}{known})"

    def to_dict(self) -> dict[str, float | str | None]:
        """Plain data for JSON, which knows no NaN and no infinity: these become None."""
        numbers = {name: getattr(self, name) for name in ("value", "monte_carlo_error", "standard_error")}
        return {**{name: finite(number) for name, number in numbers.items()}, "bound": self.bound}

    def times(self, factor: float, unit: str) -> Estimate:
        """The same in another unit; a negative factor turns a lower bound into an upper one.

        Args:
            factor: What to multiply by.
            unit: The new unit.
        """
        return replace(
            self,
            value=factor * self.value,
            monte_carlo_error=abs(factor) * self.monte_carlo_error,
            standard_error=abs(factor) * self.standard_error,
            bound=negated(self.bound) if factor < 0 else self.bound,
            unit=unit,
        )


@dataclass(frozen=True)
class PerExample:
    """An estimate for each example of a data set.

    Args:
        value: a_n, (N,).
        variance: Var[a_n] over the latent draws, (N,); NaN where one draw does not tell.
        bound: What each a_n is to the quantity that it stands for.
        particles: Latent draws per example; 0 where there are none.
        shared: The variance of the *average* from random choices that all examples share.
    """

    value: Tensor
    variance: Tensor
    bound: Bound
    particles: int = 0
    shared: float = 0.0

    @classmethod
    def exact(cls, value: Tensor) -> PerExample:
        """Numbers without an error, (N,)."""
        return cls(value, torch.zeros_like(value), "exact")

    def mean(self) -> Estimate:
        """The average over the examples, with both errors.

        Where there is one draw per example, its error can't be told from the data's, which contains it and is given.
        """
        n = len(self.value)
        standard_error = self.value.std().item() / math.sqrt(n) if n > 1 else math.nan
        monte_carlo_error = math.sqrt(self.variance.sum().item() / n**2 + self.shared)
        if math.isnan(monte_carlo_error):
            monte_carlo_error = standard_error
        return Estimate(self.value.mean().item(), monte_carlo_error, standard_error, self.particles, n, self.bound)

    def minus(self, other: PerExample, bound: Bound) -> PerExample:
        """The difference of two independent estimates, (N,).

        Args:
            other: What to subtract.
            bound: What the difference is.
        """
        variance = self.variance + other.variance
        return PerExample(self.value - other.value, variance, bound, self.particles, self.shared + other.shared)


def _fixed(number: float, digits: int) -> str:
    return f"{round(number, digits) + 0.0:.{digits}f}" if math.isfinite(number) else str(number)


def negated(bound: Bound) -> Bound:
    """What minus a number is, if the number is ``bound``."""
    flipped: dict[Bound, Bound] = {"lower": "upper", "upper": "lower"}
    return flipped.get(bound, bound)


def unless_relaxed(bound: Bound, *others: Bound) -> Bound:
    """``bound``, or ``"relaxed"`` if one of the others is."""
    return "relaxed" if "relaxed" in others else bound


def finite(number: float) -> float | None:
    """The number, or None if JSON can't hold it."""
    return number if math.isfinite(number) else None
