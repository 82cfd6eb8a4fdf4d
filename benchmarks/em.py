"""Steps/s of EM (a Gaussian mixture, hidden Markov models) and sweeps/s of coordinate ascent (topics), beside peers.

Peers: scikit-learn for mixtures and topics, hmmlearn ("scaling", its faster way, in C++) for chains. Mixture: 10
components with full covariances, 100,000 x 10 doubles, 50 steps from the same start, nothing added to the covariances.
Chains: 5 states with full covariances of 4 numbers, 1,000 sequences of 100 steps, and one of 10,000, 20 steps of EM
from the same start. Topics: 20,000 documents of 100 words out of 1,000, 10 topics, 10 sweeps; both let a document
settle to a mean change of 1e-3. ``--rows 1000000 --memory`` runs ours alone on so many rows and says how much memory
it took.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from hmmlearn.hmm import GaussianHMM as TheirChain
from numpy.typing import NDArray
from rounds import interleave, report
from sklearn.decomposition import LatentDirichletAllocation as TheirTopics
from sklearn.mixture import GaussianMixture as TheirMixture

from unveil import components
from unveil.inference import cavi, em
from unveil.models import GaussianHMM, GaussianMixture, LatentDirichletAllocation
from unveil.variables import Variable

COMPONENTS, DIMENSIONS, STEPS = 10, 10, 50
STATES, OBSERVED, CHAIN_STEPS = 5, 4, 20
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


def chains(count: int, length: int) -> Array:
    """Sequences of states that like to stay, observed with noise."""
    random = np.random.default_rng(0)
    z = np.zeros((count, length), int)
    for step in range(1, length):
        z[:, step] = np.where(random.random(count) < 0.9, z[:, step - 1], random.integers(0, STATES, count))
    found: Array = 3 * random.normal(size=(STATES, OBSERVED))[z] + random.normal(size=(count, length, OBSERVED))
    return found


def our_chain(x: Array) -> tuple[Callable[[], float], list[float]]:
    """Steps per second; and the log-likelihoods that it ends with, per sequence."""
    ends: list[float] = []

    def run() -> float:
        model = GaussianHMM(Variable(x.shape[1:]), states=STATES)
        assert isinstance(model.family, components.Full)
        model.family.loc.data.copy_(torch.from_numpy(x.reshape(-1, OBSERVED)[:STATES]))
        start = time.perf_counter()
        found = em.fit(model, x, starts=0, steps=CHAIN_STEPS, tolerance=0, progress=False)
        seconds = time.perf_counter() - start
        ends.append(found.bounds[-1])
        return (len(found.bounds) - 1) / seconds

    return run, ends


def their_chain(x: Array) -> tuple[Callable[[], float], list[float]]:
    """Steps per second; and the log-likelihoods that it ends with, per sequence."""
    ends: list[float] = []
    rows, lengths = x.reshape(-1, OBSERVED), [x.shape[1]] * len(x)

    def run() -> float:
        model = TheirChain(
            STATES, "full", n_iter=CHAIN_STEPS, tol=-np.inf, init_params="", implementation="scaling", min_covar=0,
            covars_prior=0,
        )  # fmt: skip
        model.startprob_, model.transmat_ = np.full(STATES, 1 / STATES), np.full((STATES, STATES), 1 / STATES)
        model.means_, model.covars_ = rows[:STATES].copy(), np.tile(np.eye(OBSERVED), (STATES, 1, 1))
        start = time.perf_counter()
        model.fit(rows, lengths)
        seconds = time.perf_counter() - start
        ends.append(model.score(rows, lengths) / len(x))
        return CHAIN_STEPS / seconds

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


Way = tuple[Callable[[], float], list[float]]
"""What makes one run and returns its speed, and what the runs ended with."""


def compare(name: str, unit: str, ours: Way, theirs: Way, rounds: int, peer: str = "scikit-learn") -> None:
    """Both, interleaved, and what they ended with."""
    print(f"\n{name}")
    report(interleave({"unveil": ours[0], peer: theirs[0]}, rounds), unit, "unveil")
    print(f"ended at {ours[1][-1]:.9g} and {theirs[1][-1]:.9g}")


def memory(x: Array) -> None:
    """Ours alone, and how much memory it took."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    speed = our_mixture(x)[0]()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{len(x):,} rows ({x.nbytes / 2**20:,.0f} MiB): {speed:.2g} steps/s, {grown:,.0f} MiB more at most")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["mixture", "chains", "topics"])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="our mixture alone, and its memory")
    options = parser.parse_args()
    x, what = clusters(options.rows), [] if options.memory else options.what
    if options.memory:
        memory(x)
    if "mixture" in what:
        compare("mixture", "steps/s", our_mixture(x), their_mixture(x), options.rounds)
    if "chains" in what:
        for count, length in ((1_000, 100), (1, 10_000)):
            sequences = chains(count, length)
            name = f"chain: {count:,} x {length:,} steps"
            compare(name, "steps/s", our_chain(sequences), their_chain(sequences), options.rounds, "hmmlearn")
    if "topics" in what:
        counts = documents()
        compare("topics", "sweeps/s", our_topics(counts), their_topics(counts), options.rounds)
