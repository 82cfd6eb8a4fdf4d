"""Components of whole numbers: their means, or their probabilities of each level, feature by feature."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from torch import Tensor

from unveil.plots import style
from unveil.plots.heatmaps import (
    FROM_ZERO,
    LINE,
    SHARES,
    Scale,
    heatmap,
    inches,
    key,
    labels_of,
    length_of,
    name_columns,
    name_rows,
    upright,
)
from unveil.plots.panels import LEFT, Panel, page

MOST_ROWS, MOST_LINES = 40, 3
CELL, GAP, KEY = 0.11, 0.07, 0.75
"""The least width of a cell, the white between two features, and the room for the colours' key, in inches."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Rows(Panel):
    """Heatmaps with a row for each component.

    Args:
        weights: (K,).
        names: What the features are called; "feature 0" and so on where there are fewer or more than features.
        called: What a component is called.
        ordered: Whether the heaviest component comes first; otherwise they are in the order of their numbers.
        title: What the panel shows.
    """

    weights: Tensor
    names: tuple[str, ...] = ()
    called: str = "component"
    ordered: bool = True
    title: str = ""

    @property
    def rows(self) -> Tensor:
        """The components shown, from top to bottom."""
        heaviest = self.weights.argsort(descending=True, stable=True)[:MOST_ROWS]
        return heaviest if self.ordered else heaviest.sort().values

    @property
    def row_names(self) -> list[str]:
        """Each component's number and share."""
        return [f"{self.called} {k}, {100 * self.weights[k].item():.1f}%" for k in self.rows.tolist()]

    @property
    def left(self) -> float:
        """Where the cells begin, in inches."""
        return LEFT + 0.1 + length_of(self.row_names)

    @property
    def high(self) -> float:
        """The height of the cells, in inches."""
        return len(self.rows) * (0.28 if len(self.rows) <= 12 else 0.2)

    @property
    def free(self) -> float:
        """The width of all cells, in inches."""
        return style.WIDTH - self.left - KEY - 0.15

    @property
    def note(self) -> str:
        """Components that are left out."""
        shown, total = len(self.rows), len(self.weights)
        return f"the {shown} heaviest of {total} {self.called}s" if shown < total else ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Profiles(Rows):
    """Each component's mean of each feature.

    Args:
        means: (K, D).
        levels: The number of levels of the data; None for real numbers.
    """

    means: Tensor
    levels: int | None = None

    @property
    def wide(self) -> float:
        """The width of the cells: few are no wider than they need to be."""
        return min(self.free, 0.6 * self.means.shape[-1])

    @property
    def columns(self) -> list[str]:
        """What the features are called."""
        return labels_of(self.names, self.means.shape[-1])

    @property
    def height(self) -> float:
        """Cells, and the features' names below."""
        cell = self.wide / len(self.columns)
        return self.high + (0.3 + length_of(self.columns) if self._upright and cell >= LINE else 0.55)

    @property
    def _upright(self) -> bool:
        return upright(self.columns, self.wide / len(self.columns))

    @property
    def note(self) -> str:
        """Components that are left out, and features that are too many to be seen."""
        count = len(self.columns)
        crowd = f"{count:,} features, more than dots: not each can be seen" if count > self.wide * style.DPI else ""
        return "; ".join(filter(None, [super().note, crowd]))

    def draw(self, figure: Figure, top: float) -> None:
        """One heatmap."""
        ax = style.axes(figure, (self.left, top, self.wide, self.high))
        values = self.means[self.rows].double().numpy()
        finite = values[np.isfinite(values)]
        low = min(0.0, float(finite.min(initial=0.0)))
        high = 1.0 if self.levels == 2 else float(finite.max(initial=0.0)) or 1.0
        scale = Scale(low, high, FROM_ZERO, digits=2 if high <= 10 else 1 if high <= 100 else 0)
        heatmap(ax, values, scale)
        name_rows(ax, self.row_names)
        name_columns(ax, self.columns)
        if self.wide / len(self.columns) < LINE:
            ax.set_xlabel("feature")
        label = "p(x = 1)" if self.levels == 2 else "mean"
        key(
            figure, (self.left + self.wide + 0.15, top + 0.12, 0.13, min(max(self.high - 0.12, 0.6), 2.5)), scale, label
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Blocks(Rows):
    """Each component's probabilities of the levels, a block for each feature.

    Args:
        probabilities: (K, D, L).
    """

    probabilities: Tensor

    @property
    def _fitting(self) -> int:
        """How many blocks of the least width fit side by side."""
        least = max(CELL * self.probabilities.shape[-1], LINE)
        return max(1, int((self.free + GAP) / (least + GAP)))

    @property
    def features(self) -> list[int]:
        """The features shown, evenly spaced."""
        count = self.probabilities.shape[1]
        most = min(count, MOST_LINES * self._fitting)
        return sorted(set(np.linspace(0, count - 1, most).round().astype(int).tolist()))

    @property
    def columns(self) -> list[str]:
        """What they are called."""
        names = labels_of(self.names, self.probabilities.shape[1])
        return [names[index] for index in self.features]

    @property
    def across(self) -> int:
        """How many blocks are side by side, with as many in each line as can be."""
        lines = ceil(len(self.features) / self._fitting)
        return ceil(len(self.features) / lines)

    @property
    def wide(self) -> float:
        """The width of a block."""
        return min((self.free - GAP * (self.across - 1)) / self.across, 0.5 * self.probabilities.shape[-1])

    @property
    def above(self) -> float:
        """The room for the features' names above their blocks; one without a name needs none."""
        if self.probabilities.shape[1] == 1 and not self.names:
            return 0.0
        return 0.12 + length_of(self.columns) if self._upright else 0.25

    @property
    def _upright(self) -> bool:
        return upright(self.columns, self.wide + GAP)

    @property
    def scale(self) -> Scale:
        """Up to 1, or to the largest probability where that is much less."""
        largest = float(self.probabilities.nan_to_num().max())
        return SHARES if largest > 0.5 else Scale(0.0, largest or 1.0, FROM_ZERO)

    @property
    def line(self) -> float:
        """The height of a line of blocks: names, cells and levels."""
        return self.above + self.high + 0.35

    @property
    def height(self) -> float:
        """All lines, and a label."""
        return ceil(len(self.features) / self.across) * self.line + 0.35

    @property
    def note(self) -> str:
        """Components and features that are left out."""
        shown, total = len(self.features), self.probabilities.shape[1]
        left_out = f"{shown} of {total:,} features, evenly spaced" if shown < total else ""
        return "; ".join(filter(None, [super().note, left_out]))

    def draw(self, figure: Figure, top: float) -> None:
        """A heatmap for each feature, side by side, in as many lines as are needed."""
        values = self.probabilities[self.rows].double().numpy()
        for place, (feature, name) in enumerate(zip(self.features, self.columns, strict=True)):
            line, column = divmod(place, self.across)
            at = (self.left + column * (self.wide + GAP), top + line * self.line + self.above)
            ax = style.axes(figure, (*at, self.wide, self.high))
            heatmap(ax, values[:, feature], self.scale)
            if self.above:
                ax.text(
                    0.5, 1 + 0.06 / self.high, name, transform=ax.transAxes, fontsize=style.SMALL, color=style.INK,
                    ha="center", va="bottom", rotation=90 if self._upright else 0,
                )  # fmt: skip
            name_rows(ax, self.row_names)
            name_levels(ax, values.shape[-1])
            ax.tick_params(labelleft=column == 0)
        self._explain(figure, top)

    def _explain(self, figure: Figure, top: float) -> None:
        """The key of the colours, and what columns are."""
        beside = self.left + self.across * (self.wide + GAP) - GAP + 0.15
        key(figure, (beside, top + self.above + 0.15, 0.13, min(max(self.high - 0.15, 0.6), 2.5)), self.scale, "p")
        at = (self.left / style.WIDTH, 1 - (top + self.height - 0.35) / figure.get_size_inches()[1])
        label = f"level, 0 to {self.probabilities.shape[-1] - 1} from left to right"
        figure.text(*at, label, fontsize=style.MEDIUM, color=style.INK, va="top")


def name_levels(ax: Axes, levels: int) -> None:
    """Name the levels below their cells, as many as fit."""
    step = ceil((length_of([str(levels - 1)]) + 0.07) * levels / inches(ax)[0])
    ax.xaxis.set_major_locator(FixedLocator(list(range(0, levels, step))))


def profiles(
    means: Tensor,
    weights: Tensor,
    *,
    levels: int | None = None,
    names: tuple[str, ...] = (),
    title: str = "Components",
    note: str = "",
) -> Figure:
    """Each component's mean of each feature as a heatmap, the heaviest component first.

    Args:
        means: (K, D).
        weights: (K,).
        levels: The number of levels of the data; None for real numbers.
        names: What the features are called.
        title: The figure's title.
        note: A line below it.
    """
    return page(title, note, [Profiles(weights=weights, names=names, means=means, levels=levels)])


def level_probabilities(
    probabilities: Tensor,
    weights: Tensor,
    *,
    names: tuple[str, ...] = (),
    title: str = "Components",
    note: str = "",
) -> Figure:
    """Each component's probabilities of the levels of each feature as heatmaps, the heaviest component first.

    Args:
        probabilities: (K, D, L).
        weights: (K,).
        names: What the features are called.
        title: The figure's title.
        note: A line below it.
    """
    return page(title, note, [Blocks(weights=weights, names=names, probabilities=probabilities)])
