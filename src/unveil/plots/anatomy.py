"""What there is to draw of a model: asked of the terms of one small pass, never of the model's class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unveil.data import Split
from unveil.distributions import MarkovChain, Steps, draw
from unveil.distributions.masked import MaskedSteps
from unveil.models import FromPosterior, FromPrior, Model, Source, Term
from unveil.variables import Batch, Variable

CHUNK = 250
"""Rows that go through a model at once."""

Keep = Callable[[Term], Tensor | None]


@dataclass(frozen=True)
class Anatomy:
    """The variables of a model, by what can be drawn of them.

    Args:
        images: The observed variables that are images: their names and shapes (channels, height, width).
        vectors: All other observed variables, likewise, but for sequences whose steps are alike.
        latent: Whether there are latent variables, other than data made continuous.
        inferred: Names of the latent variables that have a posterior, those of spliced priors left out.
        averaged: Names of the observed variables whose distribution has a mean; of others, draws are shown.
        generative: Whether all that is not observed can be drawn from the model.
        conditional: Whether there is something to condition on.
        chains: Whether some latent variable is a Markov chain of states.
    """

    images: dict[str, tuple[int, ...]]
    vectors: dict[str, tuple[int, ...]]
    latent: bool
    inferred: tuple[str, ...]
    averaged: frozenset[str]
    generative: bool
    conditional: bool
    chains: bool


def described(model: Model, name: str, shape: tuple[int, ...]) -> Variable | None:
    """What the model says about an observed variable, where it says so."""
    variable = model.x.get(name) if isinstance(model.x, Mapping) else model.x
    return variable if variable is not None and variable.shape == shape else None


def examine(model: Model, batch: Batch) -> Anatomy:
    """Ask a model what it is made of, with two examples of a batch."""
    few = cut(batch, 0, min(2, len(batch))).to(model.device)
    terms: list[Term] = []
    with model.at_rest():
        model.run(few, FromPosterior(generator=seeded(model)), terms.append)
    latents = latents_among(terms)
    names = {term.name for term in latents}
    observed = [term for term in terms if term.observed and readable(term) and not inside(term.name, names)]
    observed = [term for term in observed if not isinstance(term.p, Steps | MaskedSteps)]
    flat = [term.name for term in latents if term.p is None and not any(inside(t.name, {term.name}) for t in terms)]
    inferred = [term.name for term in latents if term.q is not None and term.q is not term.p]
    factors = [term for term in terms if term.value is None]
    return Anatomy(
        images={term.name: shape_of(term) for term in observed if is_image(term)},
        vectors={term.name: shape_of(term) for term in observed if not is_image(term)},
        latent=bool(latents),
        inferred=tuple(name for name in inferred if not inside(name, names)) or tuple(inferred),
        averaged=frozenset(term.name for term in observed if mean_of(term) is not None),
        generative=not flat and not factors,
        conditional=batch.context is not None,
        chains=any(isinstance(term.q, MarkovChain) for term in latents),
    )


def latents_among(terms: Iterable[Term]) -> list[Term]:
    """The terms of latent variables; data that was made continuous is none."""
    return [term for term in terms if not (term.data or term.dequantizes)]


def is_image(term: Term) -> bool:
    """Whether a data variable has the shape (channels, height, width)."""
    return len(shape_of(term)) == 3


def shape_of(term: Term) -> tuple[int, ...]:
    """The shape of one value of a data variable."""
    return () if term.p is None else tuple(term.p.event_shape)


def readable(term: Term) -> bool:
    """Whether a term has both a value and a distribution of it (a factor has none)."""
    return term.value is not None and term.p is not None


def inside(name: str, owners: set[str]) -> bool:
    """Whether a variable belongs to a model that is spliced in as the prior of one of these variables."""
    return any(name.startswith(owner + "/") for owner in owners)


def collect(model: Model, batch: Batch, source: Source, keep: Keep) -> dict[str, Tensor]:
    """What ``keep`` makes of each term of a pass, chunk by chunk, so that long chains and large nets fit.

    Args:
        model: What is visited.
        batch: The examples.
        source: Decides the values.
        keep: From a term to what is wanted of it, (K, B, ...); None for nothing.

    Returns:
        By name, (K, B, ...), on the CPU.
    """
    found: dict[str, list[Tensor]] = {}

    def record(term: Term) -> None:
        if (kept := keep(term)) is not None:
            found.setdefault(term.name, []).append(kept.detach().cpu())

    with model.at_rest():
        for start in range(0, len(batch), CHUNK):
            model.run(cut(batch, start, min(start + CHUNK, len(batch))).to(model.device), source, record)
    return {name: torch.cat(chunks, dim=1) for name, chunks in found.items()}


def generate(model: Model, batch: Batch, names: tuple[str, ...], particles: int, *, draws: bool) -> dict[str, Tensor]:
    """Data variables generated from the prior: draws of p(x | z), or its means where it has them, (K, B, \\*shape)."""

    def keep(term: Term) -> Tensor | None:
        if term.name not in names:
            return None
        mean = None if draws else mean_of(term)
        return term.value if mean is None else mean

    return collect(model, batch, FromPrior(particles, seeded(model)), keep)


def mean_of(term: Term) -> Tensor | None:
    """The mean of p for every particle and example, (K, B, \\*event); None where p has none (torch's protocol)."""
    if term.p is None:
        return None
    try:
        return term.p.mean.expand(*term.shape, *term.p.event_shape)
    except NotImplementedError:
        return None


def drawn(term: Term, generator: torch.Generator) -> Tensor | None:
    """A draw from p for every particle and example, (K, B, \\*event)."""
    if term.p is None:
        return None
    missing = term.shape[: 2 - len(term.p.batch_shape)]
    return draw(term.p, missing, generator).expand(*term.shape, *term.p.event_shape)


def value_of(term: Term) -> Tensor | None:
    """The value for every particle and example, (K, B, \\*event)."""
    if term.value is None:
        return None
    return term.value.expand(*term.shape, *term.value.shape[1 if term.observed else 2 :])


def cut(batch: Batch, start: int, stop: int) -> Batch:
    """Rows start, ..., stop - 1."""
    return replace(batch.rows(slice(start, stop)), size=stop - start)


def thinned(batch: Batch, count: int) -> Batch:
    """At most that many rows of a batch, evenly spaced."""
    index = evenly(len(batch), count)
    return replace(batch.map(lambda rows: rows[index.to(rows.device)]), size=len(index))


def spread_rows(split: Split, count: int, seed: int = 0) -> Batch:
    """At most that many rows of a split, evenly spaced, as a model sees them."""
    index = evenly(len(split), count)
    batch = split.batch(index, torch.Generator(split.device).manual_seed(seed))
    return replace(batch, size=len(index))


def evenly(rows: int, count: int) -> Tensor:
    """At most that many of so many row numbers, evenly spaced."""
    return torch.linspace(0, rows - 1, min(count, rows), dtype=torch.float64).round().long()


def classes_of(context: Tensor | None) -> Tensor | None:
    """The class of each row, (N,), where the context is one-hot; None otherwise."""
    if context is None or context.dim() != 2 or context.shape[1] < 2:
        return None
    one_hot = ((context == 0) | (context == 1)).all() and (context.sum(1) == 1).all()
    return context.argmax(1).cpu() if one_hot else None


def seeded(model: Model, seed: int = 0) -> torch.Generator:
    """A generator where the model lives."""
    return torch.Generator(model.device).manual_seed(seed)
