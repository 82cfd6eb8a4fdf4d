"""The loop knows no kind of model: several observed variables, none at all, hierarchies."""

import torch

import unveil as uv
from tests.systems.test_image_and_label import IMAGE, LABEL, ImageAndLabel, log_evidence
from tests.systems.test_log_density import LOG_Z, Target, log_density
from unveil.objectives import ELBO


def test_two_observed_variables_are_fitted_and_saved(tmp_path):
    label = torch.randint(3, (200,))
    image = (torch.rand(200, 1, 2, 3) < torch.tensor([0.1, 0.5, 0.9])[label].reshape(-1, 1, 1, 1)).double()
    x = {"image": image, "label": label}
    model = ImageAndLabel(IMAGE, LABEL)
    before = log_evidence(model, x).mean()
    run = uv.fit(model, uv.Batch(x), epochs=80, lr=0.01, out=tmp_path / "run", progress=False)
    assert log_evidence(run.model, x).mean() > before + 0.3
    assert run.metrics[-1]["objective"] < log_evidence(run.model, x).mean() + 0.05


def test_a_log_density_without_data_is_fitted():
    model = Target(log_density, 2)
    run = uv.fit(
        model, uv.Batch(), objective=ELBO(particles=10, closed_form=False), epochs=600, lr=0.05, progress=False
    )
    bound = ELBO(particles=1)(run.model.trace(source=uv.models.FromPosterior(2000, torch.Generator().manual_seed(0))))
    assert LOG_Z - 0.02 < bound.item() < LOG_Z + 0.02


def test_missing_entries_may_hold_anything():
    x = (torch.rand(100, 6) < 0.5).double()
    mask = torch.rand(100, 6) < 0.7
    bounds = []
    for filling in (0.0, torch.nan):
        torch.manual_seed(0)
        model = uv.VAE(uv.Variable((6,), levels=2), latent_dim=2)
        batch = uv.Batch(torch.where(mask, x, filling), mask=mask)
        bounds.append(uv.fit(model, batch, epochs=2, progress=False).metrics[-1]["objective"])
    assert bounds[0] == bounds[1]
    assert abs(bounds[0]) < 10
