"""The record of an evaluation: every number with its errors and what it is, the reasons for those that are missing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from unveil.evaluation.estimate import Estimate, finite

NOT_ASKED_FOR = "not asked for"
NO_LATENT = "the model has no latent variable"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model makes of a split, in nats per example.

    Args:
        elbo: -rate - distortion, to log p(x).
        log_likelihood: log p(x) by importance sampling from q.
        log_likelihood_prior: log p(x) by naive Monte Carlo, with as many draws from the prior: how that fails.
        rate: KL(q(z | x) || p(z)), what the code costs.
        distortion: -log p(x | z), what is left.
        bits_per_dim: -log p(x) in bits per observed entry (minus the ELBO where there is no log-likelihood);
            None where nothing is observed.
        mean_kl: The rate, as the left side of ELBO surgery's balance.
        mutual_information: I_q[n, z], what a code tells about which example it is of; at most log N.
        marginal_kl: KL(q(z) || p(z)), what the prior misses of the codes as a whole.
        surgery_residual: mean_kl - mutual_information - marginal_kl: zero but for its error, which is a check.
        gap: log p(x) - ELBO, the inference gap, where log p(x) was handed in.
        particles: Latent draws per example.
        examples: How many examples were evaluated.
        rows: How many the split has: q(z) is over all of them.
        others: How many other rows stand for all in q(z); None where every pair was evaluated.
        active_units: How many coordinates of the latents vary over the data.
        units: How many there are.
        effective_sample_size: Mean and smallest over the examples, of K; near 1 the log-likelihood can't be trusted.
        kl_per_dim: Each latent variable's KL per coordinate, (\\*event,), averaged over the examples; only where it
            splits so.
        rate_per_latent: Each latent variable's part of the rate.
        at_cap: Whether the mutual information can't be told from log N.
        collapse: Whether the latents are used, in words.
        notes: What else must be said, in sentences.
        reasons: Why a number is missing, by its name.
        index: The evaluated row numbers.
        per_example: The per-example values behind the estimates, (examples,) each.
    """

    elbo: Estimate
    log_likelihood: Estimate | None
    log_likelihood_prior: Estimate | None
    rate: Estimate
    distortion: Estimate
    bits_per_dim: Estimate | None
    mean_kl: Estimate
    mutual_information: Estimate | None
    marginal_kl: Estimate | None
    surgery_residual: Estimate | None
    gap: Estimate | None
    particles: int
    examples: int
    rows: int
    others: int | None
    active_units: int
    units: int
    effective_sample_size: tuple[float, float] | None
    kl_per_dim: dict[str, Tensor]
    rate_per_latent: dict[str, float]
    at_cap: bool
    collapse: str
    notes: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)
    index: Tensor | None = None
    per_example: dict[str, Tensor] = field(default_factory=dict)

    @property
    def estimates(self) -> dict[str, Estimate | None]:
        """Every estimate by name, in the order of the table."""
        return {name: getattr(self, name) for name in ESTIMATES}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; what is missing is None, and ``reasons`` says why."""
        estimates = {name: None if value is None else value.to_dict() for name, value in self.estimates.items()}
        sample_size = self.effective_sample_size and dict(zip(("mean", "min"), self.effective_sample_size, strict=True))
        return {
            **estimates,
            "bits_per_dim": None if self.bits_per_dim is None else finite(self.bits_per_dim.value),
            "bits_per_dim_estimate": estimates["bits_per_dim"],
            "particles": self.particles,
            "examples": self.examples,
            "rows": self.rows,
            "others": self.others,
            "log_rows": math.log(self.rows),
            "active_units": self.active_units,
            "units": self.units,
            "effective_sample_size": sample_size,
            "kl_per_dim": {name: value.flatten().tolist() for name, value in self.kl_per_dim.items()},
            "rate_per_latent": self.rate_per_latent,
            "at_cap": self.at_cap,
            "collapse": self.collapse,
            "notes": list(self.notes),
            "reasons": self.reasons,
        }

    def __str__(self) -> str:
        header = ("nats per example", "value", "what it is", "Monte Carlo", "data")
        rows = [_row(LABELS[name], value) for name, value in self._telling() if value is not None]
        widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
        align = (str.ljust, str.rjust, str.ljust, str.rjust, str.rjust)

        def line(cells: tuple[str, ...]) -> str:
            return "  ".join(f(cell, w) for f, cell, w in zip(align, cells, widths, strict=True)).rstrip()

        rule = line(tuple("-" * width for width in widths))
        return "\n".join([line(header), rule, *map(line, rows), "", *self._sentences()])

    def _telling(self) -> Iterator[tuple[str, Estimate | None]]:
        """The estimates that say something: without latents there is no code to pay for, and the bound may be exact."""
        for name, value in self.estimates.items():
            if self.units or not (name in OF_A_CODE or (name == "elbo" and self.elbo.bound == "exact")):
                yield name, value

    def _sentences(self) -> list[str]:
        some = "" if self.examples == self.rows else f" of {self.rows:,}"
        sentences = [f"examples: {self.examples:,}{some}"]
        if self.elbo.bound != "exact":
            sentences[0] += f"; latent draws for each: {self.particles:,}"
        if self.effective_sample_size is not None and self.elbo.bound != "exact":
            mean, least = self.effective_sample_size
            sentences[0] += f"; effective sample size {mean:.3g} on average, {least:.3g} at least"
        if self.units:
            sentences += [f"{self.active_units} of {self.units} latent units are active", self.collapse]
        missing: dict[str, list[str]] = {}
        for name, reason in self.reasons.items():
            missing.setdefault(reason, []).append(LABELS[name])
        told = [f"no {', '.join(names)}: {reason}" for reason, names in missing.items() if reason != NOT_ASKED_FOR]
        return [*sentences, *self.notes, *told]


LABELS = {
    "elbo": "ELBO",
    "log_likelihood": "log-likelihood",
    "log_likelihood_prior": "log-likelihood, naive",
    "rate": "rate",
    "distortion": "distortion",
    "bits_per_dim": "bits per dimension",
    "mean_kl": "mean KL",
    "mutual_information": "mutual information",
    "marginal_kl": "marginal KL",
    "surgery_residual": "balance of the three",
    "gap": "inference gap",
}
ESTIMATES = tuple(LABELS)
OPTIONAL = (
    "log_likelihood",
    "log_likelihood_prior",
    "mutual_information",
    "marginal_kl",
    "surgery_residual",
    "gap",
)
"""The estimates that may be missing."""
OF_A_CODE = ("rate", "distortion", "mean_kl")
"""The estimates that say nothing where there is no code."""


def _row(label: str, estimate: Estimate) -> tuple[str, ...]:
    errors = (estimate.error(estimate.monte_carlo_error), estimate.error(estimate.standard_error))
    return label, estimate.figure(), estimate.kind, *errors
