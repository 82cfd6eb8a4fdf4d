"""A model is one walk; everything else is that walk under some source."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from unveil.config import Configurable
from unveil.distributions import Generator
from unveil.models.checking import check_shapes, check_values
from unveil.models.sources import FromPosterior, FromPrior, Given, Mode, Source, Tempered
from unveil.models.term import Term
from unveil.models.trace import Trace
from unveil.models.visit import Conditioned, Visit
from unveil.nets import joined
from unveil.parts import Part
from unveil.variables import Batch, Observed, Variable

PASSING = 2_000
"""So many training examples pass through the parts that start from what passes through them."""


class Model(Configurable, nn.Module, ABC):
    """A joint distribution p(x, z) with a way to infer z from x.

    Implementers write :meth:`walk`. A model of one observed variable takes and gives tensors, of several, mappings
    from names to tensors; likewise for latent variables.
    """

    x: Variable | Mapping[str, Variable] | None = None
    """What the model observes, where it says so: data is checked against it, and parts that are about it are shown it
    before the first step."""
    context: Variable | None = None
    """What the model is conditioned on, if anything."""
    exact_posterior: bool = False
    """Whether q(z | x) is p(z | x) itself: every importance weight is p(x) then, and the ELBO log p(x)."""
    latents: tuple[str, ...] = ("z",)
    """The names of the latent variables that ``decode`` and ``log_joint`` take; () where there are none."""

    initialized: Tensor
    """Whether the parts have looked at training data; it is saved with the weights."""
    _like: Tensor  # nothing, in the model's precision: asked at every walk, where a look through all parameters is slow

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("initialized", torch.tensor(False))
        self.register_buffer("_like", torch.empty(0), persistent=False)

    @abstractmethod
    def walk(self, visit: Visit, batch: Batch) -> None:
        """Visit every variable once, parents before children.

        Args:
            visit: ``visit(name, p=..., q=..., value=...)`` returns the variable's value.
            batch: ``batch["x"]`` is the data or None, ``batch.context`` what is conditioned on.
        """

    def forward(
        self, parents: Tensor | None = None, context: Tensor | None = None, *, posterior: object = None
    ) -> Conditioned:
        """This model as a prior or a likelihood of another: its terms are spliced into that model's walk."""
        return Conditioned(self, context if parents is None else joined(parents, context))

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return self.initialized.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the parameters, which what goes into the model is brought to."""
        return self._like.dtype

    def run(self, batch: Batch, source: Source, record: Callable[[Term], None]) -> dict[str, Tensor]:
        """Walk once and hand every term to ``record``: a chain of a thousand levels need not be held.

        Returns:
            The auxiliary values of the walk.
        """
        visit = Visit(source, len(batch), self.device, self.dtype, record)
        self.walk(visit, batch.to_precision(self.dtype))
        return visit.finish()

    def trace(
        self, x: Observed | Batch | None = None, source: Source | None = None, *, context: Tensor | None = None
    ) -> Trace:
        """The terms of one pass.

        Args:
            x: Observed | Batch, (B, \\*shape), or a whole :class:`~unveil.variables.Batch`.
            source: What decides the latent values; one posterior draw each by default.
            context: What is conditioned on, (B, features).

        Raises:
            ValueError: If x or the context is not what the model says that it observes. A tensor's values are looked
                at; those of a Batch, which loops hand over, are not.
        """
        batch = self._batch(x, context)
        source = (source or FromPosterior()).prepared(self, batch)
        terms: list[Term] = []
        auxiliary = self.run(batch, source, terms.append)
        trace = Trace(terms, (source.particles, len(batch)), auxiliary=auxiliary, scored=source.scores)
        return source.finish(trace)

    @torch.no_grad()
    def sample(
        self,
        size: int = 1,
        *,
        context: Tensor | None = None,
        temperature: float | None = None,
        generator: Generator = None,
        mean: bool = False,
    ) -> Observed:
        """Draw new data, ancestrally.

        Args:
            size: How many; with a context, how many for each of its rows.
            context: What is conditioned on, (B, features).
            temperature: Multiplies the spread of the latents' distributions, of the data's where the model has no
                latents; 1 (the model itself) by default.
            generator: Where random numbers come from.
            mean: Whether to return p(x | z)'s mean instead of a draw from it.

        Returns:
            (size, \\*shape), or (size, B, \\*shape) with a context.
        """
        if size < 1:
            raise ValueError(f"size: expected at least 1, got {size}")
        if mean and not self.latents:
            raise ValueError(
                f"mean: a {type(self).__name__} has no latent variable given which x has a mean; draw samples"
            )
        particles, batch = (1, Batch(size=size)) if context is None else (size, Batch(context=context))
        if temperature is None:
            source: Source = FromPrior(particles, generator)
        else:
            source = Tempered(temperature, particles, generator, data=not self.latents)
        trace = self.trace(batch, source)
        found = {term.name: term.mean if mean else term.kept for term in trace.data}
        return _unwrap({name: value[0] if context is None else value for name, value in found.items()})

    @torch.no_grad()
    def encode(self, x: Observed | Batch, *, context: Tensor | None = None) -> Observed:
        """The deterministic code of data: the mode of q for each latent, or the integers of a codebook.

        Returns:
            (B, \\*latent), or a mapping by name where there are several latents.
        """
        terms = [term for term in self.trace(x, Mode(), context=context).latents if term.value is not None]
        return _unwrap({term.name: term.kept[0] for term in terms})

    def decode(
        self, z: Observed, *, context: Tensor | None = None, generator: Generator = None
    ) -> Distribution | dict[str, Distribution]:
        """p(x | z, context), batch shape (B,), for latent values, (B, \\*latent) each (codes where there are codes).

        Latent variables that are left out are drawn from the prior.
        """
        values = self._by_name(z)
        if any(not isinstance(value, Tensor) or not value.dim() for value in values.values()):
            raise TypeError("z: expected tensors, (examples, *latent) each")
        batch = Batch(context=context, size=len(next(iter(values.values()))))
        trace = self._replay(batch, Given(values, FromPrior(1, generator), particles=1, scores=""))
        if latents := [term for term in trace.latents if term.name not in values and term.value is not None]:
            values = {**values, **{term.name: term.kept[0] for term in latents}}
            trace = self._replay(batch, Given(values, particles=1, scores=""))
        return _unwrap({term.name: term.p for term in trace.data})

    @torch.no_grad()
    def reconstruct(
        self, x: Observed | Batch, source: Source | None = None, *, context: Tensor | None = None
    ) -> Observed:
        """The mean of p(x | z) at a value of z inferred from x.

        Args:
            x: Data.
            source: How z is inferred: one posterior draw by default. ``PerVariable`` reconstructs from some levels.
            context: What is conditioned on.
        """
        trace = self.trace(x, (source or FromPosterior()).scoring("p"), context=context)
        if not trace.latents:
            raise ValueError(f"x: a {type(self).__name__} has no latent variable that x could be reconstructed from")
        return _unwrap({term.name: trace.expectation(term.mean) for term in trace.data})

    def log_joint(self, x: Observed | Batch, z: Observed, *, context: Tensor | None = None) -> Tensor:
        """log p(x, z | context), (B,) in nats.

        Raises:
            ValueError: If a variable lacks a value: one draw of it would make a number that is no density. If x is not
                what the model observes.
        """
        given = Given({name: value.unsqueeze(0) for name, value in self._by_name(z).items()})
        trace = self._replay(self._batch(x, context), given)
        drawn = [term for term in (*trace.latents, *trace.generated) if term.q is not None]
        if missing := [term.name for term in drawn if term.name not in given.values]:
            raise ValueError(f"x, z: expected a value for every variable, got none for {', '.join(missing)}")
        return trace.log_joint[0]

    def initialize(
        self, batch: Batch, generator: torch.Generator, x: Variable | Mapping[str, Variable] | None = None
    ) -> None:
        """Show every part the training data of the variable that it is about, before the first step.

        It is the very ``Variable`` that counts: a part may be about a latent variable of the same shape as x. Parts
        that start from what passes through them (activation norm) see some of the data pass in one walk.

        Args:
            batch: Many training examples.
            generator: Where random choices come from.
            x: What the batch holds, for a model that does not say so itself.

        Raises:
            ValueError: If it can't be told whether parts are about what the batch holds or about something alike.
        """
        known = self.x if self.x is not None else x
        variables = known if isinstance(known, Mapping) else {"x": known}
        parts = [part for part in self.own_parts() if part.variable is not None]
        for name, values in batch.observed.items():
            self._check_likeness(name, values, variables.get(name), parts)
        self.initialized.fill_(True)
        for part in parts:
            for name, values in batch.observed.items():
                if part.variable is variables.get(name):
                    mask = batch.mask_of(name)
                    values = values.to(self.device, self.dtype)
                    part.initialize(
                        values if mask is None else values.where(mask.to(self.device), torch.nan), generator
                    )
        if [part for part in self.own_parts() if part.begin_initialization()]:
            with self.at_rest():
                chosen = torch.randperm(len(batch), generator=generator, device=generator.device)[:PASSING]
                passing = batch.map(lambda tensor: tensor[chosen.to(tensor.device)]).to(self.device)
                self.run(passing, FromPosterior(generator=generator), _scored)

    def _check_likeness(self, name: str, values: Tensor, variable: Variable | None, parts: list[Part]) -> None:
        """Parts that might be about this data, where none is about the very Variable, would silently not see it."""
        if variable is not None and any(part.variable is variable for part in parts):
            return
        like = [
            part
            for part in parts
            if part.variable is not None
            and (part.variable.shape == values.shape[1:] if variable is None else part.variable == variable)
        ]
        if not like:
            return
        named = ", ".join(sorted({type(part).__name__ for part in like}))
        message = (
            f"{name}: {named} may be about this data or about something of its shape: parts are shown the data of the "
            "very Variable that they were made with; make them with the data's (data.variable), and set self.x to it"
        )
        if self.x is None:
            raise ValueError(message)
        warnings.warn(message, stacklevel=3)

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """The model in evaluation mode and without gradients, inside the block; it is given back as it was."""
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for module, training in modes:
                module.training = training

    @property
    def wants_data(self) -> bool:
        """Whether some part may want to look at data first: it is about a variable, or starts from what passes."""
        return any(part.variable is not None or part.starts_from_data for part in self.own_parts())

    def own_parts(self) -> list[Part]:
        """The parts of this model, those of models spliced into it left out: they live with other data."""
        found: list[Part] = []
        pending = list(self.children())
        while pending:
            module = pending.pop(0)
            if isinstance(module, Model):
                continue
            if isinstance(module, Part):
                found.append(module)
            pending.extend(module.children())
        return found

    def _batch(self, x: Observed | Batch | None, context: Tensor | None) -> Batch:
        """What is handed over, as a batch, checked."""
        if isinstance(x, Batch):
            if context is not None and x.context is not None:
                raise ValueError("context: expected one, got the batch's own and another")
            batch = x if context is None else replace(x, context=context)
            check_shapes(self, batch)
            return batch
        batch = Batch(x=x, context=context)
        check = check_shapes if x is None else check_values
        check(self, batch)
        return batch

    def _by_name(self, z: Observed) -> dict[str, Tensor]:
        if isinstance(z, Mapping):
            return dict(z)
        if not self.latents:
            raise ValueError(f"z: a {type(self).__name__} has no latent variable; leave it out: z={{}}")
        return {self.latents[0]: z}

    def _replay(self, batch: Batch, given: Given) -> Trace:
        trace = self.trace(batch, given)
        known = [*trace.auxiliary, *(term.name for term in (*trace.latents, *trace.generated))]
        if unknown := sorted(set(given.values) - set(known)):
            raise ValueError(f"z: no latent variable {', '.join(unknown)}; expected some of {', '.join(known)}")
        return trace


def _scored(term: Term) -> None:
    """Have the term's densities evaluated."""
    term.log_p, term.log_q  # noqa: B018 (asked for what passes on the way)


def _unwrap(values: Mapping[str, Any]) -> Any:
    """The one value itself, or all by name."""
    return next(iter(values.values())) if len(values) == 1 else dict(values)
