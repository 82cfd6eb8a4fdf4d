"""The components of a mixture: ellipses over the data, or their mean images."""

from __future__ import annotations

from dataclasses import dataclass
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
from unveil.plots.panels import Panel, page

MOST_FEATURES, MOST_DOTS, MOST_IMAGES, COLUMNS = 3, 3000, 50, 10
TALLEST = 5.0
FAINT = 0.01
"""Components of less than this share of the heaviest's weight are not drawn."""
SPREAD = 2.0
"""Ellipses are drawn at so many standard deviations: they hold 86% of a component in a plane."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Ellipses(Panel):
    """Each component's ellipse over the data, for each pair of the first three features.

    Args:
        means: (K, D).
        covariances: (K, D, D).
        weights: (K,).
        x: Data, (N, D), NaN where missing.
        responsibilities: (N, K).
        names: What the features are called.
        colours: One for each component; those that are drawn have colours apart by default.
        called: What a component is called.
        title: What the panel shows.
    """

    means: Tensor
    covariances: Tensor
    weights: Tensor
    x: Tensor
    responsibilities: Tensor
    names: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    called: str = "component"
    title: str = ""

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of features shown."""
        return list(combinations(range(min(MOST_FEATURES, self.means.shape[-1])), 2))

    @property
    def wide(self) -> float:
        """The width of each plane."""
        return (style.WIDTH - 1.0 - 0.65 * (len(self.pairs) - 1)) / len(self.pairs)

    @property
    def height(self) -> float:
        """Planes that are nearly square, and labels."""
        return min(self.wide, TALLEST) + 0.65

    @property
    def note(self) -> str:
        """Components and features that are left out."""
        hidden, features = int((self.weights < FAINT * self.weights.max()).sum()), self.means.shape[-1]
        of = f"{len(self.weights)} {self.called}s"
        unseen = f"{hidden} of {of} are not drawn: they are nearly empty" if hidden else ""
        few = f": the first {MOST_FEATURES} of {features} features" if features > MOST_FEATURES else ""
        return "; ".join(filter(None, [f"ellipses at {SPREAD:g} standard deviations{few}", unseen]))

    def draw(self, figure: Figure, top: float) -> None:
        """The planes side by side."""
        for column, pair in enumerate(self.pairs):
            place = (0.75 + column * (self.wide + 0.65), top, self.wide, min(self.wide, TALLEST))
            ax = style.axes(figure, place)
            draw(
                ax, self.means, self.covariances, self.weights, self.x, self.responsibilities, pair, self.colours
            )  # fmt: skip
            for label, i in ((ax.set_xlabel, pair[0]), (ax.set_ylabel, pair[1])):
                label(self.names[i] if i < len(self.names) else f"feature {i}")


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
    if means.shape[-1] < 2:
        raise ValueError(f"means: expected at least two features, got {means.shape[-1]}")
    panel = Ellipses(
        means=means, covariances=covariances, weights=weights, x=x, responsibilities=responsibilities, names=names
    )
    return page(title, note, [panel])


def draw(
    ax: Axes,
    means: Tensor,
    covariances: Tensor,
    weights: Tensor,
    x: Tensor,
    responsibilities: Tensor,
    pair: tuple[int, int] = (0, 1),
    colours: tuple[str, ...] = (),
) -> None:
    """Points and ellipses of two features on some axes; the arguments are those of :class:`Ellipses`."""
    kept = weights >= FAINT * weights.max()
    chosen = [colour for colour, keep in zip(colours, kept.tolist(), strict=True) if keep] if colours else None
    means, covariances, weights = means[kept], covariances[kept], weights[kept]
    responsibilities = responsibilities[:, kept] / responsibilities[:, kept].sum(-1, keepdim=True).clamp_min(1e-9)
    shades = np.array([to_rgb(colour) for colour in chosen or style.palette(len(means))]).reshape(-1, 3)
    rows = torch.linspace(0, len(x) - 1, min(len(x), MOST_DOTS)).long()
    points = x[rows][:, list(pair)].double().numpy()
    ax.scatter(
        points[:, 0],
        points[:, 1],
        s=5,
        c=(responsibilities[rows].numpy() @ shades).clip(0, 1),
        alpha=0.55,
        linewidths=0,
    )
    strongest = float(weights.max())
    for mean, covariance, weight, colour in zip(
        means.numpy()[:, list(pair)], covariances.numpy(), weights.tolist(), shades, strict=True
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
