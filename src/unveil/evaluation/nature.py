"""What the sums over a model's terms are, judged from the terms themselves.

A sum of log-densities is what its worst term makes it: with a term that is only bounded the rate is an upper bound and
the ELBO still a lower one; with a relaxed term neither is anything. The log of an average of importance weights is a
lower bound in expectation (Jensen: E log <= log E), and does not exist where a weight is not a ratio of densities.
"""

from __future__ import annotations

from unveil.evaluation.estimate import negated
from unveil.models import Term, Trace
from unveil.models.term import Bound, combined


class Nature:
    """What is learned about a model while its terms pass by."""

    def __init__(self) -> None:
        self.priors: set[Bound] = set()
        self.likelihoods: set[Bound] = set()
        self.latent = self.inferred = self.sampled = False
        self.refusal: str | None = None

    def note(self, term: Term) -> None:
        """Look at one term."""
        if self.refusal is None:
            self.refusal = refusal(term)
        if term.observed:
            self.likelihoods.add(term.bound)
            return
        if term.dequantizes:
            self.likelihoods.add(combined("lower", term.bound))
            self.latent = True
            return
        self.priors.add(term.bound)
        self.latent = True
        if term.q is not term.p:
            self.inferred = True
            self.sampled = self.sampled or not _certain(term)

    @property
    def rate(self) -> Bound:
        """What the mean of the rate is: exact where it is a closed form that no draw enters."""
        return combined("unbiased" if self.sampled else "exact", *(negated(bound) for bound in self.priors))

    @property
    def distortion(self) -> Bound:
        """What the mean of -log p(x | z) is."""
        return combined("unbiased" if self.latent else "exact", *(negated(bound) for bound in self.likelihoods))

    @property
    def elbo(self) -> Bound:
        """What -rate - distortion is to log p(x)."""
        return combined("lower" if self.latent else "exact", *self.priors, *self.likelihoods)


def refusal(term: Term) -> str | None:
    """Why a trace with this term has no importance weight; None if it has one."""
    if term.weight is None and term.bound == "exact":
        return None
    try:
        Trace([term], term.shape).log_w  # noqa: B018 (asked for its refusal)
    except ValueError as reason:
        return str(reason)
    return None


def _certain(term: Term) -> bool:
    """Whether the term's rate is a closed form that is the same for all particles."""
    known = [distribution for distribution in (term.q, term.p) if distribution is not None]
    return term.kl is not None and all(len(distribution.batch_shape) < 2 for distribution in known)
