"""Latent Dirichlet allocation: documents are mixtures of topics, topics are distributions over words.

p(theta_n) = Dirichlet(alpha), p(beta_k) = Dirichlet(eta); each of document n's words is drawn from topic k with
probability theta_nk, and from the words with beta_k (Blei, Ng & Jordan 2003). With q(theta_n) = Dirichlet(gamma_n),
q(beta_k) = Dirichlet(lambda_k), and s_nv = sum_k exp(E[log theta_nk] + E[log beta_kv])::

    gamma_nk = alpha + exp(E[log theta_nk]) sum_v x_nv exp(E[log beta_kv]) / s_nv        until it settles
    lambda_kv = eta + exp(E[log beta_kv]) sum_n x_nv exp(E[log theta_nk]) / s_nv
    log p(X) >= sum_n (sum_v x_nv log s_nv - KL(q(theta_n) || p(theta_n)) + log x_n.! / prod_v x_nv!)
                - sum_k KL(q(beta_k) || p(beta_k))

Counts, without an order of the words: hence the multinomial coefficient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy

import torch
from torch import Tensor, nn

from unveil.components import Statistics
from unveil.distributions import Dirichlet, Multinomial
from unveil.distributions.dirichlet import dirichlet_kl, dirichlet_log, multinomial_coefficient
from unveil.models.alternating import Alternating, Some, no_context
from unveil.models.visit import Visit
from unveil.variables import Batch, Observed, Variable

SETTLED, MOST = 1e-3, 100
"""A document has settled where its gamma moves by less on average, or after so many rounds."""
FRESH = 5
"""So often a document begins anew, and at each so many-th look after that; at others it goes on from where it was."""
SEEDS = 5
"""So many documents begin a topic."""
TINY = 1e-290
"""The smallest factor: a topic without a word at all."""


class LatentDirichletAllocation(Alternating):
    """Counts of words in documents, as mixtures of topics.

    Args:
        x: What is observed: counts of V words, shape (V,).
        context: Must be None.
        topics: K.
        alpha: What p(theta) expects of each topic beforehand; 1 / K by default.
        eta: What p(beta) expects of each word beforehand; 1 / K by default.
    """

    starts = 1
    length: Tensor

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        topics: int = 10,
        alpha: float | None = None,
        eta: float | None = None,
    ) -> None:
        no_context(self, context)
        super().__init__(x)
        if len(x.shape) != 1:
            raise ValueError(f"x: expected counts of words, shape (V,), got shape {x.shape}")
        if topics < 1:
            raise ValueError(f"topics: expected at least 1, got {topics}")
        self.topics = topics
        self.alpha, self.eta = (1 / topics if given is None else given for given in (alpha, eta))
        if not (self.alpha > 0 and self.eta > 0):
            raise ValueError(f"alpha, eta: expected positive numbers, got {self.alpha}, {self.eta}")
        self.memory = (topics + 1,)
        self.register_buffer("length", torch.ones(()))
        self.words = nn.Parameter(torch.ones(topics, x.features))
        """lambda."""
        self.double()

    def walk(self, visit: Visit, batch: Batch) -> None:
        """z, the document's shares of topics, then x, with topics as q expects them."""
        x = batch["x"]
        prior = torch.full((self.topics,), self.alpha).to(self.words)
        z = visit("z", p=lambda: Dirichlet(prior), q=None if x is None else lambda: Dirichlet(self.shares_of(x)))
        total = self.length.round() if x is None else x.sum(-1)
        visit("x", p=lambda: Multinomial(total, (z @ self.distributions).log()), value=x)

    @property
    def distributions(self) -> Tensor:
        """E[beta_k], each topic's distribution over words, (K, V)."""
        return self.words.detach() / self.words.detach().sum(-1, keepdim=True)

    @torch.no_grad()
    def shares_of(self, x: Tensor) -> Tensor:
        """gamma of documents, (B, K)."""
        documents = _Documents(x.double(), self._factors)
        return documents.settle(self.alpha, torch.ones(len(x), self.topics).to(self.words))

    @torch.no_grad()
    def perplexity(self, x: Observed | Batch) -> float:
        """exp of minus the bound per word, topics as they are: an upper bound on the perplexity; lower is better.

        Args:
            x: Counts, (B, V), of documents that were not fitted.
        """
        some = self.some(x)
        self.check(some)
        if not some.x.sum() > 0:
            raise ValueError("x: expected documents with words, got none")
        value, _ = self.expect(some)
        return math.exp(-(value - multinomial_coefficient(some.x)).sum().item() / some.x.sum().item())

    def look(
        self, batch: Batch, generator: torch.Generator, x: Variable | Mapping[str, Variable] | None = None
    ) -> None:
        """Note the mean length of documents, which samples have."""
        super().look(batch, generator, x)
        if (values := batch["x"]) is not None:
            self.length.copy_(values.double().sum(-1).mean())

    def start(self, some: Some, generator: torch.Generator) -> None:
        """Topics that begin as the words of a few documents each."""
        rows = torch.multinomial(some.weight.cpu(), SEEDS * self.topics, replacement=True, generator=generator)
        seeds = some.x[rows.to(some.x.device)].double().unflatten(0, (self.topics, SEEDS)).sum(1)
        self.words.copy_((1 + seeds).expand_as(self.words))

    def check(self, some: Some) -> None:
        """Counts, of which none is missing."""
        if some.mask is not None and not some.mask.all():
            raise ValueError("x: topics can't marginalise missing counts; fill them in, or leave the documents out")
        odd = some.x[(some.x < 0) | (some.x != some.x.round())]
        if len(odd):
            raise ValueError(f"x: expected counts, whole numbers of at least 0, got {odd[0].item():g}")

    def expect(self, some: Some) -> tuple[Tensor, Statistics]:
        """q(theta) of each document, and the expected counts of each topic's words.

        At its first looks a document begins anew, and now and then later, which keeps it from poor maxima; where going
        on from where it was is better, that is kept. So the bound never falls.
        """
        documents = _Documents(some.x.double(), self._factors)
        fresh = torch.ones(len(some.x), self.topics).to(self.words)
        if some.memory is None:
            gamma = documents.settle(self.alpha, fresh)
        else:
            gamma = self._remembered(documents, some.memory, fresh)
        value = documents.bound(self.alpha, gamma) + multinomial_coefficient(documents.counts)
        return value.expand(*self.words.shape[:-2], -1), {"words": documents.statistics(gamma, some.weight)}

    def _remembered(self, documents: _Documents, memory: Tensor, fresh: Tensor) -> Tensor:
        """gamma, with its memory of gamma and of the number of looks, (B, K + 1)."""
        before, looks = memory[:, :-1], memory[:, -1]
        anew = (looks < FRESH) | (looks % FRESH == 0)
        gamma = documents.settle(self.alpha, torch.where(anew.unsqueeze(-1), fresh, before))
        known = anew & (looks > 0)
        if known.any():
            start = torch.where(known.unsqueeze(-1), before, gamma)
            behind = documents.bound(self.alpha, start) > documents.bound(self.alpha, gamma)
            if behind.any():
                gamma[behind] = documents.of(behind).settle(self.alpha, before[behind])
        memory.copy_(torch.cat([gamma, looks.unsqueeze(-1) + 1], -1))
        return gamma

    def maximize(self, statistics: Statistics) -> None:
        """lambda = eta + expected counts."""
        self.words.copy_(self.eta + statistics["words"])

    @property
    def cost(self) -> Tensor:
        """sum_k KL(q(beta_k) || p(beta_k))."""
        return dirichlet_kl(self.words, torch.full_like(self.words, self.eta)).sum(-1)

    @property
    def _factors(self) -> Tensor:
        """E[log beta], (K, V)."""
        return dirichlet_log(self.words.reshape(self.topics, -1))

    def width(self, starts: int, *, missing: bool) -> int:
        """About the factors of a document's words."""
        return 2 * self.x.features + 50 * self.topics


