"""ELBO surgery of a categorical code, by sums over its values instead of draws: exact.

With q(z) = 1/N sum_m q(z | x_m) over all N rows, for each example::

    I_n = sum_k q(k | x_n) (log q(k | x_n) - log q(k))        M_n = sum_k q(k | x_n) (log q(k) - log p(k))
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unveil.distributions import Categorical
from unveil.distributions.kl import between_logits
from unveil.evaluation.aggregate import for_all_rows
from unveil.evaluation.estimate import PerExample
from unveil.evaluation.examples import Examples
from unveil.models import Model, Term, Trace


def enumerable(probe: Trace) -> str | None:
    """The name of the only latent variable, if it is categorical, and its p and q are known."""
    latents = [term for term in probe if not term.data]
    if len(latents) != 1 or probe.auxiliary:
        return None
    (term,) = latents
    known = all(isinstance(each, Categorical) and not each.event_shape for each in (term.p, term.q))
    return term.name if known and term.bound == "exact" and term.weight is None and term.q is not term.p else None


def enumerated(model: Model, examples: Examples, index: Tensor, name: str, seed: int) -> tuple[PerExample, PerExample]:
    """I_n and M_n of the rows in the index.

    Args:
        model: The model, at rest.
        examples: The whole split.
        index: The rows that are evaluated.
        name: The categorical variable.
        seed: Decides the draws, of which nothing here depends.
    """
    pieces: list[tuple[Tensor, Tensor]] = []

    def keep(term: Term) -> None:
        if isinstance(term.q, Categorical) and isinstance(term.p, Categorical):
            q, p = term.q.logits, term.p.logits
            pieces.append((q.double(), p.double().expand_as(q)))

    for_all_rows(model, examples, name, seed, keep)
    log_q, log_p = (torch.cat(each).cpu() for each in zip(*pieces, strict=True))
    log_aggregate = log_q.logsumexp(0) - math.log(len(log_q))
    information = between_logits(log_q, log_aggregate)[index]
    marginal = (log_q.exp() * torch.where(log_q > -torch.inf, log_aggregate - log_p, 0)).sum(-1)[index]
    return PerExample.exact(information), PerExample.exact(marginal)
