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
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution

from unveil.distributions import Coded, Masked
from unveil.distributions.noise import integers
from unveil.models.sources import Source, Taken
from unveil.models.term import Bound, Term
from unveil.variables import Batch

if TYPE_CHECKING:
    from unveil.models.model import Model


@dataclass(frozen=True)
class Conditioned:
    """A model in the place of a distribution: its terms are spliced into the walk that visits it.

    Args:
        model: A model of one observed variable ``x``.
        context: What it is conditioned on.
    """

    model: Model
    context: Tensor | None = None


_LATENT = torch.empty(0)
"""What ``value`` is where the walk does not name one: the variable is latent."""

Deferred = Callable[[], Distribution | Conditioned]


@dataclass(frozen=True)
class _Proposal:
    taken: Taken
    q: Distribution | None


class Visit:
    """One pass over a model's variables.

    Args:
        source: What decides the values.
        size: The number B of examples.
        device: Where random choices are made.
        record: Called with every term, in the order of the walk.
        scope: Prefix of the variables' names.
        data: Whether what the walk calls data is data of the whole model: not where the walk is a latent's prior.
    """

    def __init__(
        self,
        source: Source,
        size: int,
        device: torch.device,
        record: Callable[[Term], None],
        scope: str = "",
        *,
        data: bool = True,
    ) -> None:
        self.source, self.size, self.device, self.record, self.scope = source, size, device, record, scope
        self.data = data
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
        observed = value is not _LATENT and value is not None
        data = value is not _LATENT and self.data
        options = {"weight": None if weight is None else torch.as_tensor(weight), "bound": bound, "data": data}
        if observed:
            return self._observe(name, p, value, mask, options)
        proposal = self._proposals.pop(name, None)
        source = self.source.at(self.scope + name)
        source = source.for_data if data else source
        given = source.given(self.scope + name)
        if given is not None:
            return self._score(name, p, q, proposal, given.to(self.device), options)
        if source.infers and (q is not None or proposal is not None):
            inferred = proposal or self._propose(source, q)
            return self._infer(name, p, inferred, options, proposed=proposal is not None)
        return self._generate(name, p, source, options)

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
            proposal = _Proposal(Taken(given), q() if "q" in source.scores else None)
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

    def factor(self, name: str, log_p: Tensor) -> None:
        """Multiply the joint by exp(log_p), (K, B): a log-density that no distribution stands for."""
        self.record(Term(self.scope + name, None, shape=self.shape, data=True, log_p=log_p))

    def finish(self) -> dict[str, Tensor]:
        """The proposals and choices of the walk that are not variables."""
        unused = {self.scope + name: proposal.taken.value for name, proposal in self._proposals.items()}
        return {**self.auxiliary, **unused}

    def _observe(self, name: str, p: Deferred, value: Tensor, mask: Tensor | None, options: dict) -> Tensor:
        distribution = p() if "p" in self.source.scores else None
        if isinstance(distribution, Conditioned):
            self._splice(name, distribution, value, data=self.data, mask=mask)
        else:
            if mask is not None and distribution is not None:
                distribution = Masked(distribution, mask)
            self._add(name, value, distribution, None, options)
        return self._keep(name, value)

    def _score(
        self, name: str, p: Deferred | None, q: Deferred | None, proposal: _Proposal | None, given: Tensor, options: dict
    ) -> Tensor:
        scores = self.source.at(self.scope + name).scores
        by_prior = q is None and proposal is None  # such a value's q is its p, as when it was drawn
        distribution = p() if p is not None and ("p" in scores or by_prior) else None
        if proposal is not None:
            proposed = proposal.q
        elif by_prior:
            proposed = None if isinstance(distribution, Conditioned) else distribution
        else:
            proposed = q() if "q" in scores else None
        code = None
        coded = next((d for d in (distribution, proposed) if isinstance(d, Coded)), None)
        if coded is not None:
            code, given = given, coded.codebook[given]
        return self._latent(name, Taken(given, code), distribution, proposed, options, proposed=proposal is not None)

    def _propose(self, source: Source, q: Deferred) -> _Proposal:
        distribution = q()
        return _Proposal(source.take(distribution, self._sample_shape(distribution)), distribution)

    def _infer(self, name: str, p: Deferred | None, inferred: _Proposal, options: dict, *, proposed: bool) -> Tensor:
        distribution = p() if p is not None and "p" in self.source.scores else None
        return self._latent(name, inferred.taken, distribution, inferred.q, options, proposed=proposed)

    def _generate(self, name: str, p: Deferred | None, source: Source, options: dict) -> Tensor:
        if p is None:
            raise ValueError(f"{self.scope + name}: has no p to draw from (a flat density); it needs a q or a value")
        distribution = p()
        if isinstance(distribution, Conditioned):
            return self._keep(name, self._splice(name, distribution, None, data=options["data"]))
        taken = source.take(distribution, self._sample_shape(distribution))
        return self._latent(name, taken, distribution, distribution, options)

    def _latent(
        self,
        name: str,
        taken: Taken,
        p: Distribution | Conditioned | None,
        q: Distribution | None,
        options: dict,
        *,
        proposed: bool = False,
    ) -> Tensor:
        if taken.bound != "exact":
            options = {**options, "bound": taken.bound}
        spliced = p if isinstance(p, Conditioned) else None
        p = None if spliced else p
        self._add(name, taken.value, p, q, options, code=taken.code, proposed=proposed)
        if spliced:
            self._splice(name, spliced, taken.value, data=options["data"])
        return self._keep(name, taken.value)

    def _keep(self, name: str, value: Tensor) -> Tensor:
        """The value, remembered if it is what a walk that this one is spliced into asks for."""
        if name == "x":
            self.x = value
        return value

    def _add(self, name: str, value: Tensor, p: Distribution | None, q: Distribution | None, options: dict, **more):
        self.record(Term(self.scope + name, value, shape=self.shape, p=p, q=q, **options, **more))

    def _splice(
        self, name: str, spliced: Conditioned, value: Tensor | None, *, data: bool, mask: Tensor | None = None
    ) -> Tensor:
        inner = Visit(self.source, self.size, self.device, self.record, f"{self.scope}{name}/", data=data)
        spliced.model.walk(inner, Batch(x=value, context=spliced.context, mask=mask, size=self.size))
        self.auxiliary.update(inner.finish())
        return inner.x

    def _sample_shape(self, distribution: Distribution) -> tuple[int, ...]:
        """The axes that a distribution of batch shape (), (B,) or (K, B) lacks."""
        missing = 2 - len(distribution.batch_shape)
        if missing < 0:
            raise ValueError(
                f"batch_shape: expected at most (particles, examples), got {tuple(distribution.batch_shape)}; did the "
                "distribution declare its event axes?"
            )
        return self.shape[:missing]
