"""Bayesian linear regression against normal-gamma conjugacy, quadrature over relevances, and least squares."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy import ndarray

import unveil as uv
from tests.cavi.brute import Line
from unveil.inference import cavi
from unveil.inference.cavi import Inferred
from unveil.models import BayesianLinearRegression
from unveil.variables import Batch, Variable

NOISE, RELEVANCE = (2.0, 1.5), (1.5, 0.7)
SCALE, SHIFT = np.array([1e-3, 1.0, 1e5]), np.array([50.0, 0.0, -1e7])


def lines(rows: int = 30, d: int = 3, noise: float = 0.5, seed: int = 0) -> tuple[ndarray, ndarray]:
    """Features, badly scaled, and y, far from 0."""
    random = np.random.default_rng(seed)
    u = random.normal(size=(rows, d)) @ (np.eye(d) + 0.5 * np.tri(d, k=-1))
    y = 1e3 * (u @ np.linspace(1, -2, d) + 0.7 + noise * random.normal(size=rows)) + 1e6
    return u * SCALE[:d] + SHIFT[:d], y


def batch(features: ndarray, y: ndarray) -> Batch:
    return Batch(x=torch.from_numpy(y)[:, None], context=torch.from_numpy(features))


def fitted(features: ndarray, y: ndarray, fit: dict | None = None, **options: object) -> Inferred:
    """With priors that say something, but where others are asked for."""
    options = {"noise": NOISE, "relevance": RELEVANCE, **options}
    model = BayesianLinearRegression(Variable((1,)), Variable((features.shape[1],)), **options)
    return cavi.fit(model, batch(features, y), **{"progress": False, "tolerance": 0, **(fit or {})})


def slopes(features: ndarray, y: ndarray, degree: float = 0.0) -> tuple[ndarray, float]:
    """Least squares: weights and intercept."""
    mean, deviation = features.mean(0), features.std(0)
    found = np.linalg.lstsq((features - mean) / deviation, y - y.mean(), rcond=None)[0] / deviation
    return found, y.mean() - found @ mean


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("precision", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("noise", [NOISE, (0.3, 4.0)])
def test_with_known_relevance_the_bound_is_the_evidence(d, precision, noise):
    features, y = lines(d=d)
    found = fitted(features, y, precision=precision, noise=noise)
    assert found.evidence.value == pytest.approx(Line(features, y, noise).evidence(precision), rel=1e-10)


@pytest.mark.parametrize("precision", [0.01, 30.0])
def test_with_known_relevance_the_predictive_is_the_exact_conditional(precision):
    features, y = lines()
    model, exact = fitted(features, y, precision=precision).model, Line(features, y, NOISE)
    new, new_y = lines(5, seed=1)
    log_p = model.predict(torch.from_numpy(new)).log_prob(torch.from_numpy(new_y)[:, None]).detach().numpy()
    expected = [exact.predictive(row, value, precision) for row, value in zip(new, new_y, strict=True)]
    assert log_p == pytest.approx(expected, abs=1e-6)


def test_an_evaluation_is_of_the_predictive_and_says_exact():
    features, y = lines()
    model = fitted(features, y, precision=1.0).model
    exact = [Line(features, y, NOISE).predictive(row, value, 1.0) for row, value in zip(features, y, strict=True)]
    found = uv.evaluate(model, batch(features, y), progress=False)
    assert found.log_likelihood.bound == "exact"
    assert found.log_likelihood.value == pytest.approx(np.mean(exact), abs=1e-8)


def test_samples_are_of_the_predictive(generator):
    features, y = lines()
    model = fitted(features, y, precision=1.0).model
    context = torch.from_numpy(features[:4])
    drawn = model.sample(8000, context=context, generator=generator)
    assert drawn.shape == (8000, 4, 1)
    t = model.predict(context)
    error = (t.variance / 8000).sqrt()
    assert ((drawn.mean(0) - t.mean).abs() < 4.5 * error).all()
    assert (drawn.var(0) / t.variance).detach().numpy() == pytest.approx(np.ones((4, 1)), abs=0.15)


@pytest.mark.parametrize("seed", range(3))
def test_with_shared_relevance_the_bound_lies_just_below_the_integral_over_it(seed):
    features, y = lines(12, 3, seed=seed)
    found = fitted(features, y, ard=False)
    log_a = np.linspace(-12, 6, 400)
    exact = Line(features, y, NOISE).evidence_of_any(RELEVANCE, log_a, each=False)
    assert exact - 0.5 < found.evidence.value < exact - 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_with_a_relevance_of_each_the_bound_lies_just_below_the_integral_over_them(seed):
    features, y = lines(8, 1, seed=seed)
    found = fitted(features, y)
    exact = Line(features, y, NOISE).evidence_of_any(RELEVANCE, np.linspace(-12, 5, 40), each=True)
    assert exact - 0.7 < found.evidence.value < exact - 1e-3


def test_features_that_do_not_help_are_found():
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 8)) * np.logspace(-3, 3, 8)
    weights = np.array([3.0, 0, -2.0, 0, 0, 0, 0, 0]) / np.logspace(-3, 3, 8)
    y = features @ weights + 4 + random.normal(size=200)
    found = BayesianLinearRegression(Variable((1,)), Variable((8,)))
    cavi.fit(found, batch(features, y), progress=False)
    moved = found.weights.numpy() * features.std(0)
    least = slopes(features, y)[0] * features.std(0)
    assert moved[[0, 2]] == pytest.approx([3, -2], abs=0.2)
    useless = [1, 3, 4, 5, 6, 7]
    assert (np.abs(moved[useless]) < 0.7 * np.abs(least[useless])).all()
    shape, rate = found.relevance.detach().unbind(-1)
    relevances = (shape / rate).numpy()[:-1]
    assert relevances[useless].min() > 20 * relevances[[0, 2]].max()


def test_with_a_relevance_of_each_the_weights_are_those_of_the_loop_written_out():
    features, y = lines(40, 3, noise=3.0)
    exact = Line(features, y, NOISE)
    a = np.full(4, RELEVANCE[0] / RELEVANCE[1])
    for _ in range(500):
        covariance = np.linalg.inv(np.diag(a) + exact.v.T @ exact.v)
        m = covariance @ exact.v.T @ exact.y
        error = ((exact.y - exact.v @ m) ** 2).sum() + (a * m**2).sum()
        t = (NOISE[0] + 20) / (NOISE[1] + 0.5 * error)
        a = (RELEVANCE[0] + 0.5) / (RELEVANCE[1] + 0.5 * (t * m**2 + np.diag(covariance)))
    weights = fitted(features, y).model.weights.numpy()
    assert weights * exact.deviation / exact.y_deviation == pytest.approx(m[:-1], abs=1e-6)


def test_weights_and_intercept_are_those_of_least_squares_where_the_prior_is_vague():
    features, y = lines(60)
    model = fitted(features, y, precision=1e-9).model
    weights, intercept = slopes(features, y)
    assert model.weights.numpy() * SCALE == pytest.approx(weights * SCALE, rel=1e-6)
    assert model.intercept.item() == pytest.approx(intercept, rel=1e-6)
    mean = model.predict(torch.from_numpy(features)).mean.squeeze(-1).detach().numpy()
    assert mean == pytest.approx(features @ weights + intercept, rel=1e-8)


@pytest.mark.parametrize("ard", [True, False])
def test_units_of_features_and_of_y_do_not_matter(ard):
    features, y = lines()
    one = fitted(features, y, ard=ard)
    scale, shift = np.array([1e7, 1e-4, 0.1]), np.array([1e7, -3.0, 1.0])
    other = fitted(features * scale + shift, y * 1e-5 - 30, ard=ard)
    steps = min(len(one.bounds), len(other.bounds))
    assert other.bounds[:steps] == pytest.approx(np.add(one.bounds[:steps], 5 * np.log(10)), abs=1e-6)
    moved = other.model.weights.numpy() * scale / 1e-5
    assert moved * SCALE == pytest.approx(one.model.weights.numpy() * SCALE, rel=1e-5, abs=1e-3)


@pytest.mark.parametrize("ard", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_bound_never_falls_and_rises_at_first(ard, seed):
    features, y = lines(20, seed=seed)
    weight = np.random.default_rng(seed).random(20) * 2
    for options in ({}, {"weight": weight}, {"batch_size": 6}):
        bounds = fitted(features, y, {"steps": 60, **options}, ard=ard, noise=(1e-3, 1e-3)).bounds
        assert bounds[2] > bounds[0]
        for before, after in pairwise(bounds):
            assert after >= before - 1e-12 * (1 + abs(before))


def test_bounds_of_more_features_than_rows_are_finite_and_climb():
    random = np.random.default_rng(0)
    features, y = random.normal(size=(6, 15)), random.normal(size=6)
    bounds = fitted(features, y, noise=(1e-3, 1e-3), relevance=(1e-3, 1e-3), fit={"steps": 50}).bounds
    assert np.isfinite(bounds).all()
    for before, after in pairwise(bounds):
        assert after >= before - 1e-12 * (1 + abs(before))


def test_whole_weights_are_rows_that_come_so_often():
    features, y = lines()
    times = np.arange(30) % 3
    model = fitted(features, y, {"steps": 2}).model
    again = fitted(features, y, {"steps": 2}).model
    one = cavi.fit(model, batch(features, y), weight=times, starts=0, steps=5, tolerance=0, progress=False)
    repeated = batch(features.repeat(times, 0), y.repeat(times))
    other = cavi.fit(again, repeated, starts=0, steps=5, tolerance=0, progress=False)
    assert one.bounds == pytest.approx(other.bounds, abs=1e-10)
    assert one.bounds[-1] != pytest.approx(fitted(features, y, {"steps": 7}).bounds[-1], abs=1e-3)


def test_rows_of_weight_zero_are_not_there():
    features, y = lines()
    weight = (np.arange(30) < 20).astype(float)
    features[20:] += 10 * SCALE
    one = fitted(features, y, {"weight": weight}, precision=1.0)
    assert one.evidence.value == pytest.approx(fitted(features[:20], y[:20], precision=1.0).evidence.value, rel=1e-6)


class TestRefusals:
    def test_of_no_features(self):
        with pytest.raises(ValueError, match="context: expected the features"):
            BayesianLinearRegression(Variable((1,)))
        features, y = lines()
        model = fitted(features, y).model
        with pytest.raises(ValueError, match="context: the model is conditioned on"):
            cavi.fit(model, torch.from_numpy(y)[:, None], progress=False)

    def test_of_several_numbers_to_predict_and_of_levels(self):
        with pytest.raises(ValueError, match="expected one real number to predict"):
            BayesianLinearRegression(Variable((2,)), Variable((3,)))
        with pytest.raises(ValueError, match="expects real numbers"):
            BayesianLinearRegression(Variable((1,), levels=2), Variable((3,)))

    @pytest.mark.parametrize("precision", [0.0, -1.0, float("nan")])
    def test_of_a_precision_that_is_none(self, precision):
        with pytest.raises(ValueError, match="precision: expected a positive number"):
            BayesianLinearRegression(Variable((1,)), Variable((3,)), precision=precision)

    @pytest.mark.parametrize("argument", ["noise", "relevance"])
    def test_of_priors_that_are_none(self, argument):
        with pytest.raises(ValueError, match=argument):
            BayesianLinearRegression(Variable((1,)), Variable((3,)), **{argument: (-1.0, 1.0)})

    def test_of_what_is_missing(self):
        features, y = lines()
        model = fitted(features, y).model
        for holed in ((features, np.where(y > y.mean(), np.nan, y)), (np.where(features > 50, np.nan, features), y)):
            with pytest.raises(ValueError, match=r"missing|NaN"):
                cavi.fit(model, batch(*holed), progress=False)
