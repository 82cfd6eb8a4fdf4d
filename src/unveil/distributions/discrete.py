"""Distributions on a finite set: binary, categorical, binomial, one-hot and its relaxation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Size, Tensor

from unveil.distributions.base import Distribution, Factorized, sum_rightmost
from unveil.distributions.noise import Generator, gumbel, uniform


class Bernoulli(Factorized):
    """A product of Bernoulli distributions, log p(x) = sum_i x_i l_i - log(1 + exp l_i).

    Args:
        logits: l = log p/(1 - p), (\\*batch, \\*event).
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, logits: Tensor, event_dims: int = 1) -> None:
        self.logits = logits
        super().__init__(logits.shape, event_dims)

    @property
    def mean(self) -> Tensor:
        """The probability of a one."""
        return self.logits.sigmoid()

    @property
    def mode(self) -> Tensor:
        """The likelier value of each factor."""
        return (self.logits > 0).to(self.logits.dtype)

    @property
    def variance(self) -> Tensor:
        """p (1 - p)."""
        return self.mean * (1 - self.mean)

    def log_prob_per_dim(self, value: Tensor) -> Tensor:
        """x_i l_i - log(1 + exp l_i)."""
        return (value * self.logits).sub_(F.softplus(self.logits))  # in place: evaluations are bound by memory here

    def entropy(self) -> Tensor:
        """H = sum_i log(1 + exp l_i) - p_i l_i, in nats."""
        return sum_rightmost(F.softplus(self.logits) - self.mean * self.logits, len(self.event_shape))

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        return (uniform(shape, self.logits, generator) < self.mean).to(self.logits.dtype)


