"""What the numbers mean, in sentences."""

from __future__ import annotations

import math

from unveil.evaluation.estimate import Estimate

NEGLIGIBLE = 0.05
"""Nats that carry nothing; less than these for each unit are little."""


def is_at_cap(mutual_information: Estimate, rows: int) -> bool:
    """Whether I_q[n, z] can't be told from its largest possible value, log N."""
    room = max(2 * mutual_information.monte_carlo_error, 1e-3 * math.log(rows))
    return rows > 1 and mutual_information.value >= math.log(rows) - room


def cap_sentence(mutual_information: Estimate, rows: int) -> str:
    """What it means to be there."""
    if mutual_information.bound == "upper":
        return (
            f"the bound on the mutual information is at its cap, log {rows:,} = {math.log(rows):.2f} nats: with these "
            "random rows in q(z) nothing smaller can be shown"
        )
    return (
        f"the mutual information is at its cap, log {rows:,} = {math.log(rows):.2f} nats: every example of the split "
        "has codes of its own, and how much more they tell can't be seen with so few examples"
    )


def collapse_sentence(
    rate: Estimate, mutual_information: Estimate | None, active: int, units: int, *, rows: int, inferred: bool
) -> str:
    """Whether the latent variables are used.

    Args:
        rate: The rate.
        mutual_information: I_q[n, z], if it was estimated.
        active: How many units are active.
        units: How many there are.
        rows: How many examples q(z) is over.
        inferred: Whether any latent variable is drawn from a q that is not its p.
    """
    if units == 0:
        return "no collapse: there is no latent variable"
    if not inferred:
        return "nothing is inferred: the latent variables are drawn from the prior, so the rate is zero by construction"
    if rate.value < -NEGLIGIBLE - 2 * rate.monte_carlo_error:
        return f"the rate is negative, {rate.value:.2f} nats: p(z) is not normalised (a flat density), so it is no KL"
    if _negligible(rate):
        return f"posterior collapse: the rate is {max(rate.value, 0):.2g} nats; z tells next to nothing about x"
    if mutual_information is None:
        return f"no collapse: the rate is {rate.value:.2f} nats, {active} of {units} units are active"
    if _negligible(mutual_information):
        nothing = max(mutual_information.value, 0)
        return (
            f"posterior collapse: q(z | x) ignores x; the rate is {rate.value:.2f} nats, the mutual information "
            f"{nothing:.2g}: the rate is paid for codes that as a whole are unlike the prior"
        )
    if mutual_information.value - 2 * mutual_information.monte_carlo_error < NEGLIGIBLE:
        return f"it can't be told whether z tells about x: the mutual information is {mutual_information}"
    most = "at most " if mutual_information.bound == "upper" else ""
    little = min(NEGLIGIBLE * units, 0.5 * math.log(rows))  # of few rows no code can tell much
    so = "nearly collapsed" if mutual_information.value < little else "no collapse"
    return (
        f"{so}: z tells {most}{mutual_information.value:.2f} nats about which example it is of; "
        f"{active} of {units} units are active"
    )


def _negligible(estimate: Estimate) -> bool:
    """Whether it surely is."""
    return estimate.value + 2 * estimate.monte_carlo_error < NEGLIGIBLE
