"""`unveil evaluate`: a table for people, one object for programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

ESTIMATES = ("elbo", "log_likelihood", "rate", "distortion", "mean_kl", "mutual_information", "marginal_kl")
NUMBERS = ("particles", "examples", "active_units", "bits_per_dim")


def test_json_is_one_object_and_nothing_else(unveil, fit):
    fit("--out run")
    result = unveil("evaluate run --json --particles 4")
    found = json.loads(result.out)
    assert result.status == 0
    assert set(found) >= {*ESTIMATES, *NUMBERS}
    for name in ESTIMATES:
        assert set(found[name]) == {"value", "monte_carlo_error", "standard_error", "bound"}
    assert (found["particles"], found["examples"]) == (4, 6)
    assert found["elbo"]["bound"] == "lower"
    assert found["bits_per_dim"] > 0


def test_it_is_what_the_fit_said(unveil, fit):
    fit("--out run --evaluate true --particles 4")
    again = json.loads(unveil("evaluate run --json --particles 4").out)
    assert again == json.loads(Path("run/evaluation.json").read_text())


def test_the_table_says_what_was_evaluated(unveil, fit):
    fit("--out run")
    result = unveil("evaluate run --particles 4 --limit 3 --split validation")
    assert result.status == 0
    for said in ("tiny: rows of 5, binary", "VAE", "the 6 validation rows", "ELBO", "lower bound", "marginal KL"):
        assert said in result.out


def test_a_file_of_weights(unveil, fit, tmp_path):
    fit("--out run")
    Path("elsewhere").mkdir()
    Path("run/model.safetensors").rename("elsewhere/weights.safetensors")
    assert "no config.yaml beside" in unveil("evaluate elsewhere/weights.safetensors").err
    result = unveil("evaluate elsewhere/weights.safetensors --data tiny.npz --particles 2 --json")
    assert json.loads(result.out)["examples"] == 6


def test_other_data_brings_its_own_splits(unveil, fit):
    fit("--out run --test 20")
    np.savez("other.npz", train=np.eye(5), test=1 - np.eye(5))
    assert json.loads(unveil("evaluate run --particles 2 --json").out)["examples"] == 20
    assert json.loads(unveil("evaluate run --data other.npz --particles 2 --json").out)["examples"] == 5


def test_a_context_is_taken_from_the_run(unveil, fit):
    fit("--out run --model CVAE --context label")
    assert unveil("evaluate run --particles 2 --data tiny.npz").status == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--data images.npz", "expected rows of shape (5,) as in the data that the model was fitted to, got (1, 4, 4)"),
        ("--split tset", "--split: expected one of 'train', 'validation', 'test', got 'tset'; did you mean 'test'?"),
        ("--particles 0", "--particles: expected at least 1, got 0"),
        ("--limit 0", "--limit: expected at least 1, got 0"),
        ("--device cuda:9", "--device: cuda:9 is asked for"),
        ("--data none.npz", "--data: expected an existing file or folder"),
        ("--jsn", "unknown option --jsn; did you mean --json?"),
        ("again", "unexpected word 'again'"),
    ],
)
def test_mistakes(unveil, fit, words, message):
    fit("--out run")
    result = unveil(f"evaluate run {words}")
    assert (result.status, result.out) == (2, "")
    assert message in result.err


def test_a_model_with_a_context_needs_data_with_one(unveil, fit):
    fit("--out run --model CVAE --context label")
    Path("run/config.yaml").unlink()
    assert (
        "--context: expected one-hot labels of 3 classes, as the model was fitted with, got none"
        in unveil("evaluate run --data tiny.npz").err
    )


def test_data_that_has_changed_since_is_refused(fit, unveil):
    fit("--data real.npy --model.encoder MLP --out run")
    x = np.load("real.npy")
    np.save("real.npy", x[10:])
    result = unveil("evaluate run --particles 2")
    assert result.status == 2
    assert "--data: the data of run is no longer what it was fitted to" in result.err
    assert unveil("evaluate run --particles 2 --data real.npy").status == 0


def test_a_run_that_was_cut_short_says_how_to_go_on(fit, unveil):
    fit("--out run")
    Path("run/model.safetensors").unlink()
    assert "unveil fit --config run/config.yaml --resume goes on with it" in unveil("evaluate run").err


def test_a_limit_is_said(fit, unveil):
    fit("--out run")
    assert "4 of the 6 test rows" in unveil("evaluate run --particles 2 --limit 4").out


def test_new_data_is_read_as_the_runs_own_and_judged_in_whole(fit, unveil):
    fit("--data tiny.npz --out run --context label --model CVAE")
    x = np.load("tiny.npz")
    np.savez("few.npz", x=x["x"][:7], y=x["y"][:7] * 0 + 1)
    result = unveil("evaluate run --particles 2 --data few.npz")
    assert result.status == 0, result.err
    assert "the 7 rows" in result.out
    own = unveil("evaluate run --particles 2 --data ./tiny.npz")
    assert "test rows" in own.out, "rows that were trained on judge"
