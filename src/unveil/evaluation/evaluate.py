"""One call that judges a model on a split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from unveil.evaluation.estimate import Estimate, PerExample, combined
from unveil.evaluation.examples import Examples, Rows, chosen
from unveil.evaluation.importance import Sampled, from_posterior, from_prior
from unveil.evaluation.record import ESTIMATES, Evaluation
from unveil.evaluation.streaming import ProgressBar, Streaming, at_rest
from unveil.evaluation.surgery import Surgery, surgery
from unveil.evaluation.words import cap_sentence, collapse_sentence, is_at_cap
from unveil.models import Model
from unveil.variables import Batch, Observed

FEW = 10
"""An effective sample size below this says that the weights have not been sampled."""

LogP = Callable[[Batch], Tensor | PerExample]
"""log p(x) of a batch, (B,) in nats: exact as a tensor, or an estimate that says what it is."""


def evaluate(
    model: Model,
    data: Observed | Batch | Rows,
    *,
    particles: int = 100,
    limit: int | None = None,
    seed: int = 0,
    chunk: int | None = None,
    split_rate: bool = True,
    naive: bool = True,
    pairs: float = 2e9,
    exact: LogP | None = None,
    progress: ProgressBar | None = None,
) -> Evaluation:
    """Estimate the bound, the log-likelihood, the rate and what it is spent on, each with its errors.

    The model is evaluated at rest (evaluation mode, no gradients) and given back as it was. Particles and examples are
    streamed; the numbers are functions of model, data, particles, limit and seed, not of the chunk size.

    Args:
        model: What to judge; anything with a walk.
        data: A whole split: a tensor (N, \\*shape), a mapping of tensors, a Batch, or an object with ``len`` and
            ``batch(index, generator)``, which is drawn once.
        particles: K, latent draws per example: more make the log-likelihood tighter.
        limit: How many examples to evaluate, a fixed random choice; q(z) is over all rows of the split all the same.
        seed: Decides every random number.
        chunk: Examples per walk; chosen from their size by default.
        split_rate: Whether to split the rate by ELBO surgery.
        naive: Whether to estimate log p(x) by naive Monte Carlo, too: it takes as long as importance sampling.
        pairs: How many values of q(z | x_m) ELBO surgery may evaluate for each of its terms before it takes M random
            rows for all others.
        exact: log p(x) of a batch where it is known, or estimated in another way: gives the inference gap.
        progress: Called with what is being done, the number of examples done, and of how many.

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
    streaming = Streaming(index, particles, examples.features, seed, chunk, progress)
    with at_rest(model):
        sampled = from_posterior(model, examples, streaming)
        prior = _from_prior(model, examples, streaming) if naive else "not asked for"
        parts = surgery(model, examples, streaming, sampled.nature, pairs) if split_rate else "not asked for"
        known = None if exact is None else _known(exact, examples, streaming)
    return _record(examples, streaming, sampled, prior, parts, known)


def _from_prior(model: Model, examples: Examples, streaming: Streaming) -> Sampled | str:
    try:
        return from_prior(model, examples, streaming)
    except ValueError as reason:  # a flat density can't be sampled
        return str(reason)


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
    reasons = {name: value for name, value in found.items() if isinstance(value, str)}
    estimates = {name: value.mean() for name, value in per_example.items()}
    tightest = estimates.get("log_likelihood", estimates["elbo"])
    entries = examples.observed_entries(streaming.index)
    active = [use.active for use in sampled.uses.values()]
    counts = sum(int(unit.sum()) for unit in active), sum(unit.numel() for unit in active)
    information = estimates.get("mutual_information")
    return Evaluation(
        **{name: estimates.get(name) for name in ESTIMATES if name != "bits_per_dim"},
        bits_per_dim=tightest.times(-1 / (entries * math.log(2)), "bits per dimension"),
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
        collapse=collapse_sentence(estimates["rate"], information, *counts, inferred=sampled.nature.inferred),
        notes=tuple(_notes(estimates, len(examples), sampled, prior, parts)),
        reasons=reasons,
        index=streaming.index,
        per_example={name: value.value for name, value in per_example.items()},
    )


def _found(
    sampled: Sampled, prior: Sampled | str, parts: Surgery | str, known: PerExample | None
) -> dict[str, PerExample | str | None]:
    """Every estimate by name, or the reason why there is none; None where none was asked for."""
    found: dict[str, PerExample | str | None] = {
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
        bound = combined("unbiased", *({"relaxed"} & {parts.mutual_information.bound}))
        left = sampled.rate.minus(parts.mutual_information, bound).minus(parts.marginal_kl, bound)
        found |= {"mutual_information": parts.mutual_information, "marginal_kl": parts.marginal_kl}
        found["surgery_residual"] = left
    if known is not None:
        relaxed = {"relaxed"} & {sampled.elbo.bound}
        found["gap"] = known.minus(sampled.elbo, combined("unbiased", known.bound, *relaxed))
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
        yield cap_sentence(rows)
    if isinstance(parts, Surgery) and parts.others is not None:
        yield (
            f"q(z) is estimated from each code's own example and {parts.others:,} of the {rows - 1:,} others: the "
            "mutual information is an upper, the marginal KL a lower bound"
        )
    if isinstance(parts, Surgery) and parts.conditional:
        yield "p(z | c) depends on the context: the marginal KL is E[log q(z) - log p(z | c)], which may be negative"
    if residual is not None and abs(residual.value) > 5 * residual.monte_carlo_error + 1e-4 * (1 + information.value):
        yield f"the balance is off by {residual.value:.3g} nats, more than its error explains: the draws are too few"
    for passed, name in ((sampled, "importance sampling"), (prior, "naive Monte Carlo")):
        if isinstance(passed, Sampled) and passed.effective is not None and passed.nature.latent:
            few = int((passed.effective < min(FEW, passed.elbo.particles)).sum())
            if few:
                yield (
                    f"{name}: the effective sample size of {few:,} of {len(passed.effective):,} examples is below {FEW}: "
                    "there the value lies further below log p(x) than its error says"
                )
