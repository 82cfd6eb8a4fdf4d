"""Pictures of components."""

from __future__ import annotations

import pytest
import torch

from unveil.plots import ellipses, means_as_images

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
