"""The same start, the same number of steps, the same likelihood as scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Reference

from unveil.components import Diagonal, Full, Spherical, Tied
from unveil.inference import em
from unveil.models import GaussianMixture
from unveil.variables import Batch, Variable

COVARIANCES = {"full": Full, "tied": Tied, "diag": Diagonal, "spherical": Spherical}
MEANS = np.array([[-1.0, 200.0, 0.0], [1.0, 100.0, 0.2], [2.0, 400.0, -0.1]])
DEVIATION = np.array([1.0, 80.0, 0.2])
WEIGHTS = np.array([0.5, 0.2, 0.3])


@pytest.fixture
def x() -> np.ndarray:
    random = np.random.default_rng(5)
    kind = random.choice(3, 300, p=WEIGHTS)
    scales = np.array([[1, 50, 0.1], [0.5, 60, 0.2], [1, 20, 0.1]])
    rows = random.normal(size=(300, 3))
    rows[:, 1] += 0.7 * rows[:, 0]
    return MEANS[kind] * 1.3 + rows * scales[kind]


def start(covariance: str) -> np.ndarray:
    """The first precisions, in scikit-learn's layout."""
    precision = np.diag(1 / DEVIATION**2)
    return {
        "full": np.stack([precision] * 3),
        "tied": precision,
        "diag": np.stack([1 / DEVIATION**2] * 3),
        "spherical": np.full(3, 1 / 50.0**2),
    }[covariance]


def reference(covariance: str, steps: int, x: np.ndarray) -> Reference:
    found = Reference(
        3, covariance_type=covariance, tol=0, reg_covar=0, max_iter=steps,
        weights_init=WEIGHTS, means_init=MEANS, precisions_init=start(covariance),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return found.fit(x)


def at_the_start(covariance: str, x: np.ndarray) -> GaussianMixture:
    model = GaussianMixture(Variable((3,)), components=3, covariance=COVARIANCES[covariance])
    model.initialize(Batch(torch.from_numpy(x)), torch.Generator())
    mean, deviation = x.mean(0), x.std(0)
    if covariance == "spherical":
        deviation = np.full(3, np.sqrt((deviation**2).mean()))
    with torch.no_grad():
        model.log_weights.copy_(torch.from_numpy(np.log(WEIGHTS)))
        model.family.loc.copy_(torch.from_numpy((MEANS - mean) / deviation))
        if covariance in ("full", "tied"):
            model.family.log_triangle.copy_(torch.from_numpy(np.diag(np.log(DEVIATION / deviation))))
        elif covariance == "diag":
            model.family.log_scale.copy_(torch.from_numpy(np.log(DEVIATION / deviation)))
        else:
            model.family.log_scale.fill_(float(np.log(50 / deviation[0])))
    return model


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("steps", [1, 7, 40])
def test_from_the_same_start_the_likelihood_is_scikit_learns(covariance, steps, x):
    expected = reference(covariance, steps, x)
    found = em.fit(at_the_start(covariance, x), x, starts=0, steps=steps, tolerance=0, progress=False)
    assert found.converged or len(found.bounds) == steps + 1
    assert found.bounds[-1] == pytest.approx(expected.score(x), abs=1e-6)
    if found.converged:  # a little earlier, at parameters that differ in the sixth digit
        return
    model = found.model
    assert model.weights.numpy() == pytest.approx(expected.weights_, abs=1e-6)
    assert model.family.means.numpy() == pytest.approx(expected.means_, rel=1e-5, abs=1e-6)
    assert model.responsibilities(torch.from_numpy(x)).numpy() == pytest.approx(expected.predict_proba(x), abs=1e-6)
    codes = model.encode(torch.from_numpy(x)).numpy()
    assert (codes == expected.predict(x)).all()


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_the_best_of_the_starts_is_as_good_as_scikit_learns(covariance, x):
    expected = Reference(3, covariance_type=covariance, n_init=5, random_state=0, tol=1e-6, max_iter=500).fit(x)
    model = GaussianMixture(Variable((3,)), components=3, covariance=COVARIANCES[covariance])
    found = em.fit(model, x, progress=False)
    assert found.converged
    assert found.log_likelihood.value > expected.score(x) - 1e-4
