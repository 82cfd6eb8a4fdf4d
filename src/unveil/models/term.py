"""One factor of a joint distribution at its value."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from unveil.distributions import Dequantized, closed_form_kl

Bound = Literal["exact", "lower", "upper", "unbiased", "consistent", "relaxed"]
"""What a number is to the quantity that it stands for."""


def combined(*bounds: Bound) -> Bound:
    """What a sum is, if its terms are ``bounds``: of a lower and an upper bound nothing can be said."""
    directions = {bound for bound in bounds if bound in ("lower", "upper", "relaxed")}
    if directions:
        return directions.pop() if len(directions) == 1 else "relaxed"
    return next((bound for bound in ("consistent", "unbiased") if bound in bounds), "exact")


class Term:
    """One variable of a model at its value: p(value | parents), and q(value | ...) if it was inferred.

    A latent variable that was drawn from its own prior has q = p: its rate is zero, and an importance weight with it
    is naive Monte Carlo's. An observed variable has no q.

    Args:
        name: The variable's name, scoped by ``/`` inside a spliced model.
        value: Its value, (K, B, \\*event) for K particles of B examples; an observed value is (B, \\*event).
        p: The generative distribution; None where there is none (a flat density), or where it is spliced in.
        q: The distribution that a latent value was drawn from, or is scored with.
        shape: (K, B).
        data: Whether the model declares this variable as data, be it observed or generated in this pass.
        code: The integers that the value belongs to, where it is a code's vector; log-probabilities are theirs.
        weight: How many terms this one stands for, broadcastable with (K, B), where a walk took one at random.
        bound: ``"exact"``, or how the value or its log-probability is not.
        proposed: Whether the value was drawn from q before p's parents were known. Then E_q[log q - log p] is no
            KL divergence between two conditionals with the same parents, and only its sample is right.
        drawn: Whether the value was drawn from q (or handed over), rather than being its mode or a draw of another.
        log_p: log p(value), (K, B), where it is not ``p.log_prob(value)``.
        log_q: log q(value), (K, B), where it is not ``q.log_prob(value)``.
    """

    def __init__(
        self,
        name: str,
        value: Tensor | None,
        *,
        shape: tuple[int, int],
        p: Distribution | None = None,
        q: Distribution | None = None,
        data: bool = False,
        code: Tensor | None = None,
        weight: Tensor | None = None,
        bound: Bound = "exact",
        proposed: bool = False,
        drawn: bool = True,
        log_p: Tensor | None = None,
        log_q: Tensor | None = None,
    ) -> None:
        self.name, self.value, self.p, self.q, self.code = name, value, p, q, code
        self.shape, self.data, self.weight, self.bound, self.proposed = shape, data, weight, bound, proposed
        self.drawn, self._log_p, self._log_q = drawn, log_p, log_q

    @property
    def observed(self) -> bool:
        """Whether the value is data that was handed over, rather than latent or generated."""
        return self.data and self.q is None

    @property
    def dequantizes(self) -> bool:
        """Whether this is data made continuous: a device of the likelihood, which is no code of x."""
        return isinstance(self.q, Dequantized)

    @property
    def generated(self) -> bool:
        """Whether the value is of a data variable that was drawn from its own p, for lack of data: it costs nothing."""
        return self.data and self.q is not None and self.q is self.p and self._log_q is None

    @cached_property
    def log_p(self) -> Tensor:
        """log p(value | parents) in nats, (K, B)."""
        return self._score(self.p, self._log_p)

    @cached_property
    def log_q(self) -> Tensor:
        """log q(value | ...) in nats, (K, B); zero for an observed variable."""
        if self.value is None:  # a factor is not drawn
            return self._zero(self.log_p)
        return self.log_p if self.q is self.p and self._log_q is None else self._score(self.q, self._log_q)

    @cached_property
    def kl(self) -> Tensor | None:
        """KL(q || p) in closed form, (K, B); None where there is none, or where q and p have other parents."""
        if self.q is None or self.p is None or self.proposed or self._log_q is not None:
            return None
        if self.q is self.p:
            return self._zero(self.log_p)
        kl = closed_form_kl(self.q, self.p)
        return None if kl is None else kl.expand(self.shape)

    def rate(self, *, closed_form: bool = True) -> Tensor:
        """What this variable costs, (K, B): KL(q || p), or its one-sample estimate log q - log p, times the weight."""
        kl = self.kl if closed_form else None
        return self.weighted(self.log_q - self.log_p if kl is None else kl)

    def weighted(self, value: Tensor) -> Tensor:
        """``value`` times the number of terms that this one stands for."""
        return value if self.weight is None else self.weight * value

    @property
    def kept(self) -> Tensor:
        """What a replay needs: the code where there is one, the value otherwise."""
        kept = self.value if self.code is None else self.code
        if kept is None:
            raise ValueError(f"{self.name}: is a factor, which has no value")
        return kept

    @property
    def mean(self) -> Tensor:
        """The mean of p(. | parents), (K, B, \\*event)."""
        if self.p is None:
            raise ValueError(f"{self.name}: has no distribution to take the mean of")
        try:
            mean = self.p.mean
        except NotImplementedError as error:
            raise ValueError(
                f"mean: {self.name} is a {type(self.p).__name__}, whose mean has no closed form; draw samples"
            ) from error
        return mean.expand(*self.shape, *self.p.event_shape)

    def with_log_q(self, log_q: Tensor) -> Term:
        """The same term with another log q(value), e.g. one whose parameters are detached."""
        fields = {
            name: getattr(self, name) for name in ("p", "q", "data", "code", "weight", "bound", "proposed", "drawn")
        }
        return Term(self.name, self.value, shape=self.shape, log_p=self.log_p, log_q=log_q, **fields)

    def _score(self, distribution: Distribution | None, known: Tensor | None) -> Tensor:
        if known is not None:
            return known.expand(self.shape)
        if distribution is None:
            return self._zero(self.kept)
        return distribution.log_prob(self.kept).expand(self.shape)

    def _zero(self, like: Tensor) -> Tensor:
        dtype = like.dtype if like.is_floating_point() else torch.get_default_dtype()
        return torch.zeros(self.shape, dtype=dtype, device=like.device)

    def __repr__(self) -> str:
        kind = "observed" if self.observed else "generated" if self.generated else "latent"
        names = [type(d).__name__ for d in (self.p, self.q) if d is not None]
        return f"Term({self.name!r}, {kind}, {' | '.join(names)}, bound={self.bound!r})"