class _Documents:
    """Some documents by the words that they hold: the U words of the one that holds most.

    Args:
        x: Counts, (B, V).
        log_beta: E[log beta], (K, V).
    """

    def __init__(self, x: Tensor, log_beta: Tensor) -> None:
        if (x < 0).any():
            raise ValueError(f"x: expected counts of at least 0, got {x.min().item():g}")
        held = x > 0
        most = max(1, int(held.sum(-1).max()))
        self.which = held.to(torch.uint8).topk(most, -1).indices
        self.counts = x.gather(-1, self.which)
        self.top = log_beta.amax(0)
        """The largest E[log beta_kv] of each word: factors are relative to it."""
        self.beta = (log_beta - self.top).exp().clamp_min(TINY)
        self.factors = self.beta.mT[self.which]
        """(B, U, K)."""

    def settle(self, alpha: float, gamma: Tensor) -> Tensor:
        """gamma, (B, K), by rounds until each document has settled."""
        settled = torch.empty_like(gamma)
        rows, counts, factors = torch.arange(len(gamma), device=gamma.device), self.counts, self.factors
        done = torch.zeros_like(rows, dtype=torch.bool)
        for _ in range(MOST):
            theta = dirichlet_log(gamma).exp_().clamp_min_(TINY)
            after = alpha + theta * (_ratio(counts, factors, theta).unsqueeze(-2) @ factors).squeeze(-2)
            moved = (after - gamma).abs_().mean(-1)
            gamma = torch.where(done.unsqueeze(-1), gamma, after)  # what has settled stays, whatever is beside it
            done |= moved < SETTLED
            left = len(rows) - int(done.sum())
            if 4 * left <= 3 * len(rows):
                settled[rows[done]] = gamma[done]
                rows, gamma, counts, factors = (each[~done] for each in (rows, gamma, counts, factors))
                done = done[~done]
            if not left:
                break
        settled[rows] = gamma
        return settled

    def bound(self, alpha: float, gamma: Tensor) -> Tensor:
        """sum_v x_nv log s_nv - KL(q(theta_n) || p(theta_n)), (B,)."""
        return self.log_likelihood(gamma) - dirichlet_kl(gamma, torch.full_like(gamma, alpha))

    def of(self, which: Tensor) -> _Documents:
        """Some of them, (B,) booleans."""
        some = copy(self)
        some.which, some.counts, some.factors = self.which[which], self.counts[which], self.factors[which]
        return some

    def log_likelihood(self, gamma: Tensor) -> Tensor:
        """sum_v x_nv log s_nv, (B,)."""
        theta = dirichlet_log(gamma).exp().clamp_min(TINY)
        log_s = (self.factors @ theta.unsqueeze(-1)).squeeze(-1).log() + self.top[self.which]
        return torch.where(self.counts > 0, self.counts * log_s, 0).sum(-1)

    def statistics(self, gamma: Tensor, weight: Tensor) -> Tensor:
        """The expected counts of words by topic, (K, V)."""
        theta = dirichlet_log(gamma).exp().clamp_min(TINY)
        ratio = _ratio(self.counts, self.factors, theta)
        each = (weight.unsqueeze(-1) * ratio).unsqueeze(-1) * theta.unsqueeze(-2)
        found = torch.zeros_like(self.beta.mT).index_add_(0, self.which.flatten(), each.flatten(0, 1))
        return self.beta * found.mT


def _ratio(counts: Tensor, factors: Tensor, theta: Tensor) -> Tensor:
    """x_nv / s_nv, (B, U)."""
    return counts / (factors @ theta.unsqueeze(-1)).squeeze(-1)
