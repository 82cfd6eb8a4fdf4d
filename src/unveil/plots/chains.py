"""Hidden Markov models: how states follow each other, sequences with their likeliest states, and what states emit."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from torch import Tensor

from unveil.plots import style
from unveil.plots.heatmaps import FROM_ZERO, LINE, SHARES, Scale, heatmap, key, length_of, name_columns, name_rows
from unveil.plots.panels import LEFT, Panel, page

MOST_STEPS, MOST_SEQUENCES, DOTTED = 300, 3, 150
CELL, LARGEST, SMALLEST = 0.42, 3.2, 0.9
HIGH, STRIP = 1.05, 0.14
"""The height of a sequence, and of the strip of its states, in inches."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Transitions(Panel):
    """Which states follow which, with which state sequences begin, and how often each state is.

    Args:
        initial: pi, (K,).
        transition: A[from, to], (K, K).
        occupancy: The share of steps in each state, (K,).
        title: What the panel shows.
    """

    initial: Tensor
    transition: Tensor
    occupancy: Tensor
    title: str = "Probabilities of the first state, and of the next state (columns) given the one before (rows)"

    @property
    def side(self) -> float:
        """The width and height of the matrix."""
        return float(np.clip(CELL * len(self.initial), SMALLEST, LARGEST))

    @property
    def height(self) -> float:
        """The matrix, with names above and below it."""
        return 0.3 + self.side + 0.4

    def draw(self, figure: Figure, top: float) -> None:
        """Initial probabilities, the matrix, its key, and bars."""
        names = [f"state {k}" for k in range(len(self.initial))]
        numbers = [str(k) for k in range(len(names))]
        top, left = top + 0.3, LEFT + 0.1 + length_of(names)
        first = style.axes(figure, (left, top, CELL, self.side), "First")
        heatmap(first, self.initial.double().unsqueeze(-1).numpy(), SHARES)
        name_rows(first, names)
        first.set_xticks([])
        matrix = style.axes(figure, (left + CELL + 0.25, top, self.side, self.side), "Next")
        heatmap(matrix, self.transition.double().numpy(), SHARES)
        matrix.set_yticks([])
        name_columns(matrix, numbers)
        beside = left + CELL + 0.25 + self.side + 0.3
        key(figure, (beside, top + 0.12, 0.13, min(self.side - 0.12, 1.6)), SHARES, "p")
        right = max(beside + 0.95, 5.2)
        self._bars(style.axes(figure, (right, top, style.WIDTH - right - 0.5, self.side), "Share of steps"))

    def _bars(self, ax: Axes) -> None:
        """How much of the steps each state takes, in its colour."""
        places = range(len(self.occupancy))
        if self.side / len(places) >= LINE:
            for place, share in enumerate(self.occupancy.tolist()):
                text = "" if isnan(share) else f"{100 * share:.0f}%"
                end = ax.annotate(text, (share, place), xytext=(4, 0), textcoords="offset points", va="center")
                end.set(fontsize=style.SMALL, color=style.MUTED)
        ax.barh(places, self.occupancy.numpy(), height=0.8, color=style.palette(len(places)), linewidth=0)
        largest = float(self.occupancy.nan_to_num().max()) or 1.0
        ax.set(xlim=(0, 1.2 * largest), ylim=(len(places) - 0.5, -0.5))
        ax.xaxis.set_major_locator(MaxNLocator(nbins=3))
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        name_rows(ax, [str(k) for k in places])
        ax.tick_params(axis="y", length=0)


