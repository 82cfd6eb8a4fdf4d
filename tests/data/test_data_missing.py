"""Missing entries: refused, or marked where somebody says that NaN is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import unveil as uv
from unveil.data import load


@pytest.fixture
def table() -> np.ndarray:
    """Binary, whole and real columns."""
    random = np.random.default_rng(0)
    return np.stack([random.integers(0, 2, 80), random.integers(0, 9, 80), random.normal(size=80)], axis=1)


@pytest.fixture
def gaps() -> np.ndarray:
    return np.random.default_rng(1).random((80, 3)) < 0.2


def test_missing_entries_are_refused_with_the_way_out(table, gaps):
    table[gaps] = np.nan
    with pytest.raises(ValueError, match=r"expected finite numbers.*marginalised with missing='mask'"):
        load(table)


def test_missing_entries_are_marked_and_say_nothing_about_the_kind_of_data(table, gaps):
    for columns, levels in (([0], 2), ([0, 1], 9), ([0, 1, 2], None)):
        whole, holed = table[:, columns], np.where(gaps, np.nan, table)[:, columns]
        data = load(holed, missing="mask", validation="none", test="none")
        assert data.variable == load(whole).variable == uv.Variable((len(columns),), levels)
        batch = data.train.batch(slice(None))
        assert torch.equal(batch.mask_of("x"), torch.from_numpy(~gaps[:, columns]))
        assert np.allclose(batch.x.numpy()[~gaps[:, columns]], whole[~gaps[:, columns]])
        assert "are missing" in " ".join(data.describe())


def test_splits_keep_their_masks(table, gaps):
    data = load(np.where(gaps, np.nan, table), missing="mask", seed=3)
    count = sum(int((~split.stored.mask_of("x")).sum()) for split in data.splits.values())
    assert count == gaps.sum()


def test_what_is_complete_has_no_mask(table):
    assert load(table, missing="mask").train.stored.mask is None


def test_an_image_with_missing_pixels(table):
    images = np.random.default_rng(0).integers(0, 4, (30, 5, 4)).astype(float)
    images[:, 0, 0] = np.where(np.arange(30) < 20, np.nan, images[:, 0, 0])
    data = load(images, missing="mask", validation="none", test="none")
    assert data.variable == uv.Variable((1, 5, 4), 4)
    assert data.train.batch(slice(None)).mask_of("x")[:, 0, 0, 0].sum() == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing": "drop"}, "missing: expected 'refuse' or 'mask', got 'drop'"),
        ({"missing": "mask", "binarize": "threshold"}, "missing: expected 'refuse' where grey values are binarized"),
    ],
)
def test_options_that_make_no_sense_are_refused(table, options, message):
    with pytest.raises(ValueError, match=message):
        load(table, **options)


def test_a_column_that_is_never_observed_is_refused(table):
    table[:, 1] = np.nan
    with pytest.raises(ValueError, match=r"expected an observed number in every column.*, got none in \[1\]"):
        load(table, missing="mask")
    held_out = table.copy()
    held_out[:-5, 1], held_out[-5:, 1] = np.nan, 1.5
    with pytest.raises(ValueError, match=r"every column of the training rows, got none in \[1\]"):
        load(held_out, missing="mask", test="last:5", validation="none")


def test_a_masked_array_keeps_its_mask(table, gaps):
    data = load(np.ma.masked_array(table, gaps), missing="mask", test="none", validation="none")
    assert torch.equal(data.train.stored.mask, torch.from_numpy(~gaps))
    with pytest.raises(ValueError, match="expected finite numbers, got NaN or infinity"):
        load(np.ma.masked_array(table, gaps))


def test_a_table_with_missing_entries_is_fitted_and_evaluated(table, gaps, tmp_path):
    data = load(np.where(gaps, np.nan, table), missing="mask")
    run = uv.fit(uv.VAE(data.variable, latent_dim=2), data, epochs=2, progress=False, out=tmp_path / "run")
    evaluation = uv.evaluate(run.model, run.data.test, particles=10, progress=False)
    complete = uv.evaluate(run.model, run.data.test.stored.without("mask"), particles=10, progress=False)
    assert evaluation.log_likelihood.value != complete.log_likelihood.value
    assert evaluation.bits_per_dim.value > 0
