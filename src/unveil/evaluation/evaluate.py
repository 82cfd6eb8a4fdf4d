"""One call that judges a model on a split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from unveil.evaluation.estimate import Estimate, PerExample, unless_relaxed
from unveil.evaluation.examples import Examples, Rows, chosen
from unveil.evaluation.importance import Sampled, from_posterior, from_prior
from unveil.evaluation.latents import uses_of
from unveil.evaluation.record import NO_LATENT, NOT_ASKED_FOR, OPTIONAL, Evaluation
from unveil.evaluation.streaming import Stream, Streaming, entries_of_a_draw, seed_of
from unveil.evaluation.surgery import Surgery, surgery
from unveil.evaluation.words import cap_sentence, collapse_sentence, is_at_cap
from unveil.models import FromPosterior, Model, Trace
from unveil.models.checking import check_scored, discrete, untold
from unveil.models.term import combined
from unveil.models.visit import FlatDensityError
from unveil.progress import Show
from unveil.progress import progress as shown
from unveil.variables import Batch, Observed

FEW = 10
"""An effective sample size below this says that the weights have not been sampled."""

DRAWS, FEWEST, MOST, OF_NOISE, OF_EXACT = 1_000_000, 100, 1000, 5, 10
"""Latent draws where nobody says how many: in all, for each example at least and at most, of dequantizing noise, and of
an exact posterior."""
EQUAL = 1e-6
"""Importance weights of an exact posterior differ by no more than this share of log p(x)."""

LogP = Callable[[Batch], Tensor | PerExample]
"""log p(x) of a batch, (B,) in nats: exact as a tensor, or an estimate that says what it is."""


def evaluate(
    model: Model,
    data: Observed | Batch | Rows,
    *,
    particles: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    chunk: int | None = None,
    split_rate: bool = True,
    naive: bool = True,
    pairs: float = 2e9,
    exact: LogP | None = None,
    progress: bool | Show = True,
) -> Evaluation:
    """Estimate the bound, the log-likelihood, the rate and what it is spent on, each with its errors.

    The model is evaluated at rest (evaluation mode, no gradients) and given back as it was. Particles and examples are
    streamed; the numbers are functions of model, data, particles, limit and seed, not of the chunk size.

    Args:
        model: What to judge; anything with a walk.
        data: A whole split: a tensor (N, \\*shape), a mapping of tensors, a Batch, or an object with ``len`` and
            ``batch(index, generator)``, which is drawn once.
        particles: K, latent draws per example: more make the log-likelihood tighter. By default as many as make a
            million draws in all, from 100 to 1,000; 5 of the noise that makes whole numbers continuous, since that is
            as large as the data, so that more hardly help.
        limit: How many examples to evaluate, a fixed random choice; q(z) is over all rows of the split all the same.
        seed: Decides every random number.
        chunk: Examples per walk; chosen from their size by default.
        split_rate: Whether to split the rate by ELBO surgery.
        naive: Whether to estimate log p(x) by naive Monte Carlo, too: it takes as long as importance sampling.
        pairs: How many values of q(z | x_m) ELBO surgery may evaluate for each of its terms before it takes M random
            rows for all others.
        exact: log p(x) of a batch where it is known, or estimated in another way: gives the inference gap.
        progress: Whether to show progress; or what to call with what is being done, the number of examples done, and
            of how many.

    Returns:
        The record; ``print`` it.

    Raises:
        TypeError: If ``data`` is none of these.
        ValueError: If a number is below 1, or the data is empty or not what the model observes.
        FloatingPointError: If a term's log-probability is NaN; the term and the rows are named.

    Example:
        >>> import torch
        >>> from unveil.models import VAE
        >>> from unveil.variables import Variable
        >>> model = VAE(Variable((8,), levels=2), latent_dim=2)
        >>> evaluate(model, torch.zeros(20, 8), particles=10).elbo.bound
        'lower'
    """
    examples = Examples(model, data, seed)
    index = chosen(len(examples), limit)
    with model.at_rest(), shown(progress) as show:
        probe = _probe(model, examples, seed)
        check_scored([probe], examples.rows(torch.arange(1)))
        entries = entries_of_a_draw(probe, examples.features)
        particles = _particles_for(model, len(index), probe) if particles is None else particles
        streaming = Streaming(index, particles, entries, seed, chunk, show)
        sampled = from_posterior(model, examples, streaming, uses_of(probe))
        sampled = _without_gap(sampled) if model.exact_posterior else sampled
        prior = _from_prior(model, examples, streaming, probe) if naive else NOT_ASKED_FOR
        parts = surgery(model, examples, streaming, sampled.nature, probe, pairs) if split_rate else NOT_ASKED_FOR
        known = None if exact is None else _known(exact, examples, streaming)
    record = _record(examples, streaming, sampled, prior, parts, known)
    if discrete(model):
        _require_probability(record.elbo)
    ignored = map(_scored_in_full, untold([probe], examples.rows(torch.arange(1))))
    return replace(record, notes=(*record.notes, *ignored))


def _particles_for(model: Model, rows: int, probe: Trace) -> int:
    """How many latent draws each of so many examples gets where nobody says."""
    if not probe.latents:
        return 1
    if model.exact_posterior:
        return OF_EXACT
    return OF_NOISE if any(term.dequantizes for term in probe) else min(MOST, max(FEWEST, DRAWS // rows))


def _without_gap(sampled: Sampled) -> Sampled:
    """What was sampled from an exact posterior: every weight is p(x), and the ELBO log p(x).

    Raises:
        FloatingPointError: If the weights of an example differ.
    """
    if isinstance(sampled.log_likelihood, str):
        return sampled
    value, deviation = sampled.log_likelihood.value, sampled.log_likelihood.variance.nan_to_num().sqrt()
    if (deviation > EQUAL * (1 + value.abs())).any():
        raise FloatingPointError(
            "posterior: expected an exact one, as the model says, got importance weights that differ by "
            f"{deviation.max().item():.2g} nats: q is not p(z | x), or floating point numbers are too coarse for it"
        )
    exact = PerExample.exact(value)
    return replace(sampled, elbo=exact, log_likelihood=exact)


def _require_probability(elbo: Estimate) -> None:
    """Raise where a lower bound on the log of a probability is above 0: some density is not its sampler's."""
    if elbo.bound == "lower" and elbo.value > 5 * math.hypot(elbo.monte_carlo_error, elbo.standard_error) + 1e-3:
        raise FloatingPointError(
            f"elbo: expected at most 0 for whole numbers, whose probability is at most 1, got {elbo}: some q does not "
            "score what it draws, as where floating point overflows; fit again with a lower learning rate, or look at "
            "the q that you wrote"
        )


