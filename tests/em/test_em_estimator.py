"""EM behind scikit-learn's interface."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture as Theirs
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from unveil.components import Diagonal
from unveil.inference import EMEstimator
from unveil.models import BayesianGaussianMixture, BernoulliMixture, FactorAnalysis, GaussianHMM, GaussianMixture


@pytest.fixture
def x() -> np.ndarray:
    random = np.random.default_rng(0)
    return np.concatenate([random.normal(centre, 0.5, (60, 2)) for centre in (-3, 0, 3)])


def test_scores_are_those_of_scikit_learns_own_mixture(x):
    ours = EMEstimator(partial(GaussianMixture, components=3), tolerance=1e-9).fit(x)
    theirs = Theirs(3, tol=1e-10, max_iter=1000, reg_covar=0, n_init=5, random_state=0).fit(x)
    assert ours.score(x) == pytest.approx(theirs.score(x), abs=1e-6)
    np.testing.assert_allclose(ours.score_samples(x), theirs.score_samples(x), atol=1e-4)
    assert ours.fitted_.bic == pytest.approx(theirs.bic(x), rel=1e-6)
    assert ours.fitted_.aic == pytest.approx(theirs.aic(x), rel=1e-6)


def test_responsibilities_sum_to_one_and_decide_the_component(x):
    estimator = EMEstimator(partial(GaussianMixture, components=3)).fit(x)
    r = estimator.predict_proba(x)
    np.testing.assert_allclose(r.sum(1), 1)
    assert (estimator.predict(x) == r.argmax(1)).all()
    assert (estimator.fit_predict(x) == estimator.predict(x)).all()
    assert sorted(np.bincount(estimator.predict(x))) == [60, 60, 60]
    assert (estimator.transform(x)[:, 0] == estimator.predict(x)).all()


def test_a_search_finds_the_number_of_components(x):
    shuffled = np.random.default_rng(0).permutation(x)
    search = GridSearchCV(EMEstimator(partial(GaussianMixture)), {"model__components": [1, 3]}, cv=3).fit(shuffled)
    assert search.best_params_ == {"model__components": 3}
    assert search.best_estimator_.model_.family.components == 3


def test_a_clone_has_the_parameters_and_not_the_fit(x):
    estimator = EMEstimator(partial(GaussianMixture, components=2, covariance=Diagonal), starts=2, seed=3).fit(x)
    other = clone(estimator)
    assert repr(other.get_params()) == repr(estimator.get_params())
    assert other.get_params()["model__covariance"] is Diagonal
    with pytest.raises(NotFittedError):
        other.predict(x)
    assert other.set_params(model__components=4, steps=7).fit(x).model_.family.components == 4
    assert other.n_iter_ <= 7
    with pytest.raises(ValueError, match="components: expected one of model"):
        other.set_params(components=2)


def test_it_stands_in_a_pipeline_and_takes_missing_values_and_weights(x):
    holed = x.copy()
    holed[::9, 0] = np.nan
    pipeline = make_pipeline(StandardScaler(), EMEstimator(partial(GaussianMixture, components=3)))
    assert pipeline.fit(holed).score(holed) == pytest.approx(pipeline.score_samples(holed).mean())
    weight = np.r_[np.ones(60), np.zeros(120)]
    one = EMEstimator(partial(GaussianMixture, components=1)).fit(x, sample_weight=weight)
    np.testing.assert_allclose(one.model_.family.means[0].numpy(), x[:60].mean(0))


def test_factors_are_transformed_to_and_samples_have_the_datas_shape(x):
    wide = np.hstack(
        [x, x @ np.random.default_rng(1).normal(size=(2, 3)) + np.random.default_rng(2).normal(size=(180, 3))]
    )
    estimator = EMEstimator(partial(FactorAnalysis, latent_dim=2)).fit(wide)
    assert estimator.transform(wide).shape == (180, 2)
    assert estimator.sample(7).shape == (7, 5)
    with pytest.raises(AttributeError, match="FactorAnalysis has no responsibilities"):
        estimator.predict(wide)


def test_levels_and_bayesian_models_are_taken_too(x):
    binary = (x > 0).astype(float)
    assert EMEstimator(partial(BernoulliMixture, components=2), levels=2).fit(binary).score(binary) < 0
    bayesian = EMEstimator(partial(BayesianGaussianMixture, components=6)).fit(x)
    assert (bayesian.model_.weights > 0.05).sum() == 3
    log_w = bayesian.model_.trace(torch.from_numpy(x)).log_w[0].mean().item()
    assert bayesian.score(x) == pytest.approx(log_w)


def test_sequences_have_three_axes(x):
    sequences = x.reshape(9, 20, 2)
    estimator = EMEstimator(partial(GaussianHMM, states=3)).fit(sequences)
    assert estimator.predict(sequences).shape == (9, 20)
    assert estimator.transform(sequences).shape == (9, 20)


def test_whole_numbers_without_their_levels_say_what_is_lacking():
    answers = np.random.default_rng(0).integers(0, 2, (20, 3))
    with pytest.raises(ValueError, match="levels: expected the number of levels of whole numbers, such as 2, got None"):
        EMEstimator(partial(BernoulliMixture, components=2)).fit(answers)


def test_criteria_are_those_of_the_fit(x):
    sequences = x.reshape(9, 20, 2)
    for model, rows in ((partial(GaussianHMM, states=2), sequences), (partial(FactorAnalysis, latent_dim=1), x)):
        estimator = EMEstimator(model).fit(rows)
        assert estimator.bic(rows) == pytest.approx(estimator.fitted_.bic, rel=1e-9)
        assert estimator.aic(rows) == pytest.approx(estimator.fitted_.aic, rel=1e-9)


def test_scores_leave_torchs_own_generator_alone(x):
    estimator = EMEstimator(partial(GaussianMixture, components=2)).fit(x)
    before = torch.get_rng_state()
    estimator.score(x)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks():
    found = check_estimator(EMEstimator(partial(GaussianMixture, components=2), steps=20), on_fail=None, on_skip=None)
    failed = {one["check_name"] for one in found if one["status"] == "failed"}
    # starts are drawn from rows, and repeated rows are other draws than weighted ones: another maximum may be found
    assert failed <= {"check_sample_weight_equivalence_on_dense_data"}
    assert sum(one["status"] == "passed" for one in found) > 45
