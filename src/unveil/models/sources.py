"""Sources decide what value each variable of a walk takes.

The same walk under another source is inference, sampling, reconstruction or scoring:

=================== ============================================= =========================================
source              a latent variable's value                     makes of the walk
=================== ============================================= =========================================
``FromPosterior``   drawn from q (from p where there is no q)     ELBO, importance sampling
``FromPrior``       drawn from p                                  sampling, GSNN, naive Monte Carlo
``Given``           handed over                                   log p(x, z), decoding, replays
``Mode``            q's mode                                      a deterministic code
``Tempered``        drawn from p with its spread multiplied       sharper or wilder samples
``Relaxed``         a relaxed draw of q's one-hot vectors         Gumbel-softmax training
``Enumerate``       every value of a finite support               the exact posterior (EM's E-step)
``PerVariable``     another source for each variable              reconstruction from the top k levels
=================== ============================================= =========================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

import torch
from torch import Tensor
from torch.distributions import Distribution

from unveil.distributions import Coded, Generator, OneHotCategorical, draw, tempered
from unveil.distributions import Distribution as Scored
from unveil.models.term import Bound
from unveil.models.trace import Trace
from unveil.variables import Batch

if TYPE_CHECKING:
    from unveil.models.model import Model


class Taken(NamedTuple):
    """A value, the code that it belongs to (if any), what it is to the distribution it came from, whether that
    distribution is the one that it was drawn from (or that it was handed over for), rather than its mode, say; and its
    log-probability, where it came with that."""

    value: Tensor
    code: Tensor | None = None
    bound: Bound = "exact"
    drawn: bool = True
    log_prob: Tensor | None = None


class Source(ABC):
    """What decides the values of a walk.

    Args:
        particles: K, how many values each example gets.
        generator: Where random numbers come from.
    """

    scores: frozenset[str] = frozenset("pq")
    """Which of p and q are evaluated where the value does not need them."""
    infers: bool = True
    """Whether a latent variable that has a q takes its value from it."""
    subsample: bool = False
    """Whether a long chain may visit one level at random that stands for all."""

    def __init__(self, particles: int = 1, generator: Generator = None) -> None:
        if particles < 1:
            raise ValueError(f"particles: expected at least 1, got {particles}")
        self.particles, self.generator = particles, generator

    def scoring(self, *scores: str) -> Source:
        """The same source, evaluating these too."""
        other = copy(self)
        other.scores = self.scores | set(scores)
        return other

    def prepared(self, model: Model, batch: Batch) -> Source:
        """The source for a walk of this model over this batch."""
        return self

    def at(self, name: str) -> Source:
        """The source that decides this variable."""
        return self

    def proposer(self, name: str) -> Source | None:
        """The source that draws this variable's proposal from q; None where nothing is inferred."""
        return self if self.infers else None

    def given(self, name: str) -> Tensor | None:
        """The value that is handed over for this variable, if one is."""
        return None

    @property
    def for_data(self) -> Source:
        """The source that decides a data variable of which there is no data."""
        return self

    @abstractmethod
    def take(self, distribution: Distribution, sample_shape: Sequence[int]) -> Taken:
        """Take a value from the distribution that was chosen for the variable."""

    def finish(self, trace: Trace) -> Trace:
        """The trace with what only the whole pass can tell, such as the particles' weights."""
        return trace

    def _draw(self, distribution: Distribution, shape: Sequence[int], *, pathwise: bool = False) -> Taken:
        if isinstance(distribution, Coded):
            if pathwise and not distribution.has_rsample:
                raise ValueError("a stochastic choice of codes has no pathwise gradient; use a score-function gradient")
            return Taken(*distribution.draw_code(shape, self.generator))
        if self._scored_with_its_draw(distribution, pathwise=pathwise):
            value, log_prob = distribution.rsample_and_log_prob(shape, self.generator)
            return Taken(value, log_prob=log_prob)
        return Taken(draw(distribution, shape, self.generator, pathwise=pathwise))

    def _scored_with_its_draw(self, distribution: Distribution, *, pathwise: bool) -> TypeGuard[Scored]:
        """Whether log q comes with the draw: a score-function gradient needs it of a value that is held constant."""
        if not isinstance(distribution, Scored) or not distribution.scores_draws or "q" not in self.scores:
            return False
        return pathwise or not torch.is_grad_enabled()


