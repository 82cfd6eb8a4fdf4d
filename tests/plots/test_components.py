"""Pictures of components."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch.distributions import Normal

from unveil.plots import densities, ellipses, level_probabilities, means_as_images, profiles
from unveil.plots.histograms import grid_of

MEANS = torch.tensor([[0.0, 0.0], [3.0, 1.0], [1.0, 1.0]])
COVARIANCES = torch.stack([torch.diag(torch.tensor([4.0, 1.0])), torch.eye(2), torch.eye(2)])


def test_an_ellipse_has_the_axes_of_its_covariance():
    weights, x = torch.tensor([0.5, 0.5, 0.0]), torch.randn(20, 2)
    figure = ellipses(MEANS, COVARIANCES, weights, x, torch.full((20, 3), 1 / 3), names=("a", "b"))
    (ax,) = figure.axes
    wide, round_ = ax.patches[0], ax.patches[2]
    assert sorted([wide.get_width(), wide.get_height()]) == pytest.approx([4.0, 8.0])  # two deviations on each side
    assert round_.get_width() == pytest.approx(4.0)
    assert tuple(round_.center) == pytest.approx((3.0, 1.0))
    assert len(ax.patches) == 4  # a face and a line each; the empty component is left out
    assert ax.get_xlabel() == "a"
    assert any("1 of 3 components" in text.get_text() for text in figure.texts)


def test_three_features_make_three_pairs_and_one_none():
    means, covariances = torch.zeros(2, 4), torch.eye(4).expand(2, 4, 4)
    figure = ellipses(means, covariances, torch.ones(2) / 2, torch.randn(9, 4), torch.full((9, 2), 0.5))
    assert len(figure.axes) == 3
    with pytest.raises(ValueError, match="at least two features, got 1"):
        ellipses(torch.zeros(2, 1), torch.ones(2, 1, 1), torch.ones(2) / 2, torch.randn(9, 1), torch.full((9, 2), 0.5))


def test_mean_images_are_shown_the_heaviest_first():
    means = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
    figure = means_as_images(means, torch.tensor([0.2, 0.8]), 2)
    shown = figure.axes[0].images[0].get_array()
    assert shown[0, 0].max() == 1.0  # the second component, all light
    assert shown[0, -1].max() == 0.0
    assert any("80.0% to 20.0%" in text.get_text() for text in figure.texts)


def said(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def test_features_that_are_not_shown_are_said():
    means, covariances = torch.zeros(2, 4), torch.eye(4).expand(2, 4, 4)
    figure = ellipses(means, covariances, torch.ones(2) / 2, torch.randn(9, 4), torch.full((9, 2), 0.5))
    assert "the first 3 of 4 features" in said(figure)


class TestDensities:
    GRID = torch.linspace(-4, 4, 201)
    EACH = torch.stack([Normal(-1.0, 0.5).log_prob(GRID).exp(), Normal(2.0, 0.5).log_prob(GRID).exp()])
    WEIGHTS = torch.tensor([0.25, 0.75])

    def test_lines_are_weighted_densities_and_their_sum(self):
        figure = densities(self.GRID, self.EACH, self.WEIGHTS, torch.randn(200), name="height")
        (ax,) = figure.axes
        assert [line.get_label() for line in ax.lines] == ["component 0, 25.0%", "component 1, 75.0%", "sum"]
        first, second, total = (torch.as_tensor(line.get_ydata()) for line in ax.lines)
        assert torch.allclose(first, 0.25 * self.EACH[0])
        assert torch.allclose(total, first + second)
        assert ax.get_xlabel() == "height"

    def test_bars_have_an_area_of_one_without_what_is_missing(self):
        x = torch.cat([torch.randn(200), torch.full((100,), torch.nan)])
        (ax,) = densities(self.GRID, self.EACH, self.WEIGHTS, x).axes
        assert sum(bar.get_height() * bar.get_width() for bar in ax.patches) == pytest.approx(1, abs=0.02)

    def test_outliers_and_peaks_that_are_cut_off_are_said(self):
        x = torch.cat([torch.linspace(-3, 3, 1999), torch.tensor([1e6])])
        narrow = torch.where(self.GRID[100] == self.GRID, 1e5, 0.0).unsqueeze(0)
        figure = densities(self.GRID, narrow, torch.ones(1), x)
        assert "1 of 2,000 values" in said(figure)
        assert "peaks of the density are cut off" in said(figure)
        assert figure.axes[0].get_xlim()[1] < 10
        assert figure.axes[0].get_ylim()[1] < 10

    def test_whole_numbers_have_a_bar_each(self):
        x = torch.tensor([0.0, 1.0, 1.0, 3.0])
        (ax,) = densities(torch.arange(5.0), torch.full((1, 5), 0.2), torch.ones(1), x, levels=5).axes
        assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.25, 0.5, 0, 0.25])

    def test_points_are_dense_where_a_component_is_narrow(self):
        grid = grid_of(torch.randn(100), torch.tensor([0.3]), torch.tensor([1e-5]))
        assert ((grid - 0.3).abs() < 4e-5).sum() > 50
        assert torch.equal(grid, grid.sort().values)


class TestWholeNumbers:
    def test_rows_are_components_the_heaviest_first(self):
        means = torch.tensor([[0.0, 1.0, 0.5], [1.0, 0.0, 0.25]])
        figure = profiles(means, torch.tensor([0.4, 0.6]), levels=2, names=("a", "b", "c"))
        ax, key = figure.axes
        assert np.allclose(ax.images[0].get_array(), means[[1, 0]])
        assert [label.get_text() for label in ax.get_yticklabels()] == ["component 1, 60.0%", "component 0, 40.0%"]
        assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]
        assert [text.get_text() for text in ax.texts] == ["1.00", "0.00", "0.25", "0.00", "1.00", "0.50"]
        assert key.get_title(loc="left") == "p(x = 1)"

    def test_many_features_and_components_are_neither_named_nor_hidden_in_silence(self):
        weights = torch.linspace(1, 2, 60).softmax(0)
        figure = profiles(torch.rand(60, 3000), weights, levels=9)
        ax = figure.axes[0]
        assert ax.images[0].get_array().shape == (40, 3000)
        assert not ax.texts
        assert ax.get_xlabel() == "feature"
        assert "the 40 heaviest of 60 components" in said(figure)
        assert "3,000 features, more than dots" in said(figure)

    def test_levels_are_blocks_of_features(self):
        p = torch.rand(2, 3, 4).softmax(-1)
        figure = level_probabilities(p, torch.tensor([0.7, 0.3]), names=("a", "b", "c"))
        blocks = [ax for ax in figure.axes if ax.images]
        assert [ax.texts[-1].get_text() for ax in blocks] == ["a", "b", "c"]
        for feature, ax in enumerate(blocks):
            assert np.allclose(ax.images[0].get_array(), p[:, feature])

    def test_blocks_that_do_not_fit_are_said_to_be_left_out(self):
        figure = level_probabilities(torch.full((1, 100, 5), 0.2), torch.ones(1))
        shown = len([ax for ax in figure.axes if ax.images])
        assert 10 < shown < 100
        assert f"{shown} of 100 features, evenly spaced" in said(figure)
        assert figure.axes[0].texts[-1].get_text() == "feature 0"

    def test_one_component_of_one_feature_is_enough(self):
        figure = level_probabilities(torch.tensor([[[0.1, 0.9]]]), torch.ones(1))
        assert [text.get_text() for text in figure.axes[0].texts] == ["0.10", "0.90"]
