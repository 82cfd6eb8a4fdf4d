"""A number says what it is."""

import json
import math

import pytest
import torch

from unveil.evaluation import Estimate, PerExample
from unveil.evaluation.estimate import negated
from unveil.models.term import combined


def test_prints_value_kind_and_both_errors():
    estimate = Estimate(-84.312, 0.05, 0.27, particles=5000, examples=10000, bound="lower")
    assert str(estimate) == "-84.31 nats (lower bound, 5000 particles; +-0.05 Monte Carlo, +-0.27 data)"


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(25.0134, 0.0, 0.1, 0, 100, "exact"), "25.013 nats (exact; +-0.1 data)"),
        (Estimate(-3.5, 0.0, math.nan, 0, 1, "exact"), "-3.50 nats (exact)"),
        (Estimate(2e-9, 0.0, 1.4e-6, 0, 9, "exact"), "0.000000 nats (exact; +-0.000001 data)"),
        (Estimate(2.0, 0.3, 0.2, 1, 9, "relaxed"), "2.0 nats (not a bound, 1 particle; +-0.3 Monte Carlo, +-0.2 data)"),
        (
            Estimate(1.0, 0.0004, 0.2, 9, 9, "upper", "bits"),
            "1.0000 bits (upper bound, 9 particles; +-0.0004 Monte Carlo",
        ),
        (Estimate(-0.001, 0.1, 0.1, 9, 9, "unbiased"), "0.0 nats"),
        (Estimate(-math.inf, math.nan, math.nan, 9, 9, "lower"), "-inf nats (lower bound, 9 particles)"),
    ],
)
def test_prints_what_its_errors_let_it(estimate, text):
    assert str(estimate).startswith(text)


def test_a_negative_factor_turns_a_bound_around():
    bits = Estimate(-84.0, 0.05, 0.27, 10, 10, "lower").times(-0.5, "bits")
    assert (bits.value, bits.monte_carlo_error, bits.standard_error) == (42.0, 0.025, 0.135)
    assert (bits.bound, bits.unit) == ("upper", "bits")
    assert negated("exact") == "exact"


@pytest.mark.parametrize(
    ("bounds", "sum_is"),
    [
        (("exact", "exact"), "exact"),
        (("exact", "unbiased"), "unbiased"),
        (("unbiased", "lower"), "lower"),
        (("lower", "upper"), "relaxed"),
        (("lower", "relaxed"), "relaxed"),
        (("unbiased", "consistent"), "consistent"),
    ],
)
def test_a_sum_is_what_its_worst_term_makes_it(bounds, sum_is):
    assert combined(*bounds) == sum_is


def test_average_over_examples_tells_the_two_errors_apart():
    estimate = PerExample(torch.tensor([1.0, 3.0]), torch.tensor([0.09, 0.16]), "unbiased", 7).mean()
    assert estimate.value == 2.0
    assert estimate.monte_carlo_error == pytest.approx(0.5 / 2)
    assert estimate.standard_error == pytest.approx(2**0.5 / 2**0.5)
    assert (estimate.particles, estimate.examples) == (7, 2)


def test_error_of_a_single_draw_is_that_of_the_data_which_contains_it():
    estimate = PerExample(torch.randn(50), torch.full((50,), torch.nan), "unbiased", 1).mean()
    assert estimate.monte_carlo_error == estimate.standard_error > 0


def test_json_holds_no_nan():
    plain = Estimate(-math.inf, math.nan, math.nan, 1, 1, "lower").to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == {
        "value": None,
        "monte_carlo_error": None,
        "standard_error": None,
        "bound": "lower",
    }
