"""`unveil sample`: pictures of images, numbers of everything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


def test_numbers(unveil, fit):
    fit("--out run")
    result = unveil("sample run -n 7 --seed 3")
    assert (result.status, result.out) == (0, "7 samples of VAE, x of 5: run/samples.npz\n")
    x = np.load("run/samples.npz")["x"]
    assert (x.shape, x.dtype) == ((7, 5), np.uint8)
    assert set(np.unique(x)) <= {0, 1}


def test_the_seed_decides_the_samples(unveil, fit):
    fit("--out run")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        unveil(f"sample run --seed {seed} --out {name}.npz")
    a, b, c = (np.load(f"{name}.npz")["x"] for name in "abc")
    assert (a == b).all()
    assert (a != c).any()


def test_means_are_no_whole_numbers(unveil, fit):
    fit("--out run")
    assert unveil("sample run --mean --size 3").status == 0
    x = np.load("run/samples.npz")["x"]
    assert x.dtype == np.float32
    assert ((x > 0) & (x < 1)).all()


def test_at_temperature_zero_all_codes_are_the_priors_mode(unveil, fit):
    fit("--out run")
    unveil("sample run --mean --temperature 0 --size 5")
    x = np.load("run/samples.npz")["x"]
    assert np.allclose(x, x[0])


def test_a_picture(unveil, fit):
    fit("--out run --data images.npz")
    assert unveil("sample run -n 10").out.endswith("run/samples.png\n")
    assert Path("run/samples.png").read_bytes().startswith(b"\x89PNG")
    assert unveil("sample run -n 10 --out x.npz").status == 0
    assert np.load("x.npz")["x"].shape == (10, 1, 4, 4)


@pytest.mark.parametrize(("words", "size"), [("--context 1", 6), ("--context 0,0,1", 6), ("", 6), ("-n 2", 2)])
def test_a_condition(unveil, fit, words, size):
    fit("--out run --model CVAE --context label")
    assert unveil(f"sample run --size 6 {words}").status == 0
    assert np.load("run/samples.npz")["x"].shape == (size, 5)


def test_more_than_one_at_once(unveil, fit):
    fit("--out run --model CVAE --context label")
    unveil("sample run -n 2500")
    assert len(np.load("run/samples.npz")["x"]) == 2500


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--size 0", "--size: expected at least 1, got 0"),
        ("--temperature -1", "--temperature: expected at least 0, got -1.0"),
        ("--out x.png", "--out: expected a .npz file, since 5, binary can't be drawn as images"),
        ("--out x.jpg", "--out: expected a .png or .npz file, got 'x.jpg'"),
        ("--out no/x.npz", "make no first"),
        ("--context 1", "--context: expected nothing, since the model has no context"),
        ("--device cuda:9", "--device: cuda:9 is asked for"),
    ],
)
def test_mistakes(unveil, fit, words, message):
    fit("--out run")
    result = unveil(f"sample run {words}")
    assert (result.status, result.out) == (2, "")
    assert message in result.err
    assert not Path("run/samples.npz").exists()


@pytest.mark.parametrize("context", ["3", "one", "1,2"])
def test_a_condition_that_is_none(unveil, fit, context):
    fit("--out run --model CVAE --context label")
    result = unveil(f"sample run --context {context}")
    assert f"--context: expected a class 0..2, or 3 numbers separated by commas, got '{context}'" in result.err
