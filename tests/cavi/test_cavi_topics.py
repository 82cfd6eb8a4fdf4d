"""Latent Dirichlet allocation against enumeration, its definition written out, and scikit-learn."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy import ndarray
from scipy import sparse, stats
from scipy.optimize import linear_sum_assignment
from scipy.special import digamma
from sklearn.decomposition import LatentDirichletAllocation as Reference

import unveil as uv
from tests.cavi.brute import log_beta, orderings, topics_evidence
from unveil.inference import cavi
from unveil.inference import rows as looking
from unveil.inference.cavi import Inferred
from unveil.models import FromPosterior, LatentDirichletAllocation, topics
from unveil.variables import Batch, Variable

TINY_CORPORA = {
    "two documents": np.array([[3, 1], [0, 4]]),
    "three words": np.array([[2, 0, 1], [0, 3, 0], [1, 0, 1]]),
    "an empty document": np.array([[2, 2], [0, 0], [1, 3]]),
    "a word that is never used": np.array([[2, 0, 2], [3, 0, 0]]),
}


def corpus(documents: int = 40, words: int = 12, kinds: int = 3, seed: int = 0, most: int = 200) -> ndarray:
    """Documents of very different lengths, one of them empty; the last word is never used."""
    random = np.random.default_rng(seed)
    beta = np.zeros((kinds, words))
    beta[:, :-1] = random.dirichlet(np.full(words - 1, 0.2), kinds)
    theta = random.dirichlet(np.full(kinds, 0.3), documents)
    lengths = np.exp(random.uniform(0, np.log(most), documents)).astype(int)
    lengths[3] = 0
    return np.stack([random.multinomial(n, p) for n, p in zip(lengths, theta @ beta, strict=True)])


def made(words: int, kinds: int = 3, **options: float) -> LatentDirichletAllocation:
    return LatentDirichletAllocation(Variable((words,)), topics=kinds, **options)


def fitted(x: ndarray, kinds: int = 3, fit: dict | None = None, **options: float) -> Inferred:
    model = made(x.shape[1], kinds, **options)
    return cavi.fit(model, torch.from_numpy(x), **{"progress": False, **(fit or {})})


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents settle for good."""
    monkeypatch.setattr(topics, "SETTLED", 1e-11)
    monkeypatch.setattr(topics, "MOST", 10_000)


@pytest.mark.parametrize("name", TINY_CORPORA)
@pytest.mark.parametrize("seed", range(2))
def test_the_bound_lies_below_the_evidence_by_enumeration_of_each_words_topic(name, seed):
    x = TINY_CORPORA[name]
    found = fitted(x, 2, {"seed": seed, "tolerance": 0, "steps": 200}, alpha=0.6, eta=0.9)
    exact = topics_evidence(x, 2, 0.6, 0.9)
    assert exact - 2.5 < found.evidence.value < exact - 1e-2
    assert found.evidence.examples == len(x)


@pytest.mark.parametrize("name", TINY_CORPORA)
def test_with_one_topic_the_bound_is_the_evidence(name):
    x = TINY_CORPORA[name]
    found = fitted(x, 1, eta=0.9)
    counts = x.sum(0)
    exact = log_beta(counts + 0.9) - log_beta(np.full(len(counts), 0.9)) + orderings(x).sum()
    assert topics_evidence(x, 1, 1.0, 0.9) == pytest.approx(exact, abs=1e-10)  # of the reference itself
    assert found.evidence.value == pytest.approx(exact, rel=1e-10)


def written_out(x: ndarray, gamma: ndarray, words: ndarray, alpha: float, eta: float) -> tuple[ndarray, float]:
    """What each document and the topics add to E_q[log p] + H[q] by definition, with the best q of word's topics."""
    log_theta = digamma(gamma) - digamma(gamma.sum(1, keepdims=True))
    log_words = digamma(words) - digamma(words.sum(1, keepdims=True))
    score = log_theta[:, :, None] + log_words  # (N, K, V)
    phi = np.exp(score - score.max(1, keepdims=True))
    phi /= phi.sum(1, keepdims=True)
    of_words = (x[:, None] * phi * (score - np.log(np.maximum(phi, 1e-300)))).sum((1, 2))
    by_document = (alpha - 1) * log_theta.sum(1) - log_beta(np.full(len(words), alpha))
    by_document += [stats.dirichlet(row).entropy() for row in gamma]
    by_topic = (eta - 1) * log_words.sum(1) - log_beta(np.full(words.shape[1], eta))
    by_topic += [stats.dirichlet(row).entropy() for row in words]
    return of_words + by_document + orderings(x), by_topic.sum()


