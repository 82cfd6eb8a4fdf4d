"""Several processes at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ABORTED = "terminate called without an active exception"
"""What torch's own threads say if, on a crowded machine, they outlive the interpreter of a process that is done."""


def in_two_processes(*words: str) -> subprocess.CompletedProcess[str]:
    """Launch a program (or ``-m`` a module) in two processes, which must succeed.

    They are started once more if torch aborts one of them at its exit, and at no other failure.
    """
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    for left in (1, 0):
        command = [sys.executable, "-m", "accelerate.commands.launch", *_place(), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode == 0 or ABORTED not in done.stderr or not left:
            break
    assert done.returncode == 0, done.stderr
    return done


def _place() -> list[str]:
    """Two processes on this machine, on a port that nobody listens on: tests run side by side."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    alone = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--main_process_port", port]
    return [*alone, "--mixed_precision", "no", "--dynamo_backend", "no"]
