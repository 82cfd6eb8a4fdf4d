"""What the factors of a linear Gaussian model do: their loadings, and how much of each feature they explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from unveil.plots import style
from unveil.plots.heatmaps import (
    ABOUT_ZERO,
    SIGNED,
    heatmap,
    inches,
    key,
    labels_of,
    length_of,
    name_columns,
    name_rows,
)
from unveil.plots.mosaics import MISSING, Array, Mosaic, Range, as_colours, sheet
from unveil.plots.panels import LEFT, Panel, page

MOST_NAMED, MOST_IMAGES, COLUMNS = 45, 50, 10
BARS, KEY = 1.75, 0.65
"""The widths of the bars and of the colours' key, in inches."""


@dataclass(frozen=True, eq=False)
class Loadings(Panel):
    """Correlations of features and factors, beside the shares of the features' variances that the factors explain.

    Args:
        loading: W, (D, L).
        noise: Psi's diagonal, (D,).
        names: What the features are called.
    """

    loading: Tensor
    noise: Tensor
    names: tuple[str, ...] = ()

    @property
    def correlations(self) -> Array:
        """Of feature d and factor l: W_dl over feature d's standard deviation, (D, L)."""
        deviation = (self.loading.square().sum(-1) + self.noise).sqrt()
        return (self.loading / deviation.unsqueeze(-1)).double().numpy()

    @property
    def features(self) -> list[str]:
        """What the features are called."""
        return labels_of(self.names, len(self.loading))

    @property
    def named(self) -> bool:
        """Whether there are few enough features for names."""
        return len(self.loading) <= MOST_NAMED

    @property
    def high(self) -> float:
        """The height of all rows, in inches."""
        return max(0.9, 0.22 * len(self.loading)) if self.named else 6.0

    @property
    def height(self) -> float:
        """Rows, factors and a label."""
        return 0.1 + self.high + 0.75

    @property
    def note(self) -> str:
        """What is shown, and what it can't say."""
        said = (
            "Loadings are shown per standard deviation of the feature: its correlation with the factor. Factors may be "
            "rotated (their signs, too) without any change of the model's density."
        )
        dots = int(self.high * style.DPI)
        many = f"There are {len(self.loading):,} features, more than dots: not each can be seen."
        return said if len(self.loading) <= dots else f"{said}\n{many}"

    def draw(self, figure: Figure, top: float) -> None:
        """A heatmap and bars that share their rows."""
        values, top = self.correlations, top + 0.1
        factors = values.shape[1]
        left = LEFT + 0.1 + (length_of(self.features) if self.named else 0.45)
        wide = min(style.WIDTH - left - BARS - KEY - 0.55, max(0.62 * factors, 1.9))
        ax = style.axes(figure, (left, top, wide, self.high), "Correlation with factor")
        heatmap(ax, values, SIGNED)
        name_rows(ax, self.features)
        if not self.named:
            ax.set_ylabel("feature")
        self._name_factors(ax, np.square(values).mean(0))
        bars = style.axes(figure, (left + wide + 0.2, top, BARS, self.high), "Variance explained")
        self._bars(bars, np.square(values).sum(1))
        key(figure, (left + wide + BARS + 0.4, top + 0.12, 0.13, min(self.high - 0.12, 2.5)), SIGNED, "r")

    def _name_factors(self, ax: Axes, shares: Array) -> None:
        """The factors' numbers, with their shares where there is room."""
        if inches(ax)[0] / len(shares) < 0.4:
            name_columns(ax, [str(k) for k in range(len(shares))])
            ax.set_xlabel("factor")
        else:
            ax.set_xticks(range(len(shares)), [f"{k}\n{100 * share:.0f}%" for k, share in enumerate(shares)])
            ax.set_xlabel("factor, mean share explained")

    def _bars(self, ax: Axes, communality: Array) -> None:
        """A bar for each feature, from nothing to all of its variance."""
        ax.barh(range(len(communality)), communality, height=0.7 if self.named else 1.0, color=style.BLUE, linewidth=0)
        ax.set(xlim=(0, 1), ylim=(len(communality) - 0.5, -0.5))
        ax.set_xticks([0, 0.5, 1], ["0", "50%", "100%"])
        ax.set_yticks([])
        ax.grid(axis="x", color=style.FAINT, linewidth=0.6)
        ax.set_axisbelow(True)


def loadings(
    loading: Tensor,
    noise: Tensor,
    *,
    names: tuple[str, ...] = (),
    title: str = "Loadings",
    note: str = "",
) -> Figure:
    """Correlations of features and factors, and the share of each feature's variance that the factors explain.

    Args:
        loading: W, (D, L), in any units.
        noise: Psi's diagonal, (D,), in the same units.
        names: What the features are called.
        title: The figure's title.
        note: A line below it.
    """
    return page(title, note, [Loadings(loading, noise, names)])


def loadings_as_images(loading: Tensor, mean: Tensor, *, title: str = "Loadings", note: str = "") -> Figure:
    """The mean image, and each factor's loadings as an image: orange below 0, blue above, one scale for all.

    Args:
        loading: (L, C, H, W).
        mean: (C, H, W).
        title: The figure's title.
        note: A line below it.
    """
    count = min(len(loading), MOST_IMAGES)
    entries = loading[:count].mean(-3).double()
    largest = float(entries.abs().nan_to_num().max()) or 1.0
    shown = ABOUT_ZERO((entries / largest).numpy() / 2 + 0.5)[..., :3]
    tiles = np.where(entries.isfinite().numpy()[..., None], shown, MISSING)
    columns = min(COLUMNS, count)
    blank = np.ones((-count % columns, *tiles.shape[1:]))
    whole = np.concatenate([tiles, blank]).reshape(-1, columns, *tiles.shape[1:])
    centre = as_colours(mean[None, None], Range.of(None, mean))
    said = [
        f"Orange: below 0, blue: above, full colour: {largest:.3g}, in the data's units.",
        "" if loading.shape[-3] == 1 else f"Loadings are averaged over the {loading.shape[-3]} channels.",
        "" if count == len(loading) else f"The first {count} of {len(loading)} factors are shown.",
    ]
    note = "\n".join(filter(None, [note, " ".join(filter(None, said))]))
    return sheet(title, note, [Mosaic("Mean", "", centre), Mosaic("Factors", f"0 to {count - 1}, row by row", whole)])
