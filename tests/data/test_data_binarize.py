"""Binarization: by a threshold, and dynamic in both conventions that papers use."""

import numpy as np
import pytest
import torch

from unveil.data import load

GREY = np.random.default_rng(0).integers(0, 256, (60, 6, 5), dtype=np.uint8)
PARTS = {"train": GREY, "test": GREY[:20]}


def drawn(split, seed: int) -> np.ndarray:
    return split.batch(slice(None), torch.Generator().manual_seed(seed)).x.numpy()


def test_threshold_is_one_from_half_on(all_x):
    data = load(GREY, binarize="threshold", validation="none", test="none")
    assert np.array_equal(all_x(data.train)[:, 0], GREY >= 128)
    assert data.variable.levels == 2


def test_fixed_test_draws_validation_then_test_once_from_one_stream(all_x):
    data = load(PARTS, validation="last:10", binarize="fixed_test")
    np.random.seed(777)
    expected = [np.random.binomial(1, rows.astype(np.float32) / 255.0) for rows in (GREY[50:], GREY[:20])]
    assert np.array_equal(all_x(data.validation)[:, 0], expected[0])
    assert np.array_equal(all_x(data.test)[:, 0], expected[1])
    assert np.array_equal(drawn(data.test, 0), drawn(data.test, 1))


def test_fixed_test_draws_train_anew_at_each_batch(all_x):
    data = load(PARTS, validation="last:10", binarize="fixed_test")
    assert not np.array_equal(drawn(data.train, 0), drawn(data.train, 1))
    assert np.array_equal(drawn(data.train, 0), drawn(data.train, 0))
    assert np.allclose(all_x(data.train)[:, 0], GREY[:50] / 255)


def test_redrawn_test_draws_every_split_anew():
    data = load(PARTS, binarize="redrawn_test")
    for split in data.splits.values():
        assert not np.array_equal(drawn(split, 0), drawn(split, 1))
        with pytest.raises(ValueError, match=r"^generator"):
            split.batch(slice(None))


def test_binarization_leaves_numpys_global_generator_alone():
    np.random.seed(1)
    expected = np.random.random()
    np.random.seed(1)
    load(PARTS, binarize="fixed_test")
    assert np.random.random() == expected


def test_other_greys_are_relative_to_their_largest_level(all_x):
    data = load(binarize="redrawn_test")
    assert data.train.redraw.largest == 16
    assert all_x(data.train).max() == 1
    half = load(np.linspace(0.01, 0.99, 60).reshape(20, 3), binarize="redrawn_test", validation="none", test="none")
    assert np.allclose(all_x(half.train).ravel(), np.linspace(0.01, 0.99, 60))


def test_labels_stay_with_their_rows():
    data = load((GREY, np.arange(60) % 4), context="label", binarize="fixed_test")
    plain = load((GREY, np.arange(60) % 4), context="label")
    for name, split in plain.splits.items():
        assert torch.equal(data.split(name).rows(slice(None)).context, split.rows(slice(None)).context)


@pytest.mark.parametrize("binarize", ["threshold", "fixed_test", "redrawn_test"])
def test_describe_says_which_convention(binarize):
    assert load(PARTS, binarize=binarize).describe()[-1].startswith("binarized")


@pytest.mark.parametrize(
    ("source", "binarize", "message"),
    [
        (GREY, "fixd_test", "got 'fixd_test'; did you mean 'fixed_test'"),
        (GREY > 99, "threshold", "binary already"),
        (np.linspace(-2, 2, 60).reshape(20, 3), "fixed_test", r"got reals from -.* rescale them to \[0, 1\]"),
    ],
)
def test_what_cannot_be_binarized_is_refused(source, binarize, message):
    with pytest.raises(ValueError, match=rf"^binarize: .*{message}"):
        load(source, binarize=binarize)