class FromPosterior(Source):
    """Latents from q.

    Args:
        particles: K.
        generator: Where random numbers come from.
        pathwise: Whether draws are reparametrised, so that gradients pass through them.
        subsample: Whether a long chain may visit one level at random.
        scores: Which of p and q to evaluate: fewer where a later pass scores the values.
    """

    def __init__(
        self,
        particles: int = 1,
        generator: Generator = None,
        *,
        pathwise: bool = False,
        subsample: bool = False,
        scores: str = "pq",
    ) -> None:
        super().__init__(particles, generator)
        self.pathwise, self.subsample, self.scores = pathwise, subsample, frozenset(scores)

    def take(self, distribution: Distribution, sample_shape: Sequence[int]) -> Taken:
        """A draw."""
        return self._draw(distribution, sample_shape, pathwise=self.pathwise)


class FromPrior(Source):
    """Latents from p, observations too where there are none.

    Args:
        particles: K.
        generator: Where random numbers come from.
        pathwise: Whether draws are reparametrised, so that gradients pass through them.
    """

    infers = False

    def __init__(self, particles: int = 1, generator: Generator = None, *, pathwise: bool = False) -> None:
        super().__init__(particles, generator)
        self.pathwise = pathwise

    def take(self, distribution: Distribution, sample_shape: Sequence[int]) -> Taken:
        """A draw."""
        return self._draw(distribution, sample_shape, pathwise=self.pathwise)


class Tempered(Source):
    """Latents from p with their spread multiplied by a temperature, data from p as the model has it.

    Args:
        temperature: 1 is the model, 0 its mode.
        particles: K.
        generator: Where random numbers come from.
        data: Whether data is tempered too: for a model that has no latents, such as a flow of real numbers.
    """

    infers = False

    def __init__(
        self, temperature: float, particles: int = 1, generator: Generator = None, *, data: bool = False
    ) -> None:
        super().__init__(particles, generator)
        if not temperature >= 0:
            raise ValueError(f"temperature: expected at least 0, got {temperature}")
        self.temperature, self.data = temperature, data

    @property
    def for_data(self) -> Source:
        """The prior, unless data is tempered too."""
        return self if self.data else FromPrior(self.particles, self.generator)

    def take(self, distribution: Distribution, sample_shape: Sequence[int]) -> Taken:
        """A draw from the tempered distribution."""
        return self._draw(tempered(distribution, self.temperature), sample_shape)._replace(drawn=self.temperature == 1)


class Mode(Source):
    """Latents at the mode of q, p's where there is no q: no random number is drawn.

    Args:
        particles: K, all alike.
        generator: Not asked.
        scores: Which of p and q to evaluate where the value does not need them; nothing by default.
    """

    def __init__(self, particles: int = 1, generator: Generator = None, *, scores: str = "") -> None:
        super().__init__(particles, generator)
        self.scores = frozenset(scores)

    def take(self, distribution: Distribution, sample_shape: Sequence[int]) -> Taken:
        """The mode."""
        if isinstance(distribution, Coded):
            value, code = distribution.mode_code
            value, code = value.expand(*sample_shape, *value.shape), code.expand(*sample_shape, *code.shape)
            return Taken(value, code, drawn=False)
        try:
            mode = distribution.mode
        except NotImplementedError as error:
            name = type(distribution).__name__
            raise NotImplementedError(
                f"a {name} has no mode in closed form, so there is no deterministic code of it"
            ) from error
        return Taken(mode.expand(*sample_shape, *mode.shape), drawn=False)


