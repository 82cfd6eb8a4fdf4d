"""The source that takes every value of finite latents, weighted by the exact posterior (EM's E-step) or by q."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution

from unveil.distributions import Categorical, OneHotCategorical
from unveil.models.sources import FromPosterior, Source, Taken
from unveil.models.trace import Trace, added
from unveil.variables import Batch

if TYPE_CHECKING:
    from unveil.models.model import Model


def _levels(distribution: Distribution | None) -> int | None:
    """The number of values of one categorical variable, where the distribution says."""
    if isinstance(distribution, OneHotCategorical):
        return distribution.event_shape[-1]
    return distribution.levels if isinstance(distribution, Categorical) and not distribution.event_shape else None


def _log_sum(log_p: Tensor, axes: tuple[int, ...]) -> Tensor:
    """log of the sum of exp over axes, which are kept; where nothing is possible, the gradient is 0 and no NaN."""
    impossible = log_p.amax(axes, keepdim=True) == -torch.inf
    return log_p.masked_fill(impossible, 0).logsumexp(axes, keepdim=True).masked_fill(impossible, -torch.inf)


def _looked_at(model: Model, batch: Batch) -> Trace:
    """A walk over the first example, which leaves no traces in the model."""
    generator = torch.Generator(model.device).manual_seed(0)
    with model.at_rest():
        return model.trace(batch.rows(slice(0, 1)), FromPosterior(1, generator))


class Enumerate(Source):
    """Every joint value of finite latent variables, as particles weighted by the exact posterior.

    The trace's terms get log q(z_i | z_<i, x) from the joint by the chain rule, so that log w_k = log p(x) for every
    particle, and the ELBO equals log p(x).

    Args:
        levels: The number of values of each variable, in the order of the walk: ``{"z": 3}``; by default what a walk
            over the first example shows.
        one_hot: Whether the variables' values are one-hot vectors rather than integers; shown by that walk, too.
        exact: Whether values are weighted by the exact posterior; by the walk's own q otherwise, so that expectations
            under q are sums, without Monte Carlo error.
    """

    def __init__(self, levels: Mapping[str, int] | None = None, *, one_hot: bool = False, exact: bool = True) -> None:
        self.known = levels is not None
        self.levels = dict(levels or {})
        super().__init__(math.prod(self.levels.values()))
        self.exact = exact
        self.one_hot = frozenset(self.levels if one_hot else ())
        counts = [torch.arange(n) for n in self.levels.values()]
        grids = torch.meshgrid(*counts, indexing="ij") if counts else ()
        self.grid = {name: grid.reshape(-1) for name, grid in zip(self.levels, grids, strict=True)}

    def prepared(self, model: Model, batch: Batch) -> Source:
        """Itself, or where its levels were left to the model, one of the model's."""
        if self.known:
            return self
        priors = {term.name: term.p for term in _looked_at(model, batch).latents}
        levels = {name: _levels(p) for name, p in priors.items()}
        if infinite := [name for name, count in levels.items() if count is None]:
            raise ValueError(
                f"levels: expected latent variables of finitely many values, got {infinite[0]!r}, whose prior is a "
                f"{type(priors[infinite[0]]).__name__}: it can't be enumerated"
            )
        found = Enumerate({name: count for name, count in levels.items() if count is not None}, exact=self.exact)
        found.one_hot = frozenset(name for name, p in priors.items() if isinstance(p, OneHotCategorical))
        return found.scoring(*self.scores)

    def given(self, name: str) -> Tensor | None:
        """The variable's column of the grid of joint values, (K, 1)."""
        if name not in self.grid:
            raise ValueError(f"levels: expected every latent variable, got none for {name!r}; add its number of values")
        column = self.grid[name].unsqueeze(1)
        if name in self.one_hot:
            return torch.nn.functional.one_hot(column, self.levels[name]).to(torch.get_default_dtype())
        return column

    def take(self, distribution: Distribution, sample_shape: Sequence[int]) -> Taken:
        """Never asked: every value is enumerated."""
        raise NotImplementedError

    def finish(self, trace: Trace) -> Trace:
        """The trace with the particles' weights; the exact posterior is its q, too."""
        for name, levels in self.levels.items():
            known = _levels(trace[name].p)
            if known is not None and known != levels:
                raise ValueError(f"levels: expected {known} for {name!r}, as its distribution has, got {levels}")
        if not self.exact:
            log_q = added(term.log_q for term in trace.latents)
            return Trace(trace.terms, trace.shape, log_weight=log_q, auxiliary=trace.auxiliary)
        log_joint = trace.log_joint.log_softmax(0)
        grid = log_joint.reshape(*self.levels.values(), -1)
        names = list(self.levels)
        each: dict[str, Tensor] = {}
        above: Tensor | int = 0
        for depth, name in enumerate(names, start=1):
            below = tuple(range(depth, len(names)))
            marginal = _log_sum(grid, below) if below else grid
            conditional = torch.where(marginal > -torch.inf, marginal - above, -torch.inf)  # -inf - -inf is no number
            each[name] = conditional.expand_as(grid).reshape(trace.shape)
            above = marginal
        return Trace(trace.with_log_q(each).terms, trace.shape, log_weight=log_joint, auxiliary=trace.auxiliary)
