"""Several starts, large data in small steps, and an end at any time."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.em.zoo import MIXTURES, batch, fitted, holed, rows, state
from tests.registry import EM_MODELS
from unveil.components import Diagonal, seeding
from unveil.inference import em
from unveil.inference.climbing import Trouble
from unveil.models import GaussianMixture
from unveil.variables import Variable

EVERY = pytest.mark.parametrize("name", EM_MODELS)
SOME = pytest.mark.parametrize("name", ["GaussianMixture", "CategoricalHMM", "FactorAnalysis"])


def clusters(count: int = 200, kinds: int = 5, seed: int = 0) -> Tensor:
    """Of a likelihood with many local maxima."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(kinds, 2)) * 6
    return torch.from_numpy(centres[random.integers(0, kinds, count)] + random.normal(size=(count, 2)))


def mixture(components: int = 5) -> GaussianMixture:
    return GaussianMixture(Variable((2,)), components=components)


def test_the_best_of_the_starts_goes_on():
    found = em.fit(mixture(), clusters(), starts=8, tolerance=0, steps=200, progress=False)
    alive = (~found.starts.isnan()).sum(1).tolist()
    assert alive == [8] * 20 + [4] * 40 + [2] * 80  # rounds are the longer, the fewer are left
    for last, kept in ((19, 4), (59, 2)):
        line, after = found.starts[last], found.starts[last + 1]
        best = line.nan_to_num(nan=-torch.inf).topk(kept).indices.sort().values
        assert (~after.isnan()).nonzero().flatten().tolist() == best.tolist()
    best = found.starts[-1].nan_to_num(nan=-torch.inf).argmax()
    assert found.bounds[:140] == pytest.approx(found.starts[:, best].tolist(), abs=1e-12)
    assert "the best of 8 starts, compared on 200 rows" in str(found)


def test_starts_end_at_different_maxima_and_more_of_them_are_better():
    alone = [em.fit(mixture(), clusters(), starts=1, seed=seed, progress=False).bounds[-1] for seed in range(6)]
    assert max(alone) > min(alone) + 0.01
    assert em.fit(mixture(), clusters(), starts=16, progress=False).bounds[-1] > min(alone) + 0.01


@EVERY
@pytest.mark.parametrize("missing", [False, True], ids=["whole", "holed"])
def test_every_start_climbs(name, missing):
    x = rows(EM_MODELS[name]())
    found = fitted(name, holed(x) if missing else x, starts=5, steps=40)
    assert (~found.starts.isnan()).sum(1).tolist() == [5] * 20 + [3] * 20  # of 33, but 40 steps are enough
    for before, after in pairwise(found.starts):
        gone = after.isnan()
        assert (after[~gone] >= before[~gone] - 1e-10 * (1 + before[~gone].abs())).all()


def with_a_point() -> Tensor:
    """Two clusters, and twelve rows that are the same."""
    random = np.random.default_rng(0)
    sides = [random.normal([side, 0], 1, (30, 2)) for side in (-4, 4)]
    return torch.from_numpy(np.concatenate([*sides, np.zeros((12, 2))]))


def test_a_start_that_collapsed_is_passed_over_though_its_bound_is_higher(monkeypatch):
    model, x = mixture(2), with_a_point()
    begin = model.start

    def start(*arguments: object) -> None:
        begin(*arguments)
        model.family.loc[0] = ((torch.zeros(2) - model.family.units.mean) / model.family.units.deviation).expand(2, -1)
        model.family.log_triangle[0, 0] = torch.eye(2) * np.log(1e-3)
        model.family.log_triangle[0, 1] = 0

    monkeypatch.setattr(model, "start", start)
    found = em.fit(model, x, starts=2, progress=False)
    assert found.starts[9, 0] > found.starts[9, 1] + 0.5
    assert found.bounds[9] == pytest.approx(found.starts[9, 1].item(), abs=1e-12)
    assert not model.collapsed
    assert not found.troubles


def test_a_fit_that_ends_collapsed_says_so():
    with pytest.warns(UserWarning, match=r"component \d collapsed: some variance is held at its floor"):
        found = em.fit(mixture(3), with_a_point(), starts=4, progress=False)
    assert found.model.collapsed
    assert [trouble in str(found) for trouble in found.troubles] == [True]


def test_components_that_die_are_said():
    model = GaussianMixture(Variable((2,)), components=3, covariance=Diagonal)
    x = clusters(100, 1)
    em.fit(model, x, starts=1, steps=1, progress=False)
    with torch.no_grad():
        model.family.loc[1] = 50
    with pytest.warns(UserWarning, match="component 1 died: it explains less than one row"):
        found = em.fit(model, x, starts=0, steps=3, progress=False)
    assert model.weights[1] < 0.01
    assert "component 1 died" in str(found)


def test_the_largest_number_of_steps_counts_those_of_the_comparison():
    found = em.fit(mixture(), clusters(), starts=4, steps=25, tolerance=0, progress=False)
    assert len(found.bounds) - 1 == 25
    assert found.stopped.startswith("not converged: stopped after 25 steps, the most allowed")


