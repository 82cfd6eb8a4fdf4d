"""A run that was cut off goes on as if nothing had happened; one that is finished is left alone."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL

LONG = ["-m", "unveil", "fit", *SMALL, "--no-evaluate", "--checkpoint_seconds", "0.02"]


def files(folder: str) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path(folder).rglob("*") if path.is_file()}


def wait_for(path: Path, since: int, process) -> None:
    """Until a file is newer, or the process is over."""
    while process.poll() is None and not (path.is_file() and path.stat().st_mtime_ns > since):
        time.sleep(0.002)


def test_killed_at_any_moment_the_weights_are_those_of_an_unbroken_run(shell):
    line = [*LONG, "--epochs", "40", "--average", "0.9", "--resume", "--out"]
    shell([*line, "whole"]).communicate()
    moments, checkpoint, kills = random.Random(0), Path("cut/checkpoint/last.safetensors"), 0
    for _ in range(2):
        since = checkpoint.stat().st_mtime_ns if checkpoint.is_file() else 0
        process = shell([*line, "cut"])
        wait_for(checkpoint, since, process)
        time.sleep(moments.uniform(0, 0.2))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    process = shell([*line, "cut"])
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert kills >= 1
    assert Path("cut/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    cut, whole = (Path(name, "metrics.jsonl").read_text().splitlines() for name in ("cut", "whole"))
    assert [line.partition('"seconds"')[0] for line in cut] == [line.partition('"seconds"')[0] for line in whole]


def test_control_c_saves_and_says_how_to_go_on(shell, unveil):
    process = shell([*LONG, "--epochs", "100000", "--out", "run"])
    wait_for(Path("run/metrics.jsonl"), 0, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    assert "unveil fit --config run/config.yaml --resume" in out
    assert Path("run/model.safetensors").is_file()
    for other, message in (
        ("--model.latent_dim 3", "--resume: the run in run has model.latent_dim 2, not 3"),
        ("--epochs 2", "--resume: the run in run has epochs 100000, not 2"),
        ("--data images.npz", "is a checkpoint of another run"),
    ):
        before = files("run")
        result = unveil(f"fit --out run --resume {other}")
        assert result.status == 2
        assert message in result.err
        assert files("run") == before


@pytest.mark.parametrize("words", ["--resume", "--resume --epochs 1", "--resume --no-evaluate --seed 0"])
def test_a_finished_run_is_left_as_it_is(fit, unveil, words):
    fit("--out run --evaluate true --particles 2")
    before = files("run")
    result = unveil(f"fit --out run {words}")
    assert result.status == 0
    assert "run holds a finished run; it is left as it is." in result.out
    assert files("run") == before


def test_a_finished_run_is_no_other_run(fit, unveil):
    fit("--out run")
    before = files("run")
    assert "It has epochs 1, not 5: for another run" in unveil("fit --out run --resume --no-evaluate --epochs 5").out
    assert unveil("fit --out run --resume --model.latent_dim 3").status == 2
    assert files("run") == before


@pytest.mark.parametrize("there", [False, True])
def test_resuming_where_there_is_nothing_starts(fit, there):
    if there:
        Path("run").mkdir()
    fit("--out run --resume")
    assert Path("run/model.safetensors").is_file()


def test_a_run_without_its_checkpoint_starts_anew(fit):
    fit("--out run")
    before = Path("run/model.safetensors").read_bytes()
    shutil.rmtree("run/checkpoint")
    fit("--out run --resume")
    assert Path("run/model.safetensors").read_bytes() == before


@pytest.mark.parametrize("name", ["checkpoint/last.safetensors", "model.safetensors"])
def test_truncated_files_are_refused(fit, unveil, name):
    fit("--out run")
    path = Path("run", name)
    path.write_bytes(path.read_bytes()[:-100])
    before = files("run")
    result = unveil("fit --out run --resume")
    assert result.status == 2
    assert f"run/{name}: is damaged" in result.err
    assert files("run") == before
