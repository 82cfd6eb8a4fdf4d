"""The aggregate posterior q(z) = 1/N sum_m q(z | x_m) over all N rows of a split.

For a z drawn from q(z | x_n), with every other row, or with M of them chosen at random::

    q^(z) = 1/N q(z | x_n) + (N - 1)/N * 1/M sum_m q(z | x_m)

is unbiased for q(z), so that log q^(z) lies below log q(z) in expectation (Jensen). The M rows are the same for all z:
the error that their choice adds to an average of log q^ is found from the share that each row has in it (infinitesimal
jackknife), d/M of the average with respect to row m's weight being u_m = mean_z (N - 1)/N q(z | x_m) / q^(z).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor
from torch.distributions import Distribution

from unveil.distributions import MultivariateNormal, Normal, pairwise_log_prob, select
from unveil.evaluation.examples import Examples
from unveil.evaluation.streaming import Stream, seed_of
from unveil.models import FromPosterior, Given, Model, Term, Trace
from unveil.variables import Batch

ENTRIES = 2**22
"""Numbers that one block of pairs may hold."""
ENCODED_AT_ONCE = 2**22
"""Entries of the examples that are encoded at once."""
WALKED = 10
"""What an entry of z costs in a walk, against a pair that is part of a matrix product."""


@dataclass(frozen=True)
class Points:
    """Latent draws, P of them.

    Args:
        values: By variable name, (P, \\*event) each; codes where there are codes.
        rows: The rows that they were drawn for, (P,).
        log_q: log q(z | x) under their own row, (P,) in double precision.
        log_p: log p(z), (P,).
    """

    values: dict[str, Tensor]
    rows: Tensor
    log_q: Tensor
    log_p: Tensor


class Encoder(ABC):
    """q(z | x_m) for every row m of a split.

    Args:
        cost: What one q(z | x_m) costs, in pairs of a matrix product.
        replayed: The names of the values that it looks at.
        entries: How many entries these have.
    """

    def __init__(self, cost: int, replayed: Set[str], entries: int) -> None:
        self.cost, self.replayed, self.entries = cost, replayed, entries

    @abstractmethod
    def own(self, values: dict[str, Tensor], rows: Tensor) -> Tensor:
        """log q(z | x) of values (S, B, \\*event) under their rows (B,): (S, B)."""

    @abstractmethod
    def across(self, values: dict[str, Tensor], rows: Tensor) -> Tensor:
        """log q(z | x) of values (P, \\*event) under each of the rows (M,): (P, M)."""


class Held(Encoder):
    """The whole split's q(z | x) in memory: for a single latent variable whose q depends on x alone.

    Args:
        name: The variable's name.
        q: Its distributions, batch shape (N,), in double precision.
    """

    def __init__(self, name: str, q: Distribution) -> None:
        super().__init__(1, {name}, q.event_shape.numel())
        self.name, self.q = name, q

    def own(self, values: dict[str, Tensor], rows: Tensor) -> Tensor:
        """One density each."""
        return select(self.q, rows).log_prob(values[self.name].double())

    def across(self, values: dict[str, Tensor], rows: Tensor) -> Tensor:
        """A block of a matrix of densities."""
        return pairwise_log_prob(select(self.q, rows), values[self.name].double())


class Walked(Encoder):
    """q(z | x) by walking the model with the values given: for any model.

    Args:
        model: The model.
        examples: The split.
        names: The latent variables whose q make up q(z | x).
        probe: A trace of the split's first rows.
    """

    def __init__(self, model: Model, examples: Examples, names: Set[str], probe: Trace) -> None:
        self.model, self.examples, self.names = model, examples, names
        self.scores = "pq"
        visited = self._visited(probe, "q")
        if names <= visited:  # else a variable is inside a likelihood that is itself a model: it must be walked too
            self.scores = "q"
        replayed = {name for name in probe.values if self.scores == "pq" or name in {*visited, *probe.auxiliary}}
        entries = max(sum(probe.values[name][0, 0].numel() for name in replayed), 1)
        super().__init__(WALKED * entries, replayed, entries)

    def own(self, values: dict[str, Tensor], rows: Tensor) -> Tensor:
        """One walk."""
        return self._log_q(self.examples.rows(rows), values, len(next(iter(values.values()))))

    def across(self, values: dict[str, Tensor], rows: Tensor) -> Tensor:
        """One walk for some rows at a time, each with all values."""
        p = len(next(iter(values.values())))
        pieces = []
        for some in rows.split(max(ENTRIES // (p * self.entries), 1)):
            spread = {name: value.unsqueeze(1).expand(p, len(some), *value.shape[1:]) for name, value in values.items()}
            pieces.append(self._log_q(self.examples.rows(some), spread, p))
        return torch.cat(pieces, dim=1)

    def _visited(self, probe: Trace, scores: str) -> Set[str]:
        """The variables that a walk with the probe's values meets."""
        visited: set[str] = set()
        source = Given(probe.values, particles=probe.particles, scores=scores)
        batch = self.examples.rows(torch.arange(probe.shape[1]))
        self.model.run(batch, source, lambda term: visited.add(term.name))
        return visited

    def _log_q(self, batch: Batch, values: dict[str, Tensor], particles: int) -> Tensor:
        total = torch.zeros(particles, len(batch), dtype=torch.float64, device=self.model.device)

        def add(term: Term) -> None:
            if term.name in self.names:
                total.add_(term.log_q)

        self.model.run(batch, Given(values, particles=particles, scores=self.scores), add)
        return total