def test_no_more_steps_are_made_than_were_asked_for():
    found = em.fit(mixture(), clusters(), starts=4, steps=3, tolerance=0, progress=False)
    assert len(found.bounds) - 1 == 3


def test_where_data_is_large_starts_are_compared_on_some_of_it():
    x = clusters(20_100)
    model = GaussianMixture(Variable((2,)), components=2, covariance=Diagonal)
    found = em.fit(model, x, starts=2, steps=3, tolerance=0, progress=False)
    assert found.compared_on == 20_000
    assert found.log_likelihood.examples == 20_100
    assert len(found.bounds) == 4  # of all rows: those of the comparison are of others
    assert found.bounds[-1] == pytest.approx(model.log_prob(x).mean().item(), abs=1e-10)


def test_weights_reach_the_comparison_of_starts():
    x = torch.cat([clusters(60), torch.randn(60, 2) * 300])
    weight = (torch.arange(120) < 60).double()
    found = em.fit(mixture(3), x, weight=weight, starts=4, progress=False)
    alone = em.fit(mixture(3), x[:60], starts=4, progress=False)
    assert found.bounds[-1] > alone.bounds[-1] - 0.5
    assert found.model.family.means.abs().max() < 40


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("missing", [False, True], ids=["whole", "holed"])
def test_stepwise_em_reaches_the_maximum_of_em_and_never_falls(name, missing):
    x = rows(EM_MODELS[name](), 300)
    x = holed(x) if missing else x
    start = fitted(name, x, steps=1).model
    again = EM_MODELS[name]()
    again.load_state_dict(start.state_dict())
    whole = em.fit(start, x, starts=0, steps=300, tolerance=1e-6, progress=False)
    found = em.fit(again, x, starts=0, steps=300, tolerance=1e-6, batch_size=60, progress=False)
    for before, after in pairwise(found.bounds):
        assert after >= before - 1e-10 * (1 + abs(before))
    assert found.bounds[-1] == pytest.approx(whole.bounds[-1], abs=5e-3)
    assert found.bounds[-1] == pytest.approx(found.model.log_prob(batch(x)).mean().item(), abs=1e-9)


def test_stepwise_em_needs_fewer_passes_where_data_is_redundant():
    x = clusters(4000, 3)
    start = mixture(3)
    em.fit(start, x[:100], starts=1, steps=1, progress=False)
    again = mixture(3)
    again.load_state_dict(start.state_dict())
    whole = em.fit(start, x, starts=0, steps=3, tolerance=0, progress=False)
    found = em.fit(again, x, starts=0, steps=3, tolerance=0, batch_size=100, progress=False)
    assert found.bounds[1] > whole.bounds[2]


def test_minibatches_count_by_their_weights():
    x = torch.cat([clusters(200, 2), torch.randn(200, 2) * 300])
    weight = (torch.arange(400) < 200).double()
    found = em.fit(mixture(2), x, weight=weight, starts=1, steps=20, batch_size=50, progress=False)
    alone = em.fit(mixture(2), x[:200], starts=1, steps=20, batch_size=50, progress=False)
    assert found.bounds[-1] == pytest.approx(alone.bounds[-1], abs=0.05)


def test_minibatches_stand_for_all_rows(monkeypatch):
    x, seen = clusters(200, 3), []
    model = mixture(3)
    em.fit(model, x, starts=1, steps=2, progress=False)
    maximize = model.maximize

    def watched(statistics):
        seen.append(statistics["counts"].sum().item())
        maximize(statistics)

    monkeypatch.setattr(model, "maximize", watched)
    em.fit(model, x, weight=torch.full((200,), 2.0), starts=0, steps=2, batch_size=30, progress=False)
    assert len(seen) >= 2 * 7
    assert seen == pytest.approx([400.0] * len(seen))


def test_kmeans_begins_with_odds_of_squared_distances(monkeypatch):
    monkeypatch.setattr(seeding, "LLOYD", 0)
    points, weight = torch.tensor([[0.0, 1.0, 4.0]]).double(), torch.tensor([1e9, 1.0, 1.0]).double()
    r = seeding.first_guess(points, 8000, 2, weight, torch.Generator().manual_seed(0))[:4000]
    far = (r[:, :, 0] == r[:, :, 1]).all(1).double().mean().item()  # the second centre is the point at 4
    assert far == pytest.approx(16 / 17, abs=4 * math.sqrt(16) / 17 / math.sqrt(4000))


class Interrupt:
    """Ctrl-C in the middle of work: once something was called so many times."""

    def __init__(self, called, times: int) -> None:
        self.called, self.left = called, times

    def __call__(self, *arguments, **options):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.called(*arguments, **options)


def interrupted(model, x: Tensor, **options: object):
    """A fit that Ctrl-C ends; pytest itself would stop at a KeyboardInterrupt."""
    try:
        return em.fit(model, x, **options)
    except KeyboardInterrupt:
        pytest.fail("Ctrl-C was not caught")


