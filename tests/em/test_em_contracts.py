"""What every model that EM fits keeps: files, configurations, copies, moves, rows apart from each other."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from tests.em.zoo import batch, fitted, holed, rows, state
from tests.registry import EM_MODELS
from unveil.config import build, describe
from unveil.distributions import RowGenerators
from unveil.inference import em
from unveil.models import FromPosterior, Given, load, save

EVERY = pytest.mark.parametrize("name", EM_MODELS)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def model_and_data(name: str, missing: bool = False):
    x = rows(EM_MODELS[name]())
    return fitted(name, holed(x) if missing else x).model, holed(x) if missing else x


@EVERY
def test_a_model_that_was_saved_and_loaded_is_the_same(name, tmp_path):
    model, x = model_and_data(name)
    save(model, tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert type(again) is type(model)
    assert {value.dtype for value in again.parameters()} == {torch.float64}
    assert torch.equal(again.log_prob(x), model.log_prob(x))
    assert not torch.allclose(EM_MODELS[name]().log_prob(x), model.log_prob(x))


@EVERY
def test_a_description_builds_an_equal_model(name):
    model, x = model_and_data(name)
    description = describe(model)
    again = build(json.loads(json.dumps(description)))
    assert describe(again) == description == describe(EM_MODELS[name]())
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.log_prob(x), model.log_prob(x))


@EVERY
def test_a_copy_shares_nothing(name):
    model, x = model_and_data(name)
    expected, twin = model.log_prob(x), copy.deepcopy(model)
    assert torch.equal(twin.log_prob(x), expected)
    with torch.no_grad():
        for tensor in (*twin.parameters(), *twin.buffers()):
            tensor.fill_(1)
    assert torch.equal(model.log_prob(x), expected)


@EVERY
@pytest.mark.parametrize("device", DEVICES)
def test_a_fit_on_any_device_ends_alike(name, device):
    x = rows(EM_MODELS[name]())
    expected = fitted(name, x, starts=1)
    model = EM_MODELS[name]().to(device)
    found = fitted_on(model, x)
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {device}
    assert found.bounds == pytest.approx(expected.bounds, abs=1e-6)


def fitted_on(model, x):
    return em.fit(model, x, progress=False, starts=1, steps=15, tolerance=0)


@EVERY
@pytest.mark.parametrize("missing", [False, True], ids=["whole", "holed"])
def test_a_row_is_what_it_is_whatever_lies_beside_it(name, missing):
    model, x = model_and_data(name, missing)
    together = model.log_prob(batch(x))
    for picked in ([2], [7, 4]):
        torch.testing.assert_close(model.log_prob(batch(x[picked])), together[picked])
    if model.latents != ("z",) or missing:
        return
    drawn = model.trace(x, FromPosterior(3, RowGenerators(0, range(len(x)))))["z"].value
    apart = model.trace(x[[7, 2]], FromPosterior(3, RowGenerators(0, [7, 2])))["z"].value
    torch.testing.assert_close(apart, drawn[:, [7, 2]])


@EVERY
def test_the_code_of_data_is_the_posteriors_mode_and_is_decoded(name):
    model, x = model_and_data(name)
    code = model.encode(x)
    assert torch.equal(model.log_prob(x), model.log_prob(x))
    if isinstance(code, dict):
        assert torch.equal(code["y"], model.responsibilities(x).argmax(-1))
        assert model.decode(code).mean.shape == x.shape
        return
    torch.testing.assert_close(code, model.posterior(x).mode)
    p = model.decode(code)
    assert p.log_prob(x).shape == (len(x),)
    torch.testing.assert_close(model.log_joint(x, code), model.trace(x, Given({"z": code.unsqueeze(0)})).log_joint[0])


@EVERY
def test_data_of_lower_precision_is_the_same_data(name):
    model, x = model_and_data(name)
    single = x.float()
    found = model.log_prob(single)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, model.log_prob(single.double()))
    if model.x.levels is not None:
        assert torch.equal(model.log_prob(x.long()), model.log_prob(x))
        assert torch.equal(model.log_prob(x.to(torch.uint8)), model.log_prob(x))


@pytest.mark.parametrize("name", EM_MODELS)
def test_fitting_again_begins_anew(name):
    x = rows(EM_MODELS[name]())
    model = fitted(name, x.flip(0)[:40], seed=5).model
    again = fitted_on(model, x)
    fresh = fitted_on(EM_MODELS[name](), x)
    assert again.bounds == pytest.approx(fresh.bounds, abs=1e-9)
    assert state(again.model).keys() == state(fresh.model).keys()


@pytest.mark.parametrize("name", [name for name in EM_MODELS if "Mixture" in name])
def test_gradients_of_the_log_density_reach_every_parameter(name):
    model, x = model_and_data(name)
    trace = model.trace(x, FromPosterior(1))
    trace.log_w.sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
