"""A batch is a record of fields that fit together, and missing entries count nowhere."""

from __future__ import annotations

import pytest
import torch

from unveil import VAE
from unveil.likelihoods import Bernoulli, Binomial, Categorical, DiscretizedLogistic, OptimalGaussian
from unveil.models import FromPosterior
from unveil.nets import Standardize
from unveil.objectives import ELBO
from unveil.priors import VampPrior
from unveil.variables import Batch, Variable

REAL = Variable((3,))


@pytest.mark.parametrize("shape", [(3,), (1, 3), (5, 1), (5, 3)])
def test_a_mask_is_broadcast_to_its_variable(shape):
    mask = torch.rand(shape) < 0.5
    batch = Batch(torch.zeros(5, 3), mask=mask)
    assert torch.equal(batch.mask_of("x"), mask.expand(5, 3))
    assert torch.equal(batch.rows(torch.tensor([4, 1])).mask_of("x"), mask.expand(5, 3)[[4, 1]])


def test_several_variables_have_a_mask_each():
    x = {"a": torch.zeros(5, 3), "b": torch.zeros(5)}
    batch = Batch(x, mask={"a": torch.tensor([True, False, True])})
    assert batch.rows(slice(0, 2)).mask_of("a").shape == (2, 3)
    assert batch.mask_of("b") is None
    assert Batch.joined([batch, batch]).mask_of("a").shape == (10, 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mask": torch.ones(5, 3)}, "mask: expected booleans.*float32"),
        ({"mask": torch.ones(4, 3, dtype=torch.bool)}, r"\(5, 3\), got \(4, 3\)"),
        ({"mask": {"x": torch.ones(3, dtype=torch.bool)}}, "mask: expected what x is, Tensor, got dict"),
        ({"context": torch.zeros(4, 2)}, "same number of examples.*'x': 5, 'context': 4"),
        ({"index": torch.arange(4)}, "same number of examples.*'x': 5, 'index': 4"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Batch(torch.zeros(5, 3), **fields)


def test_a_mask_of_no_variable_is_refused():
    with pytest.raises(ValueError, match="expected names of observed variables, a, got b"):
        Batch({"a": torch.zeros(5, 3)}, mask={"b": torch.ones(3, dtype=torch.bool)})


def test_one_row_of_context_serves_all_examples():
    batch = Batch(torch.zeros(5, 3), context=torch.ones(1, 2))
    assert batch.context.shape == (5, 2)
    assert len(batch) == 5


def test_without_its_data_a_batch_has_no_mask_either():
    batch = Batch(torch.zeros(5, 3), torch.ones(5, 2), torch.ones(3, dtype=torch.bool)).without("x")
    assert batch.mask is None
    assert len(batch.rows(slice(0, 2)).to("cpu")) == 2


def test_all_but_int64_is_brought_to_a_precision():
    context = torch.nn.functional.one_hot(torch.tensor([1, 0]))
    batch = Batch({"a": torch.zeros(2, 1, dtype=torch.uint8), "b": torch.zeros(2, dtype=torch.int64)}, context)
    cast = batch.to_precision(torch.float16)
    assert (cast["a"].dtype, cast["b"].dtype, cast.context.dtype) == (torch.float16, torch.int64, torch.float16)


@pytest.fixture
def missing() -> tuple[torch.Tensor, torch.Tensor]:
    """Real data, of which a third is missing; every row and column has something."""
    x = torch.tensor([1.0, 10.0, 0.1]) * torch.randn(200, 3)
    mask = torch.rand(200, 3) < 0.7
    mask[:, 0] |= ~mask.any(1)
    return x, mask


def test_scales_are_those_of_what_is_observed(missing):
    x, mask = missing
    part = Standardize((3,))
    part.initialize(x.where(mask, torch.nan))
    for j in range(3):
        seen = x[mask[:, j], j]
        torch.testing.assert_close(part.mean[j], seen.mean())
        torch.testing.assert_close(part.scale[j], seen.std(correction=0))


def test_a_feature_that_is_never_observed_starts_at_zero_with_scale_one():
    part = Standardize((2,))
    part.initialize(torch.tensor([[1.0, torch.nan], [3.0, torch.nan]]))
    assert part.mean.tolist() == [2, 0]
    assert part.scale.tolist() == [1, 1]


def test_a_bound_with_missing_entries_does_not_depend_on_the_origin_or_on_what_is_missing(missing):
    x, mask = missing
    bounds = []
    for offset, filling in ((0.0, torch.nan), (1000.0, 7.0)):
        torch.manual_seed(1)
        model = VAE(REAL, latent_dim=2)
        batch = Batch((x + offset).where(mask, filling), mask=mask)
        model.initialize(batch, torch.Generator().manual_seed(0))
        bounds.append(ELBO()(model.trace(batch, FromPosterior(3, torch.Generator().manual_seed(0)))))
    assert bounds[0].isfinite().all()
    torch.testing.assert_close(*bounds)


def test_an_encoder_sees_a_missing_entry_at_the_mean(missing):
    x, mask = missing
    model = VAE(REAL, latent_dim=2)
    model.initialize(Batch(x + 50), torch.Generator().manual_seed(0))
    posterior = model.posterior
    filled = (x + 50).where(mask, posterior.standardize.mean)
    found = posterior((x + 50).where(mask, torch.nan), mask=mask)
    torch.testing.assert_close(found.loc, posterior(filled).loc)


LEVELS = torch.tensor([[0, 3, 1], [2, 3, 0], [2, 0, 1], [1, 3, 3]])
SEEN = torch.tensor([[True, True, False], [True, True, False], [False, True, False], [True, False, False]])


@pytest.mark.parametrize("likelihood", [Categorical, Binomial, DiscretizedLogistic])
def test_outputs_start_at_what_is_observed(likelihood):
    part = likelihood(Variable((3,), levels=4), 2)
    torch.nn.init.zeros_(part.net.output.weight)
    part.initialize(LEVELS.double().where(SEEN, torch.nan), torch.Generator())
    mean = part(torch.zeros(1, 2)).mean[0]
    expected = torch.tensor([1.0, 2.0])
    tolerance = 0.4 if likelihood is not Binomial else 0.02  # levels that were never seen keep some probability
    torch.testing.assert_close(mean[:2], expected, rtol=0, atol=tolerance)
    assert mean.isfinite().all()


def test_binary_outputs_start_at_what_is_observed():
    part = Bernoulli(Variable((3,), levels=2), 2)
    torch.nn.init.zeros_(part.net.output.weight)
    part.initialize((LEVELS > 1).double().where(SEEN, torch.nan), torch.Generator())
    torch.testing.assert_close(part(torch.zeros(1, 2)).mean[0], torch.tensor([1 / 3, 2 / 3, 0.5]), rtol=0, atol=0.01)


def test_pseudo_inputs_have_no_missing_entries(missing):
    x, mask = missing
    mask[:, 2] = False
    x = 100 + x
    for shape in ((3,), (1, 3, 1)):
        part = VampPrior(2, 0, Variable(shape), components=50)
        part.initialize(x.where(mask, torch.nan).reshape(-1, *shape), torch.Generator().manual_seed(0))
        pseudo = part.pseudo_inputs.reshape(50, 3)
        assert pseudo.isfinite().all()
        assert (pseudo[:, :2] > 50).all()
        assert (pseudo[:, 2] == 0 if len(shape) == 1 else pseudo[:, 2] > 50).all()  # an image's pixels are of one kind


def test_sigma_starts_at_the_deviation_of_what_is_observed(missing):
    x, mask = missing
    part = OptimalGaussian(REAL, 2)
    part.initialize(x.where(mask, torch.nan), torch.Generator())
    torch.testing.assert_close(part.sigma()[1], x[mask[:, 1], 1].std(correction=0))
