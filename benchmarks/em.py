"""EM steps/s of a Gaussian mixture, and coordinate ascent sweeps/s of topics: unveil's and scikit-learn's.

Mixture: 10 components with full covariances, 100,000 x 10 doubles, 50 steps from the same start, nothing added to the
covariances. Topics: 20,000 documents of 100 words out of 1,000, 10 topics, 10 sweeps; both let a document settle to a
mean change of 1e-3. ``--rows 1000000 --memory`` runs ours alone on so many rows and says how much memory it took.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from rounds import interleave, report
from sklearn.decomposition import LatentDirichletAllocation as TheirTopics
from sklearn.mixture import GaussianMixture as TheirMixture

from unveil import components
from unveil.inference import cavi, em
from unveil.models import GaussianMixture, LatentDirichletAllocation
from unveil.variables import Variable

COMPONENTS, DIMENSIONS, STEPS = 10, 10, 50
DOCUMENTS, WORDS, LENGTH, TOPICS, SWEEPS = 20_000, 1_000, 100, 10, 10

Array = NDArray[np.float64]


def clusters(rows: int) -> Array:
    """Points about ten centres."""
    random = np.random.default_rng(0)
    centres = 2 * random.normal(size=(COMPONENTS, DIMENSIONS))
    found: Array = centres[random.integers(0, COMPONENTS, rows)] + random.normal(size=(rows, DIMENSIONS))
    return found


def our_mixture(x: Array) -> tuple[Callable[[], float], list[float]]:
    """Steps per second; and the log-likelihoods that it ends with."""
    ends: list[float] = []

    def run() -> float:
        model = GaussianMixture(Variable((DIMENSIONS,)), components=COMPONENTS)
        assert isinstance(model.family, components.Full)
        model.family.loc.data.copy_(torch.from_numpy(x[:COMPONENTS]))
        start = time.perf_counter()
        found = em.fit(model, x, starts=0, steps=STEPS, tolerance=0, progress=False)
        ends.append(found.bounds[-1])
        return STEPS / (time.perf_counter() - start)

    return run, ends


def their_mixture(x: Array) -> tuple[Callable[[], float], list[float]]:
    """Steps per second; and the log-likelihoods that it ends with."""
    ends: list[float] = []

    def run() -> float:
        model = TheirMixture(
            COMPONENTS, tol=0, max_iter=STEPS, reg_covar=0, weights_init=np.full(COMPONENTS, 1 / COMPONENTS),
            means_init=x[:COMPONENTS], precisions_init=np.stack([np.eye(DIMENSIONS)] * COMPONENTS),
            init_params="random_from_data",
        )  # fmt: skip
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x)
        seconds = time.perf_counter() - start
        ends.append(model.score(x))
        return STEPS / seconds

    return run, ends


def documents() -> NDArray[np.int64]:
    """Counts of words."""
    random = np.random.default_rng(0)
    topics = random.dirichlet(np.full(WORDS, 0.05), TOPICS)
    shares = random.dirichlet(np.full(TOPICS, 0.2), DOCUMENTS)
    return np.stack([random.multinomial(LENGTH, share @ topics) for share in shares])


def our_topics(x: NDArray[np.int64]) -> tuple[Callable[[], float], list[float]]:
    """Sweeps per second; and the perplexities that it ends with."""
    counts, ends = torch.from_numpy(x), list[float]()

    def run() -> float:
        model = LatentDirichletAllocation(Variable((WORDS,), levels=LENGTH + 1), topics=TOPICS)
        start = time.perf_counter()
        cavi.fit(model, counts, steps=SWEEPS, tolerance=0, progress=False)
        seconds = time.perf_counter() - start
        ends.append(model.perplexity(counts[:2000]))
        return SWEEPS / seconds

    return run, ends


def their_topics(x: NDArray[np.int64]) -> tuple[Callable[[], float], list[float]]:
    """Sweeps per second; and the perplexities that it ends with."""
    ends: list[float] = []

    def run() -> float:
        model = TheirTopics(TOPICS, max_iter=SWEEPS, learning_method="batch", random_state=0)
        start = time.perf_counter()
        model.fit(x)
        seconds = time.perf_counter() - start
        ends.append(model.perplexity(x[:2000]))
        return SWEEPS / seconds

    return run, ends


def compare(name: str, unit: str, ours: tuple[Callable[[], float], list[float]], theirs: tuple, rounds: int) -> None:
    """Both, interleaved, and what they ended with."""
    print(f"\n{name}")
    report(interleave({"unveil": ours[0], "scikit-learn": theirs[0]}, rounds), unit, "unveil")
    print(f"ended at {ours[1][-1]:.9g} and {theirs[1][-1]:.9g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="ours alone, and its memory")
    options = parser.parse_args()
    x = clusters(options.rows)
    if options.memory:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        speed = our_mixture(x)[0]()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(
            f"{options.rows:,} rows ({x.nbytes / 2**20:,.0f} MiB): {speed:.2g} steps/s, {grown:,.0f} MiB more at most"
        )
    else:
        compare("mixture", "steps/s", our_mixture(x), their_mixture(x), options.rounds)
        counts = documents()
        compare("topics", "sweeps/s", our_topics(counts), their_topics(counts), max(1, options.rounds - 2))
