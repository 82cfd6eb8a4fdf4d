"""`unveil sample`: pictures of images, numbers of everything else."""

from __future__ import annotations

import csv
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
        ("--out x.png", "--out: expected a .npz or .csv file, since 5, binary can't be drawn as images"),
        ("--out x.jpg", "--out: expected a .png, .csv or .npz file, got 'x.jpg'"),
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


def table(words: str) -> list[dict[str, str]]:
    with Path(words).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_table_is_drawn_as_a_table(unveil, fit):
    Path("pets.csv").write_text("weight,age\n" + "".join(f"{i % 9}.5,{i % 4}.25\n" for i in range(80)))
    fit("--data pets.csv --out run")
    result = unveil("sample run --size 6")
    assert (result.status, result.out) == (0, "6 samples of VAE, x of 2: run/samples.csv\n")
    rows = table("run/samples.csv")
    assert len(rows) == 6
    assert list(rows[0]) == ["weight", "age"]
    unveil("sample run --size 6 --out same.npz")
    np.testing.assert_allclose([float(row["age"]) for row in rows], np.load("same.npz")["x"][:, 1], rtol=1e-6)


def test_a_table_has_what_it_is_conditioned_on_beside_it(unveil, fit):
    Path("pets.csv").write_text("kind,weight,age\n" + "cat,4.5,3.25\ndog,9.25,4.5\n" * 40)
    fit("--data pets.csv --context kind --model CVAE --out run")
    unveil("sample run --size 4")
    assert [row["context"] for row in table("run/samples.csv")] == ["cat", "dog", "cat", "dog"]
    fit("--data pets.csv --target weight --context age --model CVAE --out other")
    unveil("sample other --size 3 --context 4.5")
    assert [(list(row), row["age"]) for row in table("other/samples.csv")] == [(["weight", "age"], "4.5")] * 3


def test_levels_are_whole_numbers_in_a_table(unveil, fit):
    fit("--out run")
    unveil("sample run --size 5 --out drawn.csv")
    assert {value for row in table("drawn.csv") for value in row.values()} <= {"0", "1"}


def test_images_are_no_table(unveil, fit):
    fit("--data digits --limit 10 --out run")
    result = unveil("sample run --out drawn.csv")
    assert result.status == 2
    assert "--out: expected a .npz file, since 1x8x8, 17 levels is no row of a table, got 'drawn.csv'" in result.err
