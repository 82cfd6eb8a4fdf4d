"""How training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from unveil.plots import style

Array = NDArray[np.float64]


def training_curve(metrics: Sequence[Mapping[str, Any]], *, title: str = "Training", note: str = "") -> Figure:
    """The objective and the validation bound, in nats per example, over the epochs; distortion and rate of a code.

    The first epochs, which are far from the rest, may lie outside of the axes.

    Args:
        metrics: One record per epoch, as :attr:`unveil.Run.metrics` has them.
        title: The figure's title.
        note: A line below it.

    Raises:
        ValueError: If there is no record.
    """
    if not metrics:
        raise ValueError("metrics: expected at least one record, got none")
    top = style.header(note) + 0.4
    figure = style.canvas(top + 3.5 + 0.65, title, note)
    epochs = column(metrics, "epoch")
    coded = np.nan_to_num(column(metrics, "rate")).any()  # without a code nothing is paid, and all is distortion
    left = style.axes(figure, (0.85, top, 3.7 if coded else 6.85, 3.5), "Objective and bound, nats per example")
    _curve(left, epochs, column(metrics, "objective"), style.ORANGE, "training objective")
    validation = column(metrics, "validation")
    _curve(left, epochs, validation, style.BLUE, "validation bound")
    _mark_best(left, epochs, validation)
    _focus(left, column(metrics, "objective"), column(metrics, "validation"))
    if left.lines:
        style.legend(left, loc="best")
    for place, name in enumerate(("distortion", "rate") if coded else ()):
        ax = style.axes(figure, (5.35, top + 1.95 * place, 2.35, 1.55), f"{name.capitalize()}, nats per example")
        _curve(ax, epochs, column(metrics, name), style.ORANGE, name)
        _focus(ax, column(metrics, name))
        ax.tick_params(labelbottom=name == "rate")
    figure.axes[0].set_xlabel("epoch")
    figure.axes[-1].set_xlabel("epoch")
    return figure


def column(metrics: Sequence[Mapping[str, Any]], name: str) -> Array:
    """One quantity over the epochs, NaN where it is missing or infinite."""
    values = np.array([float(record.get(name, np.nan)) for record in metrics])
    return np.where(np.isfinite(values), values, np.nan)


def _curve(ax: Axes, epochs: Array, values: Array, colour: str, label: str) -> None:
    if np.isfinite(values).any():
        marker, width = "o" if len(epochs) <= 15 else "", 1.8 if len(epochs) <= 100 else 1.3
        ax.plot(epochs, values, color=colour, linewidth=width, marker=marker, markersize=4, label=label)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5))
    ax.ticklabel_format(axis="y", useOffset=False)
    ax.grid(axis="y", color=style.FAINT, linewidth=0.6, alpha=0.7)
    ax.set_axisbelow(True)


def _mark_best(ax: Axes, epochs: Array, validation: Array) -> None:
    """Mark the epoch whose weights are kept; the legend, which is in nobody's way, says which it is."""
    if not np.isfinite(validation).any():
        return
    best = int(np.nanargmax(validation))
    label = f"best {validation[best]:.2f}, epoch {epochs[best]:.0f}"
    place = (epochs[best], validation[best])
    ax.plot(*place, "o", color=style.BLUE, markersize=7, zorder=4, clip_on=False, label=label)


def _focus(ax: Axes, *columns: Array) -> None:
    """Let the axis span what all but the first tenth of the epochs lie in."""
    late = np.concatenate([values[len(values) // 10 :] for values in columns])
    late = late[np.isfinite(late)]
    if len(late):
        low, high = float(late.min()), float(late.max())
        margin = 0.1 * (high - low) or 0.1 * max(abs(high), 1.0)
        ax.set_ylim(low - margin, high + 1.4 * margin)
