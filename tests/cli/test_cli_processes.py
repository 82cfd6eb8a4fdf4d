"""Several processes train one model, and one of them speaks."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import SMALL
from tests.launching import launch


def test_two_processes_make_one_run(shell):
    process = shell([*launch(), "-m", "unveil", "fit", *SMALL, "--epochs", "2", "--particles", "2", "--out", "run"])
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.count("batches of 10 in each of 2 processes") == 1
    assert out.count("log-likelihood, naive") == 1
    assert json.loads(Path("run/evaluation.json").read_text())["examples"] == 6
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 2
