"""The log-likelihood of every model climbs, with and without holes and weights, and is what it is said to be."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.em.zoo import MIXTURES, REAL_NUMBERS, batch, fitted, holed, rows, state, weights
from tests.registry import EM_MODELS
from unveil.data import Split
from unveil.data import load as load_data
from unveil.evaluation import evaluate
from unveil.inference import em
from unveil.inference import rows as looking
from unveil.models import FromPosterior
from unveil.variables import Batch

EVERY = pytest.mark.parametrize("name", EM_MODELS)
HOLES = pytest.mark.parametrize("missing", [False, True], ids=["whole", "holed"])
close = partial(torch.testing.assert_close, rtol=1e-8, atol=1e-8)


def data(name: str, missing: bool) -> torch.Tensor:
    x = rows(EM_MODELS[name]())
    return holed(x) if missing else x


def assert_same(one, other) -> None:
    first, second = state(one), state(other)
    for key, value in first.items():
        close(value, second[key], rtol=1e-6, atol=1e-6)


@EVERY
@HOLES
@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
def test_the_bound_never_falls_and_rises_at_first(name, missing, weighted):
    x = data(name, missing)
    found = fitted(name, x, weight=weights(len(x)) if weighted else None, starts=1, steps=40)
    assert len(found.bounds) > 3
    assert found.bounds[3] > found.bounds[0] + 1e-4
    for before, after in pairwise(found.bounds):
        assert after >= before - 1e-10 * (1 + abs(before))


@EVERY
@HOLES
def test_the_last_bound_is_the_weighted_mean_of_log_p(name, missing):
    x = data(name, missing)
    weight = weights(len(x))
    found = fitted(name, x, weight=weight)
    log_p = found.model.log_prob(batch(x))
    mean = (log_p @ weight / weight.sum()).item()
    assert found.bounds[-1] == found.log_likelihood.value == pytest.approx(mean, abs=1e-10)
    assert (found.log_likelihood.bound, found.log_likelihood.examples) == ("exact", len(x))
    square = (log_p.square() @ weight / weight.sum()).item()
    effective = (weight.sum() ** 2 / weight.square().sum()).item()
    error = ((square - mean**2) / (effective - 1)) ** 0.5
    assert found.log_likelihood.standard_error == pytest.approx(error, rel=1e-6)


@EVERY
@HOLES
def test_whole_weights_are_rows_that_come_so_often(name, missing):
    x = data(name, missing)
    times = torch.arange(len(x)) % 3
    start = fitted(name, x, steps=1).model
    again = EM_MODELS[name]()
    again.load_state_dict(start.state_dict())
    one = em.fit(start, x, weight=times, starts=0, steps=5, tolerance=0, progress=False)
    other = em.fit(again, x.repeat_interleave(times, 0), starts=0, steps=5, tolerance=0, progress=False)
    assert one.bounds == pytest.approx(other.bounds, abs=1e-9)
    assert_same(one.model, other.model)
    assert one.bounds[-1] > one.bounds[0]


@EVERY
def test_rows_of_weight_zero_are_not_there(name):
    x = data(name, missing=False)
    weight = (torch.arange(len(x)) % 4 != 0).double()
    start = fitted(name, x, steps=1).model
    again = EM_MODELS[name]()
    again.load_state_dict(start.state_dict())
    one = em.fit(start, x, weight=weight, starts=0, steps=5, tolerance=0, progress=False)
    other = em.fit(again, x[weight > 0], starts=0, steps=5, tolerance=0, progress=False)
    assert one.bounds == pytest.approx(other.bounds, abs=1e-9)
    assert_same(one.model, other.model)


@EVERY
@HOLES
def test_how_many_rows_are_looked_at_at_once_does_not_matter(name, missing, monkeypatch):
    x = data(name, missing)
    whole = fitted(name, x, starts=1)  # of several, two may end alike but for the names of components
    monkeypatch.setitem(looking.AT_ONCE, "cpu", 1)
    apart = fitted(name, x, starts=1)
    assert whole.bounds == pytest.approx(apart.bounds, abs=1e-9)
    assert_same(whole.model, apart.model)


@pytest.mark.parametrize("name", ["GaussianMixture", "CategoricalHMM"])
def test_rows_are_looked_at_a_few_at_a_time(name, monkeypatch):
    sizes, take = [], looking.Rows.take

    def counted(self, index, *place):
        found = take(self, index, *place)
        sizes.append(len(found.x))
        return found

    model = fitted(name, data(name, missing=False)).model
    monkeypatch.setattr(looking.Rows, "take", counted)
    monkeypatch.setitem(looking.AT_ONCE, "cpu", 7 * model.width(1, missing=False))
    sizes.clear()
    em.fit(model, data(name, missing=False), starts=0, steps=1, progress=False)
    assert max(sizes[1:]) == 7  # the first look is the check of the values


def test_a_file_that_is_mapped_read_only_gives_no_warning(tmp_path):
    np.save(tmp_path / "x.npy", data("GaussianMixture", missing=False).numpy())
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # torch warns of it once in a process
    try:
        fitted("GaussianMixture", np.load(tmp_path / "x.npy", mmap_mode="r"), steps=1)
    finally:
        torch.set_warn_always(always)


@EVERY
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_arrays_files_batches_and_splits_are_the_same_data(name, tmp_path):
    x = data(name, missing=True)
    np.save(tmp_path / "x.npy", x.numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = fitted(name, x).bounds
    masked = Batch(x=x.nan_to_num(nan=1.0), mask=~x.isnan())
    for same in (x.numpy(), mapped, masked, Split(masked)):
        assert fitted(name, same).bounds == pytest.approx(expected, abs=1e-9)


def test_of_data_the_training_rows_are_taken():
    x = data("GaussianMixture", missing=False)
    loaded = load_data(x.numpy(), validation=10, test=10)
    expected = fitted("GaussianMixture", loaded.train.batch(slice(None)).x.double())
    found = fitted("GaussianMixture", loaded)
    assert found.log_likelihood.examples == 40
    assert found.bounds == pytest.approx(expected.bounds, abs=1e-6)


@EVERY
@HOLES
def test_every_importance_weight_is_the_evidence(name, missing, generator):
    x = data(name, missing)
    model = fitted(name, x).model
    trace = model.trace(batch(x), FromPosterior(5, generator))
    close(trace.log_w.detach(), model.log_prob(batch(x)).expand(5, -1))


@EVERY
def test_the_expected_joint_and_the_entropy_of_the_posterior_make_up_the_evidence(name, generator):
    x = data(name, missing=False)[:4]
    model = fitted(name, data(name, missing=False)).model
    trace = model.trace(x, FromPosterior(3, generator))
    log_q = sum(term.log_q for term in trace.latents)
    close((trace.log_joint - log_q).detach(), model.log_prob(x).expand(3, -1))


@EVERY
def test_an_evaluation_says_exact_and_the_value(name):
    x = data(name, missing=False)
    model = fitted(name, x).model
    found = evaluate(model, x, progress=False)
    for estimate in (found.elbo, found.log_likelihood):
        assert estimate.bound == "exact"
        assert estimate.monte_carlo_error == 0
        assert estimate.value == pytest.approx(model.log_prob(x).mean().item(), abs=1e-7)


@pytest.mark.parametrize("name", [name for name in MIXTURES if "Factor" not in name])
@HOLES
def test_responsibilities_are_bayes_rule_and_sum_to_one(name, missing):
    x = data(name, missing)
    model = fitted(name, x).model
    r = model.responsibilities(batch(x))
    close(r.sum(-1), torch.ones(len(x)))
    seen = model.family.see(x.nan_to_num(), ~x.isnan())
    joint = model.weights.unsqueeze(-1) * model.family.log_prob(seen).detach().exp()
    close(r, (joint / joint.sum(0)).mT)
    close(model.posterior(x.nan_to_num(), ~x.isnan()).probs.detach(), r)
    close(model.log_prob(batch(x)), joint.sum(0).log())
    if missing:
        close(r[4], model.weights)  # of an example of which nothing is observed


@EVERY
def test_samples_are_of_the_density(name, generator):
    model = fitted(name, data(name, missing=False)).model
    drawn = model.sample(5000, generator=generator)
    assert drawn.shape == (5000, *model.x.shape)
    found = em.fit(model, drawn, starts=0, steps=10, tolerance=0, progress=False)
    gain = 5000 * (found.bounds[-1] - found.bounds[0])  # half a chi-square of as many degrees as parameters, at most
    free = sum(parameter.numel() for parameter in model.parameters())
    assert gain < free / 2 + 5 * (free / 2) ** 0.5


@EVERY
def test_starts_of_zero_goes_on_from_the_parameters_that_there_are(name):
    x = data(name, missing=False)
    whole = fitted(name, x, steps=30)
    first = fitted(name, x, steps=20)
    rest = em.fit(first.model, x, starts=0, steps=10, tolerance=0, progress=False)
    assert rest.bounds[0] == pytest.approx(first.bounds[-1], abs=1e-10)
    joined = first.bounds + rest.bounds[1:]
    assert joined[: len(whole.bounds)] == pytest.approx(whole.bounds[: len(joined)], abs=1e-9)
    assert len(rest.starts) == 0


@EVERY
def test_the_seed_decides_everything_and_torchs_own_generator_is_left_alone(name):
    x = data(name, missing=False)
    before = torch.get_rng_state()
    one, again = fitted(name, x, seed=3), fitted(name, x, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert one.bounds == again.bounds
    assert all(torch.equal(value, state(again.model)[key]) for key, value in state(one.model).items())
    if name != "HiddenMarkov":  # of two different observations, where there is one choice of centres
        assert any(not torch.equal(fitted(name, x, seed=seed).starts, one.starts) for seed in (4, 5, 6))


@pytest.mark.parametrize("name", REAL_NUMBERS)
def test_shifting_and_stretching_the_data_shifts_and_stretches_the_model(name):
    x = data(name, missing=False)
    scale, shift = 1e4, -3e6
    one, other = fitted(name, x, steps=12), fitted(name, x * scale + shift, steps=12)
    entries = x[0].numel()
    assert np.add(other.bounds, entries * np.log(scale)) == pytest.approx(one.bounds, abs=1e-6)
    close((other.model.family.means - shift) / scale, one.model.family.means, rtol=1e-5, atol=1e-5)
