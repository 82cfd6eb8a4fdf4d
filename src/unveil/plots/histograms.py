"""Components over one feature: a histogram, and what each component adds to the density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from unveil.plots import style
from unveil.plots.panels import Panel, page

HIGH, MOST_NAMED, POINTS = 3.2, 10, 800
OUTSIDE = 0.002
"""The share of the data at either end that may lie outside of the axes."""
ABOVE = 2.5
"""A density is drawn up to so many times the histogram's highest bar."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Densities(Panel):
    """A histogram of one feature, each component's weighted density, and their sum.

    Args:
        grid: Where densities are known, (G,), in ascending order.
        densities: p(x | k) there, (K, G); probabilities for whole numbers.
        weights: (K,).
        x: Data, (N,), NaN where missing.
        levels: The number of levels of the data; None for real numbers.
        name: What the feature is called.
        called: What a component is called.
        title: What the panel shows.
    """

    grid: Tensor
    densities: Tensor
    weights: Tensor
    x: Tensor
    levels: int | None = None
    name: str = "feature 0"
    called: str = "component"
    title: str = ""

    @property
    def height(self) -> float:
        """Axes, ticks and a label."""
        return HIGH + 0.65

    @property
    def data(self) -> Array:
        """What was observed."""
        x = self.x.double()
        return x[x.isfinite()].numpy()

    @property
    def edges(self) -> Array:
        """Of the histogram's bins: a whole number of levels each."""
        if self.levels is not None:
            low, high = (self.data.min(), self.data.max()) if len(self.data) else (0, self.levels - 1)
            step = int(np.ceil((high - low + 1) / 60))
            return np.arange(low - 0.5, high + step + 0.5, step)
        low, high = limits(self.x)
        edges: Array = np.linspace(low, high, int(np.clip(round(1.5 * len(self.data) ** 0.5), 8, 60)) + 1)
        return edges

    @property
    def heights(self) -> Array:
        """Of the histogram's bars: shares of all data, per unit."""
        edges = self.edges
        counts, _ = np.histogram(self.data, edges)
        heights: Array = counts / (max(len(self.data), 1) * (edges[1] - edges[0]))
        return heights

    @property
    def ceiling(self) -> float:
        """The upper end of the axes."""
        added = np.nan_to_num((self.weights.unsqueeze(-1) * self.densities).sum(0).numpy())
        bars = float(self.heights.max()) or 1.0
        return 1.06 * min(max(bars, float(added.max(initial=0.0))), ABOVE * bars)

    @property
    def note(self) -> str:
        """What lies outside of the axes."""
        edges, data = self.edges, self.data
        added = (self.weights.unsqueeze(-1) * self.densities).sum(0)
        outside = int(((data < edges[0]) | (data > edges[-1])).sum())
        said = f"outside of the axes: {outside:,} of {len(data):,} values" if outside else ""
        return "; ".join(
            filter(None, [said, "peaks of the density are cut off" if (added > self.ceiling).any() else ""])
        )

    def draw(self, figure: Figure, top: float) -> None:
        """Bars below lines."""
        ax = style.axes(figure, (1.0, top, style.WIDTH - 3.1, HIGH))
        edges = self.edges
        ax.bar(edges[:-1], self.heights, np.diff(edges), align="edge", color=style.FAINT, linewidth=0, label="data")
        self._lines(ax)
        ax.set(xlim=(edges[0], edges[-1]), ylim=(0, self.ceiling))
        ax.set_xlabel(self.name)
        ax.set_ylabel("density" if self.levels is None else "probability")
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5))
        ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=self.levels is not None))
        style.legend(ax, loc="upper left", bbox_to_anchor=(1.01, 1.03), borderaxespad=0)

    def _lines(self, ax: Axes) -> None:
        grid, each = self.grid.numpy(), (self.weights.unsqueeze(-1) * self.densities).numpy()
        marker = "o" if self.levels is not None and len(grid) <= 60 else ""
        named = len(each) <= MOST_NAMED
        for k, (line, weight, colour) in enumerate(
            zip(each, self.weights.tolist(), style.palette(len(each)), strict=True)
        ):
            label = f"{self.called} {k}, {100 * weight:.1f}%" if named else None if k else f"each {self.called}"
            ax.plot(grid, line, color=colour, linewidth=1.8, marker=marker, markersize=3, label=label)
        if len(each) > 1:
            ax.plot(grid, each.sum(0), color=style.INK, linewidth=1.3, linestyle=(0, (4, 2)), label="sum", zorder=4)


def limits(x: Tensor) -> tuple[float, float]:
    """What all but the outermost of some real numbers lie in, with a margin.

    Args:
        x: (N,); what is not finite does not count.
    """
    seen = x[x.isfinite()].double().numpy()
    low, high = np.quantile(seen, (OUTSIDE, 1 - OUTSIDE)) if len(seen) else (0.0, 1.0)
    margin = 0.08 * (high - low) or 0.5
    return float(low - margin), float(high + margin)


def grid_of(x: Tensor, means: Tensor, deviations: Tensor) -> Tensor:
    """Points that show densities well, (G,): evenly over the data, and closer about each mean.

    Args:
        x: Data, (N,).
        means: (K,).
        deviations: (K,).
    """
    low, high = limits(x)
    near = means.unsqueeze(-1) + deviations.unsqueeze(-1) * torch.linspace(-4, 4, 81).to(means)
    near = near[(near > low) & (near < high)]
    return torch.cat([torch.linspace(low, high, POINTS).to(means), near]).sort().values


def densities(
    grid: Tensor,
    densities: Tensor,
    weights: Tensor,
    x: Tensor,
    *,
    levels: int | None = None,
    name: str = "feature 0",
    title: str = "Components",
    note: str = "",
) -> Figure:
    """A histogram of one feature, with each component's weighted density and their sum.

    Args:
        grid: Where densities are known, (G,), in ascending order.
        densities: p(x | k) there, (K, G); probabilities for whole numbers.
        weights: (K,).
        x: Data, (N,), NaN where missing.
        levels: The number of levels of the data; None for real numbers.
        name: What the feature is called.
        title: The figure's title.
        note: A line below it.
    """
    return page(title, note, [Densities(grid, densities, weights, x, levels, name)])
