"""Rows that come later are read as the rows that a model was fitted to."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from unveil.data import Data, Format, load

COUNTS = np.arange(60).reshape(20, 3) % 13


def table(tmp_path, name: str, header: str, rows: list[str]) -> str:
    path = tmp_path / f"{name}.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


@pytest.fixture
def animals(tmp_path) -> Data:
    names = ("bird", "cat", "dog")
    rows = [f"{i / 7:.3f},{i * 1.5:.3f},{names[i % 3]}" for i in range(30)]
    return load(table(tmp_path, "animals", "a,b,animal", rows), context="animal")


def again(form: Format) -> Format:
    """Written down and read."""
    return Format.from_plain(json.loads(json.dumps(form.to_plain())))


def test_levels_are_those_of_the_first_data():
    first = load(COUNTS)
    later = load(COUNTS % 5, like=again(first.format))
    assert later.variable == first.variable
    assert list(later.splits) == ["train"], "rows are held out of data that only judges"
    with pytest.raises(ValueError, match=r"expected 13 levels.*from 20 to 20"):
        load(np.full((4, 3), 20), like=first.format)


def test_whole_numbers_are_real_where_the_first_data_was():
    first = load(COUNTS + 0.5)
    assert load(COUNTS % 2, like=again(first.format)).variable == first.variable


def test_multiples_of_1_255_and_levels_are_the_same_images():
    levels = np.arange(2 * 64 * 64).reshape(2, 64, 64) % 256
    first = load(levels / 255, test="none", validation="none")
    assert first.variable.levels == 256
    for x in (levels / 255, levels.astype(np.uint8)):
        later = load(x, like=again(first.format))
        assert torch.equal(later.train.rows(slice(None)).x[:, 0], torch.from_numpy(levels).float())


def test_classes_keep_their_codes(animals, tmp_path):
    later = load(
        table(tmp_path, "later", "a,b,animal", ["1,2.5,dog", "2,3.5,cat"]), context="animal", like=again(animals.format)
    )
    assert later.context == animals.context
    assert later.train.rows(slice(None)).context.tolist() == [[0, 0, 1], [0, 1, 0]]
    with pytest.raises(ValueError, match=r"expected the labels of 3 classes.*'zebra'"):
        load(table(tmp_path, "z", "a,b,animal", ["1,2.5,zebra"]), context="animal", like=animals.format)


def test_columns_are_found_by_name(animals, tmp_path):
    turned = table(tmp_path, "turned", "animal,b,a", ["dog,2.5,1"])
    later = load(turned, context="animal", like=again(animals.format))
    assert later.train.rows(slice(None)).x.tolist() == [[1, 2.5]]
    other = table(tmp_path, "other", "a,c,animal", ["1,2.5,dog"])
    with pytest.raises(ValueError, match=r"expected the columns a, b, got others \(lacking: b; unknown: c\)"):
        load(other, context="animal", like=animals.format)


def test_rows_of_another_shape_or_without_the_context_are_refused(animals):
    with pytest.raises(ValueError, match=r"expected rows of shape \(2,\) as in the data that the model was fitted to"):
        load(COUNTS + 0.5, like=load(COUNTS[:, :2] + 0.5).format)
    with pytest.raises(ValueError, match=r"context: expected one-hot labels of 3 classes .bird, cat, dog."):
        load(COUNTS[:, :2] + 0.5, like=animals.format)
    assert animals.format.class_names == ["bird", "cat", "dog"]


@pytest.mark.parametrize("dtype", ["i4", "u4", "i8", "f8"])
def test_numbers_that_single_precision_blurs_are_refused(dtype):
    x = np.c_[1_700_000_000 + np.arange(300), np.arange(300)].astype(dtype)
    with pytest.raises(ValueError, match="can tell, got columns that vary by less around a large number: 0"):
        load(x)


@pytest.mark.parametrize("scale", [1e-25, 1e20])
def test_numbers_whose_squares_single_precision_cannot_hold_are_refused(scale):
    x = scale * np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(ValueError, match=r"whose squares single precision can hold.*another scale: 0, 1; choose other"):
        load(x)


def test_columns_whose_density_has_no_limit_are_told_of(tmp_path):
    rows = [f"{i / 7:.3f},2.5,{i % 2}" for i in range(30)]
    told = " ".join(load(table(tmp_path, "t", "a,b,c", rows)).describe())
    assert "b: a single value among real numbers" in told
    assert "c: two values only among real numbers" in told
    assert "without limit" not in " ".join(load(COUNTS + 0.5).describe())
