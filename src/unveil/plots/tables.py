"""Data that are no images: each entry's distribution, and pairs of entries, against the model's samples."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from unveil.data import Split
from unveil.distributions import Masked
from unveil.models import FromPosterior, Model, Term
from unveil.plots import style
from unveil.plots.anatomy import Anatomy, collect, described, examine, generate, seeded, spread_rows, value_of
from unveil.variables import Batch

MOST_ROWS = 5000
MOST_FEATURES, MOST_PAIRED, MOST_DOTS = 16, 4, 600
COLUMNS = 4
LONGEST = 20
"""Letters of a feature's name that fit over its histogram."""
FEW_LEVELS = 8
"""Numbers of so few levels are no cloud of points."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Feature:
    """One entry of the observations, and of samples.

    Args:
        name: What it is called.
        data: Its value in each row, (N,).
        samples: Its value in each sample, (S,).
        levels: How many levels it has; None for real numbers.
    """

    name: str
    data: Array
    samples: Array
    levels: int | None

    @property
    def limits(self) -> tuple[float, float]:
        """What all but the outermost of the data lie in, with a margin."""
        if self.levels is not None:
            return -0.5, self.levels - 0.5
        data = self.data[np.isfinite(self.data)]
        low, high = np.quantile(data, (0.002, 0.998)) if len(data) else (0.0, 1.0)
        margin = 0.12 * (high - low) or 0.5
        return float(low - margin), float(high + margin)

    @property
    def bins(self) -> Array:
        """The edges of a histogram's bins: a whole number of levels each."""
        if self.levels is not None:
            step = ceil(self.levels / 40)
            return np.arange(0.0, self.levels + step, step) - 0.5
        count = int(np.clip(round(1.5 * len(self.data) ** 0.5), 8, 40))
        edges: Array = np.linspace(*self.limits, count + 1)
        return edges


def marginals(
    model: Model,
    split: Split,
    *,
    names: tuple[str, ...] = (),
    title: str = "Data and samples, feature by feature",
    note: str = "",
) -> Figure:
    """Histograms of each feature, in the data and in samples of the model, in one unit.

    Args:
        model: A model with an observed variable that is no image.
        split: The data; samples are drawn for its contexts where there are contexts.
        names: What the features are called, in order.
        title: The figure's title.
        note: A line below it.

    Raises:
        ValueError: If nothing but images is observed, or if the model can't be sampled from.
    """
    features, total = compare(model, split, names, MOST_FEATURES)
    rows, columns = ceil(len(features) / COLUMNS), min(COLUMNS, len(features))
    note = "\n".join(filter(None, [note, _shown(len(features), total)]))
    top, wide, high = style.header(note) + 0.45, (style.WIDTH - 0.6 - 0.25 * (columns - 1)) / columns, 1.15
    wide = min(wide, 2.4)
    figure = style.canvas(top + rows * (high + 0.75), title, note)
    for index, feature in enumerate(features):
        row, column = divmod(index, COLUMNS)
        place = (0.3 + column * (wide + 0.25), top + 0.25 + row * (high + 0.7), wide, high)
        _histograms(style.axes(figure, place, feature.name), feature)
    _legend(figure, top - 0.35)
    return figure


def pairs(
    model: Model,
    split: Split,
    *,
    names: tuple[str, ...] = (),
    title: str = "Data and samples, pair by pair",
    note: str = "",
) -> Figure:
    """Up to four features against each other, in the data and in samples of the model.

    Args:
        model: A model with an observed variable that is no image.
        split: The data; samples are drawn for its contexts where there are contexts.
        names: What the features are called, in order.
        title: The figure's title.
        note: A line below it.

    Raises:
        ValueError: If nothing but images is observed, if the model can't be sampled from, or if there are fewer than
            two features of more than eight levels.
    """
    features, total = compare(model, split, names, MOST_PAIRED, only_clouds=True)
    if len(features) < 2:
        raise ValueError("split: expected at least two features that are real numbers or have many levels, got fewer")
    note = "\n".join(filter(None, [note, _shown(len(features), total)]))
    count, top, gap = len(features), style.header(note) + 0.2, 0.12
    side = min((style.WIDTH - 1.1 - gap * (count - 1)) / count, 2.6)
    figure = style.canvas(top + count * (side + gap) + 0.6, title, note)
    for row, below in enumerate(features):
        for column, across in enumerate(features[: row + 1]):
            ax = style.axes(figure, (0.8 + column * (side + gap), top + row * (side + gap), side, side))
            _histograms(ax, below) if row == column else _cloud(ax, across, below)
            ax.tick_params(labelbottom=row == count - 1, labelleft=column == 0 and row > 0)
            ax.set_xlabel(across.name if row == count - 1 else "")
            ax.set_ylabel(below.name if column == 0 and row > 0 else "")
    _legend(figure, top, dots=True)
    return figure


def compare(
    model: Model, split: Split, names: tuple[str, ...], most: int, *, only_clouds: bool = False
) -> tuple[list[Feature], int]:
    """At most that many features, evenly spaced, of all variables that are no images, in the data and in samples.

    Args:
        model: What is sampled.
        split: The data.
        names: What the features are called.
        most: How many features to take.
        only_clouds: Whether to take only those of many levels, for which a cloud of points makes sense.

    Returns:
        The features, and how many there are in all.
    """
    batch = spread_rows(split, MOST_ROWS)
    found = examine(model, batch)
    if not found.vectors:
        raise ValueError("split: expected an observed variable that is no image, got none")
    if not found.generative:
        raise ValueError("model: has a variable without a distribution to draw it from, so it can't be sampled")

    data = observations(model, batch, found)
    drawn = _samples(model, batch, tuple(found.vectors))
    features: list[Feature] = []
    for name, shape in found.vectors.items():
        labels = _labels(name, prod(shape), names, alone=len(found.vectors) == 1)
        values, levels = data[name][0].reshape(len(batch), -1), levels_of(model, name, shape, data[name])
        if not only_clouds or is_cloud(levels):
            columns = zip(labels, _columns(values), _columns(drawn[name]), strict=True)
            features += [Feature(label, x, sample, levels) for label, x, sample in columns]
    chosen = np.unique(np.linspace(0, len(features) - 1, min(most, len(features))).round().astype(int))
    return [features[index] for index in chosen], len(features)


