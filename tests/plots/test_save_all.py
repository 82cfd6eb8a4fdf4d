"""Every kind of model gets the pictures that make sense for it, and none costs a run."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

import unveil as uv
from tests.plots.zoo import KINDS
from unveil.plots import save_all, style
from unveil.training import Run

METRICS = [
    {"epoch": epoch, "objective": -5.0 + epoch, "distortion": 4.0 - epoch, "rate": 1.0, "validation": -4.0 + epoch}
    for epoch in range(1, 4)
]


def run_of(kind: str) -> Run:
    return Run(KINDS[kind].model().eval(), KINDS[kind].data(), list(METRICS))


@pytest.fixture
def coarse(monkeypatch) -> None:
    """Few dots, which are written fast."""
    monkeypatch.setattr(style, "DPI", 40)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("coarse")
def test_pictures_are_those_that_make_sense(kind, tmp_path, caplog):
    caplog.set_level(logging.INFO, "unveil.plots")
    run = run_of(kind)
    evaluation = uv.evaluate(run.model, run.data.train, particles=2)
    state = torch.get_rng_state()
    written = save_all(run, evaluation, tmp_path)
    assert {path.stem for path in written} == {*KINDS[kind].pictures, "training"}
    assert set((tmp_path / "plots").iterdir()) == set(written)
    left_out = {record.args[0] for record in caplog.records}
    assert len(left_out) + len(written) == 11
    assert torch.equal(torch.get_rng_state(), state), "drawing must not change what is drawn afterwards"


def test_pictures_are_wide_enough_and_white_at_their_edges(tmp_path):
    for path in save_all(run_of("binary images"), None, tmp_path):
        picture = imread(path)[..., :3]
        assert picture.shape[1] == 1600
        edges = (picture[:20], picture[-20:], picture[:, :20], picture[:, -20:])
        assert all(np.all(edge == 1) for edge in edges), path.name


@pytest.mark.usefixtures("coarse")
def test_pictures_of_an_earlier_run_are_replaced_and_equal_ones_are_equal(tmp_path):
    first = {path.name: path.read_bytes() for path in save_all(run_of("binary images"), None, tmp_path / "a")}
    torch.manual_seed(0)
    run = run_of("binary images")
    save_all(run_of("a table"), None, tmp_path / "b")
    kept = save_all(run, None, tmp_path / "b")
    again = {path.name: path.read_bytes() for path in save_all(run, None, tmp_path / "c")}
    assert {path.name for path in (tmp_path / "b" / "plots").iterdir()} == {path.name for path in kept} == set(first)
    assert {path.name: path.read_bytes() for path in kept} == again


@pytest.mark.usefixtures("coarse")
def test_a_run_without_an_epoch_or_an_evaluation_has_the_other_pictures(tmp_path):
    run = run_of("a table")
    run.metrics.clear()
    assert {path.stem for path in save_all(run, None, tmp_path)} == {"marginals", "pairs", "latents"}


@pytest.mark.usefixtures("coarse")
def test_a_model_in_training_mode_is_drawn_at_rest_and_given_back(tmp_path):
    run = run_of("binary images")
    run.model.train()
    save_all(run, None, tmp_path)
    assert run.model.training
    assert all(parameter.grad is None for parameter in run.model.parameters())


@pytest.mark.usefixtures("coarse")
def test_not_one_number_of_the_model_needs_to_be_finite(tmp_path):
    for kind in ("binary images", "a table"):
        run = run_of(kind)
        for parameter in run.model.parameters():
            torch.nn.init.constant_(parameter, torch.nan)
        assert len(save_all(run, None, tmp_path)) >= 3


def test_neither_pyplot_nor_global_settings_are_touched():
    code = (
        "import sys, matplotlib; before = matplotlib.rcParams.copy(); import unveil.plots as plots\n"
        "plots.training_curve([{'epoch': 1, 'objective': -1.0}]).savefig(sys.argv[1])\n"
        "assert 'matplotlib.pyplot' not in sys.modules and matplotlib.rcParams.copy() == before\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code, "/dev/null"], check=True, cwd=Path.cwd())