def _scored_in_full(name: str) -> str:
    return (
        f"the walk does not tell {name} which of its entries are missing: if its distribution scores them, these are "
        "the numbers of other data"
    )


def _probe(model: Model, examples: Examples, seed: int) -> Trace:
    """Two draws of one example, to see what the model is made of."""
    generator = torch.Generator(model.device).manual_seed(seed_of(seed, Stream.ENCODING))
    return model.trace(examples.rows(torch.arange(1)), FromPosterior(2, generator))


def _from_prior(model: Model, examples: Examples, streaming: Streaming, probe: Trace) -> Sampled | str:
    if any(term.dequantizes for term in probe):
        return "what the prior draws is data itself, and never rounds to the very x"
    if not probe.latents:
        return NO_LATENT
    if model.exact_posterior:
        return "log p(x) is known exactly"
    try:
        sampled = from_prior(model, examples, streaming)
    except FlatDensityError as reason:
        return str(reason)
    if not isinstance(sampled.log_likelihood, str):
        impossible = int((sampled.log_likelihood.value == -torch.inf).sum())
        if impossible:
            return f"for {impossible:,} of {len(streaming.index):,} examples none of the prior's draws makes x possible"
    return sampled


def _known(exact: LogP, examples: Examples, streaming: Streaming) -> PerExample:
    pieces = []
    for rows in streaming.chunks(examples.device, "exact"):
        value = exact(examples.rows(rows))
        pieces.append(value if isinstance(value, PerExample) else PerExample.exact(value.double().cpu()))
    value, variance = (torch.cat([getattr(piece, name) for piece in pieces]) for name in ("value", "variance"))
    return PerExample(value, variance, pieces[0].bound, pieces[0].particles)