def observations(model: Model, batch: Batch, found: Anatomy) -> dict[str, Tensor]:
    """The observed variables that are no images, (1, B, \\*shape) each, NaN where entries are missing."""

    def keep(term: Term) -> Tensor | None:
        value = value_of(term) if term.name in found.vectors else None
        if value is None or not isinstance(term.p, Masked):
            return value
        return value.double().where(term.p.mask, torch.nan)

    return collect(model, batch, FromPosterior(generator=seeded(model)), keep)


def clouds(model: Model, batch: Batch, found: Anatomy) -> int:
    """How many features are numbers of many levels."""
    data = observations(model, batch, found)
    levels = {name: levels_of(model, name, shape, data[name]) for name, shape in found.vectors.items()}
    return sum(prod(shape) for name, shape in found.vectors.items() if is_cloud(levels[name]))


def is_cloud(levels: int | None) -> bool:
    """Whether numbers of so many levels make a cloud of points."""
    return levels is None or levels > FEW_LEVELS


def levels_of(model: Model, name: str, shape: tuple[int, ...], values: Tensor) -> int | None:
    """The levels of a variable, by the model's description of it; by the values where it is not described."""
    if (variable := described(model, name, shape)) is not None:
        return variable.levels
    whole = bool((values == values.round()).all()) and float(values.min()) >= 0
    return max(2, int(values.max()) + 1) if whole and float(values.max()) <= 255 else None


def _samples(model: Model, batch: Batch, names: tuple[str, ...]) -> dict[str, Tensor]:
    """About as many samples as there are rows, 1,000 at least; (S, features) by name."""
    if batch.context is None:
        drawn = generate(model, Batch(size=max(1000, len(batch))), names, 1, draws=True)
    else:
        drawn = generate(model, Batch(context=batch.context), names, ceil(1000 / len(batch)), draws=True)
    return {name: values.reshape(values.shape[0] * values.shape[1], -1) for name, values in drawn.items()}


def _labels(variable: str, count: int, names: tuple[str, ...], *, alone: bool) -> list[str]:
    if alone and len(names) == count:
        return [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
    called = "feature" if alone and variable == "x" else variable
    return [f"{called} {entry}" if count > 1 or called == "feature" else called for entry in range(count)]


def _columns(values: Tensor) -> Array:
    return values.double().numpy().T


def _shown(shown: int, total: int) -> str:
    return f"{shown} of {total:,} features, evenly spaced" if shown < total else ""


def _histograms(ax: Axes, feature: Feature) -> None:
    bins = feature.bins
    filled: dict[str, Any] = {"histtype": "stepfilled", "color": style.FAINT}
    line: dict[str, Any] = {"histtype": "step", "color": style.ORANGE, "linewidth": 1.6}
    for values, options in ((feature.data, filled), (feature.samples, line)):
        finite = values[np.isfinite(values)]
        density = np.full(len(finite), 1 / (max(len(finite), 1) * (bins[1] - bins[0])))
        ax.hist(finite, bins=list(bins), weights=density, **options)
    ax.set_xlim(*feature.limits)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=3, integer=feature.levels is not None))


def _cloud(ax: Axes, across: Feature, below: Feature) -> None:
    """As many dots of data as of samples, in one random order, so that neither hides the other."""
    count = min(len(across.data), len(across.samples), MOST_DOTS)
    random = np.random.default_rng(0)
    data, samples = (random.permutation(len(values))[:count] for values in (across.data, across.samples))
    x, y = (np.concatenate([f.data[data], f.samples[samples]]) for f in (across, below))
    x += random.uniform(-0.3, 0.3, 2 * count) if across.levels else 0.0
    y += random.uniform(-0.3, 0.3, 2 * count) if below.levels else 0.0
    colours = np.repeat([style.INK, style.ORANGE], count)
    order = random.permutation(2 * count)
    ax.scatter(x[order], y[order], s=9, c=colours[order], alpha=0.6, linewidths=0)
    ax.set(xlim=across.limits, ylim=below.limits)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=3))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=3))


def _legend(figure: Figure, top: float, *, dots: bool = False) -> None:
    """What is data and what are samples, at the upper right."""
    handles = [
        Line2D([], [], color=style.INK, marker="o", linestyle="", markersize=4.5, label="data"),
        Line2D([], [], color=style.ORANGE, marker="o", linestyle="", markersize=4.5, label="samples"),
    ] if dots else [
        Patch(color=style.FAINT, label="data"),
        Line2D([], [], color=style.ORANGE, linewidth=1.8, label="samples"),
    ]  # fmt: skip
    height = figure.get_size_inches()[1]
    figure.legend(
        handles=handles, loc="upper right", bbox_to_anchor=(1 - 0.3 / style.WIDTH, 1 - top / height), frameon=False,
        fontsize=style.MEDIUM, labelcolor=style.INK, ncols=2, borderaxespad=0, handlelength=1.0 if dots else 2.0,
    )  # fmt: skip
