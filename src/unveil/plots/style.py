"""The look that all figures share: white, few lines, sizes that stay readable at 800 pixels.

Matplotlib's global state is never touched: no pyplot, no rcParams. A figure is 8 inches wide; files have 200 dots an
inch.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import fill, shorten
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from unveil.files import replacing

WIDTH = 8.0  # inches
DPI = 200
LARGE, MEDIUM, SMALL = 14, 11, 9.5  # points
TITLE, LINE = 62, 94  # characters of a title, and of a line of its note, that the width has room for

INK, MUTED, FAINT = "#1f2933", "#66717e", "#d5dae1"
BLUE, ORANGE = "#2f6db3", "#dd7a26"
CLASSES = (
    "#3f90da", "#ffa90e", "#bd1f01", "#2a9d6f", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#56606d", "#57c8d3",
)  # fmt: skip
"""Ten colours that stay apart (after Petroff 2021)."""

Rectangle = tuple[float, float, float, float]


def canvas(height: float, title: str, note: str = "") -> Figure:
    """An empty figure with a title and a line below it, both flush left.

    Args:
        height: Of the whole figure, in inches; :func:`header` of it is taken.
        title: What is shown.
        note: What should be known about it.
    """
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    left, title = 0.3 / WIDTH, shorten(title, TITLE, placeholder=" ...")
    figure.text(left, 1 - 0.22 / height, title, fontsize=LARGE, color=INK, weight="bold", va="top")
    if note:
        figure.text(left, 1 - 0.54 / height, wrap(note), fontsize=MEDIUM, color=MUTED, va="top", linespacing=1.35)
    return figure


def wrap(note: str) -> str:
    """A note in lines that the figure has room for."""
    return "\n".join(fill(line, LINE) for line in note.split("\n"))


def header(note: str = "") -> float:
    """The height that a title and its note take, in inches."""
    return 0.62 + 0.22 * (1 + wrap(note).count("\n")) if note else 0.55


def axes(figure: Figure, inches: Rectangle, title: str = "") -> Axes:
    """Axes at (left, top, width, height), in inches from the figure's upper left corner, with calm spines and ticks."""
    width, height = figure.get_size_inches()
    left, top, wide, high = inches
    ax = figure.add_axes((left / width, 1 - (top + high) / height, wide / width, high / height))
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(FAINT)
    ax.tick_params(labelsize=SMALL, colors=MUTED, color=FAINT, length=3)
    ax.xaxis.label.set(fontsize=MEDIUM, color=INK)
    ax.yaxis.label.set(fontsize=MEDIUM, color=INK)
    if title:
        ax.set_title(title, loc="left", fontsize=MEDIUM, color=INK, pad=6)
    return ax


def legend(ax: Axes, **options: Any) -> None:
    """A legend without a frame."""
    made = ax.legend(frameon=False, fontsize=SMALL, title_fontsize=SMALL, labelcolor=INK, handlelength=1.2, **options)
    made.get_title().set_color(INK)


def palette(classes: int) -> list[str]:
    """That many colours for classes: apart where they are at most ten, along a perceptually uniform map otherwise."""
    if classes <= len(CLASSES):
        return list(CLASSES[:classes])
    return [to_hex(colour) for colour in colormaps["viridis"](np.linspace(0, 0.95, classes))]


def write(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=DPI)
    return path