def test_the_bound_is_its_definition_written_out(settled):
    x = corpus()
    found = fitted(x, fit={"steps": 60, "tolerance": 0}, alpha=0.4, eta=0.3)
    gamma = found.model.shares_of(torch.from_numpy(x)).numpy()
    words = found.model.words.detach().numpy()
    of_documents, of_topics = written_out(x, gamma, words, 0.4, 0.3)
    assert found.evidence.value == pytest.approx(of_documents.sum() + of_topics, abs=1e-5)
    perplexity = np.exp(-(of_documents - orderings(x)).sum() / x.sum())
    assert found.model.perplexity(torch.from_numpy(x)) == pytest.approx(perplexity, rel=1e-8)
    assert gamma[3] == pytest.approx(np.full(3, 0.4), abs=1e-12)  # of the empty document
    assert gamma.sum(1) == pytest.approx(3 * 0.4 + x.sum(1), rel=1e-10)
    assert words.sum() == pytest.approx(3 * 12 * 0.3 + x.sum(), rel=1e-10)
    assert words[:, -1] == pytest.approx(np.full(3, 0.3), abs=1e-12)  # of the word that is never used


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "options", [{}, {"weighted": True}, {"batch_size": 40}], ids=["all", "weighted", "a minibatch"]
)
def test_the_bound_never_falls(seed, options, monkeypatch):
    x = corpus(seed=seed)
    options = {"weight": np.random.default_rng(seed).random(40) * 2} if "weighted" in options else options
    monkeypatch.setitem(looking.AT_ONCE, "cpu", 3 * made(12).width(1, missing=False))
    bounds = fitted(x, 4, {"seed": seed, "steps": 60, "tolerance": 0, **options}).bounds
    assert bounds[-1] > bounds[0] + 0.1
    for before, after in pairwise(bounds):
        assert after >= before - 1e-12 * (1 + abs(before))


def test_the_bound_never_falls_where_passes_of_minibatches_are_undone():
    for seed in range(30):
        random = np.random.default_rng(seed)
        beta, theta = random.dirichlet(np.full(15, 0.3), 4), random.dirichlet(np.full(4, 0.2), 40)
        x = np.stack([random.multinomial(random.integers(1, 80), p) for p in theta @ beta])
        fitted(x, 4, {"steps": 40, "batch_size": 7, "tolerance": 0, "seed": seed})


def test_minibatches_reach_a_bound_as_high():
    x = corpus(200)
    whole = fitted(x, fit={"steps": 100}).bounds
    found = fitted(x, fit={"steps": 100, "batch_size": 20}).bounds
    assert found[1] > whole[1]
    assert found[-1] > whole[-1] - 0.05


def test_how_many_documents_are_looked_at_at_once_does_not_matter_once_they_settle(settled, monkeypatch):
    x = corpus()
    whole = fitted(x, fit={"steps": 8, "tolerance": 0})
    monkeypatch.setitem(looking.AT_ONCE, "cpu", 1)
    assert fitted(x, fit={"steps": 8, "tolerance": 0}).bounds == pytest.approx(whole.bounds, abs=1e-9)


def test_shares_of_a_document_do_not_depend_on_the_documents_beside_it():
    x = torch.from_numpy(corpus())
    model = fitted(corpus(), fit={"steps": 5}).model
    alone = torch.cat([model.shares_of(row[None]) for row in x])
    torch.testing.assert_close(model.shares_of(x), alone, rtol=1e-9, atol=1e-9)


