"""ELBO surgery: what the rate is spent on (Hoffman & Johnson 2016).

Let n be uniform over the N rows of a split and q(z) = 1/N sum_n q(z | x_n). Then, exactly::

    mean_n KL(q(z | x_n) || p(z))  =  I_q[n, z]  +  KL(q(z) || p(z))        0 <= I_q <= log N

The information is what a code tells about which example it is of; the marginal KL is what the prior misses of the codes
as a whole, and buys nothing. Each of the three is estimated from latent draws of its own, so that their balance is a
check. q(z) is taken over the whole split, never over a minibatch, which would cap I_q at the log of the batch's size.

A categorical code is summed over instead (:mod:`unveil.evaluation.enumerated`).

Where all pairs are too many, q(z) is estimated (:mod:`unveil.evaluation.aggregate`): I_q is then an upper and the
marginal KL a lower bound. Where p depends on a context, E[log q(z) - log p(z | c)] stands for the marginal KL: it
balances, but is no divergence and may be negative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unveil.evaluation.accumulate import Moments
from unveil.evaluation.aggregate import Aggregate, Encoder, Points, encoder, own_latents
from unveil.evaluation.enumerated import enumerable, enumerated
from unveil.evaluation.estimate import PerExample, negated, unless_relaxed
from unveil.evaluation.examples import Examples
from unveil.evaluation.nature import Nature
from unveil.evaluation.record import NO_LATENT
from unveil.evaluation.streaming import Stream, Streaming, seed_of
from unveil.models import FromPosterior, Model, Trace
from unveil.models.term import Bound, combined

FEWEST, MOST = 2, 16
"""Latent draws per example, for each of the two terms."""
FEWEST_OTHERS = 64
"""Rows below which an estimate of q(z) is not worth having."""
HELD = 2**22
"""Latent entries that are held at once."""


@dataclass(frozen=True)
class Surgery:
    """The parts of the rate, an estimate for each example.

    Args:
        mutual_information: E_q[log q(z | x_n) - log q(z)].
        marginal_kl: E_q[log q(z) - log p(z)].
        others: How many other rows stand for all in q(z); None where every pair was evaluated.
        conditional: Whether p depends on the example.
    """

    mutual_information: PerExample
    marginal_kl: PerExample
    others: int | None
    conditional: bool


def surgery(
    model: Model, examples: Examples, streaming: Streaming, nature: Nature, probe: Trace, pairs: float
) -> Surgery | str:
    """Split the rate of the evaluated examples, with q(z) over all examples.

    Args:
        model: The model, at rest.
        examples: The whole split.
        streaming: Which rows are evaluated.
        nature: What the model's terms are.
        probe: Two draws of the split's first row.
        pairs: How many values of q(z | x_m) may be evaluated for each term, as parts of a matrix product; in a walk of
            the model one counts as 10 for each entry of z.

    Returns:
        The parts, or the reason why there are none.
    """
    if not own_latents(probe):
        return NO_LATENT
    n = len(examples)
    if n == 1:
        return "there is a single example, which no code can be told from another by"
    conditional = examples.conditional and any(
        not term.data and term.p.batch_shape for term in probe if term.p is not None
    )
    if (name := enumerable(probe)) is not None:
        return Surgery(*enumerated(model, examples, streaming.index, name, streaming.seed), None, conditional)
    encode = encoder(model, examples, probe, streaming.seed)
    draws = int(min(max(pairs / (8 * encode.cost * n**2), FEWEST), MOST))
    each = encode.cost * draws * len(streaming.index)
    others = int(pairs / each)
    if others < min(n, FEWEST_OTHERS):
        return (
            f"even with {FEWEST_OTHERS} of the {n:,} rows in q(z) it takes {each * FEWEST_OTHERS:.0e} pairs, of which "
            f"{pairs:.0e} are allowed; pass pairs=... or a limit"
        )
    balance = _Balance(model, examples, streaming, encode, draws, others)
    prior = combined("unbiased", *(negated(bound) for bound in nature.priors))
    information = unless_relaxed("unbiased" if others >= n else "upper", prior)
    marginal = combined(prior, "unbiased" if others >= n else "lower")
    return Surgery(
        balance.part(Stream.INFORMATION, _information, information, "mutual information"),
        balance.part(Stream.MARGINAL, _marginal, marginal, "marginal KL"),
        None if others >= n else others,
        conditional,
    )


def _information(own: Tensor, log_q: Tensor, log_p: Tensor) -> Tensor:
    """log q(z | x_n) - log q(z)."""
    return own - log_q


def _marginal(own: Tensor, log_q: Tensor, log_p: Tensor) -> Tensor:
    """log q(z) - log p(z)."""
    return log_q - log_p


@dataclass(frozen=True)
class _Balance:
    """How either term of the balance is estimated."""

    model: Model
    examples: Examples
    streaming: Streaming
    encode: Encoder
    draws: int
    others: int

    def part(
        self, purpose: Stream, term: Callable[[Tensor, Tensor, Tensor], Tensor], bound: Bound, what: str
    ) -> PerExample:
        """One term for each evaluated example, from latent draws and other rows of its own."""
        aggregate = Aggregate(self.encode, len(self.examples), self._other_rows(purpose))
        values, variances = [], []
        for rows in self._blocks(what):
            points = self._points(rows, purpose)
            moments = Moments()
            moments.add(term(points.log_q, aggregate.log_prob(points), points.log_p).reshape(self.draws, len(rows)))
            values.append(moments.mean)
            variances.append(moments.variance_of_mean)
        value, variance = torch.cat(values).cpu(), torch.cat(variances).cpu()
        return PerExample(value, variance, bound, self.draws, aggregate.shared_variance)

    def _blocks(self, what: str) -> Iterator[Tensor]:
        """The evaluated rows, some at a time."""
        at_once = max(HELD // (self.draws * max(self.encode.entries, self.examples.features)), 1)
        yield from replace(self.streaming, chunk=at_once).chunks(self.model.device, what)

    def _other_rows(self, purpose: Stream) -> Tensor:
        """The rows that stand for all in q(z)."""
        n, seed = len(self.examples), seed_of(self.streaming.seed, purpose)
        if self.others >= n:
            return torch.arange(n, device=self.model.device)
        shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        return shuffled[: self.others].sort().values.to(self.model.device)

    def _points(self, rows: Tensor, purpose: Stream) -> Points:
        """Draws for these rows, one draw of each after the other."""
        device = self.model.device
        streams = self.streaming.streams(rows, purpose, device)
        trace = self.model.trace(self.examples.rows(rows), FromPosterior(self.draws, streams))
        values = {name: value for name, value in trace.values.items() if name in self.encode.replayed}
        own = {term.name for term in own_latents(trace)}
        log_p = torch.zeros(trace.shape, dtype=torch.float64, device=device)
        for latent in trace.latents:
            log_p += latent.log_p if latent.name in own else latent.log_p - latent.log_q
        return Points(
            {name: value.flatten(0, 1) for name, value in values.items()},
            rows.to(device).repeat(self.draws),
            self.encode.own(values, rows.to(device)).flatten(),
            log_p.flatten(),
        )
