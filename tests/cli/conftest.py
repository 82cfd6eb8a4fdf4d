"""A command line in a scratch folder: in this process where nothing speaks against it, in one of its own otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from unveil.cli import main

SOURCE = Path(__file__).parents[2] / "src"
SMALL = (
    *("--data", "tiny.npz", "--model.latent_dim", "2", "--batch_size", "10", "--device", "cpu"),
    *("--model.encoder", "MLP", "--model.encoder.hidden", "6", "--model.decoder", "MLP", "--model.decoder.hidden", "6"),
)
"""A fit of a moment; give it an --out and --epochs."""


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _single_precision(_double_precision_and_fixed_seed: None) -> None:
    torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with small data in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    random = np.random.default_rng(0)
    np.savez("tiny.npz", x=(random.random((60, 5)) < 0.3).astype(np.uint8), y=random.integers(0, 3, 60))
    np.savez("images.npz", x=random.integers(0, 4, (60, 4, 4)).astype(np.uint8), y=random.integers(0, 3, 60))
    np.save("real.npy", random.normal(size=(60, 3)))
    return tmp_path


@pytest.fixture
def unveil(capsys: pytest.CaptureFixture[str]) -> Callable[[str], Result]:
    """Run a command line in this process."""

    def run(words: str) -> Result:
        capsys.readouterr()
        status = main(words.split())
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run


@pytest.fixture
def fit(unveil: Callable[[str], Result]) -> Callable[[str], Result]:
    """Fit a small model without evaluating it; it must work."""

    def run(words: str) -> Result:
        result = unveil(" ".join(["fit", *SMALL, "--epochs 1", "--no-evaluate", words]))
        assert result.status == 0, result.err
        return result

    return run


@pytest.fixture
def shell() -> Iterator[Callable[[list[str]], subprocess.Popen[str]]]:
    """Start a Python process of its own, which ends with the test at the latest."""
    started: list[subprocess.Popen[str]] = []

    def start(words: list[str]) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([sys.executable, *words], env=environment, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()
