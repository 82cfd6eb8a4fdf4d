"""Several processes at once."""

from __future__ import annotations

import socket


def launch() -> list[str]:
    """The arguments of python that launch two processes, on a port that nobody listens on: tests run side by side."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    place = ["--num_machines", "1", "--main_process_port", port, "--mixed_precision", "no", "--dynamo_backend", "no"]
    return ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", *place]
