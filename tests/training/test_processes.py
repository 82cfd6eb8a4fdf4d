"""Two processes on half batches take the steps of one process on whole batches."""

import socket
import subprocess
import sys
from pathlib import Path

import torch

from tests.training.exact import fitted
from unveil.models.saving import read_tensors

PROGRAM = Path(__file__).with_name("exact.py")


def free_port() -> str:
    """A port that nobody listens on: another test may launch at the same time."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_two_processes_train_on_averaged_gradients(tmp_path):
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += [
        "--main_process_port",
        free_port(),
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
    ]
    subprocess.run([*launch, str(PROGRAM), str(tmp_path / "two"), "8"], check=True, capture_output=True, timeout=300)
    fitted(str(tmp_path / "one"), 16)
    one, two = (read_tensors(tmp_path / name / "model.safetensors")[0] for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in one:
        assert torch.allclose(one[name], two[name], rtol=0, atol=1e-12)
