"""What components are, written down a second time: by SciPy, one component and one example at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from tests.registry import COMPONENTS
from unveil.components import Components
from unveil.variables import Variable

SCALES, SHIFTS = np.array([1e-3, 1.0, 1e4]), np.array([5.0, -2e3, 1e6])
GAUSSIAN = ["Anisotropic", "Diagonal", "Full", "Isotropic", "Spherical", "Tied"]
INDEPENDENT = ["Binomial", "Binomial of two", "Categorical", "Diagonal", "Spherical"]
"""Of which the entries are independent given k."""
FACTORS = ["Anisotropic", "Isotropic"]


def observations(x: Variable, rows: int = 40, seed: int = 0) -> Tensor:
    """Levels; or real numbers, correlated, badly scaled and far from 0."""
    random = np.random.default_rng(seed)
    if x.levels is not None:
        return torch.from_numpy(random.integers(0, x.levels, (rows, *x.shape)).astype(float))
    mixing = np.array([[1.0, 0.4, -0.3], [0.0, 1.0, 0.6], [0.2, 0.0, 1.0]])
    return torch.from_numpy(random.normal(size=(rows, 3)) @ mixing * SCALES + SHIFTS)


def holes(x: Tensor, seed: int = 0) -> Tensor:
    """True where an entry is observed; nothing of the first row, all of the second."""
    mask = torch.from_numpy(np.random.default_rng(seed).random(x.shape) < 0.6)
    mask[0], mask[1] = False, True
    return mask


def made(name: str, count: int = 3, seed: int = 0, **options: float) -> Components:
    """Components that have seen :func:`observations`, with random parameters."""
    factory, x = COMPONENTS[name]
    family = factory(x, count, **options).double()
    generator = torch.Generator().manual_seed(seed)
    family.initialize(observations(x), generator)
    with torch.no_grad():
        for parameter in family.parameters():
            parameter += 0.4 * torch.randn(parameter.shape, generator=generator)
    return family


def responsibilities(count: int, rows: int, seed: int = 0) -> Tensor:
    """Shares of the components in examples of different weights, (K, B)."""
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.dirichlet(np.ones(count), rows).T * random.random(rows))


def units(name: str, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the deviation of the data: one deviation for all entries where spheres must stay spheres."""
    values = x.flatten(1).numpy()
    variance = np.nanvar(values, 0)
    if name in ("Spherical", "Isotropic"):
        variance = np.full_like(variance, variance.mean())
    return np.nanmean(values, 0), np.sqrt(variance)


def moments(name: str, family: Components, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """mu_k and Sigma_k in the data's units, from the parameters in units of the data x that the family has seen."""
    mean, deviation = units(name, x)
    p = {key: value.detach().numpy() for key, value in family.named_parameters()}
    mu, sigma = mean + deviation * p["loc"], []
    for k in range(len(mu)):
        if "log_triangle" in p:
            triangle = np.tril(p["log_triangle"][min(k, len(p["log_triangle"]) - 1)])
            np.fill_diagonal(triangle, np.exp(np.diag(triangle)))
            covariance = triangle @ triangle.T
        else:
            covariance = np.diag(np.broadcast_to(np.exp(2 * p["log_scale"][k]), mu[k].shape))
            if "loading" in p:
                covariance = covariance + p["loading"][k] @ p["loading"][k].T
        sigma.append(deviation[:, None] * covariance * deviation)
    return mu, np.stack(sigma)


def in_units(covariance: Tensor, deviation: np.ndarray) -> Tensor:
    """A covariance of u = x / deviation, of that of x."""
    scale = torch.from_numpy(deviation)
    return covariance / (scale.unsqueeze(-1) * scale)


def gaussian(row: np.ndarray, seen: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> float:
    """log N of the entries that are seen, of the marginal's mean and covariance."""
    if not seen.any():
        return 0.0
    deviation = np.sqrt(np.diag(sigma)[seen])  # SciPy's own tolerance is for entries of one scale
    correlation = sigma[np.ix_(seen, seen)] / np.outer(deviation, deviation)
    standardized = (row - mu)[seen] / deviation
    return float(stats.multivariate_normal(cov=correlation).logpdf(standardized) - np.log(deviation).sum())


def entry(name: str, family: Components, k: int, d: int, value: float) -> float:
    """log p(x_d | k) of whole numbers."""
    logits = family.logits.detach().numpy()[k, d]
    if name == "Categorical":
        return float(np.log(np.exp(logits[int(value)]) / np.exp(logits).sum()))
    tries = COMPONENTS[name][1].levels - 1
    return float(stats.binom(tries, 1 / (1 + np.exp(-logits))).logpmf(value))


def log_densities(name: str, family: Components, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """log p(x_b | k) of what is observed, (K, B)."""
    seen = np.ones(x.shape, bool) if mask is None else mask.numpy()
    rows: Sequence[np.ndarray] = list(x.numpy())
    if name in GAUSSIAN:
        mu, sigma = moments(name, family, observations(COMPONENTS[name][1]))
        found = [[gaussian(row, on, mu[k], sigma[k]) for row, on in zip(rows, seen, strict=True)] for k in range(3)]
    else:
        found = [
            [
                sum(entry(name, family, k, d, row[d]) for d in range(3) if on[d])
                for row, on in zip(rows, seen, strict=True)
            ]
            for k in range(3)
        ]
    return torch.tensor(found)