@dataclass(frozen=True, eq=False)
class Sequences(Panel):
    """Sequences, with the likeliest path of states as a strip below and as the colour of what was observed.

    Args:
        x: (S, T, D), NaN where missing.
        path: The states, (S, T), whole numbers.
        states: K.
        levels: The number of levels of the data; None for real numbers.
        name: What the first feature is called.
        title: What the panel shows.
    """

    x: Tensor
    path: Tensor
    states: int
    levels: int | None = None
    name: str = ""
    title: str = "Sequences in the colours of their likeliest states"

    @property
    def lengths(self) -> list[int]:
        """Up to where something was observed, for each sequence."""
        seen = self.x.isfinite().any(-1)
        steps = torch.arange(1, self.x.shape[1] + 1)
        return (seen * steps).amax(-1).tolist()

    @property
    def shown(self) -> int:
        """The number of steps shown."""
        return max(1, min(MOST_STEPS, max(self.lengths)))

    @property
    def count(self) -> int:
        """The number of sequences shown."""
        return min(MOST_SEQUENCES, len(self.x))

    @property
    def raster(self) -> bool:
        """Whether all features are shown, as shades: where there are several, of whole numbers."""
        return self.levels is not None and self.x.shape[-1] > 1

    @property
    def height(self) -> float:
        """The sequences, and the steps' numbers."""
        return self.count * (HIGH + STRIP + 0.2) + 0.4

    @property
    def note(self) -> str:
        """What is left out."""
        features, longest = self.x.shape[-1], max(self.lengths)
        said = [
            f"the first {self.shown} of {longest:,} steps" if longest > self.shown else "",
            f"the first of {features} features" if features > 1 and not self.raster else "",
            f"white is level 0, the darkest is {(self.levels or 2) - 1}" if self.raster else "",
        ]
        return f"sequences: {', '.join(filter(None, said))}" if any(said) else ""

    def draw(self, figure: Figure, top: float) -> None:
        """One below the other, on the same scales."""
        first = self.x[: self.count, : self.shown, 0]
        first = first[first.isfinite()]
        low, high = (float(first.min()), float(first.max())) if len(first) else (0.0, 1.0)
        margin = 0.08 * (high - low) or 0.5
        for place in range(self.count):
            at = top + place * (HIGH + STRIP + 0.2)
            ax = style.axes(figure, (0.85, at, style.WIDTH - 1.15, HIGH))
            strip = style.axes(figure, (0.85, at + HIGH + 0.03, style.WIDTH - 1.15, STRIP))
            steps = min(self.lengths[place], self.shown)
            x, path = self.x[place, :steps].double().numpy(), self.path[place, :steps].numpy()
            colours = np.array([to_rgb(colour) for colour in style.palette(self.states)])[path]
            if self.raster:
                shades(ax, x, self.levels or 2)
            else:
                ax.set_ylim(low - margin, high + margin)
                trail(ax, x[:, 0], colours, joined=self.levels is None)
                ax.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=self.levels is not None))
            self._strip(strip, colours, last=place == self.count - 1)
            ax.set_xlim(-0.5, self.shown - 0.5)
            ax.set_xticks([])
            ax.set_ylabel("feature" if self.raster else self.name)

    def _strip(self, ax: Axes, colours: Array, *, last: bool) -> None:
        """The states' colours, step by step."""
        if len(colours):
            ax.imshow(colours[None], aspect="auto", interpolation="nearest")
        ax.set(xlim=(-0.5, self.shown - 0.5), yticks=[])
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.tick_params(labelbottom=last, length=3 if last else 0)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        ax.set_xlabel("step" if last else "")


def trail(ax: Axes, x: Array, colours: Array, *, joined: bool) -> None:
    """A sequence of numbers, (T,), NaN where missing: dots in colours, (T, 3), joined by lines if wanted."""
    steps = np.arange(len(x))
    if joined:
        points = np.stack([steps, x], -1)
        pieces = list(np.stack([points[:-1], points[1:]], 1))
        ax.add_collection(LineCollection(pieces, colors=colours[1:], linewidth=1.3))
    if not joined or len(x) <= DOTTED or np.isnan(x).any():  # a number between two gaps is on no line
        ax.scatter(steps, x, s=14 if len(x) <= DOTTED else 6, c=colours, linewidths=0, zorder=3)


def shades(ax: Axes, x: Array, levels: int) -> None:
    """A sequence of several whole numbers, (T, D), NaN where missing, as shades: features from top to bottom."""
    heatmap(ax, x.T, Scale(0.0, levels - 1.0, FROM_ZERO), written=False)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))


def chain(
    initial: Tensor,
    transition: Tensor,
    occupancy: Tensor,
    x: Tensor,
    path: Tensor,
    emissions: Panel | None = None,
    *,
    levels: int | None = None,
    name: str = "feature 0",
    title: str = "States",
    note: str = "",
) -> Figure:
    """How states follow each other, up to three sequences with their likeliest states, and what states emit.

    Args:
        initial: pi, (K,).
        transition: A[from, to], (K, K).
        occupancy: The share of steps in each state, (K,).
        x: Sequences, (S, T, D), NaN where missing: shorter ones end so.
        path: Their likeliest states, (S, T), whole numbers.
        emissions: What shows p(x_t | k); None leaves it out.
        levels: The number of levels of the data; None for real numbers.
        name: What the first feature is called.
        title: The figure's title.
        note: A line below it.
    """
    panels: list[Panel] = [
        Transitions(initial, transition, occupancy),
        Sequences(x, path, len(initial), levels, name),
    ]
    return page(title, note, panels if emissions is None else [*panels, emissions])
