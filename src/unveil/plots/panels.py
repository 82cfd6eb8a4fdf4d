"""Pages of panels: parts of a figure, one below the other, each of which knows its height."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from matplotlib.figure import Figure

from unveil.plots import style

LEFT, RIGHT = 0.3, 0.3
"""The margins of a page, in inches."""
BEFORE, NAMED = 0.3, 0.33
"""The room before a panel, and what its title takes, in inches."""


class Panel(ABC):
    """A part of a figure, of the page's width.

    Args:
        title: What it shows; empty where the figure's title says that.
    """

    title: str = ""

    @property
    @abstractmethod
    def height(self) -> float:
        """All that it takes below its title, in inches."""

    @abstractmethod
    def draw(self, figure: Figure, top: float) -> None:
        """Draw it into a figure, so many inches below the figure's upper edge."""

    @property
    def note(self) -> str:
        """What should be known about it, such as what is left out; may be empty."""
        return ""


def page(title: str, note: str, panels: Sequence[Panel]) -> Figure:
    """A figure of panels, one below the other.

    Args:
        title: The figure's title.
        note: A line below it; the panels' own notes follow.
        panels: From top to bottom.
    """
    note = "\n".join(filter(None, [note, *(panel.note for panel in panels)]))
    tops, below = [], style.header(note)
    for panel in panels:
        tops.append(below + BEFORE + (NAMED if panel.title else 0.0))
        below = tops[-1] + panel.height
    figure = style.canvas(below, title, note)
    height = figure.get_size_inches()[1]
    for panel, top in zip(panels, tops, strict=True):
        at = (LEFT / style.WIDTH, 1 - (top - NAMED + 0.02) / height)
        if panel.title:
            figure.text(*at, panel.title, fontsize=style.MEDIUM, color=style.INK, va="top")
        panel.draw(figure, top)
    return figure
