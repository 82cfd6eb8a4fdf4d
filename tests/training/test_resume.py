"""A run that was killed and resumed ends in the weights of an unbroken run, bit for bit."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import unveil as uv
from unveil.models.saving import read_tensors, write_tensors

PROGRAM = """
import sys, torch, unveil as uv
torch.manual_seed(0)
x = (torch.rand(300, 12) < 0.3).float()
data = uv.data.load(x, test="none")
torch.manual_seed(1)
vamp = lambda *sizes: uv.priors.VampPrior(*sizes, components=5)
model = uv.VAE(data.variable, latent_dim=2, prior=__import__("functools").partial(uv.priors.VampPrior, components=5))
objective = uv.objectives.BetaELBO(uv.objectives.Linear(0, 1, 5))
uv.fit(model, data, objective=objective, epochs=int(sys.argv[2]), batch_size=20, average=0.9, out=sys.argv[1],
       resume=True, progress=False, checkpoint_seconds=0.0)
"""
EPOCHS = 25


def start(folder):
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), str(EPOCHS)], env={**os.environ})


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    assert start(folder).wait(120) == 0
    return folder


def test_killed_at_any_moment_and_resumed_it_ends_in_the_same_weights(tmp_path, unbroken):
    folder, kills = tmp_path / "run", 0
    for wait in (0.0, 0.05, 0.2, 0.4):
        process = start(folder)
        deadline = time.monotonic() + 60
        while not (folder / "checkpoint" / "last.safetensors").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 2
    assert start(folder).wait(120) == 0
    assert (folder / "model.safetensors").read_bytes() == (unbroken / "model.safetensors").read_bytes()

    def numbers(run):
        lines = (run / "metrics.jsonl").read_text().splitlines()
        return [line.split('"seconds"')[0] for line in lines]

    assert numbers(folder) == numbers(unbroken)
    assert len(numbers(folder)) == EPOCHS


def test_a_finished_run_is_left_as_it_is(unbroken):
    before = {file: file.stat().st_mtime_ns for file in unbroken.rglob("*.safetensors")}
    assert start(unbroken).wait(120) == 0
    assert {file: file.stat().st_mtime_ns for file in unbroken.rglob("*.safetensors")} == before


def test_interrupted_it_saves_and_ends(tmp_path):
    folder = tmp_path / "run"
    process = start(folder)
    while not (folder / "checkpoint" / "last.safetensors").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert uv.load(folder).sample(2).shape == (2, 12)


@pytest.fixture
def pieces():
    data = uv.data.load((torch.rand(100, 6) < 0.5).double(), test="none")
    return uv.VAE(data.variable, latent_dim=2), data


OTHERS = {
    "batch_size": 7, "lr": 0.1, "seed": 1, "precision": "bfloat16", "average": 0.5, "clip": 1.0, "patience": 3,
    "objective": uv.objectives.ELBO(), "gradient": uv.gradients.StickingTheLanding(), "epochs": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_checkpoint_of_other_settings_is_refused(tmp_path, pieces, name):
    model, data = pieces
    settings = {"epochs": 1, "objective": uv.objectives.ELBO(closed_form=False), "progress": False}
    uv.fit(model, data, **settings, out=tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=rf"another run: {name}"):
        uv.fit(model, data, **{**settings, name: OTHERS[name]}, out=tmp_path / "run", resume=True)


class Steep(uv.VAE):
    """A VAE with a parameter that costs nothing and has the gradient 0 x infinity."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.root = torch.nn.Parameter(torch.zeros(()))

    def walk(self, visit, batch):
        super().walk(visit, batch)
        visit.factor("steep", lambda: 0 * self.root.sqrt().expand(visit.shape))


def test_a_checkpoint_with_a_nan_is_never_written(tmp_path, pieces):
    data = pieces[1]
    with pytest.raises(FloatingPointError, match="root are not finite after step 1"):
        uv.fit(
            Steep(data.variable, latent_dim=2), data, epochs=1, out=tmp_path / "run", progress=False,
            checkpoint_seconds=0,
        )  # fmt: skip
    assert not list((tmp_path / "run").rglob("*.safetensors"))


def test_a_truncated_checkpoint_is_refused_and_left(tmp_path, pieces):
    model, data = pieces
    uv.fit(model, data, epochs=1, out=tmp_path / "run", progress=False)
    file = tmp_path / "run" / "checkpoint" / "last.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match="damaged"):
        uv.fit(model, data, epochs=1, out=tmp_path / "run", resume=True, progress=False)
    assert file.stat().st_size == 1000


def test_a_folder_with_a_run_is_neither_overwritten_nor_resumed_unasked(tmp_path, pieces):
    model, data = pieces
    uv.fit(model, data, epochs=1, out=tmp_path / "run", progress=False)
    with pytest.raises(ValueError, match="holds a run already"):
        uv.fit(model, data, epochs=1, out=tmp_path / "run", progress=False)
    assert uv.fit(model, data, epochs=1, out=tmp_path / "run", overwrite=True, progress=False).finished


def test_a_run_does_not_go_on_with_other_data(tmp_path):
    x = (torch.rand(60, 4) < 0.5).float()
    settings = {"epochs": 2, "batch_size": 10, "out": tmp_path / "run", "progress": False}
    uv.fit(uv.VAE(uv.Variable((4,), levels=2), latent_dim=2), x, **settings)
    counters = read_tensors(tmp_path / "run" / "checkpoint" / "last.safetensors")
    header = counters[1]
    header["counters"]["finished"] = False
    write_tensors(tmp_path / "run" / "checkpoint" / "last.safetensors", counters[0], header)
    with pytest.raises(ValueError, match="data differ"):
        uv.fit(uv.VAE(uv.Variable((4,), levels=2), latent_dim=2), 1 - x, resume=True, **settings)
