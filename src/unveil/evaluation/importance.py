"""The bound, its two parts and the log-likelihood of each example, from the same latent draws.

With z_1, ..., z_K drawn from the source's distribution r (q, or the prior)::

    D = 1/K sum_k -log p(x | z_k)          distortion
    R = KL(q || p), or 1/K sum_k log q - log p                        rate
    ELBO = -D - R
    log p(x) ~ log 1/K sum_k p(x, z_k) / r(z_k)                       importance sampling (Burda et al. 2016)

The last, in expectation, lies below log p(x) and rises to it with K. With the prior in the place of q it is naive Monte
Carlo, which seldom meets the z that explain x: a large error, hidden where no draw came near.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unveil.distributions import Generator
from unveil.evaluation.accumulate import LogMean, Moments
from unveil.evaluation.estimate import PerExample
from unveil.evaluation.examples import Examples
from unveil.evaluation.latents import LatentUse
from unveil.evaluation.nature import Nature
from unveil.evaluation.streaming import Stream, Streaming
from unveil.models import FromPosterior, FromPrior, Model, Source, Term
from unveil.models.term import Bound
from unveil.variables import Batch

MakeSource = Callable[[int, Generator], Source]
"""Makes a source from the number of particles and where random numbers come from."""


class Fold:
    """The sums over the terms of one walk, (K, B) each, made as the walk goes: no term is kept.

    Args:
        shape: (K, B).
        device: Where the sums are made.
        nature: Told of every term.
        batch: What is walked over; its rows are named where a number is NaN.
    """

    def __init__(self, shape: tuple[int, int], device: torch.device, nature: Nature, batch: Batch) -> None:
        zeros = torch.zeros(shape, dtype=torch.float64, device=device)
        self.distortion, self.rate, self.log_w = zeros, zeros.clone(), zeros.clone()
        self.nature, self.batch = nature, batch

    def __call__(self, term: Term) -> None:
        """Add a term."""
        self.nature.note(term)
        if term.observed:
            self.distortion -= self._sound(term, term.weighted(term.log_p))
        elif term.dequantizes:
            self.distortion += self._sound(term, term.rate())
        else:
            self.rate += self._sound(term, term.rate())
        if self.nature.refusal is None:
            self.log_w += term.log_p if term.observed else term.log_p - term.log_q

    def _sound(self, term: Term, value: Tensor) -> Tensor:
        bad = value.isnan().any(0)
        if bad.any():
            rows = torch.arange(len(self.batch)) if self.batch.index is None else self.batch.index.cpu()
            named = rows[bad.cpu().expand(len(rows))][:5].tolist()
            raise FloatingPointError(f"{term.name}: its log-probability is NaN for rows {named}")
        return value


@dataclass
class Sampled:
    """What one pass over the examples tells, an estimate for each.

    Args:
        distortion: D.
        rate: R.
        elbo: -D - R.
        log_likelihood: The log of the average weight; the reason in words where there are no weights.
        effective: The effective sample size of the weights, (N,).
        nature: What the terms are.
        uses: What each latent variable is used for, by name.
    """

    distortion: PerExample
    rate: PerExample
    elbo: PerExample
    log_likelihood: PerExample | str
    effective: Tensor | None
    nature: Nature
    uses: dict[str, LatentUse] = field(default_factory=dict)


def from_posterior(model: Model, examples: Examples, streaming: Streaming, uses: dict[str, LatentUse]) -> Sampled:
    """One pass with z from q, which fills in what each latent variable is used for."""
    return _sampled(model, examples, streaming, FromPosterior, Stream.POSTERIOR, "importance sampling", uses)


def from_prior(model: Model, examples: Examples, streaming: Streaming) -> Sampled:
    """One pass with z from the prior: naive Monte Carlo."""
    return _sampled(model, examples, streaming, FromPrior, Stream.PRIOR, "naive Monte Carlo", {})


def _sampled(
    model: Model,
    examples: Examples,
    streaming: Streaming,
    source: MakeSource,
    purpose: Stream,
    what: str,
    uses: dict[str, LatentUse],
) -> Sampled:
    tallies: list[_Tally] = []
    nature = Nature()
    for rows in streaming.chunks(model.device, what):
        batch, streams = examples.rows(rows), streaming.streams(rows, purpose, model.device)
        tally = _Tally()
        for i, k in enumerate(streaming.blocks()):
            fold = Fold((k, len(rows)), model.device, nature, batch)
            model.run(batch, source(k, streams), _watched(fold, uses, whole=i == 0))
            tally.add(fold)
        tallies.append(tally)
    return _gathered(tallies, nature, uses, streaming.particles)


def _watched(fold: Fold, uses: dict[str, LatentUse], *, whole: bool) -> Callable[[Term], None]:
    """The fold, which also looks at what each latent variable is used for; in a chunk's first block, in whole."""

    def record(term: Term) -> None:
        fold(term)
        if use := uses.get(term.name):
            use.add_rate(term)
            if whole:
                use.add(term)

    return record


class _Tally:
    """The sums over the blocks of one chunk of examples."""

    def __init__(self) -> None:
        self.distortion, self.rate, self.elbo, self.log_w = Moments(), Moments(), Moments(), LogMean()

    def add(self, fold: Fold) -> None:
        self.distortion.add(fold.distortion)
        self.rate.add(fold.rate)
        self.elbo.add(-fold.distortion - fold.rate)
        if fold.nature.refusal is None:
            self.log_w.add(fold.log_w)


def _gathered(tallies: list[_Tally], nature: Nature, uses: dict[str, LatentUse], particles: int) -> Sampled:
    def each(part: Callable[[_Tally], Tensor]) -> Tensor:
        return torch.cat([part(tally) for tally in tallies]).cpu()

    def moments(part: Callable[[_Tally], Moments], bound: Bound) -> PerExample:
        value = each(lambda tally: part(tally).mean)
        if bound == "exact":
            return PerExample.exact(value)
        return PerExample(value, each(lambda tally: part(tally).variance_of_mean), bound, particles)

    effective = None
    log_likelihood: PerExample | str = nature.refusal or ""
    if nature.refusal is None:
        effective = each(lambda tally: tally.log_w.effective_sample_size)
        value, variance = each(lambda tally: tally.log_w.value), each(lambda tally: tally.log_w.variance)
        log_likelihood = PerExample(value, variance, "lower", particles) if nature.latent else PerExample.exact(value)
    return Sampled(
        moments(lambda tally: tally.distortion, nature.distortion),
        moments(lambda tally: tally.rate, nature.rate),
        moments(lambda tally: tally.elbo, nature.elbo),
        log_likelihood,
        effective,
        nature,
        uses,
    )
