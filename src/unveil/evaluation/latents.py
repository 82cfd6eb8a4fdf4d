"""What each latent variable is used for, averaged over the data.

For a latent z with coordinates z_j::

    KL_j = mean_n KL(q(z_j | x_n) || p(z_j))          where q and p factorise over coordinates alike
    z_j is active if Var_n(E_q[z_j | x_n]) > 0.01     (Burda, Grosse & Salakhutdinov 2016)

In a hierarchy E_q[z_j | x_n] is itself an average over draws of the levels above; the variance that those draws add is
estimated and taken off.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from unveil.distributions import kl_per_dim
from unveil.models import Term, Trace

ACTIVE = 0.01
"""A unit is active if its posterior mean varies by more than this over the data (Burda et al. 2016)."""


class LatentUse:
    """Sums over the examples for one latent variable. Chunks of examples come in one after the other.

    All of its memory is taken before the first walk: a long chain that left something small behind at each level would
    shred the memory that its levels pass on to each other.

    Args:
        term: The variable's term in some trace, which says how large it is.
    """

    def __init__(self, term: Term) -> None:
        self.examples = self.rated = 0
        self.rate = 0.0
        kl = _kl(term)
        self.kl = None if kl is None else _zeros(kl)
        mean = torch.empty(1, 1, 0) if term.q is None or term.value is None else _mean(term.q, term.value)
        self.total, self.squares, self.noise = _zeros(mean), _zeros(mean), _zeros(mean)

    def add_rate(self, term: Term) -> None:
        """Take in the rate of some particles of a chunk."""
        rate = term.rate().double()
        self.rate += rate.sum().item()
        self.rated += rate.numel()

    def add(self, term: Term) -> None:
        """Take in a chunk's term, all but its rate."""
        b = term.shape[1]
        self.examples += b
        kl = _kl(term)
        if self.kl is not None and kl is not None:
            self.kl += kl.double().mean((0, 1)) * b
        if term.q is None or term.value is None:  # a factor that a spliced prior gives to the variable above it
            return
        means = _mean(term.q, term.value).double()
        mean = means.mean(0)
        self.total += mean.sum(0)
        self.squares += mean.square().sum(0)
        if len(means) > 1:
            self.noise += means.var(0).sum(0) / len(means)

    @property
    def mean_rate(self) -> float:
        """The mean rate of the variable in nats."""
        return self.rate / self.rated

    @property
    def kl_per_dim(self) -> Tensor | None:
        """KL_j in nats, (\\*event,) on the CPU; None where the closed form does not split into coordinates."""
        return None if self.kl is None else (self.kl / self.examples).cpu()

    @property
    def active(self) -> Tensor:
        """Which coordinates are active, (\\*event,)."""
        variance = (self.squares - self.total.square() / self.examples) / max(self.examples - 1, 1)
        return torch.gt(variance - self.noise / self.examples, ACTIVE).cpu()


def uses_of(trace: Trace) -> dict[str, LatentUse]:
    """Empty sums for every latent variable of a trace that may be a code of x, by name."""
    return {term.name: LatentUse(term) for term in trace.codes if term.value is not None}


def _zeros(like: Tensor) -> Tensor:
    """A sum over particles and examples, (\\*event,), that is empty."""
    return torch.zeros(like.shape[2:], dtype=torch.float64, device=like.device)


def _kl(term: Term) -> Tensor | None:
    """The KL of each coordinate, (K or 1, B, \\*event), where there is a closed form for it."""
    if term.q is None or term.p is None or term.kl is None:
        return None
    dims = kl_per_dim(term.q, term.p)
    batch_dims = max(len(term.q.batch_shape), len(term.p.batch_shape))
    return None if dims is None else _per_particle(dims, batch_dims, term.shape[1])


def _mean(q: Distribution, value: Tensor) -> Tensor:
    """E[z] under q, (K or 1, B, \\*event); the drawn vector itself where q has no mean (a code's)."""
    try:
        return _per_particle(q.mean, len(q.batch_shape), value.shape[1])
    except NotImplementedError:
        return value


def _per_particle(value: Tensor, batch_dims: int, b: int) -> Tensor:
    """(K or 1, B, \\*event) from a value of which the first ``batch_dims`` axes are those of the batch."""
    lead, event = value.shape[:batch_dims], value.shape[batch_dims:]
    return value.reshape(*(1,) * (2 - batch_dims), *lead, *event).expand(-1, b, *event)
