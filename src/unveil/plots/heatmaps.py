"""Tables of numbers as colours, with the numbers written in where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import NDArray

from unveil.plots import style

FROM_ZERO = LinearSegmentedColormap.from_list("from zero", ["#ffffff", "#c6d9ee", "#7fa9d6", style.BLUE, "#153a66"])
"""White for 0, dark for much."""
ABOUT_ZERO = LinearSegmentedColormap.from_list(
    "about zero", ["#6b3305", style.ORANGE, "#f4c79b", "#efefef", "#a9c8e8", style.BLUE, "#153a66"]
)
"""Orange below 0, blue above, which those who confuse red and green tell apart."""
FOR_TEXT, LETTER = 0.34, 0.078
"""The least width of a cell with a number in it, and the width of a small letter, in inches."""
LINE = 0.16
"""The least distance of two names, in inches."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scale:
    """Which numbers have which colours.

    Args:
        low: The number of the first colour.
        high: The number of the last colour.
        colours: From low to high.
        digits: Decimals of numbers that are written in.
    """

    low: float
    high: float
    colours: Colormap
    digits: int = 2


SHARES, SIGNED = Scale(0.0, 1.0, FROM_ZERO), Scale(-1.0, 1.0, ABOUT_ZERO)


def heatmap(ax: Axes, values: Array, scale: Scale = SHARES, *, written: bool = True) -> None:
    """Numbers as colours, one cell each, the first row at the top; written in where cells have room.

    Args:
        ax: Where to draw; its limits become those of the cells, which lie about whole numbers.
        values: (rows, columns); what is not finite stays grey.
        scale: Which numbers have which colours.
        written: Whether numbers are written in where there is room.
    """
    rows, columns = values.shape
    norm = Normalize(scale.low, scale.high)
    ax.set_facecolor(style.FAINT)
    shown = np.ma.masked_invalid(values)
    ax.imshow(shown, cmap=scale.colours, norm=norm, aspect="auto", interpolation="nearest")
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set_color(style.FAINT)
    wide, high = inches(ax)
    if written and wide / columns >= FOR_TEXT and high / rows >= LINE:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                red, green, blue, _ = scale.colours(norm(value))
                light = 0.3 * red + 0.59 * green + 0.11 * blue > 0.55
                ax.text(
                    column, row, rounded(value, scale.digits), ha="center", va="center", fontsize=style.SMALL - 1.5,
                    color=style.INK if light else "white",
                )  # fmt: skip


def rounded(value: float, digits: int) -> str:
    """A number with so many decimals; zero without a sign."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\u2212")


def name_rows(ax: Axes, names: Sequence[str]) -> None:
    """Name the rows of a heatmap; their numbers where names do not fit."""
    if inches(ax)[1] / len(names) >= LINE:
        ax.yaxis.set_major_locator(FixedLocator(list(range(len(names)))))
        ax.set_yticklabels(names)
    else:
        ax.yaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))


def name_columns(ax: Axes, names: Sequence[str]) -> None:
    """Name the columns of a heatmap, upright where they are long; their numbers where names do not fit."""
    cell = inches(ax)[0] / len(names)
    if cell >= LINE:
        ax.xaxis.set_major_locator(FixedLocator(list(range(len(names)))))
        ax.set_xticklabels(names, rotation=90 if upright(names, cell) else 0)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))


def upright(names: Sequence[str], cell: float) -> bool:
    """Whether names are written upwards below cells of so many inches."""
    return max(map(len, names), default=0) * LETTER > cell - 0.03


def length_of(names: Sequence[str]) -> float:
    """The inches that the longest of some names takes."""
    return LETTER * max(map(len, names), default=0)


def labels_of(names: Sequence[str], count: int, what: str = "feature", most: int = 20) -> list[str]:
    """What so many things are called: their names, shortened, where there are as many; their numbers otherwise."""
    if len(names) != count:
        return [f"{what} {index}" for index in range(count)]
    return [shortened(name, most) for name in names]


def shortened(name: str, most: int = 20) -> str:
    """A name of at most so many letters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def key(figure: Figure, place: style.Rectangle, scale: Scale, label: str) -> None:
    """A bar that says which colour is which number, with its label on top."""
    ax = style.axes(figure, place)
    bar = figure.colorbar(ScalarMappable(Normalize(scale.low, scale.high), scale.colours), cax=ax)
    bar.outline.set_edgecolor(style.FAINT)
    bar.ax.tick_params(labelsize=style.SMALL, colors=style.MUTED, color=style.FAINT, length=3)
    bar.ax.yaxis.set_major_locator(MaxNLocator(nbins=4))
    ax.set_title(label, loc="left", fontsize=style.SMALL, color=style.MUTED, pad=7)


def inches(ax: Axes) -> tuple[float, float]:
    """Width and height of axes, in inches."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("ax: expected axes of a figure, got some of none")
    (wide, high), box = figure.get_size_inches(), ax.get_position()
    return float(wide * box.width), float(high * box.height)
