"""Several processes train one model, and one of them speaks."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import SMALL
from tests.launching import in_two_processes


def test_two_processes_make_one_run():
    arguments = ["fit", *SMALL, "--epochs", "2", "--particles", "2", "--out", "run", "--overwrite"]
    out = in_two_processes("-m", "unveil", *arguments).stdout
    assert out.count("batches of 10 in each of 2 processes") == 1
    assert out.count("log-likelihood, naive") == 1
    assert json.loads(Path("run/evaluation.json").read_text())["examples"] == 6
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 2
