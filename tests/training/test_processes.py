"""Two processes on half batches take the steps of one process on whole batches."""

from pathlib import Path

import torch

from tests.launching import in_two_processes
from tests.training.exact import fitted
from unveil.models.saving import read_tensors

PROGRAM = Path(__file__).with_name("exact.py")


def test_two_processes_train_on_averaged_gradients(tmp_path):
    in_two_processes(str(PROGRAM), str(tmp_path / "two"), "8")
    fitted(str(tmp_path / "one"), 16)
    one, two = (read_tensors(tmp_path / name / "model.safetensors")[0] for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in one:
        assert torch.allclose(one[name], two[name], rtol=0, atol=1e-12)
