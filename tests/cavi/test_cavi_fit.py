"""What coordinate ascent keeps for every model: seeds, going on, Ctrl-C, saving, and errors that say what to do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

import unveil as uv
from unveil.inference import cavi, em
from unveil.inference import rows as looking
from unveil.inference.cavi import Inferred
from unveil.models import (
    VAE,
    BayesianGaussianMixture,
    BayesianLinearRegression,
    DirichletProcessMixture,
    GaussianMixture,
    LatentDirichletAllocation,
)
from unveil.models.alternating import Alternating
from unveil.variables import Batch, Variable

MODELS: dict[str, Callable[[], Alternating]] = {
    "mixture": lambda: BayesianGaussianMixture(Variable((3,)), components=4, strength=0.3),
    "process": lambda: DirichletProcessMixture(Variable((3,)), components=4, concentration=0.7),
    "regression": lambda: BayesianLinearRegression(Variable((1,)), Variable((3,)), noise=(2.0, 1.5)),
    "regression, shared": lambda: BayesianLinearRegression(Variable((1,)), Variable((3,)), ard=False),
    "regression, known": lambda: BayesianLinearRegression(Variable((1,)), Variable((3,)), precision=0.5),
    "topics": lambda: LatentDirichletAllocation(Variable((8,)), topics=3, alpha=0.3),
}
EVERY = pytest.mark.parametrize("name", MODELS)
CLIMBING = pytest.mark.parametrize("name", [name for name in MODELS if name != "regression, known"])
"""The models that one step does not solve."""


def data(name: str, rows: int = 60) -> Batch:
    random = np.random.default_rng(0)
    if name == "topics":
        beta, theta = random.dirichlet(np.full(8, 0.3), 3), random.dirichlet(np.full(3, 0.4), rows)
        return Batch(x=torch.from_numpy(np.stack([random.multinomial(30, p) for p in theta @ beta]).astype(float)))
    x = torch.from_numpy(random.normal(size=(rows, 3)) + 3 * random.integers(0, 2, (rows, 1)))
    if "regression" in name:
        y = x @ torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64) + torch.from_numpy(random.normal(size=rows))
        return Batch(x=y.unsqueeze(1), context=x)
    return Batch(x=x)


def fitted(name: str, **options: object) -> Inferred:
    return cavi.fit(MODELS[name](), data(name), **{"progress": False, "starts": 1, "tolerance": 0, **options})


def state(model: Alternating) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in model.state_dict().items()}


def bound(name: str, model: Alternating) -> float:
    """Of the parameters as they are, in nats per row."""
    return cavi.fit(model, data(name), starts=0, steps=1, progress=False).bounds[0]


def predictive(name: str, model: Alternating) -> Tensor:
    trace = model.trace(data(name), uv.models.FromPosterior(3, torch.Generator().manual_seed(1)))
    return torch.stack([trace.log_joint, trace.log_w]).detach()


@EVERY
def test_the_seed_decides_everything_and_torchs_own_generator_is_left_alone(name):
    before = torch.get_rng_state()
    one, again = fitted(name, seed=3, steps=5), fitted(name, seed=3, steps=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert one.bounds == again.bounds
    assert all(torch.equal(value, state(again.model)[key]) for key, value in state(one.model).items())
    if "regression" not in name:
        assert fitted(name, seed=4, steps=5).bounds != one.bounds


@CLIMBING
def test_starts_of_zero_goes_on_from_where_it_was(name):
    whole, first = fitted(name, steps=20), fitted(name, steps=8)
    rest = cavi.fit(first.model, data(name), starts=0, steps=12, tolerance=0, progress=False)
    if name == "topics":  # documents begin anew
        assert abs(rest.bounds[0] - first.bounds[-1]) < 0.1 * (first.bounds[-1] - first.bounds[0])
        return
    assert rest.bounds[0] == pytest.approx(first.bounds[-1], abs=1e-10)
    joined = first.bounds + rest.bounds[1:]
    assert joined[: len(whole.bounds)] == pytest.approx(whole.bounds[: len(joined)], abs=1e-9)
    assert rest.bounds[-1] > rest.bounds[0]


@EVERY
def test_the_last_bound_is_that_of_the_model(name):
    found = fitted(name, steps=30)
    if name != "topics":  # whose documents begin anew
        assert bound(name, found.model) == pytest.approx(found.bounds[-1], abs=1e-10)
    assert found.evidence.value == pytest.approx(found.bounds[-1] * 60, rel=1e-12)
    assert "log-evidence of the 60 rows" in str(found)
    assert not found.model.training


@pytest.mark.parametrize("name", ["mixture", "process"])
def test_the_best_of_the_starts_goes_on(name):
    found = fitted(name, starts=4)
    steps, starts = found.starts.shape
    assert starts == 4
    reached = found.starts[-1].nan_to_num(-torch.inf)
    best = [column.tolist() for column in found.starts.mT[reached >= reached.max() - 1e-9]]  # some end alike
    assert any(found.bounds[:steps] == pytest.approx(column) for column in best)
    for column in found.starts.mT:
        for before, after in pairwise(column[~column.isnan()].tolist()):
            assert after >= before - 1e-12 * (1 + abs(before))
    assert "the best of 4 starts" in str(found)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "topics"])
def test_how_many_rows_are_looked_at_at_once_does_not_matter(name, monkeypatch):
    whole = fitted(name)
    monkeypatch.setitem(looking.AT_ONCE, "cpu", 1)
    assert fitted(name).bounds == pytest.approx(whole.bounds, abs=1e-9)


class Interrupt:
    """Ctrl-C, once, in the middle of work: after something was called so many times."""

    def __init__(self, called: Callable[..., object], times: int) -> None:
        self.called, self.left = called, times

    def __call__(self, *arguments: object, **options: object) -> object:
        self.left -= 1
        if self.left == -1:
            raise KeyboardInterrupt
        return self.called(*arguments, **options)


@CLIMBING
@pytest.mark.parametrize("work", ["maximize", "expect"])
@pytest.mark.parametrize("batch_size", [None, 20])
def test_control_c_leaves_the_model_as_it_was_at_the_last_bound(name, work, batch_size, monkeypatch):
    model, expected = fitted(name, steps=1).model, fitted(name, steps=1).model
    options = {"starts": 0, "tolerance": 0, "batch_size": batch_size, "progress": False}
    calls = (2 if work == "maximize" else 3) if batch_size is None else 5
    monkeypatch.setattr(model, work, Interrupt(getattr(model, work), calls))
    found = cavi.fit(model, data(name), **options)
    monkeypatch.undo()
    assert found.interrupted
    assert not found.converged
    assert found.stopped == f"interrupted after {len(found.bounds) - 1} steps"
    assert not found.model.training
    steps = 2 if batch_size is None else 1  # that were whole
    if name != "topics":  # whose documents go on from where they are when the bound is looked at again
        assert len(found.bounds) == steps + 1
    uninterrupted = cavi.fit(expected, data(name), **options, steps=steps)
    assert found.bounds[: steps + 1] == uninterrupted.bounds
    assert all(torch.equal(value, state(expected)[key]) for key, value in state(found.model).items())


@EVERY
def test_what_is_saved_predicts_the_same_when_loaded(name, tmp_path):
    model = fitted(name, steps=6).model
    uv.save(model, tmp_path / "model.safetensors")
    loaded = uv.load(tmp_path / "model.safetensors")
    assert type(loaded) is type(model)
    assert torch.equal(predictive(name, loaded), predictive(name, model))
    assert not torch.allclose(predictive(name, MODELS[name]()), predictive(name, model))
    assert all(torch.equal(value, state(loaded)[key]) for key, value in state(model).items())
    assert bound(name, loaded) == bound(name, model)


@EVERY
def test_the_type_that_torch_computes_in_by_default_does_not_matter(name):
    expected = fitted(name, steps=6)
    torch.set_default_dtype(torch.float32)  # as it is for whoever uses the library
    found = fitted(name, steps=6)
    assert found.bounds[1:] == pytest.approx(expected.bounds[1:], abs=1e-6)
    assert all(parameter.dtype == torch.float64 for parameter in found.model.parameters())


def test_nothing_is_rounded_where_torch_computes_in_single_precision_by_default():
    x, bounds = data("mixture"), []
    for dtype in (torch.float64, torch.float32):
        torch.set_default_dtype(dtype)
        model = BayesianGaussianMixture(Variable((3,)), components=2, freedom=0.1)
        bounds.append(cavi.fit(model, x, starts=1, steps=6, progress=False).bounds)
    assert bounds[0] == pytest.approx(bounds[1], abs=1e-11)


@pytest.mark.parametrize(
    ("model", "fix"),
    [
        (lambda: VAE(Variable((3,)), latent_dim=1), "use uv.fit"),
        (lambda: GaussianMixture(Variable((3,)), components=2), "use em.fit"),
        (lambda: "BayesianGaussianMixture", "use uv.fit"),
    ],
)
def test_other_models_are_refused_with_what_fits_them(model, fix):
    with pytest.raises(TypeError, match=f"model: expected one whose parameters have a distribution .*{fix}"):
        cavi.fit(model(), torch.zeros(5, 3), progress=False)


@EVERY
def test_em_refuses_what_coordinate_ascent_fits(name):
    with pytest.raises(TypeError, match="model: expected one whose posterior"):
        em.fit(MODELS[name](), data(name), progress=False)


@EVERY
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"steps": 0}, "steps: expected at least 1"),
        ({"starts": -1}, "starts: expected at least 0"),
        ({"tolerance": -1.0}, "tolerance: expected at least 0"),
        ({"batch_size": 0}, "batch_size: expected at least 1"),
        ({"weight": torch.ones(3)}, "weight: expected one for each of the 60 rows"),
        ({"weight": -torch.ones(60)}, "weight: expected finite numbers"),
    ],
)
def test_numbers_out_of_range_are_refused(name, options, error):
    with pytest.raises(ValueError, match=error):
        fitted(name, **options)


@EVERY
def test_data_of_another_shape_is_refused(name):
    batch = Batch(x=torch.zeros(5, 2), context=torch.zeros(5, 3) if "regression" in name else None)
    with pytest.raises(ValueError, match="x: expected"):
        cavi.fit(MODELS[name](), batch, progress=False)
