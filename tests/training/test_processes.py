"""Two processes on half batches take the steps of one process on whole batches."""

import subprocess
import sys
from pathlib import Path

import torch

from tests.launching import launch
from tests.training.exact import fitted
from unveil.models.saving import read_tensors

PROGRAM = Path(__file__).with_name("exact.py")


def test_two_processes_train_on_averaged_gradients(tmp_path):
    command = [sys.executable, *launch(), str(PROGRAM), str(tmp_path / "two"), "8"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    fitted(str(tmp_path / "one"), 16)
    one, two = (read_tensors(tmp_path / name / "model.safetensors")[0] for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in one:
        assert torch.allclose(one[name], two[name], rtol=0, atol=1e-12)
