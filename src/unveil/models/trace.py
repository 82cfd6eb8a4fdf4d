"""The terms of one pass through a model, for a batch, with particles.

For latent values z_1, ..., z_K of an example x, drawn from q and weighted by omega_k (1/K unless said otherwise)::

    log w_k = log p(x, z_k) - log q(z_k | x)        sum_k omega_k w_k     estimates p(x)
    D_k = -log p(x | z_k)                           sum_k omega_k D_k     is the distortion
    R_k = log q(z_k | x) - log p(z_k), or KL        sum_k omega_k R_k     is the rate
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property, reduce
from operator import add

import torch
from torch import Tensor

from unveil.models.term import Bound, Term, combined


class Trace:
    """The terms of one pass.

    Args:
        terms: In the order of the walk.
        shape: (K, B), particles and examples.
        log_weight: The particles' log omega_k, (K, B), summing to one over K; None where all are 1/K.
        auxiliary: Values that are not variables of the model, by name: proposals that no visit took up, and random
            choices of the walk such as the level of a diffusion.
        scored: Which of p and q were evaluated.
    """

    def __init__(
        self,
        terms: list[Term],
        shape: tuple[int, int],
        *,
        log_weight: Tensor | None = None,
        auxiliary: dict[str, Tensor] | None = None,
        scored: frozenset[str] = frozenset("pq"),
    ) -> None:
        self.terms, self.shape, self.log_weight = terms, shape, log_weight
        self.auxiliary, self.scored = auxiliary or {}, scored

    def __iter__(self) -> Iterator[Term]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    def __getitem__(self, name: str) -> Term:
        for term in self.terms:
            if term.name == name:
                return term
        raise KeyError(f"trace: no variable {name!r}; it has {', '.join(term.name for term in self.terms)}")

    @property
    def particles(self) -> int:
        """The number K of particles."""
        return self.shape[0]

    @property
    def latents(self) -> list[Term]:
        """The terms of latent variables, and of data variables that were inferred for lack of data."""
        return [term for term in self.terms if not (term.observed or term.generated)]

    @property
    def codes(self) -> list[Term]:
        """The latents whose rate is paid: all but data that was made continuous, which belongs to the likelihood."""
        return [term for term in self.latents if not term.dequantizes]

    @property
    def generated(self) -> list[Term]:
        """The terms of data variables that this pass had no data of, and drew from their p."""
        return [term for term in self.terms if term.generated]

    @property
    def observed(self) -> list[Term]:
        """The terms that are data."""
        return [term for term in self.terms if term.observed]

    @property
    def data(self) -> list[Term]:
        """The terms of the model's data variables, observed or generated; factors have no value and are none."""
        return [term for term in self.terms if term.data and term.value is not None]

    @property
    def values(self) -> dict[str, Tensor]:
        """Every drawn value (a code where there is one), proposal and choice by name: what a replay needs."""
        drawn = {term.name: term.kept for term in self.terms if not term.observed and term.value is not None}
        return {**self.auxiliary, **drawn}

    @property
    def bound(self) -> Bound:
        """What the sum of the log-densities is to its quantity; of a lower and an upper bound nothing is known."""
        return combined(*(combined(term.bound, "exact" if term.weight is None else "unbiased") for term in self.terms))

    @property
    def log_joint(self) -> Tensor:
        """log p(x, z_k), (K, B).

        Raises:
            ValueError: If a term stands for others, is relaxed, or is only a bound.
        """
        self._refuse("log_joint", needed="p")
        return added(term.log_p for term in self.terms)

    @property
    def log_w(self) -> Tensor:
        """log w_k = log p(x, z_k) - log q(z_k | x), (K, B): for q's draws, E[w_k] = p(x).

        Where q leaves out some z that p has, as a quantized code's does, E[w_k] is smaller than p(x).

        Raises:
            ValueError: If a term stands for others, is relaxed, or is only a bound: then E[w_k] = p(x) does not hold,
                and the log of an average over k could lie above log p(x).
        """
        self._refuse("log_w", needed="pq")
        log_joint = self.log_joint
        drawn = [*self.latents, *self.generated]
        return log_joint - added(term.log_q for term in drawn) if drawn else log_joint

    @cached_property
    def log_likelihood(self) -> Tensor:
        """log p(x | z_k) of what is observed, (K, B) in nats; of whole numbers made continuous, its bound
        log p(x | y_k) p(y_k | z_k) - log q(y_k | x)."""
        self._require("log_likelihood", "p")
        parts = [term.weighted(term.log_p) for term in self.observed]
        parts += [-term.rate() for term in self.latents if term.dequantizes]
        return added(parts) if parts else self._zero()

    @property
    def distortion(self) -> Tensor:
        """D_k = -log p(x | z_k), (K, B) in nats."""
        return -self.log_likelihood

    def rate(self, *, closed_form: bool = True) -> Tensor:
        """sum over latents of KL(q || p), or of log q - log p where there is no closed form, (K, B) in nats."""
        self._require("rate", "pq")
        if not self.codes:
            return self._zero()
        return added(term.rate(closed_form=closed_form) for term in self.codes)

    def expectation(self, value: Tensor) -> Tensor:
        """sum_k omega_k value_k, (B, ...) from (K, B, ...)."""
        if self.log_weight is None:
            return value.squeeze(0) if self.particles == 1 else value.mean(0)
        weight = self.log_weight.exp().reshape(*self.shape, *(1,) * (value.dim() - 2))
        return (weight * torch.where(weight > 0, value, 0)).sum(0)  # what is impossible may have any value, NaN too

    def log_mean_exp(self, value: Tensor) -> Tensor:
        """log sum_k omega_k exp(value_k), (B,) from (K, B)."""
        if self.log_weight is None:
            return value.logsumexp(0) - torch.tensor(float(self.particles)).log().to(value)
        return (self.log_weight + torch.where(self.log_weight > -torch.inf, value, 0)).logsumexp(0)

    def with_log_q(self, log_q: dict[str, Tensor]) -> Trace:
        """The same trace with other log q(value) of the named latents."""
        terms = [term.with_log_q(log_q[term.name]) if term.name in log_q else term for term in self.terms]
        return Trace(terms, self.shape, log_weight=self.log_weight, auxiliary=self.auxiliary, scored=self.scored)

    def _zero(self) -> Tensor:
        return torch.zeros_like(self.terms[0].log_p)

    def _require(self, asked: str, needed: str) -> None:
        if missing := set(needed) - self.scored:
            raise ValueError(
                f"{asked}: this trace was made without evaluating {' and '.join(sorted(missing))}; use a source that "
                "scores them"
            )

    def _refuse(self, asked: str, needed: str) -> None:
        self._require(asked, needed)
        for term in self.terms:
            if term.weight is not None:
                reason = "stands for several terms, of which it is one taken at random"
            elif term.bound == "relaxed":
                reason = "has a relaxed value, which the model's distribution does not have a probability for"
            elif term.bound != "exact":
                reason = f"is only a bound ({term.bound})"
            elif asked == "log_w" and not term.drawn:
                reason = "has a value that was not drawn from the q it is weighed with (a mode, or a tempered draw)"
            else:
                continue
            raise ValueError(
                f"{asked}: the term {term.name!r} {reason}, so exp(log_w) would not average to p(x); use an objective "
                "that is linear in the terms (ELBO), or a source that evaluates all of them"
            )


def added(values: Iterable[Tensor]) -> Tensor:
    """The sum of at least one tensor."""
    return reduce(add, values)