def _record(
    examples: Examples,
    streaming: Streaming,
    sampled: Sampled,
    prior: Sampled | str,
    parts: Surgery | str,
    known: PerExample | None,
) -> Evaluation:
    found = _found(sampled, prior, parts, known)
    per_example = {name: value for name, value in found.items() if isinstance(value, PerExample)}
    estimates = {name: value.mean() for name, value in per_example.items()}
    tightest = estimates.get("log_likelihood", estimates["elbo"])
    bits = -1 / (examples.observed_entries(streaming.index) * math.log(2))
    active = [use.active for use in sampled.uses.values()]
    counts = sum(int(unit.sum()) for unit in active), sum(unit.numel() for unit in active)
    information = estimates.get("mutual_information")
    return Evaluation(
        elbo=estimates["elbo"],
        rate=estimates["rate"],
        distortion=estimates["distortion"],
        mean_kl=estimates["mean_kl"],
        **{name: estimates.get(name) for name in OPTIONAL},
        bits_per_dim=None if examples.stored.x is None else tightest.times(bits, "bits per dimension"),
        particles=streaming.particles,
        examples=len(streaming.index),
        rows=len(examples),
        others=None if isinstance(parts, str) else parts.others,
        active_units=counts[0],
        units=counts[1],
        effective_sample_size=_sample_size(sampled),
        kl_per_dim={name: use.kl_per_dim for name, use in sampled.uses.items() if use.kl_per_dim is not None},
        rate_per_latent={name: use.mean_rate for name, use in sampled.uses.items()},
        at_cap=information is not None and is_at_cap(information, len(examples)),
        collapse=collapse_sentence(
            estimates["rate"], information, *counts, rows=len(examples), inferred=sampled.nature.inferred
        ),
        notes=tuple(_notes(estimates, len(examples), sampled, prior, parts)),
        reasons={name: value for name, value in found.items() if isinstance(value, str)},
        index=streaming.index,
        per_example={name: value.value for name, value in per_example.items()},
    )


def _found(
    sampled: Sampled, prior: Sampled | str, parts: Surgery | str, known: PerExample | None
) -> dict[str, PerExample | str]:
    """Every estimate by name, or the reason why there is none."""
    found: dict[str, PerExample | str] = {
        "elbo": sampled.elbo,
        "log_likelihood": sampled.log_likelihood,
        "log_likelihood_prior": prior if isinstance(prior, str) else prior.log_likelihood,
        "rate": sampled.rate,
        "distortion": sampled.distortion,
        "mean_kl": sampled.rate,
    }
    if isinstance(parts, str):
        found |= dict.fromkeys(("mutual_information", "marginal_kl", "surgery_residual"), parts)
    else:
        information, marginal = parts.mutual_information, parts.marginal_kl
        certain = {sampled.rate.bound, information.bound, marginal.bound} == {"exact"}
        bound = "exact" if certain else unless_relaxed("unbiased", information.bound)
        residual = sampled.rate.minus(information, bound).minus(marginal, bound)
        found |= {"mutual_information": information, "marginal_kl": marginal, "surgery_residual": residual}
    if known is not None:
        bound = unless_relaxed(combined("unbiased", known.bound), sampled.elbo.bound)
        found["gap"] = known.minus(sampled.elbo, bound)
    return found


def _sample_size(sampled: Sampled) -> tuple[float, float] | None:
    if sampled.effective is None:
        return None
    return sampled.effective.mean().item(), sampled.effective.min().item()


def _notes(
    estimates: dict[str, Estimate], rows: int, sampled: Sampled, prior: Sampled | str, parts: Surgery | str
) -> Iterator[str]:
    """What must be said beside the numbers."""
    information, residual = estimates.get("mutual_information"), estimates.get("surgery_residual")
    if information is not None and is_at_cap(information, rows):
        yield cap_sentence(information, rows)
    if isinstance(parts, Surgery) and parts.others is not None:
        yield (
            f"q(z) is estimated from each code's own example and {parts.others:,} of the {rows - 1:,} others: the "
            "mutual information is an upper, the marginal KL a lower bound"
        )
    if isinstance(parts, Surgery) and parts.conditional:
        yield "p(z | c) depends on the context: the marginal KL is E[log q(z) - log p(z | c)], which may be negative"
    if information is not None and residual is not None and _unbalanced(residual, information):
        yield f"the balance is off by {residual.value:.3g} nats, more than its error explains: too few draws"
    found, naive = estimates.get("log_likelihood"), estimates.get("log_likelihood_prior")
    if found is not None and naive is not None and sampled.nature.inferred:
        errors = math.hypot(found.monte_carlo_error, naive.monte_carlo_error)
        if naive.value - found.value > 3 * errors + 1e-3:
            yield "naive Monte Carlo finds more likelihood than importance sampling: q proposes worse than the prior"
    for passed, name in ((sampled, "importance sampling"), (prior, "naive Monte Carlo")):
        few = _few(passed)
        if few:
            yield (
                f"{name}: the effective sample size is below {FEW} for {few:,} of {sampled.elbo.value.numel():,} "
                "examples: their values may lie further below log p(x) than the error says"
            )


def _unbalanced(residual: Estimate, information: Estimate) -> bool:
    """Whether the balance is further from zero than chance and rounding explain."""
    return abs(residual.value) > 5 * residual.monte_carlo_error + 1e-4 * (1 + abs(information.value))


def _few(passed: Sampled | str) -> int:
    """For how many examples the weights have not really been sampled."""
    if isinstance(passed, str) or passed.effective is None or not passed.nature.latent:
        return 0
    return int((passed.effective < min(FEW, passed.elbo.particles / 2)).sum())