def encoder(model: Model, examples: Examples, probe: Trace, seed: int) -> Encoder:
    """How q(z | x_m) is had for all rows of a split.

    Args:
        model: The model.
        examples: The split.
        probe: A trace of a few of its rows with at least two particles.
        seed: Decides the values of the walks that only look for q.
    """
    terms = own_latents(probe)
    if len(terms) == 1 and not probe.auxiliary and _holdable(terms[0]):
        return Held(terms[0].name, _encode_all(model, examples, terms[0].name, seed))
    return Walked(model, examples, {term.name for term in terms}, probe)


def _holdable(term: Term) -> bool:
    """Whether the term's q is a known distribution for each example, drawn from alone."""
    known = concatenated.dispatch(type(term.q)) is not concatenated.dispatch(object)
    return term.q is not None and known and term.q is not term.p and len(term.q.batch_shape) == 1


def own_latents(trace: Trace) -> list[Term]:
    """The latents whose q depends on x: those of a spliced prior depend on the latent above them alone.

    Their q(. | z) is the same factor in q(z | x_m) for all m and cancels from every ratio of these. Data that was made
    continuous is no latent.
    """
    latents = [term for term in trace if not (term.data or term.dequantizes) and term.q is not None]
    names = {term.name for term in latents}

    def inside(name: str) -> bool:
        scopes = name.split("/")
        return any("/".join(scopes[:depth]) in names for depth in range(1, len(scopes)))

    return [term for term in latents if not inside(term.name)]


class Aggregate:
    """q(z) of a split, with each z's own row and others.

    Args:
        encode: q(z | x_m) for all rows.
        n: The number N of rows.
        others: The other rows, (M,); all N rows where every pair is evaluated.
    """

    def __init__(self, encode: Encoder, n: int, others: Tensor) -> None:
        self.encode, self.n, self.others = encode, n, others
        self.points = 0
        self.shares = torch.zeros(len(others), dtype=torch.float64, device=others.device)

    @property
    def complete(self) -> bool:
        """Whether every pair is evaluated."""
        return len(self.others) == self.n

    def log_prob(self, points: Points) -> Tensor:
        """log q^(z) of each point, (P,)."""
        pieces, at_once = [], max(ENTRIES // len(self.others), 1)
        for block in torch.arange(len(points.rows), device=points.rows.device).split(at_once):
            values = {name: value[block] for name, value in points.values.items()}
            pieces.append(self._block(values, points.rows[block], points.log_q[block]))
        return torch.cat(pieces)

    @property
    def shared_variance(self) -> float:
        """The variance that the choice of the other rows adds to the average of log q^ over all points so far."""
        if self.complete or self.points == 0:
            return 0.0
        u = self.shares * (len(self.others) / self.points)
        return (u.var() / len(self.others) * (1 - len(self.others) / self.n)).item()

    def _block(self, values: dict[str, Tensor], rows: Tensor, log_q: Tensor) -> Tensor:
        log_c = self.encode.across(values, self.others)
        log_c = log_c.masked_fill(self.others == rows.unsqueeze(1), -torch.inf)
        m = (self.others != rows.unsqueeze(1)).sum(1)
        log_weight = math.log((self.n - 1) / self.n) - m.double().log()
        log_marginal = torch.logaddexp(log_q - math.log(self.n), log_weight + log_c.logsumexp(1))
        if not self.complete:
            self.shares += (log_c + (log_weight - log_marginal).unsqueeze(1)).exp().sum(0)
            self.points += len(rows)
        return log_marginal


def for_all_rows(
    model: Model, examples: Examples, name: str, seed: int, keep: Callable[[Term], None], scores: str = "pq"
) -> None:
    """Hand over a variable's term for all rows of a split, some rows at a time, drawn from q once.

    Args:
        model: The model.
        examples: The split.
        name: The variable.
        seed: Decides the draws.
        keep: Takes each term.
        scores: Which of p and q the terms shall have.
    """
    generator = torch.Generator(model.device).manual_seed(seed_of(seed, Stream.ENCODING))

    def record(term: Term) -> None:
        if term.name == name:
            keep(term)

    for rows in torch.arange(len(examples)).split(max(ENCODED_AT_ONCE // examples.features, 1)):
        model.run(examples.rows(rows), FromPosterior(1, generator, scores=scores), record)


def _encode_all(model: Model, examples: Examples, name: str, seed: int) -> Distribution:
    pieces: list[Distribution] = []

    def keep(term: Term) -> None:
        if term.q is not None:
            pieces.append(term.q)

    for_all_rows(model, examples, name, seed, keep, scores="q")
    return concatenated(pieces[0], *pieces[1:])


@singledispatch
def concatenated(first: Distribution, *others: Distribution) -> Distribution:
    """Distributions of batch shapes (B_1,), (B_2,), ... as one of batch shape (N,), in double precision.

    Raises:
        TypeError: If distributions of this type can't be; register a method for it.
    """
    raise TypeError(f"can't concatenate {type(first).__name__}; register a method with concatenated")


@concatenated.register
def _(first: Normal, *others: Normal) -> Normal:
    each = (first, *others)
    loc, scale = torch.cat([q.loc for q in each]), torch.cat([q.scale for q in each])
    return Normal(loc.double(), scale.double(), len(first.event_shape))


@concatenated.register
def _(first: MultivariateNormal, *others: MultivariateNormal) -> MultivariateNormal:
    each = (first, *others)
    return MultivariateNormal(
        torch.cat([q.loc for q in each]).double(), torch.cat([q.scale_tril for q in each]).double()
    )
