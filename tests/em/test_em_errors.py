"""What can't be fitted is refused in words, before anything is changed."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from tests.em.zoo import batch, fitted, rows, state
from tests.registry import BINARY, EM_MODELS, FOUR, REAL
from unveil import components
from unveil.data import load
from unveil.inference import em
from unveil.models import (
    VAE,
    BernoulliMixture,
    CategoricalHMM,
    CategoricalMixture,
    FactorAnalysis,
    GaussianHMM,
    GaussianMixture,
    HiddenMarkov,
    MixtureModel,
    MixtureOfFactorAnalysers,
    ProbabilisticPCA,
)
from unveil.variables import Batch, Variable

X = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
EVERY = pytest.mark.parametrize("name", EM_MODELS)


def refused(message: str, x: object = X, model=None, error: type[Exception] = ValueError, **options: object) -> None:
    model = GaussianMixture(REAL, components=2) if model is None else model
    before = state(model)
    with pytest.raises(error, match=message):
        em.fit(model, x, progress=False, **options)
    assert all(torch.equal(value, before[key]) for key, value in state(model).items())


@pytest.mark.parametrize("model", [VAE(REAL), torch.nn.Linear(2, 2), "GaussianMixture"], ids=["VAE", "Linear", "str"])
def test_other_models_are_sent_to_gradients(model):
    with pytest.raises(TypeError, match=f"model: expected .*EMModel.*got {type(model).__name__}; use uv.fit"):
        em.fit(model, X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"starts": -1}, "starts: expected at least 0, got -1"),
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"tolerance": -1e-3}, "tolerance: expected at least 0, got -0.001"),
        ({"tolerance": float("nan")}, "tolerance: expected at least 0, got nan"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"weight": torch.ones(19)}, r"weight: expected one for each of the 20 rows, got shape \(19,\)"),
        ({"weight": torch.ones(20, 1)}, r"weight: expected one for each of the 20 rows, got shape \(20, 1\)"),
        ({"weight": -torch.ones(20)}, "weight: expected finite numbers of at least 0 that are not all zero"),
        ({"weight": torch.zeros(20)}, "weight: expected finite numbers of at least 0 that are not all zero"),
        ({"weight": torch.ones(20).index_fill(0, torch.tensor(3), torch.inf)}, "weight: expected finite numbers"),
        ({"weight": torch.ones(20).index_fill(0, torch.tensor(3), torch.nan)}, "weight: expected finite numbers"),
    ],
)
def test_arguments_out_of_range_are_named(options, message):
    refused(message, **options)


def test_data_of_other_shapes_and_kinds_is_refused():
    refused(r"x: expected \(examples, 3\), got shape \(20, 2\)", X[:, :2])
    refused(r"x: expected \(examples, 3\), got shape \(20,\)", X[:, 0])
    refused("x: expected at least one row, got none", X[:0])
    refused("x: expected finite numbers, got NaN or infinity", X / 0)
    refused("x: expected a tensor, an array, a Batch or Data, got list", X.tolist(), error=TypeError)
    refused("x: expected a tensor, an array, a Batch or Data, got str", "digits", error=TypeError)


@EVERY
def test_an_entry_that_is_never_observed_is_named(name):
    model = EM_MODELS[name]()
    x = rows(model)
    entry = (1,) * len(model.x.shape)
    x[(slice(None), *entry)] = torch.nan
    if isinstance(model, HiddenMarkov):  # whose steps are all described alike
        em.fit(model, x, starts=1, steps=2, progress=False)
        return
    refused(
        rf"x: expected every entry to be observed in some row, got none of entry \({', '.join('1' * len(entry))}",
        x,
        model,
    )


def test_levels_out_of_range_and_between_are_refused():
    mixture = partial(CategoricalMixture, FOUR, components=2)
    levels = torch.randint(4, (20, 3)).double()
    refused(
        "x: expected levels from 0 to 3, got values from 1 to 4", torch.ones(20, 3) + 3 * torch.eye(20, 3), mixture()
    )
    refused("x: expected levels from 0 to 3, got values from -1 to", levels - 1, mixture())
    refused("x: expected whole numbers.*got 0.5", torch.full((20, 3), 0.5), mixture())
    refused("x: expected whole numbers", X.abs().clamp(max=1), BernoulliMixture(BINARY, components=2))
    refused("x: expected levels from 0 to 1", levels, BernoulliMixture(BINARY, components=2))
    refused("x: expected levels from 0 to 2", torch.full((20, 4), 3.0), CategoricalHMM(Variable((4,), 3), states=2))


def test_values_that_are_missing_may_be_anything():
    x, mask = X.clone(), torch.ones(20, 3, dtype=torch.bool)
    x[3, 1], mask[3, 1] = torch.inf, False
    found = em.fit(GaussianMixture(REAL, components=1), Batch(x, mask=mask), progress=False)
    assert np.isfinite(found.bounds).all()


def test_data_that_is_drawn_anew_is_refused():
    images = np.random.default_rng(0).random((30, 4, 4))
    data = load(images, binarize="redrawn_test")
    model = BernoulliMixture(data.variable, components=2)
    refused("x: expected fixed data, got data binarized anew at each look", data, model)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianMixture(FOUR), "x: Full expects real numbers, got 4 levels"),
        (lambda: GaussianMixture(REAL, covariance=components.Binomial), "x: Binomial expects whole numbers"),
        (lambda: BernoulliMixture(REAL), "x: a BernoulliMixture expects binary data, got 3, real"),
        (lambda: BernoulliMixture(FOUR), "x: a BernoulliMixture expects binary data, got 3, 4 levels"),
        (lambda: CategoricalMixture(REAL), "x: Categorical expects whole numbers"),
        (lambda: CategoricalHMM(Variable((5,))), "x: Categorical expects whole numbers"),
        (lambda: GaussianHMM(Variable((5, 2), 3)), "x: Full expects real numbers"),
        (lambda: FactorAnalysis(FOUR), "x: Anisotropic expects real numbers"),
        (lambda: ProbabilisticPCA(REAL, latent_dim=3), "latent_dim: expected 1 to 2 factors of 3 entries, got 3"),
        (lambda: MixtureModel(REAL, components=0), "components: expected at least 1, got 0"),
        (lambda: GaussianMixture(REAL, Variable((2,))), "context: a GaussianMixture is conditioned on nothing"),
        (lambda: GaussianHMM(Variable((5, 2)), Variable((2,))), "context: a GaussianHMM is conditioned on nothing"),
    ],
)
def test_models_of_other_data_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaussianMixture(Variable((1, 2, 2))),
        lambda: MixtureModel(Variable((1, 2, 2)), family=components.Tied),
        lambda: GaussianHMM(Variable((5, 2, 2))),
        lambda: GaussianMixture(Variable(())),
    ],
)
def test_correlated_gaussians_of_what_is_no_vector_are_refused_when_they_are_made(make):
    with pytest.raises(ValueError, match="x: expected vectors"):
        make()


@pytest.mark.parametrize("family", [components.Diagonal, components.Binomial, components.Categorical])
def test_single_numbers_can_be_fitted(family):
    x = torch.randn(30) if family is components.Diagonal else torch.arange(30) % 3
    model = MixtureModel(Variable((), None if family is components.Diagonal else 3), components=2, family=family)
    em.fit(model, x.double(), progress=False)
    assert model.sample(4).shape == (4,)


def test_a_sequence_of_one_number_gives_no_warning():
    model = GaussianHMM(Variable((1,)), states=2, covariance=components.Diagonal)
    em.fit(model, torch.randn(50, 1), starts=1, steps=2, progress=False)


def test_what_is_no_variable_and_no_factor_analyser_is_refused():
    with pytest.raises(TypeError, match=r"x: expected a Variable, .*got \(3,\)"):
        GaussianHMM((3,))
    with pytest.raises(TypeError, match="family: expected factor analysers, got Full; use MixtureModel"):
        MixtureOfFactorAnalysers(REAL, family=components.Full)


@pytest.mark.parametrize("make", [GaussianMixture, MixtureModel, BernoulliMixture])
def test_a_mixture_of_what_is_no_variable_is_refused(make):
    with pytest.raises(TypeError, match=r"x: expected a Variable, .*got 3"):
        make(3)


def test_a_row_that_is_impossible_is_named():
    model = GaussianMixture(REAL, components=2, covariance=components.Diagonal)
    x = X.clone()
    x[7, 2] = 1e200
    with pytest.raises(FloatingPointError, match=r"the bound of rows 7 is -inf: the model finds them impossible"):
        em.fit(model, x, starts=0, progress=False)


def test_a_bound_that_falls_is_an_error(monkeypatch):
    x = rows(EM_MODELS["GaussianMixture"]())
    model = fitted("GaussianMixture", x, steps=20).model

    def maximize(statistics: object) -> None:
        with torch.no_grad():
            model.family.loc += 0.1

    monkeypatch.setattr(model, "maximize", maximize)
    with pytest.raises(FloatingPointError, match=r"the bound fell from .* to .* nats at step 1"):
        em.fit(model, x, starts=0, progress=False)


@EVERY
def test_log_p_checks_its_data(name):
    model = EM_MODELS[name]()
    with pytest.raises(ValueError, match=r"x: expected \(examples"):
        model.log_prob(rows(model)[0])
    with pytest.raises(ValueError, match="x: expected data"):
        model.log_prob(Batch(size=3))
    with pytest.raises(ValueError, match="x: expected"):
        model.log_prob(rows(model) * torch.inf)
    holed = rows(model)
    holed[:, 0] = torch.nan  # missing, as in a fit
    torch.testing.assert_close(model.log_prob(holed), model.log_prob(batch(holed)))


def test_more_components_than_rows_are_refused_where_parameters_are_points():
    x = torch.randn(5, 3)
    refused("components: expected at most as many as there are rows, 5, got 10", x, GaussianMixture(Variable((3,))))


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaussianMixture(REAL, covariance="full"),
        lambda: MixtureModel(REAL, family="Full"),
        lambda: GaussianHMM(Variable((5, 2)), covariance="full"),
    ],
)
def test_families_by_their_names_are_refused(make):
    with pytest.raises(TypeError, match=r"covariance: expected a class of .*, such as Full or Diagonal, got"):
        make()
