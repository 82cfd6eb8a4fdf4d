"""Bayesian mixtures of Gaussians against exact evidences, enumeration and scikit-learn."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy import ndarray
from scipy import stats
from scipy.special import digamma, logsumexp
from sklearn.mixture import BayesianGaussianMixture as Reference

import unveil as uv
from tests.agreement import assert_mean
from tests.cavi.brute import (
    dirichlet_counts,
    mixture_bound,
    mixture_evidence,
    normal_wishart_by_prediction,
    prior_scatter,
    stick_counts,
)
from unveil.components import Dirichlet, StickBreaking
from unveil.inference import cavi
from unveil.inference.cavi import Inferred
from unveil.models import BayesianGaussianMixture, DirichletProcessMixture, FromPosterior
from unveil.models.alternating import Some, stack
from unveil.variables import Batch, Variable

WEIGHTINGS = {"Dirichlet": (Dirichlet, dirichlet_counts), "StickBreaking": (StickBreaking, stick_counts)}
EVERY = pytest.mark.parametrize("name", WEIGHTINGS)
SCALE, SHIFT = np.array([1e-3, 1.0, 1e5]), np.array([50.0, 0.0, -1e7])


def clusters(rows: int = 150, kinds: int = 3, distance: float = 6.0, seed: int = 0) -> ndarray:
    random = np.random.default_rng(seed)
    kind = random.choice(kinds, rows, p=np.arange(kinds, 0, -1) / (kinds * (kinds + 1) / 2))
    centres = distance * np.stack([np.cos(2 * np.pi * kind / kinds), np.sin(2 * np.pi * kind / kinds)], 1)
    return centres + random.normal(size=(rows, 2)) @ np.array([[1.0, 0.4], [0.0, 0.8]])


def mixture(d: int = 2, components: int = 6, weighting: str = "Dirichlet", **options: float) -> BayesianGaussianMixture:
    return BayesianGaussianMixture(Variable((d,)), None, components, WEIGHTINGS[weighting][0], **options)


def fitted(model: BayesianGaussianMixture, x: ndarray, **options: object) -> Inferred:
    return cavi.fit(model, torch.from_numpy(x), **{"progress": False, "starts": 2, **options})


@EVERY
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize(("strength", "freedom"), [(1.0, 0.0), (0.01, 3.0), (5.0, -0.5)])
def test_with_one_component_the_bound_is_the_evidence(name, d, strength, freedom):
    random = np.random.default_rng(d)
    x = random.standard_t(4, size=(25, d)) @ (np.eye(d) + 0.5 * np.tri(d, k=-1)) * SCALE[:d] + SHIFT[:d]
    found = fitted(mixture(d, 1, name, strength=strength, freedom=freedom), x)
    u, unit = (x - x.mean(0)) / SCALE[:d], np.outer(SCALE[:d], SCALE[:d])
    exact = normal_wishart_by_prediction(u, np.zeros(d), strength, d + freedom, prior_scatter(x) / unit)
    assert found.evidence.value == pytest.approx(exact - 25 * np.log(SCALE[:d]).sum(), rel=1e-8)
    assert found.evidence.bound == "lower"
    assert found.evidence.examples == 25


@EVERY
@pytest.mark.parametrize("components", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_the_bound_lies_below_the_evidence_by_enumeration_of_all_assignments(name, components, seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(6, 1)) + 4 * (np.arange(6)[:, None] % 2)
    weighting, log_counts = WEIGHTINGS[name]
    log_shares = partial(log_counts, concentration=0.8)
    model = BayesianGaussianMixture(Variable((1,)), None, components, partial(weighting, concentration=0.8), 0.5, 2.0)
    found = fitted(model, x, tolerance=0, starts=4)
    exact = mixture_evidence(x, components, log_shares, 0.5, 3.0)
    assert exact - 3.5 < found.evidence.value < exact - 1e-3
    for before, after in pairwise(found.bounds):
        assert after >= before - 1e-12 * (1 + abs(before))


@EVERY
def test_the_bound_is_that_of_the_responsibilities_with_all_else_integrated_out(name):
    x = clusters(40)
    found = fitted(mixture(2, 4, name), x, tolerance=0)
    r = found.model.responsibilities(torch.from_numpy(x)).numpy()
    assert r.sum(1) == pytest.approx(np.ones(40), abs=1e-12)
    concentration = 0.25 if name == "Dirichlet" else 1.0
    exact = mixture_bound(x, r, partial(WEIGHTINGS[name][1], concentration=concentration), 1.0, 2.0)
    assert found.evidence.value == pytest.approx(exact, abs=1e-7)


@EVERY
@pytest.mark.parametrize("seed", range(3))
def test_the_bound_never_falls(name, seed):
    x = clusters(120, 3, 2.5, seed)
    weight = np.random.default_rng(seed).random(120) * 2
    for options in ({}, {"weight": weight}, {"batch_size": 25}):
        found = fitted(mixture(2, 5, name), x, starts=1, seed=seed, steps=60, tolerance=0, **options)
        assert len(found.bounds) > 10
        assert found.bounds[-1] > found.bounds[0] + 1e-3
        for before, after in pairwise(found.bounds):
            assert after >= before - 1e-12 * (1 + abs(before))


@pytest.mark.parametrize("seed", range(2))
def test_the_bound_of_a_process_that_expects_many_components_never_falls(seed):
    model = DirichletProcessMixture(Variable((2,)), components=2, concentration=20.0)
    fitted(model, clusters(60, 2, 1.0, seed), starts=1, seed=seed, tolerance=0)


@pytest.mark.parametrize(
    "name",
    [
        "Dirichlet",
        "StickBreaking",
    ],
)
def test_a_pass_of_minibatches_goes_further_than_a_step_where_data_moved(name):
    angle = 2 * np.pi * (np.arange(300) % 3) / 3
    x = np.random.default_rng(0).normal(size=(300, 2)) + 4 * np.stack([np.cos(angle), np.sin(angle)], 1)
    model, again = fitted(mixture(2, 3, name), x, starts=1, steps=20).model, mixture(2, 3, name)
    again.load_state_dict(model.state_dict())
    whole = fitted(model, x + 2, starts=0, steps=1, tolerance=0).bounds
    found = fitted(again, x + 2, starts=0, steps=1, tolerance=0, batch_size=20).bounds
    assert found[1] > whole[1] + 0.1


@EVERY
def test_whole_weights_are_rows_that_come_so_often(name):
    x = clusters(40)
    times = np.arange(40) % 3
    model, again = fitted(mixture(2, 3, name), x, steps=25).model, mixture(2, 3, name)
    again.load_state_dict(model.state_dict())
    one = fitted(model, x, weight=times, starts=0, steps=6, tolerance=0)
    other = fitted(again, x.repeat(times, 0), starts=0, steps=6, tolerance=0)
    assert one.bounds == pytest.approx(other.bounds, abs=1e-10)
    assert one.bounds[-1] > one.bounds[0]
    assert one.evidence.value == pytest.approx(one.bounds[-1] * times.sum(), rel=1e-12)


@torch.no_grad()
def test_a_start_counts_rows_by_their_weights():
    x, weight = torch.from_numpy(clusters(40)), torch.from_numpy(np.random.default_rng(0).random(40))
    model = mixture(2, 3)
    model.initialize(Batch(x=x), torch.Generator())
    stack(model, 2)
    model.start(Some(x, weight), torch.Generator().manual_seed(0))
    assert model.family.beta.sum(-1).numpy() == pytest.approx(np.full(2, weight.sum() + 3), rel=1e-12)
    assert model.weighting.alpha.sum(-1).numpy() == pytest.approx(np.full(2, weight.sum() + 1), rel=1e-12)


def test_rows_of_weight_zero_are_not_there():
    x, weight = clusters(40), (np.arange(40) < 30).astype(float)
    x[30:] *= 100
    one, other = fitted(mixture(2, 1), x, weight=weight), fitted(mixture(2, 1), x[:30])
    assert one.evidence.value == pytest.approx(other.evidence.value, rel=1e-6)


@EVERY
def test_shifting_and_stretching_the_data_shifts_and_stretches_the_model(name):
    x = clusters(60)
    scale, shift = np.array([1e-4, 1e6]), np.array([3.0, -1e8])
    one = fitted(mixture(2, 4, name), x, steps=40, tolerance=0)
    other = fitted(mixture(2, 4, name), x * scale + shift, steps=40, tolerance=0)
    assert np.add(other.bounds, np.log(scale).sum()) == pytest.approx(one.bounds, abs=1e-6)
    means = (other.model.family.means.numpy() - shift) / scale
    assert means == pytest.approx(one.model.family.means.numpy(), abs=1e-4)


class TestAgainstScikitLearn:
    """Of the same priors; what is not used is compared with nothing, since q of it is the prior in both."""

    @pytest.fixture(params=["dirichlet_distribution", "dirichlet_process"])
    def pair(self, request: pytest.FixtureRequest) -> tuple[Inferred, Reference, ndarray]:
        x = clusters(200, 3, 5.0, 1) * [1.0, 30.0] + [0.0, 700.0]
        process = request.param == "dirichlet_process"
        options = {"weight_concentration_prior_type": request.param, "weight_concentration_prior": 0.5}
        reference = Reference(
            n_components=3, reg_covar=0, tol=1e-10, max_iter=2000, random_state=0, mean_precision_prior=0.7,
            degrees_of_freedom_prior=3.5, covariance_prior=prior_scatter(x), **options,
        ).fit(x)  # fmt: skip
        weighting = partial(StickBreaking if process else Dirichlet, concentration=0.5)
        model = BayesianGaussianMixture(Variable((2,)), None, 3, weighting, 0.7, 1.5)
        return fitted(model, x, starts=4, tolerance=0), reference, x

    def test_weights_means_and_covariances_are_its(self, pair):
        found, reference, _ = pair
        model = found.model
        mine, its = model.weights.numpy().argsort(), reference.weights_.argsort()
        if isinstance(model.weighting, Dirichlet):  # of a process it takes the last stick for another that breaks
            assert model.weights.numpy()[mine] == pytest.approx(reference.weights_[its], abs=1e-7)
        tight = {"rel": 1e-6 if isinstance(model.weighting, Dirichlet) else 1e-3}
        assert model.family.means.numpy()[mine] == pytest.approx(reference.means_[its], **tight, abs=1e-4)
        assert model.family.covariances.numpy()[mine] == pytest.approx(reference.covariances_[its], **tight, abs=1e-4)
        assert model.family.nu.detach().numpy()[mine] == pytest.approx(reference.degrees_of_freedom_[its], **tight)
        assert model.family.beta.detach().numpy()[mine] == pytest.approx(reference.mean_precision_[its], **tight)

    def test_responsibilities_are_its(self, pair):
        found, reference, x = pair
        mine, its = found.model.weights.numpy().argsort(), reference.weights_.argsort()
        r = found.model.responsibilities(torch.from_numpy(x)).numpy()
        tolerance = 1e-6 if isinstance(found.model.weighting, Dirichlet) else 2e-2
        assert r[:, mine] == pytest.approx(reference.predict_proba(x)[:, its], abs=tolerance)


@pytest.mark.parametrize("make", [BayesianGaussianMixture, DirichletProcessMixture])
def test_components_that_are_not_needed_empty_out(make):
    x = clusters(300, 3, 9.0)
    model = fitted(make(Variable((2,)), components=8), x, starts=4).model
    counts = model.responsibilities(torch.from_numpy(x)).sum(0).sort(descending=True).values
    sector = ((np.arctan2(x[:, 1], x[:, 0]) + np.pi / 3) // (2 * np.pi / 3)).astype(int) % 3
    assert counts[:3].numpy() == pytest.approx(np.sort(np.bincount(sector))[::-1], abs=0.5)
    assert (counts[3:] < 0.5).all()
    assert (model.weights.sort().values[:5] < 0.01).all()


def test_components_of_a_process_are_sorted_by_size():
    model = fitted(DirichletProcessMixture(Variable((2,)), components=5), clusters(), starts=3).model
    counts = model.responsibilities(torch.from_numpy(clusters())).sum(0)
    assert (counts.diff() <= 1e-6).all()


@EVERY
def test_the_predictive_density_is_the_mixture_of_student_ts(name, generator):
    x = clusters(60)
    model = fitted(mixture(2, 3, name), x).model
    w = np.linalg.inv(
        [row.numpy() * nu for row, nu in zip(model.family.covariances, model.family.nu.tolist(), strict=True)]
    )
    new, terms = clusters(7, seed=9) * 2, []
    for k, (beta, nu) in enumerate(zip(model.family.beta.tolist(), model.family.nu.tolist(), strict=True)):
        shape = (beta + 1) / (beta * (nu - 1)) * np.linalg.inv(w[k])
        log_t = stats.multivariate_t(model.family.means[k].numpy(), shape, nu - 1).logpdf(new)
        terms.append(np.log(model.weights[k].item()) + log_t)
    exact = logsumexp(terms, axis=0)
    trace = model.trace(torch.from_numpy(new), FromPosterior(4, generator))
    assert trace.log_w.detach().numpy() == pytest.approx(np.broadcast_to(exact, (4, 7)), abs=1e-8)
    found = uv.evaluate(model, torch.from_numpy(new), progress=False)
    assert (found.elbo.bound, found.log_likelihood.bound) == ("exact", "exact")
    assert found.log_likelihood.value == pytest.approx(exact.mean(), abs=1e-8)
    sample = model.sample(20_000, generator=generator)
    assert sample.shape == (20_000, 2)
    assert_mean(sample, model.weights @ model.family.means)


@EVERY
def test_responsibilities_are_by_expected_logarithms(name):
    x = clusters(60)
    model = fitted(mixture(2, 3, name), x).model
    if name == "Dirichlet":
        alpha = model.weighting.alpha.detach().numpy()
        log_pi = digamma(alpha) - digamma(alpha.sum())
    else:
        a, b = model.weighting.sticks.detach().numpy().T
        taken, left = digamma(a) - digamma(a + b), digamma(b) - digamma(a + b)
        log_pi = np.append(taken, 0) + np.append(0, left.cumsum())
    log_rho = []
    for k, (beta, nu) in enumerate(zip(model.family.beta.tolist(), model.family.nu.tolist(), strict=True)):
        w = np.linalg.inv(model.family.covariances[k].numpy()) / nu
        error = x - model.family.means[k].numpy()
        log_det = digamma(nu / 2) + digamma((nu - 1) / 2) + 2 * np.log(2) + np.linalg.slogdet(w)[1]
        square = 2 / beta + nu * np.einsum("ni,ij,nj->n", error, w, error)
        log_rho.append(log_pi[k] + 0.5 * (log_det - 2 * np.log(2 * np.pi) - square))
    exact = np.exp(log_rho - logsumexp(log_rho, axis=0)).T
    assert model.responsibilities(torch.from_numpy(x)).numpy() == pytest.approx(exact, abs=1e-9)


class TestMissingEntries:
    """They are refused, with what to use in place."""

    @pytest.fixture
    def holed(self) -> torch.Tensor:
        x = torch.from_numpy(clusters(30))
        x[3, 1] = torch.nan
        return x

    def test_by_a_fit(self, holed):
        with pytest.raises(ValueError, match="can't marginalise missing entries; use GaussianMixture"):
            cavi.fit(mixture(), holed, progress=False)

    def test_by_responsibilities_where_they_are_nan(self, holed):
        with pytest.raises(ValueError, match="can't marginalise missing"):
            fitted(mixture(), clusters(30)).model.responsibilities(holed)

    def test_by_responsibilities_where_a_mask_says_so(self, holed):
        model = fitted(mixture(), clusters(30)).model
        with pytest.raises(ValueError, match="missing"):
            model.responsibilities(Batch(x=holed.nan_to_num(), mask=~holed.isnan()))

    def test_and_leave_the_model_as_it_was(self, holed):
        model = fitted(mixture(), clusters(30)).model
        before = {key: value.clone() for key, value in model.state_dict().items()}
        with pytest.raises(ValueError, match="missing"):
            cavi.fit(model, holed, progress=False)
        assert all(value.shape == before[key].shape for key, value in model.state_dict().items())


@pytest.mark.parametrize("make", [BayesianGaussianMixture, DirichletProcessMixture])
def test_no_components_are_refused(make):
    with pytest.raises(ValueError, match="components: expected at least 1"):
        make(Variable((2,)), components=0)


def test_a_context_is_refused():
    with pytest.raises(ValueError, match="conditioned on nothing"):
        BayesianGaussianMixture(Variable((2,)), Variable((1,)))


def test_there_may_be_more_components_than_rows():
    x = np.random.default_rng(0).normal(size=(5, 2))
    found = cavi.fit(BayesianGaussianMixture(Variable((2,)), components=10), x, progress=False)
    assert np.isfinite(found.evidence.value)
    torch.testing.assert_close(
        found.model.log_prob(torch.from_numpy(x)), found.model.trace(torch.from_numpy(x)).log_w[0]
    )