def test_shares_of_a_document_are_about_the_same_whatever_is_beside_it():
    x = torch.from_numpy(corpus())
    model = fitted(corpus(), fit={"steps": 5}).model
    alone = torch.cat([model.shares_of(row[None]) for row in x])
    torch.testing.assert_close(model.shares_of(x), alone, rtol=0, atol=0.05)


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_array, sparse.csc_matrix])
def test_sparse_counts_are_the_same_data(make):
    x = corpus()
    expected = fitted(x, fit={"steps": 10}).bounds
    found = cavi.fit(made(12), make(x), steps=10, progress=False).bounds
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float32, torch.uint8])
def test_the_type_of_the_counts_does_not_matter(dtype):
    x = torch.from_numpy(corpus())
    expected = cavi.fit(made(12), x.double(), steps=5, progress=False)
    found = cavi.fit(made(12), x.to(dtype), steps=5, progress=False)
    assert found.bounds == pytest.approx(expected.bounds, abs=1e-12)
    assert found.model.perplexity(x.to(dtype)) == pytest.approx(expected.model.perplexity(x.double()), rel=1e-12)


def reference(x: ndarray, sweeps: int) -> Reference:
    found = Reference(
        n_components=3, doc_topic_prior=0.4, topic_word_prior=0.3, learning_method="batch", max_iter=sweeps,
        mean_change_tol=1e-10, max_doc_update_iter=5000, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return found.fit(x)


def of_topics(words: ndarray) -> LatentDirichletAllocation:
    model = made(words.shape[1], alpha=0.4, eta=0.3)
    with torch.no_grad():
        model.words.copy_(torch.from_numpy(words))
    return model


@pytest.mark.parametrize("sweeps", [1, 5, 40])
def test_one_sweep_from_scikit_learns_topics_leads_to_its_next(sweeps, settled):
    x = np.delete(corpus(), 3, 0)
    before, after = reference(x, sweeps).components_, reference(x, sweeps + 1).components_
    model = of_topics(before)
    cavi.fit(model, torch.from_numpy(x), starts=0, steps=1, progress=False)
    assert model.words.detach().numpy() == pytest.approx(after, abs=1e-4)
    assert sweeps == 40 or np.abs(after - before).max() > 0.1


def test_shares_of_documents_bound_and_perplexity_are_scikit_learns(settled):
    x = np.delete(corpus(), 3, 0)
    expected = reference(x, 20)
    model = of_topics(expected.components_)
    shares = model.shares_of(torch.from_numpy(x)).numpy()
    assert shares / shares.sum(1, keepdims=True) == pytest.approx(expected.transform(x), abs=1e-6)
    found = cavi.fit(of_topics(expected.components_), torch.from_numpy(x), starts=0, steps=1, progress=False)
    bound = found.bounds[0] * len(x) - orderings(x).sum()
    assert bound == pytest.approx(expected.score(x), abs=1e-5)


def test_topics_that_made_the_data_are_found():
    random = np.random.default_rng(0)
    beta = random.dirichlet(np.full(20, 0.1), 4)
    theta = random.dirichlet(np.full(4, 0.2), 300)
    x = np.stack([random.multinomial(100, p) for p in theta @ beta])
    best = max((fitted(x, 4, {"seed": seed}) for seed in range(3)), key=lambda found: found.bounds[-1])
    distance = np.abs(best.model.distributions.numpy()[:, None] - beta).sum(-1) / 2
    mine, its = linear_sum_assignment(distance)
    assert distance[mine, its].max() < 0.05
    shares = best.model.encode(torch.from_numpy(x)).numpy()
    assert np.abs(shares[:, mine] - theta[:, its]).sum(1).mean() < 0.2
    fresh = np.stack([random.multinomial(100, p) for p in random.dirichlet(np.full(4, 0.2), 100) @ beta])
    entropy = stats.entropy(fresh / 100, axis=1).mean()  # of the empirical words: no model explains them better
    perplexity = best.model.perplexity(torch.from_numpy(fresh))
    assert np.exp(entropy) < perplexity < 0.7 * np.exp(stats.entropy(x.sum(0)))


def test_the_bound_gets_as_high_as_scikit_learns():
    random = np.random.default_rng(1)
    beta, theta = random.dirichlet(np.full(50, 0.1), 6), random.dirichlet(np.full(6, 0.1), 200)
    x = np.stack([random.multinomial(40, p) for p in theta @ beta])
    its = Reference(n_components=6, learning_method="batch", max_iter=30, random_state=0).fit(x).score(x)
    best = max(fitted(x, 6, {"seed": seed}).evidence.value for seed in range(2))
    assert best > its + orderings(x).sum() - 200


def test_samples_are_counts_of_documents_of_the_mean_length(generator):
    x = corpus()
    model = fitted(x, fit={"steps": 5}).model
    drawn = model.sample(2000, generator=generator)
    assert drawn.shape == (2000, 12)
    assert (drawn == drawn.round()).all()
    assert (drawn >= 0).all()
    assert (drawn.sum(-1) == round(x.sum(1).mean())).all()
    share = model.distributions.mean(0)  # theta expects each topic alike
    assert (drawn / drawn.sum(-1, keepdim=True)).mean(0).numpy() == pytest.approx(share.numpy(), abs=0.03)


def test_a_trace_scores_documents_given_their_shares_with_topics_as_expected(generator):
    x = corpus()[:6]
    model = fitted(corpus(), fit={"steps": 5}).model
    trace = model.trace(torch.from_numpy(x), FromPosterior(3, generator))
    z = trace["z"].value.numpy()
    words = model.distributions.numpy()
    for particle in range(3):
        for n in range(6):
            exact = stats.multinomial(x[n].sum(), z[particle, n] @ words).logpmf(x[n])
            assert trace["x"].log_p[particle, n].item() == pytest.approx(exact, abs=1e-8)
    found = uv.evaluate(model, torch.from_numpy(x), particles=200, progress=False)
    assert found.elbo.value < found.log_likelihood.value
    assert found.elbo.bound == "lower"


def test_an_evaluation_with_many_topics_is_a_number():
    x = torch.from_numpy(corpus(20))
    model = cavi.fit(made(12, 100), x, steps=3, progress=False).model
    assert np.isfinite(uv.evaluate(model, x, particles=50, progress=False).log_likelihood.value)


class TestRefusals:
    def test_of_several_starts(self):
        with pytest.raises(ValueError, match="starts: expected 1 for a LatentDirichletAllocation, which remembers"):
            cavi.fit(made(12), torch.from_numpy(corpus()), starts=2, progress=False)

    def test_of_several_starts_leaves_the_model_as_it_was(self):
        model = made(12)
        with pytest.raises(ValueError, match="starts"):
            cavi.fit(model, torch.from_numpy(corpus()), starts=2, progress=False)
        assert model.words.shape == (3, 12)

    def test_of_negative_counts(self):
        x = torch.from_numpy(corpus()).double()
        x[2, 0] = -1
        with pytest.raises(ValueError, match="counts"):
            cavi.fit(made(12), x, progress=False)

    def test_of_negative_counts_by_perplexity(self):
        with pytest.raises(ValueError, match="counts"):
            made(3).perplexity(torch.tensor([[1.0, -2.0, 3.0]]))

    def test_of_no_words_by_perplexity(self):
        with pytest.raises(ValueError, match="x: "):
            made(3).perplexity(torch.zeros(4, 3))

    def test_of_missing_counts(self):
        x = torch.from_numpy(corpus()).double()
        x[2, 0] = torch.nan
        with pytest.raises(ValueError, match="can't marginalise missing counts"):
            cavi.fit(made(12), x, progress=False)

    def test_of_other_shapes_no_topics_and_priors_below_zero(self):
        with pytest.raises(ValueError, match="counts of words"):
            LatentDirichletAllocation(Variable((2, 3)))
        with pytest.raises(ValueError, match="topics: expected at least 1"):
            made(3, 0)
        for name in ("alpha", "eta"):
            with pytest.raises(ValueError, match="expected positive numbers"):
                made(3, 2, **{name: -1.0})

    @pytest.mark.parametrize("name", ["alpha", "eta"])
    def test_of_priors_that_are_zero(self, name):
        with pytest.raises(ValueError, match="expected positive numbers"):
            made(3, 2, **{name: 0.0})


def test_an_empty_corpus_costs_and_tells_nothing():
    found = cavi.fit(made(4), Batch(x=torch.zeros(3, 4)), steps=5, progress=False)
    assert found.evidence.value == pytest.approx(0, abs=1e-12)

    def test_of_fractions(self):
        with pytest.raises(ValueError, match=r"x: expected counts, whole numbers of at least 0, got 0.5"):
            cavi.fit(LatentDirichletAllocation(Variable((3,)), topics=2), torch.full((5, 3), 0.5), progress=False)