class Categorical(Factorized):
    """A product of categorical distributions over the levels 0, 1, ..., L - 1.

    Args:
        logits: Unnormalised log-probabilities, (\\*batch, \\*event, L).
        event_dims: How many axes before the last make one event; 0 for a single categorical variable.
    """

    def __init__(self, logits: Tensor, event_dims: int = 0) -> None:
        self.logits = logits.log_softmax(-1)
        super().__init__(logits.shape[:-1], event_dims)

    @property
    def levels(self) -> int:
        """The number of levels L."""
        return self.logits.shape[-1]

    @property
    def probs(self) -> Tensor:
        """The levels' probabilities, (\\*batch, \\*event, L)."""
        return self.logits.exp()

    @property
    def mean(self) -> Tensor:
        """The expected level."""
        return self.probs @ torch.arange(self.levels, dtype=self.logits.dtype, device=self.logits.device)

    @property
    def mode(self) -> Tensor:
        """The likeliest level."""
        return self.logits.argmax(-1)

    def log_prob_per_dim(self, value: Tensor) -> Tensor:
        """The log-probability of each level; ``value`` holds whole numbers of any dtype."""
        shape = torch.broadcast_shapes(value.shape, self.logits.shape[:-1])
        logits = self.logits.expand(*shape, -1)
        return logits.gather(-1, value.long().expand(shape).unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """H = -sum_i sum_l p_il log p_il, in nats."""
        return sum_rightmost(entropy_terms(self.logits).sum(-1), len(self.event_shape))

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        return inverse_cdf(self.probs, uniform(shape, self.logits, generator))


class Binomial(Factorized):
    """A product of binomial distributions: the number of ones among n tries.

    log p(x) = log C(n, x) + x l - n log(1 + exp l)

    Args:
        total: The number of tries n.
        logits: l = log p/(1 - p), (\\*batch, \\*event).
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, total: int, logits: Tensor, event_dims: int = 1) -> None:
        self.total, self.logits = total, logits
        super().__init__(logits.shape, event_dims)

    @property
    def mean(self) -> Tensor:
        """n p."""
        return self.total * self.logits.sigmoid()

    @property
    def mode(self) -> Tensor:
        """The likeliest count, floor((n + 1) p), at most n."""
        return ((self.total + 1) * self.logits.sigmoid()).floor().clamp(max=self.total)

    @property
    def variance(self) -> Tensor:
        """n p (1 - p)."""
        p = self.logits.sigmoid()
        return self.total * p * (1 - p)

    def log_prob_per_dim(self, value: Tensor) -> Tensor:
        """log C(n, x_i) + x_i log p_i + (n - x_i) log(1 - p_i): no large numbers cancel at extreme logits."""
        n = torch.tensor(float(self.total), dtype=self.logits.dtype, device=self.logits.device)
        value = value.to(n.dtype)  # 255 + 1 is 0 in uint8
        choices = torch.lgamma(n + 1) - torch.lgamma(value + 1) - torch.lgamma(n - value + 1)
        return choices + value * F.logsigmoid(self.logits) + (n - value) * F.logsigmoid(-self.logits)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        levels = torch.arange(self.total + 1, dtype=self.logits.dtype, device=self.logits.device)
        table = Binomial(self.total, self.logits.unsqueeze(-1)).log_prob_per_dim(levels).exp()
        return inverse_cdf(table, uniform(shape, self.logits, generator)).to(self.logits.dtype)


class OneHotCategorical(Distribution):
    """A categorical distribution whose draws are one-hot vectors; ``log_prob`` reads ``<value, log p>``.

    Args:
        logits: Unnormalised log-probabilities, (\\*batch, \\*variables, L).
        variables: How many axes before the last hold independent variables of the same event.
    """

    def __init__(self, logits: Tensor, variables: int = 0) -> None:
        self.logits = logits.log_softmax(-1)
        split = logits.dim() - 1 - variables
        super().__init__(logits.shape[:split], logits.shape[split:])

    @property
    def probs(self) -> Tensor:
        """The probabilities, which are also the mean, (\\*batch, \\*event)."""
        return self.logits.exp()

    @property
    def mean(self) -> Tensor:
        """The mean, which is the vector of probabilities."""
        return self.probs

    @property
    def mode(self) -> Tensor:
        """The likeliest one-hot vector."""
        return F.one_hot(self.logits.argmax(-1), self.logits.shape[-1]).to(self.logits.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) of one-hot vectors, summed over the event's variables."""
        terms = torch.where(value != 0, value * self.logits, 0)
        return sum_rightmost(terms, len(self.event_shape))

    def entropy(self) -> Tensor:
        """H in nats, summed over the event's variables."""
        return sum_rightmost(entropy_terms(self.logits), len(self.event_shape))

    def relaxed(self, temperature: float | Tensor) -> RelaxedOneHot:
        """The Gumbel-softmax relaxation of this distribution."""
        return RelaxedOneHot(self.logits, temperature, len(self.event_shape) - 1)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        index = inverse_cdf(self.probs, uniform(shape[:-1], self.logits, generator))
        return F.one_hot(index, self.logits.shape[-1]).to(self.logits.dtype)


class RelaxedOneHot(Distribution):
    """The Gumbel-softmax (concrete) distribution on the simplex, y = softmax((log p + g) / tau), g Gumbel noise.

    Its density (Maddison et al. 2017, Jang et al. 2017) over L categories is
    (L - 1)! tau^(L-1) prod_l p_l y_l^(-tau-1) / (sum_l p_l y_l^-tau)^L.

    Args:
        logits: Unnormalised log-probabilities, (\\*batch, \\*variables, L).
        temperature: tau > 0; it divides the whole sum.
        variables: How many axes before the last hold independent variables of the same event.
    """

    has_rsample = True

    def __init__(self, logits: Tensor, temperature: float | Tensor, variables: int = 0) -> None:
        self.logits = logits.log_softmax(-1)
        self.temperature = torch.as_tensor(temperature, dtype=logits.dtype, device=logits.device)
        split = logits.dim() - 1 - variables
        super().__init__(logits.shape[:split], logits.shape[split:])

    def log_prob(self, value: Tensor) -> Tensor:
        """The density with respect to Lebesgue measure on the first L - 1 coordinates, in nats."""
        levels = torch.tensor(float(self.logits.shape[-1]), dtype=value.dtype, device=value.device)
        log_y = value.clamp_min(torch.finfo(value.dtype).tiny).log()
        score = self.logits - self.temperature * log_y
        per_variable = (
            torch.lgamma(levels)
            + (levels - 1) * self.temperature.log()
            + (score - log_y).sum(-1)
            - levels * score.logsumexp(-1)
        )
        return sum_rightmost(per_variable, len(self.event_shape) - 1)

    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        return ((self.logits + gumbel(shape, self.logits, generator)) / self.temperature).softmax(-1)


def entropy_terms(logits: Tensor) -> Tensor:
    """-p log p of normalised logits, 0 with gradient 0 where p = 0."""
    return -logits.exp() * logits.masked_fill(logits == -torch.inf, 0)


def inverse_cdf(probs: Tensor, u: Tensor) -> Tensor:
    """The level at which the cumulative probability passes u: a draw from ``probs`` for uniform u.

    Args:
        probs: Probabilities, (..., L), broadcastable with ``u``.
        u: Uniform noise, (...).
    """
    cumulative = probs.double().cumsum(-1)
    below = cumulative <= (u.double() * cumulative[..., -1]).unsqueeze(-1)
    return below.sum(-1).clamp(max=probs.shape[-1] - 1)
