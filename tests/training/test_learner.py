"""The one module whose forward pass is the loss."""

from __future__ import annotations

import warnings
from functools import partial

import pytest
import torch
from torch import nn

import unveil as uv
from unveil.nets import MLP
from unveil.objectives import FreeBits
from unveil.training import Learner
from unveil.variables import Batch, Variable

X = Variable((6,), levels=2)


@pytest.fixture
def x() -> torch.Tensor:
    return (torch.rand(40, 6) < 0.3).double()


@pytest.fixture
def model(x) -> uv.VAE:
    small = partial(MLP, hidden=(5,))
    model = uv.VAE(X, latent_dim=2, encoder=small, decoder=small)
    model.initialize(Batch(x), torch.Generator().manual_seed(0))
    return model


def test_low_precision_is_that_of_matrix_products_alone(model, x):
    model, x = model.float(), x.float()
    found = []
    model.likelihood.net.output.register_forward_hook(lambda module, inputs, output: found.append(output.dtype))
    loss = Learner(model, precision=torch.bfloat16)(Batch(x), torch.Generator().manual_seed(0))
    exact = Learner(model)(Batch(x), torch.Generator().manual_seed(0))
    assert found == [torch.bfloat16, torch.float32]
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=0.05, atol=0.05)
    assert not torch.equal(loss, exact)


def test_parts_that_have_not_looked_at_the_data_are_told_of_once(x):
    learner = Learner(uv.VAE(X, latent_dim=2))
    with pytest.warns(UserWarning, match=r"call model\.initialize") as told:
        learner(Batch(x))
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner(Batch(x))


def test_nothing_is_said_where_they_have(model, x):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Learner(model)(Batch(x))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler looks for it
def test_compiled_nets_give_the_same_loss_and_are_not_compiled_again_at_each_step(model, x, monkeypatch):
    whole = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda module: whole(module, backend="eager"))
    torch._dynamo.reset()
    learner = Learner(model)
    plain = learner(Batch(x), torch.Generator().manual_seed(0))
    learner.compile_nets()
    counts = []
    for _ in range(4):
        loss = learner(Batch(x), torch.Generator().manual_seed(0))
        loss.mean().backward()
        counts.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    torch.testing.assert_close(loss, plain)
    assert counts[0] >= 2
    assert counts[1:] == counts[:1] * 3


def test_free_bits_price_the_batchs_mean_rate(model, x):
    trace = model.trace(x)
    rates = trace["z"].rate()[0]
    nats = rates.mean().item()
    loss = -FreeBits(nats - 0.001, per_dimension=False)(trace)
    assert (rates < nats).any()  # these would be clamped if each example were judged by itself
    torch.testing.assert_close(loss, trace.distortion[0] + rates)
    loss = -FreeBits(nats + 0.001, per_dimension=False)(trace)
    torch.testing.assert_close(loss, trace.distortion[0] + nats + 0.001)


class Careless(uv.VAE):
    """A walk that forgets its data, or that some of it is missing."""

    def __init__(self, *arguments, declares=False, **settings):
        super().__init__(*arguments, **settings)
        self.declares = declares

    def walk(self, visit, batch):
        z = visit("z", p=self.prior, q=lambda: self.posterior(batch["x"]))
        declared = {"value": batch["x"]} if self.declares else {}
        visit("x", p=lambda: self.likelihood(z), **declared)


def test_data_that_no_term_scores_is_refused():
    model, x = Careless(Variable((6,)), latent_dim=2), torch.randn(40, 6)
    with pytest.raises(ValueError, match="walk: x was handed over, and no variable of the walk takes it"):
        uv.fit(model, x, progress=False)
    with pytest.raises(ValueError, match="walk: x was handed over"):
        uv.evaluate(model, x, progress=False)


def test_a_mask_that_no_term_takes_is_told_of(x):
    model, batch = Careless(X, latent_dim=2, declares=True), Batch(x, mask=torch.rand(40, 6) < 0.8)
    with pytest.warns(UserWarning, match="mask: entries of x are marked as missing, and the walk does not tell"):
        uv.fit(model, batch, epochs=1, progress=False)
    with pytest.warns(UserWarning, match="mask: entries of x are marked as missing, and the walk does not tell"):
        found = uv.evaluate(model, batch, particles=2, progress=False)
    assert any("does not tell x which of its entries are missing" in note for note in found.notes)


def test_the_first_batchs_values_are_looked_at(model, x):
    with pytest.raises(ValueError, match="x: expected levels from 0 to 1, got values from 0 to 3"):
        Learner(model)(Batch(3 * x))


def test_a_class_is_no_objective(model):
    with pytest.raises(TypeError, match="objective: expected an object of a class of Objective, got <class"):
        Learner(model, FreeBits)


def test_a_tensor_in_the_place_of_a_batch_is_refused(model, x):
    with pytest.raises(TypeError, match=r"batch: expected a Batch, uv\.Batch\(x=\.\.\.\), got Tensor"):
        Learner(model)(x)
