"""References that share no code with the library: exact evidences by conjugacy, enumeration and quadrature."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy import ndarray
from scipy import stats
from scipy.special import gammaln, logsumexp, multigammaln


def prior_scatter(x: ndarray) -> ndarray:
    """What the normal-Wishart prior takes as W0^-1, in the data's units: their covariance, and a tiny ridge."""
    return np.cov(x.T, ddof=0).reshape(x.shape[1], x.shape[1]) + 1e-6 * np.diag(x.var(0))


def normal_wishart(x: ndarray, r: ndarray, loc: ndarray, beta: float, nu: float, scatter: ndarray) -> float:
    """log of the integral of prod_n N(x_n; mu, Lambda^-1)^r_n over the normal-Wishart prior (Murphy 2007, eq. 266)."""
    d, count = x.shape[1], r.sum()
    mean = (r @ x + beta * loc) / (beta + count)
    moved = (x - mean).T @ ((x - mean) * r[:, None]) + beta * np.outer(loc - mean, loc - mean)
    after = nu + count
    return (
        -0.5 * count * d * np.log(np.pi)
        + 0.5 * d * np.log(beta / (beta + count))
        + 0.5 * nu * np.linalg.slogdet(scatter)[1]
        - 0.5 * after * np.linalg.slogdet(scatter + moved)[1]
        + multigammaln(after / 2, d)
        - multigammaln(nu / 2, d)
    )


def normal_wishart_by_prediction(x: ndarray, loc: ndarray, beta: float, nu: float, scatter: ndarray) -> float:
    """The same for whole examples, as the product of each one's Student's t given those before it."""
    total, d = 0.0, x.shape[1]
    for row in x:
        freedom = nu - d + 1
        shape = scatter * (beta + 1) / (beta * freedom)
        total += stats.multivariate_t(loc, shape, freedom).logpdf(row)
        scatter = scatter + beta / (beta + 1) * np.outer(row - loc, row - loc)
        loc, beta, nu = (beta * loc + row) / (beta + 1), beta + 1, nu + 1
    return total


def log_beta(alpha: ndarray) -> float:
    """log of the Dirichlet's normaliser."""
    return gammaln(alpha).sum() - gammaln(alpha.sum())


def dirichlet_counts(counts: ndarray, concentration: float) -> float:
    """log E[prod_k pi_k^N_k] under Dirichlet(a, ..., a)."""
    return log_beta(counts + concentration) - log_beta(np.full(len(counts), concentration))


def stick_counts(counts: ndarray, concentration: float) -> float:
    """log E[prod_k pi_k^N_k] where pi breaks a stick, v_k ~ Beta(1, g)."""
    after = np.cumsum(counts[::-1])[::-1]
    return sum(
        log_beta(np.array([1 + counts[k], concentration + after[k + 1]])) - log_beta(np.array([1, concentration]))
        for k in range(len(counts) - 1)
    )


def mixture_evidence(
    x: ndarray, components: int, log_shares: Callable[[ndarray], float], beta: float, nu: float
) -> float:
    """log p(X) of the Bayesian mixture of Gaussians: the sum over every assignment of examples to components."""
    loc, scatter = x.mean(0), prior_scatter(x)
    terms = []
    for assignment in product(range(components), repeat=len(x)):
        r = np.eye(components)[list(assignment)]
        of_x = sum(normal_wishart(x, r[:, k], loc, beta, nu, scatter) for k in range(components))
        terms.append(log_shares(r.sum(0)) + of_x)
    return logsumexp(terms)


def mixture_bound(x: ndarray, r: ndarray, log_shares: Callable[[ndarray], float], beta: float, nu: float) -> float:
    """The bound with q(z) = r and the best q(pi) q(theta) for it, which are integrated out; r is (N, K)."""
    loc, scatter = x.mean(0), prior_scatter(x)
    of_x = sum(normal_wishart(x, shares, loc, beta, nu, scatter) for shares in r.T)
    return log_shares(r.sum(0)) + of_x - (r * np.log(np.maximum(r, 1e-300))).sum()


class Line:
    """Linear regression in units of the data, with a constant feature: y = V w + noise, p(w | t, a), p(t) as given.

    Args:
        features: (N, D).
        y: (N,).
        noise: Shape s and rate r of p(t).
    """

    def __init__(self, features: ndarray, y: ndarray, noise: tuple[float, float]) -> None:
        self.mean, self.deviation = features.mean(0), features.std(0)
        self.y_mean, self.y_deviation = y.mean(), y.std()
        self.v, self.y, self.noise = self.of(features), (y - self.y_mean) / self.y_deviation, noise

    def of(self, features: ndarray) -> ndarray:
        """V of features."""
        return np.column_stack([(features - self.mean) / self.deviation, np.ones(len(features))])

    def _log_t(self, v: ndarray, y: ndarray, a: ndarray) -> float:
        """y is Student's t of 2 s degrees of freedom and scale r / s (I + V diag(a)^-1 V')."""
        shape, rate = self.noise
        scale = rate / shape * (np.eye(len(y)) + (v / a) @ v.T)
        return stats.multivariate_t(np.zeros(len(y)), scale, 2 * shape).logpdf(y)

    def evidence(self, a: ndarray | float) -> float:
        """log p(y | a), in nats of y as it is."""
        a = np.broadcast_to(a, self.v.shape[1])
        return self._log_t(self.v, self.y, a) - len(self.y) * np.log(self.y_deviation)

    def predictive(self, features: ndarray, y: float, a: float) -> float:
        """log p(y of one more | a, all others)."""
        a = np.broadcast_to(a, self.v.shape[1])
        v, all_y = np.vstack([self.v, self.of(features[None])]), np.append(self.y, (y - self.y_mean) / self.y_deviation)
        return self._log_t(v, all_y, a) - self._log_t(self.v, self.y, a) - np.log(self.y_deviation)

    def evidence_of_any(self, relevance: tuple[float, float], log_a: ndarray, *, each: bool) -> float:
        """log of the integral of p(y | a) p(a) over a grid of log a: one for all weights, or one of each."""
        shape, rate = relevance
        log_p = stats.gamma(shape, scale=1 / rate).logpdf(np.exp(log_a)) + log_a + np.log(log_a[1] - log_a[0])
        if not each:
            return logsumexp([self.evidence(np.exp(a)) + p for a, p in zip(log_a, log_p, strict=True)])
        indices = product(range(len(log_a)), repeat=self.v.shape[1])
        return logsumexp([self.evidence(np.exp(log_a[list(i)])) + log_p[list(i)].sum() for i in indices])


def topics_evidence(x: ndarray, topics: int, alpha: float, eta: float) -> float:
    """log p(X) of latent Dirichlet allocation: the sum over every assignment of each word of the text to a topic."""
    tokens = [(n, v) for n, row in enumerate(x) for v, count in enumerate(row) for _ in range(int(count))]
    terms = []
    for assignment in product(range(topics), repeat=len(tokens)):
        by_document, by_word = np.zeros((len(x), topics)), np.zeros((topics, x.shape[1]))
        for (n, v), k in zip(tokens, assignment, strict=True):
            by_document[n, k] += 1
            by_word[k, v] += 1
        terms.append(
            sum(dirichlet_counts(row, alpha) for row in by_document)
            + sum(dirichlet_counts(row, eta) for row in by_word)
        )
    return logsumexp(terms) + orderings(x).sum()


def orderings(x: ndarray) -> ndarray:
    """log of the number of texts with these counts, (N,)."""
    return gammaln(x.sum(1) + 1) - gammaln(x + 1).sum(1)