class Relaxed(Source):
    """One-hot latents relaxed by Gumbel-softmax noise, all others from q.

    Such a value lies inside the simplex, where the model has no probability: what is computed from it is marked
    ``relaxed`` and is not a bound.

    Args:
        temperature: tau > 0.
        particles: K.
        generator: Where random numbers come from.
        subsample: Whether a long chain may visit one level at random.
    """

    def __init__(
        self,
        temperature: float | Tensor,
        particles: int = 1,
        generator: Generator = None,
        *,
        subsample: bool = False,
    ) -> None:
        super().__init__(particles, generator)
        self.temperature, self.subsample = temperature, subsample

    def take(self, distribution: Distribution, sample_shape: Sequence[int]) -> Taken:
        """A relaxed draw of one-hot vectors, a pathwise draw of anything else."""
        if isinstance(distribution, OneHotCategorical):
            value = draw(distribution.relaxed(self.temperature), sample_shape, self.generator, pathwise=True)
            return Taken(value, bound="relaxed")
        return self._draw(distribution, sample_shape, pathwise=True)


class Given(Source):
    """Latents (proposals, choices) as handed over by name; the others from another source.

    Args:
        values: (K, B, \\*event) each; codes for variables that have them.
        otherwise: The source of all other variables; the prior by default.
        particles: K, where no value tells it.
        subsample: Whether the values are those of a walk that visited one level at random.
        scores: Which of p and q to evaluate.
    """

    def __init__(
        self,
        values: Mapping[str, Tensor],
        otherwise: Source | None = None,
        *,
        particles: int | None = None,
        subsample: bool = False,
        scores: str = "p",
    ) -> None:
        known = next((value.shape[0] for value in values.values()), 1)
        super().__init__(particles or known, otherwise.generator if otherwise else None)
        self.values, self.scores = dict(values), frozenset(scores)
        self.otherwise = otherwise or FromPrior(self.particles)
        _refuse_weighted(self.otherwise)
        self.subsample = subsample

    def at(self, name: str) -> Source:
        """Itself where the value is handed over."""
        return self if name in self.values else self.otherwise.at(name)

    def proposer(self, name: str) -> Source | None:
        """Itself where the proposal is handed over."""
        return self if name in self.values else self.otherwise.proposer(name)

    def given(self, name: str) -> Tensor | None:
        """The value handed over."""
        return self.values.get(name)

    def take(self, distribution: Distribution, sample_shape: Sequence[int]) -> Taken:
        """Never asked: what is not given is another source's."""
        raise NotImplementedError


def _refuse_weighted(source: Source) -> None:
    """Raise a ValueError if a source weighs the particles of a whole trace: it can't decide some variables only."""
    if type(source).finish is not Source.finish:
        raise ValueError(
            f"otherwise: expected a source that decides each variable by itself, got {type(source).__name__}, which "
            "weighs whole traces; use it alone"
        )


class PerVariable(Source):
    """Another source for each variable.

    Args:
        sources: By variable name.
        otherwise: The source of all other variables.

    Example:
        Reconstruct from the upper of two levels: ``PerVariable({"z2": FromPosterior()}, otherwise=FromPrior())``.
    """

    def __init__(self, sources: Mapping[str, Source], otherwise: Source) -> None:
        for source in (*sources.values(), otherwise):
            _refuse_weighted(source)
        particles = {source.particles for source in (*sources.values(), otherwise)}
        if len(particles) > 1:
            raise ValueError(f"sources: expected the same number of particles in each, got {sorted(particles)}")
        super().__init__(particles.pop(), otherwise.generator)
        self.sources, self.otherwise = dict(sources), otherwise
        self.scores = frozenset.intersection(*(source.scores for source in (*sources.values(), otherwise)))

    def at(self, name: str) -> Source:
        """The variable's own source."""
        return self.sources.get(name, self.otherwise).at(name)

    def proposer(self, name: str) -> Source | None:
        """The variable's own source if it infers, else any that does: a proposal serves the variables above it."""
        candidates = (self.at(name), *self.sources.values(), self.otherwise)
        return next((source for source in candidates if source.infers), None)

    def take(self, distribution: Distribution, sample_shape: Sequence[int]) -> Taken:
        """Never asked: each variable has its own source."""
        raise NotImplementedError
