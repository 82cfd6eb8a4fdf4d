"""When a climb ends, and what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.em.zoo import fitted, rows
from tests.registry import EM_MODELS
from unveil.inference import em
from unveil.inference.stopping import remaining, verdict


def geometric(rate: float, steps: int, top: float = -3.0, first: float = 1.0) -> list[float]:
    """Bounds that come closer to their top by the same share in each step."""
    return [top - first * rate**step for step in range(steps + 1)]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("steps", [2, 5, 12])
def test_what_is_left_of_a_geometric_climb_is_told_exactly(rate, steps):
    bounds = geometric(rate, steps)
    assert remaining(bounds) == pytest.approx(-3 - bounds[-1], rel=1e-6, abs=1e-13)


def test_gains_that_do_not_shrink_have_no_end_and_no_gain_is_one():
    assert remaining([0, 1, 2]) == math.inf
    assert remaining([0, 1, 3]) == math.inf
    assert remaining([0, 1, 1]) == 0
    assert remaining([0, 1, 0.9]) == 0


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.97])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-5])
def test_a_climb_ends_where_no_more_than_the_tolerance_is_left(rate, tolerance):
    bounds = geometric(rate, 2000)
    steps = next(steps for steps in range(1, 2000) if verdict(bounds[: steps + 1], tolerance, 2000))
    assert -3 - bounds[steps] < tolerance  # and for a fifth of all steps, which is soon enough:
    assert -3 - bounds[max(steps - 4, 0) * 4 // 5 - 1] >= tolerance or steps <= 6
    text = verdict(bounds[: steps + 1], tolerance, 2000).words
    assert text.startswith(f"converged after {steps} steps: about ")
    assert text.endswith(f"are left to gain, if gains go on shrinking as they do; the tolerance is {tolerance:g}")


def test_a_plateau_is_left_again_where_it_is_short_beside_the_climb():
    bounds = [*geometric(0.5, 15), *(-2.0 + 0.01 * step for step in range(10))]
    assert verdict(bounds[:15], 1e-3, 100)  # nobody could tell
    slow = [*geometric(0.9, 60), *geometric(0.5, 6)]
    assert verdict(slow, 1e-1, 100) is None


def test_one_small_gain_ends_nothing():
    plateau = [0, 1, 2, 3, 4, 5, 5 + 1e-9]
    assert remaining(plateau) < 1e-5
    assert verdict(plateau, 1e-5, 100) is None
    assert verdict([*plateau, 6, 7], 1e-5, 100) is None


def test_steps_that_gain_nothing_end_it():
    assert verdict([-5, -4, -3, -3], 0, 100).words == "converged after 3 steps: the last gained nothing"
    assert verdict([-5, -4, -3, -3 - 1e-13], 0, 100).words.startswith("converged after 3 steps")
    assert verdict([-5, -4, -4], 0, 100) is None


def test_steps_run_out():
    text = verdict([-5, -4, -3.5], 1e-5, 2).words
    assert text.startswith("not converged: stopped after 2 steps, the most allowed: the last gained 0.5 nats per ")
    assert verdict([-5, -4, -3.5], 1e-5, 3) is None
    assert verdict([-5], 1e-5, 0).words == "not converged: stopped after 0 steps, the most allowed"


@pytest.mark.parametrize("name", ["GaussianMixture", "GaussianHMM", "ProbabilisticPCA"])
def test_a_looser_tolerance_ends_earlier_and_lower_by_no_more_than_that(name):
    x = rows(EM_MODELS[name](), 200)
    start = fitted(name, x, steps=1, starts=1, seed=2).model
    found = []
    for tolerance in (0, 1e-6, 1e-2):
        model = EM_MODELS[name]()
        model.load_state_dict(start.state_dict())
        found.append(em.fit(model, x, starts=0, tolerance=tolerance, steps=5000, progress=False))
    exact, tight, loose = found
    assert all(fit.converged for fit in found)
    assert len(loose.bounds) < len(tight.bounds) < len(exact.bounds)
    assert exact.bounds[-1] - tight.bounds[-1] < 3e-6
    assert exact.bounds[-1] - loose.bounds[-1] < 3e-2
    assert np.allclose(loose.bounds, exact.bounds[: len(loose.bounds)])


def test_a_fit_that_was_cut_short_says_so():
    x = rows(EM_MODELS["GaussianMixture"](), 200)
    found = fitted("GaussianMixture", x, starts=1, steps=2)
    assert not found.converged
    assert not found.interrupted
    assert found.stopped in str(found)
    assert found.stopped.startswith("not converged: stopped after 2 steps, the most allowed: the last gained ")
    assert len(found.bounds) == 3
    assert len(found.starts) == 0