def assert_left_at_the_last_bound(found, x: Tensor) -> None:
    assert found.interrupted
    assert not found.converged
    assert "interrupted after" in found.stopped
    assert found.model.log_prob(batch(x)).mean().item() == pytest.approx(found.bounds[-1], abs=1e-10)
    assert found.log_likelihood.value == found.bounds[-1]
    assert not found.model.training


@EVERY
@pytest.mark.parametrize("batch_size", [None, 20])
@pytest.mark.parametrize("work", ["maximize", "expect", "first look"])
def test_control_c_leaves_the_parameters_of_the_last_bound(name, batch_size, work, monkeypatch):
    x = rows(EM_MODELS[name]())
    model = fitted(name, x, steps=1).model
    times = {"maximize": 2, "expect": 3, "first look": 0}[work]
    work = "expect" if work == "first look" else work
    calls = Interrupt(getattr(model, work), times)
    monkeypatch.setattr(model, work, lambda *given: calls(*given) if calls.left >= 0 else calls.called(*given))
    found = interrupted(model, x, starts=0, steps=50, tolerance=0, batch_size=batch_size, progress=False)
    monkeypatch.undo()
    assert_left_at_the_last_bound(found, x)


@SOME
def test_control_c_while_progress_is_shown_leaves_the_parameters_of_the_last_bound(name):
    x = rows(EM_MODELS[name]())
    model = fitted(name, x, steps=1).model
    show = Interrupt(lambda what, done, total: None, 3)
    found = interrupted(model, x, starts=0, steps=50, tolerance=0, progress=show)
    assert_left_at_the_last_bound(found, x)


@pytest.mark.parametrize("name", ["GaussianMixture", "CategoricalHMM"])
@pytest.mark.parametrize("work", ["show", "maximize", "expect"])
@pytest.mark.parametrize("times", [3, 14])
def test_control_c_while_starts_are_compared_leaves_a_model_of_one_start(name, work, times, monkeypatch):
    x, model = rows(EM_MODELS[name]()), EM_MODELS[name]()
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    show = lambda what, done, total: None  # noqa: E731
    if work == "show":
        show = Interrupt(show, times)
    else:
        monkeypatch.setattr(model, work, Interrupt(getattr(model, work), times))
    found = interrupted(model, x, starts=4, progress=show)
    monkeypatch.undo()
    assert {key: value.shape for key, value in state(model).items()} == shapes
    assert found.interrupted
    assert model.log_prob(x).isfinite().all()


def test_progress_is_told_what_is_done():
    told = []
    found = em.fit(mixture(2), clusters(), starts=4, steps=80, tolerance=0, progress=lambda *call: told.append(call))
    several = [call for call in told if call[0] == "steps, several starts"]
    assert [done for _, done, _ in several] == list(range(1, 61))
    alone = [call for call in told if call[0] == "steps"]
    assert alone[-1] == ("steps", len(found.bounds) - 1, 80)


def test_components_that_never_part_are_said():
    with pytest.warns(Trouble, match="all components are the same, as they were when the fit began"):
        em.fit(mixture(2), clusters(60, 2), starts=0, steps=3, progress=False)


@EVERY
def test_what_begins_with_data_begins_with_a_guess(name):
    model, x = EM_MODELS[name](), rows(EM_MODELS[name]())
    model.initialize(batch(x), torch.Generator().manual_seed(0))
    assert not model.family.alike
    before = model.log_prob(x).mean()
    em.fit(model, x, starts=0, steps=3, progress=False)
    assert model.log_prob(x).mean() > before


def test_weights_that_sum_to_one_kill_no_component():
    x = torch.cat([torch.randn(100, 2), torch.randn(100, 2) + 9])
    found = em.fit(mixture(2), x, weight=torch.full((200,), 1 / 200), progress=False)
    assert found.troubles == []


def test_rows_that_do_not_count_observe_nothing():
    x = torch.randn(20, 2)
    x[:19, 1] = torch.nan
    weight = torch.ones(20)
    weight[19] = 0
    with pytest.raises(ValueError, match="expected every entry to be observed in some row"):
        em.fit(mixture(1), x, weight=weight, progress=False)


def test_starts_that_collapsed_are_counted():
    random = np.random.default_rng(0)
    kinds = random.integers(0, 3, 90)  # a column of three values, which components shrink onto
    x = torch.from_numpy(np.column_stack([random.normal(size=90) + kinds, random.normal(size=90) * 3, kinds]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Trouble)
        found = em.fit(GaussianMixture(Variable((3,)), components=3), x, starts=8, progress=False)
    assert 0 < found.collapsed < 8
    assert f"the best of 8 starts ({found.collapsed} of the others collapsed: these come after all" in str(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 2.5}, r"steps: expected a whole number, got 2\.5"),
        ({"starts": 1.5}, r"starts: expected a whole number, got 1\.5"),
        ({"batch_size": "a"}, "batch_size: expected a whole number, got 'a'"),
        ({"tolerance": "x"}, "tolerance: expected a number, got 'x'"),
    ],
)
def test_what_is_no_number_is_refused_in_words(options, message):
    with pytest.raises(TypeError, match=message):
        em.fit(mixture(2), clusters(), **options)
