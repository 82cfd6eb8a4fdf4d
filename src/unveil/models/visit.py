"""Visiting the variables of a model.

A model is one walk, in which generation and inference are written side by side::

    def walk(self, visit, batch):
        z = visit("z", p=lambda: self.prior(), q=lambda: self.posterior(batch["x"]))
        visit("x", p=lambda: self.likelihood(z), value=batch["x"])

:class:`Visit` carries a source through the walk, gives every variable the value that the source decides, and records
a :class:`~unveil.models.term.Term` for each. Distributions are handed over as functions, so that what a source does
not need is never computed: there is no x when sampling, and encoding does not decode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution

from unveil.distributions import Coded, masked
from unveil.distributions.noise import integers
from unveil.models.sources import Source, Taken
from unveil.models.term import Bound, Term
from unveil.variables import Batch

if TYPE_CHECKING:
    from unveil.models.model import Model


class FlatDensityError(ValueError):
    """A variable without a p can't be sampled from it."""


@dataclass(frozen=True)
class Conditioned:
    """A model in the place of a distribution: its terms are spliced into the walk that visits it.

    Args:
        model: A model of one observed variable ``x``.
        context: What it is conditioned on.
        codebook: The vectors, (C, d), that the whole numbers which it is a model of stand for, if they are codes.
    """

    model: Model
    context: Tensor | None = None
    codebook: Tensor | None = None

    def coded(self, codebook: Tensor) -> Conditioned:
        """The same model, of codes: a variable that it is the p of takes the codes' vectors as its value."""
        return replace(self, codebook=codebook)


_LATENT = torch.empty(0)
"""What ``value`` is where the walk does not name one: the variable is latent."""

Deferred = Callable[[], Distribution | Conditioned]


@dataclass(frozen=True)
class _Variable:
    """A variable as the walk describes it; its name is scoped."""

    name: str
    p: Deferred | None
    q: Deferred | None
    data: bool
    mask: Tensor | None
    weight: Tensor | None
    bound: Bound


@dataclass(frozen=True)
class _Proposal:
    """A value drawn from q before the walk reached its variable."""

    taken: Taken
    q: Distribution | None


