"""What values are decided to be, shapes, and what validation and test rows may hold."""

import numpy as np
import pytest
import torch

from unveil.data import load
from unveil.variables import Variable


def pixels(high: int, shape=(40, 6, 5), dtype=np.uint8) -> np.ndarray:
    x = np.random.default_rng(0).integers(0, high + 1, shape)
    x.flat[0] = high
    return x.astype(dtype)


@pytest.mark.parametrize(
    ("x", "levels"),
    [
        (pixels(1), 2),
        (pixels(1) > 0, 2),
        (pixels(1).astype(np.float64), 2),
        (np.zeros((40, 6, 5)), 2),
        (pixels(16), 17),
        (pixels(16).astype(np.float32), 17),
        (pixels(31), 32),
        (pixels(200), 256),
        (pixels(255).astype(np.int64), 256),
        (pixels(200, (40, 7), np.int64), 201),
        (pixels(4, (40, 7), np.float64), 5),
        (pixels(255).astype(np.float32) / 255, 256),
        (pixels(255, (40, 7)) / 255, 256),
        (pixels(300, dtype=np.int64), None),
        (-pixels(3, dtype=np.int64), None),
        (pixels(5, (40, 7)) / 5, None),
        (np.random.default_rng(0).random((40, 7)), None),
        (np.full((40, 2), 7.25), None),
    ],
)
def test_the_values_decide_the_support(x, levels):
    data = load(x)
    assert data.variable.levels == levels
    assert data.train.stored.x.dtype == (torch.float32 if levels is None else torch.uint8)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ((40,), (1,)),
        ((40, 7), (7,)),
        ((40, 6, 5), (1, 6, 5)),
        ((40, 1, 6, 5), (1, 6, 5)),
        ((40, 3, 6, 5), (3, 6, 5)),
        ((40, 6, 5, 3), (3, 6, 5)),
        ((40, 6, 5, 1), (1, 6, 5)),
        ((40, 2, 6, 5, 4), (2, 6, 5, 4)),
    ],
)
def test_the_shape_of_rows(given, shape):
    assert load(pixels(9, given)).variable == Variable(shape, 10)


def test_levels_divided_by_255_come_back_exactly(all_x):
    x = pixels(255, (40, 6, 5))
    data = load(x.astype(np.float32) / 255, validation="none", test="none")
    assert np.array_equal(all_x(data.train)[:, 0], x)
    assert "multiples of 1/255" in data.describe()[0]


@pytest.mark.usefixtures("double_precision")
def test_reals_are_kept_in_the_default_floating_point_type(all_x):
    x = np.random.default_rng(0).normal(size=(20, 3))
    assert np.array_equal(all_x(load(x, validation="none", test="none").train), x)


def test_loaded_data_does_not_share_memory_with_the_array(all_x):
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    data = load(x, validation="none", test="none")
    before = all_x(data.train)
    x[:] = 0
    assert np.array_equal(all_x(data.train), before)


def test_levels_are_decided_before_rows_are_held_out():
    x = np.zeros((50, 1), dtype=np.int64)
    x[7] = 9
    for seed in range(20):
        assert load(x, seed=seed).variable.levels == 10


@pytest.mark.parametrize(
    ("train", "other", "got"),
    [
        (pixels(4, (40, 2)), [[0, 1], [5, 1], [0, 9]], "5 levels .* rows 1, 2;"),
        (pixels(1, (40, 2)), [[0, 1], [0.5, 1]], "binary .* row 1;"),
        (pixels(4, (40, 2)), [[-1, 0]], "row 0;"),
        (pixels(255, (40, 2)) / 255, [[0.0, 1.0], [0.0, 1.2]], "row 1;"),
        (pixels(255, (40, 2)) / 255, [[0.0, 0.3301]], "row 0;"),
    ],
)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_values_outside_the_support_of_train_are_refused_by_split_and_row(train, other, got, split):
    with pytest.raises(ValueError, match=f"{split}'\\): expected {got}" if "levels" in got else f"{split}'.*{got}"):
        load({"train": train, split: np.asarray(other)})


def test_rows_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"'test'\): expected rows of shape \(3,\) .* got \(2,\)"):
        load({"train": np.ones((9, 3)), "test": np.ones((9, 2))})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_with_nan_or_infinity_are_named(bad):
    x = np.random.default_rng(0).random((60, 4))
    x[[3, 17, 20, 30, 31, 40, 50, 59], 2] = bad
    with pytest.raises(ValueError, match=r"NaN or infinity in rows 3, 17, 20 \(and 5 more\)"):
        load(x)
    with pytest.raises(ValueError, match=r"'test'\): .* in row 3;"):
        load({"train": np.ones((9, 4)), "test": x[:10]})


def test_reals_beyond_single_precision_are_refused():
    x = np.ones((20, 2))
    x[4] = 1e300
    with pytest.raises(ValueError, match=r"range of torch\.float32, got larger ones in row 4;"):
        load(x)


def test_describe_says_what_was_decided_and_why():
    what, who, labels = load().describe()
    assert what == "digits: images of 1x8x8, 17 levels (0..16): whole numbers from 0 to 16"
    assert who == "train: 1,437 rows; validation: 180 rows, held out by seed 0; test: 180 rows, held out by seed 0"
    assert "context='label'" in labels


def test_columns_that_vary_less_than_single_precision_tells_are_refused():
    torch.set_default_dtype(torch.float32)
    x = np.random.default_rng(0).normal(size=(50, 3))
    x[:, 1] += 1e8
    with pytest.raises(ValueError, match=r"vary by less around a large number: 1; subtract"):
        load(x)
    x[:, 1] -= 1e8
    x[:, 2] = 1 / 3  # a constant is one, however it is rounded
    assert load(x).variable.shape == (3,)
