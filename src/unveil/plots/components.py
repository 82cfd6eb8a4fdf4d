"""The components of a mixture: ellipses over the data, or their mean images."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from numpy.typing import NDArray
from torch import Tensor

from unveil.plots import style
from unveil.plots.mosaics import Mosaic, Range, as_colours, sheet

MOST_FEATURES, MOST_DOTS, MOST_IMAGES, COLUMNS = 3, 3000, 50, 10
FAINT = 0.01
"""Components of less than this share of the heaviest's weight are not drawn."""
SPREAD = 2.0
"""Ellipses are drawn at so many standard deviations: they hold 86% of a component in a plane."""

Array = NDArray[np.float64]


def ellipses(
    means: Tensor,
    covariances: Tensor,
    weights: Tensor,
    x: Tensor,
    responsibilities: Tensor,
    *,
    names: tuple[str, ...] = (),
    title: str = "Components",
    note: str = "",
) -> Figure:
    """Each component's ellipse over the data, for each pair of the first three features.

    Args:
        means: (K, D).
        covariances: (K, D, D).
        weights: (K,): components of small weight are faint.
        x: Data, (N, D), NaN where missing; each point has the colour of its components.
        responsibilities: (N, K).
        names: What the features are called.
        title: The figure's title.
        note: A line below it.

    Raises:
        ValueError: If there are fewer than two features.
    """
    features = min(MOST_FEATURES, means.shape[-1])
    if features < 2:
        raise ValueError(f"means: expected at least two features, got {features}")
    pairs = list(combinations(range(features), 2))
    wide = (style.WIDTH - 1.0 - 0.65 * (len(pairs) - 1)) / len(pairs)
    high = min(wide, 5.0)
    hidden = int((weights < FAINT * weights.max()).sum())
    unseen = f"{hidden} of {len(weights)} components are not drawn: they are nearly empty" if hidden else ""
    note = "\n".join(filter(None, [note, unseen]))
    top = style.header(note) + 0.3
    figure = style.canvas(top + high + 0.65, title, note)
    for column, pair in enumerate(pairs):
        ax = style.axes(figure, (0.75 + column * (wide + 0.65), top, wide, high))
        draw(ax, means, covariances, weights, x, responsibilities, pair)
        for label, i in ((ax.set_xlabel, pair[0]), (ax.set_ylabel, pair[1])):
            label(names[i] if i < len(names) else f"feature {i}")
    return figure


def draw(
    ax: Axes,
    means: Tensor,
    covariances: Tensor,
    weights: Tensor,
    x: Tensor,
    responsibilities: Tensor,
    pair: tuple[int, int] = (0, 1),
) -> None:
    """Points and ellipses of two features on some axes; the arguments are those of :func:`ellipses`."""
    kept = weights >= FAINT * weights.max()
    means, covariances, weights = means[kept], covariances[kept], weights[kept]
    responsibilities = responsibilities[:, kept] / responsibilities[:, kept].sum(-1, keepdim=True).clamp_min(1e-9)
    colours = np.array([to_rgb(colour) for colour in style.palette(len(means))])
    rows = torch.linspace(0, len(x) - 1, min(len(x), MOST_DOTS)).long()
    points = x[rows][:, list(pair)].double().numpy()
    ax.scatter(
        points[:, 0],
        points[:, 1],
        s=5,
        c=(responsibilities[rows].numpy() @ colours).clip(0, 1),
        alpha=0.55,
        linewidths=0,
    )
    strongest = float(weights.max())
    for mean, covariance, weight, colour in zip(
        means.numpy()[:, list(pair)], covariances.numpy(), weights.tolist(), colours, strict=True
    ):
        ellipse(ax, mean, covariance[np.ix_(pair, pair)], colour, alpha=0.15 + 0.85 * weight / strongest)


def ellipse(ax: Axes, mean: Array, covariance: Array, colour: Array, alpha: float = 1.0) -> None:
    """The points at so many standard deviations from a mean."""
    values, vectors = np.linalg.eigh(covariance)
    width, height = 2 * SPREAD * np.sqrt(values.clip(0))
    angle = float(np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0])))
    for face, line in ((True, 0.0), (False, 1.6)):
        patch = Ellipse((mean[0], mean[1]), width, height, angle=angle, fill=face, linewidth=line)
        patch.set_facecolor((*colour, 0.12 * alpha) if face else "none")
        patch.set_edgecolor((*colour, alpha))
        ax.add_patch(patch)
    ax.plot(mean[0], mean[1], "+", color=colour, markersize=7, markeredgewidth=1.6, alpha=alpha)


def means_as_images(
    means: Tensor, weights: Tensor, levels: int | None, *, title: str = "Components", note: str = ""
) -> Figure:
    """The mean image of each component, the heaviest first, with its share.

    Args:
        means: (K, C, H, W).
        weights: (K,).
        levels: The number of levels of the data; None for real numbers.
        title: The figure's title.
        note: A line below it.
    """
    order = weights.argsort(descending=True)[:MOST_IMAGES]
    tiles = as_colours(means[order], Range.of(levels, means))
    columns = min(COLUMNS, len(order))
    rows = -(-len(order) // columns)
    blank = np.ones((rows * columns - len(order), *tiles.shape[1:]))
    whole = np.concatenate([tiles, blank]).reshape(rows, columns, *tiles.shape[1:])
    first, last = (100 * weights[order[i]].item() for i in (0, -1))
    told = f"the heaviest first: {first:.1f}% to {last:.1f}% of the data"
    return sheet(title, "\n".join(filter(None, [note, told])), [Mosaic("", "", whole)])
