"""The demonstration of EM, cut short."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from PIL import Image

from unveil.cli import main
from unveil.demos import em as demo


@pytest.fixture(autouse=True)
def _single_precision() -> None:
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("make", [partial(demo.moons, components=3), partial(demo.digits, components=4)])
def test_an_animation_has_a_frame_for_the_start_and_for_each_step(make, tmp_path):
    said: list[str] = []
    path = make(tmp_path / "one.gif", 0, said.append, steps=2)
    with Image.open(path) as picture:
        assert picture.n_frames == 3
    assert "exact" in said[0]


def test_a_poor_start_climbs(tmp_path):
    x = demo.two_moons(200, 0)
    frames = demo.watched(demo.GaussianMixture(demo.Variable((2,)), components=3), x, 4, 0)
    assert [len(frame.bounds) for frame in frames] == [1, 2, 3, 4, 5]
    assert all(later >= earlier for earlier, later in zip(frames[-1].bounds, frames[-1].bounds[1:], strict=False))


def test_the_divergence_of_a_mixture_of_one_is_the_closed_form():
    target = demo.Target(
        "a Gaussian",
        lambda n, generator: torch.randn(n, 2, generator=generator, dtype=torch.double),
        lambda x: -0.5 * x.square().sum(1) - torch.log(torch.tensor(2 * torch.pi)),
        (-3, 3, -3, 3),
    )
    model = demo.GaussianMixture(demo.Variable((2,)), components=1)  # N(0, I)
    found = demo.divergence(target, model, 0, points=1000)
    assert found.bound == "unbiased"
    assert abs(found.value) < 1e-6
    model.family.loc.data.fill_(1.0)  # KL = 0.5 |mu|^2 = 1
    found = demo.divergence(target, model, 0, points=20_000)
    assert abs(found.value - 1) < 4 * found.monte_carlo_error


@pytest.mark.parametrize("target", demo.TARGETS, ids=lambda target: target.name)
def test_densities_that_are_approximated_integrate_to_one(target):
    left, right, low, high = target.reach
    x, y = torch.linspace(left - 2, right + 2, 1500).double(), torch.linspace(low - 2, high + 12, 1500).double()
    density = target.log_prob(torch.cartesian_prod(x, y)).exp().reshape(1500, 1500)
    assert abs(torch.trapezoid(torch.trapezoid(density, y), x).item() - 1) < 1e-2


def test_the_command_writes_what_the_show_makes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "show", lambda folder, seed, say: [folder / "moons.gif"])
    assert main(["demo", "em"]) == 0
    assert "runs/demo-em: moons.gif" in capsys.readouterr().out
    assert main(["demo", "en"]) == 2
    assert "DEMO: expected one of em, got 'en'" in capsys.readouterr().err