class Visit:
    """One pass over a model's variables.

    Args:
        source: What decides the values.
        size: The number B of examples.
        device: Where values live and random choices are made.
        dtype: The precision of values that are handed over.
        record: Called with every term, in the order of the walk.
        scope: Prefix of the variables' names.
        data: Whether what the walk calls data is data of the whole model: not where the walk is a latent's prior.
    """

    def __init__(
        self,
        source: Source,
        size: int,
        device: torch.device,
        dtype: torch.dtype,
        record: Callable[[Term], None],
        scope: str = "",
        *,
        data: bool = True,
    ) -> None:
        self.source, self.size, self.record, self.scope, self.data = source, size, record, scope, data
        self.device, self.dtype = device, dtype
        self.shape = (source.particles, size)
        self.auxiliary: dict[str, Tensor] = {}
        self.visited: set[str] = set()  # names alone: the values of a long chain must not be held
        self.x: Tensor | None = None
        self._proposals: dict[str, _Proposal] = {}

    @property
    def subsample(self) -> bool:
        """Whether a long chain may visit one level at random, with the number of levels as its ``weight``."""
        return self.source.subsample

    def __call__(
        self,
        name: str,
        p: Deferred | None = None,
        q: Deferred | None = None,
        value: Tensor | None = _LATENT,
        *,
        mask: Tensor | None = None,
        weight: Tensor | float | None = None,
        bound: Bound = "exact",
    ) -> Tensor:
        """Visit one variable.

        Args:
            name: Unique in the walk.
            p: Makes p(. | parents); None for a flat density, which can't be sampled.
            q: Makes q(. | ...), the proposal for a latent variable.
            value: The data, (B, \\*event), of an observed variable; None where there is none in this pass, and it is
                generated. Left out for a latent variable.
            mask: True where an entry of ``value`` is observed; None where all are.
            weight: How many terms this one stands for, if the walk took one at random.
            bound: What p's ``log_prob`` is, where it is not exact.

        Returns:
            The variable's value: (K, B, \\*event) for a latent, ``value`` itself for data.
        """
        if name in self.visited:
            raise ValueError(f"{self.scope + name}: visited twice in one walk; give each variable a name of its own")
        self.visited.add(name)
        for key, made in (("p", p), ("q", q)):
            if made is not None and not callable(made):
                raise TypeError(f"{self.scope + name}: {key}: expected a function, {key}=lambda: ..., got {made!r}")
        declared = value is not _LATENT
        weight = None if weight is None else torch.as_tensor(weight)
        variable = _Variable(self.scope + name, p, q, declared and self.data, mask, weight, bound)
        if declared and value is not None:
            found = self._observe(variable, value)
        else:
            found = self._decide(variable, self._proposals.pop(name, None))
        if name == "x":
            self.x = found
        return found

    def propose(self, name: str, q: Deferred) -> Tensor | None:
        """Draw a variable from q before the walk reaches it, as bottom-up inference does.

        A later visit of the same name takes this value up; without one it is auxiliary (the noised z_t at which a
        diffusion's level is visited).

        Returns:
            The value, or None where nothing is inferred (a q that depends on it is not evaluated then).
        """
        full = self.scope + name
        source = self.source.proposer(full)
        if source is None:
            return None
        given = source.given(full)
        if given is not None:
            scored = "q" in source.scores or not given.is_floating_point()  # whole numbers may be codes
            distribution = _distribution(q()) if scored else None
            proposal = _Proposal(_handed_over(self._placed(given), distribution), distribution)
        else:
            proposal = self._propose(source, q)
        self._proposals[name] = proposal
        return proposal.taken.value

    def choose(self, name: str, low: int, high: int) -> Tensor:
        """A whole number drawn uniformly from low, ..., high for each particle and example, (K, B)."""
        full = self.scope + name
        given = self.source.at(full).given(full)
        if given is None:
            given = integers(high - low + 1, self.shape, self.device, self.source.generator) + low
        self.auxiliary[full] = given
        return given

    def factor(self, name: str, log_p: Callable[[], Tensor]) -> None:
        """Multiply the joint by exp(log_p()), (K, B): a log-density that no distribution stands for."""
        if "p" in self.source.scores:
            self.record(Term(self.scope + name, None, shape=self.shape, data=self.data, log_p=log_p()))

    def finish(self) -> dict[str, Tensor]:
        """The proposals and choices of the walk that are not variables."""
        unused = {self.scope + name: proposal.taken.value for name, proposal in self._proposals.items()}
        return {**self.auxiliary, **unused}

    def _observe(self, variable: _Variable, value: Tensor) -> Tensor:
        """Score data."""
        p = variable.p() if variable.p is not None and "p" in self.source.scores else None
        if p is not None and variable.mask is not None and not isinstance(p, Conditioned):
            p = masked(p, variable.mask)
        if isinstance(p, Conditioned):
            return self._splice(variable, p, value)
        return self._record(variable, Taken(value), p, None)

    def _decide(self, variable: _Variable, proposal: _Proposal | None) -> Tensor:
        """Give a variable without data the value that its source decides."""
        source = self.source.at(variable.name)
        source = source.for_data if variable.data else source
        given = source.given(variable.name)
        if given is not None:
            return self._score(variable, source, self._placed(given), proposal)
        if source.infers and proposal is not None:
            return self._record(variable, proposal.taken, self._scored_p(variable, source), proposal.q, proposed=True)
        if source.infers and variable.q is not None:
            inferred = self._propose(source, variable.q)
            return self._record(variable, inferred.taken, self._scored_p(variable, source), inferred.q)
        return self._generate(variable, source)

    def _score(self, variable: _Variable, source: Source, given: Tensor, proposal: _Proposal | None) -> Tensor:
        """Score a value that was handed over; one without a q is its prior's, as when it was drawn."""
        if proposal is not None:
            p, q = self._scored_p(variable, source), proposal.q
        elif variable.q is not None:
            p, q = self._scored_p(variable, source), _distribution(variable.q()) if "q" in source.scores else None
        else:
            p = None if variable.p is None else variable.p()
            q = None if isinstance(p, Conditioned) else p
        if p is None and q is None and variable.p is not None and not given.is_floating_point():
            p = variable.p()  # whole numbers may be codes, whose vectors p knows
        taken = _handed_over(given, p, q)
        return self._record(variable, taken, p, q, proposed=proposal is not None)

    def _generate(self, variable: _Variable, source: Source) -> Tensor:
        """Draw a value from p."""
        if variable.p is None:
            raise FlatDensityError(f"{variable.name}: has no p to draw from (a flat density); it needs a q or a value")
        p = variable.p()
        if isinstance(p, Conditioned):
            value = self._splice(variable, p, None)
            return value if variable.data else self._record(variable, _handed_over(value, p), None, None)
        return self._record(variable, source.take(p, self._sample_shape(p)), p, p)

    def _propose(self, source: Source, q: Deferred) -> _Proposal:
        distribution = _distribution(q())
        return _Proposal(source.take(distribution, self._sample_shape(distribution)), distribution)

    def _scored_p(self, variable: _Variable, source: Source) -> Distribution | Conditioned | None:
        return variable.p() if variable.p is not None and "p" in source.scores else None

    def _record(
        self,
        variable: _Variable,
        taken: Taken,
        p: Distribution | Conditioned | None,
        q: Distribution | None,
        *,
        proposed: bool = False,
    ) -> Tensor:
        """Record the variable's term, and after it those of a model that stands for its p."""
        term = Term(
            variable.name,
            taken.value,
            shape=self.shape,
            p=None if isinstance(p, Conditioned) else p,
            q=q,
            data=variable.data,
            code=taken.code,
            weight=variable.weight,
            bound=variable.bound if taken.bound == "exact" else taken.bound,
            proposed=proposed,
            drawn=taken.drawn,
            log_q=None if q is p else taken.log_prob,
        )
        self.record(term)
        if isinstance(p, Conditioned):
            self._splice(variable, p, taken.value if taken.code is None else taken.code)
        return taken.value

    def _splice(self, variable: _Variable, spliced: Conditioned, value: Tensor | None) -> Tensor:
        """Walk the model that stands for p, its ``x`` being this variable."""
        if variable.weight is not None or variable.bound != "exact":
            raise ValueError(f"{variable.name}: a weight or a bound belongs to the terms of the model that is its p")
        inner = Visit(
            self.source, self.size, self.device, self.dtype, self.record, f"{variable.name}/", data=variable.data
        )
        spliced.model.walk(inner, Batch(x=value, context=spliced.context, mask=variable.mask, size=self.size))
        self.auxiliary.update(inner.finish())
        if inner.x is None:
            raise ValueError(f"{variable.name}: the model that stands for its p visits no variable 'x'")
        return inner.x

    def _placed(self, given: Tensor) -> Tensor:
        """A value that was handed over, on the model's device and, where it is no whole number, in its precision."""
        return given.to(self.device, self.dtype) if given.is_floating_point() else given.to(self.device)

    def _sample_shape(self, distribution: Distribution) -> tuple[int, ...]:
        """The axes that a distribution of batch shape (), (B,) or (K, B) lacks."""
        batch_shape = distribution.batch_shape
        missing = 2 - len(batch_shape)
        if missing < 0 or any(n not in (1, m) for n, m in zip(batch_shape, self.shape[missing:], strict=True)):
            raise ValueError(
                f"batch_shape: expected (), (examples,) or (particles, examples), here {self.shape}, got "
                f"{tuple(batch_shape)}; declare the event axes (torch.distributions.Independent, or event_dims)"
            )
        return self.shape[:missing]


def _handed_over(given: Tensor, *distributions: Distribution | Conditioned | None) -> Taken:
    """A value that was handed over: a code, where one of the distributions has a codebook."""
    codebooks = (one.codebook for one in distributions if isinstance(one, Coded | Conditioned))
    codebook = next((codebook for codebook in codebooks if codebook is not None), None)
    return Taken(given) if codebook is None else Taken(codebook[given], given)


def _distribution(q: Distribution | Conditioned) -> Distribution:
    if isinstance(q, Conditioned):
        raise TypeError("q: expected a distribution to propose from, got a model; visit its variables one by one")
    return q
